"""JAX: the recurrent layers of Flax NNX, ``nnx.RNN`` over ``OptimizedLSTMCell`` and ``GRUCell``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rnn_reference import layouts

from rnn_conformance.adapters.flax.layers import ACTIVATIONS, INITIALIZER_ARGUMENTS, device, made
from rnn_conformance.adapters.flax.networks import Networks, set_cell
from rnn_conformance.adapters.flax.programs import Programs, apply, keep_compiled, pulled, step
from rnn_conformance.contract.adapter import (
    Adapter,
    Description,
    LayerSpec,
    Script,
    framework,
    require,
)
from rnn_conformance.contract.capabilities import ANY, FLIPS, MERGE_MODES, Capabilities
from rnn_conformance.contract.lengths_model import LengthsModel, Lesson, Outputs, Pulled


class FlaxNnxAdapter(Adapter):
    """``flax.nnx`` under ``jax.jit``."""

    level, layout = "lengths", "flax"
    settings: Mapping[str, Sequence[str]] = {
        "matmul_precision": ("highest", "high", "default")
    }  # high and default may be TF32 on CUDA
    capabilities = Capabilities(
        arguments={
            "activation": sorted(ACTIVATIONS),
            "recurrent_activation": sorted(ACTIVATIONS),
            **dict.fromkeys(INITIALIZER_ARGUMENTS, ANY),  # which of them, `_initializers` says
            "unit_forget_bias": ANY,
            "use_bias": ANY,
            "reset_after": [True],
            "unroll": ANY,
            "time_major": ANY,
            "go_backwards": ANY,
        },
        calls=(
            *("lengths", "initial_state", "malformed", "gradients", "fit", "predict", "initial_weights"),
            "static_shapes",
        ),
        num_layers=99,
        bidirectional=True,
        merge_modes=MERGE_MODES,
        reasons={
            "activation": ("jax.nn has no {value}", "ACT-1"),
            "recurrent_activation": ("jax.nn has no {value}", "ACT-1"),
            "reset_after": (
                "flax.nnx.GRUCell applies the reset gate after the recurrent product only",
                "GRU-EQ-4",
            ),
            "training": ("calls have no training argument", "DROP-1"),
            "positional": ("flax.nnx layers take their sizes by position", "ERR-3"),
            "": ("flax.nnx layers have no {name} argument", ""),
        },
    )

    def __init__(self) -> None:
        keep_compiled()
        self._programs = Programs()
        self._networks = Networks(made)

    def configure(self, settings: Mapping[str, str]) -> None:
        """``jax_default_matmul_precision``."""
        jax.config.update("jax_default_matmul_precision", settings["matmul_precision"])

    def describe(self) -> Description:
        """Versions of flax and jax, and JAX's devices."""
        return Description(
            framework="flax",
            version=flax.__version__,
            devices=["cpu", *(f"cuda:{d.id}" for d in jax.devices() if d.platform == "gpu")],
            dtypes=dict.fromkeys(("float64", "float32", "float16", "bfloat16")),
            packages={"jax": jax.__version__, "numpy": np.__version__},
        )

    def build(self, spec: LayerSpec) -> LengthsModel:
        """A cell under ``nnx.RNN``; models that differ only in what they return share a compilation."""
        open_length = spec.declared.get("Input", [None, 0])[1] is None
        require(
            not (spec.arguments["unroll"] and open_length),
            "nnx.RNN unrolls a given number of steps",
            "UNROLL-2",
        )
        jax.config.update("jax_enable_x64", spec.dtype == "float64")
        if spec.is_network:
            return self._networks.of(spec, device(spec.device))
        rnn = made(spec) if spec.seed is not None else self._programs.layer(spec)
        return _FlaxModel(spec, rnn, self._programs)

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        """Through ``flax.nnx``."""
        arrays = dict(layouts.to_flax(spec.layer, weights, reset_after=spec.reset_after))
        values = {
            name: _spelled(ACTIVATIONS[spec.arguments[name]])
            for name in ("activation", "recurrent_activation")
        }
        return Script(values, arrays)


def _spelled(function: Any) -> str:
    """A function of `ACTIVATIONS` as a script writes it."""
    if isinstance(function, partial):
        keywords = ", ".join(f"{k}={v!r}" for k, v in function.keywords.items())
        return f"partial({_spelled(function.func)}, {keywords})"
    module = "jax.nn" if hasattr(jax.nn, function.__name__) else "jnp"
    return f"{module}.{function.__name__}"


