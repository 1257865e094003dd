"""Keras 3 does not take the keywords by which Keras 2 declared an input. Exit status 1 while it does not."""

import sys
import warnings

import keras
import numpy as np

warnings.simplefilter("ignore")
refused = 0
for keywords in (
    {"input_dim": 2},
    {"input_dim": 2, "input_length": 5},
    {"batch_input_shape": (3, 5, 2)},
    {"batch_size": 3, "input_shape": (5, 2)},
):
    try:
        model = keras.Sequential([keras.layers.LSTM(4, **keywords)])
        model(np.ones((3, 5, 2), "float32"))
    except ValueError as error:
        print(keywords, "refused:", str(error)[:100])
        refused += 1
    else:
        print(keywords, "accepted:", model.output_shape)
sys.exit(1 if refused else 0)
