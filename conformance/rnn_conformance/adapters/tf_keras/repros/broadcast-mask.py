"""tf_keras.layers.LSTM takes a mask of one row for a batch of three. Exit status 1 while it does."""

import sys

import numpy as np
import tensorflow as tf
import tf_keras

layer = tf_keras.layers.LSTM(4, return_sequences=True)
x = tf.ones((3, 5, 2))
try:
    result = layer(x, mask=tf.ones((1, 5), bool))
except (ValueError, tf.errors.InvalidArgumentError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted a mask of shape (1, 5) for an input of shape (3, 5, 2):", np.asarray(result).shape)
sys.exit(1)
