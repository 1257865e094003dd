"""JAX: the recurrent layers of Flax NNX, ``nnx.RNN`` over ``OptimizedLSTMCell`` and ``GRUCell``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rnn_reference import layouts

from rnn_conformance.adapters.base import Adapter, Description, LayerSpec, Model, require
from rnn_conformance.composition import Carrying, pack, select_outputs

jax.config.update("jax_default_matmul_precision", "highest")

# XLA on CPU was seen to die in its compiler after some thousand compilations in one process: let old ones go.
COMPILATIONS_KEPT = 512

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


class FlaxNnxAdapter(Adapter):
    """``flax.nnx`` under ``jax.jit``."""

    def __init__(self) -> None:
        self._compiled: dict[Any, tuple[nnx.RNN, Any]] = {}

    def describe(self) -> Description:
        """Versions of flax and jax, and JAX's devices."""
        return Description(
            framework="flax",
            version=flax.__version__,
            devices=["cpu", *(f"cuda:{d.id}" for d in jax.devices() if d.platform == "gpu")],
            dtypes=dict.fromkeys(("float64", "float32", "float16", "bfloat16")),
            packages={"jax": jax.__version__, "numpy": np.__version__},
            notes=("jax_default_matmul_precision is highest (TF32 off)",),
        )

    def build(self, spec: LayerSpec) -> Model:
        """A cell under ``nnx.RNN``; models that differ only in what they return share a compilation."""
        a = spec.arguments
        if a.get("stateful"):
            return Carrying(self.build, spec)
        for name in ("activation", "recurrent_activation"):
            require(a[name] in ACTIVATIONS, f"jax.nn has no {a[name]}", "ACT-1")
        require(
            spec.layer == "LSTM" or spec.reset_after,
            "flax.nnx.GRUCell applies the reset gate after the recurrent product only",
            "GRU-EQ-4",
        )
        jax.config.update("jax_enable_x64", spec.dtype == "float64")
        masked = spec.has_mask
        key = (
            *(spec.layer, a["activation"], a["recurrent_activation"], a["use_bias"], a["unroll"]),
            *(spec.size, spec.dtype, spec.device, masked),
            not masked and a["go_backwards"],
            not masked and a["time_major"],
        )
        if len(self._compiled) >= COMPILATIONS_KEPT:
            self._compiled.clear()
            jax.clear_caches()
        if key not in self._compiled:
            with jax.default_device(_device(spec.device)):
                rnn = _layer(spec)
                graph, _ = nnx.split(rnn)
                self._compiled[key] = rnn, jax.jit(partial(_apply, graph))
        return _FlaxModel(spec, *self._compiled[key])


def _device(name: str) -> Any:
    kind, _, number = name.partition(":")
    return jax.devices("cpu" if kind == "cpu" else "gpu")[int(number or 0)]


def _layer(spec: LayerSpec) -> nnx.RNN:
    a, dtype = spec.arguments, jnp.dtype(spec.dtype)
    zeros = jax.nn.initializers.zeros
    rngs = nnx.Rngs(0)
    cell_type = nnx.OptimizedLSTMCell if spec.layer == "LSTM" else nnx.GRUCell
    cell = cell_type(
        spec.size.F,
        spec.size.U,
        gate_fn=ACTIVATIONS[a["recurrent_activation"]],
        activation_fn=ACTIVATIONS[a["activation"]],
        kernel_init=zeros,
        recurrent_kernel_init=zeros,
        dtype=dtype,
        param_dtype=dtype,
        rngs=rngs,
    )
    if spec.layer == "GRU" and a["use_bias"]:  # MAP-FLAX-3
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


def _apply(graph: Any, state: Any, inputs: Any, carry: Any, lengths: Any) -> Any:
    return nnx.merge(graph, state)(inputs, initial_carry=carry, seq_lengths=lengths)


class _FlaxModel(Model):
    def __init__(self, spec: LayerSpec, rnn: nnx.RNN, compiled: Any) -> None:
        self._spec, self._rnn, self._compiled = spec, rnn, compiled
        self._state: Any = None
        self.path = "XLA"

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        converted = layouts.to_flax(self._spec.layer, weights, reset_after=self._spec.reset_after)
        cell = self._rnn.cell
        if self._spec.layer == "GRU" and self._spec.arguments["use_bias"]:
            # The layer is shared: a bias of an earlier model must not stay behind.
            converted.setdefault("dense_h.bias", np.zeros_like(converted["dense_i.bias"]))
        with jax.default_device(_device(self._spec.device)):
            for name, array in converted.items():
                module, _, parameter = name.partition(".")
                getattr(getattr(cell, module), parameter)[...] = jnp.asarray(array)
        _, self._state = nnx.split(self._rnn)

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        a = self._spec.arguments
        lstm = self._spec.layer == "LSTM"
        replaced_bias = not lstm and a["use_bias"]
        self.mode = "composed" if replaced_bias or mask is not None else "native"
        carry = None
        if initial_state is not None:
            arrays = [jnp.asarray(state) for state in initial_state]
            carry = tuple(reversed(arrays)) if lstm else arrays[0]  # Flax carries (c, h)
        lengths = None
        if mask is not None:
            if a["time_major"]:
                inputs, mask = inputs.swapaxes(0, 1), mask.swapaxes(0, 1)
            if a["go_backwards"]:
                inputs, mask = inputs[:, ::-1], mask[:, ::-1]
            packed = pack(inputs, mask)
            inputs, lengths = packed.inputs, jnp.asarray(packed.lengths)
        with jax.default_device(_device(self._spec.device)):
            final, outputs = self._compiled(self._state, jnp.asarray(inputs), carry, lengths)
        result = np.asarray(outputs)
        if mask is not None:
            zero = bool(a["zero_output_for_mask"])
            # nnx.RNN outputs what the cell computes from the padding.
            result = packed.unpack(result, zero_output_for_mask=zero, zero_padded=False)
        elif a["time_major"]:
            result = result.swapaxes(0, 1)
        states = [np.asarray(s) for s in (reversed(final) if lstm else [final])]
        return select_outputs(
            result,
            states,
            return_sequences=a["return_sequences"],
            return_state=a["return_state"],
            time_major=a["time_major"],
        )
