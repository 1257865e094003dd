"""``rnn-conformance fixtures extend|index|cache|generate|verify|lint|export``."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
from rnn_fixtures.case import DTYPES, Case
from rnn_fixtures.export.contents import Export, ExportError
from rnn_fixtures.locations import DATA, SPEC
from rnn_fixtures.store import Store, differences, write

from rnn_conformance import __version__
from rnn_conformance.cli.common import (
    data_option,
    format_option,
    is_pretty,
    open_store,
    print_json,
    require_flint,
    select_option,
    selected_cases,
    tier_option,
)
from rnn_conformance.errors import ConfigurationError, Exit, NothingSelected
from rnn_conformance.running.tasks import Shard


@click.group("fixtures")
def command() -> None:
    """Extend, index, generate, verify, lint and export the golden data; tell what is cached of the full tier."""


def _compute() -> dict[str, bytes]:
    require_flint()
    from rich.console import Console
    from rich.progress import Progress
    from rnn_fixtures.domain import domain
    from rnn_fixtures.generate import generate

    console = Console(stderr=True)
    with (
        ProcessPoolExecutor(os.cpu_count()) as executor,
        Progress(console=console, disable=not console.is_terminal) as bars,
    ):
        task = bars.add_task("golden data", total=None)
        return generate(
            domain(), executor, lambda done, total: bars.update(task, completed=done, total=total)
        )


@command.command("extend")
def extend_command() -> None:
    """Bring up to date what follows from spec/arguments.toml: the kept rows, which are only ever added to, and the schemas."""
    try:
        from rnn_fixtures import arrays
        from rnn_fixtures.domain import domain
        from rnn_fixtures.schemas import files

        groups = [group for group in domain().groups if group.is_kept]
        rows = {group.name: arrays.extended(domain(), group) for group in groups}
    except ImportError as error:
        raise ConfigurationError(
            f"extending covering arrays needs {error.name}: pip install 'rnn-conformance[generate]'"
        ) from error
    for group in groups:
        before = arrays.kept(domain(), group)
        arrays.path_of(group).write_text(arrays.to_text(domain(), group, rows[group.name]), "utf-8")
        added = sum(map(len, rows[group.name].values())) - sum(map(len, before.values()))
        if added:
            click.echo(f"{group.name}: {added} rows added")
    for name, text in files(domain()).items():
        (SPEC / "schemas" / name).write_text(text, "utf-8")


@command.command("index")
@click.option(
    "--workers", type=click.IntRange(min=1), default=None, help="Processes (default: one per core)."
)
def index_command(workers: int | None) -> None:
    """Bring the index of the full tier up to date: numbers are searched for where it has none; what it has stays."""
    require_flint()
    from rich.console import Console
    from rich.progress import Progress
    from rnn_fixtures.domain import domain
    from rnn_fixtures.full import indexing

    console = Console(stderr=True)
    with (
        ProcessPoolExecutor(workers or os.cpu_count()) as executor,
        Progress(console=console, disable=not console.is_terminal) as bars,
    ):
        task = bars.add_task("full tier", total=None)
        found = indexing.extended(
            domain(), executor, DATA, lambda done, total: bars.update(task, completed=done, total=total)
        )
    click.echo(f"{found['trajectories']} trajectories, {found['unserved']} of them without numbers", err=True)


@command.command("cache")
@click.option("--clear", is_flag=True, help="Remove it: what is asked for is computed again.")
@format_option
def cache_command(clear: bool, style: str | None) -> None:
    """Say where computed parts of the full tier, those of earlier golden data too, and programs that frameworks compiled are kept, and how much that is."""
    from rnn_fixtures.full import cache
    from rnn_fixtures.locations import cache_folder

    found = cache.kept()
    if clear:
        cache.clear()
    if is_pretty(style):
        done = "removed" if clear else "kept"
        counted = f"{found.parts} parts, {found.programs} programs, {found.size / 1e6:.1f} MB"
        click.echo(f"{counted}, {done} in {cache_folder()}")
    else:
        print_json({"schema": "cache-1", "folder": str(cache_folder()), **vars(found), "cleared": clear})


@command.command("generate")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), default=DATA, help="Folder to write."
)
def generate_command(data: Path) -> None:
    """Compute all golden data from the specification and write it."""
    files = _compute()
    write(files, data)
    click.echo(f"{len(files)} files, {sum(map(len, files.values())) / 1e6:.1f} MB in {data}", err=True)


@command.command("verify")
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="Folder to check.")
@click.option("--digests-only", is_flag=True, help="Check the files against the manifest, compute nothing.")
@click.option(
    "--tier",
    type=click.Choice(["core", "full"]),
    default="core",
    show_default=True,
    help="full: the numbers of the full tier are computed, and compared with its index, instead of the stored ones.",
)
@click.option("--shard", default="1/1", metavar="I/N", help="The I-th of N parts of the full tier.")
def verify_command(data: Path, digests_only: bool, tier: str, shard: str) -> int:
    """Check the digests, compute everything again, compare bit for bit."""
    store = Store(data)
    click.echo(f"digests agree; manifest {store.digest[:16]}", err=True)
    if digests_only:
        return Exit.EXPECTED
    if tier == "full":
        return _verify_full(data, Shard.of(shard))
    found = differences(_compute(), data)
    for difference in found:
        click.echo(difference)
    if found:
        return Exit.UNEXPECTED
    click.echo("every file was computed again, bit for bit the same", err=True)
    return Exit.EXPECTED


def _verify_full(data: Path, shard: Shard) -> int:
    from rich.console import Console
    from rich.progress import Progress

    require_flint()
    from rnn_fixtures.full.indexing import verified

    console, parts = Console(stderr=True), list(shard.parts())
    count, faults = 0, []
    with (
        ProcessPoolExecutor(os.cpu_count()) as executor,
        Progress(console=console, disable=not console.is_terminal) as bars,
    ):
        for cases, fault in bars.track(verified(executor, parts, data), total=len(parts)):
            count += cases
            faults += [fault] if fault else []
    for fault in faults:
        click.echo(fault)
    if faults:
        return Exit.UNEXPECTED
    click.echo(f"{count} cases of {len(parts)} parts were computed again, bit for bit the same", err=True)
    return Exit.EXPECTED


@command.command("lint")
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="Folder to check.")
def lint_command(data: Path) -> int:
    """Look for cases that could not fail."""
    from rnn_fixtures.lint import lint

    faults = list(lint(Store(data)))
    for case_id, fault in faults:
        click.echo(f"{case_id}: {fault}")
    click.echo(f"{len(faults)} faults", err=True)
    return Exit.UNEXPECTED if faults else Exit.EXPECTED


@command.command("export")
@click.option("--form", type=click.Choice(["onnx", "json", "npz"]), required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write: empty, or one that holds an earlier export, which is replaced.",
)
@tier_option
@select_option
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default=None,
    help="Only cases that can be compared in it. Of the form onnx also the models' dtype (default: float32); "
    "json and npz hold numbers that serve all.",
)
@data_option
def export_command(
    form: str, out: Path, tier: str, selection: str, dtype: str | None, data: Path | None
) -> None:
    """Write golden data as stand-alone vectors for other test suites.

    \b
    json  one file a layer and family: tests, and each array once
    npz   one file a case
    onnx  folders of ONNX's backend tests (needs the package onnx), each graph and data once;
          what LSTM and GRU operators cannot express is listed in not-expressible.json

    index.json says which file holds which case.
    """
    from rnn_fixtures.export import folder

    store = open_store(data)
    cases = selected_cases(store, tier, selection)
    if dtype is not None and form != "onnx":
        cases = [case for case in cases if dtype in case.dtypes]
        if not cases:
            raise NothingSelected(f"no case that is selected can be compared in {dtype}")
    provenance = {"generatorVersion": __version__, "fixtures": store.digest}
    try:
        content = _exported(form, cases, store, dtype, provenance)
        files, size = folder.save(out, content, provenance)
    except ExportError as error:
        raise ConfigurationError(str(error)) from error
    left = content.more.get("notExpressible")
    more = f"; {left} cases cannot be expressed, see not-expressible.json" if left else ""
    click.echo(f"{len(content.tests)} cases in {files} files, {size / 1e6:.1f} MB in {out}{more}", err=True)


def _exported(
    form: str, cases: list[Case], store: Store, dtype: str | None, provenance: dict[str, str]
) -> Export:
    from rnn_fixtures.export import json, npz, onnx

    match form:
        case "json":
            return json.export(cases, store, provenance)
        case "npz":
            return npz.export(cases, store)
    content = onnx.export(cases, store, dtype or "float32", __version__)
    if not content.tests:
        raise NothingSelected(f"LSTM and GRU operators express none of the {len(cases)} selected cases")
    return content
