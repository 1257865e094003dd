"""Misbehaving adapters: the reference, broken on purpose, to test the runner and the verdicts."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec, Model, Unsupported, framework
from rnn_conformance.contract.capabilities import ANY, Capabilities
from rnn_conformance.contract.compiled import compiled_folder


class Broken(Adapter):
    """Runs the reference, with one thing wrong in cases with a right-padded mask."""

    fault = "none"

    def describe(self) -> Description:
        return Description("fake", "1.0", ["cpu"], {"float64": None, "float32": None, "float16": "not today"})

    def build(self, spec: LayerSpec) -> Model:
        return _BrokenModel(self.fault, spec, NumpyAdapter().build(spec))


PASSED_ON = "reset_states gradients fit predict static_shapes weight_shapes initial_weights call_lengths call_training rewind".split()


class OnlyTanh(NumpyAdapter):
    """The reference, which says that it has one pair of activations."""

    capabilities = Capabilities(
        arguments=dict.fromkeys(
            (
                "use_bias",
                "zero_output_for_mask",
                "return_sequences",
                "return_state",
                "go_backwards",
                "unroll",
                "time_major",
            ),
            ANY,
        ),
        calls=("mask", "initial_state"),
    )


class _BrokenModel(Model):
    def __init__(self, fault: str, spec: LayerSpec, model: Model) -> None:
        self._fault, self._spec, self._model = fault, spec, model

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self._model.set_weights(weights)

    def __getattribute__(self, name: str) -> Any:
        """Everything but calls is the reference's."""
        if name in PASSED_ON:
            return getattr(self._model, name)
        return super().__getattribute__(name)

    def call(
        self, inputs: np.ndarray, mask: np.ndarray | None, initial_state: Sequence[np.ndarray] | None
    ) -> list[Any]:
        outputs = self._model.call(inputs, mask, initial_state)
        if mask is None or mask.all() or not mask[:, 0].all():  # right-padded only
            return outputs
        match self._fault:
            case "crash":
                os._exit(7)
            case "hang":
                time.sleep(60)
            case "raise":
                raise RuntimeError("no\nidea")
            case "raise-inside":
                with framework():
                    raise RuntimeError("no\nidea")
            case "unsupported":
                raise Unsupported("lengths are not implemented", "MASK-1")
            case "value":
                outputs[0] = outputs[0] * np.float32(1 + 1e-4)
            case "nan":
                outputs[0] = np.where(np.arange(outputs[0].shape[-1]) == 0, np.nan, outputs[0]).astype(
                    inputs.dtype
                )
            case "noise":
                outputs[0] = outputs[0] + np.random.default_rng().normal(size=outputs[0].shape).astype(
                    inputs.dtype
                )
            case "shape":
                outputs[0] = outputs[0][..., :-1]
            case "dtype":
                outputs[0] = outputs[0].astype(np.float64)
            case "count":
                outputs = outputs[:1] * 5
            case "chatter":
                print("this must not reach the standard output")
        return outputs


class Crash(Broken):
    fault = "crash"


class Hang(Broken):
    fault = "hang"


class Raise(Broken):
    fault = "raise"


class RaiseInside(Broken):
    fault = "raise-inside"


class Declared(Broken):
    fault = "unsupported"


class Value(Broken):
    fault = "value"


class NotANumber(Broken):
    fault = "nan"


class Noise(Broken):
    fault = "noise"


class Shape(Broken):
    fault = "shape"


class Dtype(Broken):
    fault = "dtype"


class Count(Broken):
    fault = "count"


class Chatter(Broken):
    fault = "chatter"


class NoStart(Broken):
    def __init__(self) -> None:
        raise OSError("no licence server")


class SlowStartAndHang(Broken):
    fault = "hang"

    def __init__(self) -> None:
        time.sleep(2.5)


class DiesAtStart(Broken):
    def __init__(self) -> None:
        os._exit(9)


class NotAnAdapter:
    pass


class Zeros:
    """The variant mask-zeros, as an adapter of its own."""

    def __new__(cls) -> object:
        from rnn_conformance.proving.variants import REGISTRY
        from rnn_conformance.proving.variants.base import VariantAdapter

        return VariantAdapter(REGISTRY["mask-zeros"])


class Switched(NumpyAdapter):
    """The reference, whose outputs a switch shortens to the 11 significant bits of TF32."""

    settings: Mapping[str, Sequence[str]] = {"products": ("full", "short"), "idle": ("0", "1")}
    short = False

    def configure(self, settings: Mapping[str, str]) -> None:
        assert settings.keys() == self.settings.keys()
        self.short = settings["products"] == "short"

    def build(self, spec: LayerSpec) -> Model:
        model = super().build(spec)
        if self.short:
            call = model.call
            model.call = lambda *given: [_shortened(a) for a in call(*given)]  # type: ignore[method-assign]
        return model


class Compiles(Broken):
    """Says where it may keep what it compiles."""

    def describe(self) -> Description:
        return replace(super().describe(), notes=[str(compiled_folder("none"))])


def _shortened(array: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent).astype(array.dtype)
