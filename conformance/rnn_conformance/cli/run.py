"""``rnn-conformance run``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rnn_fixtures.case import DTYPES
from rnn_fixtures.locations import DATA
from rnn_fixtures.store import DataError, Store

from rnn_conformance import profiles
from rnn_conformance.cases import Cases, full_digest
from rnn_conformance.cli.common import (
    any_tier_option,
    data_option,
    format_option,
    is_pretty,
    nothing,
    open_store,
    print_json,
    print_table,
    provider_library_option,
    require_flint,
    select,
    select_option,
    setting_option,
    with_settings,
)
from rnn_conformance.contract.adapter import Description
from rnn_conformance.errors import AdapterNotInstalled, ConfigurationError, Exit, NothingSelected
from rnn_conformance.explaining.explain import explain
from rnn_conformance.reporting.summary import standings, summary
from rnn_conformance.results.database import Results
from rnn_conformance.results.run import Run
from rnn_conformance.running import runner
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.cluster import Cluster
from rnn_conformance.running.options import Options
from rnn_conformance.running.registry import installed, resolve
from rnn_conformance.running.tasks import Shard, full_count
from rnn_conformance.selection import compile_selection


class _Display(runner.Progress):
    """A progress bar per adapter on stderr; plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._live,
        )
        self._tasks: dict[str, Any] = {}
        self._left: dict[str, int] = {}

    def adapter_started(self, ref: AdapterRef, what: Description, total: int) -> None:
        self._tasks[ref.label] = self.bars.add_task(
            f"{ref.label} ({what.framework} {what.version})", total=total
        )
        self._left[ref.label] = total
        if not self._live:
            click.echo(f"{ref.label}: {what.framework} {what.version}, {total} results to come", err=True)

    def adapter_failed(self, ref: AdapterRef, reason: str) -> None:
        self._console.print(reason, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def explaining(self, run: Run) -> Callable[[int], None]:
        """What is told of the discrepancies of a run that have been explained."""
        task = self.bars.add_task(f"{run.label}: explaining", total=None, visible=False)
        return lambda count: self.bars.update(task, advance=count, visible=True)

    def records(self, ref: AdapterRef, count: int) -> None:
        self.bars.advance(self._tasks[ref.label], count)
        self._left[ref.label] -= count
        if not self._live and self._left[ref.label] == 0:
            click.echo(f"{ref.label}: done", err=True)


def _beyond(part: Shard, store: Store, dtypes: list[str], selection: str) -> dict[str, int]:
    """How many cases of the full tier there are beyond the stored ones, in each dtype."""
    from rich.console import Console

    require_flint()
    with Console(stderr=True).status("counting the cases of the full tier"):
        try:
            return full_count(part, store.folder, dtypes, selection)
        except DataError as error:
            raise ConfigurationError(str(error)) from error


def _cluster(address: str | None, resources: tuple[str, ...], data: Path | None) -> Cluster | None:
    if address is None:
        if resources:
            raise click.UsageError("--resource is about the workers of a --cluster")
        return None
    if data is not None:
        raise click.UsageError(
            "workers of a cluster read the golden data that is installed there: --cluster goes without --data"
        )
    amounts = {}
    for text in resources:
        name, _, amount = text.partition("=")
        try:
            amounts[name] = float(amount or 1)
        except ValueError:
            raise click.UsageError(f"--resource is NAME=AMOUNT, got {text!r}") from None
    return Cluster(address, amounts)


@click.command("run")
@click.option(
    "--adapter",
    "names",
    multiple=True,
    metavar="NAME",
    help="Adapter, module:Class or path.py:Class of your own, or cmd:PROGRAM (repeatable; default: all that can run here).",
)
@any_tier_option
@select_option
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice([*DTYPES, "all"]),
    default=["float32"],
    show_default=True,
    help="Repeatable.",
)
@click.option(
    "--profile",
    default=None,
    metavar="NAME",
    help="Run the cases of a profile (spec/profiles.toml) in its dtype, and tell whether it holds; exit status 1 where it does not.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda:0, ...")
