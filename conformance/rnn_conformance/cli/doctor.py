"""``rnn-conformance doctor``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json, print_table
from rnn_conformance.errors import AdapterUnavailable, Exit
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.registry import installed, resolve
from rnn_conformance.running.runner import probe


def _examine(ref: AdapterRef) -> dict[str, Any]:
    try:
        what = probe(ref)
    except AdapterUnavailable as error:
        return {"adapter": ref.name, "available": False, "reason": str(error)}
    return {
        "adapter": ref.name,
        "available": True,
        "framework": what.framework,
        "version": what.version,
        "devices": list(what.devices),
        "dtypes": {k: v or "yes" for k, v in what.dtypes.items()},
        "packages": dict(what.packages),
        "notes": list(what.notes),
        "settings": {name: list(values) for name, values in what.offered.items()},
    }


@click.command("doctor")
@click.option("--adapter", "names", multiple=True, metavar="NAME", help="Only this one (repeatable).")
@format_option
def command(names: tuple[str, ...], style: str | None) -> int:
    """What is installed here: adapters, versions, devices, dtypes; why an adapter cannot run."""
    refs = [resolve(name) for name in names] if names else list(installed().values())
    with ThreadPoolExecutor(max_workers=2) as executor:
        found = list(executor.map(_examine, refs))
    if is_pretty(style):
        rows = []
        for entry in found:
            if entry["available"]:
                dtypes = ", ".join(k for k, v in entry["dtypes"].items() if v == "yes")
                packages = ", ".join(f"{k} {v}" for k, v in entry["packages"].items())
                version = f"{entry['framework']} {entry['version']}"
                settings = ", ".join(
                    f"{name}={'|'.join(values)}" for name, values in entry["settings"].items()
                )
                rows.append(
                    [entry["adapter"], version, ", ".join(entry["devices"]), settings, dtypes, packages]
                )
            else:
                rows.append([entry["adapter"], "cannot run here", "", "", "", entry["reason"]])
        columns = ["adapter", "framework", "devices", "settings", "dtypes", "packages, or reason"]
        print_table("Adapters", columns, rows)
    else:
        print_json({"schema": "doctor-1", "adapters": found})
    return Exit.EXPECTED if all(e["available"] for e in found) or not names else Exit.UNAVAILABLE
