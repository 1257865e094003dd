"""Around layers of lengths the suite does all that is left to do, whatever they do themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rnn_conformance.judging.bench import Bench
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Session
from rnn_conformance.running.worker import run_case
from rnn_conformance.selection import compile_selection
from rnn_fixtures.store import Store

HERE = Path(__file__).parent
SELECT = "(family=forward and (size=base or size=small)) or family=stateful or procedure=gradients or procedure=predict or family=shapes"


@pytest.fixture(scope="module", params=["Rows", "Flips", "All"])
def records(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[Record]]]:
    """A ninth of the cases of such layers; every combination of what the suite does is among them."""
    store, matches = Store(check=False), compile_selection(SELECT)
    chosen = [c for c in store.cases() if matches(c, "float32") and "float32" in c.dtypes][::9]
    target = f"{HERE / 'rows.py'}:{request.param}"
    with Session(AdapterRef(target, target)) as session:
        bench = Bench(RemoteAdapter(session), store, "float32", "cpu")
        yield request.param, [run_case(bench, case) for case in chosen]


def test_all_that_is_claimed_passes(records: tuple[str, list[Record]]) -> None:
    _, found = records
    counts = Counter(r.verdict for r in found)
    wrong = [f"{r.case}: {r.verdict}: {r.message}" for r in found if r.verdict not in ("pass", "unsupported")]
    assert wrong == []
    assert counts["pass"] > 400


def test_what_the_suite_did_is_composed(records: tuple[str, list[Record]]) -> None:
    name, found = records
    flipped = [r for r in found if r.verdict == "pass" and r.family == "forward" and "go_backwards" in r.case]
    masked = [r for r in flipped if "mask=" in r.case]
    plain = [r for r in flipped if "mask=" not in r.case]
    right = [
        r
        for r in masked
        if "mask=right" in r.case and "zero_output_for_mask" in r.case and "return_sequences" in r.case
    ]
    assert {r.mode for r in plain} == {"composed" if name == "Rows" else "native"}
    assert {r.mode for r in masked if r not in right} >= {"composed"}
    assert plain
    assert masked
    unflipped = [
        r
        for r in found
        if r.verdict == "pass" and r.case.endswith(("forward/defaults", "forward/return_state"))
    ]
    assert {r.mode for r in unflipped} <= {"native"}
