"""From an adapter's arrays to a verdict: number of outputs, shape, dtype, then z (PREC-2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.precision import LIMIT, UNIT
from rnn_fixtures.store import Expected, Store

from rnn_conformance.adapters.base import DTYPES

DISCREPANCIES = ("value", "shape", "dtype", "accepted", "refused", "nondeterministic")
FAILURES = ("crash", "timeout", "protocol")


@dataclass(frozen=True)
class Verdict:
    """What a comparison found; the fields are those of a result record."""

    verdict: str
    z: float | None = None
    z_strict: float | None = None
    max_abs_error: float | None = None
    where: dict[str, Any] | None = None
    message: str = ""


def _smallest_normal(dtype: str) -> float:
    return float(ml_dtypes.finfo(DTYPES[dtype]).smallest_normal)


def measure(actual: np.ndarray, expected: np.ndarray, sensitivity: np.ndarray, dtype: str) -> np.ndarray:
    """z of every element (PREC-2); exact equality is demanded where S = 0."""
    s = sensitivity.astype(np.float64)
    allowed = np.where(s > 0, UNIT[dtype] * s + _smallest_normal(dtype), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(actual - expected) / allowed
    z = np.where(actual == expected, 0.0, z)
    return np.where(np.isfinite(actual), z, np.inf)


def _time_axis(case: Case) -> int | None:
    if not case.argument("return_sequences"):
        return None
    return 0 if case.argument("time_major") else 1


def _locate(name: str, z: np.ndarray, actual: np.ndarray, golden: Expected, case: Case) -> dict[str, Any]:
    index = tuple(int(k) for k in np.unravel_index(int(np.argmax(z)), z.shape))
    where: dict[str, Any] = {
        "output": name,
        "index": list(index),
        "got": number(float(actual[index])),
        "expected": float(golden.value[index]),
        "sensitivity": float(golden.sensitivity[index]),
        "differing": int((z > LIMIT).sum()),
        "elements": int(z.size),
    }
    axis = _time_axis(case)
    if name == "output" and axis is not None:
        others = tuple(k for k in range(z.ndim) if k != axis)
        steps = np.flatnonzero((z > LIMIT).any(axis=others))
        where["first_step"] = int(steps[0]) if steps.size else None
    return where


def number(value: float) -> float | str:
    """A float as JSON can hold it: non-finite numbers as strings."""
    return value if np.isfinite(value) else str(value)


def judge(case: Case, outputs: Sequence[np.ndarray], store: Store, dtype: str) -> Verdict:
    """Compare what came out with what the case expects."""
    names = list(case.expected)
    if len(outputs) != len(names):
        return Verdict(
            "shape", message=f"{len(outputs)} arrays were returned, expected {len(names)}: {', '.join(names)}"
        )
    golden = {name: store.expected(ref) for name, ref in case.expected.items()}
    arrays: Mapping[str, np.ndarray] = {
        name: np.asarray(array) for name, array in zip(names, outputs, strict=True)
    }
    for name, array in arrays.items():
        if array.shape != golden[name].value.shape:
            expected = golden[name].value.shape
            return Verdict("shape", message=f"{name} has shape {array.shape}, expected {expected} (SHAPE-4)")
    for name, array in arrays.items():
        if array.dtype != DTYPES[dtype]:
            return Verdict("dtype", message=f"{name} has dtype {array.dtype}, expected {dtype} (SHAPE-7)")
    return _judge_values(case, arrays, golden, dtype)


def _judge_values(
    case: Case, arrays: Mapping[str, np.ndarray], golden: Mapping[str, Expected], dtype: str
) -> Verdict:
    worst, worst_strict, error, where = 0.0, 0.0, 0.0, None
    for name, array in arrays.items():
        actual, expected = array.astype(np.float64), golden[name]
        z = measure(actual, expected.value, expected.sensitivity, dtype)
        strict = measure(actual, expected.value, expected.sensitivity_strict, dtype)
        gap = np.where(np.isfinite(actual), np.abs(actual - expected.value), np.inf)
        worst_strict = max(worst_strict, float(strict.max(initial=0.0)))
        error = max(error, float(gap.max(initial=0.0)))
        largest = float(z.max(initial=0.0))
        if where is None or largest > worst:
            worst, where = largest, _locate(name, z, actual, expected, case)
    if worst <= LIMIT:
        return Verdict("pass", worst, worst_strict, error, where)
    assert where is not None
    step = where.get("first_step")
    message = (
        f"{where['output']}{where['index']} is {where['got']}, expected {where['expected']:.9g}: "
        f"z = {worst:.3g} (limit {LIMIT:g}); {where['differing']} of {where['elements']} elements differ"
        + (f", first at step {step}" if step is not None else "")
    )
    return Verdict("value", worst, worst_strict, error, where, message)
