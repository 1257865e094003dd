"""Clauses by implementations, with counts and what they are counts of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rnn_fixtures.domain import written_clauses

from rnn_conformance.reporting.packed import CODES
from rnn_conformance.reporting.views import View

# The files of the specification in the order in which they are read, and what each is about.
TOPICS = {
    "equations": "Equations",
    "weights": "Weights and layouts",
    "shapes": "Shapes",
    "views": "Views, directions, initial states",
    "networks": "Stacks and two directions",
    "masks": "Masks",
    "activations": "Activations",
    "precision": "Precision",
    "state": "Carried states",
    "initial": "Initial values",
    "dropout": "Dropout",
    "training": "Gradients and training",
    "errors": "Refusals",
}


@dataclass
class Cell:
    """The results of one implementation on the cases of one clause, by shown verdict."""

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def passed(self) -> int:
        return self.counts["pass"] + self.counts["pass (composed)"]

    @property
    def applicable(self) -> int:
        """All but what the implementation cannot express."""
        return self.counts.total() - self.counts["unsupported"]

    @property
    def bad(self) -> int:
        """Unexpected ones; unproved among them."""
        return self.applicable - self.passed - self.counts["known"]

    @property
    def state(self) -> str:
        """The class of the cell: what its reader has to know first."""
        if not self.counts:
            return "none"
        if not self.applicable:
            return "unsupported"
        return "bad" if self.bad else "known" if self.counts["known"] else "good"

    @property
    def text(self) -> str:
        """All counts in words."""
        return ", ".join(f"{self.counts[v]} {v}" for v in CODES if self.counts[v]) or "no result"


@dataclass(frozen=True)
class Row:
    """One clause."""

    name: str
    title: str
    topic: str
    cells: list[Cell]


def rows(views: Sequence[View]) -> dict[str, list[Row]]:
    """Topics to their clauses; a clause without a result anywhere is left out."""
    written = written_clauses()
    cells = {name: [Cell() for _ in views] for name in written}
    for place, view in enumerate(views):
        for ((_, clauses), shown), count in view.columns.by_kind.items():
            for clause in clauses.split():
                if clause in cells:
                    cells[clause][place].counts[shown] += count
    found: dict[str, list[Row]] = {title: [] for title in TOPICS.values()}
    for name, entry in written.items():
        if any(cell.counts for cell in cells[name]):
            topic = TOPICS.get(entry["file"].removesuffix(".md"), "Other")
            found.setdefault(topic, []).append(Row(name, entry["title"], topic, cells[name]))
    return {topic: own for topic, own in found.items() if own}
