"""What a run tells at its end, of each of its runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from rnn_fixtures.case import Case

from rnn_conformance.contract.capabilities import Capabilities
from rnn_conformance.explaining.diagnosis import explanations
from rnn_conformance.explaining.provocation import causes
from rnn_conformance.judging.precision_classes import COUNTED, Spread, spread, sums
from rnn_conformance.judging.shown import unshown
from rnn_conformance.profiles import Profile, standing
from rnn_conformance.results.queries import Queries
from rnn_conformance.results.run import Run


def summary(
    results: Queries, runs: Sequence[Run], cases: Mapping[str, Case]
) -> tuple[list[dict[str, Any]], bool]:
    """One entry per run, and whether anything was unexpected; what discrepancies take is told of the stored cases alone."""
    entries, bad = [], False
    for run in runs:
        unexpected = list(results.unexpected(run))
        bad = bad or bool(unexpected)
        explained = explanations({r["case"]: r["agrees_with"] for r in unexpected})
        entries.append(
            {
                "adapter": run.adapter,
                "framework": run.framework,
                "version": run.version,
                "device": run.device,
                "settings": run.settings,
                "dtype": run.dtype,
                "selected": run.selected,
                "verdicts": results.counts(run),
                "largest_z": results.largest_z(run),
                "elements": results.elements(run),
                "spent": {name: round(seconds, 3) for name, seconds in run.spent.items()},
                "precision": _precision(spread(_sums(results, run), cases)),
                "unexpected": len(unexpected),
                "unshown": _unshown(run, results, cases),
                "explanations": [
                    {"variant": e.variant, "summary": e.summary, "cases": len(e.cases)} for e in explained
                ],
                "causes": [
                    {
                        "cause": c.name,
                        "cases": len(c.cases),
                        "takes": [vars(p) for p in c.takes],
                        "text": c.taken,
                    }
                    for c in causes((r for r in unexpected if not r["known"]), _passed(results, run), cases)
                ],
                "review": [e["id"] for e in run.declared if "" < e.get("review", "") < str(date.today())],
                "examples": [f"{r['case']}: {r['verdict']}: {r['message']}" for r in unexpected[:5]],
            }
        )
    return entries, bad


def standings(
    results: Queries,
    runs: Sequence[Run],
    profile: Profile,
    cases: Iterable[Case],
    entries: list[dict[str, Any]],
) -> bool:
    """Add to each run's entry whether the profile holds; True where it does not for some."""
    members = profile.members(cases)
    for entry, run in zip(entries, runs, strict=True):
        found = standing(profile, members, dict(results.shown(run)).get)
        entry["profile"] = {
            "id": profile.id,
            "version": profile.version,
            "holds": found.holds,
            "verdicts": dict(found.verdicts),
            "text": found.text,
        }
    return not all(entry["profile"]["holds"] for entry in entries)


def _passed(results: Queries, run: Run) -> Iterator[str]:
    return (case for case, verdict in results.shown(run) if verdict == "pass")


def _sums(results: Queries, run: Run) -> Iterator[tuple[str, list[float]]]:
    for record in results.records(run, COUNTED):
        found = sums(record)
        if found is not None:
            yield record["case"], found


def _unshown(run: Run, results: Queries, cases: Mapping[str, Case]) -> list[str]:
    """What the adapter names among its capabilities, cases ask for and none shows to work."""
    can = run.environment.get("capabilities")
    verdicts = ({"case": case, "verdict": verdict} for case, verdict in results.shown(run))
    return unshown(Capabilities.from_json(can), verdicts, cases) if can else []


def _precision(found: Spread | None) -> dict[str, Any] | None:
    """The spread of z and the classes that it shows, as JSON data (PREC-8, PREC-9)."""
    return None if found is None else {**vars(found), "classes": found.classes}
