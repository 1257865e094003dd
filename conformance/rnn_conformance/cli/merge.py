"""``rnn-conformance merge``."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json
from rnn_conformance.results.database import Results
from rnn_conformance.results.importing import read_export
from rnn_conformance.results.reading import directories
from rnn_conformance.running.adapter_ref import REPROS


@click.command("merge")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@format_option
def command(sources: tuple[Path, ...], out: Path, style: str | None) -> None:
    """Join results of several machines, shards or nights: directories, folders of such, or exported JSON files.

    Runs that are in OUT already are kept once. A JSON file is checked against the schema first.
    """
    folders = [
        folder
        for source in sources
        if not source.is_file()
        for folder in directories(source)
        if folder.resolve() != out.resolve()
    ]
    exported = [found for source in sources if source.is_file() for found in read_export(source)]
    with ExitStack() as stack:
        # All of them readable before anything is written.
        others = [stack.enter_context(Results(folder)) for folder in folders]
        target = stack.enter_context(Results(out, create=True))
        taken = [target.absorb(other) for other in others]
        taken += [target.take_over(run, records) for run, records in exported]
        runs, records = (sum(pair[k] for pair in taken) for k in (0, 1))
        held = len(target.runs())
    for folder in folders:  # scripts that `repro --results` wrote
        if (folder / REPROS).is_dir():
            shutil.copytree(folder / REPROS, out / REPROS, dirs_exist_ok=True)
    if is_pretty(style):
        click.echo(f"{runs} runs and {records} results added; {out} holds {held} runs")
    else:
        print_json(
            {"schema": "merge-1", "out": str(out), "runs_added": runs, "results_added": records, "runs": held}
        )
