"""tf_keras.layers.GRU takes an empty list of initial states for none. Exit status 1 while it does."""

import sys

import tensorflow as tf
import tf_keras

layer = tf_keras.layers.GRU(2)
layer(tf.ones((1, 3, 2)))
try:
    result = layer(tf.ones((1, 3, 2)), initial_state=[])
except (ValueError, IndexError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted:", result.shape)
sys.exit(1)
