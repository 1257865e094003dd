"""What the adapters of the two Keras generations share: both run ``layers.LSTM`` / ``GRU`` as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from rnn_conformance.adapters.base import Model


def layer_arguments(arguments: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Constructor arguments with the generation's own activation names; initial values are zeros.

    Every weight is set before a call. Zeros keep initializers that float16 lacks out of the way.
    """
    result = dict(arguments)
    for key in ("activation", "recurrent_activation"):
        result[key] = None if result[key] == "none" else names.get(result[key], result[key])
    zeros = dict.fromkeys(("kernel_initializer", "recurrent_initializer", "bias_initializer"), "zeros")
    return result | zeros


class KerasModel(Model):
    """A Keras layer, called eagerly; ``on_device`` makes the scope in which everything runs."""

    def __init__(
        self,
        layer: Any,
        input_shape: tuple[int, ...],
        to_tensor: Callable[[np.ndarray], Any],
        to_numpy: Callable[[Any], np.ndarray],
        on_device: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        layer.build(input_shape)
        self._on_device = on_device
        self._layer, self._to_tensor, self._to_numpy = layer, to_tensor, to_numpy

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        with self._on_device():
            self._layer.set_weights(list(weights.values()))

    def reset_states(self) -> None:
        with self._on_device():
            reset = (
                "reset_state" if hasattr(self._layer, "reset_state") else "reset_states"
            )  # Keras 3, Keras 2
            getattr(self._layer, reset)()

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        with self._on_device():
            keywords: dict[str, Any] = {}
            if mask is not None:
                keywords["mask"] = self._to_tensor(mask)
            if initial_state is not None:
                keywords["initial_state"] = [self._to_tensor(state) for state in initial_state]
            result = self._layer(self._to_tensor(inputs), **keywords)
            return [self._to_numpy(a) for a in (result if isinstance(result, (list, tuple)) else [result])]
