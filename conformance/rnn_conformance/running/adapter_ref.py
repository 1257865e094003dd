"""An adapter by name, and where its files are; nothing of it is imported."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# In an adapter's folder: the differences that it declares, and scripts that show them.
DECLARED, REPROS = "known.toml", "repros"
# What runs a script, by what its name ends with.
INTERPRETERS = {".py": [sys.executable], ".mjs": ["node"], ".js": ["node"], ".sh": ["sh"]}


@dataclass(frozen=True)
class AdapterRef:
    """An adapter by the name that the user gave and what it stands for (``module:Class``, ``path.py:Class``, ``cmd:PROGRAM``).

    Attributes
    ----------
    settings : tuple of (str, str)
        Switches of the framework that are asked for, by name.
    """

    name: str
    target: str
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """Its name, and what is asked for."""
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.settings)])

    @property
    def folder(self) -> Path | None:
        """The folder of its module: there are its declared differences (``known.toml``), the scripts kept with them (``repros/``) and the template
        for others (``script.py.j2``). For a program that of the first file of its command beside which differences are declared; None where there is none."""
        if self.target.startswith("cmd:"):
            words = shlex.split(self.target.removeprefix("cmd:"))
            folders = (Path(word).resolve().parent for word in words if os.path.isfile(word))
            return next((folder for folder in folders if (folder / DECLARED).is_file()), None)
        where, _, attribute = self.target.rpartition(":")
        if not attribute:
            return None
        if where.endswith(".py"):
            return Path(where).resolve().parent
        top, *inner = where.split(".")
        try:
            found = find_spec(top)  # of a top-level name: imports nothing
        except (ImportError, ValueError):
            return None
        if found is None:
            return None
        if found.submodule_search_locations is None:
            return None if found.origin is None else Path(found.origin).parent
        candidates = [Path(root).joinpath(*inner) for root in found.submodule_search_locations]
        return next(
            (p if p.is_dir() else p.parent for p in candidates if p.is_dir() or p.parent.is_dir()), None
        )
