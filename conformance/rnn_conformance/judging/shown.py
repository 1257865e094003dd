"""What an adapter says that it can do, and no case shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rnn_fixtures.case import Case
from rnn_fixtures.domain import domain, spell

from rnn_conformance.contract.capabilities import ANY, Capabilities


def _masked(case: Case) -> bool:
    return any(call.mask is not None for call in case.calls)


def _procedure(name: str) -> Callable[[Case], bool]:
    return lambda case: str(case.arguments.get("procedure", "")).startswith(name)


# So many cases that ask for something and are all left out tell that it is not there.
MANY = 24
# Which cases ask for what capabilities name among `CALLS`.
ASKING: Mapping[str, Callable[[Case], bool]] = {
    "mask": _masked,
    "lengths": _masked,
    "initial_state": lambda case: any(call.initial_state is not None for call in case.calls),
    "training": lambda case: case.family == "dropout",
    "gradients": _procedure("gradients"),
    "fit": _procedure("fit"),
    "predict": _procedure("predict"),
    "initial_weights": lambda case: case.family == "initial",
    "static_shapes": lambda case: "Input" in case.detail.get("declared", {}),
    "declared": lambda case: any(name != "Input" for name in case.detail.get("declared", {})),
    "positional": lambda case: bool(case.detail.get("positional")),
}


def unshown(can: Capabilities, records: Iterable[Mapping[str, Any]], cases: Mapping[str, Case]) -> list[str]:
    """What capabilities name that some of the cases ask for and none of these passes.

    Returns
    -------
    list of str
        As ``fit`` or ``activation=gelu``.
    """
    run = [(cases[r["case"]], r["verdict"]) for r in records if r["case"] in cases]
    if all(verdict == "unsupported" for _, verdict in run):
        return []  # a dtype that the adapter does not have
    found = []
    for name, asks in _claims(can):
        verdicts = [verdict for case, verdict in run if asks(case)]
        # Few that are left out may be so for what else they ask for.
        tried = len(verdicts) >= MANY or any(verdict != "unsupported" for verdict in verdicts)
        if tried and "pass" not in verdicts:
            found.append(name)
    return found


def _claims(can: Capabilities) -> Iterable[tuple[str, Callable[[Case], bool]]]:
    yield from ((name, ASKING[name]) for name in can.calls if name in ASKING)
    yield from ((layer, _has("layer", layer)) for layer in can.layers)
    if can.bidirectional:
        yield "bidirectional", _has("bidirectional", "true")
    for name, values in can.arguments.items():
        argument = domain().arguments.get(name)
        if argument is None:
            continue
        if values == ANY:
            yield name, _differs(name, spell(argument.default))
        else:
            for level in map(_spelled, values):
                yield f"{name}={level}", _has(name, level)


def _spelled(value: Any) -> str:
    return "none" if value is None else spell(value) if isinstance(value, (str, bool, int, float)) else ""


def _has(name: str, level: str) -> Callable[[Case], bool]:
    return lambda case: _level(case, name) == level


def _differs(name: str, default: str) -> Callable[[Case], bool]:
    return lambda case: _level(case, name) not in ("", default)


def _level(case: Case, name: str) -> str:
    if name == "layer":
        return case.layer
    return spell(case.arguments[name]) if name in case.arguments else ""
