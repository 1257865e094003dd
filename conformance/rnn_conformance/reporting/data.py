"""The site's data, as the scripts in ``static/`` read it: columns, and buckets of cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rnn_fixtures.case import Case
from rnn_fixtures.domain import domain
from rnn_fixtures.store import Store

from rnn_conformance.explaining.provocation import cause_of
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.reporting.changes import Changes, History
from rnn_conformance.reporting.evidence import evidence
from rnn_conformance.reporting.packed import BUCKETS, CODES, MISSING, bucket, chunk, code_of_z, indices
from rnn_conformance.reporting.views import Finding, View

# Of a message so many characters are shown.
MESSAGE = 1000


def data_files(
    history: History,
    views: Sequence[View],
    findings: Mapping[str, Sequence[Finding]],
    titles: Mapping[str, str],
    cases: Mapping[str, Case],
    store: Store,
) -> Iterator[tuple[str, str]]:
    """Names of files and their content.

    Parameters
    ----------
    findings : mapping
        Slug of an implementation to its findings.
    titles : mapping
        Of clauses.
    """
    records: dict[str, Mapping[str, Any]] = {}
    for view in views:
        for record in view.records:
            records.setdefault(record["case"], record)
    ids = sorted(records)
    place = indices(ids)
    yield from _chunks(cases=_case_table(ids, records, titles))
    yield from _chunks(implementations=[_named(view) for view in views])
    yield from _chunks(findings=[_found(f) for own in findings.values() for f in own])
    previous = {c.new.slug: c for c in history.changes}
    shown: dict[str, dict[str, Any]] = {}
    for view in views:
        yield from _chunks(**{f"results-{view.slug}": _results(view, ids, place, previous.get(view.slug))})
        for case, what in evidence(findings[view.slug], view, cases, store):
            shown.setdefault(case, {})[view.slug] = what
    known = domain()
    buckets: dict[str, list[str]] = {f"{k:02x}": [] for k in range(BUCKETS)}
    for case in ids:
        buckets[bucket(case)].append(case)
    for name, own in buckets.items():
        facts = {case: _facts(cases[case], known) for case in own if case in cases}
        yield from _chunks(**{f"case-{name}": facts})
        yield from _chunks(**{f"evidence-{name}": {case: shown[case] for case in own if case in shown}})


def _chunks(**data: Any) -> Iterator[tuple[str, str]]:
    for name, content in data.items():
        yield f"data/{name}.js", chunk(name, content)


def _named(view: View) -> dict[str, str]:
    run = view.run
    return {
        "slug": view.slug,
        "label": run.label,
        "adapter": run.adapter,
        "framework": run.framework,
        "version": run.version,
        "device": run.device,
        "dtype": run.dtype,
    }


def _found(f: Finding) -> dict[str, Any]:
    return {
        "slug": f.view.slug,
        "anchor": f.anchor,
        "cause": f.cause.name,
        "known": f.cause.known,
        "clause": f.clause,
        "reason": f.entry.get("reason", ""),
        "link": f.link,
        "takes": f.cause.taken if f.cause.takes else "",
        "script": f.script,
    }


def _case_table(
    ids: Sequence[str], records: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]
) -> dict[str, Any]:
    """All cases as columns; sets of clauses, which many share, once."""
    names = sorted({c for case in ids for c in records[case]["clauses"]})
    families = sorted({records[case]["family"] for case in ids})
    number, family = indices(names), indices(families)
    sets: dict[tuple[int, ...], int] = {}
    own = [sets.setdefault(tuple(number[c] for c in records[case]["clauses"]), len(sets)) for case in ids]
    return {
        "ids": "\n".join(ids),
        "clauses": names,
        "titles": [titles.get(name, "") for name in names],
        "sets": list(sets),
        "set": own,
        "families": families,
        "family": [family[records[case]["family"]] for case in ids],
        "buckets": "".join(bucket(case) for case in ids),
    }


def _results(
    view: View, ids: Sequence[str], place: Mapping[str, int], changes: Changes | None
) -> dict[str, Any]:
    """One implementation as columns: a letter for the verdict and one for z of every case, and more of what does not pass."""
    codes, zs = [MISSING] * len(ids), ["!"] * len(ids)
    details: dict[int, dict[str, Any]] = {}
    reasons: dict[str, int] = {}
    reason = []
    for record in view.records:  # by case id, as ids are
        k = place[record["case"]]
        codes[k] = CODES[view.shown(record)]
        zs[k] = code_of_z(None if record["z"] is None else float(record["z"]))
        if record["verdict"] == "unsupported":
            reason.append(reasons.setdefault(record["message"][:MESSAGE], len(reasons)))
        elif record["verdict"] in FAULTY or record["verdict"] == "stale":
            details[k] = {
                "cause": cause_of(record),
                "message": record["message"][:MESSAGE],
                "agrees": record["agrees_with"],
                "where": record["where"],
                "z": record["z"],
                "rms": record["rms_z"],
                "bias": record["bias_z"],
            }
    changed = {}
    if changes is not None:
        for entry in (*changes.regressed, *changes.fixed, *changes.moved):
            changed[place[entry.case]] = CODES[entry.old]
    return {
        "codes": "".join(codes),
        "z": "".join(zs),
        "details": details,
        "reasons": list(reasons),
        "reason": reason,
        "changed": changed,
    }


def _facts(case: Case, known: Any) -> dict[str, Any]:
    size = {name: getattr(case.size, name) for name in "BTFU"}
    changed = {
        name: level
        for name, level in case.arguments.items()
        if name not in known.arguments or known.arguments[name].default != level
    }
    return {
        "layer": case.layer,
        "tier": case.tier,
        "size": size,
        "changed": changed,
        "case": case.to_json(),
    }
