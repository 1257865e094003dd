"""Layers and their compiled programs, shared by models that differ only in what happens around the layer."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from rnn_conformance.adapters.flax.layers import INITIALIZER_ARGUMENTS, device, made
from rnn_conformance.contract.adapter import LayerSpec, framework
from rnn_conformance.contract.compiled import compiled_folder

# XLA on CPU was seen to die in its compiler after some thousand compilations in one process: let old ones go.
COMPILATIONS_KEPT = 512


def keep_compiled() -> None:
    """Let JAX keep every program, and find those of earlier runs: XLA takes half a second for each, most of all that a run takes.

    A folder that the user names by JAX's own variable is used as JAX does.
    """
    folder = compiled_folder("xla")
    if folder is None or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


class Programs:
    """Layers and what ``jax.jit`` makes of them, shared by models that differ only in what happens around the layer."""

    def __init__(self) -> None:
        self._layers: dict[Any, nnx.RNN] = {}
        self._jitted: dict[Any, Any] = {}

    def layer(self, spec: LayerSpec) -> nnx.RNN:
        """The layer of a model, whose weights the model sets."""
        key = _key(spec)
        if len(self._layers) + len(self._jitted) >= COMPILATIONS_KEPT:
            self._layers.clear()
            self._jitted.clear()
            jax.clear_caches()
        if key not in self._layers:
            with jax.default_device(device(spec.device)), framework():
                self._layers[key] = made(spec)
        return self._layers[key]

    def jitted(self, spec: LayerSpec, function: Callable[..., Any]) -> Any:
        """A function of the graph of ``spec``'s layer, and of what it is called with, under ``jax.jit``."""
        key = function, _key(spec)
        if key not in self._jitted:
            graph, _ = nnx.split(self.layer(spec))
            self._jitted[key] = jax.jit(partial(function, graph))
        return self._jitted[key]


def _key(spec: LayerSpec) -> tuple[Any, ...]:
    """Specs with equal keys have equal layers: here are all arguments that `made` reads."""
    a = spec.arguments
    initial = [a.get(name) for name in INITIALIZER_ARGUMENTS]
    biased = a["use_bias"] or (
        spec.layer == "LSTM" and not any(initial)
    )  # that cell always has one (MAP-FLAX-4)
    return (
        *(spec.layer, a["activation"], a["recurrent_activation"], biased, a["unroll"]),
        *(spec.size, repr(spec.units), spec.dtype, spec.device),  # neither 4.0 nor "4" is 4
        not spec.has_mask and a["go_backwards"],
        not spec.has_mask and a["time_major"],
        str(initial),
    )


def apply(graph: Any, state: Any, inputs: Any, carry: Any, lengths: Any) -> Any:
    """A call: the final carry and the outputs."""
    return nnx.merge(graph, state)(inputs, initial_carry=carry, seq_lengths=lengths)


def pulled(graph: Any, state: Any, inputs: Any, carry: Any, lengths: Any, seeds: Any) -> Any:
    """Values, and gradients with respect to weights, input and carry."""
    values, pull = jax.vjp(lambda s, x, c: apply(graph, s, x, c, lengths), state, inputs, carry)
    return values, pull(seeds)


def step(
    graph: Any,
    rest: Any,
    last: bool,
    rate: float,
    state: Any,
    inputs: Any,
    targets: Any,
    lengths: Any,
    placement: Any,
    valid: Any,
) -> Any:
    """One update by optax's SGD on the mean squared error of the valid steps."""

    def loss(weights: Any) -> Any:
        # The default carry would draw a random number, which a trace inside a trace may not.
        zero = jnp.zeros((inputs.shape[0], targets.shape[-1]), inputs.dtype)
        _, outputs = nnx.merge(graph, weights, rest)(inputs, initial_carry=(zero, zero), seq_lengths=lengths)
        if placement is not None:
            places, shown = (a[..., None] for a in placement)
            outputs = jnp.where(shown, jnp.take_along_axis(outputs, places, axis=1), 0)
        errors = optax.squared_error(outputs[:, -1] if last else outputs, targets)
        return jnp.mean(errors, where=None if last or valid is None else valid[..., None])

    optimizer = optax.sgd(rate)
    changes, _ = optimizer.update(jax.grad(loss)(state), optimizer.init(state))
    return optax.apply_updates(state, changes)
