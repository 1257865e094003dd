"""Profiles (``spec/profiles.toml``): lists of cases that an implementation may claim, by name and version."""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rnn_fixtures.case import Case
from rnn_fixtures.locations import SPEC

from rnn_conformance.errors import ConfigurationError
from rnn_conformance.selection import compile_selection


@dataclass(frozen=True)
class Profile:
    """One version of a profile.

    Attributes
    ----------
    cases : int
        How many it has.
    digest : str
        SHA-256 of their sorted ids, a line each.
    """

    id: str
    version: int
    title: str
    what: str
    dtype: str
    select: str
    cases: int
    digest: str

    @property
    def name(self) -> str:
        return f"{self.id}, version {self.version}"

    def members(self, cases: Iterable[Case]) -> list[Case]:
        """Its cases among these."""
        matches = compile_selection(self.select)
        return [case for case in cases if self.dtype in case.dtypes and matches(case, self.dtype)]


@dataclass(frozen=True)
class Standing:
    """What an implementation's results say of a profile.

    Attributes
    ----------
    verdicts : Counter
        Of its cases; ``missing`` are those without a result.
    """

    profile: Profile
    verdicts: Counter[str]

    @property
    def passed(self) -> int:
        return self.verdicts["pass"]

    @property
    def holds(self) -> bool:
        return self.passed == self.profile.cases

    @property
    def text(self) -> str:
        """In words."""
        told = f"{self.passed:,} of {self.profile.cases:,} pass"
        rest = ", ".join(
            f"{n:,} {verdict}" for verdict, n in self.verdicts.most_common() if verdict != "pass"
        )
        return f"{self.profile.name}: {'holds' if self.holds else 'does not hold'}: {told}{', ' if rest else ''}{rest}"


@cache
def profiles(folder: Path = SPEC) -> Mapping[str, Profile]:
    """The newest version of each, by id."""
    entries = tomllib.loads((folder / "profiles.toml").read_text("utf-8"))["profile"]
    return {entry["id"]: Profile(**entry) for entry in sorted(entries, key=lambda e: int(e["version"]))}


def find(name: str) -> Profile:
    """The profile of a name.

    Raises
    ------
    ConfigurationError
        When there is none.
    """
    found = profiles().get(name)
    if found is None:
        raise ConfigurationError(f"there is no profile {name!r}; there are {', '.join(profiles())}")
    return found


def digest_of(cases: Iterable[Case]) -> str:
    """SHA-256 of the sorted ids, a line each."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(c.id for c in cases)).encode()).hexdigest()


def standing(profile: Profile, members: Iterable[Case], shown: Callable[[str], str | None]) -> Standing:
    """From an implementation's newest results in the profile's dtype.

    Parameters
    ----------
    members : iterable of Case
        The profile's cases.
    shown : callable
        Case id to the verdict, ``known`` for a known discrepancy, None without a result.
    """
    verdicts: Counter[str] = Counter()
    for case in members:
        verdict = shown(case.id)
        verdicts["missing" if verdict is None else verdict.partition(" ")[0]] += 1  # "pass (composed)"
    return Standing(profile, verdicts)
