"""keras.regularizers.OrthogonalRegularizer fails on a layer of another dtype than float32. Exit status 1 while it does."""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras

keras.config.set_floatx("float64")
layer = keras.layers.LSTM(2, kernel_regularizer=keras.regularizers.OrthogonalRegularizer(0.5))
layer.build((1, 3, 2))
try:
    losses = layer.losses
except Exception as error:
    print(type(error).__name__, str(error)[:160])
    sys.exit(1)
print("losses:", losses)
sys.exit(0)
