"""Cases on one adapter: one record each, whatever comes of it.

`run_batch` is a plain function of picklable arguments for a process of its own, so that any ``concurrent.futures.Executor`` can run it. The adapter is in
yet another process (`rnn_conformance.running.session`): this one holds what is expected.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from typing import Any

from rnn_fixtures.case import Case

from rnn_conformance.contract.adapter import Description, Unsupported
from rnn_conformance.errors import AdapterFault, Ended, Refusal, Stopped
from rnn_conformance.judging import differences
from rnn_conformance.judging.bench import Bench, layer_spec
from rnn_conformance.judging.families import PROCEDURES
from rnn_conformance.judging.families.outcome import Outcome, describe_error
from rnn_conformance.judging.verdict import DISCREPANCIES
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Limits, Session, die_with_parent
from rnn_conformance.running.tasks import Task

# After so many seconds a batch hands over what it has: what is recorded survives whatever comes.
SLICE = 4.0

_stop: Any = None
_limits = Limits()


def start(stop: Any, limits: Limits) -> None:
    """Prepare a fresh process: it ends when its parent does, and the adapter's with it; Ctrl-C is for the parent to see."""
    global _stop, _limits
    _stop, _limits = stop, limits
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _leave())  # an exception would be taken for the task's
    die_with_parent()
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: Any) -> None:
    parent.join()
    _leave()


def _leave() -> None:
    """End this process at once, and the adapters' with it."""
    _end_sessions()
    os._exit(1)


def _end_sessions() -> None:
    for session in _sessions:
        with suppress(
            Exception
        ):  # another thread may be closing it: the others, and this process, end all the same
            session.close()


_sessions: list[Session] = []
atexit.register(_end_sessions)


_own = threading.local()


def limit(limits: Limits) -> None:
    """What the adapters' processes that are started from here on may take."""
    global _limits
    _limits = limits


def adapter(ref: AdapterRef) -> RemoteAdapter:
    """The adapter, in a process of this thread's own that lives until the end or until it fails to answer.

    Raises
    ------
    AdapterUnavailable
        When it cannot start; the message says what to install.
    """
    found: dict[AdapterRef, RemoteAdapter] = vars(_own).setdefault("adapters", {})
    if ref not in found:
        found[ref] = _started(ref)
    return found[ref]


def _started(ref: AdapterRef) -> RemoteAdapter:
    stopped = (lambda: False) if _stop is None else _stop.is_set
    # A process that runs batches has no other children.
    session = Session(ref, _limits, stopped, adopts=_stop is not None)
    _sessions.append(session)
    return RemoteAdapter(session)


def describe(ref: AdapterRef) -> Description:
    """The adapter's description of itself."""
    return adapter(ref).describe()


def run_case(bench: Bench, case: Case, declared: Sequence[differences.Known] = ()) -> Record:
    """One case on one adapter: the record of whatever comes of it, with what was returned where that can be explained.

    Parameters
    ----------
    declared : sequence of Known
        Where one foretells that the process ends, it is not asked a second time.
    """
    session = bench.adapter.session if isinstance(bench.adapter, RemoteAdapter) else None
    started = time.perf_counter()
    if session is None:
        record, outcome = _tried(bench, case)
        record.seconds = time.perf_counter() - started
    else:
        record, outcome = _apart(bench, session, case, declared)
    if outcome is not None and record.verdict in DISCREPANCIES:
        record.keep(outcome.arrays)
    return record


def _apart(
    bench: Bench, session: Session, case: Case, declared: Sequence[differences.Known]
) -> tuple[Record, Outcome | None]:
    """A case in the adapter's process. Where that ends, and has served other cases before, the case is tried again in a fresh one: an earlier
    one may have left something behind."""
    session.seconds = 0.0
    served = session.is_alive and bench.served > 0
    bench.served += 1
    try:
        try:
            record, outcome = _tried(bench, case)
        except Ended as ended:
            foretold = any(e.verdict == ended.verdict and e.applies(case, bench.dtype) for e in declared)
            if not served or foretold:
                raise
            bench.forget()
            bench.served = 1
            record, outcome = _tried(bench, case)
            note = "the process that had served other cases died, or did not answer; this is what a fresh one did"
            record.message = f"{record.message}; {note}" if record.message else note
    except Ended as ended:
        bench.forget()
        bench.served = 0
        record, outcome = Record.failure(case, ended.verdict, ended.message), None
    record.seconds = session.seconds
    return record, outcome


