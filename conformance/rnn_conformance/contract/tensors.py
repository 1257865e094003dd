"""Arrays as JSON: dtype, shape, and the elements' bytes in base64 (``spec/protocol.md``, "Tensors")."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

DTYPES = ("float64", "float32", "float16", "bfloat16", "bool", "int64", "int32", "uint8")
# NumPy takes a while to say the name of a dtype.
_NAMES = {np.dtype(name): name for name in DTYPES if name != "bfloat16"}


class TensorError(ValueError):
    """What was given is no tensor that JSON can hold, or no array; the message says why."""


def encode(array: Any) -> dict[str, Any]:
    """An array's message.

    Raises
    ------
    TensorError
        For anything but a NumPy array of a dtype in `DTYPES`.
    """
    if not isinstance(array, np.ndarray):
        raise TensorError(f"{type(array).__name__} is no NumPy array")
    plain = np.asarray(array)  # of a subclass the numbers alone
    name = _NAMES.get(plain.dtype) or plain.dtype.name
    if name not in DTYPES:
        raise TensorError(f"arrays of {name} are not part of the protocol, only {', '.join(DTYPES)}")
    if plain.dtype.byteorder == ">":
        plain = plain.astype(plain.dtype.newbyteorder("<"))
    data = base64.b64encode(plain.tobytes()).decode("ascii")
    return {"dtype": name, "shape": list(plain.shape), "data": data}


def decode(message: Any) -> np.ndarray:
    """The array of a message: its own, writable and contiguous.

    Raises
    ------
    TensorError
        When the message is none of a tensor, or its bytes do not fill its shape.
    """
    if not isinstance(message, Mapping) or not {"dtype", "shape", "data"} <= message.keys():
        raise TensorError("a tensor is an object with dtype, shape and data")
    name, shape, data = message["dtype"], message["shape"], message["data"]
    if name not in DTYPES:
        raise TensorError(f"{str(name)[:40]!r} is no dtype of the protocol")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise TensorError("shape must be a list of integers from 0 on")
    if not isinstance(data, str):
        raise TensorError("data must be base64 in a string")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TensorError(f"data is no base64: {error}") from error
    dtype = dtype_of(name)
    wanted = math.prod(shape) * dtype.itemsize
    if len(raw) != wanted:
        raise TensorError(f"{len(raw)} bytes do not fill a tensor of {name} {shape}, which takes {wanted}")
    if name == "bool" and raw.strip(b"\0\1"):
        raise TensorError("a boolean is a byte of 0 or 1")
    return np.frombuffer(bytearray(raw), dtype).reshape(shape)


def dtype_of(name: str) -> np.dtype[Any]:
    """NumPy's dtype; bfloat16 is that of ``ml_dtypes``."""
    if name == "bfloat16":
        import ml_dtypes  # here: who has no bfloat16 does without it

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
