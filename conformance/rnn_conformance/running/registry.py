"""Finding adapters: entry points, and ``module:Class`` references. Nothing is imported here."""

from __future__ import annotations

from importlib.metadata import entry_points

from rnn_conformance.errors import ConfigurationError
from rnn_conformance.running.adapter_ref import AdapterRef

GROUP = "rnn_conformance.adapters"


def installed() -> dict[str, AdapterRef]:
    """Every adapter that an installed distribution declares, by name."""
    return {e.name: AdapterRef(e.name, e.value) for e in sorted(entry_points(group=GROUP))}


def resolve(name: str) -> AdapterRef:
    """The adapter that ``--adapter NAME`` means.

    Raises
    ------
    ConfigurationError
        When no such adapter is declared.
    """
    known = installed()
    if name in known:
        return known[name]
    if name.startswith("cmd:"):
        if not name.removeprefix("cmd:").strip():
            raise ConfigurationError("cmd: needs a program: cmd:PROGRAM ARGS")
        return AdapterRef(name, name)
    module, colon, attribute = name.rpartition(":")
    if colon and module and attribute:
        return AdapterRef(name, name)
    raise ConfigurationError(
        f"unknown adapter {name!r}; declared here: {', '.join(known) or 'none'}; "
        "a class of your own is module:Class or path.py:Class, a program cmd:PROGRAM"
    )
