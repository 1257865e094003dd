"""Which levels of arguments a discrepancy takes: what the cases that show it share, and no case that passes has.

Core holds every combination of three levels, so that what two or three levels provoke together is told apart from what they do alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.domain import spell

# Of the cases with a combination, those that may pass all the same: a difference may be too small to show.
MAY_PASS = 0.02
# Fewer cases, or fewer than the combination has terms, would fit some combination by chance.
FEWEST = 2
MOST = 4


@dataclass(frozen=True)
class Provocation:
    """A combination of levels, how many cases of a discrepancy have it, and how many cases have it and pass.

    Attributes
    ----------
    select : str
        The same as ``run --select`` takes it.
    """

    terms: tuple[str, ...]
    failing: int
    passing: int
    select: str = ""

    def __str__(self) -> str:
        share = f"{self.failing} of {self.failing + self.passing} such cases"
        return f"{', '.join(self.terms) or 'any arguments'} ({share})"


@dataclass(frozen=True)
class Cause:
    """Discrepancies of one run that seem to have one cause, and what it takes.

    Attributes
    ----------
    name : str
        Id of the declared difference, or else the variant that the results agree with, or else the verdict.
    cases : tuple of str
    """

    name: str
    known: bool
    cases: tuple[str, ...]
    takes: tuple[Provocation, ...]

    @property
    def taken(self) -> str:
        """What it takes, in words."""
        found = "; ".join(str(p) for p in self.takes)
        return f"takes {found}" if found else "no combination of arguments tells it from cases that pass"


def cause_of(record: Mapping[str, Any]) -> str:
    """The `Cause.name` of a record."""
    found: str = record["known"] or (record["agrees_with"] or [record["verdict"]])[0]
    return found


def causes(
    faulty: Iterable[Mapping[str, Any]], passed: Iterable[str], cases: Mapping[str, Case]
) -> list[Cause]:
    """The causes behind discrepancies and failures of a run, those with most cases first.

    Parameters
    ----------
    faulty : iterable of mapping
        Their records, as `rnn_conformance.results.record.Record.to_json` gives them.
    passed : iterable of str
        Ids of the cases that pass.
    cases : mapping
        Those that are looked at: of others nothing is told.
    """
    failing: dict[tuple[str, bool], list[int]] = {}
    found: list[Case] = []
    for record in faulty:
        if record["case"] in cases:
            failing.setdefault((cause_of(record), record["known"] is not None), []).append(len(found))
            found.append(cases[record["case"]])
    first = len(found)
    found += [cases[name] for name in passed if name in cases] if failing else []
    passing = range(first, len(found))
    levels = _Levels(found)
    return [
        Cause(name, known, tuple(found[k].id for k in own), tuple(_provocations(levels, own, passing)))
        for (name, known), own in sorted(failing.items(), key=lambda item: -len(item[1]))
    ]


def provocations(failing: Sequence[Case], passing: Sequence[Case], most: int = MOST) -> list[Provocation]:
    """Smallest combinations that the failing cases have and the passing ones lack; those that explain most cases first.

    Returns fewer than it takes to cover all failing cases where no combination tells the rest from passing cases, or where too
    few are left to tell.
    """
    count = len(failing)
    return _provocations(
        _Levels([*failing, *passing]), range(count), range(count, count + len(passing)), most
    )


def _provocations(
    levels: _Levels, failing: Sequence[int], passing: Sequence[int], most: int = MOST
) -> list[Provocation]:
    table = _Table(levels, [*failing, *passing])
    left = bad = (1 << len(failing)) - 1
    found: list[Provocation] = []
    while left and len(found) < most:
        terms = _best(table, bad, left)
        if terms is None:
            break
        matching = table.matching(terms)
        shown = matching & bad
        found.append(
            Provocation(
                table.spelled(terms, shown),
                shown.bit_count(),
                (matching & ~bad).bit_count(),
                table.selection(terms, shown),
            )
        )
        left &= ~matching
    return found


class _Levels:
    """The levels of all arguments of some cases, as columns of numbers; 0 where a case has no such argument."""

    def __init__(self, cases: Sequence[Case]) -> None:
        names: dict[str, dict[Any, int]] = {}
        columns: dict[str, np.ndarray] = {}
        self.texts: dict[str, list[str]] = {}
        for place, case in enumerate(cases):
            for name, level in (("layer", case.layer), *case.arguments.items()):
                if name not in names:
                    names[name], self.texts[name] = {}, [""]
                    columns[name] = np.zeros(len(cases), np.int32)
                key = (type(level), level)
                number = names[name].get(key)
                if number is None:
                    text = spell(level)
                    if text not in self.texts[name]:
                        self.texts[name].append(text)
                    number = names[name][key] = self.texts[name].index(text)
                columns[name][place] = number
        self.columns = columns


class _Table:
    """Cases by terms: a level that a case has, or one of several levels that it does not have.

    A set of cases is an integer, with one bit for each: hundreds of thousands of them are intersected and counted.
    """

    def __init__(self, levels: _Levels, places: Sequence[int]) -> None:
        self._terms: list[tuple[str, str, bool]] = []
        self.having: list[int] = []
        self._all = (1 << len(places)) - 1
        columns = {name: column[places] for name, column in levels.columns.items()}
        present = {name: int(np.argmax(own != 0)) for name, own in columns.items() if own.any()}
        for name in sorted(present, key=lambda name: present[name]):
            own, texts = columns[name], levels.texts[name]
            found = [number for number in np.unique(own).tolist() if number]
            for number in sorted(found, key=lambda number: texts[number]):
                self._terms.append((name, texts[number], True))
                self.having.append(_bits(own == number))
                if len(found) > 2:
                    self._terms.append((name, texts[number], False))
                    self.having.append(_bits((own != number) & (own != 0)))

    def matching(self, terms: Sequence[int]) -> int:
        """Which cases have all the terms."""
        found = self._all
        for k in terms:
            found &= self.having[k]
        return found

    def shared(self, cases: int) -> list[int]:
        """The terms that all of these cases have."""
        return [k for k, having in enumerate(self.having) if having & cases == cases]

    def droppable_first(self, terms: Sequence[int]) -> list[int]:
        """In the order in which one would rather do without: what a case lacks, what is off, what is on."""

        def weight(k: int) -> tuple[int, int]:
            name, level, has = self._terms[k]
            return (2 if not has else 1 if level in ("false", "none") or name == "size" else 0, k)

        return sorted(terms, key=weight, reverse=True)

    def selection(self, terms: Sequence[int], shown: int) -> str:
        """Terms as ``--select`` takes them; what an argument is not, by what it is in the cases shown, where that is shorter."""
        texts, lacked = [], self._lacked(terms)
        for name, level, has in (self._terms[k] for k in sorted(terms)):
            if has:
                texts.append(f"{name}={level}")
        for name, levels in lacked.items():
            own = self._levels(name, shown)
            if len(own) < len(levels):
                either = " or ".join(f"{name}={level}" for level in own)
                texts.append(f"({either})" if len(own) > 1 else either)
            else:
                texts.append(" and ".join([f"{name}=*", *(f"not {name}={level}" for level in levels)]))
        return " and ".join(texts)

    def _lacked(self, terms: Sequence[int]) -> dict[str, list[str]]:
        """Of the terms that say what an argument is not: argument to levels."""
        lacked: dict[str, list[str]] = {}
        for name, level, has in (self._terms[k] for k in sorted(terms)):
            if not has:
                lacked.setdefault(name, []).append(level)
        return lacked

    def _levels(self, name: str, cases: int) -> list[str]:
        """The levels of an argument that some of these cases have."""
        return [
            level
            for k, (other, level, has) in enumerate(self._terms)
            if other == name and has and self.having[k] & cases
        ]

    def spelled(self, terms: Sequence[int], shown: int) -> tuple[str, ...]:
        """Terms as the ids of cases write them; what an argument is not, by what it is in the cases shown, where that is shorter."""
        texts = []
        for name, level, has in (self._terms[k] for k in sorted(terms)):
            if has:
                plain = name if level == "true" else f"not {name}"
                texts.append(plain if level in ("true", "false") else f"{name}={level}")
        for name, levels in self._lacked(terms).items():
            own = self._levels(name, shown)
            short = len(own) < len(levels)
            texts.append(f"{name}={'|'.join(own)}" if short else f"{name} not {'|'.join(levels)}")
        return tuple(texts)


def _bits(chosen: np.ndarray) -> int:
    """Booleans [n] as the bits of an integer, the first the lowest."""
    return int.from_bytes(np.packbits(chosen, bitorder="little").tobytes(), "little")


def _best(table: _Table, bad: int, left: int) -> list[int] | None:
    """The shortest combination that tells most of the cases left from those that pass."""

    def tells(terms: Sequence[int]) -> bool:
        matching = table.matching(terms)
        return (matching & ~bad).bit_count() <= MAY_PASS * (matching & bad).bit_count()

    candidates = dict.fromkeys([left, *(left & having for having in table.having)])  # each set once
    for candidate in sorted(filter(None, candidates), key=lambda c: -c.bit_count()):
        terms = table.shared(candidate)
        if tells(terms):
            for term in table.droppable_first(terms):
                fewer = [k for k in terms if k != term]
                if tells(fewer):
                    terms = fewer
            if (table.matching(terms) & bad).bit_count() >= max(FEWEST, len(terms)):
                return terms
    return None
