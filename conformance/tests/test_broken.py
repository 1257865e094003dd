"""No verdict can be had for nothing: adapters that are wrong from the ground up, on the whole smoke tier and all refusals."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from rnn_conformance.contract.adapter import Adapter
from rnn_conformance.judging.bench import Bench
from rnn_conformance.results.record import Record
from rnn_conformance.running.worker import run_case
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store

from . import broken


@cache
def store() -> Store:
    return Store()


@cache
def cases() -> list[Case]:
    """Smoke and every refusal, and a sample of the rest."""
    every = [c for c in store().cases() if "float32" in c.dtypes]
    smoke = [c for c in every if c.tier == "smoke"]
    return smoke + [c for c in every if c.tier != "smoke"][::16]


def records(adapter: Adapter, families: tuple[str, ...] = ()) -> list[tuple[Case, Record]]:
    bench = Bench(adapter, store(), "float32", "cpu")
    chosen = [c for c in cases() if not families or c.family in families]
    with np.errstate(all="ignore"):
        return [(case, run_case(bench, case)) for case in chosen]


@pytest.mark.parametrize(
    "name",
    ["HelperRaises", "HelperRaisesInside", "AlwaysRaises", "EchoesZeros", "ReturnsInput", "OneTooMany"],
)
def test_nothing_is_passed_that_was_not_earned(name: str) -> None:
    found = records(getattr(broken, name)())
    passed = [case.id for case, record in found if record.verdict == "pass"]
    if name == "OneTooMany":  # weights that nobody has set, and epochs, are looked at without a call
        passed = [c for c in passed if "/initial/" not in c and "procedure=fit" not in c]
    assert passed == []
    assert len(found) > 300


@pytest.mark.parametrize("name", ["HelperRaisesInside", "AlwaysRaises"])
def test_a_refusal_of_everything_is_unproved(name: str) -> None:
    verdicts = Counter(r.verdict for _, r in records(getattr(broken, name)(), ("rejects",)))
    assert verdicts["unproved"] > 20
    assert set(verdicts) <= {"unproved", "accepted", "refused", "unsupported"}


def test_an_error_of_the_adapter_s_own_is_no_refusal() -> None:
    verdicts = Counter(r.verdict for _, r in records(broken.HelperRaises(), ("rejects",)))
    assert set(verdicts) <= {"protocol", "accepted", "refused", "unsupported"}
    assert verdicts["protocol"] > 20


def test_another_number_of_arrays_has_one_verdict_everywhere() -> None:
    families = ("forward", "stateful", "shapes", "dropout", "training", "precision")
    found = [
        (case, r)
        for case, r in records(broken.OneTooMany(), families)
        if case.argument("procedure") != "fit" and r.verdict != "unsupported"
    ]
    wrong = {case.id: (r.verdict, r.message) for case, r in found if r.verdict != "shape"}
    assert wrong == {}
    assert all("expected" in r.message for _, r in found)
    assert {case.family for case, _ in found} == set(families)


def test_who_ignores_arguments_passes_only_where_they_do_nothing() -> None:
    ignored = {"mask", "use_bias", "reset_after", "go_backwards", "initial_state", "zero_output_for_mask"}
    for case, record in records(broken.Ignorant(), ("forward",)):
        default = all(
            case.arguments[name]
            == {"mask": "none", "initial_state": "none", "use_bias": True, "reset_after": True}.get(
                name, False
            )
            or name not in case.claims
            for name in ignored & case.arguments.keys()
        )
        if record.verdict == "pass":
            assert default or record.mode == "native", case.id
        if not default and not case.argument("time_major"):
            given = case.argument("mask") != "none" or case.argument("initial_state") == "given"
            # Masks and states are handed to calls, and the reference takes them there.
            assert record.verdict != "pass" or given, case.id
