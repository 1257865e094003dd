"""What no single case shows: arithmetic that errs in one direction, or that is shorter than its dtype (PREC-8, PREC-9)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.precision_classes import FEWEST, MEAN, RMS, Spread, is_counted, spread, sums
from rnn_conformance.proving.variants.base import Variant, VariantAdapter
from rnn_conformance.proving.variants.numbers import rounded
from rnn_conformance.running.worker import run_case
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store
from rnn_reference import elementary, recurrence


@cache
def store() -> Store:
    return Store(check=False)


@cache
def cases() -> dict[str, Case]:
    """Of each draw of weights the cases that a run counts, a few."""
    found: dict[str, list[Case]] = {}
    for case in store().cases():
        if is_counted(case):
            found.setdefault(case.weights["kernel"].tensor, []).append(case)
    return {c.id: c for own in found.values() for c in own[:: max(len(own) // 6, 1)]}


def seen(variant: Variant, dtype: str = "float32", layer: str = "") -> Spread:
    bench = Bench(VariantAdapter(variant), store(), dtype, "cpu")
    chosen = [c for c in cases().values() if dtype in c.dtypes and layer in c.layer]
    records = [run_case(bench, case).to_json() for case in chosen]
    # None of this shows in a verdict.
    assert all(r["verdict"] in ("pass", "unsupported") for r in records) or dtype == "float16"
    result = spread(((r["case"], own) for r in records if (own := sums(r))), cases())
    assert result is not None
    return result


def plain(**changes: Any) -> Variant:
    return Variant("own", "PREC-2", "own", "for this test", **changes)


def sigmoid_as(function: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(arguments: dict[str, Any]) -> dict[str, Any]:
        own = arguments.get("recurrent_activation") == "sigmoid"
        return arguments | ({"recurrent_activation": function} if own else {})

    return change


def truncated(x: np.ndarray) -> np.ndarray:
    """The next float32 towards zero."""
    near = x.astype(np.float32)
    beyond = np.abs(near.astype(np.float64)) > np.abs(x)
    return np.where(beyond, np.nextafter(near, np.float32(0)), near)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_the_reference_is_in_no_class(dtype: str) -> None:
    found = seen(plain(functions={}), dtype)
    assert found.classes == []
    assert found.draws >= FEWEST
    assert found.rms < RMS - 0.1
    assert max(abs(found.bias), abs(found.outwards)) < MEAN / 2


def test_a_sigmoid_that_is_always_too_large() -> None:
    biased = lambda x: (elementary.sigmoid(x) * (1 + 1.5 * 2.0**-23)).astype(x.dtype)  # noqa: E731
    found = seen(plain(arguments=sigmoid_as(biased)))
    assert any("biased function" in text or "directed" in text for text in found.classes), found


def test_arithmetic_that_truncates() -> None:
    """Products, sums and functions computed exactly and cut off."""
    step = recurrence.lstm_step

    def cut(x: Any, kernel: Any) -> Any:
        return truncated(np.asarray(x, np.float64) @ np.asarray(kernel, np.float64))

    def cut_step(projected: Any, states: Any, recurrent_kernel: Any, *functions: Any) -> Any:
        wide = [np.asarray(a, np.float64) for a in (projected, *states, recurrent_kernel)]
        h, c = step(wide[0], tuple(wide[1:3]), wide[3], *functions)
        return truncated(h), truncated(c)

    functions = {"recurrence._product": cut, "recurrence.lstm_step": cut_step}
    found = seen(plain(functions=functions, layers=("LSTM",)), layer="LSTM")
    assert any("directed rounding towards zero" in text for text in found.classes), found


def test_float16_with_products_in_bfloat16() -> None:
    """Whose unit is float16's limit of 8 units."""
    product = recurrence._product

    def short(x: Any, kernel: Any) -> Any:
        return rounded(product(x, kernel), 8) if x.dtype == np.float16 else product(x, kernel)

    found = seen(plain(functions={"recurrence._product": short}), "float16")
    assert any("short arithmetic" in text for text in found.classes), found
