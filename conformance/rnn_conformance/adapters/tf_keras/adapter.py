"""Keras 2 (``tf_keras``): the generation with ``time_major`` and the older keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from rnn_fixtures.case import NO_SUCH

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
import tf_keras

# Name in the specification to name in Keras 2. `hard_sigmoid` is passed as it is, as a user porting a model would.
NAMES = {"hard_sigmoid_keras2": "hard_sigmoid"}
KNOWN = frozenset(
    "elu exponential gelu hard_sigmoid leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu "
    "softmax softplus softsign swish tanh".split()
)


class Keras2Adapter(Adapter):
    """``tf_keras.layers``."""

    is_keras = True
    settings = setup.SETTINGS

    def __init__(self) -> None:
        self._state = GlobalState(tf_keras.utils.set_random_seed, tf_keras.backend.clear_session)

    def configure(self, settings: Mapping[str, str]) -> None:
        """TensorFlow's switches."""
        setup.configure(settings)

    def describe(self) -> Description:
        """tf_keras's version, TensorFlow's devices."""
        return setup.description("tf_keras", tf_keras.__version__)

    def build(self, spec: LayerSpec) -> Model:
        """The layer with the case's arguments, which are Keras's own."""
        policy = spec.arguments.get("dtype_policy", "none")
        mixed = policy != "none"
        self._state.prepare(spec.seed)
        # As a user of another dtype does; a mixed policy keeps its variables in float32.
        floatx = "float32" if mixed or spec.dtype == "bfloat16" else spec.dtype  # which Keras 2 does not take
        tf_keras.backend.set_floatx(floatx)
        dtype = tf_keras.mixed_precision.Policy(policy) if mixed else spec.dtype
        arguments = layer_arguments(tf_keras, spec, NAMES)
        arguments.pop("dtype_policy", None)
        stacked = arguments.pop("stacked_dropout", 0.0)
        require(not stacked, "Keras's layers have no dropout between them", "DROP-5")
        for name in ("activation", "recurrent_activation"):
            known = arguments[name] in (None, NO_SUCH, *KNOWN)
            require(known, f"Keras 2 has no activation {arguments[name]}", "ACT-1")
        require("use_cudnn" not in arguments, "Keras 2 has no use_cudnn argument", "SHAPE-10")
        declared = {name: value for name, value in spec.declared.items() if name != "Input"}
        size = spec.size
        shape = (size.T, size.B, size.F) if arguments["time_major"] else (size.B, size.T, size.F)
        on_device = partial(setup.tf.device, setup.tf_device(spec.device))
        if spec.is_network:

            def make(**own: Any) -> Any:
                return getattr(tf_keras.layers, spec.layer)(**(arguments | own), dtype=dtype)

            return KerasNetwork(tf_keras, make, spec, setup.tf.convert_to_tensor, _to_numpy, on_device)
        with on_device():
            with framework():
                layer = getattr(tf_keras.layers, spec.layer)(
                    *spec.positional, **arguments, **declared, dtype=dtype
                )
            return KerasModel(tf_keras, layer, spec, shape, setup.tf.convert_to_tensor, _to_numpy, on_device)

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        """Through ``tf_keras.layers``."""
        return script(spec, "tf_keras", NAMES, weights)


def _to_numpy(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.numpy())
