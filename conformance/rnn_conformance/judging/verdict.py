"""From an adapter's arrays to a verdict: number of outputs, shape, dtype, then z (PREC-2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from rnn_fixtures.precision import LIMIT, UNIT
from rnn_fixtures.store import Expected

from rnn_conformance.contract.adapter import DTYPES

DISCREPANCIES = ("value", "shape", "dtype", "accepted", "refused", "nondeterministic")
FAILURES = ("crash", "timeout", "protocol")
# Neither conforming nor left out; a refusal is unproved when its valid twin does not work (ERR-5).
FAULTY = (*DISCREPANCIES, *FAILURES, "unproved")
VERDICTS = ("pass", *FAULTY, "unsupported", "stale")


@dataclass(frozen=True)
class Verdict:
    """What a comparison found; the fields are those of a result record.

    Attributes
    ----------
    elements : int
        How many numbers were compared.
    spread : mapping
        For every output the number of such elements, and the sums of z, of z times the sign of the expected value, and of z squared.
    """

    verdict: str
    z: float | None = None
    z_strict: float | None = None
    max_abs_error: float | None = None
    where: dict[str, Any] | None = None
    message: str = ""
    elements: int = 0
    spread: dict[str, list[float]] = field(default_factory=dict)


def smallest_normal(dtype: str) -> float:
    """Below this a dtype loses digits: what underflow may cost (PREC-2)."""
    return float(ml_dtypes.finfo(DTYPES[dtype]).smallest_normal)


def measure(actual: np.ndarray, expected: np.ndarray, sensitivity: np.ndarray, dtype: str) -> np.ndarray:
    """z of every element (PREC-2); exact equality is demanded where S = 0, NaN where NaN is expected (PREC-6)."""
    s = sensitivity.astype(np.float64)
    allowed = np.where(s > 0, UNIT[dtype] * s + smallest_normal(dtype), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(actual - expected) / allowed
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    return np.where(same, 0.0, np.where(np.isfinite(actual) & np.isfinite(expected), z, np.inf))


def spread_of(actual: np.ndarray, golden: Expected, dtype: str) -> list[float]:
    """Number of elements that may differ, sums of their signed z, of that outwards (away from zero), and of its square (PREC-8)."""
    s = golden.sensitivity.astype(np.float64)
    counted = (s > 0) & np.isfinite(golden.value) & np.isfinite(actual)
    z = (actual - golden.value)[counted] / (UNIT[dtype] * s[counted] + smallest_normal(dtype))
    outwards = z * np.sign(golden.value[counted])
    return [float(z.size), float(z.sum()), float(outwards.sum()), float((z * z).sum())]


def spread_totals(spread: Mapping[str, Sequence[float]]) -> tuple[float | None, float | None]:
    """Root mean square and mean of the signed z over all outputs; None where no element may differ (PREC-8)."""
    if not spread:
        return None, None
    count, total, _, squares = (sum(parts) for parts in zip(*spread.values(), strict=True))
    return (float(np.sqrt(squares / count)), total / count) if count else (None, None)


def named(
    names: Iterable[str], arrays: Sequence[np.ndarray], where: str = ""
) -> dict[str, np.ndarray] | Verdict:
    """Arrays by the names of what is expected, or the verdict on another number of them: the same wherever arrays are returned."""
    wanted = list(names)
    if len(arrays) != len(wanted):
        many = f"{len(arrays)} array{'' if len(arrays) == 1 else 's'}"
        return Verdict(
            "shape", message=f"{where}returned {many}, expected {len(wanted)}: {', '.join(wanted)} (VIEW-3)"
        )
    return dict(zip(wanted, arrays, strict=True))


def _worst(z: np.ndarray) -> list[int]:
    return [int(k) for k in np.unravel_index(int(np.argmax(z)), z.shape)]


def _locate(
    name: str, z: np.ndarray, actual: np.ndarray, golden: Expected, axis: int | None
) -> dict[str, Any]:
    """The worst element, how many differ, and where all that differ lie."""
    index = tuple(_worst(z))
    where: dict[str, Any] = {
        "output": name,
        "index": list(index),
        "got": number(float(actual[index])),
        "expected": number(float(golden.value[index])),
        "sensitivity": float(golden.sensitivity[index]),
        "differing": int((z > LIMIT).sum()),
        "elements": int(z.size),
    }
    where["only"] = _confined(name, z > LIMIT, axis)
    if axis is not None:
        others = tuple(k for k in range(z.ndim) if k != axis)
        steps = np.flatnonzero((z > LIMIT).any(axis=others))
        where["first_step"] = int(steps[0]) if steps.size else None
    return where


def _confined(name: str, wrong: np.ndarray, time: int | None) -> dict[str, list[int]]:
    """Along which axes all wrong elements lie in less than half of the places, and in which."""
    if not wrong.any() or name.split()[-1] not in ("output", "h", "c") or name.startswith("gradient"):
        return {}
    found = {}
    for axis, length in enumerate(wrong.shape):
        others = tuple(k for k in range(wrong.ndim) if k != axis)
        places = np.flatnonzero(wrong.any(axis=others))
        kind = "step" if axis == time else "unit" if axis == wrong.ndim - 1 else "sample"
        if 2 * len(places) < length:
            found[kind] = [int(k) for k in places]
    return found


def number(value: float) -> float | str:
    """A float as JSON can hold it: non-finite numbers as strings."""
    return value if np.isfinite(value) else str(value)


def compare(
    expected: Mapping[str, Expected],
    actual: Mapping[str, np.ndarray],
    dtype: str,
    time_axes: Mapping[str, int | None] | None = None,
) -> Verdict:
    """Compare named arrays with golden ones: shapes, then dtypes, then values."""
    for name, array in actual.items():
        wanted = expected[name].value.shape
        if array.shape != wanted:
            return Verdict("shape", message=f"{name} has shape {array.shape}, expected {wanted} (SHAPE-4)")
    for name, array in actual.items():
        if array.dtype != DTYPES[dtype]:
            return Verdict("dtype", message=f"{name} has dtype {array.dtype}, expected {dtype} (SHAPE-7)")
    worst, worst_strict, error = 0.0, 0.0, 0.0
    where: dict[str, Any] | None
    place: tuple[str, np.ndarray, np.ndarray] | None = None  # of the worst: output, z, actual
    elements = sum(array.size for array in actual.values())
    spread: dict[str, list[float]] = {}
    for name, array in actual.items():
        value, golden = array.astype(np.float64), expected[name]
        spread[name] = spread_of(value, golden, dtype)
        z = measure(value, golden.value, golden.sensitivity, dtype)
        strict = measure(value, golden.value, golden.sensitivity_strict, dtype)
        with np.errstate(invalid="ignore"):
            gap = np.where(z == 0, 0.0, np.abs(value - golden.value))
        gap = np.where(np.isnan(gap), np.inf, gap)
        worst_strict = max(worst_strict, float(strict.max(initial=0.0)))
        error = max(error, float(gap.max(initial=0.0)))
        largest = float(z.max(initial=0.0))
        if z.size and (place is None or largest > worst):
            worst, place = largest, (name, z, value)
    more: dict[str, Any] = {"elements": elements, "spread": spread}
    if worst <= LIMIT:
        where = None if place is None else {"output": place[0], "index": _worst(place[1])}
        return Verdict("pass", worst, worst_strict, error, where, **more)
    assert place is not None
    name, z, value = place
    where = _locate(name, z, value, expected[name], (time_axes or {}).get(name))
    step = where.get("first_step")
    message = (
        f"{where['output']}{where['index']} is {where['got']}, expected {where['expected']}: "
        f"z = {worst:.3g} (limit {LIMIT:g}); {where['differing']} of {where['elements']} elements differ"
        + (f", first at step {step}" if step is not None else "")
        + "".join(f", only {axis} {', '.join(map(str, found))}" for axis, found in where["only"].items())
    )
    return Verdict("value", worst, worst_strict, error, where, message, **more)
