"""``rnn-conformance repro``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rnn_fixtures.case import DTYPES
from rnn_fixtures.store import Store

from rnn_conformance.cases import Cases
from rnn_conformance.cli.common import (
    data_option,
    format_option,
    is_pretty,
    open_store,
    print_json,
    provider_library_option,
)
from rnn_conformance.cli.show import find
from rnn_conformance.errors import ConfigurationError, Exit, NothingSelected
from rnn_conformance.running.registry import installed, resolve


@click.command("repro")
@click.argument("case_id", metavar="CASE", required=False)
@click.option("--adapter", "name", metavar="NAME", help="The adapter that shows the discrepancy.")
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float32",
    show_default=True,
    help="Of CASE; results have their own.",
)
@click.option(
    "--device", default="cpu", show_default=True, help="cpu, cuda:0, ...; of CASE: results have their own."
)
@click.option(
    "--fresh", is_flag=True, help="Write a new script also where one is kept with a declared difference."
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Instead of one CASE: one script for every cause of discrepancies in these results.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="With CASE the script's file (default: stdout); with --results their folder (default: DIR/repros).",
)
@click.option(
    "--check", is_flag=True, help="With --results: run every script; exit status 1 when one does not fail."
)
@provider_library_option
@data_option
@format_option
def command(
    case_id: str | None,
    name: str | None,
    dtype: str,
    device: str,
    fresh: bool,
    results: Path | None,
    out: Path | None,
    check: bool,
    data: Path | None,
    style: str | None,
) -> int:
    """Print a stand-alone script that shows a discrepancy: the framework, NumPy and literal data.

    The case is made as small as it gets while the discrepancy stays. The script's own exit status is 1 while the discrepancy exists.
    """
    store = open_store(data)
    if results is not None:
        from rnn_conformance.running.adapter_ref import REPROS

        return _all(results, out or results / REPROS, store, name, fresh, check, style)
    if case_id is None or name is None:
        raise ConfigurationError("give a CASE and --adapter NAME, or --results DIR")
    return _one(store, case_id, name, dtype, device, fresh, out)


def _one(
    store: Store, case_id: str, name: str, dtype: str, device: str, fresh: bool, out: Path | None
) -> int:
    from rnn_conformance.explaining.repro import reproduce

    (case, holding), ref = find(store, case_id), resolve(name)
    if dtype not in case.dtypes:
        raise NothingSelected(f"{case_id} does not run in {dtype}, only in {', '.join(case.dtypes)}")
    found = reproduce(ref, case, holding.folder, dtype, device, fresh=fresh)
    if not found.script:
        reason = f": {found.record.message}" if found.record.message else ""
        raise NothingSelected(f"nothing to reproduce: {case_id} is {found.record.verdict} on {name}{reason}")
    if found.kept:
        click.echo(f"a declared difference: {found.record.known}; --fresh writes a new script", err=True)
    if out is None:
        click.echo(found.script, nl=False)
    else:
        out.write_text(found.script, "utf-8")
    return Exit.EXPECTED


def _all(
    results: Path,
    out: Path,
    store: Store,
    name: str | None,
    fresh: bool,
    check: bool,
    style: str | None,
) -> int:
    from rnn_conformance.explaining import reproductions
    from rnn_conformance.explaining.repro import reproduce
    from rnn_conformance.judging import differences
    from rnn_conformance.results.reading import collect

    cases = Cases(store)
    subjects = collect([results])
    if left := [s.run.label for s in subjects if s.run.settings]:
        click.echo(
            f"left out, as scripts are of frameworks in their usual settings: {', '.join(left)}", err=True
        )
    found = reproductions.groups([s for s in subjects if not s.run.settings], cases)
    given = None if name is None else resolve(name)
    found = [g for g in found if given is None or g.view.run.adapter == given.name]
    out.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for adapter in dict.fromkeys(g.view.run.adapter for g in found):
        if adapter not in installed() and given is None:
            raise ConfigurationError(
                f"these results name the adapter {adapter!r}, which is not declared here: running it takes --adapter {adapter!r}, or with the name that it was given NAME=..."
            )
        ref = given or resolve(adapter)
        for group in (g for g in found if g.view.run.adapter == adapter):
            run = group.view.run
            kept = None if fresh else differences.kept_script(ref.folder, group.known)
            if kept is not None:
                text = kept.read_text("utf-8")
            else:
                text = reproduce(
                    ref,
                    group.case,
                    cases.store_of(group.case.id).folder.resolve(),
                    run.dtype,
                    run.device,
                    fresh=fresh,
                    stored=group.record,
                ).script
            script = out / (group.stem + (kept.suffix if kept is not None else ".py"))
            if text:
                script.write_text(text, "utf-8")
            entries.append(
                {
                    "adapter": adapter,
                    "cause": group.cause,
                    "known": group.known,
                    "dtype": group.view.run.dtype,
                    "verdict": group.record.verdict,
                    "cases": group.count,
                    "example": group.case.id,
                    "script": str(script) if text else None,
                }
            )
    if check:
        for adapter in dict.fromkeys(e["adapter"] for e in entries):
            paths = {Path(e["script"]): e for e in entries if e["script"] and e["adapter"] == adapter}
            # Programs' scripts find their libraries from the program's folder.
            folder = (given or resolve(adapter)).folder if any(p.suffix != ".py" for p in paths) else None
            for path, shown, output in reproductions.check(list(paths), os.cpu_count() or 1, folder):
                paths[path] |= {"shown": shown, "output": output}
    silent = [e for e in entries if not e["script"] or (check and not e["shown"])]
    if is_pretty(style):
        for e in entries:
            state = (
                "no script"
                if not e["script"]
                else ""
                if not check
                else "shown"
                if e["shown"]
                else "NOT SHOWN"
            )
            click.echo(
                f"{e['adapter']} {e['dtype']} {e['cause']} ({e['cases']} cases): {e['script']} {state}"
            )
    else:
        print_json({"schema": "repros-1", "scripts": entries})
    return Exit.UNEXPECTED if silent else Exit.EXPECTED
