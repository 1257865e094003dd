"""Attributes of the ONNX operators from a layer's arguments; what they mean is tested by running them."""

from __future__ import annotations

from rnn_reference.activations import ACTIVATIONS
from rnn_reference.onnx_operators import ACTIVATIONS as EXPRESSIBLE
from rnn_reference.onnx_operators import attributes


def test_defaults_are_left_out() -> None:
    usual = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    assert attributes("LSTM", usual, 4) == {"hidden_size": 4}
    gru = attributes("GRU", usual | {"reset_after": True}, 4)
    assert gru == {"hidden_size": 4, "linear_before_reset": 1}


def test_parameters_come_in_the_order_of_the_functions_that_take_them() -> None:
    found = attributes("LSTM", {"activation": "elu", "recurrent_activation": "hard_sigmoid_keras2"}, 4)
    assert found["activations"] == ["HardSigmoid", "Elu", "Elu"]
    assert found["activation_alpha"] == [0.2, 1.0, 1.0]
    assert found["activation_beta"] == [0.5]


def test_every_function_is_one_of_the_specification() -> None:
    assert set(EXPRESSIBLE) <= {*ACTIVATIONS, "none"}
