"""What a version of a profile is, stays; what holds it, passes all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from nights import night
from rnn_conformance import profiles
from rnn_conformance.cli.report import command
from rnn_conformance.cli.run import command as run
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.reporting import exports
from rnn_conformance.reporting.changes import History
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(Store(check=False).cases())


@pytest.mark.parametrize("name", profiles.profiles())
def test_a_version_is_for_ever(name: str, cases: list[Case]) -> None:
    """A change of the golden data that changes this list asks for the profile's next version."""
    profile = profiles.find(name)
    members = profile.members(cases)
    assert (len(members), profiles.digest_of(members)) == (profile.cases, profile.digest)


def test_unknown() -> None:
    with pytest.raises(ConfigurationError, match="there are inference-f32"):
        profiles.find("inference-f8")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (None, "holds: 28 of 28 pass"),
        ({"verdict": "unsupported"}, "does not hold: 27 of 28 pass, 1 unsupported"),
        ({"verdict": "value", "known": "k"}, "does not hold: 27 of 28 pass, 1 known"),
        ({"verdict": "value"}, "does not hold: 27 of 28 pass, 1 value"),
        ("absent", "does not hold: 27 of 28 pass, 1 missing"),
    ],
)
def test_what_breaks_it(fault: Any, told: str, cases: list[Case], tmp_path: Path) -> None:
    profile = profiles.find("training-f32")
    members = profile.members(cases)
    if fault == "absent":
        night(tmp_path, members[1:], 1)
    else:
        night(tmp_path, members, 1, faults={members[0].id: fault} if fault else {})
    history = History([tmp_path])
    (view,) = history.current
    found = profiles.standing(profile, members, view.columns.shown)
    assert found.text == f"training-f32, version 1: {told}"
    assert found.holds == (fault is None)
    badge = exports.profile_badge(history, profile)
    assert (badge["message"], badge["label"]) == (
        "holds" if found.holds else "27 of 28 pass",
        "rnn training-f32 1",
    )
    target = tmp_path / "badge.json"
    given = [str(tmp_path), "--export", "badge", "--profile", "training-f32", "--out", str(target)]
    assert CliRunner().invoke(command, given).exit_code == 0
    assert json.loads(target.read_text()) == badge


@pytest.mark.parametrize(
    "more", [["--dtype", "float16"], ["--tier", "smoke"], ["--select", "gru"], ["--shard", "1/2"]]
)
def test_a_profile_says_itself_what_it_has(more: list[str], tmp_path: Path) -> None:
    given = ["--adapter", "numpy", "--profile", "training-f32", "--out", str(tmp_path / "r"), *more]
    done = CliRunner().invoke(run, given)
    assert done.exit_code == 2
    assert "says itself which cases it has" in done.output
    assert not (tmp_path / "r").exists()
