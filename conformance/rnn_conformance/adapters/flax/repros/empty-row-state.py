"""Flax NNX: RNN with a sequence length of 0 returns the carry after the padding. Exit status 1 while it does."""

import sys

import flax
import jax.numpy as jnp
from flax import nnx

rnn = nnx.RNN(nnx.GRUCell(1, 1, rngs=nnx.Rngs(0)), return_carry=True)
initial = jnp.full((1, 1), 0.5)
carry, _ = rnn(jnp.ones((1, 3, 1)), initial_carry=initial, seq_lengths=jnp.array([0]))
print("flax", flax.__version__, "initial carry", initial, "final carry of a sequence of length 0", carry)
sys.exit(int(float(abs(carry - initial).max()) > 1e-6))
