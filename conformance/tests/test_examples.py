"""The examples of adapters work as they stand, and say of what they do not know that they do not."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from rnn_conformance.contract.adapter import Description
from rnn_conformance.contract.capabilities import CALLS
from rnn_conformance.judging import differences
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


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")
def test_one_file_of_javascript() -> None:
    found = records(f"cmd:node {EXAMPLES / 'plain.mjs'}")
    whole = [r for r in found if r.verdict == "accepted" and "units_whole_float" in r.case]
    check([r for r in found if r not in whole], passes=120)  # 4.0 is 4 in JavaScript


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_thirty_lines_of_python() -> None:
    source = (EXAMPLES / "torch_cells.py").read_text("utf-8").splitlines()[1:]
    assert len([line for line in source if line.strip()]) <= 34  # imports and class lines among them
    found = records(f"{EXAMPLES / 'torch_cells.py'}:TorchCells")
    check(found, passes=30)
    assert {r.mode for r in found if r.verdict == "pass"} == {None, "native", "composed"}


# A framework that the suite does not know, with a layer of its own interface: the reference in disguise.
MINE = """
import numpy as np
import rnn_reference
from rnn_reference import layouts

__version__ = "3.0"


class LSTM:
    def __init__(self, features, units):
        self.layer = rnn_reference.LSTM(units, return_sequences=True, return_state=True)
        self.layer.build((None, None, features))

    def load(self, state_dict):
        self.layer.set_weights(list(layouts.from_torch("LSTM", state_dict).values()))

    def __call__(self, inputs):
        return self.layer(inputs)
"""


def test_the_page_on_writing_an_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that it shows runs as it stands, and passes what it claims."""
    page = (EXAMPLES.parent / "WRITE_AN_ADAPTER.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n# my_adapter\.py\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my_adapter.py").write_text(code)
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    check(records("my_adapter.py:Mine"), passes=3)
    (entry,) = re.findall(r"```toml\n(\[\[known\]\].*?)```", page, re.DOTALL)
    (tmp_path / "known.toml").write_text(entry)
    (declared,) = differences.declarations(AdapterRef("x", "my_adapter.py:Mine").folder)
    what = Description("mine", "3.1", ["gpu:0"], {}, {"minelib": "1.4"}, settings={"fast_math": "on"})
    assert declared.concerns(what, "gpu:0")
    assert any(declared.applies(case, "float32") for case in Store().cases())


def test_every_call_that_capabilities_name_is_on_the_page() -> None:
    page = (EXAMPLES.parent / "WRITE_AN_ADAPTER.md").read_text("utf-8")
    of_models = {
        "mask",
        "declared",
        "positional",
        "malformed",
    }  # of layers with tf.keras's interface, or of use to few
    assert [name for name in CALLS if name not in of_models and name not in page] == []
