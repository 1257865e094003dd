"""One sentence on what changed since the night before, for the front page, the feed and `rnn-conformance diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from rnn_conformance.reporting.changes import Change, Changes, History


@dataclass(frozen=True)
class Headline:
    """What a reader sees first.

    Attributes
    ----------
    state : str
        ``bad`` where something regressed, ``good`` where something was fixed, empty otherwise.
    """

    text: str
    notes: list[str] = field(default_factory=list)
    state: str = ""
    more: bool = False


def spelled_age(age: timedelta) -> str:
    """An age in days or hours; empty for none."""
    if not age:
        return ""
    number, unit = (age.days, "day") if age.days else (age.seconds // 3600, "hour")
    return f"{number} {unit}{'' if number == 1 else 's'}"


def headline(history: History) -> Headline:
    """Of the last night of a history."""
    current = history.current
    if not current:
        return Headline("No results yet.")
    bad = sum(view.bad for view in current)
    stale = [v for v in current if history.age(v)]
    notes = [
        f"No data from {v.newest.adapter} {v.newest.dtype} on {v.newest.where} this time: its last results, {spelled_age(history.age(v))} old, are shown."
        for v in stale
    ]
    if not history.changes:
        total = sum(view.counts.total() for view in current)
        many = f"{len(current)} implementation{'' if len(current) == 1 else 's'}"
        verdict = (
            "every discrepancy is declared"
            if not bad
            else f"{bad:,} {'is' if bad == 1 else 'are'} unexpected"
        )
        return Headline(f"{total:,} results of {many}: {verdict}.", notes, "bad" if bad else "")
    since = min(c.old.newest.started for c in history.changes)[:10]
    text, more = sentence(history.changes)
    state = "bad" if any(c.regressed for c in history.changes) else ""
    state = state or ("good" if any(c.fixed for c in history.changes) else "")
    return Headline(f"Since {since}: {text}.", more + notes, state, more=True)


def sentence(changes: Sequence[Changes]) -> tuple[str, list[str]]:
    """What changed in one sentence without its end, and what else is to be said."""
    parts = []
    for word, own in (
        ("regressed", [c.regressed for c in changes]),
        ("fixed", [c.fixed for c in changes]),
        ("otherwise changed", [c.moved for c in changes]),
        ("new", [c.new_cases for c in changes]),
        ("without a result now", [c.gone for c in changes]),
    ):
        count = sum(map(len, own))
        if count:
            parts.append(f"{count:,} {word} ({_who(changes, own)})")
    moved = {(c.new.newest.framework, c.old.newest.version, c.new.newest.version) for c in changes}
    parts += [f"{name} went from {old} to {new}" for name, old, new in sorted(moved) if old != new]
    notes = []
    drifted = sum(len(c.drifted) for c in changes)
    if drifted:
        notes.append(
            f"{drifted:,} {'value' if drifted == 1 else 'values'} drifted within the limit ({_who(changes, [c.drifted for c in changes])})."
        )
    apart = sorted({c.new.newest.adapter for c in changes if not c.comparable})
    if apart:
        notes.append(f"The golden data changed: results of {', '.join(apart)} are not compared.")
    return "; ".join(parts) or "no verdict changed", notes


def _who(changes: Sequence[Changes], entries: Sequence[Sequence[Change]]) -> str:
    count: Counter[str] = Counter()
    for change, own in zip(changes, entries, strict=True):
        if own:
            count[f"{change.new.newest.adapter} {change.new.newest.dtype}"] += len(own)
    return ", ".join(count)
