"""tf_keras.constraints.NonNeg fails on a weight of another dtype than floatx, so always on bfloat16. Exit status 1 while it does."""

import sys

import tensorflow as tf
import tf_keras

try:
    result = tf_keras.constraints.NonNeg()(tf.constant([1.0, -1.0], tf.bfloat16))
except Exception as error:
    print(type(error).__name__, str(error)[:160])
    sys.exit(1)
print(result)
sys.exit(0)
