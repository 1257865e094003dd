"""The runner: every adapter in processes of its own, cases in batches, results as they arrive.

A process that judges asks one that runs the adapter (`rnn_conformance.running.session`); so what an adapter does to its own process
costs its own case a verdict, and never the run.
"""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rnn_conformance.contract.adapter import Description
from rnn_conformance.errors import AdapterNotInstalled, AdapterUnavailable
from rnn_conformance.judging import differences
from rnn_conformance.results.database import Results
from rnn_conformance.results.run import Run
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.lanes import Event, Finished, Lane, Left, Records, Started
from rnn_conformance.running.options import Options
from rnn_conformance.running.plan import planned
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Session


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


def probe(ref: AdapterRef) -> Description:
    """Start an adapter in a process of its own and ask what it is.

    Raises
    ------
    AdapterUnavailable
        When it cannot start, with the reason.
    """
    with Session(ref) as session:
        return RemoteAdapter(session).describe()


def execute(refs: Sequence[AdapterRef], options: Options, results: Results, progress: Progress) -> Outcome:
    """Run the cases through the adapters; returns when all is done, or raises KeyboardInterrupt. Nothing is explained here.

    Records are committed to ``results`` batch by batch, by this thread alone.
    """
    outcome = Outcome()
    sink: queue.Queue[Event] = queue.Queue()
    stop = multiprocessing.get_context("spawn").Event()
    lanes = min(options.workers, len(refs))
    adapters = [Lane(ref, options, max(1, options.workers // lanes), sink, stop) for ref in refs]
    with ThreadPoolExecutor(max_workers=lanes) as executor:
        try:
            for one in adapters:
                executor.submit(one)
            left = len(adapters)
            while left:
                match sink.get():
                    case Started(ref, what, answer):
                        if options.device not in what.devices:
                            reason = AdapterNotInstalled(
                                f"adapter {ref.name!r} has no device {options.device!r}, only {', '.join(what.devices)}"
                            )
                            outcome.unavailable[ref.label] = reason
                            progress.adapter_failed(ref, str(reason))
                            answer.put([])
                            continue
                        declared = differences.load(ref.folder, ref.name, what, options.device)
                        plan, total = planned(results, ref, what, declared, options)
                        progress.adapter_started(ref, what, total)
                        outcome.runs += [job.run for job in plan]
                        answer.put(plan)
                    case Finished(run):
                        results.finish(run)
                    case Records(ref, run, records, spent):
                        results.add(run, records, spent)
                        if records:
                            progress.records(ref, len(records))
                    case Left(ref, AdapterUnavailable() as error):
                        left -= 1
                        outcome.unavailable[ref.label] = error
                        progress.adapter_failed(ref, str(error))
                    case Left(ref, None):
                        left -= 1
                    case Left(ref, error):
                        assert error is not None
                        raise error
        except BaseException:
            stop.set()
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    return outcome
