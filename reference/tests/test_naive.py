"""The reference against `naive`: plain Python loops, written from the text of the specification alone."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rnn_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from rnn_reference.activations import ACTIVATIONS
from rnn_reference.shapes import weight_shapes

_spec = importlib.util.spec_from_file_location("naive", Path(__file__).with_name("naive.py"))
assert _spec is not None
assert _spec.loader is not None
naive = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(naive)

NAMES = sorted(ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_activation(name: str) -> None:
    rng = np.random.default_rng(7)
    rows = np.concatenate([rng.normal(size=(200, 5)) * 3, rng.normal(size=(20, 5)) * 30])
    got = ACTIVATIONS[name](rows)
    expected = np.array([naive.activate(name, list(row)) for row in rows.tolist()])
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sigmoid_keeps_its_relative_accuracy_to_both_ends(dtype: type[Any]) -> None:  # ACT-SIGMOID
    limits = np.finfo(dtype)
    x = np.linspace(math.log(float(limits.tiny)), -math.log(float(limits.tiny)), 2001).astype(dtype)
    got = ACTIVATIONS["sigmoid"](x)
    assert got.dtype == dtype
    expected = [naive.activate("sigmoid", [float(v)])[0] for v in x]
    np.testing.assert_allclose(got.astype(float), expected, rtol=4 * limits.eps)
    ends = ACTIVATIONS["sigmoid"](np.array([-np.inf, limits.min, limits.max, np.inf, np.nan], dtype))
    np.testing.assert_array_equal(ends, [0, 0, 1, 1, np.nan])


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    layer=st.sampled_from(["LSTM", "GRU"]),
    activation=st.sampled_from(NAMES),
    recurrent_activation=st.sampled_from(NAMES),
    flags=st.fixed_dictionaries(
        {name: st.booleans() for name in ("reset_after", "go_backwards", "zero_output_for_mask")}
    ),
    use_bias=st.booleans(),
    masked=st.booleans(),
    given_state=st.booleans(),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4)),
)
def test_layer(
    seed: int,
    layer: str,
    activation: str,
    recurrent_activation: str,
    flags: dict[str, bool],
    use_bias: bool,
    masked: bool,
    given_state: bool,
    sizes: tuple[int, int, int, int],
) -> None:
    rng = np.random.default_rng(seed)
    b, t, f, u = sizes
    reset_after = flags["reset_after"]
    shapes = weight_shapes(layer, f, u, use_bias=use_bias, reset_after=reset_after)
    weights = [rng.uniform(-0.5, 0.5, size=shape) for shape in shapes.values()]
    inputs = rng.normal(size=(b, t, f))
    mask = rng.random((b, t)) < 0.6 if masked else None
    states = [rng.normal(size=(b, u)) for _ in range(2 if layer == "LSTM" else 1)] if given_state else None
    more: dict[str, Any] = {"reset_after": reset_after} if layer == "GRU" else {}
    arguments = {
        "activation": activation,
        "recurrent_activation": recurrent_activation,
        "go_backwards": flags["go_backwards"],
        "zero_output_for_mask": flags["zero_output_for_mask"],
    }
    reference = getattr(rnn_reference, layer)(
        u, use_bias=use_bias, return_sequences=True, return_state=True, **arguments, **more
    )
    reference.set_weights(weights)
    with np.errstate(over="ignore", invalid="ignore"):
        outputs, *finals = reference(inputs, mask=mask, initial_state=states)
    for row in range(b):
        expected, expected_states = naive.run(
            layer,
            inputs[row].tolist(),
            weights[0].tolist(),
            weights[1].tolist(),
            weights[2].tolist() if use_bias else None,
            mask=None if mask is None else mask[row].tolist(),
            initial_state=None if states is None else [s[row].tolist() for s in states],
            **arguments,
            **more,
        )
        everything = np.array([*expected, *expected_states])
        got = np.array([*outputs[row], *(s[row] for s in finals)])
        if (
            np.isfinite(everything).all() and np.abs(everything).max() < 1e3
        ):  # else: an explosion, nothing to compare
            scale = max(1.0, float(np.abs(everything).max()))
            np.testing.assert_allclose(got, everything, rtol=1e-9, atol=1e-9 * scale)


def test_the_naive_sigmoid_is_the_textbook_one() -> None:
    assert naive.activate("sigmoid", [0.5]) == [pytest.approx(1 / (1 + math.exp(-0.5)), rel=1e-15)]
