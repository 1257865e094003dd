"""keras.layers.GRU ignores a second initial state instead of refusing it. Exit status 1 while it does."""

import sys

import keras
import numpy as np

layer = keras.layers.GRU(2)
x, state = np.ones((1, 3, 2), "float32"), np.ones((1, 2), "float32")
try:
    result = layer(x, initial_state=[state, state])
except (ValueError, IndexError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted two states for one:", np.asarray(result))
sys.exit(1)
