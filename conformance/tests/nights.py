"""Results as several nights leave them, written without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnn_conformance.results.database import Results
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import Run, new_run
from rnn_fixtures.case import Case

DIGEST = "golden"


def night(
    folder: Path,
    cases: Sequence[Case],
    day: int,
    *,
    adapter: str = "torch",
    version: str = "2.13.0",
    faults: Mapping[str, Mapping[str, Any]] | None = None,
    fixtures: str = DIGEST,
    **more: Any,
) -> Run:
    """Add a run of the given day: every case passes, but for the fields of its record that ``faults`` gives by case id."""
    run = new_run(
        **{
            "fixtures": fixtures,
            "tier": "smoke",
            "selection": "",
            "shard": "1/1",
            "adapter": adapter,
            "framework": adapter,
            "version": version,
            "device": "cpu",
            "dtype": "float32",
            "selected": len(cases),
            "environment": {"packages": {"numpy": "2.4.6"}, "python": "3.11.7"},
        }
        | more
    )
    run.started = f"2026-03-{day:02}T02:00:00+00:00"
    with Results(folder, create=True) as results:
        results.start(run)
        records = []
        for case in cases:
            fields = {"mode": "native", "z": 0.5, "z_strict": 0.6, "elements": 12, "seconds": 0.01}
            spread = {"output": [12.0, 0.5, 0.1, 3.0]}
            given = dict((faults or {}).get(case.id, {}))
            verdict = given.pop("verdict", "pass")
            records.append(
                Record(case.id, case.family, case.clauses, verdict, **fields | {"spread": spread} | given)
            )
        results.add(run, records)
        results.finish(run)
    return run
