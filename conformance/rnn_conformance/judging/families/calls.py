"""Families of calls whose outputs have golden values: ``forward``, ``stateful``, ``precision``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.store import Expected

from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families.outcome import Outcome, checked
from rnn_conformance.judging.verdict import Verdict, compare, named


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
        if call.weights is not None:
            model.set_weights({name: bench.array(ref) for name, ref in call.weights.items()})
        if call.reset:
            model.reset_states()
        given = bench.call_arguments(call)
        outputs = checked(model.call(**given))
        where = "" if len(case.calls) == 1 else f"call {number} "
        changed = model.changed
        if changed is None:
            changed = written_to(given, bench.call_arguments(call))
        if changed:
            message = f"{where}changed the caller's {changed} (CALL-1)"
            return Outcome.of(Verdict("value", message=message), model, outputs)
        found = named(call.expected, outputs, where)
        if isinstance(found, Verdict):
            return Outcome.of(found, model, outputs)
        for name, array in found.items():
            expected[where + name], actual[where + name] = bench.store.expected(call.expected[name]), array
    if any(call.weights is not None for call in case.calls):
        bench.forget()  # its weights are no longer the case's
    axes = {name: axis for name in expected if name.endswith("output")}
    return Outcome.of(compare(expected, actual, bench.dtype, axes), model, list(actual.values()))


def written_to(given: Mapping[str, Any], fresh: Mapping[str, Any]) -> str:
    """The argument whose array is no longer what was handed over (CALL-1); empty when none is."""

    def same(a: Any, b: Any) -> bool:
        if a is None or b is None:
            return a is b
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return a.shape == b.shape and a.tobytes() == b.tobytes()

    return next((name for name in fresh if not same(given[name], fresh[name])), "")


def with_lengths(case: Case, bench: Bench, *, padding: bool = True) -> Verdict:
    """A call of the layer with lengths instead of a mask: outputs [B, T, U] against the golden ones (SHAPE-11).

    Parameters
    ----------
    padding : bool
        Whether the output on the padding counts; zeros are as right there as repetition.
    """
    model, call = bench.model(case), case.calls[0]
    lengths = np.array(case.detail["lengths"], np.int64)
    found = named(["output"], checked(model.call_lengths(bench.array(call.input), lengths)))
    if isinstance(found, Verdict):
        return found
    golden, output = bench.store.expected(call.expected["output"]), found["output"]
    if output.shape == golden.value.shape:
        padded = np.arange(output.shape[1])[None, :, None] >= lengths[:, None, None]
        excused = padded & ((output == 0) | (not padding))
        output = np.where(excused, golden.value.astype(output.dtype), output)
    return compare({"output": golden}, {"output": output}, bench.dtype, {"output": 1})
