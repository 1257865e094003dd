"""From an adapter's arrays to a verdict: number of outputs, shape, dtype, then z (PREC-2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import accumulate
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


@cache
def smallest_normal(dtype: str) -> float:
    """Below this a dtype loses digits: what underflow may cost (PREC-2)."""
    return float(ml_dtypes.finfo(DTYPES[dtype]).smallest_normal)


class _Numbers:
    """All numbers of some arrays in a row, beside the golden ones: what one operation can do is not done array by array.

    Attributes
    ----------
    places : mapping
        Where the numbers of each array lie.
    """

    def __init__(
        self, actual: Mapping[str, np.ndarray], expected: Mapping[str, Expected], dtype: str
    ) -> None:
        def in_a_row(arrays: Iterable[np.ndarray]) -> np.ndarray:
            return np.concatenate([np.zeros(0), *(array.ravel() for array in arrays)], dtype=np.float64)

        golden = [expected[name] for name in actual]
        ends = list(accumulate((array.size for array in actual.values()), initial=0))
        self.places = {name: slice(*ends[k : k + 2]) for k, name in enumerate(actual)}
        self.dtype = dtype
        self.actual = in_a_row(actual.values())
        self.value = in_a_row(e.value for e in golden)
        self.sensitivity = in_a_row(e.sensitivity for e in golden)
        self.sensitivity_strict = in_a_row(e.sensitivity_strict for e in golden)
        self.finite = np.isfinite(self.actual) & np.isfinite(self.value)
        # NaN where NaN is expected is right (PREC-6).
        same = (self.actual == self.value) | (np.isnan(self.actual) & np.isnan(self.value))
        # What z is of numbers that must be equal: where one of the two is not finite, or S = 0.
        self.unequal = np.where(same, 0.0, np.inf)
        with np.errstate(invalid="ignore"):
            self.gap = self.actual - self.value

    def _signed(self, sensitivity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which numbers may differ, and the z of those with its sign; 0 for all others."""
        counted = (sensitivity > 0) & self.finite
        allowed = UNIT[self.dtype] * sensitivity + smallest_normal(self.dtype)
        return counted, np.divide(self.gap, allowed, out=np.zeros_like(self.gap), where=counted)

    @cached_property
    def _counted(self) -> tuple[np.ndarray, np.ndarray]:
        return self._signed(self.sensitivity)

    def _z(self, counted: np.ndarray, signed: np.ndarray) -> np.ndarray:
        return np.where(counted, np.abs(signed), self.unequal)

    @property
    def z(self) -> np.ndarray:
        """z of every number (PREC-2)."""
        return self._z(*self._counted)

    @property
    def z_strict(self) -> np.ndarray:
        """The same by the strict sensitivity (PREC-3)."""
        return self._z(*self._signed(self.sensitivity_strict))

    def largest_gap(self) -> float:
        """How far the worst number is off; infinite where one of the two is no number."""
        return float(np.where(self.finite, np.abs(self.gap), self.unequal).max(initial=0.0))

    def spread(self) -> dict[str, list[float]]:
        """Of each array the number of elements that may differ, sums of their signed z, of that outwards (away from zero), and of its square (PREC-8)."""
        counted, z = self._counted
        outwards = np.multiply(z, np.sign(self.value), out=np.zeros_like(z), where=counted)
        parts = np.stack([counted, z, outwards, z * z])
        return {name: parts[:, place].sum(axis=1).tolist() for name, place in self.places.items()}


def measure(actual: np.ndarray, golden: Expected, dtype: str) -> np.ndarray:
    """z of every element of an array (PREC-2)."""
    return _Numbers({"": actual}, {"": golden}, dtype).z.reshape(actual.shape)


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
    numbers = _Numbers(actual, expected, dtype)
    z = numbers.z
    worst = float(z.max(initial=0.0))
    worst_strict = float(numbers.z_strict.max(initial=0.0))
    more: dict[str, Any] = {"elements": int(z.size), "spread": numbers.spread()}
    name, of_it = "", z
    if z.size:  # the array with the worst of all
        first = int(np.argmax(z))
        name = next(name for name, place in numbers.places.items() if first < place.stop)
        of_it = z[numbers.places[name]].reshape(actual[name].shape)
    if worst <= LIMIT:
        nearest = {"output": name, "index": _worst(of_it)} if z.size else None
        return Verdict("pass", worst, worst_strict, numbers.largest_gap(), nearest, **more)
    value = actual[name].astype(np.float64)
    where = _locate(name, of_it, value, expected[name], (time_axes or {}).get(name))
    step = where.get("first_step")
    message = (
        f"{where['output']}{where['index']} is {where['got']}, expected {where['expected']}: "
        f"z = {worst:.3g} (limit {LIMIT:g}); {where['differing']} of {where['elements']} elements differ"
        + (f", first at step {step}" if step is not None else "")
        + "".join(f", only {axis} {', '.join(map(str, found))}" for axis, found in where["only"].items())
    )
    return Verdict("value", worst, worst_strict, numbers.largest_gap(), where, message, **more)
