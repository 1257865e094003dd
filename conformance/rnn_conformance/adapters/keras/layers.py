"""What the adapters of the two Keras generations share: both run ``layers.LSTM`` / ``GRU`` as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from rnn_reference.shapes import WEIGHTS

from rnn_conformance.contract.adapter import Gradients, LayerSpec, Model, Script, framework, require

REWIND_SEED = 7
# Layers that are built before Keras is asked to forget them.
LEFTOVERS = 200
# Tracing and compiling an epoch takes several times what running it eagerly does: layers with more penalties and constraints than this, and
# reversed ones with a mask, run their epochs eagerly. What users run, compiled, are all others, with every mask, penalty, constraint and batch size.
COMPILED = 1


def layer_arguments(keras: Any, spec: LayerSpec, names: Mapping[str, str]) -> dict[str, Any]:
    """Constructor arguments with the generation's own activation names and objects; initial values are zeros.

    Every weight is set before a call, unless the case is about initial values. Zeros keep initializers that float16
    lacks out of the way.
    """
    result = {name: made(keras, name, value) for name, value in spec.arguments.items()}
    for key in ("activation", "recurrent_activation"):
        result[key] = None if result[key] == "none" else names.get(result[key], result[key])
    zeros = dict.fromkeys(("kernel_initializer", "recurrent_initializer", "bias_initializer"), "zeros")
    return result if spec.seed is not None else zeros | result


class GlobalState:
    """What Keras keeps beside its layers: the seed, and what is left of layers that are gone.

    ``set_random_seed`` for builds that keep their initial weights; seeds that follow one another are one sequence of draws. With every seed
    TensorFlow throws its kernels away, which takes longer than the build. Where it never does, it keeps those of every variable there ever was,
    140 kB for a layer: ``clear_session`` is what Keras has for programs that build many.
    """

    def __init__(self, set_seed: Callable[[int], None], clear: Callable[[], None]) -> None:
        self._set, self._clear = set_seed, clear
        self._next, self._builds = -1, 0

    def prepare(self, seed: int | None) -> None:
        """Before a build, with this seed where it has one."""
        self._builds += 1
        if self._builds % LEFTOVERS == 0:
            self._clear()
            self._next = -1
        if seed is None:
            return
        if seed != self._next:
            self._set(seed)
        self._next = seed + 1


def made(keras: Any, name: str, value: Any) -> Any:
    """The object that an argument's class and numbers stand for; other values as they are."""
    if not isinstance(value, Mapping):
        return value
    module = getattr(keras, name.rpartition("_")[2] + "s")  # regularizers, constraints, initializers
    numbers = {k: v for k, v in value.items() if k != "class"}
    return getattr(module, value["class"])(**numbers)


def script(
    spec: LayerSpec, module: str, names: Mapping[str, str], weights: Mapping[str, np.ndarray]
) -> Script:
    """A script that builds the layer with those arguments that are not the defaults."""
    plain = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "reset_after": True}
    written = []
    for name, value in spec.arguments.items():
        if name == "units" or (value == plain[name] if name in plain else not value):
            continue
        if isinstance(value, Mapping):
            numbers = ", ".join(f"{k}={v!r}" for k, v in value.items() if k != "class")
            kind = f"{module}.{name.rpartition('_')[2]}s"
            written.append(f"{name}={kind}.{value['class']}({numbers})")
        else:
            own = names.get(value, value) if name.endswith("activation") else value
            written.append(f"{name}={None if own == 'none' else own!r}")
    values = {"module": module, "arguments": written}
    return Script(values, dict(weights), gradients=True)


