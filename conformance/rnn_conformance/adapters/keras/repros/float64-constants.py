"""TensorFlow: leaky_relu and gelu in float64 use constants rounded to float32. Exit status 1 while it is so."""

import math
import sys

import tensorflow as tf

x = tf.constant([-1.0], tf.float64)
leaky = float(tf.nn.leaky_relu(x, 0.2)[0]) - -0.2
gelu = float(tf.nn.gelu(x, approximate=False)[0]) - -0.5 * (1 + math.erf(-1 / math.sqrt(2)))
print("tensorflow", tf.__version__, "error of leaky_relu(-1):", leaky, "of gelu(-1):", gelu)
sys.exit(int(max(abs(leaky), abs(gelu)) > 1e-14))
