"""The reference as a layer of lengths, doing more or less of what such layers may do themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec
from rnn_conformance.contract.capabilities import ANY, FLIPS, Capabilities
from rnn_conformance.contract.lengths_model import LengthsModel, Outputs, Pulled

ARGUMENTS = dict.fromkeys(("activation", "recurrent_activation", "use_bias", "reset_after", "unroll"), ANY)
CALLS = ("lengths", "initial_state", "gradients", "predict", "static_shapes")


class Rows(Adapter):
    """Nothing but rows of lengths."""

    level = "lengths"
    capabilities = Capabilities(arguments=ARGUMENTS, calls=CALLS)

    def describe(self) -> Description:
        return Description("rows", "1", ["cpu"], {"float32": None})

    def build(self, spec: LayerSpec) -> LengthsModel:
        return _Rows(spec, padding="padding" in self.capabilities.calls)


class Flips(Rows):
    """Turns its input itself where there are no lengths."""

    capabilities = Capabilities(arguments={**ARGUMENTS, **dict.fromkeys(FLIPS, ANY)}, calls=CALLS)


class All(Rows):
    """Turns rows of lengths too, and puts zeros on the padding."""

    capabilities = Capabilities(
        arguments={**ARGUMENTS, **dict.fromkeys(FLIPS, ANY)}, calls=(*CALLS, "padding"), with_lengths=FLIPS
    )


class _Rows(LengthsModel):
    def __init__(self, spec: LayerSpec, *, padding: bool) -> None:
        shown = {
            "return_sequences": True,
            "return_state": True,
            "zero_output_for_mask": True,
            "stateful": False,
        }
        arguments = {**spec.arguments, **shown, **dict.fromkeys(FLIPS, False)}
        self._spec, self._padding = spec, padding
        self._model = NumpyAdapter().build(replace(spec, arguments=arguments))

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self._model.set_weights(weights)

    def weights(self) -> Mapping[str, np.ndarray]:
        return {name: np.zeros(shape) for name, shape in self._model.weight_shapes().items()}

    def shapes(self) -> Mapping[str, tuple[Sequence[int | None], Sequence[int | None]]]:
        output, *states = self._model.static_shapes()["compute_output_shape"]
        return {"the reference": (output, states[0])}

    def _turned(self, array: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """Rows [B, T, ...], each one's valid steps in the order of processing; its own inverse."""
        if not self._spec.arguments["go_backwards"] or not len(array):
            return array
        rows = [
            len(row) if n is None else n
            for row, n in zip(array, [None] * len(array) if lengths is None else lengths, strict=True)
        ]
        return np.stack(
            [np.concatenate([row[:n][::-1], row[n:]]) for row, n in zip(array, rows, strict=True)]
        )

    def _mask(self, lengths: np.ndarray | None, steps: int) -> np.ndarray | None:
        return None if lengths is None else np.arange(steps) < lengths[:, None]

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[Outputs, Sequence[np.ndarray]]:
        swap = self._spec.arguments["time_major"]
        x = self._turned(inputs.swapaxes(0, 1) if swap else inputs, lengths)
        mask = self._mask(lengths, x.shape[1])
        outputs, *finals = self._model.call(x, mask, states)
        if mask is not None and not self._padding:
            outputs = np.where(mask[..., None], outputs, 77).astype(outputs.dtype)
        return outputs.swapaxes(0, 1) if swap else outputs, finals

    def vjp(
        self,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        states: Sequence[np.ndarray] | None,
        outputs: np.ndarray,
        finals: Sequence[np.ndarray],
    ) -> Pulled:
        swap = self._spec.arguments["time_major"]
        x = self._turned(inputs.swapaxes(0, 1) if swap else inputs, lengths)
        seeds = [outputs.swapaxes(0, 1) if swap else outputs, *finals]
        found = self._model.gradients(x, self._mask(lengths, x.shape[1]), states, seeds)
        slope = self._turned(found.inputs, lengths)
        shown, *ends = found.outputs
        return Pulled(
            shown.swapaxes(0, 1) if swap else shown,
            ends,
            slope.swapaxes(0, 1) if swap else slope,
            found.initial_state,
            found.weights,
        )
