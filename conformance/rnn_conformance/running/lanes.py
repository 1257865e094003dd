"""A lane: one adapter in its own processes, and what it tells the main thread."""

from __future__ import annotations

import queue
import time
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from typing import Any

from rnn_conformance.contract.adapter import Description
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import Run
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.options import Options
from rnn_conformance.running.plan import Job
from rnn_conformance.running.pools import Pool, pool
from rnn_conformance.running.tasks import Task
from rnn_conformance.running.worker import Batch

# A process of ours that died, of which nothing is known, is replaced so many times.
REPLACED = 3
# Tasks whose workers on a cluster were killed are handed out again, so many times in a run.
GIVEN_UP = 20


@dataclass
class Started:
    """An adapter says what it is; the answer is what there is to do."""

    ref: AdapterRef
    what: Description
    answer: queue.Queue[list[Job]]


@dataclass
class Records:
    """Some cases of a run are done."""

    ref: AdapterRef
    run: Run
    records: list[Record]
    spent: dict[str, float]


@dataclass
class Finished:
    """All cases of a run are done."""

    run: Run


@dataclass
class Left:
    """A lane has ended, with what stood in its way."""

    ref: AdapterRef
    error: BaseException | None


Event = Started | Records | Finished | Left


class Lane:
    """All dtypes of one adapter, in its own processes; records go into the queue as they come."""

    def __init__(
        self, ref: AdapterRef, options: Options, workers: int, sink: queue.Queue[Event], stop: Any
    ) -> None:
        self.ref, self.options, self.workers = ref, options, workers
        self._sink, self._stop = sink, stop

    def __call__(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._sink.put(Left(self.ref, error))
        else:
            self._sink.put(Left(self.ref, None))

    def _plan(self, what: Description) -> list[Job]:
        """Ask the main thread, which owns the results."""
        answer: queue.Queue[list[Job]] = queue.Queue()
        self._sink.put(Started(self.ref, what, answer))
        while not self._stop.is_set():
            try:
                return answer.get(timeout=0.2)
            except queue.Empty:
                continue
        return []

    def _run(self) -> None:
        todo: list[Job] | None = None
        what: Description | None = None
        for _ in range(REPLACED):
            with pool(self.options, self.workers, self._stop) as judging:
                try:
                    if todo is None:
                        asked = time.monotonic()
                        what = judging.describe(self.ref)
                        spent = {"starting": time.monotonic() - asked}
                        todo = self._plan(what)
                        for job in todo[:1]:
                            self._sink.put(Records(self.ref, job.run, [], spent))
                    while todo and not self._stop.is_set():
                        self._run_job(judging, what, todo[0])
                        if not self._stop.is_set():
                            self._sink.put(Finished(todo.pop(0).run))
                    return
                except BrokenExecutor:  # what it had not handed over is done again
                    continue
        raise RuntimeError(f"processes that judge {self.ref.label!r} died {REPLACED} times")

    def _run_job(self, judging: Pool, what: Description | None, job: Job) -> None:
        assert what is not None
        run = job.run
        refusal = _refusal(what, run.dtype)
        pending: dict[Future[Batch], Task] = {}
        try:
            while not self._stop.is_set():
                # One more than there are processes, so that none waits for work.
                while len(pending) <= judging.width:
                    task = job.lost.pop() if job.lost else next(job.tasks, None)
                    if task is None:
                        break
                    pending[judging.run(self.ref, run.dtype, run.device, task, job.declared, refusal)] = task
                if not pending:
                    return
                done, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    if judging.gave_up(future):
                        job.given_up += 1
                        if job.given_up > GIVEN_UP:
                            raise RuntimeError(
                                f"workers of the cluster were killed again and again: {future.exception()}"
                            )
                        job.lost.append(pending.pop(future))
                        continue
                    batch = future.result()
                    self._sink.put(Records(self.ref, run, batch.records, batch.spent))
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
