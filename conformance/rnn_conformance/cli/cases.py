"""``rnn-conformance cases``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import click
from rnn_fixtures.case import Case

from rnn_conformance import profiles
from rnn_conformance.cli.common import (
    any_tier_option,
    data_option,
    format_option,
    is_pretty,
    nothing,
    open_store,
    select,
    select_option,
)
from rnn_conformance.errors import NothingSelected
from rnn_conformance.running.tasks import full_cases

KEYS = ("id", "family", "layer", "tier", "arguments", "size", "claims", "clauses", "dtypes")


@click.command("cases")
@any_tier_option
@select_option
@click.option("--profile", default=None, metavar="NAME", help="Those of a profile (spec/profiles.toml).")
@data_option
@format_option
def command(tier: str, selection: str, profile: str | None, data: Path | None, style: str | None) -> None:
    """List cases: their ids, or with --format json their arguments, clauses and dtypes too."""
    store = open_store(data)
    cases: Iterable[Case] = select(store.cases(), tier, selection)
    if profile is not None:
        cases = profiles.find(profile).members(cases)
    elif tier == "full":
        cases = itertools.chain(cases, full_cases(store.folder, selection))
    count = _print(cases, is_pretty(style))
    if not count:
        raise NothingSelected(nothing(tier, selection))


def _print(cases: Iterable[Case], pretty: bool) -> int:
    """One after another: those of the full tier are never in memory together."""
    count = 0
    for count, case in enumerate(cases, start=1):
        if pretty:
            click.echo(case.id)
            continue
        click.echo(",\n" if count > 1 else '{"schema": "cases-1", "cases": [\n', nl=False)
        click.echo(json.dumps({k: v for k, v in case.to_json().items() if k in KEYS}), nl=False)
    if count and pretty:
        click.echo(f"{count} cases", err=True)
    elif count:
        click.echo("\n]}")
    return count
