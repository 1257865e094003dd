"""What users write around a framework's layer: packing the valid steps of a masked batch, carrying states.

Frameworks that know lengths but no masks run the valid steps of each row, moved to the front (MASK-7); the
outputs are then put back to their places, repeated or zeroed on masked steps (MASK-3 to MASK-5). No
recurrence happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rnn_reference.config import LayerConfig
from rnn_reference.network import Network, Result
from rnn_reference.recurrence import Trajectory

from rnn_conformance.contract.adapter import DTYPES, Gradients, LayerSpec, Model, Unsupported


def network_of(spec: LayerSpec) -> Network:
    """The network that is asked for; mostly a single layer of one direction."""
    own = {name: getattr(spec, name) for name in ("num_layers", "bidirectional", "merge_mode")}
    return Network.of(spec.layer, {**spec.arguments, **own})


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

    def placement(
        self, *, zero_output_for_mask: bool, backward: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The packed step [B, T] whose output each step shows, and where [B, T] there is one; elsewhere the output is 0."""
        place = np.cumsum(self.mask, axis=1) - (self.mask if backward else 1)
        there = (place >= 0) & (place < self.lengths[:, None])
        return np.where(there, place, 0), np.ascontiguousarray(self.mask if zero_output_for_mask else there)

    def unpack(
        self,
        outputs: np.ndarray,
        *,
        zero_output_for_mask: bool,
        zero_padded: bool = True,
        backward: bool = False,
    ) -> np.ndarray:
        """Outputs [B, T, U] of the packed steps, back in place, with the outputs of masked steps.

        Where the framework itself puts zeros on the padding (``zero_padded``) and right-padded rows with zeros are
        wanted, its outputs stay untouched. In a ``backward`` direction a masked step repeats the valid step after it (NET-5).
        """
        if self.right_padded and zero_output_for_mask and zero_padded:
            return outputs
        places, shown = self.placement(zero_output_for_mask=zero_output_for_mask, backward=backward)
        placed = np.take_along_axis(outputs, places[..., None], axis=1)
        return np.where(shown[..., None], placed, np.zeros_like(placed))

    def pull_outputs(self, cotangents: np.ndarray, *, zero_output_for_mask: bool) -> np.ndarray:
        """The transpose of `unpack`: cotangents [B, T, U] of the placed outputs, moved to the packed steps."""
        places, shown = self.placement(zero_output_for_mask=zero_output_for_mask)
        result = np.zeros_like(cotangents)
        rows = np.broadcast_to(np.arange(len(places))[:, None], places.shape)
        np.add.at(result, (rows[shown], places[shown]), cotangents[shown])
        return result

    def unpack_input(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient [B, T, F] with respect to the packed steps, back in place."""
        order = np.argsort(~self.mask, axis=1, kind="stable")
        result = np.zeros_like(gradient)
        np.put_along_axis(result, order[..., None], gradient, axis=1)
        return result


def pack(inputs: np.ndarray, mask: np.ndarray) -> Packed:
    """Move the valid steps of each row of a batch [B, T, F] to the front."""
    if mask.shape != inputs.shape[:2]:
        raise Unsupported("masks are turned into lengths: the framework never sees this one", "MASK-1")
    order = np.argsort(~mask, axis=1, kind="stable")
    return Packed(
        np.take_along_axis(inputs, order[..., None], axis=1),
        mask.sum(axis=1),
        mask,
        bool((order == np.arange(mask.shape[1])).all()),
    )


def returned(
    network: Network, outputs: Sequence[np.ndarray], states: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """What `Model.call` returns (VIEW-1 to VIEW-3, NET-2 to NET-4).

    Parameters
    ----------
    outputs : sequence of arrays [B, T, U]
        Of the last layer's directions, batch-major: the first in processing order, a second one in the input's.
    """
    runs = [Trajectory(outputs[0], ()), *(Trajectory(o[:, ::-1], ()) for o in outputs[1:])]
    return list(network.views(Result(tuple(runs), tuple(states))).values())


@dataclass(frozen=True)
class _Shape:
    """A shape that can be viewed as an array of it would be."""

    shape: tuple[int | None, ...]

    def __getitem__(self, key: tuple[slice, int]) -> _Shape:
        return _Shape((self.shape[0], *self.shape[2:]))

    def swapaxes(self, first: int, second: int) -> _Shape:
        axes = list(self.shape)
        axes[first], axes[second] = axes[second], axes[first]
        return _Shape(tuple(axes))


def static_views(
    config: LayerConfig, output: Sequence[int | None], state: Sequence[int | None]
) -> list[tuple[int | None, ...]]:
    """Of a framework that says [B, T, U] and [B, U], what the views ask for (VIEW-1 to VIEW-3)."""
    states = [_Shape(tuple(state))] * len(config.state_names)
    return [view.shape for view in config.views(Trajectory(_Shape(tuple(output)), tuple(states))).values()]


class Carrying(Model):
    """A layer without a memory whose user passes each call's final state to the next (CARRY-1)."""

    mode = "composed"

    def __init__(self, build: Callable[[LayerSpec], Model], spec: LayerSpec) -> None:
        if spec.declared:
            raise Unsupported("the user carries the states: no batch size is declared", "CARRY-7")
        arguments = dict(spec.arguments) | {"stateful": False, "return_state": True}
        self._spec = spec
        self._model = build(replace(spec, arguments=arguments, has_initial_state=True))
        self._states: list[np.ndarray] | None = None

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self._model.set_weights(weights)

    def forget(self) -> None:
        self._model.forget()

    def reset_states(self) -> None:
        self._states = None

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        output, *self._states = self._model.call(inputs, mask, self._start(initial_state))
        self.path = self._model.path
        return self._shown([output, *self._states])

    def gradients(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        cotangents: Sequence[np.ndarray],
    ) -> Gradients:
        """From the numbers of the last call's states, which have no history (GRAD-5)."""
        zeros = [self._zero] * (1 + self._spec.state_count - len(cotangents))
        found = self._model.gradients(inputs, mask, self._start(initial_state), [*cotangents, *zeros])
        self.path = self._model.path
        _, *self._states = found.outputs
        slopes = found.initial_state if initial_state else []
        return replace(found, outputs=self._shown(found.outputs), initial_state=slopes)

    @property
    def _zero(self) -> np.ndarray:
        return np.zeros((self._spec.size.B, self._spec.size.U), DTYPES[self._spec.dtype])

    def _start(self, initial_state: Sequence[np.ndarray] | None) -> Sequence[np.ndarray]:
        """What is given, else what is carried, else zeros (CARRY-3)."""
        return initial_state or self._states or [self._zero] * self._spec.state_count

    def _shown(self, outputs: list[np.ndarray]) -> list[np.ndarray]:
        return outputs if self._spec.arguments["return_state"] else outputs[:1]


class PredictingInBatches(Model):
    """A layer whose user loops over slices of the data (FIT-5)."""

    def predict(self, inputs: np.ndarray, batch_size: int | None) -> tuple[list[np.ndarray], int]:
        """Outputs of all samples, and in how many batches."""
        parts = [self.call(part, None, None) for part in in_batches(inputs, batch_size)]
        self.mode = "composed"
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)], len(parts)


def in_batches(samples: np.ndarray, batch_size: int | None) -> list[np.ndarray]:
    """Slices of ``batch_size`` samples (32 when unset), the last what is left (FIT-1)."""
    size = batch_size or 32
    return [samples[k : k + size] for k in range(0, len(samples), size)]


def epoch(
    inputs: np.ndarray, targets: np.ndarray, mask: np.ndarray | None, batch_size: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Input, targets and mask of each batch, in order (FIT-1)."""
    parts = in_batches(inputs, batch_size)
    valid = [None] * len(parts) if mask is None else in_batches(mask, batch_size)
    return zip(parts, in_batches(targets, batch_size), valid, strict=True)
