"""Reproductions: what is printed for whom; `test_scripts.py` runs the frameworks' own."""

from __future__ import annotations

import ast
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import cli
from rnn_conformance.explaining.repro import _through_adapter, literal
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_fixtures.store import Store

HERE = Path(__file__).parent
CASE = "lstm/forward/mask=right,return_sequences,return_state"


def test_a_script_shows_the_discrepancy(tmp_path: Path) -> None:
    script = tmp_path / "repro.py"
    done = cli("repro", CASE, "--adapter", "fakes:Value", "--out", str(script))
    assert done.returncode == 0, done.stderr
    assert "value" in script.read_text()
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=HERE, check=False)
    assert ran.returncode == 1, ran.stderr
    assert "value output" in ran.stdout


def test_a_crash_is_written_down_as_it_is(tmp_path: Path) -> None:
    script = tmp_path / "repro.py"
    done = cli("repro", CASE, "--adapter", "fakes:Crash", "--out", str(script))
    assert done.returncode == 0, done.stderr
    assert "crash" in script.read_text()
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=HERE, check=False)
    assert ran.returncode == 1
    assert "crash the process died (exit 7)" in ran.stdout


def test_nothing_to_reproduce() -> None:
    done = cli("repro", CASE, "--adapter", "numpy")
    assert done.returncode == 5
    assert "is pass on numpy" in done.stderr


def test_usage() -> None:
    assert cli("repro", CASE).returncode == 2
    assert cli("repro", "nonsense", "--adapter", "numpy").returncode == 2


def test_all_causes_of_a_run(tmp_path: Path) -> None:
    results = tmp_path / "results"
    cli("run", "--adapter", "fakes:Value", "--select", f"id={CASE}", "--out", str(results))
    command = ["repro", "--results", str(results), "--check", "--format", "json"]
    refused = cli(*command)  # a class that only a database names is not run
    assert refused.returncode == 2
    assert "running it takes --adapter" in refused.stderr
    done = cli(*command, "--adapter", "fakes:Value")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["scripts"]
    assert entry["shown"]
    assert entry["cases"] == 1
    assert Path(entry["script"]).is_file()


def test_what_results_name_and_nobody_knows_stays_text(tmp_path: Path) -> None:
    results = tmp_path / "results"
    cli("run", "--adapter", "fakes:Value", "--select", f"id={CASE}", "--out", str(results))
    wild = '"""\\nraise SystemExit(77)\\n"""'
    with sqlite3.connect(results / "results.sqlite") as db:
        db.execute("UPDATE explained SET agrees_with = ?", (json.dumps([wild]),))
        db.execute("UPDATE words SET clause = ?", (wild,))
        known = [{"id": "k", "link": "javascript:alert(1)", "reason": wild}, {"reason": "without a name"}, 7]
        db.execute("UPDATE runs SET declared = ?", (json.dumps(known),))
        db.execute("UPDATE results SET known = 'k'")
    db.close()
    assert cli("report", str(results), "--out", str(tmp_path / "known")).returncode == 0
    page = (tmp_path / "known/index.html").read_text("utf-8")
    assert "javascript:" not in page
    with sqlite3.connect(results / "results.sqlite") as db:
        db.execute("UPDATE results SET known = NULL")
    db.close()
    done = cli("repro", "--results", str(results), "--check", "--format", "json", "--adapter", "fakes:Value")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["scripts"]
    assert entry["cause"] == wild
    ran = subprocess.run([sys.executable, entry["script"]], capture_output=True, cwd=HERE, check=False)
    assert ran.returncode == 1
    assert cli("report", str(results), "--out", str(tmp_path / "site")).returncode == 0
    assert wild not in (tmp_path / "site/index.html").read_text("utf-8")


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -0.25]]),
        np.array([True, False]),
        np.array([np.nan, np.inf, -np.inf]),
        np.zeros((0, 3)),
        np.float64(0.1),
    ],
)
def test_literals(array: np.ndarray) -> None:
    again = eval(literal(np.asarray(array)), {"np": np})
    assert again.shape == np.shape(array)
    assert np.array_equal(again, array, equal_nan=again.dtype != bool)


@pytest.mark.parametrize(
    "text",
    [
        '"""\nimport os; os._exit(3)\n"""',
        "ends with a backslash \\",
        'quotes " \\" \\\\"""',
        "\0 \ud800 {{ 1 }} \x1b[0m",
    ],
)
def test_what_an_adapter_says_stays_text(tmp_path: Path, text: str) -> None:
    """An error's words, and the names of adapters, land in a docstring and in strings: the script still says what they were, and runs none."""
    case = next(iter(Store().cases()))
    record = Record.failure(case, "refused", text)
    script = _through_adapter(AdapterRef(text, text), case.id, None, "float32", text, record, ())
    compiled = ast.parse(script)
    assert len(compiled.body) <= 6
    calls = [n for n in ast.walk(compiled) if isinstance(n, ast.Call)]
    assert {ast.unparse(c.func) for c in calls} <= {"rerun", "print", "sys.exit", "int"}
