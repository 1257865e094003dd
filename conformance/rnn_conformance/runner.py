"""The runner: every adapter in worker processes of its own, cases in batches, results as they arrive.

Workers keep a journal of finished cases. When a crash or a hang ends a worker, what it finished counts, the
case it was at gets the verdict ``crash`` or ``timeout``, and a fresh worker goes on with the rest.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import platform
import queue
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from pebble import ProcessExpired, ProcessPool
from rnn_fixtures.case import Case

from rnn_conformance import known
from rnn_conformance.adapters.base import Description
from rnn_conformance.bench import build_key, program_key
from rnn_conformance.errors import AdapterNotInstalled, AdapterUnavailable, ConfigurationError
from rnn_conformance.record import Record
from rnn_conformance.results import Results, Run, new_run
from rnn_conformance.selection import compile_selection
from rnn_conformance.worker import AdapterRef, describe, read_journal, run_batch, start

BATCH = 48
START_LIMIT = 300.0
BEGIN_LIMIT = 20.0


@dataclass(frozen=True)
class Options:
    """What a run does, apart from its adapters.

    Attributes
    ----------
    dtypes : sequence of str
        ``float32`` and so on; "all" stands for every dtype that the suite knows.
    timeout : float
        Seconds for one case.
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


def pool_of(workers: int, ref: AdapterRef, marks: Path | None = None) -> ProcessPool:
    """Processes in which one adapter has started."""
    # Set before the workers start: numerical libraries read these when they are loaded.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    context = multiprocessing.get_context("spawn")
    return ProcessPool(max_workers=workers, initializer=start, initargs=[ref, marks], context=context)


def probe(ref: AdapterRef) -> Description:
    """Start an adapter in a process of its own and ask what it is.

    Raises
    ------
    AdapterUnavailable
        When it cannot start, with the reason.
    """
    with pool_of(1, ref) as pool:
        return _describe(pool, ref)


def _describe(pool: ProcessPool, ref: AdapterRef) -> Description:
    try:
        return pool.schedule(describe, args=[ref], timeout=START_LIMIT).result()
    except FutureTimeout:
        raise AdapterUnavailable(f"adapter {ref.name!r} did not start in {START_LIMIT:g} s") from None
    except (ProcessExpired, BrokenExecutor):
        raise AdapterUnavailable(f"adapter {ref.name!r} cannot start: its process died") from None
    except AdapterUnavailable:
        raise
    except Exception as error:
        raise AdapterUnavailable(
            f"adapter {ref.name!r} cannot start: {type(error).__name__}: {error}"
        ) from error


class _AdapterRun:
    """All dtypes of one adapter, in its own pool; records go into the queue as batches finish."""

    def __init__(
        self,
        ref: AdapterRef,
        options: Options,
        workers: int,
        sink: queue.Queue[object],
        stop: threading.Event,
    ) -> None:
        self.ref, self.options, self.workers = ref, options, workers
        self._sink, self._stop = sink, stop
        self._numbers = itertools.count()

    def __call__(self) -> None:
        try:
            with (
                tempfile.TemporaryDirectory(prefix="rnn-conformance-") as journals,
                pool_of(self.workers, self.ref, Path(journals)) as pool,
            ):
                self._journals = Path(journals)
                try:
                    self._run(pool)
                finally:
                    pool.stop() if self._stop.is_set() else pool.close()
        except BaseException as error:
            self._sink.put((self.ref, error))
        else:
            self._sink.put((self.ref, None))

    def _ask(self, question: object) -> object:
        """Hand something to the main thread, which owns the results, and wait for its answer."""
        answer: queue.Queue[object] = queue.Queue()
        self._sink.put((self.ref, question, answer))
        while not self._stop.is_set():
            try:
                return answer.get(timeout=0.2)
            except queue.Empty:
                continue
        return []

    def _run(self, pool: ProcessPool) -> None:
        try:
            what = _describe(pool, self.ref)
        except AdapterUnavailable:
            self._let_workers_begin()
            raise
        if self._stop.is_set():
            return
        plan = self._ask(what)
        assert isinstance(plan, list)
        for run, cases in plan:
            reason = _refusal(what, run.device, run.dtype)
            if reason is not None:
                self._sink.put((self.ref, run, [_unsupported(c, reason) for c in cases]))
            else:
                self._run_cases(pool, run, cases)
            if self._stop.is_set():
                return
            self._sink.put((self.ref, run, None))

    def _let_workers_begin(self) -> None:
        """Wait until every process has begun: one whose pool is closed while it is being spawned prints a traceback."""
        deadline = time.monotonic() + BEGIN_LIMIT
        while len(list(self._journals.glob("worker-*"))) < self.workers and time.monotonic() < deadline:
            time.sleep(0.05)

    def _submit(self, pool: ProcessPool, run: Run, cases: list[Case]) -> _Batch:
        journal = self._journals / str(next(self._numbers))
        arguments = [self.ref, run.dtype, run.device, cases, self.options.data, journal]
        try:
            future = pool.schedule(run_batch, args=arguments, timeout=self.options.timeout)
        except RuntimeError as error:  # the pool is broken: a fresh worker died while it started
            raise AdapterUnavailable(f"adapter {self.ref.name!r} cannot start again: {error}") from error
        return _Batch(cases, journal, future)

    def _run_cases(self, pool: ProcessPool, run: Run, cases: Sequence[Case]) -> None:
        pending = [self._submit(pool, run, batch) for batch in batches(cases)]
        while pending and not self._stop.is_set():
            wait([batch.future for batch in pending], timeout=0.2, return_when=FIRST_COMPLETED)
            for batch in [b for b in pending if b.future.done()]:
                pending.remove(batch)
                rest = self._settle(run, batch)
                if rest:
                    pending.append(self._submit(pool, run, rest))
                batch.journal.unlink(missing_ok=True)

    def _settle(self, run: Run, batch: _Batch) -> list[Case]:
        """Hand on a finished batch's records; returns the cases that are still to do after a failure."""
        failure = _failure(batch.future, self.options.timeout)
        if failure is None:
            self._sink.put((self.ref, run, batch.future.result()))
            return []
        records = read_journal(batch.journal)
        rest = batch.cases[len(records) :]
        verdict, message = failure
        # A case that began late in the batch has not had its time yet: it comes first in the next one.
        if rest and (verdict != "timeout" or not records):
            records.append(Record.failure(rest[0], verdict, message))
            rest = rest[1:]
        self._sink.put((self.ref, run, records))
        return rest


