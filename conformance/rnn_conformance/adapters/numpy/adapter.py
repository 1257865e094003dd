"""The reference itself, through the same path as every framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import rnn_reference
from rnn_reference.shapes import mask_of_lengths

from rnn_conformance import __version__
from rnn_conformance.contract.adapter import (
    Adapter,
    Description,
    Gradients,
    LayerSpec,
    Model,
    framework,
    require,
)
from rnn_conformance.running.composition import network_of

ZEROS = dict.fromkeys(("kernel_initializer", "recurrent_initializer", "bias_initializer"), "zeros")


class NumpyAdapter(Adapter):
    """``rnn_reference.LSTM`` and ``GRU`` over float arrays."""

    is_keras = True  # the reference says what tf.keras must say

    def describe(self) -> Description:
        """The suite's own version, and NumPy's."""
        return Description(
            framework="rnn_reference",
            version=__version__,
            devices=["cpu"],
            dtypes={
                "float64": None,
                "float32": None,
                "float16": None,
                "bfloat16": "NumPy has no bfloat16 of its own",
            },
            packages={"numpy": np.__version__},
        )

    def build(self, spec: LayerSpec) -> Model:
        """The reference layer with the case's arguments as they are."""
        return _NumpyNetwork(spec) if spec.is_network else _NumpyModel(spec)


class _NumpyModel(Model):
    def __init__(self, spec: LayerSpec) -> None:
        arguments = dict(spec.arguments)
        for name in ("activation", "recurrent_activation"):
            if arguments[name] == "none":
                arguments[name] = None
        mixed = arguments.pop("dtype_policy", "none") != "none"
        require(not mixed, "the reference computes in one dtype", "PREC-7")
        arguments.pop("stacked_dropout", None)
        declared = dict(spec.declared)
        if "Input" in declared:
            declared = {"batch_input_shape": declared["Input"]}
        if spec.seed is not None:
            arguments |= {"seed": spec.seed, "dtype": spec.dtype}
        else:  # every weight is set: nothing need be drawn
            arguments = ZEROS | arguments
        size, swap = spec.size, bool(arguments.get("time_major"))
        with framework():
            self._layer = getattr(rnn_reference, spec.layer)(*spec.positional, **arguments, **declared)
            if not declared and "weights" not in arguments:
                self._layer.build((size.T, size.B, size.F) if swap else (size.B, size.T, size.F))

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        with framework():
            self._layer.set_weights(list(weights.values()))

    def initial_weights(self) -> Mapping[str, np.ndarray]:
        return dict(zip(self._layer.weight_shapes, self._layer.get_weights(), strict=True))

    def static_shapes(self) -> Mapping[str, Sequence[Sequence[int | None]]]:
        found = self._layer.compute_output_shape(self._layer.batch_input_shape)
        return {"compute_output_shape": found if isinstance(found, list) else [found]}

    def weight_shapes(self) -> Mapping[str, Sequence[int]]:
        return self._layer.weight_shapes

    def call_lengths(self, inputs: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        with framework():
            mask = mask_of_lengths(list(lengths), *inputs.shape[:2])
            result = self._layer.trajectory(inputs, mask=mask)
        return [result.outputs]

    def rewind(self) -> None:
        self._layer.dropout_rng = np.random.default_rng(7)

    def reset_states(self) -> None:
        with framework():
            self._layer.reset_states()

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
        with np.errstate(under="ignore", over="ignore"), framework():
            result = self._layer(inputs, mask=mask, initial_state=initial_state, training=training)
        return result if isinstance(result, list) else [result]

    def gradients(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        cotangents: Sequence[np.ndarray],
    ) -> Gradients:
        with np.errstate(under="ignore", over="ignore"), framework():
            found = self._layer.gradients(inputs, cotangents, mask, initial_state)
            outputs = self.call(inputs, mask, initial_state)  # after it: a call moves the carried state
        states = [slope for name, slope in found.items() if name.startswith("initial")]
        weights = {name: found[name] for name in self._layer.weight_shapes}
        losses = np.asarray(self._layer.losses, inputs.dtype)
        return Gradients(outputs, found["input"], states, weights, losses)

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int | None,
        learning_rate: float,
        mask: np.ndarray | None = None,
    ) -> tuple[dict[str, np.ndarray], int]:
        with framework():
            updates = self._layer.fit(inputs, targets, batch_size, learning_rate, mask)
        return dict(zip(self._layer.weight_shapes, self._layer.get_weights(), strict=True)), updates

    def predict(self, inputs: np.ndarray, batch_size: int | None) -> tuple[list[np.ndarray], int]:
        before = self._layer.calls
        with framework():
            result = self._layer.predict(inputs, batch_size)
        return result if isinstance(result, list) else [result], self._layer.calls - before


class _NumpyNetwork(Model):
    """`rnn_reference.network.Network` over float arrays."""

    def __init__(self, spec: LayerSpec) -> None:
        require(
            not spec.arguments.get("stacked_dropout"), "the reference draws no masks between layers", "DROP-5"
        )
        self._spec, self._time_major = spec, bool(spec.arguments["time_major"])
        self._weights: dict[str, np.ndarray] = {}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = dict(weights)

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
        if self._time_major:
            inputs = inputs.swapaxes(0, 1)
            mask = None if mask is None else mask.swapaxes(0, 1)
        with framework():
            network = network_of(self._spec)
            result = network.forward(inputs, self._weights, initial_state=initial_state, mask=mask)
            return list(network.views(result).values())