class KerasModel(Model):
    """A Keras layer, called eagerly; ``on_device`` makes the scope in which everything runs."""

    def __init__(
        self,
        keras: Any,
        layer: Any,
        spec: LayerSpec,
        input_shape: tuple[int, ...],
        to_tensor: Callable[[np.ndarray], Any],
        to_numpy: Callable[[Any], np.ndarray],
        on_device: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._draws: np.ndarray | None = None
        self._predicting: Any = None
        self._eager_epochs = _changes(spec) > COMPILED or (
            spec.has_mask and bool(spec.arguments["go_backwards"])
        )
        self._static: dict[str, list[Any]] = {}
        if spec.declared:
            self._declare(keras, layer, spec)
        elif "weights" not in spec.arguments:  # they are set by the first call alone
            with framework():
                layer.build(input_shape)
        self._keras, self._on_device = keras, on_device
        self._layer, self._to_tensor, self._to_numpy = layer, to_tensor, to_numpy

    def _declare(self, keras: Any, layer: Any, spec: LayerSpec) -> None:
        """Build from a declaration: a symbolic input, or keywords in a Sequential model."""
        if "Input" in spec.declared:
            symbol = keras.Input(batch_shape=tuple(spec.declared["Input"]))
            with framework():
                outputs = _listed(layer(symbol))
        else:
            several = spec.arguments["return_state"]
            require(not several, "a Sequential model takes layers with one output", "SHAPE-2")
            with framework():
                network = keras.Sequential([layer])
            symbol, outputs = network.inputs[0], network.outputs
        shape = tuple(symbol.shape)
        with framework():
            computed = layer.compute_output_shape(shape)
        several = (
            isinstance(computed, (list, tuple)) and isinstance(computed[0], (list, tuple))
        ) or isinstance(computed, list)
        self._static = {
            "the symbolic output": [tuple(o.shape) for o in outputs],
            "compute_output_shape": [tuple(c) for c in (computed if several else [computed])],
        }

    def static_shapes(self) -> Mapping[str, Sequence[Sequence[int | None]]]:
        return self._static

    def weight_shapes(self) -> Mapping[str, Sequence[int]]:
        return dict(zip(WEIGHTS, (w.shape for w in self._layer.get_weights()), strict=False))

    def initial_weights(self) -> Mapping[str, np.ndarray]:
        return dict(zip(WEIGHTS, self._layer.get_weights(), strict=False))

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        with self._on_device(), framework():
            self._layer.set_weights(list(weights.values()))

    def rewind(self) -> None:
        """Keras 3 keeps a generator's state in the cell; Keras 2 draws from TensorFlow's, seeded for eager calls."""
        generator = getattr(getattr(self._layer, "cell", None), "seed_generator", None)
        if generator is None:
            self._keras.utils.set_random_seed(REWIND_SEED)
        elif self._draws is None:
            self._draws = self._to_numpy(generator.state.value)
        else:
            generator.state.assign(self._draws)

    def reset_states(self) -> None:
        with self._on_device():
            reset = (
                "reset_state" if hasattr(self._layer, "reset_state") else "reset_states"
            )  # Keras 3, Keras 2
            with framework():
                getattr(self._layer, reset)()

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        return self.call_training(inputs, mask, initial_state, None)

    def call_training(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        training: bool | None,
    ) -> list[np.ndarray]:
        with self._on_device():
            keywords: dict[str, Any] = {} if training is None else {"training": training}
            if mask is not None:
                keywords["mask"] = self._to_tensor(mask)
            if initial_state is not None:
                keywords["initial_state"] = [self._to_tensor(state) for state in initial_state]
            given = self._to_tensor(inputs)
            with framework():
                outputs = self._layer(given, **keywords)
            return [self._to_numpy(a) for a in _listed(outputs)]

    def gradients(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        cotangents: Sequence[np.ndarray],
    ) -> Gradients:
        """By ``tf.GradientTape``."""
        import tensorflow as tf

        with self._on_device():
            x = tf.convert_to_tensor(inputs)
            states = [tf.convert_to_tensor(state) for state in initial_state or ()]
            weights = list(self._layer.trainable_weights)
            keywords: dict[str, Any] = {} if mask is None else {"mask": tf.convert_to_tensor(mask)}
            if states:
                keywords["initial_state"] = states
            with tf.GradientTape() as tape:
                tape.watch([x, *states])
                with framework():
                    outputs = _listed(self._layer(x, **keywords))
                    penalties = list(self._layer.losses)  # computed when asked for
                losses = [tf.reshape(loss, ()) for loss in penalties]
                terms = [
                    tf.reduce_sum(y * tf.convert_to_tensor(g))
                    for y, g in zip(outputs, cotangents, strict=True)
                ]
                total = tf.add_n([*terms, *losses])
            variables = [w.value if hasattr(w, "path") else w for w in weights]  # Keras 3 wraps tf.Variable
            unconnected = tf.UnconnectedGradients.ZERO
            with framework():
                found = tape.gradient(total, [x, *states, *variables], unconnected_gradients=unconnected)
            slopes = [self._to_numpy(tf.convert_to_tensor(g)) for g in found]
            own = slopes[1 + len(states) :]
            return Gradients(
                [self._to_numpy(y) for y in outputs],
                slopes[0],
                slopes[1 : 1 + len(states)],
                dict(zip(WEIGHTS, own, strict=False)),
                np.array([float(tf.cast(loss, tf.float64)) for loss in losses]).astype(inputs.dtype),
            )

    def _network(self, inputs: np.ndarray, *, masked: bool) -> Any:
        """A ``Sequential`` of the layer; with a mask, which is a second input, a functional model."""
        keras = self._keras
        x = keras.Input(shape=inputs.shape[1:], dtype=str(inputs.dtype))
        if not masked:
            return keras.Sequential([x, self._layer])
        valid = keras.Input(shape=inputs.shape[1:2], dtype="bool")
        return keras.Model([x, valid], self._layer(x, mask=valid))

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int | None,
        learning_rate: float,
        mask: np.ndarray | None = None,
    ) -> tuple[dict[str, np.ndarray], int]:
        """By the model's ``fit``, with the framework's own loss; the updates are what a callback counted."""
        with self._on_device():
            seen: list[int] = []
            count = self._keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: seen.append(batch)
            )
            with framework():
                network = self._network(inputs, masked=mask is not None)
                optimizer = self._keras.optimizers.SGD(learning_rate)
                network.compile(optimizer=optimizer, loss="mse", run_eagerly=self._eager_epochs)
                optimizer.build(
                    network.trainable_variables
                )  # in its first step, Keras 2 would trace it twice
                network.fit(
                    inputs if mask is None else [inputs, mask],
                    targets,
                    batch_size=batch_size,
                    epochs=1,
                    shuffle=False,
                    verbose=0,
                    callbacks=[count],
                )
            return dict(zip(WEIGHTS, self._layer.get_weights(), strict=False)), len(seen)

    def predict(self, inputs: np.ndarray, batch_size: int | None) -> tuple[list[np.ndarray], int]:
        """By ``Sequential.predict``; the batches are what a callback counted."""
        with self._on_device():
            seen: list[int] = []
            count = self._keras.callbacks.LambdaCallback()
            count.on_predict_batch_end = lambda batch, logs=None: seen.append(batch)
            with framework():
                if self._predicting is None:
                    self._predicting = self._network(inputs, masked=False)
                result = self._predicting.predict(inputs, batch_size=batch_size, verbose=0, callbacks=[count])
            return [np.asarray(a) for a in _listed(result)], len(seen)


def _changes(spec: LayerSpec) -> int:
    """How many penalties and constraints a layer has."""
    kinds = ("_regularizer", "_constraint")
    return sum(name.endswith(kinds) and value is not None for name, value in spec.arguments.items())


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]
