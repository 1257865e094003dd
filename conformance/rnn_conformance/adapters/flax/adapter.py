"""JAX: the recurrent layers of Flax NNX, ``nnx.RNN`` over ``OptimizedLSTMCell`` and ``GRUCell``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from rnn_reference import layouts

from rnn_conformance.adapters.flax.networks import Networks, set_cell
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
        self._programs = _Programs()
        self._networks = Networks(_layer)

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
            return self._networks.of(spec, _device(spec.device))
        rnn = _layer(spec) if spec.seed is not None else self._programs.layer(spec)
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


def _device(name: str) -> Any:
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


def _layer(spec: LayerSpec) -> nnx.RNN:
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


class _Programs:
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
            with jax.default_device(_device(spec.device)), framework():
                self._layers[key] = _layer(spec)
        return self._layers[key]

    def jitted(self, spec: LayerSpec, function: Callable[..., Any]) -> Any:
        """A function of the graph of ``spec``'s layer, and of what it is called with, under ``jax.jit``."""
        key = function, _key(spec)
        if key not in self._jitted:
            graph, _ = nnx.split(self.layer(spec))
            self._jitted[key] = jax.jit(partial(function, graph))
        return self._jitted[key]


def _key(spec: LayerSpec) -> tuple[Any, ...]:
    """Specs with equal keys have equal layers: here are all arguments that `_layer` reads."""
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


def _apply(graph: Any, state: Any, inputs: Any, carry: Any, lengths: Any) -> Any:
    return nnx.merge(graph, state)(inputs, initial_carry=carry, seq_lengths=lengths)


def _pulled(graph: Any, state: Any, inputs: Any, carry: Any, lengths: Any, seeds: Any) -> Any:
    """Values, and gradients with respect to weights, input and carry."""
    values, pull = jax.vjp(lambda s, x, c: _apply(graph, s, x, c, lengths), state, inputs, carry)
    return values, pull(seeds)


def _step(
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


class _FlaxModel(LengthsModel):
    def __init__(self, spec: LayerSpec, rnn: nnx.RNN, programs: _Programs) -> None:
        self._spec, self._rnn, self._programs = spec, rnn, programs
        self._state: Any = None
        self._step: Any = None
        self.path = "XLA"
        self._lstm = spec.layer == "LSTM"
        # MAP-FLAX-3: the GRU cell is given a layer of its own for its bias.
        self._usual = "native" if self._lstm or not spec.arguments["use_bias"] else "composed"

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        set_cell(self._rnn.cell, self._spec, weights, _device(self._spec.device))
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
        with jax.default_device(_device(self._spec.device)):
            given, run = jnp.asarray(inputs), self._programs.jitted(self._spec, _apply)
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
        run = self._programs.jitted(self._plain, _pulled)
        x = self._turned(inputs)
        seed = outputs.swapaxes(0, 1) if a["time_major"] else outputs
        zeros = [np.zeros((len(x), self._spec.size.U), inputs.dtype)] * self._spec.state_count
        rows = None if lengths is None else jnp.asarray(lengths)
        seeds = self._carry(finals), jnp.asarray(seed)
        with jax.default_device(_device(self._spec.device)), framework():
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
            graph, _, rest = nnx.split(_layer(self._plain), nnx.Param, ...)
            self._step = jax.jit(partial(_step, graph, rest, lesson.last, learning_rate))
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
