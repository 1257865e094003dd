"""Other recurrences, other activations (LSTM-EQ, GRU-EQ, ACT)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from rnn_reference import activations, recurrence
from rnn_reference import elementary as el

from rnn_conformance.contract.adapter import LayerSpec
from rnn_conformance.proving.variants.base import Variant, Weights

_lstm, _gru = recurrence.lstm_step, recurrence.gru_step


def _lstm_with(combine: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """An LSTM step whose end is another one; ``combine`` gets gates, candidate, c and the activation."""

    def step(
        projected: Any, states: Any, kernel: Any, activation: Any, recurrent: Any, dropout: Any = None
    ) -> Any:
        h, c = states
        z = projected + recurrence._recurrent_product(h, kernel, dropout)
        i, f, o = (recurrent(z[k]) for k in (0, 1, 3))
        return combine(i, f, o, z[2], c, activation)

    return step


def _coupled(i: Any, f: Any, o: Any, g: Any, c: Any, phi: Any) -> Any:
    c = f * c + (1 - f) * phi(g)
    return o * phi(c), c


def _no_output_activation(i: Any, f: Any, o: Any, g: Any, c: Any, phi: Any) -> Any:
    c = f * c + i * phi(g)
    return o * c, c


def _no_candidate_activation(i: Any, f: Any, o: Any, g: Any, c: Any, phi: Any) -> Any:
    c = f * c + i * g
    return o * phi(c), c


def _tanh_output(i: Any, f: Any, o: Any, g: Any, c: Any, phi: Any) -> Any:
    c = f * c + i * phi(g)
    return o * np.tanh(c), c


def _tanh_candidate(i: Any, f: Any, o: Any, g: Any, c: Any, phi: Any) -> Any:
    c = f * c + i * np.tanh(g)
    return o * phi(c), c


def _old_cell(i: Any, f: Any, o: Any, g: Any, c: Any, phi: Any) -> Any:
    return o * phi(c), f * c + i * phi(g)


def _clipped(i: Any, f: Any, o: Any, g: Any, c: Any, phi: Any) -> Any:
    c = el.clip(f * c + i * phi(g), -0.5, 0.5)
    return o * phi(c), c


def _no_forget(i: Any, f: Any, o: Any, g: Any, c: Any, phi: Any) -> Any:
    c = c + i * phi(g)
    return o * phi(c), c


def _gru_inverted(
    projected: Any, states: Any, kernel: Any, bias: Any, after: Any, a: Any, s: Any, d: Any = None
) -> Any:
    calls = iter((lambda x: 1 - s(x), s))  # the update gate comes first
    return _gru(projected, states, kernel, bias, after, a, lambda x: next(calls)(x), d)


def _gru_without_reset(
    projected: Any, states: Any, kernel: Any, bias: Any, after: Any, a: Any, s: Any, d: Any = None
) -> Any:
    calls = iter((s, lambda x: s(x) * 0 + 1))
    return _gru(projected, states, kernel, bias, after, a, lambda x: next(calls)(x), d)


def _other_activation(
    name: str, function: Callable[[Any], Any]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(arguments: dict[str, Any]) -> dict[str, Any]:
        for key in ("activation", "recurrent_activation"):
            if arguments.get(key) == name:
                arguments[key] = function
        return arguments

    return change


def _swapped(arguments: dict[str, Any]) -> dict[str, Any]:
    a, r = arguments["activation"], arguments["recurrent_activation"]
    return arguments | {"activation": r, "recurrent_activation": a}


def _argument(name: str, value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda arguments: arguments | {name: value} if name in arguments else arguments


def _bias_rows_inverted(weights: Weights, spec: LayerSpec) -> Weights:
    """A bias of the shape that the other ``reset_after`` has."""
    if "bias" not in weights:
        return weights
    bias = weights["bias"]
    return weights | {"bias": bias.sum(0) if bias.ndim == 2 else np.stack([bias, 0 * bias])}


def _step(function: Callable[..., Any], layer: str) -> dict[str, Any]:
    return {f"recurrence.{'lstm' if layer == 'LSTM' else 'gru'}_step": function}


def _gelu_tanh(x: Any) -> Any:
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x))) / 2


def _leaky(slope: float) -> Callable[[Any], Any]:
    return lambda x: np.maximum(x, 0) + slope * np.minimum(x, 0)


# Activations that exist in another form somewhere: name, the other function, what it is.
OTHERS: list[tuple[str, str, Callable[[Any], Any], str]] = [
    ("hard_sigmoid", "ACT-HARD-SIGMOID", activations.hard_sigmoid_keras2, "the slope 0.2 of Keras 2"),
    ("hard_sigmoid_keras2", "ACT-HARD-SIGMOID-KERAS2", activations.hard_sigmoid, "the slope 1/6 of Keras 3"),
    ("gelu", "ACT-GELU", _gelu_tanh, "the tanh approximation"),
    ("leaky_relu", "ACT-LEAKY-RELU", _leaky(0.01), "the slope 0.01 of PyTorch and jax.nn"),
    ("relu6", "ACT-RELU6", activations.relu, "no upper limit"),
    ("silu", "ACT-SILU", lambda x: x * activations.hard_sigmoid(x), "the hard form"),
    ("swish", "ACT-SILU", lambda x: x * el.sigmoid(x * np.asarray(1.5, x.dtype)), "another beta"),
    ("hard_silu", "ACT-HARD-SILU", lambda x: x * activations.hard_sigmoid_keras2(x), "the slope 0.2"),
    ("softplus", "ACT-SOFTPLUS", activations.squareplus, "another smooth ramp"),
    ("softsign", "ACT-SOFTSIGN", np.tanh, "tanh"),
    ("elu", "ACT-ELU", activations.selu, "SELU's constants"),
    ("selu", "ACT-SELU", activations.elu, "no constants"),
    ("celu", "ACT-CELU", lambda x: np.maximum(x, 0) + 2 * np.expm1(np.minimum(x, 0) / 2), "alpha 2"),
    ("mish", "ACT-MISH", activations.silu, "SiLU"),
    ("exponential", "ACT-EXPONENTIAL", np.expm1, "minus 1"),
    ("hard_tanh", "ACT-HARD-TANH", np.tanh, "the smooth form"),
    ("hard_shrink", "ACT-HARD-SHRINK", activations.soft_shrink, "the soft form"),
    ("soft_shrink", "ACT-SOFT-SHRINK", activations.hard_shrink, "the hard form"),
    ("tanh_shrink", "ACT-TANH-SHRINK", np.tanh, "tanh"),
    ("log_sigmoid", "ACT-LOG-SIGMOID", lambda x: -activations.softplus(x), "the sign turned"),
    ("squareplus", "ACT-SQUAREPLUS", activations.softplus, "another smooth ramp"),
    ("sparse_plus", "ACT-SPARSE-PLUS", activations.softplus, "another smooth ramp"),
    ("sparse_sigmoid", "ACT-SPARSE-SIGMOID", el.sigmoid, "the smooth form"),
    ("sparsemax", "ACT-SPARSEMAX", activations.softmax, "softmax"),
    ("softmax", "ACT-SOFTMAX", el.sigmoid, "element by element"),
    ("log_softmax", "ACT-LOG-SOFTMAX", activations.log_sigmoid, "element by element"),
    ("relu", "ACT-RELU", _leaky(0.01), "a leak"),
    ("linear", "ACT-LINEAR", np.tanh, "tanh"),
    ("sigmoid", "ACT-SIGMOID", activations.hard_sigmoid, "the hard form"),
    ("tanh", "ACT-TANH", activations.hard_tanh, "the hard form"),
]

VARIANTS: list[Variant] = [
    *(
        Variant(
            f"lstm-{name}",
            clause,
            "equation",
            summary,
            ("LSTM",),
            functions=_step(_lstm_with(combine), "LSTM"),
        )
        for name, clause, summary, combine in (
            ("coupled-gates", "LSTM-EQ-2", "uses 1 - f for the input gate", _coupled),
            ("no-forget-gate", "LSTM-EQ-2", "keeps all of the cell state", _no_forget),
            ("cell-clipped", "LSTM-EQ-2", "clips the cell state", _clipped),
            ("output-not-activated", "LSTM-EQ-3", "gives o * c", _no_output_activation),
            ("output-tanh", "LSTM-EQ-3", "always uses tanh on the cell state", _tanh_output),
            ("output-of-old-cell", "LSTM-EQ-3", "gives o * phi(c) of the step before", _old_cell),
            (
                "candidate-not-activated",
                "LSTM-EQ-1",
                "leaves the candidate as it is",
                _no_candidate_activation,
            ),
            ("candidate-tanh", "LSTM-EQ-1", "always uses tanh on the candidate", _tanh_candidate),
        )
    ),
    Variant(
        "gru-update-inverted",
        "GRU-EQ-2",
        "equation",
        "gives (1 - z) h + z h~, as papers after Cho et al. and dm-haiku",
        ("GRU",),
        functions=_step(_gru_inverted, "GRU"),
    ),
    Variant(
        "gru-no-reset-gate",
        "GRU-EQ-3",
        "equation",
        "leaves the reset gate out",
        ("GRU",),
        functions=_step(_gru_without_reset, "GRU"),
    ),
    Variant(
        "gru-reset-after-inverted",
        "GRU-EQ-4",
        "equation",
        "applies the reset gate before the product instead of after it, and the other way round",
        ("GRU",),
        arguments=lambda arguments: arguments | {"reset_after": not arguments["reset_after"]},
        weights=_bias_rows_inverted,
    ),
    Variant(
        "activations-swapped",
        "ACT-1",
        "activation",
        "uses each activation in the other's place",
        arguments=_swapped,
    ),
    Variant(
        "activation-ignored",
        "ACT-1",
        "activation",
        "always uses tanh",
        arguments=_argument("activation", "tanh"),
    ),
    Variant(
        "recurrent-activation-ignored",
        "ACT-1",
        "activation",
        "always uses sigmoid for the gates",
        arguments=_argument("recurrent_activation", "sigmoid"),
    ),
    *(
        Variant(
            f"{name.replace('_', '-')}-other-form",
            clause,
            "activation",
            f"uses another function for {name}: {what}",
            arguments=partial(_other_activation, name)(function),
        )
        for name, clause, function, what in OTHERS
    ),
]
