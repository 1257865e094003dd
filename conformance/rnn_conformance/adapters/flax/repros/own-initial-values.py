"""flax.nnx.OptimizedLSTMCell starts with lecun_normal kernels and a forget bias of 0. Exit status 1 while it does."""

import sys

import jax.numpy as jnp
from flax import nnx

features, units = 96, 64
cell = nnx.OptimizedLSTMCell(features, units, rngs=nnx.Rngs(1))
glorot = (2 / (features + 4 * units)) ** 0.5  # INIT-1: the standard deviation of Keras's default
found = float(jnp.std(cell.dense_i.kernel[...]))
forget = cell.dense_h.bias[...][units : 2 * units]
print(f"standard deviation {found:.4f} (lecun_normal: {features**-0.5:.4f}), glorot_uniform's {glorot:.4f}")
print("forget biases, expected ones:", forget[:4].tolist())
sys.exit(0 if abs(found - glorot) < 0.002 and bool((forget == 1).all()) else 1)
