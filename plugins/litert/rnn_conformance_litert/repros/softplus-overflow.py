"""A converted softplus overflows: LiteRT gives infinity or NaN where Keras gives numbers. Exit status 1 while it does."""

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
layer = keras.layers.GRU(2, activation="softplus", **ones)
x = np.array([[[200.0], [-200.0]]], np.float32)
eager, found = np.asarray(layer(x)), converted(layer, x)
print("Keras", keras.__version__, "gives", eager.ravel(), "LiteRT", found.ravel())
sys.exit(int(not np.isfinite(found).all()))
