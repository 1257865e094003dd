"""What an implementation computes instead: the variants, and pairs of them, whose results a discrepancy agrees with.

A variant agrees with a case when its results, computed by the reference with that one deviation, differ from what the implementation
returned by roundoff alone, and are at least `CLOSER` times as near to it as the golden ones. Where a family compares no arrays, it agrees
when it gives the same verdict for the same reason.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.precision import LIMIT, UNIT
from rnn_fixtures.store import Arrays, Expected

from rnn_conformance.contract.adapter import Unsupported
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families import PROCEDURES
from rnn_conformance.judging.families.outcome import Outcome
from rnn_conformance.proving.variants import REGISTRY, has_variant, variant_of
from rnn_conformance.proving.variants.base import Variant, VariantAdapter, combined
from rnn_conformance.proving.variants.gates import KNOWN

EXPLAINED = ("value", "shape", "dtype", "accepted")
NAMED = 5
CLOSER = 4.0
# Elements that a case may compute, all calls together, for every variant, and for every pair, to be tried on it.
SMALL, SMALLEST = 40_000, 2_000
# Families that build or call a layer many times for one case: variants of the case's own clauses are tried.
PROBED = ("dropout", "initial")
PAIRS = 600
# Pairs are searched for in one of so many cases, chosen by a hash of the case: the answer is a function of the case.
SEARCHED = 8
# The variant that errors are measured against to tell how many bits an implementation's products have, and how many elements it takes.
YARDSTICK, YARDSTICK_BITS, FEWEST = "state-in-11-bits", 11, 12


class Diagnosis:
    """Simulates variants; keeps their models, but no answer, from one case to the next.

    Parameters
    ----------
    store : Arrays
        Arrays of the cases.
    dtype : str
        That of the implementation: the variants run the same cases in it, or in float32 where it is shorter. NumPy has no bfloat16
        arithmetic, and float16's own roundoff would blur what is compared.
    """

    def __init__(self, store: Arrays, dtype: str) -> None:
        self._store, self._dtype = store, dtype
        self._benches: dict[str, Bench] = {}

    def agrees_with(self, case: Case, outcome: Outcome, verdict: str, *, pairs: bool = True) -> list[str]:
        """Names of variants, or else of pairs joined by `PAIR`, that explain an outcome, best first; at most `NAMED`.

        Parameters
        ----------
        verdict : str
            The final one: "nondeterministic" where a second run gave other numbers than the outcome's.
        pairs : bool
            Whether pairs are tried where no variant agrees.
        """
        applicable = [v for v in REGISTRY.values() if case.layer in v.layers]
        if verdict == "nondeterministic":
            own = (v for v in applicable if v.clause in case.clauses)
            return [v.name for v in own if self._varies(v, case)][:NAMED]
        if verdict not in EXPLAINED:
            return []
        if _elements(case) > SMALL or case.family in PROBED:
            applicable = [v for v in applicable if v.clause in case.clauses]
        found: list[tuple[Any, str]] = []
        effective: list[Variant] = []
        golden = _Target(case, self._expected(case), outcome, self._dtype)
        for position, variant in enumerate(applicable):
            simulated = self._simulate(variant, case)
            if simulated is None:
                continue
            distance = golden.distance(simulated)
            if distance is not None:
                found.append(
                    ((_bucket(distance), variant.clause not in case.clauses, position), variant.name)
                )
            elif golden.deviates(simulated) and _may_pair(variant):
                effective.append(variant)
        if pairs and not found and outcome.arrays and _elements(case) <= SMALLEST and _is_searched(case):
            every = (combined(a, b) for a, b in itertools.combinations(effective, 2))
            found = self._pairs(case, golden, [pair for pair in every if pair is not None][:PAIRS])
        return [name for _, name in sorted(found)[:NAMED]]

    def _pairs(self, case: Case, golden: _Target, pairs: Sequence[Variant]) -> list[tuple[Any, str]]:
        found: list[tuple[Any, str]] = []
        for position, pair in enumerate(pairs):
            simulated = self._simulate(pair, case, keep=False)
            distance = None if simulated is None else golden.distance(simulated)
            if distance is not None:
                found.append(((_bucket(distance), position), pair.name))
        return found

    def observation(self, case: Case, outcome: Outcome) -> str:
        """What else can be said of numbers that are wrong."""
        if outcome.verdict.verdict != "value" or case.family in PROBED:
            return ""
        yardstick = self._simulate(REGISTRY[YARDSTICK], case)
        expected = [e.value for e in self._expected(case)]
        if yardstick is None or [a.shape for a in outcome.arrays] != [e.shape for e in expected]:
            return ""
        if len(yardstick.arrays) != len(expected):
            return ""
        bits = effective_bits(_errors(outcome.arrays, expected), _errors(yardstick.arrays, expected))
        return "" if bits is None else f"errors are those of products of {bits} significant bits"

    def _varies(self, variant: Variant, case: Case) -> bool:
        runs = [self._simulate(variant, case) for _ in range(2)]
        first, second = ([] if run is None else [a.tobytes() for a in run.arrays] for run in runs)
        return first != second

    def _expected(self, case: Case) -> list[Expected]:
        return [self._store.expected(ref) for call in case.calls for ref in call.expected.values()]

    def _simulate(self, variant: Variant, case: Case, *, keep: bool = True) -> Outcome | None:
        dtype = self._dtype if self._dtype == "float64" else "float32"
        bench = self._benches.get(variant.name) or Bench(VariantAdapter(variant), self._store, dtype, "cpu")
        if keep:
            self._benches[variant.name] = bench
        try:
            with np.errstate(all="ignore"):
                return PROCEDURES[case.family](case, bench)
        except Unsupported:
            return None
        except Exception:  # a deviation may make a case impossible
            bench.forget()
            return None


def _errors(arrays: Sequence[np.ndarray], golden: Sequence[np.ndarray]) -> np.ndarray:
    pairs = zip(arrays, golden, strict=True)
    return np.concatenate([(a.astype(np.float64) - g).ravel() for a, g in pairs] or [np.zeros(0)])


def _is_searched(case: Case) -> bool:
    digest = hashlib.sha256(case.id.encode()).digest()
    return case.tier == "smoke" or digest[0] % SEARCHED == 0


def _elements(case: Case) -> int:
    size = case.size
    return size.B * size.T * (size.F + size.U) * size.U * max(len(case.calls), 1)


def _bucket(distance: float) -> int:
    """Distances far below the limit say the same: any of them is roundoff."""
    return max(0, int(np.ceil(np.log2(max(distance, 1e-300) * 16))))


def _may_pair(variant: Variant) -> bool:
    """Of the many orders of gates, only those that a library has."""
    return variant.kind != "gate order" or any(f"gates-{order}" in variant.name for order in KNOWN)


class _Target:
    """What an implementation returned for a case, and what is right."""

    def __init__(self, case: Case, expected: Sequence[Expected], outcome: Outcome, dtype: str) -> None:
        self._verdict = outcome.verdict
        self._unit = UNIT[dtype]
        self._about_nan = "PREC-6" in case.clauses or "GRAD-2" in case.clauses
        self._actual = [np.asarray(a, np.float64) for a in outcome.arrays]
        self._dtypes = [a.dtype for a in outcome.arrays]
        self._compared = bool(expected) and not (case.detail.get("replay") or case.detail.get("stack"))
        scales = [_scale(e) for e in expected]
        if len(scales) != len(self._actual):
            scales = [max(scales, default=1.0)] * len(self._actual)
        self._scales = scales
        self._expected, self._golden = expected, [e.value for e in expected]
        self._wrong_by = self._gap(self._golden)

    def _gap(self, arrays: Sequence[np.ndarray]) -> float:
        """Largest difference to what was returned, in units of what roundoff may do; infinite for other shapes."""
        if [a.shape for a in arrays] != [a.shape for a in self._actual]:
            return float("inf")
        worst = 0.0
        for array, actual, scale in zip(arrays, self._actual, self._scales, strict=True):
            if not array.size:
                continue
            with np.errstate(invalid="ignore"):
                gap = np.abs(array.astype(np.float64) - actual)
            gap = np.where((array == actual) | (np.isnan(array) & np.isnan(actual)), 0.0, gap)
            worst = max(
                worst, float(np.where(np.isnan(gap), np.inf, gap).max()) / (LIMIT * self._unit * scale)
            )
        return worst

    def distance(self, simulated: Outcome) -> float | None:
        """How far a simulation is from what was returned; None when it does not agree."""
        if not self._compared or not self._actual:
            found, wanted = simulated.verdict, self._verdict
            return 0.0 if (found.verdict, found.message) == (wanted.verdict, wanted.message) else None
        if not simulated.arrays:
            return None
        if self._verdict.verdict == "dtype":
            return 0.0 if [a.dtype for a in simulated.arrays] == self._dtypes else None
        if not self._tells(simulated.arrays):
            return None
        gap = self._gap(list(simulated.arrays))
        return gap if gap <= 1 and (gap == 0 or gap * CLOSER <= self._wrong_by) else None

    def _tells(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether anything but NaN differs from the golden result, unless the case is about NaN itself (PREC-6)."""
        if self._about_nan or [a.shape for a in arrays] != [g.shape for g in self._golden]:
            return True
        return any(
            (np.isfinite(a) & (np.abs(np.nan_to_num(a.astype(np.float64)) - g) > 0)).any()
            for a, g in zip(arrays, self._golden, strict=True)
        )

    def deviates(self, simulated: Outcome) -> bool:
        """Whether a simulation is anything but the golden result."""
        arrays = list(simulated.arrays)
        if [a.shape for a in arrays] != [g.shape for g in self._golden]:
            return bool(arrays)
        return any(
            (np.abs(a - g.value) > LIMIT * self._unit * _scale(g)).any()
            for a, g in zip(arrays, self._expected, strict=True)
        )


