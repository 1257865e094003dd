"""The causes of discrepancies in results, one group each, and whether the scripts written for them show what they should."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rnn_fixtures.case import Case

from rnn_conformance.cases import Cases
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


def groups(views: Sequence[Subject], cases: Cases) -> list[Group]:
    """The discrepancies and failures of runs, one group per cause; a declared cause once for all dtypes."""
    counts: Counter[tuple[str, str, str]] = Counter()
    easiest: dict[tuple[str, str, str], tuple[tuple[int, int, int, str], Subject, dict[str, Any]]] = {}
    for view in views:
        run = view.run
        for record in view.records():
            if record["verdict"] not in FAULTY:
                continue
            key = run.adapter, cause_of(record), "" if record["known"] else run.dtype
            counts[key] += 1
            found = _effort(record["case"], run.dtype, cases), view, record
            if key not in easiest or found[0] < easiest[key][0]:
                easiest[key] = found
    result = []
    for (adapter, cause, dtype), (_, view, record) in easiest.items():
        case = cases.get(record["case"])
        if case is not None:  # of this version of the golden data
            known = record["known"] or None
            result.append(
                Group(view, cause, known, case, Record.from_json(record), counts[adapter, cause, dtype])
            )
    return result


def _effort(case: str, dtype: str, cases: Cases) -> tuple[int, int, int, str]:
    """How much there is to read of a case, and whether it has to be computed first."""
    stored = cases.stored.get(case)
    size = 0
    if stored is not None:
        size = stored.size.B * stored.size.T * stored.size.U * (stored.size.F + stored.size.U)
    return int(stored is None), int(dtype != "float32"), size or len(case), case


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
