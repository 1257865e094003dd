"""Keras 3, and what both generations of Keras share."""
