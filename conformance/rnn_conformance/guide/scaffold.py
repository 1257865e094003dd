"""A package for an adapter of one's own, written from templates."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from rnn_conformance import __version__
from rnn_conformance.errors import ConfigurationError

TEMPLATES = "guide/templates"
# Template to the file that is written; {package} is the import package.
FILES = {
    "pyproject.toml.j2": "pyproject.toml",
    "README.md.j2": "README.md",
    "adapter.py.j2": "{package}/adapter.py",
    "known.toml.j2": "{package}/known.toml",
    "init.py.j2": "{package}/__init__.py",
    "test_conformance.py.j2": "tests/test_conformance.py",
    "tox.ini.j2": "tox.ini",
    "workflow.yml.j2": ".github/workflows/conformance.yml",
}


def write(name: str, folder: Path) -> list[Path]:
    """Write the package, and return its files.

    Raises
    ------
    ConfigurationError
        When the name is none of a package, or the folder is there and not empty.
    """
    package = re.sub(r"[-.]+", "_", name.lower())
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*", name.lower()) or keyword.iskeyword(package):
        raise ConfigurationError(
            f"{name!r} is no name of a package: letters and digits, with single - between, as in my-rnn"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is there already, and not empty: choose another --out")
    environment = Environment(
        loader=PackageLoader("rnn_conformance", TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
    )
    fields = {
        "name": name.lower(),
        "package": f"{package}_conformance",
        "cls": "".join(part.capitalize() for part in package.split("_")) + "Adapter",
        "version": __version__,
    }
    written = []
    for template, target in FILES.items():
        path = folder / target.format(**fields)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(environment.get_template(template).render(**fields), "utf-8")
        written.append(path)
    return written
