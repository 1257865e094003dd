"""Other loops over time: masks ignored or half applied (MASK-1 to MASK-7, DIR-3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_reference.recurrence import Trajectory

from rnn_conformance.contract.adapter import LayerSpec
from rnn_conformance.proving.variants.base import Variant, on_call, on_outputs


@dataclass(frozen=True)
class Loop:
    """The reference's loop with switches; as it stands it is the right one."""

    hold_h: bool = True
    hold_c: bool = True
    repeat: bool = True  # masked outputs repeat the one before
    start_from_state: bool = False  # what is repeated first is the initial h
    mask_backwards: bool = True
    zero: bool = True  # zero_output_for_mask is obeyed
    zero_states: bool = False  # it zeroes the states too
    first_always_valid: bool = False
    output_held: bool = True  # outputs of masked steps are not what the cell computes

    def __call__(
        self,
        step: Any,
        projected: Any,
        states: Any,
        mask: Any,
        *,
        go_backwards: bool,
        zero_output_for_mask: bool,
    ) -> Trajectory:
        length = projected.shape[0]
        zero_output = zero_output_for_mask and self.zero
        outputs = []
        zero = np.zeros_like(states[0])
        previous = states[0] if self.start_from_state else zero
        for number, t in enumerate(reversed(range(length)) if go_backwards else range(length)):
            stepped = step(projected[t], states, number)
            if mask is None:
                states, output = stepped, stepped[0]
            else:
                valid = mask[:, t if self.mask_backwards else number, None]
                if self.first_always_valid and number == 0:
                    valid = np.ones_like(valid)
                masked = zero if zero_output or not self.repeat else previous
                output = np.where(valid, stepped[0], masked if self.output_held else stepped[0])
                held = (self.hold_h, self.hold_c)
                kept = [zero if zero_output and self.zero_states else old for old in states]
                states = tuple(
                    np.where(valid, new, old) if hold else new
                    for new, old, hold in zip(stepped, kept, held, strict=False)
                )
            previous = output
            outputs.append(output)
        return Trajectory(np.stack(outputs, axis=1), states)


def _loop(
    name: str, clause: str, summary: str, layers: tuple[str, ...] = ("LSTM", "GRU"), **switches: bool
) -> Variant:
    # A kernel with such a fault sees what masked steps hold.
    functions = {
        "recurrence.scan": Loop(**switches),
        "recurrence.without_masked": lambda inputs, mask: inputs,
    }
    return Variant(name, clause, "mask", summary, layers, functions=functions)


def _mask(change: Callable[[np.ndarray, LayerSpec], np.ndarray | None]) -> Callable[[Any, LayerSpec], None]:
    def apply(given: dict[str, Any], spec: LayerSpec) -> dict[str, Any]:
        return given if given["mask"] is None else given | {"mask": change(given["mask"], spec)}

    return on_call(apply)


def _as_lengths(mask: np.ndarray, spec: LayerSpec) -> np.ndarray:
    axis = 0 if spec.arguments["time_major"] else 1
    counts = mask.sum(axis=axis, keepdims=True)
    steps = np.arange(mask.shape[axis])
    return (steps[:, None] if axis == 0 else steps[None, :]) < counts


def _up_to_last_valid(mask: np.ndarray, spec: LayerSpec) -> np.ndarray:
    axis = 0 if spec.arguments["time_major"] else 1
    return np.flip(np.maximum.accumulate(np.flip(mask, axis), axis=axis), axis)


def _last_h(outputs: list[np.ndarray], spec: LayerSpec, given: dict[str, Any]) -> list[np.ndarray]:
    """The final state where the last output is asked for: they differ when the last step is masked."""
    a = spec.arguments
    if a["return_sequences"] or not a["return_state"]:
        return outputs
    return [outputs[1], *outputs[1:]]


VARIANTS: list[Variant] = [
    _loop(
        "mask-ignored",
        "MASK-2",
        "computes masked steps like valid ones",
        hold_h=False,
        hold_c=False,
        output_held=False,
    ),
    _loop("mask-output-only", "MASK-2", "holds the output, not the states", hold_h=False, hold_c=False),
    _loop(
        "mask-states-only",
        "MASK-3",
        "holds the states, but puts out what the cell computes",
        output_held=False,
    ),
    _loop("mask-holds-h-only", "MASK-2", "holds h, not c", ("LSTM",), hold_c=False),
    _loop("mask-holds-c-only", "MASK-2", "holds c, not h", ("LSTM",), hold_h=False),
    _loop(
        "mask-zeros", "MASK-3", "puts out zeros on masked steps, as PackedSequence and ONNX do", repeat=False
    ),
    _loop(
        "mask-starts-from-state",
        "MASK-4",
        "repeats the initial h before the first valid step",
        start_from_state=True,
    ),
    _loop(
        "mask-not-reversed",
        "DIR-3",
        "reverses the input under go_backwards, not the mask",
        mask_backwards=False,
    ),
    _loop(
        "mask-first-step-ignored",
        "MASK-4",
        "takes the first step processed for valid",
        first_always_valid=True,
    ),
    _loop("zero-output-ignored", "MASK-5", "repeats where zeros are asked for", zero=False),
    _loop("zero-output-zeroes-states", "MASK-5", "zeroes the states of masked steps too", zero_states=True),
    Variant("mask-inverted", "MASK-1", "mask", "skips what is true", model=_mask(lambda m, s: ~m)),
    Variant("mask-dropped", "MASK-1", "mask", "drops the argument", model=_mask(lambda m, s: None)),
    Variant(
        "mask-as-lengths",
        "MASK-7",
        "mask",
        "counts valid steps and takes that many from the start",
        model=_mask(_as_lengths),
    ),
    Variant(
        "mask-holes-filled",
        "MASK-7",
        "mask",
        "takes every step up to the last valid one for valid",
        model=_mask(_up_to_last_valid),
    ),
    Variant(
        "mask-of-first-sample",
        "MASK-6",
        "mask",
        "uses the first row for all",
        model=_mask(lambda m, s: _first_row(m, s)),
    ),
    Variant(
        "last-output-is-state",
        "VIEW-1",
        "mask",
        "gives the final h as last output",
        model=on_outputs(_last_h),
    ),
]


def _first_row(mask: np.ndarray, spec: LayerSpec) -> np.ndarray:
    rows = mask[:, :1] if spec.arguments["time_major"] else mask[:1]
    return np.broadcast_to(rows, mask.shape)