class _FlaxModel(LengthsModel):
    def __init__(self, spec: LayerSpec, rnn: nnx.RNN, programs: Programs) -> None:
        self._spec, self._rnn, self._programs = spec, rnn, programs
        self._state: Any = None
        self._step: Any = None
        self.path = "XLA"
        self._lstm = spec.layer == "LSTM"
        # MAP-FLAX-3: the GRU cell is given a layer of its own for its bias.
        self._usual = "native" if self._lstm or not spec.arguments["use_bias"] else "composed"

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        set_cell(self._rnn.cell, self._spec, weights, device(self._spec.device))
        _, self._state = nnx.split(self._rnn)

    def weights(self) -> Mapping[str, np.ndarray]:
        return _named(nnx.split(self._rnn)[1] if self._state is None else self._state)

    def _carry(self, states: Sequence[np.ndarray] | None) -> Any:
        """Flax carries (c, h)."""
        if states is None:
            return None
        require(
            self._lstm or len(states) == 1,
            "flax.nnx.GRUCell takes its carry as one array, not as a list",
            "STATE-2",
        )
        arrays = [jnp.asarray(state) for state in states]
        return tuple(reversed(arrays)) if self._lstm else arrays[0]

    def _listed(self, carry: Any) -> list[np.ndarray]:
        return [np.asarray(s) for s in (reversed(carry) if self._lstm else [carry])]

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[Outputs, Sequence[np.ndarray]]:
        self.mode = self._usual
        carry, rows = self._carry(states), None if lengths is None else jnp.asarray(lengths)
        with jax.default_device(device(self._spec.device)):
            given, run = jnp.asarray(inputs), self._programs.jitted(self._spec, apply)
            with framework():
                final, outputs = run(self._state, given, carry, rows)
        return np.asarray(outputs), self._listed(final)

    def shapes(self) -> Mapping[str, tuple[Sequence[int | None], Sequence[int | None]]]:
        """``jax.eval_shape``, with symbolic dimensions for the open ones."""
        spec = self._spec
        shape = spec.declared["Input"]
        symbols = jax.export.symbolic_shape("b, t")
        dims = [s if d is None else d for s, d in zip(symbols, shape, strict=False)]
        graph, state = nnx.split(self._rnn)
        x = jax.ShapeDtypeStruct((*dims, shape[2]), jnp.dtype(spec.dtype))
        with framework():
            carry, output = jax.eval_shape(lambda s, x: nnx.merge(graph, s)(x), state, x)
        leaf = carry[0] if isinstance(carry, tuple) else carry

        def plain(dimensions: Sequence[Any]) -> list[int | None]:
            return [d if isinstance(d, int) else None for d in dimensions]

        return {"jax.eval_shape": (plain(output.shape), plain(leaf.shape))}

    # Gradients and updates share programs: flips are done here, around the plain layer.

    @property
    def _plain(self) -> LayerSpec:
        return replace(self._spec, arguments={**self._spec.arguments, **dict.fromkeys(FLIPS, False)})

    def _turned(self, array: np.ndarray) -> np.ndarray:
        """Inputs, or their gradient, from the layer's own order to [B, T, ...] in the order of processing."""
        a = self._spec.arguments
        array = array.swapaxes(0, 1) if a["time_major"] else array
        return array[:, ::-1] if a["go_backwards"] else array

    def _turned_back(self, array: np.ndarray) -> np.ndarray:
        a = self._spec.arguments
        array = array[:, ::-1] if a["go_backwards"] else array
        return array.swapaxes(0, 1) if a["time_major"] else array

    def vjp(
        self,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        states: Sequence[np.ndarray] | None,
        outputs: np.ndarray,
        finals: Sequence[np.ndarray],
    ) -> Pulled:
        """By ``jax.vjp``, under ``jax.jit``."""
        a = self._spec.arguments
        self.mode = "composed" if any(a[name] for name in FLIPS) else self._usual
        run = self._programs.jitted(self._plain, pulled)
        x = self._turned(inputs)
        seed = outputs.swapaxes(0, 1) if a["time_major"] else outputs
        zeros = [np.zeros((len(x), self._spec.size.U), inputs.dtype)] * self._spec.state_count
        rows = None if lengths is None else jnp.asarray(lengths)
        seeds = self._carry(finals), jnp.asarray(seed)
        with jax.default_device(device(self._spec.device)), framework():
            (final, found), (weights, slope, carried) = run(
                self._state, jnp.asarray(x), self._carry(states or zeros), rows, seeds
            )
        shown = np.asarray(found)
        return Pulled(
            shown.swapaxes(0, 1) if a["time_major"] else shown,
            self._listed(final),
            self._turned_back(np.asarray(slope)),
            self._listed(carried) if states else [],
            # By the chain rule through MAP-FLAX-2 each of Keras's two rows gets the gradient of the bias of its own product.
            _named(weights),
        )

    def learn(self, lesson: Lesson, learning_rate: float) -> None:
        """``optax.sgd`` on the mean squared error of the valid steps, under ``jax.jit``."""
        require(
            self._spec.arguments["use_bias"] and self._lstm,
            "flax.nnx's cells hold other biases than Keras's, so trained biases cannot be compared",
            "MAP-FLAX-4" if self._lstm else "MAP-FLAX-2",
        )
        if self._step is None:
            graph, _, rest = nnx.split(made(self._plain), nnx.Param, ...)
            self._step = jax.jit(partial(step, graph, rest, lesson.last, learning_rate))
            self._state = nnx.filter_state(self._state, nnx.Param)
        placement = None if lesson.places is None else (lesson.places, lesson.shown)
        given = self._turned(lesson.inputs), lesson.targets, lesson.lengths, placement, lesson.valid
        with framework():
            self._state = self._step(self._state, *given)


def _named(state: Any) -> dict[str, np.ndarray]:
    """Leaves of a state (weights, or their gradients) by Flax's names."""
    leaves = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(state)}
    return {
        name.removeprefix("cell."): np.asarray(leaf[...]) for name, leaf in leaves.items() if "dense" in name
    }
