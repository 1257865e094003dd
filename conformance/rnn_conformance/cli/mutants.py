"""``rnn-conformance mutants``."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from rnn_conformance.proving.mutants import Score


def _noticed_by_published(names: list[str], executor: Executor) -> dict[str, Any]:
    """Which variants the onnx package's own cases notice."""
    from rnn_conformance.proving import published

    try:
        import onnx

        count = len(published.cases())
    except ImportError as error:
        raise ConfigurationError("--published needs the onnx package: pip install onnx") from error
    noticed = executor.map(published.any_notices, names, chunksize=8)
    return {
        "version": onnx.__version__,
        "cases": count,
        "noticed": [name for name, seen in zip(names, noticed, strict=True) if seen],
    }


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
@click.option(
    "--pairs", type=click.IntRange(min=0), default=0, metavar="N", help="Also N sampled pairs of variants."
)
@click.option(
    "--diagnose",
    is_flag=True,
    help="Also count for how many variants the diagnosis of their discrepancies names them first (some minutes).",
)
@click.option(
    "--matrix",
    is_flag=True,
    help="Also print how many cases of a sample of each family notice each variant, and which cases notice none (some minutes).",
)
@data_option
@format_option
def command(
    tier: str,
    wanted: str,
    enough: int,
    workers: int | None,
    published: bool,
    pairs: int,
    diagnose: bool,
    matrix: bool,
    data: Path | None,
    style: str | None,
) -> int:
    """Run every variant of the reference against a tier: which are noticed, and which survive.

    A variant is a named deviation from the specification. Exit status 1 when one is noticed by fewer cases than
    --enough, or when with --diagnose fewer than 95 % are named first.
    """
    from rich.console import Console
    from rich.progress import track

    from rnn_conformance.proving import mutants
    from rnn_conformance.proving.variants import REGISTRY, variant_of

    open_store(data)  # says what is wrong with the data, if anything is
    names = [name for name in (*REGISTRY, *mutants.sampled_pairs(pairs)) if wanted in name]
    if not names:
        raise NothingSelected(f"no variant's name contains {wanted!r}")
    console = Console(stderr=True)
    context = multiprocessing.get_context("spawn")
    folder = (data or DATA).resolve()
    found: list[Score] = []
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=context) as executor:
        running = mutants.scores(names, folder, tier, enough, executor, diagnose)
        for result in track(
            running, "variants", len(names), console=console, disable=not console.is_terminal
        ):
            found.append(result)
        rows, idle = mutants.matrix(names, folder, tier, executor) if matrix else ({}, [])
        single = [s for s in found if s.kind != "pair"]
        elsewhere = _noticed_by_published([s.variant for s in single], executor) if published else None
    survivors = [s for s in found if len(s.caught_by) < enough]
    unnamed = [s for s in single if diagnose and s.diagnosis[:1] != [s.variant]]
    if is_pretty(style):
        _print(tier, enough, found, survivors)
        if elsewhere is not None:
            click.echo(
                f"noticed by the {elsewhere['cases']} cases of onnx {elsewhere['version']}, with its tolerance: "
                f"{len(elsewhere['noticed'])} of {len(single)}"
            )
        if diagnose:
            click.echo(f"named first by the diagnosis: {len(single) - len(unnamed)} of {len(single)}")
            for s in unnamed:
                click.echo(f"not named first: {s.variant}; instead: {', '.join(s.diagnosis) or 'nothing'}")
        if matrix:
            _print_matrix(rows, idle)
        for s in survivors:
            click.echo(
                f"survivor: {s.variant} ({s.clause}): {variant_of(s.variant).summary}; noticed by {len(s.caught_by)} of {s.ran} cases"
            )
    else:
        print_json(
            {
                "schema": "mutants-1",
                "tier": tier,
                "enough": enough,
                "score": 1 - len(survivors) / len(found),
                "variants": [{**vars(s), "summary": variant_of(s.variant).summary} for s in found],
                "survivors": [s.variant for s in survivors],
                "published": elsewhere,
                "named_first": 1 - len(unnamed) / len(single) if diagnose and single else None,
                "matrix": rows if matrix else None,
                "cases_that_notice_nothing": idle if matrix else None,
            }
        )
    badly_named = diagnose and len(unnamed) > 0.05 * len(single)
    return Exit.UNEXPECTED if survivors or badly_named else Exit.EXPECTED


def _print(tier: str, enough: int, found: Sequence[Score], survivors: Sequence[Score]) -> None:
    kinds = Counter(s.kind for s in found)
    caught = Counter(s.kind for s in found if s not in survivors)
    rows = [[kind, count, caught[kind], f"{caught[kind] / count:.0%}"] for kind, count in kinds.items()]
    rows.append(["all", len(found), len(found) - len(survivors), f"{1 - len(survivors) / len(found):.1%}"])
    print_table(
        f"Variants noticed by {enough} cases or more, tier {tier}",
        ["kind", "variants", "noticed", "share"],
        rows,
    )


def _print_matrix(rows: dict[str, dict[str, tuple[int, int]]], idle: list[str]) -> None:
    families = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = [[variant, *(_cell(row.get(name)) for name in families)] for variant, row in rows.items()]
    print_table("Sampled cases that notice each variant", ["variant", *families], table)
    click.echo(f"cases that notice no variant: {len(idle)}")
    for case in idle:
        click.echo(f"  {case}")


def _cell(counts: tuple[int, int] | None) -> str:
    return "" if counts is None or not counts[0] else f"{counts[0]}/{counts[1]}"
