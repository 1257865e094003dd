"""Elementary functions that run over every arithmetic of the suite.

NumPy's ufuncs already dispatch ``exp``, ``tanh``, ``log1p``, ... to the methods of object elements
(balls) and to ``__array_ufunc__`` (noisy arrays). This module adds what NumPy lacks or would get
wrong for balls: ``sigmoid``, ``erf``, and a maximum and minimum that do not rest on comparisons,
which are undecidable for overlapping balls. Arrays that know a function themselves (noisy arrays)
are asked first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_ball_erf = np.frompyfunc(lambda x: x.erf(), 1, 1)
_float_erf = np.frompyfunc(math.erf, 1, 1)
_ball_maximum = np.frompyfunc(lambda a, b: a.max(b), 2, 1)
_ball_minimum = np.frompyfunc(lambda a, b: a.min(b), 2, 1)


def _keep_when_magnitude_exceeds(x: Any, threshold: float) -> Any:
    """``x`` where |x| > threshold, else 0, refusing a ball that contains the threshold."""
    size = abs(x)
    if size > threshold:
        return x
    if size <= threshold:
        return x * 0
    raise ArithmeticError(f"ball {x} does not decide |x| > {threshold}")


def _ball_exceeds(a: Any, b: Any) -> bool:
    if a > b:
        return True
    if a <= b:
        return False
    raise ArithmeticError(f"balls {a} and {b} do not decide a > b")


_balls_exceed = np.frompyfunc(_ball_exceeds, 2, 1)
_ball_pi = np.frompyfunc(lambda x: type(x).pi(), 1, 1)
_ball_keep = np.frompyfunc(_keep_when_magnitude_exceeds, 2, 1)


def sigmoid(x: Any) -> Any:
    """Logistic function 1 / (1 + exp(-x)), without overflow (ACT-SIGMOID)."""
    if hasattr(x, "sigmoid"):
        return x.sigmoid()
    if x.dtype == object:
        return 1 / (1 + np.exp(-x))
    decay = np.exp(-np.absolute(x))
    return np.maximum(decay, x >= 0) / (1 + decay)  # 1 or decay above: decay is at most 1


def erf(x: Any) -> Any:
    """Error function; NumPy has none."""
    if hasattr(x, "erf"):
        return x.erf()
    return _ball_erf(x) if x.dtype == object else _float_erf(x).astype(x.dtype)


def maximum(a: Any, b: Any) -> Any:
    """Elementwise maximum; for balls an enclosure of it."""
    if hasattr(a, "maximum"):
        return a.maximum(b)
    return _ball_maximum(a, b) if a.dtype == object else np.maximum(a, b)


def minimum(a: Any, b: Any) -> Any:
    """Elementwise minimum; for balls an enclosure of it."""
    if hasattr(a, "minimum"):
        return a.minimum(b)
    return _ball_minimum(a, b) if a.dtype == object else np.minimum(a, b)


def blend(z: Any, a: Any, b: Any) -> Any:
    """``z a + (1 - z) b``: what a GRU keeps and what it takes; noisy arrays are charged for every form of it."""
    return z.blend(a, b) if hasattr(z, "blend") else z * a + (1 - z) * b


def clip(x: Any, low: float, high: float) -> Any:
    """``x`` limited to [low, high]."""
    return minimum(maximum(x, low), high)


def keep_large(x: Any, threshold: float) -> Any:
    """``x`` where |x| > threshold, else 0: the one discontinuous elementary function."""
    if hasattr(x, "keep_large"):
        return x.keep_large(threshold)
    if x.dtype == object:
        return _ball_keep(x, threshold)
    return np.where(np.absolute(x) > threshold, x, np.zeros_like(x))


def exceeds(a: Any, b: Any) -> np.ndarray:
    """Where a > b strictly, as bools; refuses balls that do not decide it."""
    if hasattr(a, "exceeds"):
        return a.exceeds(b)
    return _balls_exceed(a, b).astype(bool) if a.dtype == object else a > b


def pi(like: Any) -> Any:
    """The number pi, in the arithmetic of ``like``."""
    return _ball_pi(like) if like.dtype == object else np.pi


def unit_maximum(x: Any) -> Any:
    """Largest value over the units, as a constant shift ``[..., 1]`` (softmax is invariant under it)."""
    while hasattr(x, "value"):
        x = x.value
    return np.max(x, axis=-1, keepdims=True)


def unit_sum(x: Any) -> Any:
    """Sum over the units, shape ``[..., 1]``, as a product with a column of ones."""
    dtype = np.float64 if x.dtype == object else x.dtype
    return x @ np.ones((x.shape[-1], 1), dtype=dtype)


def rows_sum(x: Any) -> Any:
    """Sum over all axes but the last, shape ``[1, n]``, as a product with a row of ones."""
    rows = x.reshape(-1, x.shape[-1])
    dtype = np.float64 if x.dtype == object else x.dtype
    return np.ones((1, rows.shape[0]), dtype=dtype) @ rows


def total(x: Any) -> Any:
    """Sum of all elements, shape ``[1, 1]``."""
    return unit_sum(rows_sum(x) if len(x.shape) > 1 else x[None])
