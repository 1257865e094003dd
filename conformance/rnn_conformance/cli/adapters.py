"""``rnn-conformance adapters``."""

from __future__ import annotations

from importlib.metadata import entry_points, metadata
from pathlib import Path
from typing import Any

import click
from packaging.utils import canonicalize_name

from rnn_conformance.cli.common import (
    data_option,
    format_option,
    is_pretty,
    open_store,
    print_json,
    print_table,
    provider_library_option,
    selected_cases,
)
from rnn_conformance.contract.adapter import DTYPES
from rnn_conformance.errors import Exit
from rnn_conformance.running.registry import GROUP


@click.group("adapters")
def command() -> None:
    """List the adapters that are declared; begin a new one; check one."""


def declared() -> list[dict[str, Any]]:
    """Every declared adapter: where it comes from, and the extra of that distribution that installs its framework."""
    found = []
    for entry in sorted(entry_points(group=GROUP)):
        distribution = entry.dist.name if entry.dist is not None else ""
        extras = metadata(distribution).get_all("Provides-Extra") or [] if distribution else []
        own = next(
            (extra for extra in extras if canonicalize_name(extra) == canonicalize_name(entry.name)), None
        )
        requirement = f"{distribution}[{own}]" if own else distribution
        found.append(
            {
                "name": entry.name,
                "target": entry.value,
                "distribution": distribution,
                "extra": own,
                "requirement": requirement,
            }
        )
    return found


@command.command("list")
@format_option
def list_(style: str | None) -> None:
    """List them, with the requirement that installs each; nothing of them is imported.

    tox, CI and nightly jobs take their matrix from ``--format json``. `rnn-conformance doctor` tells which can run here.
    """
    found = declared()
    if is_pretty(style):
        rows = [[e["name"], e["requirement"], e["target"]] for e in found]
        print_table("Adapters", ["adapter", "installed by", "target"], rows)
    else:
        print_json({"schema": "adapters-1", "adapters": found})


@command.command("new")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Default: a folder of the name.",
)
@format_option
def new(name: str, out: Path | None, style: str | None) -> None:
    """Write a package for an adapter of your own: the adapter, its entry point, tests, tox and a CI workflow."""
    from rnn_conformance.guide.scaffold import write

    folder = out or Path(name)
    written = write(name, folder)
    if is_pretty(style):
        for path in written:
            click.echo(path)
        click.echo(
            f"next: pip install -e {folder} && rnn-conformance adapters check {name.lower()}", err=True
        )
    else:
        print_json({"schema": "adapters-new-1", "written": [str(path) for path in written]})


# So many reasons that leave cases out are told.
NEXT = 8


@command.command("check")
@click.argument("name")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, metavar="S"
)
@provider_library_option
@data_option
@format_option
def check(name: str, dtype: str, device: str, timeout: float, data: Path | None, style: str | None) -> int:
    """Check an adapter: NAME, module:Class, path.py:Class or cmd:PROGRAM.

    The smoke tier, message by message; determinism; that what is claimed is shown; and that its outputs, spoilt on their way, do not pass. It ends
    with what would bring most cases next. Exit status 1 when a step fails.
    """
    from rnn_conformance.judging import differences
    from rnn_conformance.proving.contract_check import check as steps_of
    from rnn_conformance.proving.contract_check import left_out
    from rnn_conformance.running.registry import resolve
    from rnn_conformance.running.remote import RemoteAdapter
    from rnn_conformance.running.session import Limits, Session

    ref, store = resolve(name), open_store(data)
    smoke, core = (selected_cases(store, tier, f"dtype={dtype}") for tier in ("smoke", "core"))
    steps = []
    with Session(ref, Limits(timeout)) as session:
        adapter = RemoteAdapter(session)
        what = adapter.describe()
        declared_here = differences.load(ref.folder, ref.name, what, device)
        for step in steps_of(adapter, what, declared_here, store, smoke, dtype, device):
            steps.append(step)
            if is_pretty(style):
                mark = {True: "ok", False: "FAILS", None: "nothing to look at"}[step.ok]
                click.echo(f"{step.name}: {mark}" + (f" ({step.detail})" if step.detail else ""))
        reasons = left_out(adapter, core, dtype, device)
    failed = any(step.ok is False for step in steps)
    if is_pretty(style):
        if reasons:
            left = sum(count for _, count in reasons)
            click.echo(
                f"\n{len(core) - left:,} of {len(core):,} cases of the core tier are asked for. Left out, and why:"
            )
            for reason, count in reasons[:NEXT]:
                click.echo(f"  {count:6,}  {reason}")
        click.echo(
            "\nnext: mend what fails"
            if failed
            else f"\nnext: rnn-conformance run --adapter {name}; or widen the capabilities"
        )
    else:
        print_json(
            {
                "schema": "adapters-check-1",
                "adapter": name,
                "ok": not failed,
                "steps": [vars(step) for step in steps],
                "left_out": [{"reason": reason, "cases": count} for reason, count in reasons],
            }
        )
    return Exit.UNEXPECTED if failed else Exit.EXPECTED
