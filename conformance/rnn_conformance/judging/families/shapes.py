"""Family ``shapes``: static shapes against what the clauses say, then calls as in the other families."""

from __future__ import annotations

from collections.abc import Sequence

from rnn_fixtures.case import Case

from rnn_conformance.contract.adapter import Unsupported
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families import calls
from rnn_conformance.judging.families.outcome import Outcome
from rnn_conformance.judging.verdict import Verdict


def run(case: Case, bench: Bench) -> Outcome:
    """Ask for static shapes and weights' shapes where an input is declared, then make the calls."""
    if "lengths" in case.detail:
        return _lengths(case, bench)
    if "declared" not in case.detail:
        return calls.run(case, bench)
    model = bench.model(case)
    expected = [tuple(shape) for shape in case.detail["static_outputs"]]
    for means, found in model.static_shapes().items():
        shapes = [tuple(shape) for shape in found]
        if shapes != expected:
            message = f"{means} says {_spelled(shapes)}, expected {_spelled(expected)} (SHAPE-9)"
            return Outcome.of(Verdict("shape", message=message), model)
    for name, shape in model.weight_shapes().items():
        wanted = tuple(case.detail["weight_shapes"].get(name, ()))
        if tuple(shape) != wanted:
            message = f"{name} has shape {tuple(shape)}, expected {wanted} (WEIGHT-1)"
            return Outcome.of(Verdict("shape", message=message), model)
    return calls.run(case, bench)


def _lengths(case: Case, bench: Bench) -> Outcome:
    """With the mask that the lengths stand for; then with the lengths themselves, where the layer takes them (SHAPE-11)."""
    outcome = calls.run(case, bench)
    plain = not any(case.argument(name) for name in ("go_backwards", "time_major", "zero_output_for_mask"))
    if outcome.verdict.verdict != "pass" or not (plain and case.argument("return_sequences")):
        return outcome
    try:
        verdict = calls.with_lengths(case, bench)
    except Unsupported:
        return outcome
    return outcome if verdict.verdict == "pass" else Outcome.of(verdict, bench.model(case))


def _spelled(shapes: Sequence[Sequence[int | None]]) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)
