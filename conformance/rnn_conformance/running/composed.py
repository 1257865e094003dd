"""What the suite does around a layer that knows lengths and states alone (`rnn_conformance.contract.lengths_model.LengthsModel`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rnn_reference import layouts
from rnn_reference.network import Network

from rnn_conformance.contract.adapter import LayerSpec, Unsupported, converted, require
from rnn_conformance.contract.capabilities import Capabilities
from rnn_conformance.running.composition import Flat, PredictingInBatches, network_of

if TYPE_CHECKING:
    from rnn_conformance.running.remote import RemoteModel

Weights = Mapping[str, np.ndarray]


def _onnx(network: Network, weights: Weights) -> Weights:
    (node,) = layouts.network_to_onnx(network, weights)
    return node


def _flax(network: Network, weights: Weights) -> Weights:
    config = network.config
    return layouts.to_flax(config.layer, weights, reset_after=config.reset_after)


# By the name that an adapter gives.
LAYOUTS: Mapping[str, Callable[[Network, Weights], Weights]] = {
    "keras": lambda network, weights: weights,
    "torch": layouts.network_to_torch,
    "onnx": _onnx,
    "flax": _flax,
}


class Composed(PredictingInBatches):
    """A layer in another process, flipped, packed and shown from here."""

    def __init__(self, remote: RemoteModel, spec: LayerSpec, layout: str, can: Capabilities) -> None:
        if spec.is_network:
            raise Unsupported("layers of lengths are single ones", "NET-1")
        self._remote, self._spec, self._layout, self._can = remote, spec, layout, can

    @property
    def is_there(self) -> bool:
        return self._remote.is_there

    def set_weights(self, weights: Weights) -> None:
        complete = ("bias" in weights) == bool(self._spec.arguments["use_bias"])
        require(
            complete,
            "weights are converted by name: the framework never sees another number of them",
            "WEIGHT-5",
        )
        self._remote.set_weights(converted(LAYOUTS[self._layout], network_of(self._spec), weights))

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        right = initial_state is None or len(initial_state) == self._spec.state_count
        require(
            right, "states are handed over one by one: the framework never sees another number", "STATE-2"
        )
        if inputs.ndim != 3:
            raise Unsupported(
                "inputs are handed over as [B, T, F]: the framework never sees another rank", "SHAPE-1"
            )
        flat = Flat.of(self._spec, inputs, mask)
        outputs, states = self._run(flat.inputs, flat.lengths, initial_state)
        self.mode = flat.mode
        return flat.returned(outputs, states)

    def _run(
        self, inputs: np.ndarray, lengths: Any, states: Sequence[np.ndarray] | None
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        outputs, finals = self._remote.run(
            inputs, None if lengths is None else np.asarray(lengths, np.int64), states
        )
        self.path, self.changed = self._remote.path, self._remote.changed
        return outputs, finals

    def call_lengths(self, inputs: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        require("lengths" in self._can.calls, "the layers take no lengths", "SHAPE-11")
        return [self._run(inputs, lengths, None)[0]]
