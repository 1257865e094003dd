"""The report: one self-contained HTML page, and the JSON export, from one or more results directories."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from rnn_fixtures.case import Case
from rnn_fixtures.domain import clauses, domain
from rnn_fixtures.locations import SPEC
from rnn_fixtures.store import Store

from rnn_conformance import __version__
from rnn_conformance.explaining.diagnosis import Explanation, explanations
from rnn_conformance.explaining.provocation import causes
from rnn_conformance.explaining.reproductions import NEW, REPROS
from rnn_conformance.judging import differences
from rnn_conformance.judging.precision_classes import spread
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.reporting import arguments
from rnn_conformance.results.database import now
from rnn_conformance.results.reading import Subject, collect
from rnn_conformance.running.registry import installed

# One letter per verdict in the page's data; upper case is what needs a reader's eye.
CODES = {
    "pass": "p",
    "pass (composed)": "c",
    "unsupported": "u",
    "known": "k",
    "value": "V",
    "shape": "S",
    "dtype": "D",
    "accepted": "A",
    "refused": "R",
    "nondeterministic": "N",
    "crash": "C",
    "timeout": "T",
    "protocol": "P",
    "unproved": "U",
    "stale": "X",
}
MISSING = "-"


class RunView(Subject):
    """What is known of an implementation, as the page shows it; `rnn-conformance repro --results` leaves scripts in its folder ``repros``."""

    @property
    def home(self) -> Path | None:
        """The folder of the adapter, where it is declared here: what only results name is not looked for."""
        ref = installed().get(self.run.adapter)
        return None if ref is None else ref.folder

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.shown(r) for r in self.records)

    @property
    def explained(self) -> list[Explanation]:
        """What the unexpected discrepancies agree with."""
        return explanations({r["case"]: r["agrees_with"] for r in self.unexpected})

    @property
    def elements(self) -> int:
        """How many numbers were compared."""
        return sum(r.get("elements", 0) for r in self.records)

    @property
    def largest_z(self) -> float | None:
        values = [r["z"] for r in self.records if r["verdict"] == "pass" and isinstance(r["z"], (int, float))]
        return max(values, default=None)

    @property
    def largest_z_strict(self) -> float | None:
        strict = [
            float(r["z_strict"]) for r in self.records if r["verdict"] == "pass" and r["z_strict"] is not None
        ]
        return max(strict, default=None)

    @property
    def seconds(self) -> float:
        return sum(r["seconds"] for r in self.records)

    def groups(self, verdicts: Iterable[str]) -> list[dict[str, Any]]:
        """Records of some columns grouped by cause: the declared difference, or clause and reason."""
        found: dict[tuple[str, ...], dict[str, Any]] = {}
        for record in self.records:
            column = self.shown(record)
            if column in verdicts:
                reason = record["known"] or record["message"]
                group = found.setdefault(
                    (column, record["clause"] or "", reason),
                    {
                        "column": column,
                        "clause": record["clause"],
                        "reason": reason,
                        "count": 0,
                        "diagnosed": 0,
                        "example": record,
                        "agreeing": {},
                    },
                )
                group["count"] += 1
                group["diagnosed"] += record.get("diagnosed", False)
                group["agreeing"][record["case"]] = record["agrees_with"]
        for group in found.values():
            group["explained"] = explanations(group.pop("agreeing"))
        return sorted(found.values(), key=lambda g: -g["count"])

    def script(self, known_id: str) -> str:
        """The script that is kept with a declaration."""
        return differences.kept_script(self.home, known_id)

    @property
    def new_scripts(self) -> dict[str, str]:
        """Scripts made for discrepancies that nobody declared: file name to text."""
        found = sorted((self.folder / REPROS).glob(f"{self.run.adapter}-{NEW}-*.py"))
        return {path.name: path.read_text("utf-8") for path in found}


def views(folders: Sequence[Path]) -> list[RunView]:
    """Every subject of some directories, as the page shows it."""
    return [RunView(subject.parts) for subject in collect(folders)]


def export_json(views: Sequence[RunView]) -> dict[str, Any]:
    """The JSON export (``spec/schemas/results.schema.json``)."""
    runs, results = [], []
    for view in views:
        run = view.run
        runs += [vars(part.run) for part in view.parts]
        shared = {
            "adapter": run.adapter,
            "framework": run.framework,
            "version": run.version,
            "device": run.device,
            "dtype": run.dtype,
        }
        results += [shared | record for record in view.records]
    return {"schema": "results-1", "runs": runs, "results": results}


def _clause_rows(views: Sequence[RunView]) -> list[dict[str, Any]]:
    """Clause by run: how many cases conform, of how many that ran, and how many were not expressible."""
    rows: dict[str, dict[str, Any]] = {
        name: {"name": name, "cells": [Counter() for _ in views], **entry}
        for name, entry in clauses(SPEC).items()
        if not entry["reserved"]
    }
    for k, view in enumerate(views):
        for record in view.records:
            column = view.shown(record)
            for clause in record["clauses"]:
                if clause in rows:
                    rows[clause]["cells"][k][column] += 1
    return [row for row in rows.values() if any(row["cells"])]


def _page_data(views: Sequence[RunView]) -> str:
    """Cases and one letter per case and run, for the page's own filter."""
    ids = sorted({r["case"] for view in views for r in view.records})
    position = {case: k for k, case in enumerate(ids)}
    columns = []
    for view in views:
        letters = [MISSING] * len(ids)
        details: dict[int, list[Any]] = {}
        for record in view.records:
            k = position[record["case"]]
            letters[k] = CODES[view.shown(record)]
            if letters[k] not in "pcu":
                details[k] = [record["verdict"], record["known"] or "", record["message"][:300]]
        columns.append(
            {"label": view.run.label + f" ({view.run.tier})", "letters": "".join(letters), "details": details}
        )
    data = {"cases": ids, "runs": columns, "names": {v: k for k, v in CODES.items()} | {MISSING: "no result"}}
    # "<" must not end the script element.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _argument_rows(views: Sequence[RunView], cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The table of arguments."""
    items = arguments.listed(domain(), cases)
    return [
        {
            "name": item.name,
            "clauses": item.clauses,
            "cases": len(item.cases),
            "cells": [arguments.cell(item, view.run.dtype, view.by_case, view.shown) for view in views],
        }
        for item in items
    ]


def render(views: Sequence[RunView]) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("rnn_conformance", "reporting/templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = [c for c in CODES if any(v.counts[c] for v in views)]
    for always in ("pass", "pass (composed)", "known", "unsupported"):
        if always not in columns:
            columns.append(always)
    order = list(CODES)
    cases = list(Store(check=False).cases())  # those of this installation
    by_id = {case.id: case for case in cases}
    return environment.get_template("report.html").render(
        version=__version__,
        made=now(),
        views=views,
        columns=sorted(columns, key=order.index),
        failing=(*FAULTY, "stale"),
        clause_rows=_clause_rows(views),
        argument_rows=_argument_rows(views, cases),
        causes={view.run.id: causes(view.records, by_id) for view in views},
        spreads={view.run.id: spread(view.records, by_id) for view in views},
        data=_page_data(views),
    )
