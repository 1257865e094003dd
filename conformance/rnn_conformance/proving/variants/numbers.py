"""Arithmetic of fewer bits than the dtype has, and single elements that are wrong (PREC-2, PREC-6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rnn_reference import elementary as el
from rnn_reference import recurrence

from rnn_conformance.contract.adapter import LayerSpec
from rnn_conformance.proving.variants.base import Variant, Weights, on_outputs


def rounded(x: np.ndarray, bits: int) -> np.ndarray:
    """The nearest numbers with so many significant bits."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(x.dtype)


_forward = recurrence.forward


def _states_in(bits: int) -> dict[str, Any]:
    """Every product's operands rounded: as a matrix unit of fewer bits takes them."""
    product = recurrence._recurrent_product

    def short(h: Any, kernel: Any, dropout: Any) -> Any:
        return product(rounded(h, bits), rounded(kernel, bits), dropout)

    return {"recurrence._recurrent_product": short}


def _activation(function: Callable[[Any], Any], which: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    name = "tanh" if which == "activation" else "sigmoid"
    return lambda arguments: arguments | ({which: function} if arguments.get(which) == name else {})


def _rational_tanh(x: Any) -> Any:
    """A Pade approximant, clipped: good to a few thousandths."""
    return np.clip(x * (27 + x * x) / (27 + 9 * x * x), -1, 1).astype(x.dtype)


def _fair_tanh(x: Any) -> Any:
    """A longer one: good to about 1e-5."""
    s = x * x
    return np.clip(
        x * (135135 + s * (17325 + s * (378 + s))) / (135135 + s * (62370 + s * (3150 + 28 * s))), -1, 1
    ).astype(x.dtype)


def _element(where: Callable[[tuple[int, ...]], tuple[Any, ...]]) -> Callable[[Any, LayerSpec], None]:
    """One element of the output moved by one part in a thousand."""

    def change(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
        first = outputs[0].copy()
        if first.size:
            index = where(first.shape)
            first[index] = first[index] * np.asarray(1 + 2.0**-10, first.dtype)
        return [first, *outputs[1:]]

    return on_outputs(change)


def _tail(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    """Units beyond the last whole vector of eight are not computed."""
    units = spec.size.U
    keep = (np.arange(units) < units // 8 * 8) | (units < 8)
    return [np.where(keep, o, np.zeros_like(o)) for o in outputs]


def _short_weights(bits: int) -> Callable[[Weights, LayerSpec], Weights]:
    return lambda weights, spec: {name: rounded(array, bits) for name, array in weights.items()}


def _flushing_nan(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    return [np.nan_to_num(o, nan=0.0) for o in outputs]


VARIANTS: list[Variant] = [
    Variant(
        "state-in-11-bits",
        "PREC-2",
        "precision",
        "rounds the product's operands to 11 bits: TF32, float16",
        functions=_states_in(11),
    ),
    Variant(
        "state-in-8-bits",
        "PREC-2",
        "precision",
        "rounds the product's operands to 8 bits: bfloat16",
        functions=_states_in(8),
    ),
    Variant(
        "state-in-16-bits",
        "PREC-2",
        "precision",
        "rounds the product's operands to 16 bits",
        functions=_states_in(16),
    ),
    Variant(
        "weights-in-6-bits", "PREC-4", "precision", "rounds weights to 6 bits", weights=_short_weights(6)
    ),
    Variant(
        "tanh-rational",
        "PREC-2",
        "precision",
        "uses a short rational tanh",
        arguments=_activation(_rational_tanh, "activation"),
    ),
    Variant(
        "tanh-rational-fair",
        "PREC-2",
        "precision",
        "uses a longer rational tanh",
        arguments=_activation(_fair_tanh, "activation"),
    ),
    Variant(
        "sigmoid-rational",
        "PREC-2",
        "precision",
        "makes sigmoid of a short rational tanh",
        arguments=_activation(
            lambda x: ((_rational_tanh(x / 2) + 1) / 2).astype(x.dtype), "recurrent_activation"
        ),
    ),
    Variant(
        "sigmoid-rational-fair",
        "PREC-2",
        "precision",
        "makes sigmoid of a longer rational tanh",
        arguments=_activation(
            lambda x: ((_fair_tanh(x / 2) + 1) / 2).astype(x.dtype), "recurrent_activation"
        ),
    ),
    Variant(
        "sigmoid-table",
        "PREC-2",
        "precision",
        "reads sigmoid from a table of 1/1024",
        arguments=_activation(
            lambda x: (np.round(el.sigmoid(x) * 1024) / 1024).astype(x.dtype), "recurrent_activation"
        ),
    ),
    Variant(
        "last-unit-wrong",
        "PREC-2",
        "element",
        "is off by a thousandth in the last unit",
        model=_element(lambda s: (..., -1)),
    ),
    Variant(
        "last-sample-wrong",
        "PREC-2",
        "element",
        "is off by a thousandth in the last row",
        model=_element(lambda s: (-1,)),
    ),
    Variant(
        "one-element-wrong",
        "PREC-2",
        "element",
        "is off by a thousandth in one element",
        model=_element(lambda s: tuple(n // 2 for n in s)),
    ),
    Variant(
        "tail-not-computed",
        "PREC-2",
        "element",
        "leaves out the units beyond whole vectors of eight",
        model=on_outputs(_tail),
    ),
    Variant("nan-flushed", "PREC-6", "precision", "turns NaN into zero", model=on_outputs(_flushing_nan)),
]
