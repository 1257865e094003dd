"""Results for other programs: JSON, JUnit, Markdown, CSV, Parquet, a badge. All of them are written record by record."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from rnn_fixtures.store import Store

from rnn_conformance.errors import ConfigurationError
from rnn_conformance.judging.differences import is_unexpected
from rnn_conformance.profiles import Profile, standing
from rnn_conformance.reporting.changes import History
from rnn_conformance.reporting.headline import headline
from rnn_conformance.reporting.matrix import Cell
from rnn_conformance.reporting.views import Finding, View, grouped

# The columns of CSV and Parquet: what an exported record has, but for nested data.
COLUMNS = tuple(
    """run adapter framework version device settings dtype case family clauses mode path verdict known z z_strict rms_z bias_z max_abs_error
    output index first_step agrees_with message seconds""".split()
)
NUMBERS = ("z", "z_strict", "rms_z", "bias_z", "max_abs_error", "seconds")
# A summary lists so many unexpected cases; a job summary of GitHub may have 1 MiB.
LISTED, TEXT = 50, 300
# So many rows of a Parquet file are written together.
GROUP = 1 << 14
# Characters that XML has no place for.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _shared(view: View) -> dict[str, str]:
    run = view.run
    names = ("adapter", "framework", "version", "device", "settings", "dtype")
    return {name: getattr(run, name) for name in names}


def as_json(history: History) -> Iterator[str]:
    """``spec/schemas/results.schema.json``."""
    views = history.current
    runs = [vars(part.run) for view in views for part in view.parts]
    yield '{\n "schema": "results-1",\n "runs": ' + json.dumps(runs, indent=1) + ',\n "results": ['
    start = "\n  "
    for view in views:
        shared = _shared(view)
        for record in view.records():
            yield start + json.dumps(shared | record)
            start = ",\n  "
    yield "\n ]\n}\n"


def _rows(view: View) -> Iterator[dict[str, Any]]:
    shared = _shared(view)
    for record in view.records():
        where = record["where"] or {}
        yield shared | {
            **{name: record.get(name) for name in COLUMNS if name in record},
            "clauses": " ".join(record["clauses"]),
            "agrees_with": " ".join(record["agrees_with"]),
            "output": where.get("output"),
            "index": " ".join(map(str, where.get("index", ()))) or None,
            "first_step": where.get("first_step"),
        }


def as_csv(history: History) -> Iterator[str]:
    """One line for each result; `COLUMNS`."""
    line = io.StringIO()
    writer = csv.DictWriter(line, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for view in history.current:
        for row in _rows(view):
            writer.writerow(row)
            yield line.getvalue()
            line.seek(0)
            line.truncate()
    yield line.getvalue()


def as_junit(history: History) -> Iterator[str]:
    """A suite for each implementation; declared discrepancies and what cannot be expressed are skipped, with the reason."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="rnn-conformance">\n'
    for view in history.current:
        columns = view.columns
        skipped = view.counts["known"] + view.counts["unsupported"]
        yield (
            f'<testsuite name={_attribute(view.name)} tests="{len(columns)}" failures="{view.bad}" errors="0" skipped="{skipped}" '
            f'time="{columns.seconds:.3f}" timestamp={_attribute(view.run.started)}>\n'
        )
        for record in view.records():
            yield _testcase(view, record)
        yield "</testsuite>\n"
    yield "</testsuites>\n"


def _testcase(view: View, record: dict[str, Any]) -> str:
    verdict, message = record["verdict"], record["message"]
    group, name = _attribute(f"{view.name}.{record['family']}"), _attribute(record["case"])
    head = f'<testcase classname={group} name={name} time="{record["seconds"]:.3f}"'
    if verdict == "pass":
        return f"{head}/>\n"
    if is_unexpected(verdict, record["known"]):
        body = f"{message}\nclauses: {' '.join(record['clauses'])}\nagrees with: {', '.join(record['agrees_with']) or 'nothing known'}"
        return f"{head}><failure type={_attribute(verdict)} message={_attribute(message[:TEXT])}>{escape(_clean(body))}</failure></testcase>\n"
    reason = f"known: {record['known']}" if record["known"] else message
    return f"{head}><skipped message={_attribute(reason[:TEXT])}/></testcase>\n"


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _attribute(text: str) -> str:
    return quoteattr(_clean(text), {"\n": "&#10;"})


def as_markdown(history: History) -> Iterator[str]:
    """A summary of a page or two."""
    told = headline(history)
    yield f"# LSTM and GRU conformance\n\n{_plain(told.text)}\n\n"
    yield from (f"{_plain(note)}\n\n" for note in told.notes)
    if not history.current:
        return
    yield "| implementation | passed of applicable | known | unexpected | unproved | unsupported |\n| --- | ---: | ---: | ---: | ---: | ---: |\n"
    for view in history.current:
        cell, unproved = Cell(view.counts), view.counts["unproved"]
        yield (
            f"| {_plain(view.name)} | {cell.passed:,} of {cell.applicable:,} | {view.counts['known']:,} | "
            f"{cell.bad - unproved:,} | {unproved:,} | {view.counts['unsupported']:,} |\n"
        )
    bad = [(view, record) for view in history.current for record in view.unexpected]
    if bad:
        yield f"\n## Unexpected: {len(bad):,}\n\n"
        for view, record in bad[:LISTED]:
            yield f"* {_plain(view.run.label)}: `{_plain(record['case'])}` {record['verdict']}: {_plain(record['message'][:TEXT])}\n"
        if len(bad) > LISTED:
            yield f"\n{LISTED} of {len(bad):,} are listed.\n"


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    text = " ".join(_clean(text).split())
    return re.sub(r"([\\`*_{}\[\]<>|#!~&])", r"\\\1", text)


