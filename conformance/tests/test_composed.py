"""Around layers of lengths the suite does all that is left to do, whatever they do themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rnn_conformance.contract.adapter import Unsupported
from rnn_conformance.errors import AdapterFault
from rnn_conformance.judging.bench import Bench
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Session
from rnn_conformance.running.worker import run_case
from rnn_conformance.selection import compile_selection
from rnn_fixtures.case import Case
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


VIEWS = [
    f"lstm/forward/mask=right{views}" for views in ("", ",return_sequences", ",return_sequences,return_state")
]


class Counted(Session):
    """Keeps what it was asked."""

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        asked.append(do)
        return super().ask(do, **fields)


asked: list[str] = []


@pytest.fixture
def bench() -> Iterator[Bench]:
    target = f"{HERE / 'rows.py'}:Rows"
    with Counted(AdapterRef(target, target)) as session:
        bench = Bench(RemoteAdapter(session), Store(check=False), "float32", "cpu")
        asked.clear()
        yield bench


@cache
def cases() -> dict[str, Case]:
    return {case.id: case for case in Store(check=False).cases()}


def case_of(name: str) -> Case:
    return cases()[name]


def ran(bench: Bench, *names: str) -> list[str]:
    """What the adapter is asked for some cases, all of which pass."""
    asked.clear()
    assert [run_case(bench, case_of(name)).verdict for name in names] == ["pass"] * len(names)
    return [do for do in asked if do != "describe"]


def test_what_is_shown_of_a_layer_is_asked_of_one_build(bench: Bench) -> None:
    assert ran(bench, *VIEWS) == ["build", "set_weights", "run", "run", "run"]
    assert ran(bench, "lstm/forward/mask=left") == ["run"]
    model = bench.model(case_of("lstm/forward/mask=left"))
    others = {name: 2 * array for name, array in bench.weights(case_of(VIEWS[0])).items()}
    asked.clear()
    model.set_weights(others)
    model.set_weights(others)
    assert asked == ["set_weights"]
    assert ran(bench, "gru/forward/mask=right", VIEWS[0]) == ["build", "set_weights", "run"] * 2


def test_a_layer_that_something_may_have_changed_is_built_again(bench: Bench) -> None:
    session = bench.adapter.session  # type: ignore[attr-defined]
    ran(bench, VIEWS[0])
    session.close()
    assert ran(bench, VIEWS[1]) == ["build", "set_weights", "run"]
    model = bench.model(case_of(VIEWS[1]))
    with pytest.raises(Unsupported):
        model.call_training(np.zeros((2, 3, 4), np.float32), None, None, training=True)
    assert ran(bench, VIEWS[2])[0] == "run"  # it was never asked
    bench.forget()
    assert ran(bench, VIEWS[2]) == ["build", "set_weights", "run"]
    model = bench.model(case_of(VIEWS[2]))
    with pytest.raises(AdapterFault):
        model._remote.request("run", inputs="nonsense")  # type: ignore[attr-defined]
    assert ran(bench, VIEWS[0]) == ["build", "set_weights", "run"]
