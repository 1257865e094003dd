"""keras.regularizers.L2 rounds its factor to float32 also for float64. Exit status 1 while it does."""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np

keras.config.set_floatx("float64")
layer = keras.layers.LSTM(1, kernel_regularizer="l2", kernel_initializer="ones")
layer.build((1, 3, 1))
found = float(np.asarray(layer.losses[0]))
print(found, "expected 0.04")  # 0.01 times four ones
sys.exit(0 if abs(found - 0.04) < 1e-15 else 1)
