"""What a variant is, and the adapter that runs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from rnn_reference import activations, elementary, layers, network, recurrence
from rnn_reference import training as reference_training
from rnn_reference.network import weights_at

from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.adapter import LayerSpec, Model, require
from rnn_conformance.running.composition import network_of

Weights = dict[str, np.ndarray]
# Modules of the reference in which a variant may put a function of its own, by name.
MODULES = {
    "recurrence": recurrence,
    "layers": layers,
    "network": network,
    "training": reference_training,
    "elementary": elementary,
}


@dataclass(frozen=True)
class Variant:
    """A named deviation.

    Attributes
    ----------
    clause : str
        The clause that it violates.
    kind : str
        The class of bug: "gate order", "bias", "mask", ...
    summary : str
        What it does instead.
    layers : tuple of str
        The layers that it exists for.
    links : tuple of str
        Real bugs of this kind.
    weights : function, optional
        (weights, spec) to the weights used instead.
    arguments : function, optional
        (constructor arguments) to those used instead.
    functions : mapping
        "module.name" of the reference to what stands there while the layer works.
    model : function, optional
        Changes a built model of the numpy adapter.
    spec : function, optional
        Changes what is built: how the input is declared, arguments given by position.
    """

    name: str
    clause: str
    kind: str
    summary: str
    layers: tuple[str, ...] = ("LSTM", "GRU")
    links: tuple[str, ...] = ()
    weights: Callable[[Weights, LayerSpec], Weights] | None = None
    arguments: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    functions: Mapping[str, Any] = field(default_factory=dict)
    model: Callable[[Any, LayerSpec], None] | None = None
    spec: Callable[[LayerSpec], LayerSpec] | None = None


@contextmanager
def installed(functions: Mapping[str, Any]) -> Iterator[None]:
    """Functions of the reference replaced for a while."""
    before = {}
    for place, function in functions.items():
        module, name = place.split(".")
        before[place] = getattr(MODULES[module], name)
        setattr(MODULES[module], name, function)
    try:
        yield
    finally:
        for place, function in before.items():
            module, name = place.split(".")
            setattr(MODULES[module], name, function)


class VariantAdapter(NumpyAdapter):
    """The reference with one deviation."""

    def __init__(self, variant: Variant) -> None:
        self._variant = variant

    def build(self, spec: LayerSpec) -> Model:
        variant = self._variant
        if spec.layer not in variant.layers:
            return super().build(spec)
        if variant.spec is not None:
            spec = variant.spec(spec)
        if variant.arguments is not None:
            spec = replace(spec, arguments=variant.arguments(dict(spec.arguments)))
        model: Any = super().build(spec)
        if variant.model is not None:
            require(not spec.is_network, "the variant changes the calls of a single layer", variant.clause)
            variant.model(model, spec)
        if variant.weights is not None:
            _replace_weights(model, variant.weights, spec)
        if variant.functions:
            for name in ("call_training", *(() if spec.is_network else ("gradients", "fit", "predict"))):
                _wrap(model, name, variant.functions)
        return model


def _replace_weights(model: Any, change: Callable[[Weights, LayerSpec], Weights], spec: LayerSpec) -> None:
    plain = model.set_weights

    def set_weights(weights: Mapping[str, np.ndarray]) -> None:
        changed: Weights = {}
        for place in network_of(spec).places:
            own = change(weights_at(weights, place), spec)
            changed |= {place + name: array for name, array in own.items()}
        plain(changed)

    model.set_weights = set_weights


def _wrap(model: Any, name: str, functions: Mapping[str, Any]) -> None:
    plain = getattr(model, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with installed(functions):
            return plain(*args, **kwargs)

    setattr(model, name, wrapped)


# Between the names of a pair's two variants.
PAIR = " + "


def combined(first: Variant, second: Variant) -> Variant | None:
    """Both deviations at once; None when they stand in each other's way."""
    layers = tuple(name for name in first.layers if name in second.layers)
    if not layers or first.kind == second.kind or set(first.functions) & set(second.functions):
        return None

    def weights(given: Weights, spec: LayerSpec) -> Weights:
        for change in (first.weights, second.weights):
            given = given if change is None else change(given, spec)
        return given

    def arguments(given: dict[str, Any]) -> dict[str, Any]:
        for change in (first.arguments, second.arguments):
            given = given if change is None else change(given)
        return given

    def spec(given: LayerSpec) -> LayerSpec:
        for change in (first.spec, second.spec):
            given = given if change is None else change(given)
        return given

    def model(built: Any, spec: LayerSpec) -> None:
        for change in (first.model, second.model):
            if change is not None:
                change(built, spec)

    return Variant(
        f"{first.name}{PAIR}{second.name}",
        first.clause,
        "pair",
        f"{first.summary}; and {second.summary}",
        layers,
        weights=weights,
        arguments=arguments,
        functions={**first.functions, **second.functions},
        model=model,
        spec=spec,
    )


def on_layer(change: Callable[[Any, LayerSpec], None]) -> Callable[[Any, LayerSpec], None]:
    """A change of the reference's layer inside a model."""
    return lambda model, spec: change(model._layer, spec)


def on_outputs(
    change: Callable[[list[np.ndarray], LayerSpec, dict[str, Any]], Sequence[np.ndarray]],
) -> Callable[[Any, LayerSpec], None]:
    """A change of what calls return; it also sees the call's arguments."""

    def apply(model: Any, spec: LayerSpec) -> None:
        plain = model.call_training

        def call_training(inputs: Any, mask: Any, initial_state: Any, training: Any) -> list[np.ndarray]:
            outputs = plain(inputs, mask, initial_state, training)
            given = {"inputs": inputs, "mask": mask, "initial_state": initial_state, "training": training}
            return list(change(outputs, spec, given))

        model.call_training = call_training

    return apply


def on_call(
    change: Callable[[dict[str, Any], LayerSpec], dict[str, Any]],
) -> Callable[[Any, LayerSpec], None]:
    """A change of what calls are given."""

    def apply(model: Any, spec: LayerSpec) -> None:
        plain = model.call_training

        def call_training(inputs: Any, mask: Any, initial_state: Any, training: Any) -> list[np.ndarray]:
            given = {"inputs": inputs, "mask": mask, "initial_state": initial_state, "training": training}
            changed = change(given, spec)
            return plain(**changed)

        model.call_training = call_training

    return apply


__all__ = [
    "PAIR",
    "Variant",
    "VariantAdapter",
    "activations",
    "combined",
    "on_call",
    "on_layer",
    "on_outputs",
]
