"""Family ``initial``: the weights of layers that nobody set, against the distributions that the case states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.precision import UNIT

from rnn_conformance.contract.adapter import DTYPES
from rnn_conformance.judging import statistics
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families.outcome import Outcome
from rnn_conformance.judging.verdict import Verdict

FIRST_SEED = 20_001


def run(case: Case, bench: Bench) -> Outcome:
    """Build layers with one seed after another and look at their weights."""
    built: list[Mapping[str, np.ndarray]] = []
    spec = bench.spec(case)
    for number in range(case.detail["builds"]):
        model = bench.adapter.build(replace(spec, seed=FIRST_SEED + number))
        built.append(model.initial_weights())
    arrays = [array for weights in built for array in weights.values()]
    verdict = _judge(case, built, bench.dtype)
    return Outcome.of(verdict, model, arrays)


def _judge(case: Case, built: list[Mapping[str, np.ndarray]], dtype: str) -> Verdict:
    expected = case.detail["weights"]
    if set(built[0]) != set(expected):
        return Verdict("shape", message=f"weights are {', '.join(built[0])}, expected {', '.join(expected)}")
    for name, array in built[0].items():
        if array.dtype != DTYPES[dtype]:
            return Verdict("dtype", message=f"{name} has dtype {array.dtype}, expected {dtype} (SHAPE-7)")
        if array.shape[-1] != expected[name][-1]["columns"][1]:
            return Verdict("shape", message=f"{name} has shape {array.shape} (WEIGHT-1)")
    found = []
    for name, parts in expected.items():
        for part in parts:
            start, stop = part["columns"]
            stacked = np.stack([weights[name][..., start:stop] for weights in built])
            where = name if len(parts) == 1 else f"{name}[{start}:{stop}]"
            found += [f"{where}: {fault}" for fault in part_faults(part, stacked, UNIT[dtype])]
    return Verdict("value", message="; ".join(found)) if found else Verdict("pass")


def part_faults(part: Mapping[str, Any], arrays: np.ndarray, unit: float) -> list[str]:
    """What is wrong with arrays [builds, ..., columns] that should follow one distribution."""
    x = arrays.astype(np.float64)
    kind = part["kind"]
    if kind in ("constant", "identity"):
        wanted = (
            np.full(x.shape[1:], part["value"]) if kind == "constant" else part["gain"] * np.eye(*x.shape[1:])
        )
        wrong = x != wanted
        if not wrong.any():
            return []
        return [f"{wrong.sum()} of {wrong.size} elements differ from {kind}; the first is {x[wrong][0]:.9g}"]
    if kind == "orthogonal":
        found = [fault for matrix in x for fault in _orthogonal_faults(matrix, part["gain"], unit)]
        signs = np.sign(x[:, 0, 0])
        if len(x) > 1 and (signs == signs[0]).all():  # 2 ** (1 - builds) by chance
            found.append("the first element has the same sign in all builds: not every rotation is as likely")
        return found
    if len(x) > 1 and np.array_equal(x[0], x[1]):
        return ["two seeds give the same numbers"]
    return statistics.faults(kind, part, x, unit)


def _orthogonal_faults(matrix: np.ndarray, gain: float, unit: float) -> list[str]:
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    rows = len(wide)
    error = float(np.abs(wide @ wide.T - gain**2 * np.eye(rows)).max())
    found = []
    if error > 128 * unit * gain**2:  # a QR decomposition is good to some units of roundoff
        found.append(f"rows are orthonormal only to {error:.2g}")
    # For a random rotation every row's sum has variance gain**2; a fixed matrix such as the identity has not.
    if abs(float(wide.sum())) > 8 * gain * np.sqrt(rows):
        found.append(f"the elements sum to {wide.sum():.3g}: not a random rotation")
    if np.abs(np.diag(wide)).min() > 0.5 * gain:
        found.append("the diagonal dominates: not a random rotation")
    return found
