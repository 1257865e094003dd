"""Verdicts: shape and dtype first, then z with exact equality where S = 0."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rnn_conformance.contract.adapter import DTYPES
from rnn_conformance.judging.verdict import Verdict, compare, measure
from rnn_fixtures.case import Case
from rnn_fixtures.precision import LIMIT, UNIT
from rnn_fixtures.store import Expected, Store


@pytest.fixture(scope="module")
def store() -> Store:
    return Store()


@pytest.fixture(scope="module")
def case(store: Store) -> Case:
    wanted = "lstm/forward/mask=full_row,initial_state=given,return_sequences,return_state"
    return next(c for c in store.cases() if c.id == wanted)


def golden(case: Case, store: Store, dtype: str = "float32") -> list[np.ndarray]:
    return [store.expected(ref).value.astype(DTYPES[dtype]) for ref in case.calls[0].expected.values()]


def judge(case: Case, arrays: list[np.ndarray], store: Store, dtype: str) -> Verdict:
    expected = {name: store.expected(ref) for name, ref in case.calls[0].expected.items()}
    return compare(expected, dict(zip(expected, arrays, strict=True)), dtype, {"output": 1})


def z_of(actual: np.ndarray, value: np.ndarray, s: np.ndarray, dtype: str) -> np.ndarray:
    return measure(actual, Expected(value, s, s), dtype)


NUMBERS = st.one_of(st.floats(-8, 8), st.sampled_from([0.0, -0.0, 1e-40, np.inf, -np.inf, np.nan]))


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[dict[str, Expected], dict[str, np.ndarray]]:
    """One to three arrays [2, n], some of them empty: golden numbers, and others that are near, equal, or anything."""
    expected, actual = {}, {}
    for name in ("output", "h", "c")[: draw(st.integers(1, 3))]:
        n = draw(st.integers(0, 3))
        value = np.array(draw(st.lists(NUMBERS, min_size=2 * n, max_size=2 * n))).reshape(2, n)
        s = draw(st.lists(st.sampled_from([0.0, 0.5, 3.0]), min_size=2 * n, max_size=2 * n))
        off = draw(
            st.lists(st.sampled_from([0.0, 1e-7, -1e-6, 1e-3, np.inf]), min_size=2 * n, max_size=2 * n)
        )
        with np.errstate(invalid="ignore"):
            actual[name] = (value + np.reshape(off, (2, n))).astype(np.float32)
        both = np.array(s, np.float32).reshape(2, n)
        expected[name] = Expected(value, both, both / 2)
    return expected, actual


def plain_z(actual: float, golden: float, s: float) -> float:
    """PREC-2, of one number."""
    if actual == golden or (math.isnan(actual) and math.isnan(golden)):
        return 0.0
    if s == 0 or not (math.isfinite(actual) and math.isfinite(golden)):
        return math.inf
    return abs(actual - golden) / (UNIT["float32"] * s + float(np.finfo(np.float32).tiny))


@given(comparisons())
def test_all_numbers_at_once_say_what_each_says(
    given: tuple[dict[str, Expected], dict[str, np.ndarray]],
) -> None:
    expected, actual = given
    verdict = compare(expected, actual, "float32")
    z = {
        name: [
            plain_z(*map(float, triple))
            for triple in zip(actual[name].ravel(), e.value.ravel(), e.sensitivity.ravel(), strict=True)
        ]
        for name, e in expected.items()
    }
    every = [number for numbers in z.values() for number in numbers]
    assert verdict.z == pytest.approx(max(every, default=0.0))
    assert verdict.verdict == ("pass" if max(every, default=0.0) <= LIMIT else "value")
    assert verdict.elements == len(every)
    for name, e in expected.items():  # PREC-8
        counted = (e.sensitivity > 0) & np.isfinite(e.value) & np.isfinite(actual[name])
        own = np.array(z[name])[counted.ravel()]
        signs = np.sign(actual[name][counted] - e.value[counted])
        wanted = [
            len(own),
            (own * signs).sum(),
            (own * signs * np.sign(e.value[counted])).sum(),
            (own * own).sum(),
        ]
        assert verdict.spread[name] == pytest.approx(wanted)
    if every:
        assert verdict.where is not None
        name, index = verdict.where["output"], tuple(verdict.where["index"])
        assert plain_z(
            float(actual[name][index]),
            float(expected[name].value[index]),
            float(expected[name].sensitivity[index]),
        ) == pytest.approx(verdict.z)


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_rounded_golden_values_pass(case: Case, store: Store, dtype: str) -> None:
    verdict = judge(case, golden(case, store, dtype), store, dtype)
    assert verdict.verdict == "pass"
    assert verdict.z is not None
    assert verdict.z <= 1


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_z_counts_units_of_sensitivity(dtype: str) -> None:
    z = z_of(np.array([1 + 6 * UNIT[dtype]]), np.array([1.0]), np.array([2.0]), dtype)
    assert z == pytest.approx([3], rel=0.2 if "16" in dtype else 1e-6)


def test_sensitivity_zero_demands_equality() -> None:
    actual = np.array([0.0, -0.0, 1e-300])
    assert z_of(actual, np.zeros(3), np.zeros(3), "float64").tolist() == [0, 0, np.inf]


def test_flushing_subnormals_conforms() -> None:  # PREC-2
    tiny = float(np.finfo(np.float32).tiny)
    assert z_of(np.array([0.0]), np.array([tiny / 2]), np.array([1e-30]), "float32") < 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_is_infinitely_wrong(case: Case, store: Store, value: float) -> None:
    arrays = golden(case, store)
    arrays[2][1, 3] = value
    verdict = judge(case, arrays, store, "float32")
    assert (verdict.verdict, verdict.z) == ("value", np.inf)
    assert verdict.where is not None
    assert (verdict.where["output"], verdict.where["index"], verdict.where["differing"]) == ("c", [1, 3], 1)


def test_location_and_first_step(case: Case, store: Store) -> None:
    arrays = golden(case, store)
    arrays[0][2, 3:] += 0.25
    arrays[0][2, 4, 1] += 1
    verdict = judge(case, arrays, store, "float32")
    assert verdict.where is not None
    assert verdict.where["first_step"] == 3
    assert verdict.where["differing"] == 8
    assert "8 of 60 elements differ, first at step 3" in verdict.message


def test_one_part_in_ten_thousand_is_noticed(case: Case, store: Store) -> None:
    """What a tolerance of 1e-3 would hide."""
    arrays = [a * np.float32(1.0001) for a in golden(case, store)]
    verdict = judge(case, arrays, store, "float32")
    assert verdict.verdict == "value"
    assert verdict.z is not None
    assert verdict.z > 10 * LIMIT


def test_shape_comes_before_dtype_and_value(case: Case, store: Store) -> None:
    arrays = golden(case, store, "float64")
    assert judge(case, [arrays[0].swapaxes(0, 1), *arrays[1:]], store, "float32").verdict == "shape"
    assert judge(case, arrays, store, "float32").verdict == "dtype"
    assert judge(case, golden(case, store, "bfloat16"), store, "float32").verdict == "dtype"


def test_states_in_the_other_order_are_noticed(case: Case, store: Store) -> None:  # VIEW-3
    output, h, c = golden(case, store)
    assert judge(case, [output, c, h], store, "float32").verdict == "value"


def test_bfloat16_is_ml_dtypes() -> None:
    assert DTYPES["bfloat16"] == ml_dtypes.bfloat16
