"""The table of arguments: for each its clauses, its golden cases, and what every run says about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rnn_fixtures.case import Case
from rnn_fixtures.domain import Domain, written_clauses

from rnn_conformance.reporting.columns import Columns
from rnn_conformance.selection import compile_selection

# kinds of [[argument]] that a user of the layer writes
USERS = ("constructor", "call")


@dataclass(frozen=True)
class Listed:
    """One argument or input rule, and the cases that use it otherwise than by default."""

    name: str
    cases: tuple[Case, ...]
    clauses: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """What a run says about an argument."""

    counts: Counter[str]
    reason: str

    @property
    def is_counted(self) -> bool:
        """Whether there are verdicts to count."""
        return bool(self.counts) and set(self.counts) != {"unsupported"}

    @property
    def text(self) -> str:
        """Counts of the verdicts, or why the framework cannot express the argument."""
        if not self.counts:
            return self.reason or "no result"
        if not self.is_counted:
            return f"not expressible: {self.reason}"
        return ", ".join(f"{count} {verdict}" for verdict, count in self.counts.most_common())


def listed(domain: Domain, cases: Sequence[Case]) -> list[Listed]:
    """Every argument that users write, then the keywords and rules of ``[[listed]]``."""
    found = []
    for a in domain.arguments.values():
        if a.kind in USERS:
            using = tuple(c for c in cases if c.arguments.get(a.name, a.default) != a.default)
            found.append(Listed(a.name, using, a.all_clauses))
    for entry in domain.listed:
        chosen = compile_selection(entry.select)
        using = tuple(c for c in cases if chosen(c, ""))
        found.append(Listed(entry.name, using, entry.clauses))
    return found


def cell(item: Listed, dtype: str, columns: Columns) -> Cell:
    """The verdicts of one run, in one dtype, on an argument's cases."""
    if not any(dtype in c.dtypes for c in item.cases):
        return Cell(Counter(), f"no case in {dtype}")
    found = [k for c in item.cases if (k := columns.place(c.id)) is not None]
    reasons = Counter(filter(None, (columns.reasons[columns.reason[k]] for k in found)))
    reason = reasons.most_common(1)[0][0] if reasons else ""
    return Cell(Counter(map(columns.shown_at, found)), reason)


def gaps(items: Sequence[Listed]) -> list[str]:
    """Arguments without a clause that is written, or without a case."""
    written = written_clauses().keys()
    found = [f"{item.name}: no case" for item in items if not item.cases]
    return found + [
        f"{item.name}: no clause" for item in items if not item.clauses or not set(item.clauses) <= written
    ]
