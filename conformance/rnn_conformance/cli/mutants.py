"""``rnn-conformance mutants``."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
from rnn_fixtures.locations import DATA

from rnn_conformance.cli.common import (
    data_option,
    format_option,
    is_pretty,
    open_store,
    print_json,
    print_table,
    tier_option,
)
from rnn_conformance.errors import Exit, NothingSelected


@click.command("mutants")
@tier_option
@click.option(
    "--variant", "wanted", default="", metavar="TEXT", help="Only variants whose name contains this."
)
@click.option(
    "--enough",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Cases that must notice a variant.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=None, help="Processes (default: one per core)."
)
@data_option
@format_option
def command(
    tier: str, wanted: str, enough: int, workers: int | None, data: Path | None, style: str | None
) -> int:
    """Run every variant of the reference against a tier: which are noticed, and which survive.

    A variant is a named deviation from the specification. Exit status 1 when one is noticed by fewer cases than
    --enough.
    """
    from rich.console import Console
    from rich.progress import track

    from rnn_conformance.mutants import Score, scores
    from rnn_conformance.variants import REGISTRY

    open_store(data)  # says what is wrong with the data, if anything is
    names = [name for name in REGISTRY if wanted in name]
    if not names:
        raise NothingSelected(f"no variant's name contains {wanted!r}")
    console = Console(stderr=True)
    context = multiprocessing.get_context("spawn")
    found: list[Score] = []
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=context) as executor:
        running = scores(names, (data or DATA).resolve(), tier, enough, executor)
        for result in track(
            running, "variants", len(names), console=console, disable=not console.is_terminal
        ):
            found.append(result)
    survivors = [s for s in found if len(s.caught_by) < enough]
    kinds = Counter(s.kind for s in found)
    caught = Counter(s.kind for s in found if s not in survivors)
    if is_pretty(style):
        rows = [[kind, count, caught[kind], f"{caught[kind] / count:.0%}"] for kind, count in kinds.items()]
        rows.append(
            ["all", len(found), len(found) - len(survivors), f"{1 - len(survivors) / len(found):.1%}"]
        )
        print_table(
            f"Variants noticed by {enough} cases or more, tier {tier}",
            ["kind", "variants", "noticed", "share"],
            rows,
        )
        for s in survivors:
            click.echo(
                f"survivor: {s.variant} ({s.clause}): {REGISTRY[s.variant].summary}; noticed by {len(s.caught_by)} of {s.ran} cases"
            )
    else:
        print_json(
            {
                "schema": "mutants-1",
                "tier": tier,
                "enough": enough,
                "score": 1 - len(survivors) / len(found),
                "variants": [{**vars(s), "summary": REGISTRY[s.variant].summary} for s in found],
                "survivors": [s.variant for s in survivors],
            }
        )
    return Exit.UNEXPECTED if survivors else Exit.EXPECTED
