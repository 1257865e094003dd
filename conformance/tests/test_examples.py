"""The examples of adapters work as they stand, and say of what they do not know that they do not."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Session
from rnn_conformance.running.worker import run_case
from rnn_fixtures.store import Store, select_tier

EXAMPLES = Path(__file__).parents[1] / "examples"


def records(target: str) -> list[Record]:
    """Smoke, and a sample of the rest, all by one process."""
    store = Store()
    with Session(AdapterRef(target, target)) as session:
        bench = Bench(RemoteAdapter(session), store, "float32", "cpu")
        every = [c for c in store.cases() if "float32" in c.dtypes]
        cases = select_tier(every, "smoke") + [c for c in every if c.tier == "core"][::12]
        found = [run_case(bench, case) for case in cases]
        assert session.starts == 1
    return found


def check(found: list[Record], passes: int) -> None:
    wrong = {r.case: (r.verdict, r.message) for r in found if r.verdict in FAULTY}
    assert wrong == {}
    assert Counter(r.verdict for r in found)["pass"] > passes


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_one_file_of_c(tmp_path: Path) -> None:
    program = tmp_path / "plain"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-std=c99", "-o", str(program)]
    subprocess.run([*command, str(EXAMPLES / "plain.c"), "-lm"], check=True)
    check(records(f"cmd:{program}"), passes=120)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_thirty_lines_of_python() -> None:
    source = (EXAMPLES / "torch_cells.py").read_text("utf-8").splitlines()[1:]
    assert len([line for line in source if line.strip()]) <= 34  # imports and class lines among them
    found = records(f"{EXAMPLES / 'torch_cells.py'}:TorchCells")
    check(found, passes=30)
    assert {r.mode for r in found if r.verdict == "pass"} == {None, "native", "composed"}
