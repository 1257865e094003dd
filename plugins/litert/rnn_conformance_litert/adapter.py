"""LiteRT: Keras layers, converted by TensorFlow, run by ``ai_edge_litert``'s interpreter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec, Model, framework
from rnn_conformance.contract.capabilities import ANY, Capabilities
from rnn_reference.activations import ACTIVATIONS

# Keras 3 has no hard_sigmoid of Keras 2.
NAMES = sorted({*ACTIVATIONS, "none"} - {"hard_sigmoid_keras2"})


class LiteRtAdapter(Adapter):
    """A flatbuffer per set of weights, which are constants in it, and per shape of the input."""

    capabilities = Capabilities(
        arguments={
            "activation": NAMES,
            "recurrent_activation": NAMES,
            **dict.fromkeys(
                (
                    *("use_bias", "reset_after", "return_sequences", "return_state", "go_backwards"),
                    *("zero_output_for_mask", "unroll"),
                ),
                ANY,
            ),
        },
        calls=("mask", "initial_state"),
        reasons={
            "activation": ("Keras 3 has no activation {value}", "ACT-1"),
            "recurrent_activation": ("Keras 3 has no activation {value}", "ACT-1"),
            "time_major": ("Keras 3 has no time_major argument", "TIME-1"),
            "stateful": ("the adapter converts single calls, without variables", "CARRY-1"),
            "lengths": ("Keras layers take masks, no lengths", "MASK-7"),
            "initial_weights": ("weights are constants of a converted model: none are made", "INIT-1"),
            "gradients": ("a converted call only infers: there are no gradients", "GRAD-1"),
            "fit": ("a converted call only infers: there is no training", "FIT-1"),
            "predict": ("the interpreter runs one batch", "FIT-5"),
            "training": ("layers are converted for inference", "DROP-1"),
            "static_shapes": ("models are converted for the shapes of a call", "SHAPE-9"),
            "declared": ("models are converted for the shapes of a call", "SHAPE-2"),
            "positional": ("the layer is Keras's own, of whose arguments the keras adapter tells", "ERR-3"),
            "": ("{name} is an argument of training, or changes nothing in a converted call", ""),
        },
    )

    def describe(self) -> Description:
        """LiteRT's version, and those of the converter and of Keras."""
        why = "models are converted in float32; quantized ones are not asked for"
        return Description(
            framework="litert",
            version=version("ai-edge-litert"),
            devices=["cpu"],
            dtypes={"float64": why, "float32": None, "float16": why, "bfloat16": why},
            packages={"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
            notes=("converted by tf.lite.TFLiteConverter.from_concrete_functions, built-in operators alone",),
        )

    def build(self, spec: LayerSpec) -> Model:
        """The Keras layer, which is converted when it has weights."""
        return _Model(spec)


class _Model(Model):
    def __init__(self, spec: LayerSpec) -> None:
        known = ("units", "use_bias", "reset_after", "return_sequences", "return_state", "go_backwards")
        arguments = {name: spec.arguments[name] for name in known if name in spec.arguments}
        arguments |= {name: spec.arguments[name] for name in ("zero_output_for_mask", "unroll")}
        for name in ("activation", "recurrent_activation"):
            arguments[name] = None if spec.arguments[name] == "none" else spec.arguments[name]
        zeros = dict.fromkeys(("kernel_initializer", "recurrent_initializer", "bias_initializer"), "zeros")
        with framework():
            self._layer = getattr(keras.layers, spec.layer)(**arguments, **zeros)
            self._layer.build((spec.size.B, spec.size.T, spec.size.F))
        self._interpreters: dict[Any, Interpreter] = {}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        with framework():
            self._layer.set_weights(list(weights.values()))
        self._interpreters.clear()

    def call(
        self, inputs: np.ndarray, mask: np.ndarray | None, initial_state: Sequence[np.ndarray] | None
    ) -> list[np.ndarray]:
        given = [inputs, *([] if mask is None else [mask]), *(initial_state or ())]
        key = (mask is not None, initial_state is not None, *(array.shape for array in given))
        if key not in self._interpreters:
            with framework():
                self._interpreters[key] = self._converted(given, *key[:2])
        interpreter = self._interpreters[key]
        places = {d["name"]: d["index"] for d in interpreter.get_input_details()}
        inputs_of = [places[f"a{number}"] for number in range(len(given))]
        with framework():
            for place, array in zip(inputs_of, given, strict=True):
                interpreter.set_tensor(place, np.ascontiguousarray(array))
            interpreter.invoke()
            # Identity, Identity_1, Identity_2: in the order in which the function returns them.
            found = sorted(interpreter.get_output_details(), key=lambda detail: str(detail["name"]))
            return [interpreter.get_tensor(detail["index"]).copy() for detail in found]

    def _converted(self, given: Sequence[np.ndarray], has_mask: bool, has_state: bool) -> Interpreter:
        """An interpreter of the layer, converted for arrays of these shapes."""

        def call(*arrays: Any) -> Any:
            mask = arrays[1] if has_mask else None
            states = list(arrays[2 if has_mask else 1 :]) if has_state else None
            found = self._layer(arrays[0], mask=mask, initial_state=states)
            return found if isinstance(found, (list, tuple)) else [found]

        specs = [tf.TensorSpec(a.shape, a.dtype, f"a{k}") for k, a in enumerate(given)]
        function = tf.function(call).get_concrete_function(*specs)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        interpreter = Interpreter(model_content=converter.convert(), num_threads=1)
        interpreter.allocate_tensors()
        return interpreter