def _tried(bench: Bench, case: Case) -> tuple[Record, Outcome | None]:
    procedure = PROCEDURES[case.family]
    try:
        outcome = procedure(case, bench)
        record = Record.of(case, outcome.verdict, mode=outcome.mode, path=outcome.path)
        if outcome.verdict.verdict == "value" and outcome.arrays:
            again = procedure(case, bench)
            if any(a.tobytes() != b.tobytes() for a, b in zip(outcome.arrays, again.arrays, strict=True)):
                record.verdict = "nondeterministic"
                record.message = f"two identical runs differ; the first: {record.message}"
        return record, outcome
    except Unsupported as reason:
        return Record.failure(case, "unsupported", reason.reason, clause=reason.clause), None
    except (Ended, Stopped):
        raise
    except AdapterFault as error:
        bench.forget()
        return Record.failure(case, "protocol", str(error)), None
    except Exception as error:
        bench.forget()
        if isinstance(bench.adapter, RemoteAdapter) and not isinstance(error, Refusal):
            # What came back fits the messages, but nothing can be made of it.
            place = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip().replace("\n", " ")
            text = f"what the adapter returned cannot be judged: {type(error).__name__}: {error} ({place})"
            return Record.failure(case, "protocol", text[:1000]), None
        return Record.failure(case, "refused", describe_error(error)), None


@dataclass
class Batch:
    """What came of some cases.

    Attributes
    ----------
    rest : Task, optional
        Those that were not run.
    spent : mapping
        Seconds: of starting, of the framework's own, of moving messages, of judging.
    """

    records: list[Record]
    rest: Task | None
    spent: dict[str, float]


def run_batch(
    ref: AdapterRef,
    dtype: str,
    device: str,
    task: Task,
    declared: Sequence[differences.Known] = (),
    refusal: str | None = None,
) -> Batch:
    """Run cases in order for some seconds; every case that ran has a record, marked where it was declared.

    Parameters
    ----------
    refusal : str, optional
        Why the adapter can run nothing in this dtype.
    """
    asked = time.monotonic()
    if refusal is not None:
        reason = Unsupported(refusal, "SHAPE-7")
        work = task.work(dtype, partial(_refuse, reason))
        every = [*work.unsupported, *((case, reason) for case in work.cases)]
        records = [_unsupported(case, reason, dtype, declared) for case, reason in every]
        return Batch(records, None, {"judging": time.monotonic() - asked})
    remote = adapter(ref)
    session = remote.session
    started = time.monotonic()
    work = task.work(dtype, lambda case: remote.ask(layer_spec(case, dtype, device)))
    records = [_unsupported(case, reason, dtype, declared) for case, reason in work.unsupported]
    made, waited, rest = time.monotonic(), session.waited, None
    restarting = session.restarting
    if work.arrays is not None:
        bench = Bench(remote, work.arrays, dtype, device)
        bench.served = int(session.is_alive)
        for case in work.cases:
            stopped = _stop is not None and _stop.is_set()
            try:
                if stopped or (records and time.monotonic() > made + SLICE):
                    raise Stopped
                record = run_case(bench, case, declared)
            except Stopped:
                rest = task.without({record.case for record in records})
                break
            differences.apply(record, case, dtype, declared)
            records.append(record)
    restarting = session.restarting - restarting
    waited, own = session.waited - waited, sum(record.seconds for record in records)
    spent = {
        "starting": started - asked + restarting,
        "golden data": made - started,
        "framework": own,
        "messages": waited - own,
        "judging": time.monotonic() - made - waited - restarting,
    }
    return Batch(records, rest, spent)


def _refuse(reason: Unsupported, case: Case) -> None:
    raise reason


def _unsupported(
    case: Case, reason: Unsupported, dtype: str, declared: Sequence[differences.Known]
) -> Record:
    record = Record.failure(case, "unsupported", reason.reason, clause=reason.clause)
    differences.apply(record, case, dtype, declared)
    return record
