"""What differs between two sets of results: regressed, fixed, new, gone, drifted, and what else changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from rnn_conformance.judging.differences import is_unexpected
from rnn_conformance.reporting.columns import shown
from rnn_conformance.reporting.views import View
from rnn_conformance.results.reading import Part, parts_of

# Runs of one version, device, dtype and settings that began within so many hours of each other belong to one night.
NIGHT = timedelta(hours=12)
# A z that passes before and after has drifted when it grew this many times, and by more than this much.
DRIFT_TIMES, DRIFT_LEAST = 2.0, 0.5

# As `Record.to_json` gives it.
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A case whose verdict changed, or whose z drifted."""

    case: str
    old: str
    new: str
    message: str = ""


class Changes:
    """From one view of an implementation to a later one.

    Attributes
    ----------
    comparable : bool
        Whether both were measured against the same golden data; otherwise nothing is compared.
    """

    def __init__(self, old: View, new: View) -> None:
        self.old, self.new = old, new
        self.comparable = old.newest.fixtures == new.newest.fixtures

    @cached_property
    def _found(self) -> dict[str, list[Change]]:
        found: dict[str, list[Change]] = {
            k: [] for k in ("regressed", "fixed", "moved", "new", "gone", "drifted")
        }
        if not self.comparable:
            return found
        for earlier, record in _pairs(self.old.records(), self.new.records()):
            if record is None:
                assert earlier is not None
                found["gone"].append(Change(earlier["case"], shown(earlier), ""))
            elif earlier is None:
                found["new"].append(Change(record["case"], "", shown(record), record["message"]))
            else:
                _compare(earlier, record, found)
        return found

    @property
    def regressed(self) -> list[Change]:
        """Cases that passed and do not any more, or that began to be unexpected."""
        return self._found["regressed"]

    @property
    def fixed(self) -> list[Change]:
        """Cases that began to pass, or are no longer unexpected."""
        return self._found["fixed"]

    @property
    def moved(self) -> list[Change]:
        """Cases that neither got better nor worse: another discrepancy, another declaration."""
        return self._found["moved"]

    @property
    def new_cases(self) -> list[Change]:
        """Cases without a result before."""
        return self._found["new"]

    @property
    def gone(self) -> list[Change]:
        """Cases without a result now, of which interrupted runs say how many are to come."""
        return self._found["gone"]

    @property
    def drifted(self) -> list[Change]:
        """Cases that pass before and after, with a z that grew within its limit."""
        return self._found["drifted"]

    @property
    def packages(self) -> dict[str, tuple[str, str]]:
        """Versions that changed, those of the framework and the suite included: name to old and new."""
        old, new = (_versions(view) for view in (self.old, self.new))
        names = sorted(old.keys() | new.keys())
        return {n: (old.get(n, ""), new.get(n, "")) for n in names if old.get(n) != new.get(n)}

    def __bool__(self) -> bool:
        return any(self._found.values())


def _pairs(old: Iterator[Record], new: Iterator[Record]) -> Iterator[tuple[Record | None, Record | None]]:
    """Records of one case each, by case id, from two iterators in that order; None for what the other side lacks."""
    before, after = next(old, None), next(new, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before["case"] < after["case"]):
            yield before, None
            before = next(old, None)
        elif before is None or after["case"] < before["case"]:
            yield None, after
            after = next(new, None)
        else:
            yield before, after
            before, after = next(old, None), next(new, None)


def _compare(old: Record, new: Record, found: Mapping[str, list[Change]]) -> None:
    kind = _kind(old, new)
    if kind == "drifted":
        found[kind].append(Change(new["case"], f"z {old['z']:.2g}", f"z {new['z']:.2g}"))
    elif kind:
        message = new["message"] if new["verdict"] != "pass" else old["message"]
        found[kind].append(Change(new["case"], shown(old), shown(new), message))


def _kind(old: Record, new: Record) -> str | None:
    was_bad, is_bad = (is_unexpected(r["verdict"], r["known"]) for r in (old, new))
    passed, passes = (r["verdict"] == "pass" for r in (old, new))
    if passed and passes:
        return "drifted" if _drifted(old["z"], new["z"]) else None
    if (is_bad and not was_bad) or (passed and not passes):
        return "regressed"
    if (was_bad and not is_bad) or (passes and not passed):
        return "fixed"
    same = (old["verdict"], old["known"]) == (new["verdict"], new["known"])
    return None if same else "moved"


def _drifted(old: object, new: object) -> bool:
    if not isinstance(old, (int, float)) or not isinstance(new, (int, float)):
        return False
    return new > DRIFT_TIMES * old and new - old > DRIFT_LEAST


def _versions(view: View) -> dict[str, str]:
    run = view.newest
    packages = run.environment.get("packages")
    found = {str(k): str(v) for k, v in packages.items()} if isinstance(packages, dict) else {}
    python = run.environment.get("python")
    more = {"Python": str(python)} if python else {}
    return {**found, **more, run.framework: run.version, "rnn-conformance": run.suite}


class History:
    """All runs of some directories, night by night.

    Attributes
    ----------
    nights : mapping
        Adapter, device, dtype and settings to its views, the oldest first; runs of one version within a night are one view.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.nights: dict[tuple[str, ...], list[View]] = {}
        own: dict[tuple[str, ...], dict[tuple[str, str], list[list[Part]]]] = {}
        for part in sorted(parts_of(folders), key=lambda part: (part.run.started, part.run.id)):
            run = part.run
            versions = own.setdefault(run.line, {})
            snapshots = versions.setdefault((run.version, run.fixtures), [])
            if not snapshots or _when(run.started) - _when(snapshots[-1][0].run.started) > NIGHT:
                snapshots.append([])
            snapshots[-1].append(part)
        for line, versions in sorted(own.items()):
            found = [View(parts) for snapshots in versions.values() for parts in snapshots]
            self.nights[line] = sorted(found, key=lambda view: view.newest.started)

    @property
    def newest(self) -> datetime:
        """When the last night began."""
        return max((_when(views[-1].newest.started) for views in self.nights.values()), default=datetime.min)

    @cached_property
    def current(self) -> list[View]:
        """Of every line the last view, and other versions of the same night: what a reader asks for first."""
        found = []
        for views in self.nights.values():
            last: dict[str, View] = {view.newest.version: view for view in views}
            newest = max(_when(view.newest.started) for view in last.values())
            found += [v for v in last.values() if newest - _when(v.newest.started) <= NIGHT]
        return sorted(found, key=_order)

    def previous(self, view: View) -> View | None:
        """The view of the night before: of the same version, or else of another version that ran before."""
        started = _when(view.newest.started)
        earlier = [v for v in self.nights[view.line] if started - _when(v.newest.started) > NIGHT]
        same = [v for v in earlier if v.newest.version == view.newest.version]
        if not earlier:  # another version, or revision of the golden data, of the same night is no history
            return None
        return same[-1] if same else earlier[-1]

    def age(self, view: View) -> timedelta:
        """How much older than the last night; zero when it is of it."""
        behind = self.newest - _when(view.newest.started)
        return behind if behind > NIGHT else timedelta()

    @cached_property
    def changes(self) -> list[Changes]:
        """From the night before, for every current view of the last night that has one."""
        pairs = ((self.previous(view), view) for view in self.current if not self.age(view))
        return [Changes(old, new) for old, new in pairs if old is not None]


def _order(view: View) -> tuple[str, str, str, bool, str]:
    run = view.newest
    return run.adapter, run.version, run.where, run.dtype != "float32", run.dtype


def _when(started: str) -> datetime:
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return datetime.min
    return when.replace(tzinfo=None)
