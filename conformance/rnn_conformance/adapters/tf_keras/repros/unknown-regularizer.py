"""tf_keras.layers.LSTM accepts an unknown regularizer name and calls work. Exit status 1 while it does."""

import sys

import tensorflow as tf
import tf_keras

try:
    layer = tf_keras.layers.LSTM(2, kernel_regularizer="no_such_name")
    result = layer(tf.ones((1, 3, 2)))
except (ValueError, TypeError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted:", result.shape)
sys.exit(1)
