"""Reproductions asked for by the command line: made in worker processes, taken from the declarations where one is kept there, and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path

from pebble import ProcessExpired, ProcessPool
from rnn_fixtures.case import Case

from rnn_conformance import known
from rnn_conformance.errors import AdapterUnavailable
from rnn_conformance.record import Record
from rnn_conformance.report import RunView
from rnn_conformance.repro import Repro, reproduce
from rnn_conformance.runner import pool_of
from rnn_conformance.verdict import DISCREPANCIES, FAILURES
from rnn_conformance.worker import AdapterRef

LIMIT_SECONDS = 400.0
SCRIPT_SECONDS = 180.0


@dataclass(frozen=True)
class Group:
    """Discrepancies of one run that seem to have one cause.

    Attributes
    ----------
    cause : str
        Id of the declared difference, or else the variant that the results agree with, or else the verdict.
    case : Case
        The smallest of them.
    """

    view: RunView
    cause: str
    known: str | None
    case: Case
    verdict: str
    count: int

    @property
    def file(self) -> str:
        """Name of the script's file."""
        run = self.view.run
        text = f"{run.adapter}-{self.cause}" + ("" if run.dtype == "float32" else f"-{run.dtype}")
        return re.sub(r"[^A-Za-z0-9_-]+", "-", text) + ".py"


def groups(views: Sequence[RunView], cases: Mapping[str, Case]) -> list[Group]:
    """The discrepancies and failures of runs, one group per cause; a declared cause once for all dtypes."""
    found: dict[tuple[str, ...], list[tuple[RunView, dict[str, object]]]] = {}
    for view in views:
        for record in view.records:
            if record["verdict"] in (*DISCREPANCIES, *FAILURES) and record["case"] in cases:
                cause = record["known"] or (record["agrees_with"] or [record["verdict"]])[0]
                dtype = "" if record["known"] else view.run.dtype
                found.setdefault((view.run.adapter, cause, dtype), []).append((view, record))

    def effort(entry: tuple[RunView, dict[str, object]]) -> tuple[int, int, str]:
        view, record = entry
        size = cases[str(record["case"])].size
        return (
            int(view.run.dtype != "float32"),
            size.B * size.T * size.U * (size.F + size.U),
            str(record["case"]),
        )

    result = []
    for (_, cause, _), entries in found.items():
        view, record = min(entries, key=effort)
        declared = record["known"]
        result.append(
            Group(
                view,
                cause,
                str(declared) if declared else None,
                cases[str(record["case"])],
                str(record["verdict"]),
                len(entries),
            )
        )
    return result


class Reproducer:
    """Makes reproductions for one adapter, in a process of the adapter's own that lives until the end."""

    def __init__(self, ref: AdapterRef, data: Path) -> None:
        self._ref, self._data = ref, data
        self._pool: ProcessPool | None = None

    def __enter__(self) -> Reproducer:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def make(self, case: Case, dtype: str, device: str) -> Repro:
        """The reproduction of a case; one whose run ends the process, or does not end, is written down as it is.

        Raises
        ------
        AdapterUnavailable
            When the adapter cannot start.
        """
        try:
            return self._ask(case, dtype, device, None)
        except FutureTimeout:
            seen = Record.failure(case, "timeout", f"no answer within {LIMIT_SECONDS:g} s")
        except ProcessExpired as error:
            seen = Record.failure(case, "crash", f"the process died (exit {error.exitcode})")
        self._end()
        return self._ask(case, dtype, device, seen)

    def _ask(self, case: Case, dtype: str, device: str, seen: Record | None) -> Repro:
        if self._pool is None:
            self._pool = pool_of(1, self._ref)
        arguments = [self._ref, case, self._data, dtype, device, seen]
        try:
            return self._pool.schedule(reproduce, args=arguments, timeout=LIMIT_SECONDS).result()
        except AdapterUnavailable:
            raise
        except RuntimeError as error:
            raise AdapterUnavailable(f"adapter {self._ref.name!r} cannot start: {error}") from error


def script_of(group: Group, reproducer: Reproducer) -> str:
    """The script kept with the declaration, or a new one."""
    if group.known is not None:
        kept = known.script(group.view.run.adapter, group.known)
        if kept.is_file():
            return kept.read_text("utf-8")
    return reproducer.make(group.case, group.view.run.dtype, group.view.run.device).script


def shows(path: Path) -> tuple[bool, str]:
    """Whether a script ends with another status than 0, and the end of what it printed."""
    environment = dict(os.environ) | {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            timeout=SCRIPT_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True, f"no end within {SCRIPT_SECONDS:g} s"
    return done.returncode != 0, (done.stdout + done.stderr)[-600:]


def check(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, bool, str]]:
    """Run scripts, some at a time; whether each still shows its discrepancy."""
    with ThreadPoolExecutor(max_workers=workers) as executor:
        for path, (shown, output) in zip(paths, executor.map(shows, paths), strict=True):
            yield path, shown, output
