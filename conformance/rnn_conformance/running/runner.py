"""The runner: every adapter in processes of its own, cases in batches, results as they arrive.

A process that judges asks one that runs the adapter (`rnn_conformance.running.session`); so what an adapter does to its own process
costs its own case a verdict, and never the run.
"""

from __future__ import annotations

import multiprocessing
import platform
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rnn_fixtures.case import Case
from rnn_fixtures.full import index
from rnn_fixtures.store import Store

from rnn_conformance.contract.adapter import Description
from rnn_conformance.errors import AdapterNotInstalled, AdapterUnavailable
from rnn_conformance.judging import differences
from rnn_conformance.results.database import Results
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import Run, new_run
from rnn_conformance.running import cluster as clusters
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.cluster import Cluster
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Limits, Session
from rnn_conformance.running.tasks import Shard, Task, ids, tasks
from rnn_conformance.running.worker import Batch, describe, run_batch, start
from rnn_conformance.selection import compile_selection

# A process of ours that died, of which nothing is known, is replaced so many times.
REPLACED = 3
# Tasks whose workers on a cluster were killed are handed out again, so many times in a run.
GIVEN_UP = 20
# After an interrupt, processes have so long to end by themselves.
END_LIMIT = 5.0


@dataclass(frozen=True)
class Options:
    """What a run does, apart from its adapters.

    Attributes
    ----------
    cases : sequence of Case
        Those of the stored tiers.
    dtypes : sequence of str
        ``float32`` and so on; "all" stands for every dtype that the suite knows.
    full : mapping, optional
        How many cases of the full tier there are beyond the stored ones, in each dtype; None where that tier is not asked for.
    cluster : Cluster, optional
        Whose workers do the work, instead of processes of this machine.
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
    full: Mapping[str, int] | None = None
    cluster: Cluster | None = None


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
class _Job:
    """A run, and what there is to do for it.

    Attributes
    ----------
    lost : list of Task
        Those that were handed to a process that died.
    """

    run: Run
    tasks: Iterator[Task]
    declared: Sequence[differences.Known]
    lost: list[Task] = field(default_factory=list)
    given_up: int = 0


@dataclass
class _Pool:
    """Processes that judge, and how many there are."""

    executor: Executor
    width: int

    def describe(self, ref: AdapterRef) -> Description:
        return self.executor.submit(describe, ref).result()

    def run(self, *arguments: Any) -> Future[Batch]:
        return self.executor.submit(run_batch, *arguments)

    def gave_up(self, future: Future[Batch]) -> bool:
        """Whether a task is to be handed out again."""
        return False


@dataclass
class _OnCluster(_Pool):
    """Workers of a cluster."""

    limits: Limits
    expected: clusters.Expected

    def describe(self, ref: AdapterRef) -> Description:
        what = self.executor.submit(clusters.describe, ref, self.limits, self.expected).result()
        self.expected = replace(self.expected, framework=what.framework, version=what.version)
        return what

    def run(self, *arguments: Any) -> Future[Batch]:
        action: Callable[..., Batch] = clusters.run_batch
        return self.executor.submit(action, *arguments, self.limits, self.expected)

    def gave_up(self, future: Future[Batch]) -> bool:
        error = future.exception()
        return error is not None and clusters.gave_up(error)


@dataclass
class _Started:
    """An adapter says what it is; the answer is what there is to do."""

    ref: AdapterRef
    what: Description
    answer: queue.Queue[list[_Job]]


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

    def _plan(self, what: Description) -> list[_Job]:
        """Ask the main thread, which owns the results."""
        answer: queue.Queue[list[_Job]] = queue.Queue()
        self._sink.put(_Started(self.ref, what, answer))
        while not self._stop.is_set():
            try:
                return answer.get(timeout=0.2)
            except queue.Empty:
                continue
        return []

    @contextmanager
    def _pool(self) -> Iterator[_Pool]:
        limits = Limits(self.options.timeout, self.options.memory)
        if self.options.cluster is None:
            with judges(self.workers, self._stop, limits) as executor:
                yield _Pool(executor, self.workers)
            return
        store = Store(self.options.data, check=False)
        full = "" if self.options.full is None else index.read(self.options.data).digest
        expected = clusters.Expected(store.digest, full)
        with clusters.workers(self.options.cluster) as (executor, width):
            yield _OnCluster(executor, max(1, width * self.workers // self.options.workers), limits, expected)

    def _run(self) -> None:
        todo: list[_Job] | None = None
        what: Description | None = None
        for _ in range(REPLACED):
            with self._pool() as pool:
                try:
                    if todo is None:
                        asked = time.monotonic()
                        what = pool.describe(self.ref)
                        spent = {"starting": time.monotonic() - asked}
                        todo = self._plan(what)
                        for job in todo[:1]:
                            self._sink.put(_Records(self.ref, job.run, [], spent))
                    while todo and not self._stop.is_set():
                        self._run_job(pool, what, todo[0])
                        if not self._stop.is_set():
                            self._sink.put(_Finished(todo.pop(0).run))
                    return
                except BrokenExecutor:  # what it had not handed over is done again
                    continue
        raise RuntimeError(f"processes that judge {self.ref.label!r} died {REPLACED} times")

    def _run_job(self, pool: _Pool, what: Description | None, job: _Job) -> None:
        assert what is not None
        run = job.run
        refusal = _refusal(what, run.dtype)
        pending: dict[Future[Batch], Task] = {}
        try:
            while not self._stop.is_set():
                # One more than there are processes, so that none waits for work.
                while len(pending) <= pool.width:
                    task = job.lost.pop() if job.lost else next(job.tasks, None)
                    if task is None:
                        break
                    pending[pool.run(self.ref, run.dtype, run.device, task, job.declared, refusal)] = task
                if not pending:
                    return
                done, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    if pool.gave_up(future):
                        job.given_up += 1
                        if job.given_up > GIVEN_UP:
                            raise RuntimeError(
                                f"workers of the cluster were killed again and again: {future.exception()}"
                            )
                        job.lost.append(pending.pop(future))
                        continue
                    batch = future.result()
                    self._sink.put(_Records(self.ref, run, batch.records, batch.spent))
                    del pending[future]
                    if batch.rest is not None:
                        job.lost.append(batch.rest)
        except BrokenExecutor:
            job.lost += pending.values()
            raise


def _refusal(what: Description, dtype: str) -> str | None:
    if dtype not in what.dtypes:
        return f"the adapter does not offer {dtype}"
    return what.dtypes[dtype]


def _environment(what: Description) -> dict[str, object]:
    can = what.capabilities
    return {
        "capabilities": None if can is None else can.to_json(),
        "packages": dict(what.packages),
        "notes": list(what.notes),
        "settings": dict(what.settings),
        "changed": sorted(name for name, value in what.settings.items() if value != what.offered[name][0]),
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
) -> tuple[list[_Job], int]:
    """The runs of an adapter, one per dtype, with what is still to do, and how many records that will give."""
    plan, total = [], 0
    matches = compile_selection(options.selection) if options.selection else lambda case, dtype: True
    full = options.full or {}
    shard = Shard.of(options.shard)
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
            selected=len(cases) + full.get(dtype, 0),
            environment=_environment(what),
            declared=[dict(vars(known)) for known in declared],
        )
        done: frozenset[int] = frozenset()
        if not options.resume:
            results.start(run)
        else:
            earlier = results.resumable(run)
            if earlier is None:
                results.start(run, _ids(cases, shard, options, dtype))
            run = earlier or run
            done = frozenset(map(hash, results.done(run)))
            cases = [c for c in cases if hash(c.id) not in done]
        total += run.selected - len(done)
        left = tasks(
            cases,
            options.data,
            shard.parts(options.selection) if full.get(dtype) else (),
            options.selection,
            done,
        )
        plan.append(_Job(run, left, declared))
    return plan, total


def _ids(cases: Sequence[Case], shard: Shard, options: Options, dtype: str) -> Iterator[str]:
    """Of all cases that a run selects."""
    yield from (case.id for case in cases)
    if (options.full or {}).get(dtype):
        for part in shard.parts(options.selection):
            yield from ids(part, options.data, dtype, options.selection)


def execute(refs: Sequence[AdapterRef], options: Options, results: Results, progress: Progress) -> Outcome:
    """Run the cases through the adapters; returns when all is done, or raises KeyboardInterrupt. Nothing is explained here.

    Records are committed to ``results`` batch by batch, by this thread alone.
    """
    outcome = Outcome()
    sink: queue.Queue[_Event] = queue.Queue()
    stop = multiprocessing.get_context("spawn").Event()
    lanes = min(options.workers, len(refs))
    adapters = [_AdapterRun(ref, options, max(1, options.workers // lanes), sink, stop) for ref in refs]
    with ThreadPoolExecutor(max_workers=lanes) as executor:
        try:
            for one in adapters:
                executor.submit(one)
            left = len(adapters)
            while left:
                match sink.get():
                    case _Started(ref, what, answer):
                        if options.device not in what.devices:
                            reason = AdapterNotInstalled(
                                f"adapter {ref.name!r} has no device {options.device!r}, only {', '.join(what.devices)}"
                            )
                            outcome.unavailable[ref.label] = reason
                            progress.adapter_failed(ref, str(reason))
                            answer.put([])
                            continue
                        declared = differences.load(ref.folder, ref.name, what, options.device)
                        plan, total = _plan(results, ref, what, declared, options)
                        progress.adapter_started(ref, what, total)
                        outcome.runs += [job.run for job in plan]
                        answer.put(plan)
                    case _Finished(run):
                        results.finish(run)
                    case _Records(ref, run, records, spent):
                        results.add(run, records, spent)
                        if records:
                            progress.records(ref, len(records))
                    case _Left(ref, AdapterUnavailable() as error):
                        left -= 1
                        outcome.unavailable[ref.label] = error
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
