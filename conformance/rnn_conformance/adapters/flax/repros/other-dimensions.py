"""flax.nnx.RNN takes inputs of two and of four dimensions. Exit status 1 while it does."""

import sys

import jax.numpy as jnp
from flax import nnx

rnn = nnx.RNN(nnx.OptimizedLSTMCell(2, 4, rngs=nnx.Rngs(0)))

accepted = []
for shape in ((3, 2), (3, 5, 2, 2)):
    try:
        accepted.append(rnn(jnp.ones(shape)).shape)
    except (ValueError, TypeError) as error:
        print(shape, "refused:", error)
print("accepted:", accepted)
sys.exit(1 if accepted else 0)