@dataclass
class _Batch:
    """Cases under way in a worker, and the journal of those it has finished."""

    cases: list[Case]
    journal: Path
    future: Future[list[Record]]


def _failure(future: Future[list[Record]], timeout: float) -> tuple[str, str] | None:
    """Verdict and message when a batch did not come back."""
    error = future.exception()
    if error is None:
        return None
    if isinstance(error, FutureTimeout):
        return "timeout", f"no answer within {timeout:g} s"
    if isinstance(error, ProcessExpired):
        return "crash", f"the worker process died (exit {error.exitcode})"
    return "crash", f"{type(error).__name__}: {error}"


def _refusal(what: Description, device: str, dtype: str) -> str | None:
    if dtype not in what.dtypes:
        return f"the adapter does not offer {dtype}"
    return what.dtypes[dtype]


def _unsupported(case: Case, reason: str) -> Record:
    return Record.failure(case, "unsupported", reason, clause="SHAPE-7")


def _environment(what: Description) -> dict[str, object]:
    return {
        "packages": dict(what.packages),
        "notes": list(what.notes),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
    }


def _plan(
    results: Results, ref: AdapterRef, what: Description, options: Options
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
    """Run the cases through the adapters; returns when all is done, or raises KeyboardInterrupt.

    Records are committed to ``results`` batch by batch, by this thread alone.
    """
    outcome = Outcome()
    by_id = {c.id: c for c in options.cases}
    declared: dict[str, list[known.Known]] = {}
    sink: queue.Queue[object] = queue.Queue()
    stop = threading.Event()
    lanes = min(options.workers, len(refs))
    tasks = [_AdapterRun(ref, options, max(1, options.workers // lanes), sink, stop) for ref in refs]
    with ThreadPoolExecutor(max_workers=lanes) as executor:
        try:
            for task in tasks:
                executor.submit(task)
            left = len(tasks)
            while left:
                match sink.get():
                    case (AdapterRef() as ref, Description() as what, queue.Queue() as answer):
                        if options.device not in what.devices:
                            reason = AdapterNotInstalled(
                                f"adapter {ref.name!r} has no device {options.device!r}, only {', '.join(what.devices)}"
                            )
                            outcome.unavailable[ref.name] = reason
                            progress.adapter_failed(ref, str(reason))
                            answer.put([])
                            continue
                        declared[ref.name] = known.load(ref.name, what.version)
                        plan = _plan(results, ref, what, options)
                        answer.put(plan)
                        progress.adapter_started(ref, what, sum(len(cases) for _, cases in plan))
                        outcome.runs += [run for run, _ in plan]
                    case (AdapterRef(), Run() as run, None):
                        results.finish(run)
                    case (AdapterRef() as ref, Run() as run, list() as records):
                        for record in records:
                            known.apply(record, by_id[record.case], run.dtype, declared[ref.name])
                        results.add(run, records)
                        progress.records(ref, len(records))
                    case (AdapterRef() as ref, AdapterUnavailable() as error):
                        left -= 1
                        outcome.unavailable[ref.name] = error
                        progress.adapter_failed(ref, str(error))
                    case (AdapterRef(), BaseException() as error):
                        raise error
                    case (AdapterRef(), None):
                        left -= 1
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
