"""Adapters that are wrong from the ground up: none may get a pass that it has not earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec, Model, framework

LAYOUT: dict[str, str] = {}


def helper(name: str) -> str:
    """A slip: a table that lacks what is looked up."""
    return LAYOUT[name]


class _Idle(Model):
    """Takes everything; what a call returns is for its subclasses to say."""

    def __init__(self, spec: LayerSpec) -> None:
        self.spec = spec

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        pass

    def returned(self, inputs: np.ndarray) -> list[np.ndarray]:
        raise NotImplementedError

    def call(
        self, inputs: np.ndarray, mask: np.ndarray | None, initial_state: Sequence[np.ndarray] | None
    ) -> list[np.ndarray]:
        return self.returned(inputs)

    def call_training(self, inputs: Any, mask: Any, initial_state: Any, training: Any) -> list[np.ndarray]:
        return self.returned(inputs)

    def call_lengths(self, inputs: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        return self.returned(inputs)[:1]

    def predict(self, inputs: np.ndarray, batch_size: int | None) -> tuple[list[np.ndarray], int]:
        size = batch_size or 32
        return self.returned(inputs), -(-len(inputs) // size)

    def rewind(self) -> None:
        pass

    def reset_states(self) -> None:
        pass


class _Kit(Adapter):
    model: type[_Idle] = _Idle

    def describe(self) -> Description:
        return Description("broken", "1.0", ["cpu"], {"float32": None})

    def build(self, spec: LayerSpec) -> Model:
        return self.model(spec)


class _HelperRaises(_Idle):
    def returned(self, inputs: np.ndarray) -> list[np.ndarray]:
        helper("kernel")
        return []


class HelperRaises(_Kit):
    """A helper of the adapter raises KeyError on every call."""

    model = _HelperRaises


class _HelperRaisesInside(_Idle):
    def returned(self, inputs: np.ndarray) -> list[np.ndarray]:
        with framework():
            helper("kernel")
        return []


class HelperRaisesInside(_Kit):
    """The same, where the adapter says that the framework is running."""

    model = _HelperRaisesInside


class AlwaysRaises(_Kit):
    """Refuses to build anything."""

    def build(self, spec: LayerSpec) -> Model:
        with framework():
            raise ValueError("expected ndim=3, found ndim=2, found ndim=4: whatever you ask for")


class _Echo(_Idle):
    def returned(self, inputs: np.ndarray) -> list[np.ndarray]:
        a, size = self.spec.arguments, self.spec.size
        batch = inputs.shape[1 if a["time_major"] else 0]
        leading = inputs.shape[:2] if a["return_sequences"] else (batch,)
        states = self.spec.state_count * a["return_state"]
        zero = np.zeros((batch, size.U), inputs.dtype)
        return [np.zeros((*leading, size.U), inputs.dtype), *[zero] * states]


class EchoesZeros(_Kit):
    """Zeros of the right shapes, whatever comes."""

    model = _Echo


class _Input(_Echo):
    def returned(self, inputs: np.ndarray) -> list[np.ndarray]:
        found = super().returned(inputs)
        shown = inputs if self.spec.arguments["return_sequences"] else inputs[:, -1]
        width = min(shown.shape[-1], found[0].shape[-1])
        found[0][..., :width] = shown[..., :width]
        return found


class ReturnsInput(_Kit):
    """Its input, cut or filled up to the number of units."""

    model = _Input


class OneTooMany(NumpyAdapter):
    """The reference, and an array that nobody asked for."""

    def build(self, spec: LayerSpec) -> Model:
        model: Any = super().build(spec)
        plain, predict, gradients, lengths = (
            model.call_training, model.predict, model.gradients, model.call_lengths
        )  # fmt: skip
        model.call_training = lambda *args, **kwargs: [*(found := plain(*args, **kwargs)), found[0]]

        def predicted(*args: Any) -> tuple[list[np.ndarray], int]:
            outputs, batches = predict(*args)
            return [*outputs, outputs[0]], batches

        def differentiated(*args: Any, **kwargs: Any) -> Any:
            found = gradients(*args, **kwargs)
            return replace(found, outputs=[*found.outputs, found.outputs[0]])

        model.predict, model.gradients = predicted, differentiated
        model.call_lengths = lambda *args: [*(found := lengths(*args)), found[0]]
        return model


class Ignorant(NumpyAdapter):
    """Knows tanh and sigmoid; every other argument is ignored, and another activation is a KeyError of its own."""

    def build(self, spec: LayerSpec) -> Model:
        for name in ("activation", "recurrent_activation"):
            {"tanh": 1, "sigmoid": 1}[spec.arguments[name]]
        kept = {"units": spec.size.U, "activation": spec.arguments["activation"]}
        kept["recurrent_activation"] = spec.arguments["recurrent_activation"]
        shown = {n: spec.arguments[n] for n in ("return_sequences", "return_state")}
        defaults = {"time_major": False, "use_bias": True, "go_backwards": False, "unroll": False}
        if spec.layer == "GRU":
            defaults["reset_after"] = True
        return super().build(replace(spec, arguments=defaults | kept | shown, declared={}, positional=()))
