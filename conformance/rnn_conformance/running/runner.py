"""The runner: every adapter in processes of its own, cases in batches, results as they arrive.

A process that judges asks one that runs the adapter (`rnn_conformance.running.session`); so what an adapter does to its own process
costs its own case a verdict, and never the run.
"""

from __future__ import annotations

import multiprocessing
import platform
import queue
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from rnn_fixtures.case import Case

from rnn_conformance.contract.adapter import Description
from rnn_conformance.errors import AdapterNotInstalled, AdapterUnavailable, ConfigurationError
from rnn_conformance.judging import differences
from rnn_conformance.judging.bench import build_key, program_key
from rnn_conformance.results.database import Results, Run, new_run
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Limits, Session
from rnn_conformance.running.worker import Batch, describe, run_batch, start
from rnn_conformance.selection import compile_selection

BATCH = 48
# A process of ours that died, of which nothing is known, is replaced so many times.
REPLACED = 3
# After an interrupt, processes have so long to end by themselves.
END_LIMIT = 5.0


@dataclass(frozen=True)
class Options:
    """What a run does, apart from its adapters.

    Attributes
    ----------
    dtypes : sequence of str
        ``float32`` and so on; "all" stands for every dtype that the suite knows.
    timeout : float
        Seconds for one request to an adapter.
    memory : int
        Bytes that an adapter's process may take.
    """

    cases: Sequence[Case]
    tier: str
    selection: str
    shard: str
    dtypes: Sequence[str]
    device: str
    workers: int
    timeout: float
    data: Path
    fixtures: str
    resume: bool = False
    memory: int = Limits.memory


class Progress:
    """What a run tells whoever shows it; this one shows nothing. Called by the main thread alone."""

    def adapter_started(self, ref: AdapterRef, what: Description, total: int) -> None:
        """An adapter has started and will give ``total`` records."""

    def adapter_failed(self, ref: AdapterRef, reason: str) -> None:
        """An adapter cannot run."""

    def records(self, ref: AdapterRef, count: int) -> None:
        """So many more records of an adapter are on disk."""


@dataclass
class Outcome:
    """What came of a run."""

    runs: list[Run] = field(default_factory=list)
    unavailable: dict[str, AdapterUnavailable] = field(default_factory=dict)


def batches(cases: Iterable[Case], limit: int = BATCH) -> Iterator[list[Case]]:
    """Batches of at most about ``limit`` cases that never part cases that share a build, and seldom those that share a program."""
    batch: list[Case] = []
    for group in _together(cases, limit):
        if batch and len(batch) + len(group) > limit:
            yield batch
            batch = []
        batch += group
    if batch:
        yield batch


def _together(cases: Iterable[Case], limit: int) -> Iterator[list[Case]]:
    """Cases that share a program, one group after another; where these are more than ``limit``, those that share a build."""
    ordered = sorted(cases, key=lambda c: (str(program_key(c)), str(build_key(c)), c.id))
    for _, same in groupby(ordered, key=program_key):
        members = list(same)
        if len(members) <= limit:
            yield members
        else:
            yield from (list(group) for _, group in groupby(members, key=build_key))


@contextmanager
def judges(workers: int, stop: Any, limits: Limits) -> Iterator[ProcessPoolExecutor]:
    """Processes that judge, each with an adapter's process of its own; all of them are gone afterwards."""
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start, initargs=(stop, limits))
    try:
        yield pool
    finally:
        interrupted = stop.is_set()
        pool.shutdown(wait=not interrupted, cancel_futures=True)
        if interrupted:
            deadline = time.monotonic() + END_LIMIT
            for process in set(multiprocessing.active_children()) - before:
                process.join(max(0.0, deadline - time.monotonic()))
                process.kill()


def probe(ref: AdapterRef) -> Description:
    """Start an adapter in a process of its own and ask what it is.

    Raises
    ------
    AdapterUnavailable
        When it cannot start, with the reason.
    """
    with Session(ref) as session:
        return RemoteAdapter(session).describe()


