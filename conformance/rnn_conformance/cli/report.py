"""``rnn-conformance report``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json
from rnn_conformance.reporting import page


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
@format_option
def command(folders: tuple[Path, ...], out: Path, export: str | None, style: str | None) -> None:
    """Build the report of the newest runs in one or more results directories, or folders of such."""
    views = page.views(folders)
    for view in views:
        if view.damaged:
            click.echo(
                f"{view.run.label}: {view.damaged} damaged records in {view.folder} are left out", err=True
            )
    if export == "json":
        text = json.dumps(page.export_json(views), indent=1) + "\n"
        target = out / "results.json" if out.is_dir() or not out.suffix else out
    else:
        text = page.render(views)
        target = out / "index.html"
    if str(out) == "-":
        click.echo(text, nl=False)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    if is_pretty(style):
        click.echo(f"open {target}", err=True)
    else:
        print_json(
            {
                "schema": "report-1",
                "written": str(target),
                "runs": len(views),
                "damaged": sum(view.damaged for view in views),
            }
        )
