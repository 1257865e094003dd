"""Family ``precision``: calls, and gradients, compared as in the other families."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.store import Arrays, Expected

from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families import calls, training
from rnn_conformance.judging.families.outcome import Outcome
from rnn_conformance.judging.verdict import Verdict, compare


def run(case: Case, bench: Bench) -> Outcome:
    """What the case's ``quantity`` says."""
    if case.argument("quantity") == "gradients":
        return training.gradients(case, bench)
    outcome = calls.run(case, bench)
    if case.argument("regime") == "infinite" and outcome.verdict.verdict == "value":
        return replace(outcome, verdict=_without_touched(case, bench, outcome))
    return outcome


def _without_touched(case: Case, bench: Bench, outcome: Outcome) -> Verdict:
    """The verdict where NaN counts as right in what an infinite input reaches: that its limits are finite is a SHOULD (PREC-6)."""
    expected = {name: bench.store.expected(ref) for name, ref in case.calls[0].expected.items()}
    actual = dict(zip(expected, outcome.arrays, strict=True))
    allowed = 0
    for name, golden in expected.items():
        excused = _touched(case, bench.store, name, golden) & np.isnan(actual[name])
        actual[name] = np.where(excused, golden.value.astype(actual[name].dtype), actual[name])
        allowed += int(excused.sum())
    verdict = compare(expected, actual, bench.dtype, {"output": calls.time_axis(case)})
    if verdict.verdict != "pass" or not allowed:
        return outcome.verdict
    return replace(
        verdict,
        message=f"{allowed} elements are NaN where an infinite input saturates the gates (PREC-6, SHOULD)",
    )


def _touched(case: Case, store: Arrays, name: str, golden: Expected) -> np.ndarray:
    """Which elements of a result an infinite number of the input may reach."""
    sample, step, _ = (int(k[0]) for k in np.nonzero(np.isinf(store.exact(case.calls[0].input))))
    touched = np.zeros(golden.value.shape, bool)
    if name == "output" and case.argument("return_sequences"):
        first = case.size.T - 1 - step if case.argument("go_backwards") else step
        touched[sample, first:] = True
    else:
        touched[sample] = True
    return touched
