"""``rnn-conformance mutants``."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

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
from rnn_conformance.errors import ConfigurationError, Exit, NothingSelected


def _noticed_by_published(names: list[str]) -> dict[str, Any]:
    """Which variants the onnx package's own cases notice."""
    try:
        import onnx
    except ImportError as error:
        raise ConfigurationError("--published needs the onnx package: pip install onnx") from error
    from rnn_conformance import published
    from rnn_conformance.variants import REGISTRY
    from rnn_conformance.variants.base import VariantAdapter

    cases = published.cases()
    noticed = [
        name
        for name in names
        if any(published.notices(VariantAdapter(REGISTRY[name]), case) for case in cases)
    ]
    return {"version": onnx.__version__, "cases": len(cases), "noticed": noticed}


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
@click.option(
    "--published",
    is_flag=True,
    help="Also count which variants the cases that the onnx package publishes notice (needs onnx).",
)
@data_option
@format_option
def command(
    tier: str,
    wanted: str,
    enough: int,
    workers: int | None,
    published: bool,
    data: Path | None,
    style: str | None,
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
    elsewhere = _noticed_by_published([s.variant for s in found]) if published else None
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
        if elsewhere is not None:
            click.echo(
                f"noticed by the {elsewhere['cases']} cases of onnx {elsewhere['version']}, with its tolerance: "
                f"{len(elsewhere['noticed'])} of {len(found)}"
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
                "published": elsewhere,
            }
        )
    return Exit.UNEXPECTED if survivors else Exit.EXPECTED
