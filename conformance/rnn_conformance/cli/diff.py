"""``rnn-conformance diff``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json
from rnn_conformance.errors import ConfigurationError, Exit

if TYPE_CHECKING:
    from rnn_conformance.reporting.changes import Changes
    from rnn_conformance.reporting.views import View

# Of each kind of change so many cases are printed for a person.
SHOWN = 20
KINDS = {
    "regressed": "regressed",
    "fixed": "fixed",
    "moved": "otherwise changed",
    "new_cases": "new",
    "gone": "without a result now",
    "drifted": "drifted within the limit of z",
}


@click.command("diff")
@click.argument("old", type=click.Path(path_type=Path, file_okay=False))
@click.argument("new", type=click.Path(path_type=Path, file_okay=False))
@format_option
def command(old: Path, new: Path, style: str | None) -> int:
    """What changed from one results directory to another: regressed, fixed, new, drifted, and versions.

    Implementations are matched by adapter, device, dtype and settings, whatever their versions; of each the newest results are compared, and only
    where both were measured against the same golden data. Exit status 1 if anything regressed.
    """
    from rnn_conformance.reporting.changes import Changes
    from rnn_conformance.reporting.headline import sentence

    before, after = (_newest(folder) for folder in (old, new))
    shared = sorted(before.keys() & after.keys())
    if not shared:
        raise ConfigurationError(f"{old} and {new} have no adapter, device, dtype and settings in common")
    changes = [Changes(before[line], after[line]) for line in shared]
    only = {
        "old": [" ".join(filter(None, line)) for line in sorted(before.keys() - after.keys())],
        "new": [" ".join(filter(None, line)) for line in sorted(after.keys() - before.keys())],
    }
    text, notes = sentence(changes)
    if is_pretty(style):
        click.echo(f"{text}.")
        for note in notes:
            click.echo(note)
        for which, lines in only.items():
            if lines:
                click.echo(f"only in {which}: {', '.join(lines)}")
        for change in changes:
            _print(change)
    else:
        print_json(
            {
                "schema": "diff-1",
                "summary": text,
                "notes": notes,
                "only_in_old": only["old"],
                "only_in_new": only["new"],
                "implementations": [_as_json(change) for change in changes],
            }
        )
    return Exit.UNEXPECTED if any(change.regressed for change in changes) else Exit.EXPECTED


def _newest(folder: Path) -> dict[tuple[str, ...], View]:
    from rnn_conformance.reporting.changes import History

    return {line: views[-1] for line, views in History([folder]).nights.items()}


def _as_json(change: Changes) -> dict[str, Any]:
    run = change.new.run
    return {
        "adapter": run.adapter,
        "device": run.device,
        "settings": run.settings,
        "dtype": run.dtype,
        "framework": run.framework,
        "old_version": change.old.run.version,
        "new_version": run.version,
        "comparable": change.comparable,
        "packages": {name: list(pair) for name, pair in change.packages.items()},
        **{kind: [vars(entry) for entry in getattr(change, kind)] for kind in KINDS},
    }


def _print(change: Changes) -> None:
    run = change.new.run
    click.echo(
        f"\n{run.label}: {run.framework} {change.old.run.version} ({change.old.run.started[:10]}) -> {run.version} ({run.started[:10]})"
    )
    if not change.comparable:
        click.echo("  the golden data changed: nothing is compared")
    for name, (was, now) in change.packages.items():
        click.echo(f"  {name}: {was or 'none'} -> {now or 'none'}")
    for kind, title in KINDS.items():
        entries = getattr(change, kind)
        for entry in entries[:SHOWN]:
            click.echo(f"  {title}: {entry.case}: {entry.old or 'no result'} -> {entry.new or 'no result'}")
        if len(entries) > SHOWN:
            click.echo(f"  {title}: {len(entries) - SHOWN} more")
