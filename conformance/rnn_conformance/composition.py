"""What users write around a framework's layer: packing the valid steps of a masked batch, carrying states.

Frameworks that know lengths but no masks run the valid steps of each row, moved to the front (MASK-7); the
outputs are then put back to their places, repeated or zeroed on masked steps (MASK-3 to MASK-5). No
recurrence happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnn_conformance.adapters.base import DTYPES, LayerSpec, Model


@dataclass(frozen=True)
class Packed:
    """A masked batch as lengths.

    Attributes
    ----------
    inputs : array [B, T, F]
        Valid steps first, masked steps after them, each in their order.
    lengths : int array [B]
    right_padded : bool
        True when packing moved nothing.
    """

    inputs: np.ndarray
    lengths: np.ndarray
    mask: np.ndarray
    right_padded: bool

    def unpack(
        self, outputs: np.ndarray, *, zero_output_for_mask: bool, zero_padded: bool = True
    ) -> np.ndarray:
        """Outputs [B, T, U] of the packed steps, back in place, with the outputs of masked steps.

        Where the framework itself puts zeros on the padding (``zero_padded``) and right-padded rows with zeros are
        wanted, its outputs stay untouched.
        """
        if self.right_padded and zero_output_for_mask and zero_padded:
            return outputs
        latest = np.cumsum(self.mask, axis=1) - 1
        placed = np.take_along_axis(outputs, np.maximum(latest, 0)[..., None], axis=1)
        shown = self.mask if zero_output_for_mask else latest >= 0
        return np.where(shown[..., None], placed, np.zeros_like(placed))


def pack(inputs: np.ndarray, mask: np.ndarray) -> Packed:
    """Move the valid steps of each row of a batch [B, T, F] to the front."""
    order = np.argsort(~mask, axis=1, kind="stable")
    return Packed(
        np.take_along_axis(inputs, order[..., None], axis=1),
        mask.sum(axis=1),
        mask,
        bool((order == np.arange(mask.shape[1])).all()),
    )


def select_outputs(
    outputs: np.ndarray,
    states: Sequence[np.ndarray],
    *,
    return_sequences: bool,
    return_state: bool,
    time_major: bool = False,
) -> list[np.ndarray]:
    """From batch-major outputs [B, T, U] in processing order, what the views ask for (VIEW-1 to VIEW-3)."""
    if not return_sequences:
        outputs = outputs[:, -1]
    elif time_major:
        outputs = outputs.swapaxes(0, 1)
    return [outputs, *states] if return_state else [outputs]


class Carrying(Model):
    """A layer without a memory whose user passes each call's final state to the next (CARRY-1)."""

    mode = "composed"

    def __init__(self, build: Callable[[LayerSpec], Model], spec: LayerSpec) -> None:
        arguments = dict(spec.arguments) | {"stateful": False, "return_state": True}
        self._spec = spec
        self._model = build(replace(spec, arguments=arguments, has_initial_state=True))
        self._states: list[np.ndarray] | None = None

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self._model.set_weights(weights)

    def reset_states(self) -> None:
        self._states = None

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        spec = self._spec
        zero = np.zeros((spec.size.B, spec.size.U), DTYPES[spec.dtype])
        states = initial_state or self._states or [zero] * spec.state_count
        output, *self._states = self._model.call(inputs, mask, states)
        self.path = self._model.path
        return [output, *self._states] if spec.arguments["return_state"] else [output]
