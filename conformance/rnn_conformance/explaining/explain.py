"""Explaining discrepancies after a run, from what is stored: the records, and what the implementation returned.

Which are explained, and what is found, hangs on the records alone: not on the order in which they came, nor on who explains them.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store

from rnn_conformance.cases import Cases
from rnn_conformance.explaining.diagnosis import Diagnosis
from rnn_conformance.judging.families.outcome import Outcome
from rnn_conformance.judging.verdict import DISCREPANCIES, Verdict
from rnn_conformance.results.database import Results
from rnn_conformance.results.queries import Discrepancy
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import Run
from rnn_conformance.running.pools import judges
from rnn_conformance.running.session import Limits

# A diagnosis takes several times as long as a case: so many of each declared difference, and of all others together, are made for a run.
SAMPLE, MOST = 4, 1000
# Few are not worth a process; many are handed over so many at a time.
FEW, PART = 4, 3


@dataclass(frozen=True)
class Task:
    """A discrepancy to be explained.

    Attributes
    ----------
    data : Path
        The folder of golden data that holds the case.
    pairs : bool
        Whether pairs of variants are tried too: where nobody has declared the difference.
    """

    case: Case
    data: Path
    verdict: str
    message: str
    returned: Sequence[np.ndarray]
    pairs: bool


Found = tuple[str, list[str], str]


def explained(record: Record, case: Case, diagnosis: Diagnosis, *, pairs: bool = True) -> Record:
    """A record with the variants that its discrepancy agrees with; others as they are."""
    if record.verdict in DISCREPANCIES:
        task = Task(case, Path(), record.verdict, record.message, record.returned, pairs)
        _, record.agrees_with, observation = _explained(diagnosis, task)
        record.diagnosed = True
        record.message = "; ".join(filter(None, (record.message, observation)))
    return record


def tasks(results: Results, run: Run, cases: Cases) -> list[Task]:
    """The discrepancies of a run that are to be explained and are not yet."""
    found = list(results.discrepancies(run))
    found.sort(key=lambda d: (not _is_smoke(cases, d.case), hashlib.sha256(d.case.encode()).digest()))
    taken: Counter[str | None] = Counter()
    chosen: list[Discrepancy] = []
    for one in found:
        taken[one.known] += 1
        if taken[one.known] <= (MOST if one.known is None else SAMPLE) and not one.diagnosed:
            chosen.append(one)
    # Cases of the full tier are computed part by part; their ids begin with what parts agree in.
    chosen.sort(key=lambda d: (d.case not in cases.stored, d.case))
    return [
        Task(
            cases[one.case],
            cases.store_of(one.case).folder,
            one.verdict,
            one.message,
            results.returned(run, one.case),
            pairs=one.known is None,
        )
        for one in chosen
        if one.case in cases
    ]


def _is_smoke(cases: Cases, name: str) -> bool:
    case = cases.stored.get(name)
    return case is not None and case.tier == "smoke"


def explain(results: Results, run: Run, cases: Cases, workers: int, told: Callable[[int], None]) -> None:
    """Explain the discrepancies of a run, and keep what is found.

    Parameters
    ----------
    told : function
        Called with the number of those done meanwhile.
    """
    left = tasks(results, run, cases)
    if len(left) <= FEW:
        _keep(results, run, [_part(run.dtype, left)] if left else [], told)
        return
    stop = multiprocessing.get_context("spawn").Event()
    with judges(min(workers, len(left) // FEW), stop, Limits()) as pool:
        try:
            parts = [left[k : k + PART] for k in range(0, len(left), PART)]
            futures = [pool.submit(_part, run.dtype, part) for part in parts]
            _keep(results, run, (future.result() for future in futures), told)
        except BaseException:
            stop.set()
            raise


def _keep(
    results: Results, run: Run, parts: Iterable[tuple[list[Found], float]], told: Callable[[int], None]
) -> None:
    for found, seconds in parts:
        results.explain(run, found, {"explaining": seconds})
        told(len(found))


@lru_cache(maxsize=2)
def _diagnosis(data: Path, dtype: str) -> Diagnosis:
    return Diagnosis(Store(data, check=False), dtype)


def _part(dtype: str, left: Sequence[Task]) -> tuple[list[Found], float]:
    started = time.monotonic()
    found = [_explained(_diagnosis(task.data, dtype), task) for task in left]
    return found, time.monotonic() - started


def _explained(diagnosis: Diagnosis, task: Task) -> Found:
    # A second run gave other numbers than those that are kept; the first was wrong in value.
    first: Any = "value" if task.verdict == "nondeterministic" else task.verdict
    outcome = Outcome(Verdict(first, message=task.message), arrays=task.returned)
    names = diagnosis.agrees_with(task.case, outcome, task.verdict, pairs=task.pairs)
    return task.case.id, names, diagnosis.observation(task.case, outcome)
