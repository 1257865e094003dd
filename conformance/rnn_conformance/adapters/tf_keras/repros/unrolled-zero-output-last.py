"""Keras 2: unroll with zero_output_for_mask and without return_sequences raises. Exit status 1 while it does."""

import sys

import numpy as np
import tf_keras

layer = tf_keras.layers.GRU(1, unroll=True, zero_output_for_mask=True)
try:
    print(layer(np.ones((1, 3, 1), "float32"), mask=np.array([[True, True, False]])))
except ValueError as error:
    print("tf_keras", tf_keras.__version__, error)
    sys.exit(1)
