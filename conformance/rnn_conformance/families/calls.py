"""Families of calls whose outputs have golden values: ``forward``, ``stateful``, ``precision``."""

from __future__ import annotations

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.store import Expected

from rnn_conformance.bench import Bench
from rnn_conformance.families.outcome import Outcome, checked
from rnn_conformance.verdict import Verdict, compare


def time_axis(case: Case) -> int | None:
    """The axis of time in the output, if it has one."""
    if not case.argument("return_sequences"):
        return None
    return 0 if case.argument("time_major") else 1


def run(case: Case, bench: Bench) -> Outcome:
    """Make the case's calls in order and compare all that they return."""
    model = bench.model(case)
    if case.argument("stateful"):
        model.reset_states()  # the model may have served another case
    axis = time_axis(case)
    expected: dict[str, Expected] = {}
    actual: dict[str, np.ndarray] = {}
    for number, call in enumerate(case.calls, start=1):
        if call.reset:
            model.reset_states()
        outputs = checked(model.call(**bench.call_arguments(call)))
        where = "" if len(case.calls) == 1 else f"call {number} "
        if len(outputs) != len(call.expected):
            message = f"{where}returned {len(outputs)} arrays, expected {len(call.expected)}: {', '.join(call.expected)}"
            return Outcome.of(Verdict("shape", message=message), model, outputs)
        for (name, ref), array in zip(call.expected.items(), outputs, strict=True):
            expected[where + name], actual[where + name] = bench.store.expected(ref), array
    axes = {name: axis for name in expected if name.endswith("output")}
    return Outcome.of(compare(expected, actual, bench.dtype, axes), model, list(actual.values()))
