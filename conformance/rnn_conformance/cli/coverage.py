"""``rnn-conformance coverage``."""

from __future__ import annotations

from pathlib import Path

import click
from rnn_fixtures.case import TIERS
from rnn_fixtures.coverage import clause_coverage, combination_coverage, group_coverage
from rnn_fixtures.domain import clauses, domain

from rnn_conformance.cli.common import (
    any_tier_option,
    data_option,
    format_option,
    is_pretty,
    open_store,
    print_json,
    print_table,
    select,
)


@click.command("coverage")
@any_tier_option
@click.option(
    "--strength",
    type=click.IntRange(1, 4),
    default=3,
    show_default=True,
    help="Arguments of the family forward at a time.",
)
@data_option
@format_option
def command(tier: str, strength: int, data: Path | None, style: str | None) -> None:
    """Count which combinations of argument levels a tier's cases hold; trace clauses to cases and variants."""
    from rnn_fixtures.full import computing, index

    from rnn_conformance.proving.variants import REGISTRY

    store = open_store(data)
    cases = select(store.cases(), tier, "")
    counted = [combination_coverage(domain(), cases, layer, "forward", strength) for layer in domain().layers]
    groups = [
        group_coverage(domain(), cases, layer, group)
        if group.tier != "full"
        else computing.coverage(domain(), group, layer, index.read(store.folder))
        for group in domain().groups
        for layer in domain().layers
        if group.strength != "aliases" and TIERS.index(group.tier) <= TIERS.index(tier)
    ]
    untested = clause_coverage(cases)
    violated = {v.clause for v in REGISTRY.values()}
    trace = [
        {
            "clause": name,
            "cases": sum(name in c.clauses for c in cases),
            "variants": [v.name for v in REGISTRY.values() if v.clause == name],
        }
        for name in clauses()
    ]
    if is_pretty(style):
        rows = [[c.layer, c.strength, c.feasible, c.covered, f"{c.share:.2%}"] for c in counted]
        print_table(
            f"{strength}-way combinations of arguments, tier {tier}",
            ["layer", "strength", "feasible", "covered", "share"],
            rows,
        )
        print_table(
            f"groups of arguments that interact, tier {tier}",
            ["family", "group", "layer", "strength", "feasible", "covered"],
            [[c.family, c.group, c.layer, c.strength, c.feasible, c.covered] for c in groups],
        )
        click.echo("not counted as an argument: size (its levels meet every other level but activations)")
        click.echo("clauses without a case: " + (", ".join(untested) or "none"))
        click.echo(
            "clauses without a variant: " + (", ".join(c for c in clauses() if c not in violated) or "none")
        )
    else:
        print_json(
            {
                "schema": "coverage-1",
                "tier": tier,
                "not_counted": ["size"],
                "combinations": [{**vars(c), "missing": c.missing[:50]} for c in counted],
                "groups": [{**vars(c), "missing": c.missing[:50]} for c in groups],
                "clauses_without_case": untested,
                "clauses": trace,
            }
        )
