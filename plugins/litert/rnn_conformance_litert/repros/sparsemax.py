"""Keras's sparsemax, which a conversion keeps, does not sum to 1. Exit status 1 while it does."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter


def converted(layer, x, **given):
    """What the interpreter makes of a layer, converted for arrays of these shapes."""
    arrays = [x, *given.values()]

    def call(*tensors):
        named = dict(zip(given, tensors[1:], strict=True))
        states = [named.pop(name) for name in list(named) if name != "mask"]
        return layer(tensors[0], initial_state=states or None, **named)

    specs = [tf.TensorSpec(a.shape, a.dtype, f"a{k}") for k, a in enumerate(arrays)]
    function = tf.function(call).get_concrete_function(*specs)
    interpreter = Interpreter(
        model_content=tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    )
    interpreter.allocate_tensors()
    places = {d["name"]: d["index"] for d in interpreter.get_input_details()}
    for k, array in enumerate(arrays):
        interpreter.set_tensor(places[f"a{k}"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


ones = {"kernel_initializer": "ones", "recurrent_initializer": "ones", "return_sequences": True}
layer = keras.layers.GRU(
    3,
    activation="sparsemax",
    kernel_initializer=keras.initializers.RandomNormal(seed=1),
    return_sequences=True,
)
x = np.array([[[0.5]]], np.float32)
kernel = np.asarray((layer(x), layer.get_weights()[0])[1])[0, 6:] * 0.5
z = 1 / (1 + np.exp(-np.asarray(layer.get_weights()[0])[0, :3] * 0.5))
ordered = np.sort(kernel)[::-1]
support = sum(1 + (k + 1) * ordered[k] > ordered[: k + 1].sum() for k in range(3))
candidate = np.maximum(kernel - (ordered[:support].sum() - 1) / support, 0)
expected, found = (1 - z) * candidate, converted(layer, x).ravel()
print("LiteRT gives", found, "expected", expected)
sys.exit(int(not np.allclose(found, expected, atol=1e-5)))
