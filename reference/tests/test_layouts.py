"""Conversions between layouts, and the LSTM and GRU cases that the onnx package ships."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rnn_reference import layouts
from rnn_reference.activations import hard_sigmoid_keras2
from rnn_reference.shapes import weight_shapes


def weights(layer: str, reset_after: bool = True, use_bias: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = weight_shapes(layer, 3, 2, reset_after=reset_after, use_bias=use_bias)
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def assert_same(a: Any, b: Any) -> None:
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_torch_and_back(layer: str, use_bias: bool) -> None:  # MAP-TORCH-1, MAP-TORCH-2
    w = weights(layer, use_bias=use_bias)
    assert_same(layouts.from_torch(layer, layouts.to_torch(layer, w)), w)


def test_flax_lstm_and_back() -> None:  # MAP-FLAX-1
    w = weights("LSTM")
    assert_same(layouts.from_flax("LSTM", layouts.to_flax("LSTM", w)), w)


def test_flax_gru_and_back_but_for_the_split_of_the_gates_biases() -> None:  # MAP-FLAX-2, MAP-FLAX-3
    w = weights("GRU")
    back = layouts.from_flax("GRU", layouts.to_flax("GRU", w))
    np.testing.assert_array_equal(back["bias"][:, 4:], w["bias"][:, 4:])
    np.testing.assert_array_equal(back["bias"].sum(0), w["bias"].sum(0))
    w["bias"][1, 4:] = 0
    assert "dense_h.bias" not in layouts.to_flax("GRU", w)


@pytest.mark.parametrize(("layer", "reset_after"), [("LSTM", True), ("GRU", True), ("GRU", False)])
def test_onnx_and_back(layer: str, reset_after: bool) -> None:  # MAP-ONNX-1, MAP-ONNX-2
    w = weights(layer, reset_after)
    tensors = layouts.to_onnx(layer, w, reset_after=reset_after)
    assert_same(layouts.from_onnx(layer, tensors, reset_after=reset_after), w)


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_openvino_and_back_but_for_the_split_of_the_gates_biases(
    layer: str,
) -> None:  # MAP-OPENVINO-1, MAP-OPENVINO-2
    w = weights(layer)
    tensors = layouts.to_openvino(layer, w)
    assert tensors["B"].shape == (1, 8)
    back = layouts.from_openvino(layer, tensors)
    if layer == "GRU":
        np.testing.assert_array_equal(back["bias"].sum(0), w["bias"].sum(0))
        np.testing.assert_array_equal(back["bias"][:, 4:], w["bias"][:, 4:])
        w["bias"] = back["bias"]
    assert_same(back, w)
    blocks = np.split(tensors["W"][0].T, 4 if layer == "LSTM" else 3, axis=1)
    first = 1 if layer == "LSTM" else 0  # forget gate, update gate
    np.testing.assert_array_equal(blocks[0], w["kernel"][:, 2 * first : 2 * first + 2])


def test_openvino_gru_with_reset_before_and_back() -> None:  # MAP-OPENVINO-2
    w = weights("GRU", False)
    assert_same(
        layouts.from_openvino("GRU", layouts.to_openvino("GRU", w, reset_after=False), reset_after=False), w
    )


@pytest.mark.parametrize("convert", [layouts.to_torch, layouts.to_flax])
def test_reset_before_is_not_representable(convert: Any) -> None:  # MAP-TORCH-3, MAP-FLAX-3
    with pytest.raises(layouts.NotRepresentable) as caught:
        convert("GRU", weights("GRU", False), reset_after=False)
    assert caught.value.clause.startswith("MAP-")


def test_onnx_default_hard_sigmoid_is_that_of_keras2() -> None:  # ACT-HARD-SIGMOID-KERAS2
    x = np.array([-3.0, -1.0, 0.0, 2.0])
    np.testing.assert_allclose(hard_sigmoid_keras2(x), np.clip(0.2 * x + 0.5, 0, 1))
