"""Known differences: declared per adapter in ``known/<adapter>.toml``, never in code.

An entry names cases by a selection, the verdict to expect, the versions concerned, the clause, the reason and a link. A
discrepancy that an entry foretells is ``known``; a case that an entry foretells and that passes is ``stale``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version
from rnn_fixtures.case import Case

from rnn_conformance.record import Record
from rnn_conformance.selection import compile_selection
from rnn_conformance.verdict import FAULTY

FOLDER = Path(__file__).parent / "known"


@dataclass(frozen=True)
class Known:
    """One declared difference.

    ``versions`` is a PEP 440 specifier of the framework's version; ``may_pass`` selects those cases in which the
    difference may be too small for a verdict, as in bfloat16: passing there is not stale.
    """

    id: str
    select: str
    verdict: str
    clause: str
    reason: str
    versions: str = ""
    may_pass: str = ""
    link: str = ""

    def applies(self, case: Case, dtype: str) -> bool:
        return compile_selection(self.select)(case, dtype)


def load(adapter: str, version: str, folder: Path = FOLDER) -> list[Known]:
    """The declarations for an adapter at a framework version; none when it has no file."""
    path = folder / f"{adapter}.toml"
    if not path.is_file():
        return []
    entries = [Known(**entry) for entry in tomllib.loads(path.read_text("utf-8"))["known"]]
    try:
        found = Version(version)
    except InvalidVersion:
        return entries
    return [e for e in entries if SpecifierSet(e.versions).contains(found, prereleases=True)]


def expected(record: Record, case: Case, dtype: str, declared: Sequence[Known]) -> Known | None:
    """The declaration that foretells a record's verdict."""
    return next((e for e in declared if e.verdict == record.verdict and e.applies(case, dtype)), None)


def apply(record: Record, case: Case, dtype: str, declared: Sequence[Known]) -> None:
    """Mark a record as known or stale."""
    foretold = expected(record, case, dtype, declared)
    if foretold is not None:
        record.known, record.clause = foretold.id, foretold.clause
    if record.verdict != "pass":
        return
    for entry in declared:
        may_pass = entry.may_pass and compile_selection(entry.may_pass)(case, dtype)
        if entry.applies(case, dtype) and not may_pass:
            record.known, record.clause = entry.id, entry.clause
            record.verdict = "stale"
            record.message = f"declared known difference {entry.id!r} did not occur"
            return


def is_unexpected(verdict: str, known: str | None) -> bool:
    """Whether a result makes a run fail: a discrepancy or failure that nobody declared, or a stale one."""
    return verdict == "stale" or (verdict in FAULTY and known is None)


def kept_script(adapter: str, known: str | None) -> str:
    """The stand-alone script that is kept with a declared difference; empty where there is none."""
    name = f"{adapter}-{known}.py"
    kept = {path.name: path for path in (FOLDER / "repros").glob("*.py")}  # names come from results, too
    return kept[name].read_text("utf-8") if name in kept else ""