@dataclass
class _Started:
    """An adapter says what it is; the answer is what there is to do, from which the lane takes off what is done."""

    ref: AdapterRef
    what: Description
    answer: queue.Queue[list[tuple[Run, list[Case]]]]


@dataclass
class _Records:
    """Some cases of a run are done."""

    ref: AdapterRef
    run: Run
    records: list[Record]
    spent: dict[str, float]


@dataclass
class _Finished:
    """All cases of a run are done."""

    run: Run


@dataclass
class _Left:
    """A lane has ended, with what stood in its way."""

    ref: AdapterRef
    error: BaseException | None


_Event = _Started | _Records | _Finished | _Left


class _AdapterRun:
    """All dtypes of one adapter, in its own processes; records go into the queue as they come."""

    def __init__(
        self, ref: AdapterRef, options: Options, workers: int, sink: queue.Queue[_Event], stop: Any
    ) -> None:
        self.ref, self.options, self.workers = ref, options, workers
        self._sink, self._stop = sink, stop

    def __call__(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._sink.put(_Left(self.ref, error))
        else:
            self._sink.put(_Left(self.ref, None))

    def _plan(self, what: Description) -> list[tuple[Run, list[Case]]]:
        """Ask the main thread, which owns the results."""
        answer: queue.Queue[list[tuple[Run, list[Case]]]] = queue.Queue()
        self._sink.put(_Started(self.ref, what, answer))
        while not self._stop.is_set():
            try:
                return answer.get(timeout=0.2)
            except queue.Empty:
                continue
        return []

    def _run(self) -> None:
        limits = Limits(self.options.timeout, self.options.memory)
        todo: list[tuple[Run, list[Case]]] | None = None
        what: Description | None = None
        for _ in range(REPLACED):
            with judges(self.workers, self._stop, limits) as pool:
                try:
                    if todo is None:
                        asked = time.monotonic()
                        what = pool.submit(describe, self.ref).result()
                        spent = {"starting": time.monotonic() - asked}
                        todo = self._plan(what)
                        for run, _ in todo[:1]:
                            self._sink.put(_Records(self.ref, run, [], spent))
                    while todo and not self._stop.is_set():
                        self._run_cases(pool, what, *todo[0])
                        if not self._stop.is_set():
                            self._sink.put(_Finished(todo.pop(0)[0]))
                    return
                except BrokenExecutor:  # what it had not handed over is done again
                    continue
        raise RuntimeError(f"processes that judge {self.ref.name!r} died {REPLACED} times")

    def _run_cases(
        self, pool: ProcessPoolExecutor, what: Description | None, run: Run, cases: list[Case]
    ) -> None:
        """Run the cases, and take those that are done off the list."""
        assert what is not None
        reason = _refusal(what, run.device, run.dtype)
        if reason is not None:
            self._sink.put(_Records(self.ref, run, [_unsupported(c, reason) for c in cases], {}))
            return
        waiting = list(batches(cases))[::-1]
        pending: set[Future[Batch]] = set()
        while (waiting or pending) and not self._stop.is_set():
            # One more than there are processes, so that none waits for work.
            while waiting and len(pending) <= self.workers:
                arguments = (self.ref, run.dtype, run.device, waiting.pop(), self.options.data)
                pending.add(pool.submit(run_batch, *arguments))
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                batch = future.result()
                self._sink.put(_Records(self.ref, run, batch.records, batch.spent))
                finished = {record.case for record in batch.records}
                cases[:] = [case for case in cases if case.id not in finished]
                if batch.rest:
                    waiting.append(batch.rest)


def _refusal(what: Description, device: str, dtype: str) -> str | None:
    if dtype not in what.dtypes:
        return f"the adapter does not offer {dtype}"
    return what.dtypes[dtype]


def _unsupported(case: Case, reason: str) -> Record:
    return Record.failure(case, "unsupported", reason, clause="SHAPE-7")


def _environment(what: Description) -> dict[str, object]:
    can = what.capabilities
    return {
        "capabilities": None if can is None else can.to_json(),
        "packages": dict(what.packages),
        "notes": list(what.notes),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
    }


def _plan(
    results: Results,
    ref: AdapterRef,
    what: Description,
    declared: Sequence[differences.Known],
    options: Options,
) -> list[tuple[Run, list[Case]]]:
    """The runs of an adapter, one per dtype, with the cases that are still to do."""
    plan = []
    matches = compile_selection(options.selection) if options.selection else lambda case, dtype: True
    for dtype in options.dtypes:
        cases = [c for c in options.cases if dtype in c.dtypes and matches(c, dtype)]
        run = new_run(
            fixtures=options.fixtures,
            tier=options.tier,
            selection=options.selection,
            shard=options.shard,
            adapter=ref.name,
            framework=what.framework,
            version=what.version,
            device=options.device,
            dtype=dtype,
            selected=len(cases),
            environment=_environment(what),
            declared=[dict(vars(known)) for known in declared],
        )
        earlier = results.resumable(run) if options.resume else None
        if earlier is None:
            results.start(run)
        else:
            done = results.done(earlier)
            run, cases = earlier, [c for c in cases if c.id not in done]
        plan.append((run, cases))
    return plan


def execute(refs: Sequence[AdapterRef], options: Options, results: Results, progress: Progress) -> Outcome:
    """Run the cases through the adapters; returns when all is done, or raises KeyboardInterrupt. Nothing is explained here.

    Records are committed to ``results`` batch by batch, by this thread alone.
    """
    outcome = Outcome()
    by_id = {c.id: c for c in options.cases}
    declared: dict[str, list[differences.Known]] = {}
    sink: queue.Queue[_Event] = queue.Queue()
    stop = multiprocessing.get_context("spawn").Event()
    lanes = min(options.workers, len(refs))
    tasks = [_AdapterRun(ref, options, max(1, options.workers // lanes), sink, stop) for ref in refs]
    with ThreadPoolExecutor(max_workers=lanes) as executor:
        try:
            for task in tasks:
                executor.submit(task)
            left = len(tasks)
            while left:
                match sink.get():
                    case _Started(ref, what, answer):
                        if options.device not in what.devices:
                            reason = AdapterNotInstalled(
                                f"adapter {ref.name!r} has no device {options.device!r}, only {', '.join(what.devices)}"
                            )
                            outcome.unavailable[ref.name] = reason
                            progress.adapter_failed(ref, str(reason))
                            answer.put([])
                            continue
                        declared[ref.name] = differences.load(ref.folder, ref.name, what, options.device)
                        plan = _plan(results, ref, what, declared[ref.name], options)
                        progress.adapter_started(ref, what, sum(len(cases) for _, cases in plan))
                        outcome.runs += [run for run, _ in plan]
                        answer.put(plan)
                    case _Finished(run):
                        results.finish(run)
                    case _Records(ref, run, records, spent):
                        for record in records:
                            differences.apply(record, by_id[record.case], run.dtype, declared[ref.name])
                        results.add(run, records, spent)
                        if records:
                            progress.records(ref, len(records))
                    case _Left(ref, AdapterUnavailable() as error):
                        left -= 1
                        outcome.unavailable[ref.name] = error
                        progress.adapter_failed(ref, str(error))
                    case _Left(ref, None):
                        left -= 1
                    case _Left(ref, error):
                        assert error is not None
                        raise error
        except BaseException:
            stop.set()
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    return outcome


def shard_of(cases: Sequence[Case], shard: str) -> list[Case]:
    """The cases of shard ``I/N``: whole builds, dealt in turn.

    Raises
    ------
    ConfigurationError
        Unless 1 <= I <= N.
    """
    index, slash, count = shard.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise ConfigurationError(f"--shard is I/N with 1 <= I <= N, got {shard!r}")
    dealt = list(batches(cases, limit=1))[int(index) - 1 :: int(count)]
    return [case for batch in dealt for case in batch]
