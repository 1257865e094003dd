"""Known differences: declared in ``known.toml`` in the folder of an adapter's module, never in code.

An entry names cases by a selection, the verdict to expect, the versions and devices concerned, the clause, the reason and a link. A
discrepancy that an entry foretells is ``known``; a case that an entry foretells and that passes is ``stale``.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version
from rnn_fixtures.case import Case

from rnn_conformance.contract.adapter import Description
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import DECLARED, INTERPRETERS, REPROS
from rnn_conformance.selection import compile_selection


@dataclass(frozen=True)
class Known:
    """One declared difference.

    ``versions`` is a PEP 440 specifier of the framework's version, ``packages`` has those of others that it stands on, and
    ``devices`` is a pattern (``cuda*``), and ``settings`` has switches of the framework with their values; where they do not hold, the entry is not there. ``may_pass`` selects those cases in
    which the difference may be too small for a verdict, as in bfloat16: passing there is not stale. ``adapters`` is a pattern
    of the adapter's name, where several share a folder; ``review`` is the day on which somebody is to look at it again.
    """

    id: str
    select: str
    verdict: str
    clause: str
    reason: str
    versions: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    devices: str = "*"
    settings: Mapping[str, str] = field(default_factory=dict)
    adapters: str = "*"
    review: str = ""
    may_pass: str = ""
    link: str = ""

    def applies(self, case: Case, dtype: str) -> bool:
        return compile_selection(self.select)(case, dtype)

    def excuses(self, case: Case, dtype: str) -> bool:
        """Whether a case may pass all the same."""
        return bool(self.may_pass) and compile_selection(self.may_pass)(case, dtype)

    def concerns(self, what: Description, device: str) -> bool:
        """Whether it holds for what ran, and there; versions that are none (of a program's own) are taken for any."""
        wanted = {"": self.versions, **self.packages}
        found = {"": what.version, **what.packages}
        if not fnmatchcase(device, self.devices) or not self.settings.items() <= what.settings.items():
            return False
        return all(name in found and _satisfies(found[name], asked) for name, asked in wanted.items())


def _satisfies(version: str, specifier: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def declarations(folder: Path | None) -> list[Known]:
    """Those in an adapter's folder; none where there is no file.

    Raises
    ------
    ConfigurationError
        When the file is none.
    """
    return [] if folder is None else declarations_in(folder / DECLARED)


def declarations_in(path: Path) -> list[Known]:
    """Those in a file; none where there is no file."""
    if not path.is_file():
        return []
    try:
        written = tomllib.loads(path.read_text("utf-8"))
        if written.keys() - {"known"}:
            raise TypeError(f"it has {', '.join(sorted(written.keys() - {'known'}))}")
        found = [Known(**entry) for entry in written.get("known", [])]
        for entry in found:
            if entry.review:
                date.fromisoformat(entry.review)
        if twice := [name for name, n in Counter(entry.id for entry in found).items() if n > 1]:
            raise ValueError(f"more than one entry is called {', '.join(twice)}")
        return found
    except (tomllib.TOMLDecodeError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} does not declare differences ([[known]] with id, select, verdict, clause, reason): {error}"
        ) from error


def holding(entries: Sequence[Known], adapter: str, what: Description, device: str) -> list[Known]:
    """Those that hold for the adapter of this name, for what ran, and there."""
    return [e for e in entries if fnmatchcase(adapter, e.adapters) and e.concerns(what, device)]


def load(folder: Path | None, adapter: str, what: Description, device: str) -> list[Known]:
    """The declarations in an adapter's folder that hold for the one of this name, for what ran, and there."""
    return holding(declarations(folder), adapter, what, device)


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
        if entry.applies(case, dtype) and not entry.excuses(case, dtype):
            record.known, record.clause = entry.id, entry.clause
            record.verdict = "stale"
            record.message = f"declared known difference {entry.id!r} did not occur"
            return


def is_unexpected(verdict: str, known: str | None) -> bool:
    """Whether a result makes a run fail: a discrepancy or failure that nobody declared, or a stale one."""
    return verdict == "stale" or (verdict in FAULTY and known is None)


def kept_script(folder: Path | None, known: str | None) -> Path | None:
    """The stand-alone script that is kept with a declared difference, in Python or another language."""
    if folder is None:
        return None
    kept = {path.stem: path for kind in reversed(INTERPRETERS) for path in (folder / REPROS).glob(f"*{kind}")}
    return kept.get(known or "")
