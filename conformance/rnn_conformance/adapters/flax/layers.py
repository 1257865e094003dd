"""Flax's layers as cases ask for them: functions, initializers, cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rnn_conformance.contract.adapter import LayerSpec, require

# The specification's activations as jax.nn and jax.numpy have them; the others are not in JAX.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "celu": jax.nn.celu,
    "elu": jax.nn.elu,
    "exponential": jnp.exp,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_silu": jax.nn.hard_silu,
    "hard_swish": jax.nn.hard_swish,
    "hard_tanh": jax.nn.hard_tanh,
    "leaky_relu": partial(jax.nn.leaky_relu, negative_slope=0.2),
    "linear": jax.nn.identity,
    "log_sigmoid": jax.nn.log_sigmoid,
    "log_softmax": jax.nn.log_softmax,
    "mish": jax.nn.mish,
    "none": jax.nn.identity,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "selu": jax.nn.selu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softmax": jax.nn.softmax,
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
    "sparse_plus": jax.nn.sparse_plus,
    "sparse_sigmoid": jax.nn.sparse_sigmoid,
    "squareplus": jax.nn.squareplus,
    "swish": jax.nn.swish,
    "tanh": jnp.tanh,
}


_INIT = jax.nn.initializers
# By name or class; others are not in jax.nn.initializers, or mean something else there.
INITIALIZERS: dict[str, Callable[..., Any]] = {
    "zeros": lambda: _INIT.zeros,
    "ones": lambda: _INIT.ones,
    "Constant": _INIT.constant,
    "glorot_uniform": _INIT.glorot_uniform,
    "glorot_normal": _INIT.glorot_normal,
    "he_uniform": _INIT.he_uniform,
    "he_normal": _INIT.he_normal,
    "HeNormal": _INIT.he_normal,
    "lecun_uniform": _INIT.lecun_uniform,
    "lecun_normal": _INIT.lecun_normal,
    "orthogonal": _INIT.orthogonal,
    "Orthogonal": lambda gain: _INIT.orthogonal(gain),
    "variance_scaling": lambda: _INIT.variance_scaling(1.0, "fan_in", "truncated_normal"),
    "VarianceScaling": lambda scale, mode, distribution: _INIT.variance_scaling(
        scale, mode, distribution.replace("untruncated_", "")
    ),
}
# Where a case leaves these, Flax shows its own (INIT-1).
DEFAULTS = {
    "kernel_initializer": "glorot_uniform",
    "recurrent_initializer": "orthogonal",
    "bias_initializer": "zeros",
}
# Keras's argument to the cells'.
INITIALIZER_ARGUMENTS = {
    "kernel_initializer": "kernel_init",
    "recurrent_initializer": "recurrent_kernel_init",
    "bias_initializer": "bias_init",
}


def device(name: str) -> Any:
    """JAX's device of a name: ``cpu``, ``cuda:0``, ..."""
    kind, _, number = name.partition(":")
    return jax.devices("cpu" if kind == "cpu" else "gpu")[int(number or 0)]


def _initializers(spec: LayerSpec) -> dict[str, Any]:
    """The cells' initializer arguments; none where the case leaves Keras's defaults: then Flax shows its own."""
    a = spec.arguments
    require(
        spec.layer == "GRU" or not a["use_bias"] or not a.get("unit_forget_bias") or _all_default(a),
        "flax.nnx's cells have no unit_forget_bias argument",
        "INIT-2",
    )
    if _all_default(a):
        return {}
    found = {}
    for name, own in INITIALIZER_ARGUMENTS.items():
        if name not in a:
            continue
        value = a[name]
        key = value if isinstance(value, str) else value["class"]
        numbers = {} if isinstance(value, str) else {k: v for k, v in value.items() if k != "class"}
        require(
            name != "bias_initializer" or spec.layer == "LSTM" or key == "zeros" or not a["use_bias"],
            "flax.nnx.GRUCell has one bias for each pair of Keras's",
            "MAP-FLAX-2",
        )
        one_dimension = name == "bias_initializer" and key not in ("zeros", "ones", "Constant", "orthogonal")
        require(not one_dimension, "JAX's variance scaling needs a matrix", "INIT-3")
        require(key in INITIALIZERS, f"jax.nn.initializers has no {key} as Keras defines it", "INIT-1")
        found[own] = INITIALIZERS[key](**numbers)
    return found


def _all_default(arguments: Mapping[str, Any]) -> bool:
    own = all(arguments.get(name, value) == value for name, value in DEFAULTS.items())
    return own and arguments.get("unit_forget_bias", True)


def made(spec: LayerSpec) -> nnx.RNN:
    """``nnx.RNN`` over the cell that a case asks for; its weights are zeros, unless the case is about initial ones."""
    a, dtype = spec.arguments, jnp.dtype(spec.dtype)
    zeros = jax.nn.initializers.zeros
    # Other units than the case's are there to be refused, by the cell as its users call it.
    initial = (
        {"kernel_init": zeros, "recurrent_kernel_init": zeros}
        if repr(spec.units) == repr(spec.size.U)
        else {}
    )
    if spec.seed is not None or any(name in a for name in INITIALIZER_ARGUMENTS):
        initial = ({} if spec.seed is not None else initial) | _initializers(spec)
    rngs = nnx.Rngs(spec.seed or 0)
    cell_type = nnx.OptimizedLSTMCell if spec.layer == "LSTM" else nnx.GRUCell
    cell = cell_type(
        spec.size.F,
        spec.units,
        gate_fn=ACTIVATIONS[a["recurrent_activation"]],
        activation_fn=ACTIVATIONS[a["activation"]],
        dtype=dtype,
        param_dtype=dtype,
        rngs=rngs,
        **initial,
    )
    if spec.layer == "GRU" and a["use_bias"] and spec.seed is None:  # MAP-FLAX-3
        width = 3 * spec.size.U
        cell.dense_h = nnx.Linear(
            spec.size.U, width, kernel_init=zeros, dtype=dtype, param_dtype=dtype, rngs=rngs
        )
    return nnx.RNN(
        cell,
        return_carry=True,
        time_major=a["time_major"] and not spec.has_mask,
        reverse=a["go_backwards"] and not spec.has_mask,
        unroll=spec.size.T if a["unroll"] else 1,
    )
