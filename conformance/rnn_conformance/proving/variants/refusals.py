"""Layers that take what they must refuse (ERR, SHAPE, UNROLL-2, WEIGHT-5, INIT-5, CARRY-7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from rnn_fixtures.case import NO_SUCH
from rnn_reference.shapes import weight_shapes

from rnn_conformance.contract.adapter import LayerSpec
from rnn_conformance.proving.variants.base import Variant, Weights, on_call, on_layer


def _checked(change: Callable[[Any, Any], Any]) -> Callable[[Any, LayerSpec], None]:
    """Inputs changed before the layer looks at them; ``change`` gets the layer and the input."""

    def apply(layer: Any, spec: LayerSpec) -> None:
        plain = layer._checked
        layer._checked = lambda inputs, mask, states: plain(change(layer, inputs), mask, states)

    return on_layer(apply)


def _three_dimensions(layer: Any, inputs: Any) -> Any:
    if inputs.ndim == 2:
        return inputs[None]
    return inputs.reshape(inputs.shape[0], -1, inputs.shape[-1]) if inputs.ndim == 4 else inputs


def _fewer_features(layer: Any, inputs: Any) -> Any:
    return inputs[..., : layer.features] if inputs.ndim == 3 else inputs


def _more_features(layer: Any, inputs: Any) -> Any:
    lacking = (layer.features or 0) - inputs.shape[-1]
    if inputs.ndim != 3 or lacking <= 0:
        return inputs
    return np.pad(inputs, ((0, 0), (0, 0), (0, lacking)))


def _no_steps_taken(model: Any, spec: LayerSpec) -> None:
    plain = model.call_training

    def call_training(inputs: Any, mask: Any, initial_state: Any, training: Any) -> list[np.ndarray]:
        if inputs.ndim == 3 and 0 in inputs.shape:
            return [np.zeros((*inputs.shape[:2], spec.size.U), inputs.dtype)]
        return plain(inputs, mask, initial_state, training)

    model.call_training = call_training


def _lengths_clipped(model: Any, spec: LayerSpec) -> None:
    plain = model.call_lengths

    def call_lengths(inputs: Any, lengths: Any) -> list[np.ndarray]:
        fitting = np.resize(lengths, inputs.shape[0])
        return plain(inputs, np.clip(fitting, 0, inputs.shape[1]))

    model.call_lengths = call_lengths


def _rates_clamped(arguments: dict[str, Any]) -> dict[str, Any]:
    rates = {
        k: min(max(arguments[k], 0.0), 0.999) for k in ("dropout", "recurrent_dropout") if k in arguments
    }
    return arguments | rates


def _batch_not_fixed(layer: Any, spec: LayerSpec) -> None:
    plain = layer.trajectory

    def trajectory(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        batch = inputs.shape[1 if layer.time_major else 0]
        if layer.stateful and layer._batch not in (None, batch):
            layer._batch, layer._carried = batch, None
        return plain(inputs, *args, **kwargs)

    layer.trajectory = trajectory


def _states_fitted(given: dict[str, Any], spec: LayerSpec) -> dict[str, Any]:
    if given["initial_state"] is None or given["inputs"].ndim != 3:
        return given
    batch = given["inputs"].shape[1 if spec.arguments["time_major"] else 0]
    fitted = [np.resize(state, (batch, spec.size.U)) for state in given["initial_state"]]
    return given | {"initial_state": (fitted * 2)[: spec.state_count]}


def _mask_fitted(given: dict[str, Any], spec: LayerSpec) -> dict[str, Any]:
    mask = given["mask"]
    return given if mask is None else given | {"mask": np.resize(mask, given["inputs"].shape[:2])}


def _units_coerced(arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments | {"units": max(1, int(float(arguments["units"])))}


def _names_defaulted(arguments: dict[str, Any]) -> dict[str, Any]:
    defaults = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    defaults |= {f"{weight}_initializer": "zeros" for weight in ("kernel", "recurrent", "bias")}
    return {name: defaults.get(name) if value == NO_SUCH else value for name, value in arguments.items()}


def _unknown_ignored(spec: LayerSpec) -> LayerSpec:
    known = {name: value for name, value in spec.arguments.items() if name != "returnsequences"}
    return replace(spec, arguments=known, positional=())


def _bias_zeros(arguments: dict[str, Any]) -> dict[str, Any]:
    odd = arguments.get("bias_initializer") in ("orthogonal", "identity")
    return arguments | {"bias_initializer": "zeros"} if odd else arguments


def _weights_fitted(weights: Weights, spec: LayerSpec) -> Weights:
    """Missing ones are zeros, others are turned or cut until they fit."""
    wanted = weight_shapes(
        spec.layer,
        spec.size.F,
        spec.size.U,
        use_bias=bool(spec.arguments["use_bias"]),
        reset_after=spec.reset_after,
    )
    zero = np.zeros(1, next(iter(weights.values())).dtype)
    return {name: np.resize(weights.get(name, zero), shape) for name, shape in wanted.items()}


def _batch_cut_off(spec: LayerSpec) -> LayerSpec:
    shape = spec.declared.get("input_shape", ())
    return (
        replace(spec, declared=dict(spec.declared) | {"input_shape": shape[1:]}) if len(shape) == 3 else spec
    )


def _stateful_dropped(spec: LayerSpec) -> LayerSpec:
    open_batch = spec.declared.get("Input", [0])[0] is None
    arguments = dict(spec.arguments) | ({"stateful": False} if open_batch else {})
    return replace(spec, arguments=arguments)


def _accepts(name: str, clause: str, summary: str, **change: Any) -> Variant:
    return Variant(name, clause, "refusals", summary, **change)


VARIANTS: list[Variant] = [
    _accepts(
        "other-dimensions-accepted",
        "SHAPE-1",
        "takes inputs of two and four dimensions",
        model=_checked(_three_dimensions),
    ),
    _accepts(
        "extra-features-cut", "ERR-1", "cuts features that are too many", model=_checked(_fewer_features)
    ),
    _accepts(
        "missing-features-padded",
        "SHAPE-1",
        "takes features that are too few for zeros",
        model=_checked(_more_features),
    ),
    _accepts("no-steps-accepted", "SHAPE-6", "takes an input without steps", model=_no_steps_taken),
    _accepts("lengths-clipped", "SHAPE-11", "makes lengths fit, as Flax does", model=_lengths_clipped),
    _accepts("rates-clamped", "ERR-4", "moves rates into [0, 1), as Keras does", arguments=_rates_clamped),
    _accepts(
        "other-batch-accepted",
        "CARRY-7",
        "starts anew on a batch of another size",
        model=on_layer(_batch_not_fixed),
    ),
    _accepts(
        "stateful-without-batch",
        "CARRY-7",
        "forgets stateful where the batch size is open",
        spec=_stateful_dropped,
    ),
    _accepts("states-resized", "STATE-2", "makes states of other shapes fit", model=on_call(_states_fitted)),
    _accepts("mask-resized", "MASK-1", "makes masks of other shapes fit", model=on_call(_mask_fitted)),
    _accepts("units-coerced", "WEIGHT-1", "takes units that are no integer", arguments=_units_coerced),
    _accepts(
        "weights-resized", "WEIGHT-5", "makes weights of another number or shape fit", weights=_weights_fitted
    ),
    _accepts(
        "unknown-names-defaulted", "ERR-2", "takes defaults for unknown names", arguments=_names_defaulted
    ),
    _accepts(
        "unknown-arguments-ignored", "ERR-3", "ignores arguments it does not have", spec=_unknown_ignored
    ),
    _accepts(
        "unroll-without-length",
        "UNROLL-2",
        "does not unroll where the length is open, as Keras 3",
        arguments=lambda arguments: arguments | {"unroll": False},
    ),
    _accepts("matrix-initializers-of-biases", "INIT-5", "gives zeros instead", arguments=_bias_zeros),
    _accepts(
        "batch-in-input-shape", "SHAPE-12", "takes input_shape with the batch in it", spec=_batch_cut_off
    ),
]
