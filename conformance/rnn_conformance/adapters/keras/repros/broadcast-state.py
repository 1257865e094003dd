"""keras.layers.GRU takes an initial state of one row for a batch of three. Exit status 1 while it does."""

import sys

import keras
import numpy as np

layer = keras.layers.GRU(4)
x, state = np.ones((3, 5, 2), "float32"), np.ones((1, 4), "float32")
try:
    result = layer(x, initial_state=[state])
except ValueError as error:
    print("refused:", error)
    sys.exit(0)
print("accepted a state of shape (1, 4) for a batch of 3:", np.asarray(result).shape)
sys.exit(1)
