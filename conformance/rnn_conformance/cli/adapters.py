"""``rnn-conformance adapters``."""

from __future__ import annotations

from importlib.metadata import entry_points, metadata
from typing import Any

import click
from packaging.utils import canonicalize_name

from rnn_conformance.cli.common import format_option, is_pretty, print_json, print_table
from rnn_conformance.running.registry import GROUP


@click.group("adapters")
def command() -> None:
    """Adapters that installed distributions declare."""


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
