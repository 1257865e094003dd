"""Activation functions, each in several forms that libraries use; every operation is rounded to the dtype of ``x`` [B, U]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .rounding import constant as k

Function = Callable[[np.ndarray], np.ndarray]

# -- sigmoid and tanh ------------------------------------------------------------------------------


def _clip(x: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.minimum(np.maximum(x, k(x, low)), k(x, high))


def _in(dtype: Any, function: Function) -> Function:
    """The function computed in another dtype and rounded."""
    return lambda x: function(x.astype(dtype)).astype(x.dtype)


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    result = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        result = result * x + k(x, c)
    return result


# Coefficients in x**2, the highest first.
_TANH_P = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
_TANH_Q = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
_SIGMOID_P = (
    4.37031012579801e-11,
    1.15627324459942e-07,
    6.08574864600143e-05,
    8.51377133304701e-03,
    2.48287947061529e-01,
)
_SIGMOID_Q = (
    6.10247389755681e-13,
    5.76102136993427e-09,
    6.29106785017040e-06,
    1.70198817374094e-03,
    1.16817656904453e-01,
    9.93151921023180e-01,
)


def _rational_tanh(x: np.ndarray) -> np.ndarray:
    """Eigen's and ONNX Runtime's minimax quotient for float32."""
    x = _clip(x, -9, 9)
    square = x * x
    return _clip(x * _polynomial(square, _TANH_P) / _polynomial(square, _TANH_Q), -1, 1)


def _rational_sigmoid(x: np.ndarray) -> np.ndarray:
    """ONNX Runtime's minimax quotient for float32."""
    x = _clip(x, -18, 18)
    square = x * x
    quotient = x * _polynomial(square, _SIGMOID_P) / _polynomial(square, _SIGMOID_Q)
    return _clip(quotient + k(x, 0.5), 0, 1)


def _sigmoid_branches(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _tanh_expm1(x: np.ndarray) -> np.ndarray:
    less = np.expm1(-2 * np.abs(x))
    return np.copysign(-less / (2 + less), x)


def _tanh_exp(x: np.ndarray) -> np.ndarray:
    small = np.exp(-2 * np.abs(x))
    return np.copysign((1 - small) / (1 + small), x)


SIGMOIDS: dict[str, Function] = {
    "reciprocal": _sigmoid,
    "branches": _sigmoid_branches,
    "tanh": lambda x: k(x, 0.5) * (1 + np.tanh(k(x, 0.5) * x)),
    "half_tanh": lambda x: k(x, 0.5) * np.tanh(k(x, 0.5) * x) + k(x, 0.5),
    "rational": _in(np.float32, _rational_sigmoid),
    "wide": _in(np.float64, _sigmoid_branches),
}
TANHS: dict[str, Function] = {
    "library": np.tanh,
    "expm1": _tanh_expm1,
    "exp": _tanh_exp,
    "sigmoid": lambda x: 2 * _sigmoid(2 * x) - 1,
    "rational": _in(np.float32, _rational_tanh),
    "wide": _in(np.float64, np.tanh),
}

# -- the others: forms in turn ------------------------------------------------------------------------


def _zero(x: np.ndarray) -> np.ndarray:
    return np.zeros_like(x)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, k(x, 0)) + np.log1p(np.exp(-np.abs(x)))


def _hard(slope: float, third: bool) -> Function:
    if third:
        return lambda x: x / k(x, slope) + k(x, 0.5)
    return lambda x: k(x, 1 / slope) * x + k(x, 0.5)


def _relu6(x: np.ndarray) -> np.ndarray:
    return _clip(x, 0, 6)


