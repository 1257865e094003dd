"""Conversions between layouts, and the LSTM and GRU cases that the onnx package ships."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rnn_reference
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


@pytest.mark.parametrize("convert", [layouts.to_torch, layouts.to_flax])
def test_reset_before_is_not_representable(convert: Any) -> None:  # MAP-TORCH-3, MAP-FLAX-3
    with pytest.raises(layouts.NotRepresentable) as caught:
        convert("GRU", weights("GRU", False), reset_after=False)
    assert caught.value.clause.startswith("MAP-")


def onnx_cases() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = pytest.importorskip("onnx.backend.test.case.node")
        case.collect_testcases("LSTM")
        for test in case.collect_testcases("GRU"):  # holds what was collected before, too
            op = test.model.graph.node[0].op_type
            if op in ("LSTM", "GRU"):
                yield pytest.param(op, test, id=test.name)


def _run_reference(op: str, node: Any, named: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One operator's outputs, from the reference, one direction at a time."""
    attributes = {a.name: a for a in node.attribute}
    assert set(attributes) <= {"hidden_size", "layout", "linear_before_reset", "direction"}
    units = attributes["hidden_size"].i
    layout = attributes["layout"].i if "layout" in attributes else 0
    reset_after = bool(attributes["linear_before_reset"].i) if "linear_before_reset" in attributes else False
    names = list(node.input)
    arrays = {n: named[v] for n, v in zip("X W R B lens h c P".split(), names, strict=False) if v}
    x = arrays["X"] if layout else arrays["X"].swapaxes(0, 1)
    direction = attributes["direction"].s.decode() if "direction" in attributes else "forward"
    sequences, finals = [], []
    for d in range(len(arrays["W"])):
        backward = direction == "reverse" or d == 1
        tensors = {k: arrays[k][d : d + 1] for k in "WRB" if k in arrays}
        keras = layouts.from_onnx(op, tensors, reset_after=reset_after)
        more: dict[str, Any] = {"reset_after": reset_after} if op == "GRU" else {}
        layer = getattr(rnn_reference, op)(
            units,
            use_bias="bias" in keras,
            return_sequences=True,
            return_state=True,
            go_backwards=backward,
            zero_output_for_mask=True,
            **more,
        )
        layer.set_weights(list(keras.values()))
        mask = None
        if "lens" in arrays:
            mask = np.arange(x.shape[1]) < arrays["lens"][:, None]
        states = None
        if "h" in arrays:
            states = [arrays[k][:, d] if layout else arrays[k][d] for k in "hc" if k in arrays]
        output, *final = layer(x, mask=mask, initial_state=states)
        sequences.append(output[:, ::-1] if backward else output)
        finals.append(final)
    axis = 2 if layout else 1  # [B, T, D, U] or [T, D, B, U]
    y = np.stack(sequences, axis=2) if layout else np.stack([s.swapaxes(0, 1) for s in sequences], axis=axis)
    states_out = [np.stack([f[k] for f in finals], axis=1 if layout else 0) for k in range(len(finals[0]))]
    return dict(zip(["Y", "Y_h", "Y_c"], [y, *states_out], strict=False))


@pytest.mark.parametrize(("op", "test"), list(onnx_cases()))
def test_onnx_package_cases(op: str, test: Any) -> None:
    """The onnx package's own node tests give its own expected outputs, but for peepholes (LSTM-EQ-2)."""
    node = test.model.graph.node[0]
    (inputs, outputs), *_ = test.data_sets
    named = dict(zip([i.name for i in test.model.graph.input], inputs, strict=True))
    if op == "LSTM" and len(node.input) > 7 and node.input[7]:
        pytest.skip("peepholes are not part of the Keras layer (LSTM-EQ-2)")
    computed = _run_reference(op, node, named)
    by_name = {o: computed[n] for n, o in zip(("Y", "Y_h", "Y_c"), node.output, strict=False) if o}
    for value, expected in zip(test.model.graph.output, outputs, strict=True):
        np.testing.assert_allclose(by_name[value.name], expected, rtol=1e-5, atol=1e-6)


def test_onnx_default_hard_sigmoid_is_that_of_keras2() -> None:  # ACT-HARD-SIGMOID-KERAS2
    x = np.array([-3.0, -1.0, 0.0, 2.0])
    np.testing.assert_allclose(hard_sigmoid_keras2(x), np.clip(0.2 * x + 0.5, 0, 1))
