"""tf_keras.layers.LSTM and GRU take an empty list of initial states for none. Exit status 1 while one does."""

import sys

import tensorflow as tf
import tf_keras

accepted = 0
for kind in ("LSTM", "GRU"):
    layer = getattr(tf_keras.layers, kind)(2)
    layer(tf.ones((1, 3, 2)))
    try:
        result = layer(tf.ones((1, 3, 2)), initial_state=[])
    except (ValueError, IndexError) as error:
        print(kind, "refused:", error)
    else:
        print(kind, "accepted:", result.shape)
        accepted += 1
sys.exit(1 if accepted else 0)
