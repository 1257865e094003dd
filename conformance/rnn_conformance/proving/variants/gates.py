"""Gates in another order, weights in another place (WEIGHT-1 to WEIGHT-4)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from rnn_reference.layouts import reorder

from rnn_conformance.contract.adapter import LayerSpec
from rnn_conformance.proving.variants.base import Variant, Weights

LETTERS = {"LSTM": "ifco", "GRU": "zrh"}
CLAUSE = {"LSTM": "WEIGHT-2", "GRU": "WEIGHT-3"}
PARTS = {
    "": ("kernel", "recurrent_kernel", "bias"),
    "-kernel": ("kernel",),
    "-recurrent": ("recurrent_kernel",),
}
# Orders that libraries have: converting without reordering gives these.
KNOWN = {"iofc": "ONNX", "icfo": "dm-haiku", "fico": "OpenVINO", "rzh": "PyTorch, Flax"}


def _permuted(names: Sequence[str], order: Sequence[int]) -> Callable[[Weights, LayerSpec], Weights]:
    def change(weights: Weights, spec: LayerSpec) -> Weights:
        return weights | {name: reorder(weights[name], order) for name in names if name in weights}

    return change


def _orders() -> list[Variant]:
    found = []
    for layer, letters in LETTERS.items():
        for order in itertools.permutations(range(len(letters))):
            spelled = "".join(letters[k] for k in order)
            if spelled == letters:
                continue
            whose = f" (the order of {KNOWN[spelled]})" if spelled in KNOWN else ""
            for suffix, names in PARTS.items():
                found.append(
                    Variant(
                        name=f"{layer.lower()}-gates-{spelled}{suffix}",
                        clause=CLAUSE[layer],
                        kind="gate order",
                        summary=f"reads {', '.join(names)} as if their blocks were {', '.join(spelled)}{whose}",
                        layers=(layer,),
                        weights=_permuted(names, order),
                    )
                )
    return found


def _transposed_blocks(weights: Weights, spec: LayerSpec) -> Weights:
    blocks = np.split(weights["recurrent_kernel"], 4 if spec.layer == "LSTM" else 3, axis=1)
    return weights | {"recurrent_kernel": np.concatenate([b.T for b in blocks], axis=1)}


def _bias(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Weights, LayerSpec], Weights]:
    def apply(weights: Weights, spec: LayerSpec) -> Weights:
        return weights | {"bias": change(weights["bias"])} if "bias" in weights else weights

    return apply


def _two_rows(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Weights, LayerSpec], Weights]:
    def apply(weights: Weights, spec: LayerSpec) -> Weights:
        two = "bias" in weights and weights["bias"].ndim == 2
        return weights | {"bias": change(weights["bias"])} if two else weights

    return apply


def _forget(bias: np.ndarray) -> np.ndarray:
    units = bias.shape[-1] // 4
    return bias + (np.arange(bias.shape[-1]) // units == 1).astype(bias.dtype)


def _without(row: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda bias: bias * (np.arange(2) != row)[:, None].astype(bias.dtype)


VARIANTS: list[Variant] = [
    *_orders(),
    Variant(
        "recurrent-transposed",
        "WEIGHT-1",
        "layout",
        "multiplies the state by each gate's recurrent block transposed",
        weights=_transposed_blocks,
    ),
    Variant("bias-dropped", "WEIGHT-2", "bias", "leaves the bias out", weights=_bias(lambda b: 0 * b)),
    Variant("bias-doubled", "WEIGHT-2", "bias", "adds the bias twice", weights=_bias(lambda b: 2 * b)),
    Variant(
        "lstm-forget-bias-added",
        "LSTM-EQ-4",
        "bias",
        "adds 1 to the forget gate while running, as dm-haiku does",
        ("LSTM",),
        weights=_bias(_forget),
    ),
    Variant(
        "gru-bias-rows-swapped",
        "GRU-EQ-5",
        "bias",
        "takes row 0 of the bias for the recurrent one",
        ("GRU",),
        weights=_two_rows(lambda b: b[::-1]),
    ),
    Variant(
        "gru-bias-rows-added",
        "GRU-EQ-5",
        "bias",
        "adds both rows of the bias to the input's product, as a cell with one bias does",
        ("GRU",),
        weights=_two_rows(lambda b: np.stack([b.sum(0), 0 * b[0]])),
    ),
    Variant(
        "gru-recurrent-bias-dropped",
        "GRU-EQ-5",
        "bias",
        "leaves out row 1 of the bias",
        ("GRU",),
        weights=_two_rows(_without(1)),
    ),
    Variant(
        "gru-input-bias-dropped",
        "GRU-EQ-5",
        "bias",
        "leaves out row 0 of the bias",
        ("GRU",),
        weights=_two_rows(_without(0)),
    ),
]
