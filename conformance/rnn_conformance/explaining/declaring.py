"""What a file of declared differences lacks, and what is too much in it, by the results of one adapter: new entries, narrower ones, and ends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import tomlkit
from packaging.version import InvalidVersion, Version
from rnn_fixtures.case import Case
from tomlkit.items import AoT, Table

from rnn_conformance.contract.adapter import Description
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.explaining.provocation import MAY_PASS, cause_of, provocations
from rnn_conformance.judging import differences
from rnn_conformance.judging.differences import Known
from rnn_conformance.judging.verdict import DISCREPANCIES, FAULTY
from rnn_conformance.proving.variants import has_variant, variant_of
from rnn_conformance.results.reading import Subject
from rnn_conformance.results.record import Record
from rnn_conformance.selection import compile_selection

# Combinations of levels in one selection, and cases named one by one where no combination tells them.
COMBINATIONS, NAMED = 8, 12
REVIEW = timedelta(days=180)
UNEXPLAINED = "not explained yet"
# The others are faults of an adapter, or of a machine.
DECLARABLE = (*DISCREPANCIES, "crash")

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
    """Results by case and dtype, as they are with the declarations of today."""

    records: dict[Place, Record]
    cases: Mapping[str, Case]

    def passing(self, dtype: str) -> list[Case]:
        """The cases that pass; those whose entry did not occur among them."""
        return [
            self.cases[case]
            for (case, own), record in self.records.items()
            if own == dtype and record.verdict in ("pass", "stale")
        ]

    @property
    def dtypes(self) -> list[str]:
        return sorted({dtype for _, dtype in self.records})


def changes(
    subjects: Sequence[Subject],
    cases: Mapping[str, Case],
    entries: Sequence[Known],
    *,
    shared: bool = False,
) -> list[Change]:
    """What the results of one adapter, version and device, in one dtype or several, ask for.

    Parameters
    ----------
    entries : sequence of Known
        All of the file, also those that do not hold for what ran.
    shared : bool
        Whether other adapters read the same file.
    """
    run = subjects[0].run
    packages, settings = (
        found if isinstance(found := run.environment.get(name), dict) else {}
        for name in ("packages", "settings")
    )
    what = Description(run.framework, run.version, [run.device], {}, packages, settings=settings)
    holding = differences.holding(entries, run.adapter, what, run.device)
    seen = _Seen({}, cases)
    for subject in subjects:
        dtype = subject.run.dtype
        for stored in subject.records():
            if stored["case"] in cases:
                seen.records[stored["case"], dtype] = _today(stored, cases[stored["case"]], dtype, holding)
    own: dict[str, Any] = {"adapters": run.adapter} if shared else {}
    if run.device != "cpu":
        own["devices"] = run.device
    found = _new(seen, {entry.id for entry in entries}, own)
    for entry in holding:
        stale = [p for p, r in seen.records.items() if r.verdict == "stale" and r.known == entry.id]
        if not stale:
            continue
        why = _unsure(seen, entry, own)
        found.append(
            Change("left", entry.id, {}, len(stale), why) if why else _less(seen, entry, stale, run.version)
        )
    return found


def _today(stored: Mapping[str, Any], case: Case, dtype: str, holding: Sequence[Known]) -> Record:
    """A stored record with the declarations of today instead of those of its run."""
    record = Record.from_json(dict(stored))
    record.known = None
    if record.verdict == "stale":
        record.verdict, record.message = "pass", ""
    differences.apply(record, case, dtype, holding)
    return record


def _unsure(seen: _Seen, entry: Known, own: Mapping[str, Any]) -> str:
    """Why results are not enough to take anything from an entry; empty where they are."""
    for key in own:
        if getattr(entry, key) == "*":
            return f"it holds for other {key} too: say {key} in it first, or run them"
    named = [(c.id, d) for c in seen.cases.values() for d in c.dtypes if entry.applies(c, d)]
    missing = [place for place in named if place not in seen.records]
    return (
        f"{len(missing)} of the {len(named)} results that it names are not there: run them first"
        if missing
        else ""
    )


def _new(seen: _Seen, taken: set[str], own: Mapping[str, Any]) -> list[Change]:
    """An entry for every cause that nobody declared."""
    groups: dict[tuple[str, str], list[Place]] = {}
    for place, record in seen.records.items():
        if record.verdict in FAULTY and record.known is None:
            groups.setdefault((_cause(record), record.verdict), []).append(place)
    result = []
    for (cause, verdict), places in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        if verdict not in DECLARABLE:
            result.append(
                Change(
                    "left", cause, {}, len(places), f"{verdict} is a fault to mend, no difference to declare"
                )
            )
            continue
        select, may_pass, left = _selection(seen, places)
        if not select:
            result.append(Change("left", cause, {}, len(places), left))
            continue
        record = seen.records[min(places, key=lambda place: (len(place[0]), place))]
        fields: dict[str, Any] = {"id": _free(cause, taken), **own, "select": select}
        if may_pass:
            fields["may_pass"] = may_pass
        fields |= {
            "verdict": verdict,
            "clause": record.clause or record.clauses[0],
            "reason": _reason(cause, record),
            "link": "",
            "review": str(date.today() + REVIEW),
        }
        result.append(Change("new", fields["id"], fields, len(places), left))
    return result


def _cause(record: Record) -> str:
    return cause_of({"known": None, "agrees_with": record.agrees_with, "verdict": record.verdict})


def _free(wanted: str, taken: set[str]) -> str:
    """An id that no entry has yet."""
    plain = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-") or "difference"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    taken.add(name)
    return name


def _reason(cause: str, record: Record) -> str:
    what = variant_of(cause).summary if has_variant(cause) else UNEXPLAINED
    return f"{what} (first seen as: {record.message[:160]})"


def _selection(seen: _Seen, places: Sequence[Place], excused: str = "") -> tuple[str, str, str]:
    """The narrowest selection of these cases that can be said in arguments, what of it may pass, and what is left.

    Parameters
    ----------
    excused : str
        What may pass already.
    """
    counts = Counter(dtype for _, dtype in places)
    main = min(counts, key=lambda dtype: (-counts[dtype], dtype))
    may = compile_selection(excused) if excused else None
    failing = [seen.cases[case] for case, dtype in places if dtype == main]
    passing = [case for case in seen.passing(main) if may is None or not may(case, main)]
    terms = [p.select for p in provocations(failing, passing, COMBINATIONS)]
    terms = [f"({term})" if len(terms) > 1 and " and " in term else term or "layer=*" for term in terms]
    matches = _either(terms)
    rest = sorted({case for case, dtype in places if not matches(seen.cases[case], dtype)})
    if len(rest) > NAMED:
        return "", "", f"{len(rest)} of {len(places)} cases share no arguments that those that pass lack"
    select = " or ".join([*terms, *(f"id={case}" for case in rest)])
    if set(counts) != set(seen.dtypes):
        only = " or ".join(f"dtype={dtype}" for dtype in sorted(counts))
        select = f"({only}) and ({select})"
    by_dtype: dict[str, list[str]] = {}
    for case, dtype in _passing(seen, select):
        if may is None or not may(seen.cases[case], dtype):
            by_dtype.setdefault(dtype, []).append(case)
    may_pass = []
    for dtype, own in sorted(by_dtype.items()):
        if len(own) > max(NAMED, MAY_PASS * counts[dtype]):
            if dtype == main:
                return "", "", f"{len(own)} cases with the same arguments pass"
            may_pass.append(f"dtype={dtype}")  # too short to show it everywhere
        else:
            may_pass.append(f"(dtype={dtype} and ({' or '.join(f'id={case}' for case in own)}))")
    return select, " or ".join(may_pass), ""


def _either(terms: Sequence[str]) -> Callable[[Case, str], bool]:
    if not terms:
        return lambda case, dtype: False
    return compile_selection(" or ".join(terms))


def _passing(seen: _Seen, select: str) -> list[Place]:
    """Results that a selection names, and that pass."""
    matches = compile_selection(select)
    return sorted(
        (case, dtype)
        for (case, dtype), record in seen.records.items()
        if record.verdict in ("pass", "stale") and matches(seen.cases[case], dtype)
    )


def _less(seen: _Seen, entry: Known, stale: Sequence[Place], version: str) -> Change:
    """An entry some or all of whose cases pass."""
    still = [p for p, r in seen.records.items() if r.known == entry.id and r.verdict in FAULTY]
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
    select, may_pass, left = _selection(seen, still, entry.may_pass)
    if not select:
        return Change("left", entry.id, {}, len(stale), left)
    fields = {"select": f"({entry.select}) and ({select})"}
    if may_pass:
        fields["may_pass"] = f"({entry.may_pass}) or {may_pass}" if entry.may_pass else may_pass
    return Change("narrower", entry.id, fields, len(stale), f"{len(stale)} cases that it names pass")


def write(path: Path, found: Sequence[Change]) -> None:
    """Put the changes into the file, of which everything else stays as it is written, comments too.

    Raises
    ------
    ConfigurationError
        When its entries are not written as ``[[known]]``.
    """
    text = (
        path.read_text("utf-8")
        if path.is_file()
        else "# Declared differences. Fields: WRITE_AN_ADAPTER.md.\n"
    )
    document = tomlkit.parse(text)
    entries = document.get("known", tomlkit.aot())
    if not isinstance(entries, AoT):
        raise ConfigurationError(f"{path}: write its entries as [[known]] tables, one under the other, first")
    by_id: dict[str, Table] = {str(entry["id"]): entry for entry in entries}
    added: list[tuple[str, str, str]] = []
    for change in found:
        for name, value in change.fields.items() if change.kind != "new" else ():
            if name in by_id[change.id]:
                by_id[change.id][name] = value
            else:
                added.append((change.id, name, value))
    text = tomlkit.dumps(document)
    for where, name, value in added:
        text = _with_line(text, where, f"{name} = {tomlkit.item(value).as_string()}")
    for change in found:
        if change.kind == "new":
            fields = [f"{name} = {tomlkit.item(value).as_string()}" for name, value in change.fields.items()]
            text = "\n".join([text.rstrip("\n"), "", "[[known]]", *fields, ""])
    unfinished = path.with_name(f".part-{path.name}")
    unfinished.write_text(text, "utf-8")
    unfinished.replace(path)


def _with_line(text: str, where: str, line: str) -> str:
    """A line more in the entry with an id, under that."""
    lines = text.split("\n")
    pattern = re.compile(rf"""\s*id\s*=\s*["']{re.escape(where)}["']""")
    place = next(k for k, own in enumerate(lines) if pattern.match(own))
    return "\n".join([*lines[: place + 1], line, *lines[place + 1 :]])
