"""``rnn-conformance fuzz``."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rnn_fixtures.case import DTYPES

from rnn_conformance.cli.common import format_option, is_pretty, print_json, provider_library_option
from rnn_conformance.cli.show import whole
from rnn_conformance.errors import ConfigurationError, Exit
from rnn_conformance.running.registry import resolve

if TYPE_CHECKING:
    from rnn_conformance.searching.fuzz import Found, Tally

# What is found is written down after so many seconds.
CHUNK = 20.0


@click.command("fuzz")
@click.option(
    "--adapter", "name", metavar="NAME", required=True, help="Adapter, or module:Class of your own."
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="How long to search."
)
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda:0, ...")
@click.option(
    "--most", type=click.IntRange(min=1), default=20, show_default=True, help="End after so many findings."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fuzz"),
    show_default=True,
    help="Folder for what is found: each discrepancy as a case (JSON) and a script.",
)
@provider_library_option
@format_option
def command(
    name: str, seconds: float, dtype: str, device: str, most: int, seed: int, out: Path, style: str | None
) -> int:
    """Search beyond the golden data for new discrepancies: sizes, mixed activations, masks, calls, states, extreme numbers.

    Declared known differences are counted, not reported. Exit status 1 when something new was found.
    """
    try:
        from rnn_conformance.searching.fuzz import Search, Tally
    except ImportError as error:
        raise ConfigurationError("fuzz needs hypothesis: pip install 'rnn-conformance[fuzz]'") from error
    ref, tally = resolve(name), Tally()
    written: list[dict[str, Any]] = []
    deadline = time.monotonic() + seconds
    numbers = itertools.count(seed * 1_000_000, 1_000)
    search = Search(ref, dtype, device)
    while (left := deadline - time.monotonic()) > 0 and len(written) < most:
        before = len(tally.found)
        seen = [f.signature for f in tally.found]
        tally.add(search.run(next(numbers), min(left, CHUNK), seen, most - len(written)))
        for found in tally.found[before:]:
            written.append(_write(found, out, name, dtype, len(written) + 1))
            place = written[-1]["script"] or written[-1]["case"]
            click.echo(f"found: {place}: {found.record.message}", err=True)
    _print(tally, written, name, dtype, style)
    return Exit.UNEXPECTED if written else Exit.EXPECTED


def _write(found: Found, out: Path, name: str, dtype: str, number: int) -> dict[str, Any]:
    """A finding on disk: the case with its expected values, and the script."""
    case, memory = found.scenario.to_case(f"fuzz-{number:03d}")
    stem = f"{name.replace(':', '-')}-{dtype}-{number:03d}-{found.record.verdict}"
    out.mkdir(parents=True, exist_ok=True)
    data = {"schema": "case-1", **whole(memory, case), "record": found.record.to_json()}
    (out / f"{stem}.json").write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", "utf-8")
    if found.script:
        (out / f"{stem}.py").write_text(found.script, "utf-8")
    return {
        "case": str(out / f"{stem}.json"),
        "script": str(out / f"{stem}.py") if found.script else None,
        "verdict": found.record.verdict,
        "message": found.record.message,
        "agrees_with": found.record.agrees_with,
        "needed": found.needed,
        "certified": found.certified,
    }


def _print(tally: Tally, written: list[dict[str, Any]], name: str, dtype: str, style: str | None) -> None:
    counts = {
        key: getattr(tally, key)
        for key in (
            "scenarios",
            "unsupported",
            "without_oracle",
            "known",
            "repeated",
            "elements",
            "largest_z",
        )
    }
    if not is_pretty(style):
        print_json({"schema": "fuzz-1", "adapter": name, "dtype": dtype, **counts, "found": written})
        return
    click.echo(
        f"{name} {dtype}: {tally.scenarios} scenarios ({tally.unsupported} not expressible, {tally.without_oracle} without "
        f"an oracle, {tally.known} known differences), {tally.elements:,} numbers compared, largest z of a pass "
        f"{tally.largest_z:.2f}, {len(written)} new discrepancies ({tally.repeated} seen again)"
    )
    for entry in written:
        explained = f"; agrees with {', '.join(entry['agrees_with'][:2])}" if entry["agrees_with"] else ""
        click.echo(
            f"{entry['script'] or entry['case']}: {entry['verdict']}: {entry['message']}{explained}; it takes: {', '.join(entry['needed']) or 'nothing special'}"
        )