@setting_option
@provider_library_option
@click.option(
    "--workers", type=click.IntRange(min=1), default=None, help="Processes at a time (default: one per core)."
)
@click.option(
    "--shard",
    default="1/1",
    metavar="I/N",
    help="Run the I-th of N parts; cases that share a build stay together.",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    default=None,
    help="Run on the workers of a Dask cluster (tcp://HOST:PORT, or a scheduler's file), each of which has the suite and the framework installed.",
)
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="NAME=AMOUNT",
    help="Only on workers of the cluster that were started with it: dask worker ... --resources cuda=1 (repeatable).",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Seconds for one request to an adapter.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    default=16.0,
    show_default=True,
    metavar="GB",
    help="Memory that an adapter's process may take.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Results directory; runs are added to it.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the newest run of the same work; what has a result, in whichever part of the work, is not run again.",
)
@data_option
@format_option
def command(
    names: tuple[str, ...],
    tier: str,
    selection: str,
    dtypes: tuple[str, ...],
    profile: str | None,
    device: str,
    settings: tuple[str, ...],
    workers: int | None,
    shard: str,
    cluster: str | None,
    resources: tuple[str, ...],
    timeout: float,
    memory: float,
    out: Path,
    resume: bool,
    data: Path | None,
    style: str | None,
) -> int:
    """Run cases through adapters and keep the results in a directory.

    Each adapter runs in processes of its own, and never sees what is expected. A case that crashes or hangs one gets the verdict crash
    or timeout and the run goes on.
    """
    refs = [resolve(name) for name in dict.fromkeys(names)] or list(installed().values())
    if len({ref.name for ref in refs}) < len(refs):
        raise ConfigurationError("two adapters have one name: their results could not be told apart")
    refs = with_settings(refs, settings)
    claimed = None if profile is None else profiles.find(profile)
    if claimed is not None:
        given = click.get_current_context().get_parameter_source
        own = ("selection", "shard", "dtypes", "tier")
        if any(given(name) is ParameterSource.COMMANDLINE for name in own):
            raise click.UsageError(
                "a profile says itself which cases it has, and in which dtype: --profile goes without --tier, --select, --dtype and --shard"
            )
        tier, selection, dtypes = "core", claimed.select, (claimed.dtype,)
    store = open_store(data)
    known = Cases(store)
    part = Shard.of(shard)
    full = tier == "full"
    cases = part.cases(select(known.stored.values(), tier, selection))
    if not cases and not full:
        raise NothingSelected(nothing(tier, selection))
    wanted = list(DTYPES) if "all" in dtypes else list(dict.fromkeys(dtypes))
    matches = compile_selection(selection) if selection else lambda case, dtype: True
    beyond = _beyond(part, store, wanted, selection) if full else dict.fromkeys(wanted, 0)
    wanted = [d for d in wanted if beyond[d] or any(d in c.dtypes and matches(c, d) for c in cases)]
    if not wanted:
        raise NothingSelected(f"no selected case can run in {', '.join(dtypes)}")
    options = Options(
        cases=cases,
        tier=tier,
        selection=selection,
        shard=shard,
        dtypes=wanted,
        device=device,
        workers=workers or os.cpu_count() or 1,
        timeout=timeout,
        data=(data or DATA).resolve(),
        fixtures=full_digest(store) if full else store.digest,
        resume=resume,
        full=beyond if full else None,
        cluster=_cluster(cluster, resources, data),
        memory=int(memory * 2**30),
    )
    with Results(out, create=True) as results:
        display = _Display()
        with display.bars:
            outcome = runner.execute(refs, options, results, display)
            for run in outcome.runs:
                explain(results, run, known, options.workers, display.explaining(run))
        if not outcome.runs:
            return Exit.UNAVAILABLE  # the reasons have been shown
        entries, bad = summary(results, outcome.runs, known.stored)
        if claimed is not None:
            bad = standings(results, outcome.runs, claimed, known.stored.values(), entries) or bad
    _print(entries, outcome, style, out)
    # Without --adapter, frameworks that are not installed are no fault; one that fails to start is.
    if any(names or not isinstance(e, AdapterNotInstalled) for e in outcome.unavailable.values()):
        return Exit.UNAVAILABLE
    return Exit.UNEXPECTED if bad else Exit.EXPECTED


def _print(entries: list[dict[str, Any]], outcome: runner.Outcome, style: str | None, out: Path) -> None:
    if not is_pretty(style):
        print_json(
            {
                "schema": "run-1",
                "out": str(out),
                "runs": entries,
                "unavailable": {k: str(v) for k, v in outcome.unavailable.items()},
            }
        )
        return
    rows = [
        [
            e["adapter"],
            f"{e['framework']} {e['version']}",
            " ".join(filter(None, [e["dtype"], e["settings"]])),
            e["selected"],
            ", ".join(f"{count} {verdict}" for verdict, count in e["verdicts"].items()),
            "" if e["largest_z"] is None else f"{e['largest_z']:.2f}",
            e["unexpected"],
        ]
        for e in entries
    ]
    columns = ["adapter", "framework", "dtype", "cases", "verdicts", "largest z of a pass", "unexpected"]
    print_table("Results", columns, rows)
    for entry in entries:
        who = " ".join(filter(None, [entry["adapter"], entry["dtype"], entry["settings"]]))
        if total := sum(entry["spent"].values()):
            shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in entry["spent"].items())
            click.echo(f"{who}: {total:.0f} s of processes: {shares}")
        if entry["review"]:
            overdue = ", ".join(entry["review"])
            click.echo(f"{who}: declared differences to look at again: {overdue}")
        if entry["unshown"]:
            claimed = ", ".join(entry["unshown"])
            click.echo(f"{who}: claimed, but no case shows it: {claimed}")
        for example in entry["examples"]:
            click.echo(f"{who}: {example}")
        for text in (entry["precision"] or {"classes": ()})["classes"]:
            click.echo(f"{who}: precision class: {text}")
        for found in entry["explanations"]:
            click.echo(
                f"{who}: {found['cases']} of {entry['unexpected']} unexpected agree with "
                f"{found['variant']}: {found['summary']}"
            )
        for found in entry["causes"]:
            click.echo(f"{who}: {found['cause']} ({found['cases']} cases): {found['text']}")
        if "profile" in entry:
            click.echo(f"{entry['adapter']}: {entry['profile']['text']}")
    sys.stdout.flush()
    click.echo(f"report: rnn-conformance report {out} --out site", err=True)
