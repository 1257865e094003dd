"""keras.layers.LSTM refuses a batch of 0 on TensorFlow; GRU takes it. Exit status 1 while it does."""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np

empty = np.zeros((0, 3, 2), "float32")
print("GRU:", keras.layers.GRU(4)(empty).shape)
try:
    shape = keras.layers.LSTM(4)(empty).shape
except Exception as error:
    print("LSTM:", type(error).__name__, str(error)[:160])
    sys.exit(1)
print("LSTM:", shape)
sys.exit(0)
