"""The built-in adapters, and the module without which each cannot run."""

from __future__ import annotations

import importlib.util

import pytest

MODULES = {
    "keras": "keras",
    "tf-keras": "tf_keras",
    "torch": "torch",
    "jax": "flax",
    "onnxruntime": "onnxruntime",
}


def needs(adapter: str) -> None:
    """Skip a test where the adapter's framework is not installed; the reference always is."""
    module = MODULES.get(adapter, "numpy")
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
