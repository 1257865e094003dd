"""``rnn-conformance merge``."""

from __future__ import annotations

from pathlib import Path

import click

from rnn_conformance.results import Results


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
def command(folders: tuple[Path, ...], out: Path) -> None:
    """Join the results of several machines or shards; runs already in OUT are kept once."""
    sources = [Results(folder) for folder in folders]  # all readable before anything is written
    with Results(out, create=True) as target:
        taken = sum(target.absorb(source) for source in sources)
        click.echo(f"{taken} runs added, {len(target.runs())} in {out}", err=True)
    for source in sources:
        source.close()
