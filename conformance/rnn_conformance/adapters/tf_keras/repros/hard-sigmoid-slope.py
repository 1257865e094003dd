"""Keras 2: hard_sigmoid has slope 0.2, not 1/6 as in Keras 3. Exit status 1 while it is so."""

import sys

import tf_keras

got = float(tf_keras.activations.hard_sigmoid([1.0])[0])
print("tf_keras", tf_keras.__version__, "hard_sigmoid(1) expected", 1 / 6 + 1 / 2, "got", got)
sys.exit(int(abs(got - (1 / 6 + 1 / 2)) > 1e-6))
