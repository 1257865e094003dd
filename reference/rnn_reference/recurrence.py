"""The functional core: one time step of each layer, and the loop over time.

Written once, from the equations of ``spec/equations.md`` and ``spec/masks.md``; runs over float arrays,
object arrays of balls and noisy arrays. B batch, T time, F features, U units, n gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_reference import elementary as el
from rnn_reference.activations import Activation
from rnn_reference.shapes import GATES

Step = Callable[[Any, tuple[Any, ...], int], tuple[Any, ...]]


@dataclass(frozen=True)
class DropoutMasks:
    """What dropout multiplies by, 0 or 1/(1 - rate), in processing order (DROP-3, DROP-4).

    Attributes
    ----------
    inputs : array [n, T, B, F]
        For each gate and step, with the input.
    recurrent : array [n, T, B, U]
        With the state before its product with the gate's block of the recurrent kernel; never with what the
        update gate keeps, nor with the cell state.
    """

    inputs: np.ndarray
    recurrent: np.ndarray


@dataclass(frozen=True)
class Trajectory:
    """All that a layer can be asked for.

    Attributes
    ----------
    outputs : array [B, T, U]
        In processing order (DIR-2).
    states : tuple of arrays [B, U]
        LSTM (h, c), GRU (h,), after the last step processed.
    """

    outputs: Any
    states: tuple[Any, ...]


def _by_gate(array: Any, gates: int) -> Any:
    """The blocks of the last axis (WEIGHT-2, WEIGHT-3), one for each gate: [n, R, C] of [R, nC], [n, 1, C] of [nC]."""
    return array.reshape(-1, gates, array.shape[-1] // gates).swapaxes(0, 1)


def _product(x: Any, kernel: Any) -> Any:
    with np.errstate(
        invalid="ignore"
    ):  # BLAS pads: 0 times infinity would warn of a NaN that is in no result
        return x @ kernel


def _recurrent_product(h: Any, recurrent_kernel: Any, dropout: np.ndarray | None) -> Any:
    """``h`` [B, U] times each gate's kernel [n, U, U], with a mask [n, B, U] of its own for each gate (DROP-4)."""
    return _product(h if dropout is None else h * dropout, recurrent_kernel)


def lstm_step(
    projected: Any,
    states: tuple[Any, ...],
    recurrent_kernel: Any,
    activation: Activation,
    recurrent_activation: Activation,
    dropout: np.ndarray | None = None,
) -> tuple[Any, Any]:
    """LSTM-EQ-1 to LSTM-EQ-3: one step of ``projected`` [4, B, U] from (h, c) [B, U] to the next (h, c)."""
    h, c = states
    z = projected + _recurrent_product(h, recurrent_kernel, dropout)
    i = recurrent_activation(z[0])
    f = recurrent_activation(z[1])
    candidate = activation(z[2])
    o = recurrent_activation(z[3])
    c = f * c + i * candidate
    return o * activation(c), c


def gru_step(
    projected: Any,
    states: tuple[Any, ...],
    recurrent_kernel: Any,
    recurrent_bias: Any | None,
    reset_after: bool,
    activation: Activation,
    recurrent_activation: Activation,
    dropout: np.ndarray | None = None,
) -> tuple[Any]:
    """GRU-EQ-1 to GRU-EQ-4: one step of ``projected`` [3, B, U] from (h,) [B, U] to the next (h,)."""
    (h,) = states
    if reset_after:
        recurrent = _recurrent_product(h, recurrent_kernel, dropout)
        if recurrent_bias is not None:
            recurrent = recurrent + recurrent_bias
    else:
        recurrent = _recurrent_product(h, recurrent_kernel[:2], None if dropout is None else dropout[:2])
    zr = projected[:2] + recurrent[:2]
    z = recurrent_activation(zr[0])
    r = recurrent_activation(zr[1])
    if reset_after:
        from_state = r * recurrent[2]
    else:
        kept = h if dropout is None else h * dropout[2]
        from_state = _product(r * kept, recurrent_kernel[2])
    candidate = activation(projected[2] + from_state)
    return (el.blend(z, h, candidate),)


