"""What a file of declared differences lacks, and what is too much in it, by the results of one adapter: new entries, narrower ones, and ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import tomlkit
from packaging.version import InvalidVersion, Version
from rnn_fixtures.case import Case
from tomlkit.items import AoT, Table

from rnn_conformance.explaining.provocation import MAY_PASS, cause_of, provocations
from rnn_conformance.judging.differences import Known
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.proving.variants import has_variant, variant_of
from rnn_conformance.results.reading import Subject
from rnn_conformance.selection import compile_selection

# Combinations of levels in one selection, and cases named one by one where no combination tells them.
COMBINATIONS, NAMED = 8, 12
REVIEW = timedelta(days=180)
UNEXPLAINED = "not explained yet"

# A case in a dtype.
Place = tuple[str, str]


@dataclass
class Change:
    """One change to the file.

    Attributes
    ----------
    kind : "new", "narrower", "ended" or "left"
        An entry more; a selection without those cases that pass; an end at the version that mends it; or nothing, and why.
    fields : dict
        What is written.
    """

    kind: str
    id: str
    fields: dict[str, Any] = field(default_factory=dict)
    cases: int = 0
    why: str = ""


@dataclass
class _Seen:
    """Results by case and dtype."""

    verdicts: dict[Place, dict[str, Any]]
    cases: Mapping[str, Case]

    def passing(self, dtype: str) -> list[Case]:
        """The cases that pass; those whose entry did not occur among them."""
        return [
            self.cases[case]
            for (case, own), record in self.verdicts.items()
            if own == dtype and record["verdict"] in ("pass", "stale")
        ]

    @property
    def dtypes(self) -> list[str]:
        return sorted({dtype for _, dtype in self.verdicts})


def changes(
    subjects: Sequence[Subject], cases: Mapping[str, Case], declared: Sequence[Known]
) -> list[Change]:
    """What the results of one adapter, version and device, in one dtype or several, ask for.

    Parameters
    ----------
    declared : sequence of Known
        The entries that hold for it.
    """
    verdicts = {
        (record["case"], subject.run.dtype): record
        for subject in subjects
        for record in subject.records
        if record["case"] in cases
    }
    seen = _Seen(verdicts, cases)
    found = _new(seen, {entry.id for entry in declared})
    version = subjects[0].run.version
    for entry in declared:
        stale = [p for p, r in verdicts.items() if r["verdict"] == "stale" and r["known"] == entry.id]
        if stale:
            found.append(_less(seen, entry, stale, version))
    return found


def _new(seen: _Seen, taken: set[str]) -> list[Change]:
    """An entry for every cause that nobody declared."""
    groups: dict[tuple[str, str], list[Place]] = {}
    for place, record in seen.verdicts.items():
        if record["verdict"] in FAULTY and record["known"] is None:
            groups.setdefault((cause_of(record), record["verdict"]), []).append(place)
    result = []
    for (cause, verdict), places in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        name = _free(cause if cause == verdict else f"{cause}-{verdict}" if cause in taken else cause, taken)
        select, may_pass, left = _selection(seen, places)
        if not select:
            result.append(Change("left", name, {}, len(places), left))
            continue
        case, dtype = min(places, key=lambda place: (len(place[0]), place))
        record = seen.verdicts[case, dtype]
        fields: dict[str, Any] = {"id": name, "select": select}
        if may_pass:
            fields["may_pass"] = may_pass
        fields |= {
            "verdict": verdict,
            "clause": record["clause"] or record["clauses"][0],
            "reason": _reason(cause, record),
            "link": "",
            "review": str(date.today() + REVIEW),
        }
        result.append(Change("new", name, fields, len(places), left))
    return result


def _free(wanted: str, taken: set[str]) -> str:
    """An id that no entry has yet."""
    plain = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-") or "difference"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    taken.add(name)
    return name


def _reason(cause: str, record: Mapping[str, Any]) -> str:
    what = variant_of(cause).summary if has_variant(cause) else UNEXPLAINED
    return f"{what} (first seen as: {str(record['message'])[:160]})"


def _selection(seen: _Seen, places: Sequence[Place]) -> tuple[str, str, str]:
    """The narrowest selection of these cases that can be said in arguments, what of it may pass, and what is left."""
    dtypes = sorted({dtype for _, dtype in places}, key=lambda d: -sum(own == d for _, own in places))
    main = dtypes[0]
    failing = [seen.cases[case] for case, dtype in places if dtype == main]
    terms = [p.select for p in provocations(failing, seen.passing(main), COMBINATIONS)]
    terms = [f"({term})" if len(terms) > 1 and " and " in term else term or "layer=*" for term in terms]
    matches = _either(terms)
    rest = sorted({case for case, dtype in places if not matches(seen.cases[case], dtype)})
    if len(rest) > NAMED:
        return "", "", f"{len(rest)} of {len(places)} cases share no arguments that those that pass lack"
    select = " or ".join([*terms, *(f"id={case}" for case in rest)])
    if set(dtypes) != set(seen.dtypes):
        only = " or ".join(f"dtype={dtype}" for dtype in sorted(dtypes))
        select = f"({only}) and ({select})"
    passing = _passing(seen, select)
    if len(passing) > max(NAMED, MAY_PASS * len(places)):
        return "", "", f"{len(passing)} cases with the same arguments pass"
    may_pass = " or ".join(f"id={case}" for case in passing)
    return select, may_pass, ""


def _either(terms: Sequence[str]) -> Callable[[Case, str], bool]:
    if not terms:
        return lambda case, dtype: False
    return compile_selection(" or ".join(terms))


def _passing(seen: _Seen, select: str) -> list[str]:
    """Cases that a selection names, and that pass in some dtype."""
    matches = compile_selection(select)
    return sorted(
        {
            case
            for (case, dtype), record in seen.verdicts.items()
            if record["verdict"] in ("pass", "stale") and matches(seen.cases[case], dtype)
        }
    )


def _less(seen: _Seen, entry: Known, stale: Sequence[Place], version: str) -> Change:
    """An entry some or all of whose cases pass."""
    still = [p for p, r in seen.verdicts.items() if r["known"] == entry.id and r["verdict"] in FAULTY]
    if not still:
        try:
            before = f"<{Version(version).public}"
        except InvalidVersion:
            return Change(
                "left", entry.id, {}, len(stale), f"no case of it differs in {version}: take it out"
            )
        versions = f"{entry.versions},{before}" if entry.versions else before
        return Change(
            "ended", entry.id, {"versions": versions}, len(stale), f"no case of it differs in {version}"
        )
    select, may_pass, left = _selection(seen, still)
    if not select:
        return Change("left", entry.id, {}, len(stale), left)
    fields = {"select": f"({entry.select}) and ({select})"}
    passing = [p for p in may_pass.split(" or ") if p]
    if passing:
        fields["may_pass"] = " or ".join([*([f"({entry.may_pass})"] if entry.may_pass else []), *passing])
    return Change("narrower", entry.id, fields, len(stale), f"{len(stale)} cases that it names pass")


def write(path: Path, found: Sequence[Change]) -> None:
    """Put the changes into the file, of which everything else stays as it is written, comments too."""
    text = (
        path.read_text("utf-8")
        if path.is_file()
        else "# Declared differences. Fields: WRITE_AN_ADAPTER.md.\n"
    )
    document = tomlkit.parse(text)
    entries = document.get("known")
    if not isinstance(entries, AoT):
        entries = tomlkit.aot()
        document["known"] = entries
    by_id: dict[str, Table] = {str(entry["id"]): entry for entry in entries}
    for change in found:
        if change.kind == "new":
            table = tomlkit.table()
            for name, value in change.fields.items():
                table[name] = value
            entries.append(table)
        else:
            for name, value in change.fields.items():
                by_id[change.id][name] = value
    unfinished = path.with_name(f".part-{path.name}")
    unfinished.write_text(tomlkit.dumps(document), "utf-8")
    unfinished.replace(path)