def as_findings(history: History) -> Iterator[str]:
    """Every discrepancy by cause, as a page of Markdown."""
    yield "# Findings\n\nEvery discrepancy of a framework that the golden data show, by cause; made from results by `rnn-conformance report RESULTS --export findings`. The scripts need the framework and NumPy alone, and end with status 1 while they show it.\n"
    store = Store(check=False)
    cases = {case.id: case for case in store.cases()}
    for adapter, own in grouped(view.findings(cases) for view in history.current).items():
        yield f"\n## {_plain(adapter)}\n"
        for group in own:
            yield from _finding(group["seen"], known=group["known"])


def _finding(seen: Sequence[Finding], *, known: bool) -> Iterator[str]:
    first = seen[0]
    yield f"\n### {_plain(first.cause.name)}{'' if known else ' (unexpected)'}\n\n"
    names = [
        f"{f.view.run.framework} {f.view.run.version} {f.view.run.where} {f.view.run.dtype}" for f in seen
    ]
    yield f"Seen in {_plain(', '.join(names))}; {first.clause or 'no clause'}; {len(first.examples)} cases, such as `{_code(first.examples[0]['case'])}`.\n\n"
    if first.entry.get("reason"):
        yield f"{_plain(first.entry['reason'])}.\n\n"
    if first.cause.takes:
        yield f"It {_plain(first.cause.taken)}.\n\n"
    if first.link:
        yield f"Upstream: <{first.link}>\n\n"
    if first.script:
        language = "javascript" if first.script.startswith("//") else "python"
        yield f"```{language}\n{_clean(first.script).replace('```', '')}```\n"


def _code(text: str) -> str:
    return _clean(text).replace("`", "'")


def badge(history: History) -> dict[str, Any]:
    """Counts of all implementations, as shields.io's endpoint reads them."""
    cells = [Cell(view.counts) for view in history.current]
    passed, applicable, bad = (
        sum(getattr(cell, name) for cell in cells) for name in ("passed", "applicable", "bad")
    )
    message = f"{passed:,} of {applicable:,} pass" if cells else "no results"
    if bad:
        message += f", {bad:,} unexpected"
    color = "inactive" if not cells else "critical" if bad else "success"
    return {"schemaVersion": 1, "label": "rnn-conformance", "message": message, "color": color}


_COLORS = {"success": "#2a7d46", "critical": "#b3261e", "inactive": "#6b6f76"}


def profile_badge(history: History, profile: Profile) -> dict[str, Any]:
    """Whether all implementations in the profile's dtype hold it."""
    members = profile.members(Store(check=False).cases())
    found = [
        standing(profile, members, v.columns.shown) for v in history.current if v.run.dtype == profile.dtype
    ]
    held = sum(one.holds for one in found)
    message = (
        "no results" if not found else "holds" if held == len(found) else f"{held} of {len(found)} hold it"
    )
    if len(found) == 1 and not held:
        message = f"{found[0].passed:,} of {profile.cases:,} pass"
    color = "inactive" if not found else "success" if held == len(found) else "critical"
    return {
        "schemaVersion": 1,
        "label": f"rnn {profile.id} {profile.version}",
        "message": message,
        "color": color,
    }


def badge_svg(told: Mapping[str, Any]) -> str:
    """The picture of a badge."""
    label, message = told["label"], told["message"]
    left, right = 7 * len(label) + 12, 7 * len(message) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{label}: {message}">'
        f'<rect width="{left}" height="20" fill="#444950"/><rect x="{left}" width="{right}" height="20" fill="{_COLORS[told["color"]]}"/>'
        f'<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle"><text x="{left / 2}" y="14">{label}</text>'
        f'<text x="{left + right / 2}" y="14">{message}</text></g></svg>\n'
    )


TEXTS: dict[str, tuple[str, Callable[[History], Iterator[str]]]] = {
    "json": ("results.json", as_json),
    "junit": ("results.xml", as_junit),
    "markdown": ("summary.md", as_markdown),
    "csv": ("results.csv", as_csv),
    "findings": ("findings.md", as_findings),
}


def text_of(history: History, kind: str, name: str = "", profile: Profile | None = None) -> Iterator[str]:
    """An export as text, piece by piece; a badge, of a profile or of all results, is a picture where the file's name ends in ``.svg``."""
    if kind == "badge":
        told = badge(history) if profile is None else profile_badge(history, profile)
        return iter([badge_svg(told) if name.endswith(".svg") else json.dumps(told) + "\n"])
    return TEXTS[kind][1](history)


def write_parquet(history: History, path: Path) -> None:
    """`COLUMNS` as a Parquet file; a z that is infinite is infinite there.

    Raises
    ------
    ConfigurationError
        Where pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            "--export parquet needs pyarrow: pip install 'rnn-conformance[parquet]'"
        ) from error
    types = {name: pa.float64() if name in NUMBERS else pa.string() for name in COLUMNS}
    schema = pa.schema([*((n, t) for n, t in types.items() if n != "first_step"), ("first_step", pa.int64())])
    with pq.ParquetWriter(path, schema) as writer:
        for view in history.current:
            found = _rows(view)
            while rows := list(islice(found, GROUP)):
                columns = {name: [_cell(row.get(name), name) for row in rows] for name in schema.names}
                writer.write_table(pa.table(columns, schema=schema))


def _cell(value: Any, name: str) -> Any:
    if value is None or name == "first_step":
        return value
    return float(value) if name in NUMBERS else str(value).encode("utf-8", "replace").decode()
