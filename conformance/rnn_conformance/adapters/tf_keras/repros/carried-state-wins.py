"""A stateful layer of Keras 2 ignores initial_state once its carried state is not zero. Exit status 1 while it does."""

import sys

import numpy as np
import tensorflow as tf
import tf_keras

layer = tf_keras.layers.GRU(2, stateful=True)
x = tf.ones((1, 3, 2))
layer(x)  # leaves a state that is not zero
state = tf.constant([[0.5, -0.5]])
given = layer(x, initial_state=[state]).numpy()

fresh = tf_keras.layers.GRU(2)
fresh.build((1, 3, 2))
fresh.set_weights(layer.get_weights())
expected = fresh(x, initial_state=[state]).numpy()  # CARRY-3: the given state is where the call starts

print("with initial_state:", given, "expected:", expected)
sys.exit(0 if np.allclose(given, expected, atol=1e-6) else 1)
