"""What is known of an implementation, as the pages and exports show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rnn_fixtures.case import Case

from rnn_conformance.explaining.diagnosis import Explanation, explanations
from rnn_conformance.explaining.provocation import Cause, cause_of, causes
from rnn_conformance.explaining.reproductions import stem_of
from rnn_conformance.judging import differences
from rnn_conformance.judging.differences import is_unexpected
from rnn_conformance.judging.precision_classes import Spread, spread
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.reporting.columns import Columns
from rnn_conformance.reporting.packed import safe_name
from rnn_conformance.results.database import Results
from rnn_conformance.results.reading import Subject
from rnn_conformance.running.adapter_ref import REPROS
from rnn_conformance.running.registry import installed


@dataclass(frozen=True)
class Finding:
    """Discrepancies of one implementation that seem to have one cause.

    Attributes
    ----------
    entry : mapping
        The declaration, empty for what nobody declared.
    examples : sequence of mapping
        Their records, those first of which most is known.
    script : str
        A stand-alone script that shows it; empty where there is none.
    """

    view: View
    cause: Cause
    entry: Mapping[str, str]
    examples: Sequence[Mapping[str, Any]]
    explained: Sequence[Explanation]
    script: str

    @property
    def anchor(self) -> str:
        """Its address on the pages: the same for every version, device and dtype."""
        return safe_name(self.view.run.adapter, self.cause.name)

    @property
    def clause(self) -> str:
        return self.entry.get("clause") or next((r["clause"] for r in self.examples if r["clause"]), "")

    @property
    def link(self) -> str:
        """Where it is discussed upstream; nothing but a page of the web."""
        link = self.entry.get("link", "")
        return link if link.startswith(("https://", "http://")) else ""

    @property
    def diagnosed(self) -> int:
        return sum(bool(r["diagnosed"]) for r in self.examples)


class View(Subject):
    """A subject with what the pages tell of it."""

    @property
    def line(self) -> tuple[str, ...]:
        """What stays the same from version to version."""
        return self.newest.line

    @property
    def name(self) -> str:
        """Adapter, version, device, settings, dtype, as one text."""
        return f"{self.newest.adapter} {self.newest.version} {self.newest.where} {self.newest.dtype}"

    @property
    def slug(self) -> str:
        """The name of its page."""
        run = self.newest
        return safe_name(
            run.adapter, run.version, run.device, run.dtype, *filter(None, [run.settings.replace(" ", "-")])
        )

    @property
    def home(self) -> Path | None:
        """The folder of the adapter, where it is declared here: what only results name is not looked for."""
        ref = installed().get(self.run.adapter)
        return None if ref is None else ref.folder

    @cached_property
    def columns(self) -> Columns:
        """A few bytes of every result."""
        return Columns(self.records())

    @property
    def counts(self) -> Counter[str]:
        """How many results are shown as what."""
        return self.columns.counts

    @property
    def unexpected(self) -> list[Mapping[str, Any]]:
        """Discrepancies and failures that nobody declared, and stale declarations."""
        return [r for r in self.columns.faulty.values() if is_unexpected(r["verdict"], r["known"])]

    @property
    def bad(self) -> int:
        """How many are unexpected."""
        counts = self.counts
        return sum(counts[verdict] for verdict in ("stale", *FAULTY))

    @cached_property
    def tally(self) -> dict[str, int]:
        """How many passed, are known, unsupported, or anything else (``bad``), without reading every record where one run is all there is."""
        found: Counter[str] = Counter()
        if "columns" in self.__dict__ or len(self.parts) > 1:
            shown_as: Mapping[str, int] = self.counts  # "pass (composed)"
        else:
            with Results(self.folder) as results:
                shown_as = results.counts(self.newest)  # "known value"
        for text, count in shown_as.items():
            found[text.partition(" ")[0]] += count
        passed, known, unsupported = (found[name] for name in ("pass", "known", "unsupported"))
        bad = found.total() - passed - known - unsupported
        return {"passed": passed, "known": known, "unsupported": unsupported, "bad": bad}

    def spread(self, cases: Mapping[str, Case]) -> Spread | None:
        """Root mean square and mean of z (PREC-8, PREC-9)."""
        return spread(self.columns.sums, cases)

    def findings(self, cases: Mapping[str, Case]) -> list[Finding]:
        """Its discrepancies by cause: what nobody declared first, then those with most cases."""
        records: dict[tuple[str, bool], list[Mapping[str, Any]]] = {}
        faulty = [r for r in self.columns.faulty.values() if r["verdict"] in FAULTY]
        for record in faulty:
            records.setdefault((cause_of(record), record["known"] is not None), []).append(record)
        found = {(c.name, c.known): c for c in causes(faulty, self.columns.passing, cases)}
        for key, own in records.items():  # of cases that this version does not have
            found.setdefault(key, Cause(*key, tuple(r["case"] for r in own), ()))
        result = []
        for key, cause in found.items():
            own = sorted(records[key], key=lambda r: (not r["diagnosed"], len(r["case"]), r["case"]))
            entry = self.declared.get(cause.name, {}) if cause.known else {}
            explained = explanations({r["case"]: r["agrees_with"] for r in own})
            result.append(Finding(self, cause, entry, own, explained, self._script(cause)))
        return sorted(result, key=lambda f: (f.cause.known, -len(f.examples), f.cause.name))

    def _script(self, cause: Cause) -> str:
        if cause.known:
            kept = differences.kept_script(self.home, cause.name)
            if kept is not None:
                return kept.read_text("utf-8")
        stem = stem_of(self.run.adapter, self.run.dtype, cause.name, known=cause.known)
        try:
            written = sorted((self.folder / REPROS).glob(f"{stem}.*"))
            return written[0].read_text("utf-8", "replace") if written else ""
        except OSError:
            return ""


def grouped(findings: Iterable[Sequence[Finding]]) -> dict[str, list[dict[str, Any]]]:
    """Adapter to its causes, each with the findings of all its versions, devices and dtypes."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for f in (f for own in findings for f in own):
        adapter = groups.setdefault(f.view.run.adapter, {})
        group = adapter.setdefault(
            f.anchor, {"anchor": f.anchor, "name": f.cause.name, "known": f.cause.known, "seen": []}
        )
        group["known"] &= f.cause.known
        group["seen"].append(f)
    for own in groups.values():
        for group in own.values():
            group["seen"].sort(key=lambda f: (not f.script, f.view.run.dtype != "float32"))
    return {adapter: sorted(own.values(), key=lambda g: g["known"]) for adapter, own in groups.items()}
