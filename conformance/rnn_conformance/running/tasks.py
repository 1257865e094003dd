"""What a process that judges is given to do: some stored cases, or a part of the full tier, which it computes first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

from rnn_fixtures.case import Case
from rnn_fixtures.domain import domain, spell
from rnn_fixtures.full.parts import Part, members, parts
from rnn_fixtures.store import Arrays, Store

from rnn_conformance.contract.adapter import Unsupported
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.judging.bench import build_key, program_key
from rnn_conformance.selection import compile_selection, may_match

BATCH = 48

# Raises `Unsupported` for a case that an adapter cannot express.
Ask = Callable[[Case], None]


@dataclass(frozen=True)
class Work:
    """Cases to run, with where their arrays are, and those that an adapter cannot express, with the reason."""

    cases: Sequence[Case] = ()
    arrays: Arrays | None = None
    unsupported: Sequence[tuple[Case, Unsupported]] = ()


@dataclass(frozen=True)
class StoredTask:
    """Cases of the stored golden data."""

    cases: Sequence[Case]
    data: Path

    def work(self, dtype: str, ask: Ask) -> Work:
        """The cases; whether an adapter can express one it is asked when it builds."""
        return Work(self.cases, _store(self.data))

    def without(self, done: Collection[str]) -> StoredTask | None:
        """What is left."""
        left = [case for case in self.cases if case.id not in done]
        return replace(self, cases=left) if left else None


@dataclass(frozen=True)
class PartTask:
    """The cases of a part of the full tier that a selection matches.

    Attributes
    ----------
    done : frozenset of str
        Ids of those that are not to be run.
    """

    part: Part
    data: Path
    selection: str = ""
    done: frozenset[str] = field(default=frozenset(), repr=False)

    def work(self, dtype: str, ask: Ask) -> Work:
        """Golden data is computed only where the adapter can express some case of the part.

        Raises
        ------
        DataError
            When it cannot be computed.
        """
        from rnn_fixtures.full import cache as kept
        from rnn_fixtures.full import computing, index

        known = index.read(self.data)
        wanted = set(self._ids(dtype))
        if not wanted:
            return Work()
        if not kept.is_there(kept.folder_of(domain(), self.part, known)):
            sketched = [c for c in computing.sketched(domain(), self.part, known) if c.id in wanted]
            refused = [(case, reason) for case in sketched if (reason := _refused(ask, case)) is not None]
            if len(refused) == len(sketched):
                return Work(unsupported=refused)
        store = _part(self.part, self.data)
        return Work(together([c for c in store.cases() if c.id in wanted]), store)

    def _ids(self, dtype: str) -> Iterator[str]:
        return (name for name in ids(self.part, self.data, dtype, self.selection) if name not in self.done)

    def without(self, done: Collection[str]) -> PartTask | None:
        """What is left."""
        return replace(self, done=self.done | frozenset(done))


def _refused(ask: Ask, case: Case) -> Unsupported | None:
    try:
        ask(case)
    except Unsupported as reason:
        return reason
    return None


Task = StoredTask | PartTask


def ids(part: Part, data: Path, dtype: str, selection: str = "") -> Iterator[str]:
    """Ids of the cases of a part that have numbers, can be compared in a dtype, and are selected."""
    from rnn_fixtures.full import computing, index

    known = index.read(data)
    matches = compile_selection(selection) if selection else None
    for _, planned, entry in computing.served(domain(), part, known):
        if dtype in entry.dtypes:
            for one in planned:
                if matches is None or matches(one.to_case(domain(), part.family, dtypes=entry.dtypes), dtype):
                    yield one.id


def full_cases(data: Path, selection: str = "") -> Iterator[Case]:
    """The cases of the full tier beyond the stored ones that are selected in some dtype, without their arrays."""
    from rnn_fixtures.full import computing, index

    known = index.read(data)
    matches = compile_selection(selection) if selection else lambda case, dtype: True
    for part in Shard().parts(selection):
        for _, planned, entry in computing.served(domain(), part, known):
            for one in planned:
                case = one.to_case(domain(), part.family, dtypes=entry.dtypes)
                if any(matches(case, dtype) for dtype in entry.dtypes):
                    yield case


@cache
def _store(data: Path) -> Store:
    return Store(data, check=False)  # the parent process has checked the digests


@lru_cache(maxsize=2)
def _part(part: Part, data: Path) -> Store:
    from rnn_fixtures.full import cache as kept

    return kept.opened(domain(), part, data)


def together(cases: Iterable[Case]) -> list[Case]:
    """Cases in the order in which those that share a program, and a build, follow each other."""
    return sorted(cases, key=lambda c: (str(program_key(c)), str(build_key(c)), c.id))


def batches(cases: Iterable[Case], limit: int = BATCH) -> Iterator[list[Case]]:
    """Batches of at most about ``limit`` cases that never part cases that share a build, and seldom those that share a program."""
    batch: list[Case] = []
    for group in _groups(cases, limit):
        if batch and len(batch) + len(group) > limit:
            yield batch
            batch = []
        batch += group
    if batch:
        yield batch


def _groups(cases: Iterable[Case], limit: int) -> Iterator[list[Case]]:
    """Cases that share a program, one group after another; where these are more than ``limit``, those that share a build."""
    for _, same in groupby(together(cases), key=program_key):
        members_ = list(same)
        if len(members_) <= limit:
            yield members_
        else:
            yield from (list(group) for _, group in groupby(members_, key=build_key))


@dataclass(frozen=True)
class Shard:
    """The I-th of N parts of the work: whole builds, and whole parts of the full tier, dealt in turn."""

    number: int = 1
    count: int = 1

    @classmethod
    def of(cls, text: str) -> Shard:
        """``I/N``.

        Raises
        ------
        ConfigurationError
            Unless 1 <= I <= N.
        """
        index, slash, count = text.partition("/")
        if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
            raise ConfigurationError(f"--shard is I/N with 1 <= I <= N, got {text!r}")
        return cls(int(index), int(count))

    def cases(self, cases: Sequence[Case]) -> list[Case]:
        """Those of the stored cases that belong to it."""
        dealt = list(batches(cases, limit=1))[self.number - 1 :: self.count]
        return [case for batch in dealt for case in batch]

    def parts(self, selection: str = "") -> Iterator[Part]:
        """Those of the parts of the full tier that belong to it and may hold a case that is selected."""
        for place, part in enumerate(parts(domain())):
            if place % self.count == self.number - 1 and may_match(selection, _known(part)):
                yield part


def _known(part: Part) -> dict[str, str]:
    """What a selection may ask for, and all cases of a part agree in."""
    levels = {name: spell(level) for name, level in part.levels}
    return levels | {"family": part.family, "layer": part.layer, "tier": "full"}


def full_count(shard: Shard, data: Path, dtypes: Sequence[str], selection: str) -> dict[str, int]:
    """How many cases of the full tier beyond the stored ones there are in each dtype, a part at a time."""
    found = dict.fromkeys(dtypes, 0)
    for part in shard.parts(selection):
        for dtype in dtypes:
            found[dtype] += sum(1 for _ in ids(part, data, dtype, selection))
    return found


def tasks(
    stored: Sequence[Case],
    data: Path,
    full: Iterable[Part],
    selection: str,
    done: Collection[int],
) -> Iterator[Task]:
    """The tasks of a run, made as they are asked for: stored cases first.

    Parameters
    ----------
    done : collection of int
        Hashes of the ids that are not to be run again.
    """
    yield from (StoredTask(batch, data) for batch in batches(stored))
    for part in full:
        earlier = (
            frozenset(p.id for p in members(domain(), part) if hash(p.id) in done) if done else frozenset()
        )
        yield PartTask(part, data, selection, earlier)
