"""Family ``shapes``: static shapes against what the clauses say, then calls as in the other families."""

from __future__ import annotations

from collections.abc import Sequence

from rnn_fixtures.case import Case

from rnn_conformance.bench import Bench
from rnn_conformance.families import calls
from rnn_conformance.families.outcome import Outcome
from rnn_conformance.verdict import Verdict


def run(case: Case, bench: Bench) -> Outcome:
    """Ask for static shapes and weights' shapes where an input is declared, then make the calls."""
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


def _spelled(shapes: Sequence[Sequence[int | None]]) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)
