"""A kernel of one row is broadcast over a flax.nnx parameter of more. Exit status 1 while it is."""

import sys

import jax.numpy as jnp
from flax import nnx

cell = nnx.GRUCell(2, 4, rngs=nnx.Rngs(0))
try:
    cell.dense_i.kernel[...] = jnp.ones((1, 12))
except (TypeError, ValueError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted a kernel of shape (1, 12) for", cell.dense_i.kernel[...].shape)
sys.exit(1)
