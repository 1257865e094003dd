"""``rnn-conformance judge``."""

from __future__ import annotations

from pathlib import Path

import click

from rnn_conformance.cases import Cases
from rnn_conformance.cli.common import data_option, format_option, is_pretty, open_store, print_json
from rnn_conformance.contract.adapter import DTYPES
from rnn_conformance.errors import ConfigurationError, Exit, NothingSelected


@click.command("judge")
@click.argument(
    "cases_folder", metavar="CASES", type=click.Path(path_type=Path, file_okay=False, exists=True)
)
@click.argument("outputs", metavar="OUTPUTS", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--name", required=True, help="What the results are called, as an adapter is.")
@click.option("--version", default="0", show_default=True, help="Of what made the outputs.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option(
    "--known",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=None,
    help="Folder of a known.toml with declared differences.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Results directory.",
)
@data_option
@format_option
def command(
    cases_folder: Path,
    outputs: Path,
    name: str,
    version: str,
    dtype: str,
    device: str,
    known: Path | None,
    out: Path,
    data: Path | None,
    style: str | None,
) -> int:
    """Judge output files that a device brought back, for cases that `fixtures export` wrote; verdicts, diagnosis and report as of a run.

    OUTPUTS holds for each case, by its name in the export, NAME.npz with entries call_K/OUTPUT, NAME.json with the same names, or, for ONNX tests,
    NAME/test_data_set_K/output_N.pb. not-run.json there says which were not run, and why; any other case without outputs is a failure.
    """
    from rnn_conformance.contract.adapter import Description
    from rnn_conformance.explaining.explain import explain
    from rnn_conformance.judging import differences
    from rnn_conformance.judging.bench import Bench
    from rnn_conformance.results.database import Results
    from rnn_conformance.results.run import new_run
    from rnn_conformance.running.files import Files, read_index
    from rnn_conformance.running.worker import run_case

    store, exported = open_store(data), read_index(cases_folder)
    if exported.fixtures != store.digest:
        raise ConfigurationError(
            f"{cases_folder} was exported from other golden data than are installed here: judge with the version that exported it"
        )
    cases = [c for c in store.cases() if c.id in exported.names and dtype in c.dtypes]
    if not cases:
        raise NothingSelected(f"no case of {cases_folder} can be compared in {dtype}")
    what = Description(name, version, [device], dict.fromkeys([dtype]))
    declared = differences.load(known, name, what, device)
    files = Files(outputs, exported, what, dtype)
    run = new_run(
        fixtures=store.digest,
        tier="core",
        selection=f"files of {cases_folder.name}",
        shard="1/1",
        adapter=name,
        framework=name,
        version=version,
        device=device,
        dtype=dtype,
        selected=len(cases),
        environment={"notes": ["judged from output files"]},
        declared=[dict(vars(entry)) for entry in declared],
    )
    with Results(out, create=True) as results:
        results.start(run)
        for case in cases:
            files.case = case
            record = run_case(Bench(files, store, dtype, device), case)
            differences.apply(record, case, dtype, declared)
            results.add(run, [record])
        results.finish(run)
        explain(results, run, Cases(store), 1, lambda count: None)
        counts = results.counts(run)
        bad = [r for r in results.records(run) if differences.is_unexpected(r["verdict"], r["known"])]
    if is_pretty(style):
        click.echo(", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()))
        for entry in bad[:10]:
            told = f"; agrees with {entry['agrees_with'][0]}" if entry["agrees_with"] else ""
            click.echo(f"  {entry['case']}: {entry['verdict']}: {entry['message']}{told}")
        click.echo(f"next: rnn-conformance report {out} --out site", err=True)
    else:
        print_json(
            {
                "schema": "judge-1",
                "out": str(out),
                "cases": len(cases),
                "verdicts": counts,
                "unexpected": len(bad),
            }
        )
    return Exit.UNEXPECTED if bad else Exit.EXPECTED
