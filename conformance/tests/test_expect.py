"""Declared differences are brought in line with results: what is new, what is less, what is over."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from nights import night
from rnn_conformance.cli.expect import command
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.judging.differences import Known, declarations_in
from rnn_conformance.selection import compile_selection
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store, select_tier

FILE = """# Written by hand.

[[known]]
id = "mended"  # a comment that stays
select = "dtype=float32 and regime=nan and tier=smoke"
verdict = "value"
clause = "PREC-6"
reason = "NaN is lost"

[[known]]
id = "half-mended"
select = "dtype=float32 and mask=right and tier=smoke"
verdict = "value"
clause = "MASK-3"
reason = "writes zeros"
"""


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [c for c in select_tier(Store(check=False).cases(), "smoke") if "float32" in c.dtypes]


def chosen(cases: list[Case], selection: str) -> set[str]:
    matches = compile_selection(selection)
    return {case.id for case in cases if matches(case, "float32")}


NEW = "layer=GRU and mask=left"
STILL = "mask=right and layer=LSTM"


@pytest.fixture
def place(tmp_path: Path, cases: list[Case]) -> Path:
    """Results in which the GRU is wrong with left padding, and two declarations are not quite true any more."""
    (tmp_path / "known.toml").write_text(FILE)
    faults: dict[str, dict[str, Any]] = {}
    for case in cases:
        if case.id in chosen(cases, NEW):
            agreeing = {"agrees_with": ["mask-ignored"], "diagnosed": True}
            faults[case.id] = {"verdict": "value", "message": "output is 1", **agreeing}
        elif case.id in chosen(cases, STILL):
            faults[case.id] = {"verdict": "value", "known": "half-mended", "message": "zeros"}
        elif case.id in chosen(cases, "mask=right"):
            faults[case.id] = {"verdict": "stale", "known": "half-mended"}
        elif case.id in chosen(cases, "regime=nan"):
            faults[case.id] = {"verdict": "stale", "known": "mended"}
    night(tmp_path / "results", cases, 1, version="2.13.0+cpu", faults=faults)
    return tmp_path


def update(place: Path, *more: str) -> tuple[int, str]:
    file, results = str(place / "known.toml"), str(place / "results")
    given = [
        "update",
        "--adapter",
        "torch",
        "--results",
        results,
        "--file",
        file,
        "--format",
        "pretty",
        *more,
    ]
    done = CliRunner().invoke(command, given, standalone_mode=False)
    assert done.exception is None
    return int(done.return_value), done.output


def test_new_narrower_and_ended(place: Path, cases: list[Case]) -> None:
    code, told = update(place, "--check")
    assert (code, (place / "known.toml").read_text()) == (1, FILE)
    assert "would be written" in told
    assert update(place)[0] == 0
    text = (place / "known.toml").read_text()
    assert text.startswith("# Written by hand.")
    assert "# a comment that stays" in text
    found: dict[str, Known] = {entry.id: entry for entry in declarations_in(place / "known.toml")}
    assert list(found) == ["mended", "half-mended", "mask-ignored"]
    assert found["mended"].versions == "<2.13.0"
    assert chosen(cases, found["half-mended"].select) == chosen(cases, STILL)
    fresh = found["mask-ignored"]
    assert chosen(cases, fresh.select) == chosen(cases, NEW)
    assert (fresh.verdict, fresh.link) == ("value", "")
    assert date.fromisoformat(fresh.review) > date.today()
    assert "masked steps" in fresh.reason  # what the variant does


def test_a_second_time_there_is_nothing_to_change(place: Path) -> None:
    assert update(place)[0] == 0
    text = (place / "known.toml").read_text()
    assert update(place, "--check")[0] == 0
    assert update(place)[0] == 0
    assert (place / "known.toml").read_text() == text


def test_what_was_not_run_takes_nothing_away(place: Path, cases: list[Case]) -> None:
    (place / "known.toml").write_text(
        FILE.replace(" and tier=smoke", "")
    )  # core cases too, of which there are no results
    code, told = update(place)
    assert code == 1
    assert "left: mended" in told
    assert "results that it names are not there" in told
    assert 'versions = "' not in (place / "known.toml").read_text()


def test_entries_for_one_device_say_so(tmp_path: Path, cases: list[Case]) -> None:
    faults = {case: {"verdict": "value", "message": "off"} for case in chosen(cases, NEW)}
    night(tmp_path / "results", cases, 1, faults=faults, device="cuda:0")
    assert update(tmp_path, "--device", "cuda:0")[0] == 0
    (entry,) = declarations_in(tmp_path / "known.toml")
    assert (entry.devices, entry.adapters) == ("cuda:0", "*")


def test_faults_of_an_adapter_are_not_declared(tmp_path: Path, cases: list[Case]) -> None:
    faults = {case: {"verdict": "protocol", "message": "KeyError"} for case in chosen(cases, NEW)}
    night(tmp_path / "results", cases, 1, faults=faults)
    code, told = update(tmp_path)
    assert code == 1
    assert "protocol is a fault to mend" in told
    assert not (tmp_path / "known.toml").exists()


def test_ids_are_unique(tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text(FILE + FILE)
    with pytest.raises(ConfigurationError, match="more than one entry is called mended, half-mended"):
        declarations_in(tmp_path / "known.toml")


def test_nothing_to_say(tmp_path: Path, cases: list[Case]) -> None:
    night(tmp_path / "results", cases, 1)
    assert update(tmp_path) == (0, f"{tmp_path / 'known.toml'} says what the results of torch 2.13.0 show\n")
    assert not (tmp_path / "known.toml").exists()


def test_scattered_cases_are_left_to_people(tmp_path: Path, cases: list[Case]) -> None:
    scattered = {c.id: {"verdict": "value", "message": "off"} for c in cases[::7]}
    night(tmp_path / "results", cases, 1, faults=scattered)
    code, told = update(tmp_path)
    assert code == 1
    assert told.startswith("left: value")
    assert not (tmp_path / "known.toml").exists()
