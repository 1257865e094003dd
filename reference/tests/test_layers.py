"""The layers as their users meet them: arguments, shapes, errors."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rnn_reference
from rnn_reference import GRU, LSTM

SPEC = Path(__file__).parents[2] / "spec"


def ready(layer: type[Any] = LSTM, units: int = 2, features: int = 3, **arguments: Any) -> Any:
    built = layer(units, **arguments)
    built.build((None, 4, features))
    rng = np.random.default_rng(0)
    built.set_weights([rng.normal(size=shape) for shape in built.weight_shapes.values()])
    return built


def test_signatures_are_those_of_tf_keras() -> None:
    shared = (
        "units activation recurrent_activation use_bias kernel_initializer recurrent_initializer bias_initializer "
        "{} kernel_regularizer recurrent_regularizer bias_regularizer activity_regularizer kernel_constraint "
        "recurrent_constraint bias_constraint dropout recurrent_dropout return_sequences return_state go_backwards stateful {} kwargs"
    )
    lstm = shared.format("unit_forget_bias", "time_major unroll").split()
    gru = shared.format("", "unroll time_major reset_after").split()
    assert list(inspect.signature(LSTM).parameters) == lstm
    assert list(inspect.signature(GRU).parameters) == gru


def test_imports_numpy_alone() -> None:
    code = "import sys, rnn_reference; print({m.split('.')[0] for m in sys.modules} & {'flint', 'scipy', 'torch', 'click'})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize("units", [0, -1, 2.5, "2", True])
def test_units_must_be_a_positive_integer(units: Any) -> None:
    with pytest.raises(ValueError, match="units must be a positive integer"):
        LSTM(units)


def test_unknown_keyword() -> None:
    with pytest.raises(TypeError, match="colour"):
        GRU(2, colour="red")


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match="unknown activation 'tanhh'"):
        LSTM(2, activation="tanhh")


def test_three_numbers_as_input_shape() -> None:  # SHAPE-1
    with pytest.raises(ValueError, match="expected ndim=3, found ndim=4"):
        LSTM(2, input_shape=(7, 4, 3))


@pytest.mark.parametrize(
    "declared",
    [
        {"input_shape": (4, 3)},
        {"input_dim": 3, "input_length": 4},
        {"input_dim": 3},
        {"batch_input_shape": (7, 4, 3)},
        {"input_shape": (None, 3), "batch_size": 7},
    ],
)
def test_ways_of_declaring_the_input(declared: dict[str, Any]) -> None:  # SHAPE-2, SHAPE-3
    assert LSTM(2, **declared).weight_shapes == {"kernel": (3, 8), "recurrent_kernel": (2, 8), "bias": (8,)}


def test_unroll_needs_a_length() -> None:  # UNROLL-2
    with pytest.raises(ValueError, match="UNROLL-2"):
        LSTM(2, unroll=True, input_shape=(None, 3))


@pytest.mark.parametrize(
    ("layer", "arguments", "bias"),
    [
        (LSTM, {}, (8,)),
        (GRU, {}, (2, 6)),
        (GRU, {"reset_after": False}, (6,)),
        (GRU, {"use_bias": False}, None),
    ],
)
def test_weight_shapes(
    layer: type[Any], arguments: dict[str, Any], bias: Any
) -> None:  # WEIGHT-2 to WEIGHT-4
    assert layer(2, input_shape=(4, 3), **arguments).weight_shapes.get("bias") == bias


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("layer", [LSTM, GRU])
def test_static_shapes_are_those_that_come_out(
    layer: type[Any], state: bool, sequences: bool, time_major: bool
) -> None:  # SHAPE-4, SHAPE-5
    built = ready(layer, return_sequences=sequences, return_state=state, time_major=time_major)
    inputs = np.ones((4, 5, 3) if time_major else (5, 4, 3))
    result = built(inputs)
    shapes = [a.shape for a in result] if state else result.shape
    assert shapes == built.compute_output_shape(inputs.shape)


def test_unknown_dimensions_stay_unknown() -> None:  # SHAPE-4
    assert LSTM(2).compute_output_shape((None, 4, 3)) == (None, 2)
    assert LSTM(2, return_sequences=True).compute_output_shape((None, None, 3)) == (None, None, 2)


def test_mask_handed_on() -> None:  # MASK-8
    mask = np.ones((5, 4), bool)
    assert LSTM(2).compute_mask(None, mask) is None
    assert LSTM(2, return_sequences=True).compute_mask(None, mask) is mask
    assert GRU(2, return_sequences=True, return_state=True).compute_mask(None, mask) == [mask, None]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"inputs": np.ones((4, 3))}, "expected ndim=3, found ndim=2"),
        ({"inputs": np.ones((5, 4, 2))}, "expected 3 features, found 2"),
        ({"inputs": np.ones((5, 0, 3))}, "at least one time step"),
        ({"inputs": np.ones((5, 4, 3)), "mask": np.ones((4, 5))}, "mask must have shape"),
        ({"inputs": np.ones((5, 4, 3)), "initial_state": [np.ones((5, 2))]}, "expected 2 initial states"),
        (
            {"inputs": np.ones((5, 4, 3)), "initial_state": [np.ones((4, 2))] * 2},
            "initial state h must have shape",
        ),
    ],
)
def test_bad_calls(call: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ready()(**call)


def test_bad_weights() -> None:
    with pytest.raises(ValueError, match="expected 3 weights"):
        LSTM(2, input_shape=(4, 3)).set_weights([np.ones((3, 8))])
    with pytest.raises(ValueError, match="kernel must have shape"):
        LSTM(2, input_shape=(4, 3)).set_weights([np.ones((8, 3)), np.ones((2, 8)), np.ones(8)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("activation", sorted(rnn_reference.layers.activations.ACTIVATIONS))
def test_dtype_is_kept(dtype: Any, activation: str) -> None:  # SHAPE-7
    layer = GRU(2, activation=activation, dtype=dtype, return_state=True)
    layer.set_weights([np.full(s, 0.25) for s in [(3, 6), (2, 6), (2, 6)]])
    assert {a.dtype for a in layer(np.ones((1, 2, 3)))} == {np.dtype(dtype)}


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_a_callable_sees_one_gate(kind: type[Any]) -> None:  # ACT-1
    seen = set()

    def note(x: Any) -> Any:
        seen.add(x.shape)
        return x

    ready(kind, activation=note, recurrent_activation=note)(np.ones((5, 4, 3)))
    assert seen == {(5, 2)}


@pytest.mark.parametrize("units", [1, 2, 4, 7, 16])
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_infinite_input_saturates_without_a_warning(kind: type[Any], units: int) -> None:  # PREC-6
    inputs = np.ones((3, 4, 3), np.float32)
    inputs[1, 2, 0] = np.inf
    output = ready(kind, units, dtype=np.float32, return_sequences=True)(inputs)
    assert np.isfinite(output).all()
