"""What the suite does around a layer of lengths and states (`rnn_conformance.contract.lengths_model.LengthsModel`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from rnn_reference import layouts
from rnn_reference.network import Network
from rnn_reference.shapes import WEIGHTS

from rnn_conformance.contract.adapter import Gradients, LayerSpec, Unsupported, require
from rnn_conformance.contract.capabilities import FLIPS, Capabilities
from rnn_conformance.contract.lengths_model import Lesson
from rnn_conformance.running.composition import (
    Packed,
    PredictingInBatches,
    epoch,
    network_of,
    pack,
    returned,
    static_views,
)

if TYPE_CHECKING:
    from rnn_conformance.running.remote import RemoteModel

Weights = Mapping[str, np.ndarray]
C = TypeVar("C")


def converted(convert: Callable[..., C], *args: Any, **kwargs: Any) -> C:
    """Weights in another layout; a shape that stands in the way of converting is one that the framework never sees."""
    try:
        return convert(*args, **kwargs)
    except (ValueError, IndexError, KeyError) as error:
        raise Unsupported(
            "weights are converted to the framework's layout: it never sees this shape", "WEIGHT-1"
        ) from error


def _numbered(nodes: Sequence[Weights]) -> Weights:
    """Arrays of operators; of several, the names end with the number of each."""
    ends = [""] if len(nodes) == 1 else [f"_{k}" for k in range(len(nodes))]
    return {
        f"{name}{end}": array for end, node in zip(ends, nodes, strict=True) for name, array in node.items()
    }


# From the Keras layout, by the name that an adapter gives.
LAYOUTS: Mapping[str, Callable[[Network, Weights], Weights]] = {
    "keras": lambda network, weights: weights,
    "torch": layouts.network_to_torch,
    "onnx": lambda network, weights: _numbered(layouts.network_to_onnx(network, weights)),
    "openvino": lambda network, weights: _numbered(layouts.network_to_openvino(network, weights)),
    "flax": layouts.network_to_flax,
}


def _to_keras(layout: str, spec: LayerSpec, weights: Weights) -> dict[str, np.ndarray]:
    """Weights of a single layer, or gradients with respect to them, in the Keras layout; biases that Keras does not have are left out."""
    found: Weights
    match layout:
        case "torch":
            found = layouts.from_torch(spec.layer, weights)
        case "flax":
            found = layouts.from_flax(spec.layer, weights)
        case "onnx":
            found = layouts.from_onnx(spec.layer, weights, reset_after=spec.reset_after)
        case "openvino":
            found = layouts.from_openvino(spec.layer, weights, reset_after=spec.reset_after)
        case _:
            found = weights
    kept = [name for name in WEIGHTS if name in found and (name != "bias" or spec.arguments["use_bias"])]
    return {name: found[name] for name in kept}


def native(spec: LayerSpec, can: Capabilities) -> LayerSpec:
    """What is asked of the layer itself: of `FLIPS` those that it names."""
    ours = {
        name: False
        for name in FLIPS
        if spec.arguments[name]
        and (name not in can.arguments or (spec.has_mask and name not in can.with_lengths))
    }
    return replace(spec, arguments={**spec.arguments, **ours}) if ours else spec


class Composed(PredictingInBatches):
    """A layer in another process, flipped, packed and shown from here.

    Parameters
    ----------
    spec, own : LayerSpec
        What the case asks for, and what the layer was built with (`native`).
    """

    def __init__(
        self, remote: RemoteModel, spec: LayerSpec, own: LayerSpec, layout: str, can: Capabilities
    ) -> None:
        self._remote, self._spec, self._own, self._layout, self._can = remote, spec, own, layout, can
        self._network = network_of(spec)

    @property
    def is_there(self) -> bool:
        return self._remote.is_there

    def forget(self) -> None:
        self._remote.forget()

    def set_weights(self, weights: Weights) -> None:
        complete = any(name.endswith("bias") for name in weights) == bool(self._spec.arguments["use_bias"])
        # In these layouts all biases are there, whatever was given.
        require(
            complete or ("malformed" in self._can.calls and self._layout not in ("flax", "openvino")),
            "weights are converted by name: the framework never sees another number of them",
            "WEIGHT-5",
        )
        self._remote.keep(converted(LAYOUTS[self._layout], self._network, weights))

    def give(self, weights: Weights) -> None:
        """Weights in the adapter's own layout."""
        self._remote.set_weights(weights)

    # -- in --------------------------------------------------------------------------------------

    def _flipped(self, array: np.ndarray) -> np.ndarray:
        """An array [B, T, ...] or [T, B, ...] of a call, made [B, T, ...] and put into the order of processing."""
        if self._spec.arguments["time_major"]:
            array = array.swapaxes(0, 1)
        return array[:, ::-1] if self._spec.arguments["go_backwards"] else array

    def _own_way(self, array: np.ndarray) -> np.ndarray:
        """An array [B, T, ...] in the order of processing, as the layer itself takes it."""
        a = self._own.arguments
        array = array[:, ::-1] if a["go_backwards"] else array
        return np.ascontiguousarray(array.swapaxes(0, 1) if a["time_major"] else array)

    def _back(self, array: np.ndarray) -> np.ndarray:
        """The inverse of `_own_way` for outputs: layers give them in the order of processing."""
        return array.swapaxes(0, 1) if self._own.arguments["time_major"] else array

    def _packed(self, inputs: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, Packed | None]:
        """Inputs as the layer takes them, and how a masked batch was packed in the order of processing."""
        if inputs.ndim != 3:
            require(
                "malformed" in self._can.calls,
                "inputs are handed over as [B, T, F]: the framework never sees another rank",
                "SHAPE-1",
            )
            require(
                mask is None, "masks are turned into lengths: the framework never sees this one", "MASK-1"
            )
            return inputs, None
        ordered = self._flipped(inputs)
        packed = None if mask is None else pack(ordered, self._flipped(mask))
        if packed is None or not self._own.arguments["go_backwards"]:
            return self._own_way(ordered if packed is None else packed.inputs), packed
        # The layer turns the valid steps of each row itself.
        assert mask is not None
        forward = pack(ordered[:, ::-1], self._flipped(mask)[:, ::-1]).inputs
        return np.ascontiguousarray(
            forward.swapaxes(0, 1) if self._own.arguments["time_major"] else forward
        ), packed

    @property
    def _zero(self) -> bool:
        return self._network.config.zero_output_for_mask

    def _mode(self, packed: Packed | None, outputs: int) -> str:
        spec = self._spec
        flipped = any(spec.arguments[name] != self._own.arguments[name] for name in FLIPS)
        moved = packed is not None and not (
            packed.right_padded and self._zero and "padding" in self._can.calls
        )
        merged = outputs > 1 and spec.merge_mode != "concat"
        return "composed" if flipped or moved or merged or self._remote.mode == "composed" else "native"

    # -- calls -------------------------------------------------------------------------------------

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        spec = self._spec
        wanted = len(self._network.state_names)
        require(
            initial_state is None or len(initial_state) == wanted or "malformed" in self._can.calls,
            "states are handed over one by one: the framework never sees another number",
            "STATE-2",
        )
        given, packed = self._packed(inputs, mask)
        outputs, states = self._run(given, None if packed is None else packed.lengths, initial_state)
        self.mode = self._mode(packed, len(outputs))
        parts = [self._back(part) for part in outputs]
        if packed is not None:
            padded = "padding" in self._can.calls
            parts = [
                packed.unpack(part, zero_output_for_mask=self._zero, zero_padded=padded, backward=k == 1)
                for k, part in enumerate(parts)
            ]
        if spec.bidirectional and len(parts) == 1:  # the framework itself has merged them
            shown = parts[0].swapaxes(0, 1) if spec.arguments["time_major"] else parts[0]
            return [shown, *states] if spec.arguments["return_state"] else [shown]
        return returned(self._network, parts, states)

    def _run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        found = self._remote.run(inputs, None if lengths is None else np.asarray(lengths, np.int64), states)
        self.path, self.changed = self._remote.path, self._remote.changed
        return found

    def call_lengths(self, inputs: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        require("lengths" in self._can.calls, "the layers take no lengths", "SHAPE-11")
        return self._run(inputs, lengths, None)[0]

    def call_training(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        training: bool | None,
    ) -> list[np.ndarray]:
        self._remote.train(training)
        return self.call(inputs, mask, initial_state)

    def rewind(self) -> None:
        self._remote.rewind()

    # -- gradients, training -----------------------------------------------------------------------

    def gradients(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        cotangents: Sequence[np.ndarray],
    ) -> Gradients:
        """By the layer's own ``vjp``, pulled back through what is done here."""
        given, packed = self._packed(inputs, mask)
        a = self._spec.arguments
        batch, steps = self._flipped(inputs).shape[:2]
        first, *seeds = cotangents
        outputs = np.zeros((batch, steps, self._spec.size.U), first.dtype)
        if a["return_sequences"]:
            outputs[:] = first.swapaxes(0, 1) if a["time_major"] else first
        else:
            outputs[:, -1] = first
        if packed is not None:
            outputs = packed.pull_outputs(outputs, zero_output_for_mask=self._zero)
        if self._own.arguments["time_major"]:
            outputs = np.ascontiguousarray(outputs.swapaxes(0, 1))
        zero = np.zeros((batch, self._spec.size.U), first.dtype)
        lengths = None if packed is None else np.asarray(packed.lengths, np.int64)
        found = self._remote.vjp(
            given, lengths, initial_state, outputs, seeds or [zero] * self._spec.state_count
        )
        self.path, self.mode = self._remote.path, self._mode(packed, 1)
        shown = self._back(found.outputs)
        if packed is not None:
            shown = packed.unpack(shown, zero_output_for_mask=self._zero, zero_padded=False)
        return Gradients(
            returned(self._network, [shown], found.states),
            self._pulled(found.inputs, packed),
            list(found.initial_state),
            _to_keras(self._layout, self._spec, found.weights),
            np.zeros(0, inputs.dtype),
        )

    def _pulled(self, gradient: np.ndarray, packed: Packed | None) -> np.ndarray:
        """The gradient with respect to the input of `call`, from that with respect to what the layer was given."""
        a, own = self._spec.arguments, self._own.arguments
        gradient = self._back(gradient)
        if packed is not None and own["go_backwards"]:
            forward = replace(packed, mask=packed.mask[:, ::-1])
            gradient = forward.unpack_input(gradient)
        elif packed is not None:
            gradient = packed.unpack_input(gradient)
        if a["go_backwards"] and not own["go_backwards"]:
            gradient = gradient[:, ::-1]
        return gradient.swapaxes(0, 1) if a["time_major"] else gradient

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int | None,
        learning_rate: float,
        mask: np.ndarray | None = None,
    ) -> tuple[dict[str, np.ndarray], int]:
        """An epoch of the layer's own updates."""
        updates = 0
        for x, wanted, valid in epoch(inputs, targets, mask, batch_size):
            given, packed = self._packed(x, valid)
            places, shown = (
                (None, None) if packed is None else packed.placement(zero_output_for_mask=self._zero)
            )
            lengths = None if packed is None else np.asarray(packed.lengths, np.int64)
            last = not self._spec.arguments["return_sequences"]
            # The loss takes the mask as it was given, whichever way the layer goes (FIT-2).
            self._remote.learn(
                Lesson(given, lengths, wanted, places, shown, None if last else valid, last), learning_rate
            )
            updates += 1
        found = _to_keras(self._layout, self._spec, self._remote.weights())
        self.mode, self.path = "composed", self._remote.path
        return found, updates

    # -- weights and shapes ------------------------------------------------------------------------

    def initial_weights(self) -> Weights:
        found = _to_keras(self._layout, self._spec, self._remote.weights())
        self.path = self._remote.path
        return found

    def weight_shapes(self) -> Mapping[str, Sequence[int]]:
        return {name: array.shape for name, array in self.initial_weights().items()}

    def static_shapes(self) -> Mapping[str, Sequence[Sequence[int | None]]]:
        return {
            means: static_views(self._network.config, output, state)
            for means, (output, state) in self._remote.shapes().items()
        }