def _scale(golden: Expected) -> float:
    """What one unit of roundoff may do to the most sensitive element."""
    finite = np.abs(golden.value[np.isfinite(golden.value)])
    return max(
        float(golden.sensitivity.max(initial=0.0)),
        float(finite.max(initial=0.0)),
        float(np.finfo(np.float32).tiny),
    )


@dataclass(frozen=True)
class Explanation:
    """Discrepancies of a run that agree with one variant, or pair of variants.

    Attributes
    ----------
    cases : tuple of str
        Those that no better explanation has taken already.
    """

    variant: str
    cases: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What the variant does, in words."""
        known = has_variant(self.variant)
        return variant_of(self.variant).summary if known else "does what this version has no name for"


def explanations(agreeing: Mapping[str, Sequence[str]]) -> list[Explanation]:
    """The fewest variants that agree with the most cases: greedily, the one first that agrees with most.

    Parameters
    ----------
    agreeing : mapping
        Case id to the names of the variants that it agrees with, best first; cases without any are left out of the result.
    """
    left = {case: list(names) for case, names in agreeing.items() if names}
    found = []
    while left:
        weights: dict[str, tuple[int, float]] = {}
        for names in left.values():
            for rank, name in enumerate(names):
                count, merit = weights.get(name, (0, 0.0))
                weights[name] = count + 1, merit + 1 / (1 + rank)
        best = max(weights, key=lambda name: weights[name])
        cases = tuple(case for case, names in left.items() if best in names)
        found.append(Explanation(best, cases))
        left = {case: names for case, names in left.items() if best not in names}
    return found


def effective_bits(errors: np.ndarray, yardstick: np.ndarray) -> int | None:
    """The significant bits that products seem to have had; None when the errors do not look like roundoff.

    Parameters
    ----------
    errors : array
        Of what an implementation returned.
    yardstick : array
        Of the same case, with the products' operands rounded to `YARDSTICK_BITS`. The root mean squares and the medians of both must
        tell the same, to one bit, and neither may err where the other is exact.
    """
    errors, yardstick = np.abs(errors), np.abs(yardstick)
    touched = yardstick > 0
    if touched.sum() < FEWEST or not np.isfinite(errors).all() or not errors[touched].any():
        return None
    if errors[~touched].max(initial=0.0) > errors[touched].max() / 8:
        return None
    ratios = [f(errors[touched]) / f(yardstick[touched]) for f in (_root_mean_square, np.median)]
    if min(ratios) <= 0 or max(ratios) > 2 * min(ratios):
        return None
    bits = round(YARDSTICK_BITS - float(np.log2(ratios[0])))
    return bits if bits >= 8 else None


def _root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))
