"""keras.layers.LSTM broadcasts initial states of one dimension over the batch. Exit status 1 while it does."""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np

layer = keras.layers.LSTM(4)
state = np.ones(4, "float32")
try:
    result = layer(np.ones((3, 5, 2), "float32"), initial_state=[state, state])
except Exception as error:
    print("refused:", type(error).__name__)
    sys.exit(0)
print("accepted:", result.shape)
sys.exit(1)
