"""Keras 3 (today's tf.keras) on TensorFlow: ``keras.layers.LSTM`` and ``GRU``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "tensorflow"  # one backend per process, chosen before the import

from rnn_conformance.adapters.keras import tensorflow_setup as setup
from rnn_conformance.adapters.keras.layers import GlobalState, KerasModel, layer_arguments, script
from rnn_conformance.adapters.keras.networks import KerasNetwork
from rnn_conformance.contract.adapter import (
    Adapter,
    Description,
    LayerSpec,
    Model,
    Script,
    framework,
    require,
)

# isort: split
import keras

# Name in the specification to name in Keras 3, where they differ.
NAMES: dict[str, str] = {}


class Keras3Adapter(Adapter):
    """``keras.layers`` with the TensorFlow backend."""

    is_keras = True
    settings = setup.SETTINGS

    def __init__(self) -> None:
        self._state = GlobalState(
            keras.utils.set_random_seed, partial(keras.backend.clear_session, free_memory=False)
        )

    def configure(self, settings: Mapping[str, str]) -> None:
        """TensorFlow's switches."""
        setup.configure(settings)

    def describe(self) -> Description:
        """Keras's version, TensorFlow's devices."""
        return setup.description("keras", keras.__version__)

    def build(self, spec: LayerSpec) -> Model:
        """The layer with the case's arguments, which are Keras's own."""
        policy = spec.arguments.get("dtype_policy", "none")
        mixed = policy != "none"
        self._state.prepare(spec.seed)
        # As a user of another dtype does; a mixed policy keeps its variables in float32.
        keras.config.set_floatx("float32" if mixed else spec.dtype)
        dtype = keras.DTypePolicy(policy) if mixed else spec.dtype
        arguments = layer_arguments(keras, spec, NAMES)
        arguments.pop("dtype_policy", None)
        stacked = arguments.pop("stacked_dropout", 0.0)
        require(not stacked, "Keras's layers have no dropout between them", "DROP-5")
        require(not arguments.pop("time_major"), "Keras 3 dropped time_major", "TIME-1")
        for name in ("activation", "recurrent_activation"):
            require(
                arguments[name] != "hard_sigmoid_keras2",
                "Keras 3 has no name for the slope of 0.2",
                "ACT-HARD-SIGMOID-KERAS2",
            )
        require("weights" not in arguments, "Keras 3 has no weights argument", "WEIGHT-6")
        declared = {name: value for name, value in spec.declared.items() if name != "Input"}
        size = spec.size
        on_device = partial(keras.device, spec.device.replace("cuda", "gpu"))
        if spec.is_network:

            def make(**own: Any) -> Any:
                return getattr(keras.layers, spec.layer)(**(arguments | own), dtype=dtype)

            return KerasNetwork(keras, make, spec, keras.ops.convert_to_tensor, _to_numpy, on_device)
        with on_device():
            with framework():
                layer = getattr(keras.layers, spec.layer)(
                    *spec.positional, **arguments, **declared, dtype=dtype
                )
            shape = (size.B, size.T, size.F)
            return KerasModel(keras, layer, spec, shape, keras.ops.convert_to_tensor, _to_numpy, on_device)

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        """Through ``keras.layers``."""
        return script(spec, "keras", NAMES, weights)


def _to_numpy(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))
