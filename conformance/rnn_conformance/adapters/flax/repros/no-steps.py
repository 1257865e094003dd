"""flax.nnx.RNN takes an input without time steps. Exit status 1 while it does."""

import sys

import jax.numpy as jnp
from flax import nnx

rnn = nnx.RNN(nnx.OptimizedLSTMCell(2, 4, rngs=nnx.Rngs(0)))

try:
    output = rnn(jnp.ones((3, 0, 2)))
except (ValueError, TypeError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted:", output.shape)
sys.exit(1)
