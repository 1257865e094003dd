"""What tables and pictures need of the results of one implementation: a few bytes of each, whatever their number, read once."""

from __future__ import annotations

import math
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from rnn_conformance.judging.precision_classes import sums
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.reporting.packed import CODES, code_of_z

_NAMES = {code: shown for shown, code in CODES.items()}


class Columns:
    """Results as columns, in the order of case ids.

    Attributes
    ----------
    ids : list of str
    codes, z : str
        A letter of each: of the verdict as it is shown (`CODES`), and of z (`code_of_z`).
    kind : array of int
        Of each the place in `kinds`: family and clauses, separated by spaces.
    reason : array of int
        Of each the place in `reasons`: why it is not supported; 0 for all others.
    faulty : mapping
        Place to the record of a discrepancy, a failure, or a stale declaration; whole but for its ``spread``.
    passed_z : array of float
        z of every result that passed and has one.
    seconds : float
        The framework's own time, of all.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self.ids: list[str] = []
        codes, zs = bytearray(), bytearray()
        kinds: dict[tuple[str, str], int] = {}
        reasons = {"": 0}
        self.kind, self.reason = array("I"), array("I")
        self.passed_z = array("d")
        self.faulty: dict[int, Mapping[str, Any]] = {}
        self._summed, self._sums = array("I"), array("d")
        self.largest_z_strict: float | None = None
        self.elements, self.seconds = 0, 0.0
        for place, record in enumerate(records):
            verdict, z = record["verdict"], record["z"]
            z = None if z is None else float(z)
            case = sys.intern(record["case"])  # which all implementations share
            self.ids.append(case)
            codes += CODES[shown(record)].encode()
            zs += code_of_z(z).encode()
            self.kind.append(kinds.setdefault((record["family"], " ".join(record["clauses"])), len(kinds)))
            message = record["message"] if verdict == "unsupported" else ""
            self.reason.append(reasons.setdefault(message, len(reasons)))
            self.elements += record["elements"]
            self.seconds += record["seconds"]
            if verdict == "pass":
                self._passed(place, z, record)
            elif verdict in FAULTY or verdict == "stale":
                self.faulty[place] = {name: value for name, value in record.items() if name != "spread"}
        self.codes, self.z = codes.decode(), zs.decode()
        self.kinds, self.reasons = list(kinds), list(reasons)

    def _passed(self, place: int, z: float | None, record: Mapping[str, Any]) -> None:
        if z is not None and math.isfinite(z):
            self.passed_z.append(z)
        strict = None if record["z_strict"] is None else float(record["z_strict"])
        if strict is not None and (self.largest_z_strict is None or strict > self.largest_z_strict):
            self.largest_z_strict = strict
        found = sums(record)
        if found is not None:
            self._summed.append(place)
            self._sums.extend(found)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def counts(self) -> Counter[str]:
        """How many results are shown as what."""
        return Counter({_NAMES[code]: count for code, count in Counter(self.codes).items()})

    @property
    def by_kind(self) -> Counter[tuple[tuple[str, str], str]]:
        """How many results of a family and set of clauses are shown as what."""
        found = Counter(zip(self.kind, self.codes, strict=True))
        return Counter({(self.kinds[kind], _NAMES[code]): count for (kind, code), count in found.items()})

    @property
    def sums(self) -> Iterator[tuple[str, Sequence[float]]]:
        """What `rnn_conformance.judging.precision_classes.spread` needs, of the results that it counts."""
        for k, place in enumerate(self._summed):
            yield self.ids[place], self._sums[4 * k : 4 * k + 4]

    @property
    def families(self) -> set[str]:
        return {family for family, _ in self.kinds}

    @property
    def timed(self) -> int:
        """How many cases the framework was asked to compute."""
        return len(self) - self.codes.count(CODES["unsupported"])

    @property
    def passing(self) -> Iterator[str]:
        """Ids of the cases that pass."""
        passed = {CODES["pass"], CODES["pass (composed)"]}
        return (case for case, code in zip(self.ids, self.codes, strict=True) if code in passed)

    def place(self, case: str) -> int | None:
        """Where a case is; None where it has no result."""
        k = bisect_left(self.ids, case)
        return k if k < len(self.ids) and self.ids[k] == case else None

    def shown(self, case: str) -> str | None:
        """As what the result of a case is shown; None where there is none."""
        k = self.place(case)
        return None if k is None else self.shown_at(k)

    def shown_at(self, place: int) -> str:
        """As what the result at a place is shown."""
        return _NAMES[self.codes[place]]


def shown(record: Mapping[str, Any]) -> str:
    """A record's verdict, known discrepancies apart from unexpected ones."""
    verdict: str = record["verdict"]
    if verdict == "pass" and record["mode"] == "composed":
        return "pass (composed)"
    return "known" if record["known"] and verdict != "stale" else verdict
