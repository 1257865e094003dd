"""Shape rules of ``spec/shapes.md``, as functions of the layer's arguments.

A shape is a tuple whose entries are ints or None (unknown until data arrives).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Shape = tuple[int | None, ...]
GATES = {"LSTM": 4, "GRU": 3}
# The weights in tf.keras's order (WEIGHT-1), and how the names of their initializer, regularizer and constraint begin.
WEIGHTS = {"kernel": "kernel", "recurrent_kernel": "recurrent", "bias": "bias"}


def batch_input_shape(
    *,
    input_shape: Sequence[int | None] | None = None,
    input_dim: int | None = None,
    input_length: int | None = None,
    batch_input_shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
) -> Shape | None:
    """The input shape with its batch dimension that Keras 2's keywords declare (SHAPE-2, SHAPE-3).

    Returns None when nothing was declared; the layer then waits for its first input.
    """
    if batch_input_shape is not None:
        return tuple(batch_input_shape)
    if input_shape is None:
        if input_dim is None:
            return None
        input_shape = (input_length, input_dim)
    return (batch_size, *input_shape)


def check_input(shape: Sequence[int | None], features: int | None = None) -> None:
    """SHAPE-1: an input has three dimensions, and the feature length that the layer was built for.

    Raises
    ------
    ValueError
        ``expected ndim=3, found ndim=4`` for another number of dimensions, or another feature length.
    """
    if len(shape) != 3:
        raise ValueError(
            f"expected ndim=3, found ndim={len(shape)}. Full shape received: {tuple(shape)} (SHAPE-1)"
        )
    if features is not None and shape[-1] is not None and shape[-1] != features:
        raise ValueError(
            f"expected {features} features, found {shape[-1]}. Full shape received: {tuple(shape)} (SHAPE-1)"
        )


def mask_of_lengths(lengths: Sequence[int], batch: int, steps: int) -> np.ndarray:
    """The mask [B, T] that a length for each row stands for (SHAPE-11).

    Raises
    ------
    ValueError
        For another number of lengths than rows, or one outside [0, T].
    """
    given = np.asarray(lengths)
    if given.shape != (batch,):
        raise ValueError(f"expected {batch} lengths, got shape {given.shape} (SHAPE-11)")
    if given.size and (given.min() < 0 or given.max() > steps):
        raise ValueError(f"lengths must lie in [0, {steps}], got {given.tolist()} (SHAPE-11)")
    return np.arange(steps)[None, :] < given[:, None]


def weight_shapes(
    layer: str, features: int, units: int, *, use_bias: bool = True, reset_after: bool = True
) -> dict[str, tuple[int, ...]]:
    """Weights in the Keras layout and their shapes (WEIGHT-1 to WEIGHT-4)."""
    width = GATES[layer] * units
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (features, width),
        "recurrent_kernel": (units, width),
    }
    if use_bias:
        shapes["bias"] = (2, width) if layer == "GRU" and reset_after else (width,)
    return shapes


def state_names(layer: str) -> tuple[str, ...]:
    """States in the order in which they are passed and returned (STATE-2)."""
    return ("h", "c") if layer == "LSTM" else ("h",)


def output_shapes(
    layer: str,
    input_shape: Sequence[int | None],
    units: int,
    *,
    return_sequences: bool = False,
    return_state: bool = False,
    time_major: bool = False,
) -> dict[str, Shape]:
    """Names and shapes of what a call returns, in order (SHAPE-4, SHAPE-5, TIME-1)."""
    check_input(input_shape)
    first, second, _ = input_shape
    batch = second if time_major else first
    shapes: dict[str, Shape] = {"output": (first, second, units) if return_sequences else (batch, units)}
    if return_state:
        shapes |= dict.fromkeys(state_names(layer), (batch, units))
    return shapes
