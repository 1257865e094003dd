"""``rnn-conformance arguments``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rnn_fixtures.domain import domain

from rnn_conformance.cli.common import (
    data_option,
    format_option,
    is_pretty,
    open_store,
    print_json,
    print_table,
)
from rnn_conformance.errors import Exit
from rnn_conformance.reporting import arguments


@click.command("arguments")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]...")
@data_option
@format_option
def command(folders: tuple[Path, ...], data: Path | None, style: str | None) -> int:
    """Print, for every argument, its clauses, its golden cases and, from results directories, each run's verdicts.

    Exit status 1 when an argument has no clause, no case, or no verdict from a run.
    """
    from rnn_conformance.reporting.columns import Columns
    from rnn_conformance.results.reading import collect

    items = arguments.listed(domain(), list(open_store(data).cases()))
    runs = [(subject.run, Columns(subject.records())) for subject in collect(folders)] if folders else []
    missing = arguments.gaps(items)
    rows: list[dict[str, Any]] = []
    for item in items:
        cells = {}
        for run, columns in runs:
            found = arguments.cell(item, run.dtype, columns)
            cells[run.label] = found.text
            if not found.counts and not found.reason:
                missing.append(f"{item.name}: no verdict from {run.label}")
        rows.append(
            {"argument": item.name, "clauses": item.clauses, "cases": len(item.cases), "verdicts": cells}
        )
    if is_pretty(style):
        labels = [run.label for run, _ in runs]
        table = [[r["argument"], ", ".join(r["clauses"]), r["cases"], *r["verdicts"].values()] for r in rows]
        print_table("Arguments", ["argument", "clauses", "cases", *labels], table)
        for line in missing:
            click.echo(line)
    else:
        print_json({"schema": "arguments-1", "arguments": rows, "missing": missing})
    return Exit.UNEXPECTED if missing else Exit.EXPECTED
