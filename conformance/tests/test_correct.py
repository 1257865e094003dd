"""Correct implementations are never accused: the kit of `correct` against the committed golden data (PREC-2, PREC-3)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from rnn_conformance.judging.verdict import measure
from rnn_fixtures.case import Case
from rnn_fixtures.lint import stored_problem
from rnn_fixtures.problem import Problem
from rnn_fixtures.store import Expected, Store

from .correct import KIT

# The limit is 8: a correct implementation stays below half of it, whatever it chooses.
ROOM = 4.0
# Every so manieth problem of the family forward; `benchmarks/roundoff.py` takes them all.
EVERY = 24
# Sequences of so many steps take most of the time: one of each layer and place of the reset is enough.
LONG = 257


@cache
def store() -> Store:
    return Store()


@cache
def problems() -> list[tuple[Case, Problem, dict[str, Expected]]]:
    """One case, with its numbers and its golden outputs, for each of a sample of trajectories, all outputs returned where some case does."""
    found: dict[int, Case] = {}
    for case in store().cases():
        extreme = case.family == "precision" and case.argument("quantity") == "outputs"
        if case.family != "forward" and not (extreme and "infinite" not in str(case.argument("regime"))):
            continue
        seed = stored_problem(case, store()).seed
        if seed not in found or case.argument("return_sequences"):
            found[seed] = case
    chosen = [c for c in found.values() if c.size.T < LONG]
    large = [c for c in chosen if c.size.U >= 128 or c.family == "precision"]
    long = {(c.layer, c.argument("reset_after")): c for c in found.values() if c.size.T >= LONG}
    sample = [
        c for c in [*chosen[::EVERY], *large[::4], *long.values()] if "nan" not in str(c.argument("regime"))
    ]
    return [
        (c, stored_problem(c, store()), {n: store().expected(ref) for n, ref in c.calls[0].expected.items()})
        for c in sample
    ]


@pytest.mark.parametrize("name", sorted(KIT))
def test_nobody_correct_is_accused(name: str) -> None:
    member = KIT[name]
    worst, where, count, squares = 0.0, "", 0, 0.0
    for dtype in member.dtypes:
        for case, problem, expected in problems():
            if dtype not in case.dtypes:
                continue
            result = member.run(problem, dtype)
            for output, golden in expected.items():
                actual = result["outputs" if output == "output" else output].astype(np.float64)
                if output == "output":
                    if not case.argument("return_sequences"):
                        actual = actual[:, -1]
                    elif case.argument("time_major"):
                        actual = actual.swapaxes(0, 1)
                z = measure(actual, golden, dtype)
                largest = float(z.max(initial=0.0))
                if largest > worst:
                    worst, where = largest, f"{case.id} {dtype}"
                count, squares = count + z.size, squares + float((z * z).sum())
    assert worst < ROOM, where
    # Over all activations, extreme numbers too; precision classes look at tanh and sigmoid alone.
    assert math.sqrt(squares / count) < 0.5
