"""flax.nnx.RNN takes lengths beyond the input, and negative ones. Exit status 1 while it does."""

import sys

import jax.numpy as jnp
from flax import nnx

rnn = nnx.RNN(nnx.OptimizedLSTMCell(2, 4, rngs=nnx.Rngs(0)))

accepted = []
for lengths in ([1, 6, 5], [1, -2, 5]):
    try:
        rnn(jnp.ones((3, 5, 2)), seq_lengths=jnp.array(lengths))
        accepted.append(lengths)
    except (ValueError, IndexError) as error:
        print(lengths, "refused:", error)
print("accepted for 5 steps:", accepted)
sys.exit(1 if accepted else 0)
