"""Fuzzing finds planted bugs, and accuses nobody who is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import cli
from hypothesis import given, settings
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.searching import fuzz
from rnn_fixtures.domain import domain
from rnn_fixtures.scenario import Scenario

HERE = Path(__file__).parent


def run(name: str, out: Path) -> tuple[int, dict[str, object]]:
    """A search that ends with the first finding; other seeds take up to ten times as long."""
    done = cli("fuzz", "--adapter", name, "--seconds", "300", "--seed", "7", "--most", "1", "--out", str(out))
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_planted_bug_is_found_in_seconds(tmp_path: Path) -> None:
    code, report = run("fakes:Value", tmp_path)
    assert code == 1
    first = report["found"][0]  # type: ignore[index] # JSON
    assert first["verdict"] == "value"
    assert any(term.startswith("mask") for term in first["needed"])
    case = json.loads(Path(first["case"]).read_text())
    assert case["size"]["B"] * case["size"]["T"] * case["size"]["U"] <= 4  # made small
    done = subprocess.run(
        [sys.executable, first["script"]], capture_output=True, text=True, cwd=HERE, check=False
    )
    assert (done.returncode, done.stdout.split()[0]) == (1, "value"), done.stderr


def test_a_planted_crash_is_found(tmp_path: Path) -> None:
    code, report = run("fakes:Crash", tmp_path)
    assert code == 1
    assert [f["verdict"] for f in report["found"]] == ["crash"]  # type: ignore[attr-defined] # JSON


def test_the_reference_is_not_accused() -> None:
    numpy = AdapterRef("numpy", "rnn_conformance.adapters.numpy.adapter:NumpyAdapter")
    for dtype in ("float32", "float64"):
        tally = fuzz.Search(numpy, dtype, "cpu").run(3, 2.0, ())
        assert not tally.found
        assert tally.scenarios > 5
        assert tally.elements > 0
        assert tally.largest_z < 4


def test_a_variant_is_named_and_certified() -> None:
    pytest.importorskip("flint")
    target = f"{HERE / 'fakes.py'}:Zeros"
    tally = fuzz.Search(AdapterRef(target, target), "float32", "cpu").run(1, 4.0, ())
    assert any(f.record.agrees_with[:1] == ["mask-zeros"] and f.certified for f in tally.found)


@given(fuzz.scenarios())
@settings(max_examples=60, deadline=None)
def test_scenarios_are_consistent(scenario: Scenario) -> None:
    size, row = scenario.size, scenario.row
    assert scenario.weights["kernel"].shape[0] == size.F
    assert row["use_bias"] == ("bias" in scenario.weights)
    assert set(row) == set(domain().defaults(scenario.family, scenario.layer))
    for array in (*scenario.weights.values(), *(c.inputs for c in scenario.calls)):
        assert (abs(array) * 2**14 % 1 == 0).all()  # on the grid
