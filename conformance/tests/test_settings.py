"""Switches of frameworks: dimensions of a run, told apart in everything that is made of its results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commands import cli
from frameworks import MODULES, needs
from rnn_conformance.contract.adapter import Description
from rnn_conformance.judging.differences import Known
from rnn_conformance.reporting import exports
from rnn_conformance.reporting.changes import History
from rnn_conformance.results.reading import collect
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.registry import installed
from rnn_conformance.running.runner import probe
from rnn_fixtures.locations import SPEC

HERE = Path(__file__).parent
CASES = "id=lstm/forward/defaults or id=gru/forward/defaults"


def command(*arguments: str) -> tuple[int, Any, str]:
    """Exit status, what it printed as JSON, and its messages."""
    done = cli(*arguments, "--format", "json")
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def run(folder: Path, *more: str) -> tuple[int, Any, str]:
    return command("run", "--adapter", "fakes:Switched", "--select", CASES, "--out", str(folder), *more)


def test_every_value_is_a_run_of_its_own(tmp_path: Path) -> None:
    status, said, _ = run(tmp_path / "r", "--setting", "products=full,short")
    assert status == 1
    assert {r["settings"]: r["verdicts"] for r in said["runs"]} == {
        "": {"pass": 2},
        "products=short": {"value": 2},
    }
    subjects = collect([tmp_path / "r"])
    assert sorted(s.run.label for s in subjects) == [
        "fakes:Switched float32",
        "fakes:Switched float32 products=short",
    ]
    # The same work again is a newer part of the same subject, and nothing to resume.
    status, again, _ = run(tmp_path / "r", "--setting", "products=short", "--resume")
    assert [r["settings"] for r in again["runs"]] == ["products=short"]
    assert len(collect([tmp_path / "r"])) == 2


def test_reports_tell_them_apart(tmp_path: Path) -> None:
    run(tmp_path / "r", "--setting", "products=full,short")
    history = History([tmp_path / "r"])
    assert len({view.slug for view in history.current}) == len({view.name for view in history.current}) == 2
    data = json.loads("".join(exports.text_of(history, "json")))
    schema = json.loads((SPEC / "schemas/results.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(data)
    assert {r["settings"] for r in data["results"]} == {"", "products=short"}
    status, _, _ = command("report", str(tmp_path / "r"), "--out", str(tmp_path / "site"))
    assert status == 0
    front = (tmp_path / "site/index.html").read_text("utf-8")
    assert 'data-settings="products=short"' in front
    assert '<select name="settings">' in front
    run(tmp_path / "a", "--setting", "products=full")
    run(tmp_path / "b", "--setting", "products=short")
    status, _, errors = command("diff", str(tmp_path / "a"), str(tmp_path / "b"))
    assert status == 2
    assert "no adapter, device, dtype and settings in common" in errors


@pytest.mark.parametrize(
    ("given", "status", "told"),
    [
        ("products=half", 3, "no setting products=half; it has products=full|short; idle=0|1"),
        ("tf32=on", 3, "no setting tf32=on"),
        ("products", 2, "--setting is NAME=VALUE"),
        ("products=full,", 2, "--setting is NAME=VALUE"),
    ],
)
def test_what_is_not_offered(tmp_path: Path, given: str, status: int, told: str) -> None:
    found, _, errors = run(tmp_path, "--setting", given)
    assert (found, told in errors) == (status, True), errors


def test_settings_are_part_of_what_is_declared() -> None:
    entry = Known("k", "lstm", "value", "PREC-2", "reason", settings={"cudnn": "on"})
    on, off = (
        Description("f", "1", ["cpu"], {}, settings={"cudnn": value, "tf32": "off"})
        for value in ("on", "off")
    )
    assert entry.concerns(on, "cpu")
    assert not entry.concerns(off, "cpu")
    assert not entry.concerns(Description("f", "1", ["cpu"], {}), "cpu")


@pytest.mark.parametrize("name", MODULES)
def test_every_switch_of_a_framework_can_be_set(name: str) -> None:
    """In the environment of each adapter; a layer runs with it, and says so."""
    needs(name)
    what = probe(installed()[name])
    assert what.offered, name
    for switch, values in what.offered.items():
        for value in values[1:]:
            ref = AdapterRef(name, installed()[name].target, ((switch, value),))
            assert probe(ref).settings == what.settings | {switch: value}
