"""Finding adapters: entry points, and ``module:Class`` references. Nothing is imported here."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import entry_points

from rnn_conformance.errors import ConfigurationError
from rnn_conformance.running.adapter_ref import AdapterRef

GROUP = "rnn_conformance.adapters"
# A name of one's own for what has none.
_NAMED = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9._-]*)=(?P<target>.*:.*)", re.DOTALL)


def installed() -> dict[str, AdapterRef]:
    """Every adapter that an installed distribution declares, by name."""
    return {e.name: AdapterRef(e.name, e.value) for e in sorted(entry_points(group=GROUP))}


def resolve(name: str) -> AdapterRef:
    """The adapter that ``--adapter NAME`` means; ``NAME=cmd:PROGRAM`` gives a program, or a class, a name in the results.

    Raises
    ------
    ConfigurationError
        When no such adapter is declared.
    """
    known = installed()
    if name in known:
        return known[name]
    named = _NAMED.fullmatch(name)
    if named is not None:
        if named["name"] in known:
            raise ConfigurationError(f"{named['name']!r} is declared here already: choose another name")
        return AdapterRef(named["name"], resolve(named["target"]).target)
    if name.startswith("cmd:"):
        if not name.removeprefix("cmd:").strip():
            raise ConfigurationError("cmd: needs a program: cmd:PROGRAM ARGS")
        try:
            shlex.split(name.removeprefix("cmd:"))
        except ValueError as error:
            raise ConfigurationError(f"{name!r} is no command: {error}") from error
        return AdapterRef(name, name)
    module, colon, attribute = name.rpartition(":")
    if colon and module and attribute:
        return AdapterRef(name, name)
    raise ConfigurationError(
        f"unknown adapter {name!r}; declared here: {', '.join(known) or 'none'}; "
        "a class of your own is module:Class or path.py:Class, a program cmd:PROGRAM, either with a name of its own as NAME=cmd:PROGRAM"
    )
