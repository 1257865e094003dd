"""Processes that judge: of this machine, or a cluster's workers."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rnn_fixtures.full import index
from rnn_fixtures.store import Store

from rnn_conformance.contract.adapter import Description
from rnn_conformance.running import cluster as clusters
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.options import Options
from rnn_conformance.running.session import Limits
from rnn_conformance.running.worker import Batch, describe, run_batch, start

# After an interrupt, processes have so long to end by themselves.
END_LIMIT = 5.0


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


@dataclass
class Pool:
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
class ClusterPool(Pool):
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


@contextmanager
def pool(options: Options, workers: int, stop: Any) -> Iterator[Pool]:
    """Processes of this machine, so many, or the workers of the cluster that the run is to use."""
    limits = Limits(options.timeout, options.memory)
    if options.cluster is None:
        with judges(workers, stop, limits) as executor:
            yield Pool(executor, workers)
        return
    store = Store(options.data, check=False)
    full = "" if options.full is None else index.read(options.data).digest
    expected = clusters.Expected(store.digest, full)
    with clusters.workers(options.cluster) as (executor, width):
        yield ClusterPool(executor, max(1, width * workers // options.workers), limits, expected)
