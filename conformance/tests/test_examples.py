"""The examples of adapters work as they stand, and say of what they do not know that they do not."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from rnn_conformance.bench import Bench
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import AdapterRef, Session
from rnn_conformance.verdict import FAULTY
from rnn_conformance.worker import run_case
from rnn_fixtures.store import Store, select_tier

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_one_file_of_c(tmp_path: Path) -> None:
    program = tmp_path / "plain"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-std=c99", "-o", str(program)]
    subprocess.run([*command, str(EXAMPLES / "plain.c"), "-lm"], check=True)
    store = Store()
    name = f"cmd:{program}"
    with Session(AdapterRef(name, name)) as session:
        bench = Bench(RemoteAdapter(session), store, "float32", "cpu")
        # Smoke, and a sample of the rest.
        every = [c for c in store.cases() if "float32" in c.dtypes]
        cases = select_tier(every, "smoke") + [c for c in every if c.tier == "core"][::12]
        records = [run_case(bench, case, "nothing") for case in cases]
        assert session.starts == 1
    wrong = {r.case: (r.verdict, r.message) for r in records if r.verdict in FAULTY}
    assert wrong == {}
    assert Counter(r.verdict for r in records)["pass"] > 120
