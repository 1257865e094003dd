"""Stacks and ``layers.Bidirectional`` of both Keras generations (NET-1 to NET-5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from rnn_conformance.contract.adapter import LayerSpec, Model, framework
from rnn_conformance.running.composition import network_of


class KerasNetwork(Model):
    """Layers called one after another, each with the mask that the one before hands on; ``on_device`` makes the scope of it all.

    Parameters
    ----------
    make : function
        A layer of one direction from the arguments in which it differs from the case's.
    """

    def __init__(
        self,
        keras: Any,
        make: Callable[..., Any],
        spec: LayerSpec,
        to_tensor: Callable[[np.ndarray], Any],
        to_numpy: Callable[[Any], np.ndarray],
        on_device: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._to_tensor, self._to_numpy, self._on_device = to_tensor, to_numpy, on_device
        self._layers: list[Any] = []
        self._outputs = 2 if spec.merge_mode is None else 1  # of the last layer
        size, network = spec.size, network_of(spec)
        first, second = (size.T, size.B) if spec.arguments["time_major"] else (size.B, size.T)
        widths = list(network.features(size.F, size.U))[:: len(network.layers[0])]
        with on_device(), framework():
            for number, width in enumerate(widths):
                last = number == spec.num_layers - 1
                layer = make(return_sequences=spec.arguments["return_sequences"] or not last)
                if spec.bidirectional:
                    layer = keras.layers.Bidirectional(layer, merge_mode=spec.merge_mode, dtype=layer.dtype)
                layer.build((first, second, width))
                self._layers.append(layer)
        # Several layers are the user's sequence of calls.
        self.mode = "native" if len(self._layers) == 1 else "composed"

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        given = list(weights.values())
        per_layer = len(given) // len(self._layers)
        with self._on_device(), framework():
            for number, layer in enumerate(self._layers):
                layer.set_weights(given[number * per_layer : (number + 1) * per_layer])

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        with self._on_device():
            x = self._to_tensor(inputs)
            states: list[Any] = []
            handed_on = None if mask is None else self._to_tensor(mask)
            given = None if initial_state is None else [self._to_tensor(state) for state in initial_state]
            per_layer = 0 if given is None else len(given) // len(self._layers)
            outputs: list[Any] = []
            for number, layer in enumerate(self._layers):
                keywords: dict[str, Any] = {} if handed_on is None else {"mask": handed_on}
                if given is not None:
                    keywords["initial_state"] = given[number * per_layer : (number + 1) * per_layer]
                count = self._outputs if number == len(self._layers) - 1 else 1
                with framework():
                    found = layer(x, **keywords)
                    handed_on = None if handed_on is None else layer.compute_mask(x, handed_on)
                found = list(found) if isinstance(found, (list, tuple)) else [found]
                if isinstance(handed_on, (list, tuple)):  # one for each output
                    handed_on = handed_on[0]
                outputs, states = found[:count], states + found[count:]
                x = outputs[0]
            return [self._to_numpy(a) for a in (*outputs, *states)]
