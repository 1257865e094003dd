"""Activation functions by name: one function per ACT clause of ``spec/activations.md``.

Every function maps an array ``[..., U]`` to an array of the same shape and runs over floats, balls
and noisy arrays alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_reference import elementary as el

Activation = Callable[[Any], Any]

# SELU's two constants are the float64 numbers nearest to Klambauer et al. 2017 (ACT-SELU).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def linear(x: Any) -> Any:
    return x


def relu(x: Any) -> Any:
    return el.maximum(x, 0.0)


def relu6(x: Any) -> Any:
    return el.clip(x, 0.0, 6.0)


def leaky_relu(x: Any) -> Any:
    return el.maximum(x, x / 5)


def elu(x: Any) -> Any:
    return el.maximum(x, 0.0) + np.expm1(el.minimum(x, 0.0))


def selu(x: Any) -> Any:
    return SELU_SCALE * (el.maximum(x, 0.0) + SELU_ALPHA * np.expm1(el.minimum(x, 0.0)))


def hard_sigmoid(x: Any) -> Any:
    return el.clip(x / 6 + 0.5, 0.0, 1.0)


def hard_sigmoid_keras2(x: Any) -> Any:
    return el.clip(x / 5 + 0.5, 0.0, 1.0)


def hard_silu(x: Any) -> Any:
    return x * hard_sigmoid(x)


def hard_tanh(x: Any) -> Any:
    return el.clip(x, -1.0, 1.0)


def hard_shrink(x: Any) -> Any:
    return el.keep_large(x, 0.5)


def soft_shrink(x: Any) -> Any:
    return el.maximum(x - 0.5, 0.0) + el.minimum(x + 0.5, 0.0)


def tanh_shrink(x: Any) -> Any:
    return x - np.tanh(x)


def softsign(x: Any) -> Any:
    return x / (1 + np.absolute(x))


def softplus(x: Any) -> Any:
    return el.maximum(x, 0.0) + np.log1p(np.exp(-np.absolute(x)))


def log_sigmoid(x: Any) -> Any:
    return -softplus(-x)


def squareplus(x: Any) -> Any:
    return (x + np.sqrt(x * x + 4)) / 2


def sparse_plus(x: Any) -> Any:
    inner = el.clip(x, -1.0, 1.0) + 1
    return inner * inner / 4 + el.maximum(x - 1, 0.0)


def sparse_sigmoid(x: Any) -> Any:
    return el.clip((x + 1) / 2, 0.0, 1.0)


def silu(x: Any) -> Any:
    return x * el.sigmoid(x)


def mish(x: Any) -> Any:
    return x * np.tanh(softplus(x))


def gelu(x: Any) -> Any:
    return x * (1 + el.erf(x / np.sqrt(x * 0 + 2))) / 2


def softmax(x: Any) -> Any:
    weight = np.exp(x - el.unit_maximum(x))
    return weight / el.unit_sum(weight)


def log_softmax(x: Any) -> Any:
    shifted = x - el.unit_maximum(x)
    return shifted - np.log(el.unit_sum(np.exp(shifted)))


def sparsemax(x: Any) -> Any:
    """Projection onto the simplex: max(x - tau, 0), tau = max over k of (sum of the k largest - 1) / k."""
    columns = [x[..., j] for j in range(x.shape[-1])]
    # A sorting network on maximum and minimum needs no comparison that a ball could not decide.
    for low in range(len(columns)):
        for j in range(low % 2, len(columns) - 1, 2):
            a, b = columns[j], columns[j + 1]
            columns[j], columns[j + 1] = el.maximum(a, b), el.minimum(a, b)
    total = columns[0]
    tau = total - 1
    for k, column in enumerate(columns[1:], start=2):
        total = total + column
        tau = el.maximum(tau, (total - 1) / k)
    return el.maximum(x - tau[..., None], 0.0)


ACTIVATIONS: dict[str, Activation] = {
    "celu": elu,  # CELU with alpha = 1 is ELU with alpha = 1
    "elu": elu,
    "exponential": np.exp,
    "gelu": gelu,
    "hard_shrink": hard_shrink,
    "hard_sigmoid": hard_sigmoid,
    "hard_sigmoid_keras2": hard_sigmoid_keras2,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "hard_tanh": hard_tanh,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": el.sigmoid,
    "silu": silu,
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "sparsemax": sparsemax,
    "squareplus": squareplus,
    "swish": silu,
    "tanh": np.tanh,
    "tanh_shrink": tanh_shrink,
}


def get(activation: str | Activation | None) -> Activation:
    """The function that an ``activation`` argument denotes (ACT-1).

    Raises
    ------
    ValueError
        For a name that no ACT clause defines.
    """
    if activation is None:
        return linear
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        known = ", ".join(sorted(ACTIVATIONS))
        raise ValueError(f"unknown activation {activation!r}; ACT clauses define: {known}")
    return ACTIVATIONS[activation]


def canonical(activation: str | Activation | None) -> str:
    """One name for each function: of several names the one that the alphabet has first."""
    function = get(activation)
    names = [name for name, own in ACTIVATIONS.items() if own is function]
    return min(names) if names else getattr(function, "__name__", repr(function))
