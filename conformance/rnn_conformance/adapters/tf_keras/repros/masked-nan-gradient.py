"""NaN in a masked step's input makes the gradients of the weights NaN; outputs stay finite. Exit status 1 while it does."""

import sys

import numpy as np
import tensorflow as tf
import tf_keras

x = np.ones((1, 3, 2), "float32")
x[0, 1, 0] = np.nan
mask = tf.constant([[True, False, True]])
layer = tf_keras.layers.LSTM(2)
layer.build((1, 3, 2))
with tf.GradientTape() as tape:
    output = layer(tf.constant(x), mask=mask)
    loss = tf.reduce_sum(output)
gradients = tape.gradient(loss, layer.trainable_weights)
finite = [bool(np.isfinite(np.asarray(g)).all()) for g in gradients]
print("output:", np.asarray(output), "gradients finite:", finite)
sys.exit(0 if all(finite) else 1)
