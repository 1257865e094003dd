"""``rnn-conformance bisect``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rnn_conformance.cli.common import data_option, format_option, is_pretty, open_store, print_json
from rnn_conformance.errors import Exit


@click.command("bisect")
@click.argument("case_id", metavar="CASE")
@click.option("--adapter", "name", required=True, metavar="NAME")
@click.option("--versions", required=True, metavar="A..B", help="First and last version of the package.")
@click.option(
    "--package",
    default=None,
    help="What is installed in every version (default: what the adapter's own extra names first; jax has flax and jax).",
)
@click.option(
    "--python",
    default=sys.executable,
    help="The Python of the environments (default: this one); decides which versions there are.",
)
@click.option("--dtype", default="float32", show_default=True)
@click.option(
    "--environments",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".bisect"),
    show_default=True,
    help="Where the environments are kept, one for each version.",
)
@data_option
@format_option
def command(
    case_id: str,
    name: str,
    versions: str,
    package: str | None,
    python: str,
    dtype: str,
    environments: Path,
    data: Path | None,
    style: str | None,
) -> int:
    """In which release of a framework a case's verdict came or went.

    Every version that is tried gets an environment of its own, made with venv and pip; halves are taken, so that of a hundred versions
    seven are tried. Versions that cannot be installed or started are left out. Exit status 5 when both ends have the same verdict.
    """
    from rnn_conformance.cli.show import find
    from rnn_conformance.running.registry import resolve
    from rnn_conformance.searching.bisect import Trial, between, bisect, released

    case, _ = find(open_store(data), case_id)
    resolve(name)
    first, dots, last = versions.partition("..")
    if not dots:
        raise click.UsageError("--versions is A..B")
    wanted = package or PACKAGES.get(name, name)
    chosen = between(released(wanted, python), first, last)
    trial = Trial(environments.resolve(), python, name, wanted, case.id, dtype)

    def told(version: str) -> str:
        click.echo(f"{wanted} {version} ...", err=True)
        found = trial(version)
        click.echo(f"{wanted} {version}: {found.removeprefix('!')}", err=True)
        return found

    found = bisect(chosen, told)
    if is_pretty(style):
        if found.found:
            click.echo(
                f"{case.id}: {found.tried[found.last]} up to {wanted} {found.last}, {found.tried[found.first]} from {found.first} on"
            )
        else:
            click.echo(f"{case.id}: {found.tried[found.last]} in all versions of {wanted} that were tried")
    else:
        print_json(
            {
                "schema": "bisect-1",
                "case": case.id,
                "adapter": name,
                "package": wanted,
                "last_before": found.last if found.found else None,
                "first_after": found.first if found.found else None,
                "tried": {version: verdict.removeprefix("!") for version, verdict in found.tried.items()},
            }
        )
    return Exit.EXPECTED if found.found else Exit.NOTHING_SELECTED


# Where the package is not called as the adapter is.
PACKAGES = {"jax": "flax", "tf-keras": "tf_keras"}