def scan(
    step: Step,
    projected: Any,
    states: tuple[Any, ...],
    mask: np.ndarray | None,
    *,
    go_backwards: bool,
    zero_output_for_mask: bool,
) -> Trajectory:
    """Loop ``step`` over ``projected`` [T, n, B, U], holding state and output where ``mask`` [B, T] is false (MASK-1 to MASK-5)."""
    length = projected.shape[0]
    outputs = []
    previous = zero = np.zeros_like(states[0])
    for number, t in enumerate(reversed(range(length)) if go_backwards else range(length)):
        stepped = step(projected[t], states, number)
        if mask is None:
            states, output = stepped, stepped[0]
        else:
            valid = mask[:, t, None]
            output = np.where(valid, stepped[0], zero if zero_output_for_mask else previous)
            states = tuple(np.where(valid, new, old) for new, old in zip(stepped, states, strict=True))
        previous = output
        outputs.append(output)
    return Trajectory(np.stack(outputs, axis=1), states)


def without_masked(inputs: Any, mask: np.ndarray) -> Any:
    """Inputs [B, T, F] with zeros in masked steps: what these hold must not matter, not even a NaN to a gradient, which 0 times NaN would reach (GRAD-2)."""
    return np.where(mask[..., None], inputs, np.zeros_like(inputs))


def forward(
    layer: str,
    inputs: Any,
    weights: Mapping[str, Any],
    *,
    initial_state: tuple[Any, ...] | None = None,
    mask: np.ndarray | None = None,
    activation: Activation = np.tanh,
    recurrent_activation: Activation,
    reset_after: bool = True,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    dropout: DropoutMasks | None = None,
) -> Trajectory:
    """Run a whole layer over batch-major ``inputs`` [B, T, F].

    Parameters
    ----------
    layer : "LSTM" or "GRU"
    weights : mapping
        ``kernel`` [F, nU], ``recurrent_kernel`` [U, nU] and, unless the layer has none, ``bias``
        (WEIGHT-1 to WEIGHT-4).
    initial_state : tuple of arrays [B, U], optional
        (h, c) or (h,); zeros when absent (STATE-1).
    mask : bool array [B, T], optional
    dropout : DropoutMasks, optional
    """
    if mask is not None:
        inputs = without_masked(inputs, mask)
    gates = GATES[layer]
    recurrent_kernel = _by_gate(weights["recurrent_kernel"], gates)
    bias = weights.get("bias")
    recurrent_bias = None
    if layer == "GRU" and reset_after and bias is not None:
        bias, recurrent_bias = bias[0], _by_gate(bias[1], gates)
    seen = inputs.swapaxes(0, 1)[:, None]  # by each gate: [T, 1, B, F], or [T, n, B, F] with dropout
    if dropout is not None:
        masks = dropout.inputs[:, ::-1] if go_backwards else dropout.inputs
        seen = seen * masks.swapaxes(0, 1)
    kernel = _by_gate(weights["kernel"], gates)
    projected = _product(seen, kernel)  # [T, n, B, U]: what a step needs of a gate is contiguous
    if bias is not None:
        projected += _by_gate(bias, gates)  # in place: another array of this size costs more than the sum
    if initial_state is None:
        zero = np.zeros_like(projected[0, 0])
        initial_state = (zero, zero) if layer == "LSTM" else (zero,)

    def step(x: Any, states: tuple[Any, ...], number: int) -> tuple[Any, ...]:
        dropped = None if dropout is None else dropout.recurrent[:, number]
        if layer == "LSTM":
            return lstm_step(x, states, recurrent_kernel, activation, recurrent_activation, dropped)
        return gru_step(
            x,
            states,
            recurrent_kernel,
            recurrent_bias,
            reset_after,
            activation,
            recurrent_activation,
            dropped,
        )

    return scan(
        step,
        projected,
        initial_state,
        mask,
        go_backwards=go_backwards,
        zero_output_for_mask=zero_output_for_mask,
    )
