"""What a discrepancy takes: planted combinations of levels are found again among the cases of core."""

from __future__ import annotations

import pytest
from rnn_conformance.explaining.provocation import causes, provocations
from rnn_conformance.selection import compile_selection
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [c for c in Store(check=False).cases() if c.family == "forward"]


def parted(cases: list[Case], expression: str) -> tuple[list[Case], list[Case]]:
    """Cases that a planted cause makes fail, and the others."""
    matches = compile_selection(expression)
    failing = [c for c in cases if matches(c, "float32")]
    return failing, [c for c in cases if not matches(c, "float32")]


@pytest.mark.parametrize(
    "terms",
    [
        ("unroll=true",),
        ("activation=gelu", "mask=left"),
        ("layer=GRU", "reset_after=false", "initial_state=given"),
        ("activation=elu", "mask=interior", "go_backwards=true"),
        ("use_bias=false", "time_major=true", "mask=interior"),
    ],
)
def test_a_conjunction_is_found(cases: list[Case], terms: tuple[str, ...]) -> None:
    failing, passing = parted(cases, " and ".join(terms))
    found = provocations(failing, passing)
    wanted = {t.removesuffix("=true") if t.endswith("=true") else t for t in terms}
    wanted = {f"not {t.removesuffix('=false')}" if t.endswith("=false") else t for t in wanted}
    assert len(found) == 1
    # reset_after alone tells that the layer is a GRU.
    assert set(found[0].terms) == wanted - ({"layer=GRU"} if "not reset_after" in wanted else set())
    assert (found[0].failing, found[0].passing) == (len(failing), 0)


def test_alternatives_come_one_by_one(cases: list[Case]) -> None:
    failing, passing = parted(cases, "activation=mish or (mask=right and unroll=true)")
    found = provocations(failing, passing)
    assert {f.terms for f in found} == {("activation=mish",), ("mask=right", "unroll")}


def test_several_levels_of_one_argument(cases: list[Case]) -> None:
    failing, passing = parted(cases, "unroll=true and not mask=none and not mask=all_true")
    (found,) = provocations(failing, passing)
    assert found.terms == ("unroll", "mask not all_true|none")
    failing, passing = parted(cases, "unroll=true and (mask=left or mask=right)")
    (found,) = provocations(failing, passing)
    assert found.terms == ("unroll", "mask=left|right")


def test_what_no_argument_explains(cases: list[Case]) -> None:
    same = [c for c in cases if c.id.startswith("lstm/forward/mask=")][:2]
    assert provocations([same[0]], [same[0], same[1]]) == []


def test_few_cases_fit_some_combination_by_chance(cases: list[Case]) -> None:
    for failing in ([cases[4000]], cases[100:12_000:4000]):
        passing = [c for c in cases if c not in failing]
        assert provocations(failing, passing) == []


def test_causes_of_a_run(cases: list[Case]) -> None:
    failing, passing = parted(cases, "mask=full_row and return_state=true")
    faulty = [
        {"case": name, "verdict": "value", "known": None, "agrees_with": ["mask-zeros"]}
        for name in (*(c.id for c in failing), "not/there")
    ]
    (found,) = causes(faulty, (c.id for c in passing), {c.id: c for c in cases})
    assert (found.name, found.known, len(found.cases)) == ("mask-zeros", False, len(failing))
    assert str(found.takes[0]) == f"mask=full_row, return_state ({len(failing)} of {len(failing)} such cases)"
