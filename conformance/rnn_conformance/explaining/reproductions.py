"""The causes of discrepancies in results, one group each, and whether the scripts written for them show what they should."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rnn_fixtures.case import Case

from rnn_conformance.explaining.provocation import cause_of
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.results.reading import Subject
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import INTERPRETERS

SCRIPT_SECONDS = 180.0
# In the names of those for discrepancies that nobody declared.
NEW = "new"


@dataclass(frozen=True)
class Group:
    """Discrepancies of one run that seem to have one cause.

    Attributes
    ----------
    cause : str
        Their `cause_of`.
    case : Case
        The smallest of them.
    record : Record
        Of that case.
    """

    view: Subject
    cause: str
    known: str | None
    case: Case
    record: Record
    count: int

    @property
    def stem(self) -> str:
        """Name of the script's file, without what tells its language."""
        run = self.view.run
        return stem_of(run.adapter, run.dtype, self.cause, known=self.known is not None)


def stem_of(adapter: str, dtype: str, cause: str, *, known: bool) -> str:
    """Name of the script's file of a cause, without what tells its language."""
    text = f"{adapter}-{cause}" if known else f"{adapter}-{NEW}-{cause}-{dtype}"
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)


def groups(views: Sequence[Subject], cases: Mapping[str, Case]) -> list[Group]:
    """The discrepancies and failures of runs, one group per cause; a declared cause once for all dtypes."""
    found: dict[tuple[str, ...], list[tuple[Subject, dict[str, object]]]] = {}
    for view in views:
        for record in view.records:
            if record["verdict"] in FAULTY and record["case"] in cases:
                cause = cause_of(record)
                dtype = "" if record["known"] else view.run.dtype
                found.setdefault((view.run.adapter, cause, dtype), []).append((view, record))

    def effort(entry: tuple[Subject, dict[str, object]]) -> tuple[int, int, str]:
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
                Record.from_json(record),
                len(entries),
            )
        )
    return result


# What is printed by a script that did not come to its point.
NOT_BEGUN = ("ModuleNotFoundError", "Cannot find module", "ERR_MODULE_NOT_FOUND")


def shows(path: Path, folder: Path | None = None) -> tuple[bool, str]:
    """Whether a script ends with another status than 0, and the end of what it printed; one that cannot begin shows nothing.

    Parameters
    ----------
    folder : Path, optional
        In which it runs: scripts of programs find their libraries from the program's folder.
    """
    environment = dict(os.environ) | {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [*INTERPRETERS[path.suffix], str(path.resolve())],
            capture_output=True,
            text=True,
            timeout=SCRIPT_SECONDS,
            env=environment,
            cwd=folder,
            check=False,
        )
    except FileNotFoundError as error:
        return False, f"cannot be run: {error}"
    except subprocess.TimeoutExpired:
        return True, f"no end within {SCRIPT_SECONDS:g} s"
    printed = done.stdout + done.stderr
    begun = not any(text in printed for text in NOT_BEGUN)
    return done.returncode != 0 and begun, printed[-600:]


def check(
    paths: Sequence[Path], workers: int, folder: Path | None = None
) -> Iterator[tuple[Path, bool, str]]:
    """Run scripts, some at a time; whether each still shows its discrepancy."""
    with ThreadPoolExecutor(max_workers=workers) as executor:
        for path, (shown, output) in zip(
            paths, executor.map(partial(shows, folder=folder), paths), strict=True
        ):
            yield path, shown, output
