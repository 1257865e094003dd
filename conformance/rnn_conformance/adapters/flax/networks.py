"""Stacks and ``nnx.Bidirectional`` of Flax NNX (NET-1 to NET-5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rnn_reference.network import weights_at

from rnn_conformance.contract.adapter import LayerSpec, framework
from rnn_conformance.contract.lengths_model import LengthsModel, Outputs
from rnn_conformance.running.composition import network_of

MERGE: Mapping[str | None, Callable[[Any, Any], Any]] = {
    "sum": jnp.add,
    "mul": jnp.multiply,
    "ave": lambda forward, backward: (forward + backward) / 2,
}


class _Stack(nnx.Module):  # type: ignore[misc]  # Any where flax is not installed
    """Layers called one after another."""

    def __init__(self, layers: Sequence[nnx.Module]) -> None:
        self.layers = nnx.List(layers)

    def __call__(self, inputs: Any, carries: Sequence[Any], lengths: Any) -> Any:
        finals = []
        for layer, carry in zip(self.layers, carries, strict=True):
            final, inputs = layer(inputs, initial_carry=carry, seq_lengths=lengths, return_carry=True)
            finals.append(final)
        return finals, inputs


def _apply(graph: Any, state: Any, inputs: Any, carries: Any, lengths: Any) -> Any:
    return nnx.merge(graph, state)(inputs, carries, lengths)


def set_cell(cell: nnx.Module, spec: LayerSpec, weights: Mapping[str, np.ndarray], device: Any) -> None:
    """Put a cell's parameters into it (MAP-FLAX-1 to MAP-FLAX-4)."""
    own = dict(weights)
    if spec.layer == "GRU" and spec.arguments["use_bias"]:
        # Cells are shared: a bias of an earlier model must not stay behind.
        own.setdefault("dense_h.bias", np.zeros_like(own["dense_i.bias"]))
    with jax.default_device(device), framework():
        for name, array in own.items():
            module, _, parameter = name.partition(".")
            getattr(getattr(cell, module), parameter)[...] = jnp.asarray(array)


def keeps_apart(spec: LayerSpec) -> bool:
    """Whether the directions of the last layer must stay apart: where one direction's step or padding is wanted."""
    plain = spec.arguments["return_sequences"] and not spec.has_mask and spec.merge_mode is not None
    return spec.bidirectional and not plain


@dataclass(frozen=True)
class _Program:
    """A compiled stack, and the cells whose weights are set."""

    stack: _Stack
    cells: Sequence[nnx.Module]
    run: Callable[..., Any]


class Networks:
    """Compiled stacks, shared by models that differ in what happens around them alone.

    Parameters
    ----------
    make : function
        The layer of one direction that a spec asks for.
    """

    KEPT = 64

    def __init__(self, make: Callable[[LayerSpec], nnx.RNN]) -> None:
        self._make = make
        self._programs: dict[Any, _Program] = {}

    def of(self, spec: LayerSpec, device: Any) -> LengthsModel:
        """A model of a network."""
        a = spec.arguments
        names = ("activation", "recurrent_activation", "use_bias", "unroll", "time_major")
        apart = keeps_apart(spec)
        key = (
            *(spec.layer, spec.num_layers, spec.bidirectional, apart),
            None if apart and spec.num_layers == 1 else spec.merge_mode,
            *(a[name] for name in names),
            *(spec.size, spec.dtype, spec.device, spec.has_mask),
        )
        if key not in self._programs:
            if len(self._programs) >= self.KEPT:
                self._programs.clear()
            with jax.default_device(device), framework():
                self._programs[key] = self._compiled(spec)
        return _FlaxNetwork(spec, self._programs[key], device)

    def _compiled(self, spec: LayerSpec) -> _Program:
        time_major = bool(spec.arguments["time_major"])
        layers: list[nnx.Module] = []
        cells: list[nnx.Module] = []
        directions = len(network_of(spec).layers[0])
        widths = list(network_of(spec).features(spec.size.F, spec.size.U))[::directions]
        for number, width in enumerate(widths):
            single = replace(spec, size=replace(spec.size, F=width), num_layers=1, bidirectional=False)
            own = [self._make(single) for _ in range(directions)]
            cells += [rnn.cell for rnn in own]
            if directions == 1:
                layers += own
                continue
            last = number == spec.num_layers - 1
            mode = None if last and keeps_apart(spec) else spec.merge_mode
            merge = {"merge_fn": MERGE[mode]} if mode in MERGE else {}
            layers.append(nnx.Bidirectional(*own, time_major=time_major, **merge))
        stack = _Stack(layers)
        graph, _ = nnx.split(stack)
        return _Program(stack, cells, jax.jit(partial(_apply, graph)))


class _FlaxNetwork(LengthsModel):
    """Layers of ``nnx.RNN`` or ``nnx.Bidirectional``, compiled as one."""

    def __init__(self, spec: LayerSpec, program: _Program, device: Any) -> None:
        self._spec, self._program, self._device, self.path = spec, program, device, "XLA"
        self._apart = keeps_apart(spec)
        self._state: Any = None

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        network = network_of(self._spec)
        for place, cell in zip(network.places, self._program.cells, strict=True):
            set_cell(cell, self._spec, weights_at(weights, place), self._device)
        _, self._state = nnx.split(self._program.stack)

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[Outputs, Sequence[np.ndarray]]:
        spec = self._spec
        replaced_bias = spec.layer == "GRU" and spec.arguments["use_bias"]
        self.mode = "composed" if replaced_bias or spec.num_layers > 1 else "native"
        with jax.default_device(self._device):
            rows = None if lengths is None else jnp.asarray(lengths)
            given, carries = jnp.asarray(inputs), self._carries(states)
            with framework():
                finals, outputs = self._program.run(self._state, given, carries, rows)
        result = np.asarray(outputs)
        found = [np.asarray(s) for final in finals for s in self._listed(final)]
        return np.split(result, 2, axis=-1) if spec.bidirectional and self._apart else result, found

    def _carries(self, states: Sequence[np.ndarray] | None) -> list[Any]:
        """One for each layer, a pair for two directions; Flax carries (c, h)."""
        spec = self._spec
        if states is None:
            return [None] * spec.num_layers
        kinds = spec.state_count
        single = [
            tuple(jnp.asarray(s) for s in reversed(states[k : k + kinds]))
            if kinds == 2
            else jnp.asarray(states[k])
            for k in range(0, len(states), kinds)
        ]
        return list(zip(single[::2], single[1::2], strict=True)) if spec.bidirectional else single

    def _listed(self, final: Any) -> list[Any]:
        """The states of a layer's carry in the order of NET-4."""
        carries = final if self._spec.bidirectional else (final,)
        return [s for carry in carries for s in (reversed(carry) if isinstance(carry, tuple) else [carry])]
