"""Keras 3: sparsemax does not sum to 1. Exit status 1 while the bug exists (keras-team/keras#23425)."""

import sys

import keras

x = keras.ops.convert_to_tensor([[1.0, 0.9, 0.8, 0.1]])
# Sorted cumulative sums 1, 1.9, 2.7; support of 3; tau = (2.7 - 1) / 3 = 17/30; max(x - tau, 0):
expected = [[13 / 30, 1 / 3, 7 / 30, 0.0]]
got = keras.ops.convert_to_numpy(keras.activations.sparsemax(x))
print("keras", keras.__version__, "expected", expected, "got", got.tolist())
sys.exit(int(abs(got - expected).max() > 1e-6))
