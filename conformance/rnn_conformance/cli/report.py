"""``rnn-conformance report``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rnn_conformance import report


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("site"),
    show_default=True,
    help="Folder of the report, or file of an export; - is stdout.",
)
@click.option(
    "--export", type=click.Choice(["json"]), default=None, help="Write this instead of the HTML page."
)
def command(folders: tuple[Path, ...], out: Path, export: str | None) -> None:
    """Build the report of the newest runs in one or more results directories, or folders of such."""
    views = report.collect(folders)
    if export == "json":
        text = json.dumps(report.export_json(views), indent=1) + "\n"
        target = out / "results.json" if out.is_dir() or not out.suffix else out
    else:
        text = report.render(views)
        target = out / "index.html"
    if str(out) == "-":
        click.echo(text, nl=False)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    click.echo(f"open {target}", err=True)
