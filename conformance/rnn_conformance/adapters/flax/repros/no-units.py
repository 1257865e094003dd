"""A cell of 0 units can be made. Exit status 1 while it can."""

import sys

import jax.numpy as jnp
from flax import nnx

try:
    layer = nnx.RNN(nnx.OptimizedLSTMCell(2, 0, rngs=nnx.Rngs(0)))
except (ValueError, ZeroDivisionError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted: the output has the shape", layer(jnp.ones((3, 5, 2))).shape)
sys.exit(1)
