"""What a family's procedure works with: one adapter, one dtype, one device, and models that cases share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from rnn_fixtures.case import Call, Case, Ref
from rnn_fixtures.store import Arrays

from rnn_conformance.contract.adapter import DTYPES, Adapter, LayerSpec, Model, Size, Unsupported
from rnn_conformance.contract.capabilities import FLIPS
from rnn_conformance.contract.lengths_model import VIEWS


def layer_spec(case: Case, dtype: str, device: str) -> LayerSpec:
    """What an adapter must build for a case."""
    network = case.network
    return LayerSpec(
        case.layer,
        case.layer_arguments | case.detail.get("arguments", {}),
        Size(**vars(case.size)),
        dtype,
        device,
        has_mask=any(call.mask is not None for call in case.calls) or "lengths" in case.detail,
        has_initial_state=any(call.initial_state is not None for call in case.calls),
        declared=case.detail.get("declared", {}),
        positional=tuple(case.detail.get("positional", ())),
        num_layers=len(network.layers),
        bidirectional=len(network.layers[0]) > 1,
        merge_mode=network.merge_mode,
    )


def build_key(case: Case) -> tuple[Any, ...]:
    """Cases with equal keys can share a build; in the order of keys those come together that a layer of lengths can share one for."""
    arguments = dict(case.layer_arguments)
    around = [arguments.pop(name, None) for name in (*FLIPS, *VIEWS)]
    return (
        case.layer,
        str(arguments),
        case.size,
        str([case.argument(name) for name in ("num_layers", "bidirectional", "merge_mode")]),
        any(call.mask is not None for call in case.calls),
        any(call.initial_state is not None for call in case.calls),
        str([case.detail.get(name) for name in ("arguments", "declared", "positional")]),
        str(around),
    )


def program_key(case: Case) -> tuple[Any, ...]:
    """Cases with equal keys can share a program where a framework compiles one; the order of cases puts them side by side."""
    a = case.arguments
    equations = ("activation", "recurrent_activation", "use_bias", "reset_after", "unroll")
    masked = any(call.mask is not None for call in case.calls)
    return (
        case.layer,
        *(str(a.get(name)) for name in equations),
        *vars(case.size).values(),
        masked,
        # Of masked cases a framework that knows lengths sees neither.
        not masked and str([a.get(name) for name in ("go_backwards", "time_major")]),
    )


class Bench:
    """Builds a model when the case's build key changes, and sets weights when they change."""

    def __init__(self, adapter: Adapter, store: Arrays, dtype: str, device: str) -> None:
        self.adapter, self.store, self.dtype, self.device = adapter, store, dtype, device
        self._key: Any = None
        self._model: Model | Unsupported | None = None
        self._weights: Any = None
        self.served = 0  # cases that the adapter's process has seen

    def array(self, ref: Ref) -> np.ndarray:
        """A stored array in the dtype of the run; masks stay bool."""
        exact = self.store.exact(ref)
        # A copy: what an implementation writes into it must not reach another case.
        return np.array(exact, exact.dtype if exact.dtype == bool else DTYPES[self.dtype], order="C")

    def weights(self, case: Case) -> dict[str, np.ndarray]:
        """The case's weights in the Keras layout."""
        return {name: self.array(ref) for name, ref in case.weights.items()}

    def spec(self, case: Case) -> LayerSpec:
        """What to build for a case; ``weights=True`` in its arguments stands for the case's own."""
        spec = layer_spec(case, self.dtype, self.device)
        if spec.arguments.get("weights") is True:
            own = list(self.weights(case).values())
            return replace(spec, arguments=dict(spec.arguments) | {"weights": own})
        return spec

    def model(self, case: Case) -> Model:
        """A model of the case's layer that has the case's weights; the state that it carries is as the last case left it.

        Raises
        ------
        Unsupported
            When the adapter says so.
        """
        key = build_key(case)
        if isinstance(self._model, Model) and not self._model.is_there:
            self.forget()
        if key != self._key:
            self._key, self._weights, self._model = key, None, None
            try:
                self._model = self.adapter.build(self.spec(case))
            except Unsupported as reason:
                self._model = reason
        if isinstance(self._model, Unsupported):
            raise self._model
        if self._model is None:
            raise RuntimeError("the build of this layer failed for an earlier case of the same arguments")
        if case.weights != self._weights and not case.detail.get("arguments", {}).get("weights"):
            self._weights = None  # stays so when setting fails half-way
            self._model.set_weights(self.weights(case))
            self._weights = case.weights
        return self._model

    def forget(self) -> None:
        """Throw the model away: the next case builds its own."""
        if isinstance(self._model, Model):
            self._model.forget()
        self._key = self._weights = self._model = None

    def call_arguments(self, call: Call) -> dict[str, Any]:
        """The keyword arguments of `Model.call`."""
        states = call.initial_state
        return {
            "inputs": self.array(call.input),
            "mask": None if call.mask is None else self.array(call.mask),
            "initial_state": None if states is None else [self.array(ref) for ref in states],
        }
