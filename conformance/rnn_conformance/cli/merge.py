"""``rnn-conformance merge``."""

from __future__ import annotations

from pathlib import Path

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json
from rnn_conformance.results.database import Results


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@format_option
def command(folders: tuple[Path, ...], out: Path, style: str | None) -> None:
    """Join the results of several machines or shards; runs already in OUT are kept once."""
    sources = [Results(folder) for folder in folders]  # all readable before anything is written
    with Results(out, create=True) as target:
        taken = [target.absorb(source) for source in sources]
        runs, records = (sum(column) for column in zip(*taken, strict=True))
        held = len(target.runs())
    for source in sources:
        source.close()
    if is_pretty(style):
        click.echo(f"{runs} runs and {records} results added; {out} holds {held} runs")
    else:
        print_json(
            {"schema": "merge-1", "out": str(out), "runs_added": runs, "results_added": records, "runs": held}
        )
