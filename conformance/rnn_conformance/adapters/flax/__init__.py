"""Flax NNX on JAX."""
