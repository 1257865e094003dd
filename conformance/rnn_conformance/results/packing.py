"""The numbers of a record, and arrays, as bytes (MessagePack)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from rnn_conformance.contract.adapter import DTYPES
from rnn_conformance.results.record import Record

NUMBERS = ("z_strict", "max_abs_error", "elements", "where", "spread")


def numbers(record: Record) -> bytes:
    """What a record holds beyond the columns of its table."""
    return msgspec.msgpack.encode([getattr(record, name) for name in NUMBERS])


def unpack_numbers(blob: bytes) -> dict[str, Any]:
    """The inverse of `numbers`.

    Raises
    ------
    ValueError
        When the bytes are none.
    """
    found = msgspec.msgpack.decode(blob)
    if not isinstance(found, list) or len(found) != len(NUMBERS) or not isinstance(found[-1], dict):
        raise ValueError("these bytes are no numbers of a record")
    return dict(zip(NUMBERS, found, strict=True))


def elements(blob: bytes) -> int:
    """How many numbers were compared, of what `numbers` gave."""
    return int(unpack_numbers(blob)["elements"])


def pack_arrays(arrays: Sequence[np.ndarray]) -> bytes:
    """Arrays as bytes."""
    return msgspec.msgpack.encode(
        [[a.dtype.name, list(a.shape), np.ascontiguousarray(a).tobytes()] for a in arrays]
    )


def unpack_arrays(blob: bytes) -> list[np.ndarray]:
    """The inverse of `pack_arrays`.

    Raises
    ------
    ValueError
        When the bytes are none.
    """
    found = msgspec.msgpack.decode(blob, type=list[tuple[str, list[int], bytes]])
    return [np.frombuffer(data, DTYPES.get(name, name)).reshape(shape) for name, shape, data in found]
