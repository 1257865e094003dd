"""A converted layer takes a mask of one row for all rows, and one of more steps than the input has. Exit status 1 while it does."""

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
layer = keras.layers.GRU(2, **ones)
taken = 0
for shape in ((1, 3), (2, 4)):
    try:
        found = converted(layer, np.ones((2, 3, 1), np.float32), mask=np.ones(shape, bool))
    except Exception as error:
        print("a mask", shape, "is refused:", str(error)[:100])
    else:
        print("a mask", shape, "for inputs (2, 3, 1) gives", found.shape)
        taken += 1
sys.exit(int(taken > 0))
