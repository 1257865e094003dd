"""``rnn-conformance cases``."""

from __future__ import annotations

from pathlib import Path

import click

from rnn_conformance import profiles
from rnn_conformance.cli.common import (
    data_option,
    format_option,
    is_pretty,
    open_store,
    print_json,
    select_option,
    selected_cases,
    tier_option,
)


@click.command("cases")
@tier_option
@select_option
@click.option("--profile", default=None, metavar="NAME", help="Those of a profile (spec/profiles.toml).")
@data_option
@format_option
def command(tier: str, selection: str, profile: str | None, data: Path | None, style: str | None) -> None:
    """List cases: their ids, or with --format json their arguments, clauses and dtypes too."""
    cases = selected_cases(open_store(data), tier, selection)
    if profile is not None:
        cases = profiles.find(profile).members(cases)
    if is_pretty(style):
        click.echo("\n".join(c.id for c in cases))
        click.echo(f"{len(cases)} cases", err=True)
    else:
        keys = ("id", "family", "layer", "tier", "arguments", "size", "claims", "clauses", "dtypes")
        listed = [{k: v for k, v in c.to_json().items() if k in keys} for c in cases]
        print_json({"schema": "cases-1", "cases": listed})