def _mish_rational(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    up = np.where(x >= 0, 1 + 2 * e, e * (e + 2))
    return x * up / (up + np.where(x >= 0, 2 * e * e, k(x, 2)))


def _erf(function: Callable[[float], float]) -> Function:
    ufunc = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(ufunc(x.astype(np.float64))).astype(x.dtype)


_error_function, _complementary = _erf(math.erf), _erf(math.erfc)


def _exp_shifted(x: np.ndarray) -> np.ndarray:
    return np.exp(x - np.max(x, axis=-1, keepdims=True))


def _total(x: np.ndarray) -> np.ndarray:
    """The sum over the units [B, 1], one after the other."""
    total = x[:, :1]
    for j in range(1, x.shape[1]):
        total = total + x[:, j : j + 1]
    return total


def _softmax_quotient(x: np.ndarray) -> np.ndarray:
    weight = _exp_shifted(x)
    return weight / _total(weight)


def _softmax_reciprocal(x: np.ndarray) -> np.ndarray:
    weight = _exp_shifted(x)
    return weight * (1 / np.sum(weight, axis=-1, keepdims=True))


def _log_softmax(x: np.ndarray) -> np.ndarray:
    return (x - np.max(x, axis=-1, keepdims=True)) - np.log(_total(_exp_shifted(x)))


def _log_softmax_log1p(x: np.ndarray) -> np.ndarray:
    """The largest term is 1 and stays out of the sum."""
    order = np.sort(x, axis=-1)
    rest = np.exp(order[:, :-1] - order[:, -1:])
    return (x - order[:, -1:]) - np.log1p(np.sum(rest, axis=-1, keepdims=True))


def _sparsemax_support(x: np.ndarray) -> np.ndarray:
    """Martins and Astudillo 2016, algorithm 1."""
    order = np.sort(x, axis=-1)[:, ::-1]
    sums = np.cumsum(order, axis=-1)
    rank = np.arange(1, x.shape[1] + 1).astype(x.dtype)
    size = np.sum(1 + rank * order > sums, axis=-1, keepdims=True)
    tau = (np.take_along_axis(sums, size - 1, axis=-1) - 1) / size.astype(x.dtype)
    return np.maximum(x - tau, k(x, 0))


def _sparsemax_largest(x: np.ndarray) -> np.ndarray:
    """The threshold is the largest of those of all sizes of support."""
    order = np.sort(x, axis=-1)[:, ::-1]
    rank = np.arange(1, x.shape[1] + 1).astype(x.dtype)
    tau = np.max((np.cumsum(order, axis=-1) - 1) / rank, axis=-1, keepdims=True)
    return np.maximum(x - tau, k(x, 0))


_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805

_ELU: list[Function] = [
    lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, k(x, 0)))),
    lambda x: np.maximum(x, k(x, 0)) + np.expm1(np.minimum(x, k(x, 0))),
    lambda x: np.where(x > 0, x, np.exp(np.minimum(x, k(x, 0))) - 1),
]
_SILU: list[Function] = [lambda x: x * _sigmoid_branches(x), lambda x: x / (1 + np.exp(-x))]
_HARD_SILU: list[Function] = [
    lambda x: x * _clip(_hard(6, True)(x), 0, 1),
    lambda x: x * (_relu6(x + 3) / 6),
    lambda x: x * _relu6(x + 3) * k(x, 1 / 6),
]
OTHERS: dict[str, list[Function]] = {
    "linear": [lambda x: x],
    "relu": [lambda x: np.maximum(x, k(x, 0)), lambda x: np.where(x > 0, x, _zero(x))],
    "relu6": [_relu6],
    "leaky_relu": [lambda x: np.maximum(x, x / 5), lambda x: np.where(x >= 0, x, k(x, 0.2) * x)],
    "elu": _ELU,
    "celu": [_ELU[1], _ELU[0], _ELU[2]],
    "selu": [
        lambda x: k(x, _SCALE) * np.where(x > 0, x, k(x, _ALPHA) * np.expm1(np.minimum(x, k(x, 0)))),
        lambda x: np.where(x > 0, k(x, _SCALE) * x, k(x, _SCALE * _ALPHA) * np.expm1(np.minimum(x, k(x, 0)))),
        lambda x: np.where(
            x > 0, k(x, _SCALE) * x, k(x, _SCALE * _ALPHA) * (np.exp(np.minimum(x, k(x, 0))) - 1)
        ),
    ],
    "exponential": [np.exp],
    "silu": _SILU,
    "swish": _SILU[::-1],
    "gelu": [
        lambda x: k(x, 0.5) * x * (1 + _error_function(x / k(x, math.sqrt(2)))),
        lambda x: k(x, 0.5) * x * _complementary(x * k(x, -math.sqrt(0.5))),
    ],
    "mish": [lambda x: x * np.tanh(_softplus(x)), _mish_rational],
    "softplus": [_softplus, lambda x: np.logaddexp(x, _zero(x))],
    "log_sigmoid": [
        lambda x: -_softplus(-x),
        lambda x: np.minimum(x, k(x, 0)) - np.log1p(np.exp(-np.abs(x))),
        lambda x: -np.logaddexp(-x, _zero(x)),
    ],
    "softsign": [lambda x: x / (1 + np.abs(x))],
    "squareplus": [
        lambda x: (x + np.sqrt(x * x + 4)) / 2,
        lambda x: np.where(x > 0, (x + np.sqrt(x * x + 4)) / 2, 2 / (np.sqrt(x * x + 4) - x)),
        lambda x: k(x, 0.5) * x + k(x, 0.5) * np.sqrt(x * x + 4),
    ],
    "sparse_plus": [
        lambda x: np.where(x <= -1, _zero(x), np.where(x < 1, (x + 1) * (x + 1) / 4, x)),
        lambda x: np.where(x <= -1, _zero(x), np.where(x < 1, k(x, 0.25) * (x + 1) * (x + 1), x)),
        lambda x: np.where(x <= -1, _zero(x), np.where(x < 1, np.square(k(x, 0.5) * x + k(x, 0.5)), x)),
    ],
    "sparse_sigmoid": [
        lambda x: _clip((x + 1) / 2, 0, 1),
        lambda x: _clip(k(x, 0.5) * x + k(x, 0.5), 0, 1),
    ],
    "hard_sigmoid": [
        lambda x: _clip(_hard(6, True)(x), 0, 1),
        lambda x: _relu6(x + 3) / 6,
        lambda x: _clip(_hard(6, False)(x), 0, 1),
    ],
    "hard_sigmoid_keras2": [
        lambda x: _clip(_hard(5, False)(x), 0, 1),
        lambda x: _clip(_hard(5, True)(x), 0, 1),
    ],
    "hard_silu": _HARD_SILU,
    "hard_swish": [*_HARD_SILU[1:], _HARD_SILU[0]],
    "hard_tanh": [lambda x: _clip(x, -1, 1)],
    "hard_shrink": [lambda x: np.where(np.abs(x) > k(x, 0.5), x, _zero(x))],
    "soft_shrink": [
        lambda x: np.maximum(x - k(x, 0.5), k(x, 0)) + np.minimum(x + k(x, 0.5), k(x, 0)),
        lambda x: np.where(x > k(x, 0.5), x - k(x, 0.5), np.where(x < k(x, -0.5), x + k(x, 0.5), _zero(x))),
    ],
    "softmax": [_softmax_quotient, _softmax_reciprocal],
    "log_softmax": [_log_softmax, _log_softmax_log1p],
    "sparsemax": [_sparsemax_support, _sparsemax_largest],
}


def function(name: str, *, sigmoid: str, tanh: str, others: int, wide: bool) -> Function:
    """An activation in the forms chosen; ``wide`` computes it in float64 and rounds."""
    if name == "sigmoid":
        return SIGMOIDS[sigmoid]
    if name == "tanh":
        return TANHS[tanh]
    if name == "tanh_shrink":
        inner = TANHS[tanh]
        return lambda x: x - inner(x)
    forms = OTHERS[name]
    chosen = forms[others % len(forms)]
    return _in(np.float64, chosen) if wide else chosen
