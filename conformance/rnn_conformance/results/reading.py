"""What readers of results work with: everything that is known of one implementation, from whatever runs and directories it came.

Runs of one adapter, framework version, device, dtype, settings and revision of the golden data are one *subject*: parts, shards, resumed and repeated runs
join, and of a case that was run more than once the newest record counts.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

from rnn_fixtures.case import TIERS

from rnn_conformance.results.database import FILE, Results
from rnn_conformance.results.run import Run

WHOLE = "1/1"


@dataclass(frozen=True)
class Part:
    """One run, and the directory that it is in."""

    folder: Path
    run: Run


class Subject:
    """One adapter, framework version, device, dtype, settings and revision of the golden data.

    Attributes
    ----------
    parts : sequence of Part
        Newest first.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = sorted(parts, key=lambda part: (part.run.started, part.run.id), reverse=True)
        self._damaged = 0

    @property
    def folder(self) -> Path:
        """The directory of the newest part."""
        return self.parts[0].folder

    @property
    def newest(self) -> Run:
        """The newest run, as it is stored: nothing else is read for it."""
        return self.parts[0].run

    @cached_property
    def run(self) -> Run:
        """The parts as one run: the newest, over all that any of them selected."""
        runs = [part.run for part in self.parts]
        tier = max((run.tier for run in runs), key=_size)
        shards = (
            WHOLE if any(run.shard == WHOLE for run in runs) else ", ".join(sorted({r.shard for r in runs}))
        )
        selections = {run.selection for run in runs}
        selection = "" if "" in selections else " or ".join(f"({s})" for s in sorted(selections))
        return replace(runs[0], tier=tier, shard=shards, selection=selection)

    def records(self) -> Iterator[dict[str, Any]]:
        """The newest record of every case, by case id, with the id of its run: read as they are asked for, and not kept."""
        self._damaged = 0
        last = None
        # Of one case the newest comes first: parts are the newest first, and merging keeps their order.
        for record in heapq.merge(*map(self._of, self.parts), key=itemgetter("case")):
            if record["case"] != last:
                last = record["case"]
                yield record

    def _of(self, part: Part) -> Iterator[dict[str, Any]]:
        with Results(part.folder) as results:
            for record in results.records(part.run):
                yield record | {"run": part.run.id}
            self._damaged += results.damaged

    @property
    def damaged(self) -> int:
        """How many records were left out because they are damaged, the last time that all were read."""
        return self._damaged

    @cached_property
    def missing(self) -> int:
        """Cases that interrupted runs selected and did not come to, unless another run was over all of them."""
        return sum(self._missing(part) for part in self.parts if not part.run.finished)

    def _missing(self, part: Part) -> int:
        run = part.run
        for other in (p.run for p in self.parts):
            same = (other.tier, other.selection, other.shard) == (run.tier, run.selection, run.shard)
            wider = not other.selection and other.shard == WHOLE and _size(other.tier) >= _size(run.tier)
            newer = (other.started, other.id) > (run.started, run.id)
            if (same and newer) or (wider and other.finished):
                return 0
        with Results(part.folder) as results:
            return max(0, run.selected - results.count(run))

    @property
    def spent(self) -> Counter[str]:
        """Seconds by what took them, all parts together."""
        total: Counter[str] = Counter()
        for part in self.parts:
            total.update(part.run.spent)
        return total

    @property
    def declared(self) -> dict[str, dict[str, str]]:
        """The known differences that were declared when it ran, by id."""
        return {
            str(entry["id"]): {name: str(value) for name, value in entry.items()}
            for part in reversed(self.parts)
            for entry in part.run.declared
            if isinstance(entry, dict) and "id" in entry
        }


def _size(tier: str) -> int:
    return TIERS.index(tier) if tier in TIERS else len(TIERS)


def directories(folder: Path) -> list[Path]:
    """The folder itself when it holds results, else its sub-folders that do."""
    if (folder / FILE).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{FILE}")) or [folder]


def collect(folders: Sequence[Path]) -> list[Subject]:
    """Every subject of some directories, or folders of such; of each only the newest revision of the golden data."""
    return [Subject(parts) for parts in _newest(list(parts_of(folders)))]


def parts_of(folders: Sequence[Path]) -> Iterator[Part]:
    """Every run of some directories, or folders of such."""
    for folder in dict.fromkeys(found for given in folders for found in directories(given)):
        with Results(folder) as results:
            yield from (Part(folder, run) for run in results.runs())


def _newest(parts: list[Part]) -> list[list[Part]]:
    subjects: dict[tuple[str, ...], list[Part]] = {}
    for part in parts:
        run = part.run
        subjects.setdefault((*run.line, run.version), []).append(part)
    found = []
    for _, own in sorted(subjects.items()):
        revision = max(own, key=lambda part: part.run.started).run.fixtures
        found.append([part for part in own if part.run.fixtures == revision])
    return found
