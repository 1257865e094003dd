"""What happens inside a worker process: one adapter, batches of cases, one record each.

`run_batch` is a plain function of picklable arguments, so that any ``concurrent.futures.Executor`` can run it.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import pickle
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rnn_fixtures.case import Case
from rnn_fixtures.store import Arrays, Store

from rnn_conformance import known
from rnn_conformance.adapters.base import Adapter, Description, Unsupported
from rnn_conformance.bench import Bench
from rnn_conformance.errors import AdapterNotInstalled, AdapterUnavailable
from rnn_conformance.families import PROCEDURES
from rnn_conformance.families.outcome import Outcome, ProtocolError, describe_error
from rnn_conformance.record import Record
from rnn_conformance.verdict import DISCREPANCIES

if TYPE_CHECKING:
    from rnn_conformance.diagnosis import Diagnosis

# A diagnosis takes several times as long as a case: of declared differences, each process makes so many.
SAMPLE = 20
# What a discrepancy is compared with.
Depth = Literal["nothing", "variants", "pairs"]


@dataclass(frozen=True)
class AdapterRef:
    """An adapter by the name that the user gave and the object that it stands for (``module:Class``)."""

    name: str
    target: str


def start(ref: AdapterRef, marks: Path | None = None) -> None:
    """Prepare a fresh process: frameworks' chatter goes to stderr, a crash leaves a trace there.

    The adapter starts here, outside any case's time; if it cannot, the first task says why. A file in ``marks`` tells that
    the process has begun.
    """
    if marks is not None:
        (marks / f"worker-{os.getpid()}").touch()
    os.dup2(2, 1)
    faulthandler.enable()
    with suppress(AdapterUnavailable):
        adapter(ref)


@cache
def adapter(ref: AdapterRef) -> Adapter:
    """The adapter of this process.

    Raises
    ------
    AdapterUnavailable
        When it cannot be imported or started; the message says what to install.
    """
    module, _, attribute = ref.target.partition(":")
    if ref.name == ref.target and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # ``--adapter module:Class`` may name a file in this folder
    try:
        instance = getattr(importlib.import_module(module), attribute)()
    except ImportError as error:
        if module.startswith("rnn_conformance.adapters."):
            hint = f"install it with: pip install 'rnn-conformance[{ref.name}]'"
        else:
            hint = "is its package installed, or its module in this folder?"
        raise AdapterNotInstalled(f"adapter {ref.name!r} cannot start: {error}; {hint}") from error
    except Exception as error:
        raise AdapterUnavailable(
            f"adapter {ref.name!r} cannot start: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(instance, Adapter):
        raise AdapterUnavailable(
            f"adapter {ref.name!r} cannot start: {ref.target} is not a subclass of "
            "rnn_conformance.adapters.base.Adapter"
        )
    return instance


def describe(ref: AdapterRef) -> Description:
    """The adapter's description of itself."""
    return adapter(ref).describe()


@cache
def _store(data: Path) -> Store:
    return Store(data, check=False)  # the parent process has checked the digests


@lru_cache(maxsize=1)
def _diagnosis(store: Arrays, dtype: str) -> Diagnosis:
    from rnn_conformance.diagnosis import Diagnosis  # here: a run without discrepancies needs no variants

    return Diagnosis(store, dtype)


def forget_diagnosis() -> None:
    """Let the next diagnosis start without what earlier ones found."""
    _diagnosis.cache_clear()


@cache
def _declared(ref: AdapterRef) -> list[known.Known]:
    return known.load(ref.name, describe(ref).version)


# How many cases of each declared difference and dtype this process has diagnosed.
_diagnosed: Counter[tuple[str, str]] = Counter()


def _depth(ref: AdapterRef, dtype: str, record: Record, case: Case) -> Depth:
    """Pairs where nobody has declared the difference; else variants, for the first `SAMPLE` cases."""
    declared = known.expected(record, case, dtype, _declared(ref))
    if declared is None:
        return "pairs"
    _diagnosed[declared.id, dtype] += 1
    return "variants" if _diagnosed[declared.id, dtype] <= SAMPLE else "nothing"


def run_case(bench: Bench, case: Case, diagnose: Depth | Callable[[Record, Case], Depth] = "pairs") -> Record:
    """One case on one adapter: the record of whatever comes of it, with the variants that a discrepancy agrees with.

    Parameters
    ----------
    diagnose : str or function
        Whether a discrepancy is compared with nothing, with variants, or with pairs of them too; the function says so of each.
    """
    record, outcome = _tried(bench, case)
    if outcome is None or record.verdict not in DISCREPANCIES:
        return record
    depth = diagnose(record, case) if callable(diagnose) else diagnose
    if depth != "nothing":
        diagnosis = _diagnosis(bench.store, bench.dtype)
        record.agrees_with = diagnosis.agrees_with(case, outcome, record.verdict, pairs=depth == "pairs")
        record.diagnosed = True
        observed = diagnosis.observation(case, outcome)
        record.message += f"; {observed}" if observed else ""
    return record


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
    except ProtocolError as error:
        return Record.failure(case, "protocol", str(error)), None
    except Exception as error:
        bench.forget()
        return Record.failure(case, "refused", describe_error(error)), None


def run_batch(
    ref: AdapterRef, dtype: str, device: str, cases: Sequence[Case], data: Path, journal: Path | None = None
) -> list[Record]:
    """Run cases in order; every case gets a record, whatever its adapter raises.

    Each record is also appended to ``journal`` at once, so that what is done survives the process.
    """
    instance = adapter(ref)
    bench = Bench(instance, _store(data), dtype, device)
    records = []
    with open(os.devnull if journal is None else journal, "ab", buffering=0) as file:
        for case in cases:
            started = time.perf_counter()
            record = run_case(bench, case, partial(_depth, ref, dtype))
            record.seconds = time.perf_counter() - started
            records.append(record)
            file.write(pickle.dumps(record))
    return records


def read_journal(journal: Path) -> list[Record]:
    """The records that a worker wrote before it died."""
    records: list[Record] = []
    if journal.is_file():
        with journal.open("rb") as file, suppress(EOFError, pickle.UnpicklingError):
            while True:
                records.append(pickle.load(file))
    return records
