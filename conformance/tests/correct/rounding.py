"""Arrays whose every operation is rounded to their dtype, and what hardware does beside rounding."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

DTYPES: dict[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
SMALLEST = {np.dtype(dtype): ml_dtypes.finfo(dtype).smallest_normal for dtype in DTYPES.values()}
WIDER: dict[str, Any] = {"float32": np.float64, "float16": np.float32, "bfloat16": np.float32}


def constant(like: np.ndarray, value: float) -> Any:
    """A number in the dtype of an array: a bare Python float would turn bfloat16 into float32."""
    return like.dtype.type(value)


def wider(x: np.ndarray) -> np.ndarray:
    """An array in the next wider dtype."""
    return x.astype(WIDER[x.dtype.name])


def multiply_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a b + c with one rounding; in float64, where NumPy has nothing wider, with two."""
    if a.dtype == np.float64:
        return a * b + c
    exact = a.astype(np.float64) * b.astype(np.float64)
    return (exact + c.astype(np.float64)).astype(a.dtype)


class Flushing(np.ndarray):
    """An array whose operations turn subnormal results into zeros of their sign."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, Flushing) else x for x in inputs]
        result = getattr(ufunc, method)(*plain, **kwargs)
        return result if result.dtype.kind in "biuO" else flushed(result)


def flushed(x: np.ndarray) -> Flushing:
    """The array without its subnormal numbers."""
    x = np.asarray(x)  # what a reduction gives is no array
    subnormal = np.abs(x) < SMALLEST[x.dtype]
    if subnormal.any():
        x = np.where(subnormal, np.copysign(np.zeros_like(x), x), x)
    return x.view(Flushing)
