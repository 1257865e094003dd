"""The site's data, as the scripts in ``static/`` read it: columns, and buckets of cases."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rnn_fixtures.case import Case
from rnn_fixtures.domain import domain

from rnn_conformance.cases import Cases
from rnn_conformance.explaining.provocation import cause_of
from rnn_conformance.reporting.changes import Changes, History
from rnn_conformance.reporting.columns import Columns
from rnn_conformance.reporting.evidence import evidence
from rnn_conformance.reporting.packed import BUCKETS, CODES, MISSING, bucket, chunk, indices
from rnn_conformance.reporting.views import Finding, View

# Settings that nobody changed.
USUAL = "as usual"
# Of a message so many characters are shown.
MESSAGE = 1000


def data_files(
    history: History,
    views: Sequence[View],
    findings: Mapping[str, Sequence[Finding]],
    titles: Mapping[str, str],
    cases: Cases,
) -> Iterator[tuple[str, str]]:
    """Names of files and their content.

    Parameters
    ----------
    findings : mapping
        Slug of an implementation to its findings.
    titles : mapping
        Of clauses.
    """
    ids = _ids([view.columns for view in views])
    place = indices(ids)
    yield from _chunks(cases=_case_table(ids, place, [view.columns for view in views], titles))
    yield from _chunks(implementations=[_named(view) for view in views])
    yield from _chunks(findings=[_found(f) for own in findings.values() for f in own])
    previous = {c.new.slug: c for c in history.changes}
    shown: dict[str, dict[str, Any]] = {}
    for view in views:
        yield from _chunks(**{f"results-{view.slug}": _results(view, ids, place, previous.get(view.slug))})
        for case, what in evidence(findings[view.slug], view, cases):
            shown.setdefault(case, {})[view.slug] = what
    known = domain()
    buckets: dict[str, list[str]] = {f"{k:02x}": [] for k in range(BUCKETS)}
    for case in ids:
        buckets[bucket(case)].append(case)
    for name, own in buckets.items():
        facts = {case: _facts(cases.stored[case], known) for case in own if case in cases.stored}
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
        "settings": run.settings or USUAL,
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


def _ids(columns: Sequence[Columns]) -> list[str]:
    """Of all cases that any of them has, sorted."""
    found: list[str] = []
    for own in columns:
        if own.ids != found:
            found = sorted({*found, *own.ids})
    return found


def _case_table(
    ids: Sequence[str], place: Mapping[str, int], columns: Sequence[Columns], titles: Mapping[str, str]
) -> dict[str, Any]:
    """All cases as columns; sets of clauses, which many share, once."""
    kinds: dict[tuple[str, str], int] = {}
    kind = array("I", bytes(4 * len(ids)))
    for own in reversed(columns):  # the first has the last word
        known = [kinds.setdefault(k, len(kinds)) for k in own.kinds]
        for case, its in zip(own.ids, own.kind, strict=True):
            kind[place[case]] = known[its]
    names = sorted({c for _, clauses in kinds for c in clauses.split()})
    families = sorted({family for family, _ in kinds})
    number, family = indices(names), indices(families)
    sets: dict[tuple[int, ...], int] = {}
    own_set, own_family = [], []
    for of_family, clauses in kinds:
        own_set.append(sets.setdefault(tuple(number[c] for c in clauses.split()), len(sets)))
        own_family.append(family[of_family])
    return {
        "ids": "\n".join(ids),
        "clauses": names,
        "titles": [titles.get(name, "") for name in names],
        "sets": list(sets),
        "set": [own_set[k] for k in kind],
        "families": families,
        "family": [own_family[k] for k in kind],
        "buckets": "".join(map(bucket, ids)),
    }


def _results(
    view: View, ids: Sequence[str], place: Mapping[str, int], changes: Changes | None
) -> dict[str, Any]:
    """One implementation as columns: a letter for the verdict and one for z of every case, and more of what does not pass."""
    own = view.columns
    codes, zs = own.codes, own.z
    places: Sequence[int] = range(len(ids))
    if own.ids != ids:
        places = array("I", (place[case] for case in own.ids))
        codes, zs = _spread_out(codes, places, len(ids), MISSING), _spread_out(zs, places, len(ids), "!")
    changed = {}
    if changes is not None:
        for entry in (*changes.regressed, *changes.fixed, *changes.moved):
            changed[place[entry.case]] = CODES[entry.old]
    return {
        "codes": codes,
        "z": zs,
        "details": {places[k]: _detail(record) for k, record in own.faulty.items()},
        "reasons": [reason[:MESSAGE] for reason in own.reasons],
        "reason": [
            reason for reason, code in zip(own.reason, own.codes, strict=True) if code == CODES["unsupported"]
        ],
        "changed": changed,
    }


def _spread_out(letters: str, places: Sequence[int], count: int, missing: str) -> str:
    found = bytearray(missing.encode() * count)
    for k, letter in zip(places, letters.encode(), strict=True):
        found[k] = letter
    return found.decode()


def _detail(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cause": cause_of(record),
        "message": record["message"][:MESSAGE],
        "agrees": record["agrees_with"],
        "where": record["where"],
        "z": record["z"],
        "rms": record["rms_z"],
        "bias": record["bias_z"],
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
