"""NaN on the padding makes nnx.RNN's gradients of the weights NaN; valid outputs stay finite. Exit status 1 while it does."""

import sys

import jax
import jax.numpy as jnp
from flax import nnx

rnn = nnx.RNN(nnx.OptimizedLSTMCell(2, 2, rngs=nnx.Rngs(0)))
graph, params, rest = nnx.split(rnn, nnx.Param, ...)
x = jnp.ones((1, 3, 2)).at[0, 2, 0].set(jnp.nan)
zero = jnp.zeros((1, 2))


def loss(params):
    outputs = nnx.merge(graph, params, rest)(x, initial_carry=(zero, zero), seq_lengths=jnp.array([2]))
    return outputs[0, :2].sum()  # the valid steps


value, gradients = jax.value_and_grad(loss)(params)
finite = [bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradients)]
print("loss:", value, "gradients finite:", finite)
sys.exit(0 if all(finite) else 1)
