"""``rnn-conformance expect update``."""

from __future__ import annotations

from pathlib import Path

import click
from packaging.version import InvalidVersion, Version

from rnn_conformance.cli.common import data_option, format_option, is_pretty, open_store, print_json
from rnn_conformance.errors import ConfigurationError, Exit, NothingSelected


@click.group("expect")
def command() -> None:
    """The differences that an adapter declares."""


@command.command("update")
@click.option(
    "--results",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("results"),
    show_default=True,
)
@click.option("--adapter", "name", required=True, metavar="NAME", help="As run --adapter.")
@click.option("--device", default="cpu", show_default=True)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="What to write (default: known.toml in the adapter's folder).",
)
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 if anything is to be changed.")
@data_option
@format_option
def update(
    results: Path,
    name: str,
    device: str,
    file: Path | None,
    check: bool,
    data: Path | None,
    style: str | None,
) -> int:
    """Bring an adapter's declared differences in line with its newest results.

    Discrepancies that nobody declared get an entry each cause, selected by what their cases share and no passing case has; entries some of whose
    cases pass become narrower; an entry none of whose cases differs any more ends before the version that ran. Everything else in the file stays as
    it is, comments too. Every new entry asks for a person: its reason says what it agrees with, or that nobody knows yet, and link is empty.
    """
    from rnn_conformance.explaining.declaring import changes, write
    from rnn_conformance.judging import differences
    from rnn_conformance.results.reading import collect
    from rnn_conformance.running.adapter_ref import DECLARED
    from rnn_conformance.running.registry import installed, resolve

    ref = resolve(name)
    cases = {case.id: case for case in open_store(data).cases()}
    # Differences are declared of frameworks as they usually are.
    usual = ref.name, device, ""
    found = [s for s in collect([results]) if (s.run.adapter, s.run.device, s.run.settings) == usual]
    if not found:
        raise NothingSelected(f"{results} has no results of {ref.name} on {device} in its usual settings")
    newest = max(found, key=lambda s: (_version(s.run.version), s.run.started)).run.version
    found = [s for s in found if s.run.version == newest]
    if file is None:
        if ref.folder is None:
            raise ConfigurationError(
                f"{name} has no folder of its own with a {DECLARED}: say which file with --file"
            )
        file = ref.folder / DECLARED
    shared = sum(other.folder == ref.folder for other in installed().values()) > 1
    wanted = changes(found, cases, differences.declarations_in(file), shared=shared)
    written = [change for change in wanted if change.kind != "left"]
    if written and not check:
        write(file, written)
    if is_pretty(style):
        for change in wanted:
            click.echo(
                f"{change.kind}: {change.id} ({change.cases} results){': ' if change.why else ''}{change.why}"
            )
            for key in ("select", "may_pass", "versions", "reason"):
                if key in change.fields:
                    click.echo(f"  {key}: {change.fields[key]}")
        if not wanted:
            click.echo(f"{file} says what the results of {ref.name} {newest} show")
        elif written:
            click.echo(f"{'would be written' if check else 'written'}: {file}")
    else:
        print_json({"schema": "expect-1", "file": str(file), "changes": [vars(change) for change in wanted]})
    left = any(change.kind == "left" for change in wanted)
    return Exit.UNEXPECTED if left or (check and wanted) else Exit.EXPECTED


def _version(text: str) -> Version:
    """For the newest; versions that are none come before all others."""
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0.dev0")
