"""``rnn-conformance report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json

if TYPE_CHECKING:
    from rnn_conformance.reporting.changes import History

EXPORTS = ("json", "junit", "markdown", "csv", "findings", "badge", "parquet")


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("site"),
    show_default=True,
    help="Folder of the site, or file of an export (badge: .json or .svg); - is stdout.",
)
@click.option(
    "--export",
    type=click.Choice(EXPORTS),
    default=None,
    help="Write this of the newest results instead of the site.",
)
@click.option(
    "--profile",
    default=None,
    metavar="NAME",
    help="Of --export badge: whether a profile (spec/profiles.toml) holds.",
)
@format_option
def command(
    folders: tuple[Path, ...], out: Path, export: str | None, profile: str | None, style: str | None
) -> None:
    """Build the site of one or more results directories, or folders of such: of the newest runs, and what changed since those before."""
    from rnn_conformance.reporting.changes import History
    from rnn_conformance.reporting.site import build

    if profile is not None and export != "badge":
        raise click.UsageError("--profile goes with --export badge; the site tells of all profiles")
    if export is None:
        history = build(folders, out)
        target = out / "index.html"
    else:
        history = History(folders)
        written = _export(history, export, out, profile)
        if written is None:
            return
        target = written
    damaged = {view.name: view.damaged for view in history.current if view.damaged}
    for name, count in damaged.items():
        click.echo(f"{name}: {count} damaged records are left out", err=True)
    if is_pretty(style):
        click.echo(f"open {target}", err=True)
    else:
        print_json(
            {
                "schema": "report-1",
                "written": str(target),
                "runs": len(history.current),
                "damaged": sum(damaged.values()),
            }
        )


def _export(history: History, kind: str, out: Path, profile: str | None) -> Path | None:
    """Write an export; returns where, None for stdout."""
    from rnn_conformance import profiles
    from rnn_conformance.reporting import exports

    claimed = None if profile is None else profiles.find(profile)
    names = {"parquet": "results.parquet", "badge": "badge.json"}
    name = names.get(kind) or exports.TEXTS[kind][0]
    if str(out) == "-":
        if kind == "parquet":
            raise click.UsageError("Parquet is not text: --out needs a file")
        for piece in exports.text_of(history, kind, profile=claimed):
            click.echo(piece, nl=False)
        return None
    target = out / name if out.is_dir() or not out.suffix else out
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.part")
    if kind == "parquet":
        exports.write_parquet(history, unfinished)
    else:
        with unfinished.open("w", encoding="utf-8", errors="replace", newline="") as file:
            file.writelines(exports.text_of(history, kind, target.name, claimed))
    unfinished.replace(target)
    return target
