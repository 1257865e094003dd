"""Faults that show in few places: in one size, in the last bits of the input, at a later call, in shapes that would broadcast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from rnn_reference import elementary
from rnn_reference.recurrence import DropoutMasks

from rnn_conformance.contract.adapter import Gradients, LayerSpec
from rnn_conformance.proving.variants.base import Variant, Weights, on_call, on_layer
from rnn_conformance.proving.variants.numbers import rounded

Apply = Callable[[Any, LayerSpec], None]


# -- casts ---------------------------------------------------------------------------------------


def _cast(name: str, bits: int) -> Apply:
    """An argument of every call in fewer bits."""

    def change(given: dict[str, Any], spec: LayerSpec) -> dict[str, Any]:
        value = given[name]
        if value is None:
            return given
        short = (
            [rounded(a, bits) for a in value] if isinstance(value, (list, tuple)) else rounded(value, bits)
        )
        return given | {name: short}

    return on_call(change)


# -- square matrices -----------------------------------------------------------------------------


def _swapped(weights: Weights, spec: LayerSpec) -> Weights:
    kernel, recurrent = weights["kernel"], weights["recurrent_kernel"]
    square = kernel.shape == recurrent.shape
    return weights | {"kernel": recurrent, "recurrent_kernel": kernel} if square else weights


def _transposed(name: str) -> Callable[[Weights, LayerSpec], Weights]:
    """Each gate's block transposed, where that is a matrix of the same shape."""

    def change(weights: Weights, spec: LayerSpec) -> Weights:
        blocks = np.split(weights[name], 4 if spec.layer == "LSTM" else 3, axis=1)
        square = blocks[0].shape[0] == blocks[0].shape[1] and name == "kernel"
        return weights | {name: np.concatenate([b.T for b in blocks], axis=1)} if square else weights

    return change


# -- calls ---------------------------------------------------------------------------------------


def _cached_by(kept: str) -> Apply:
    """Weights that are looked up by one of them: others with the same are not noticed."""

    def apply(model: Any, spec: LayerSpec) -> None:
        plain = model.set_weights
        cache: dict[bytes, Any] = {}

        def set_weights(weights: Any) -> None:
            plain(cache.setdefault(weights[kept].tobytes(), dict(weights)))

        model.set_weights = set_weights

    return apply


def _written_to(name: str) -> Apply:
    """The caller's array is used as a workspace."""

    def apply(model: Any, spec: LayerSpec) -> None:
        plain = model.call_training

        def call_training(inputs: Any, mask: Any, initial_state: Any, training: Any) -> list[np.ndarray]:
            outputs = plain(inputs, mask, initial_state, training)
            given = {"inputs": inputs, "mask": mask, "initial_state": (initial_state or [None])[0]}[name]
            if given is not None and given.size:
                given[...] = np.zeros_like(given)
            return outputs

        model.call_training = call_training

    return apply


def _wrong_from_call(number: int) -> Apply:
    def apply(model: Any, spec: LayerSpec) -> None:
        plain, calls = model.call_training, [0]

        def call_training(*args: Any, **kwargs: Any) -> list[np.ndarray]:
            calls[0] += 1
            outputs = plain(*args, **kwargs)
            return [0 * o for o in outputs] if calls[0] >= number else outputs

        model.call_training = call_training

    return apply


def _lengths(change: Callable[[np.ndarray, int], np.ndarray]) -> Apply:
    def apply(model: Any, spec: LayerSpec) -> None:
        plain = model.call_lengths

        def call_lengths(inputs: Any, lengths: Any) -> list[np.ndarray]:
            fits = (
                lengths.shape == inputs.shape[:1]
                and (lengths >= 0).all()
                and (lengths <= inputs.shape[1]).all()
            )
            return plain(inputs, change(lengths, inputs.shape[1]) if fits else lengths)

        model.call_lengths = call_lengths

    return apply


# -- gradients -----------------------------------------------------------------------------------


def _gradients(
    when: Callable[[Gradients, LayerSpec], bool], change: Callable[[Gradients, LayerSpec], Gradients]
) -> Apply:
    def apply(model: Any, spec: LayerSpec) -> None:
        plain = model.gradients

        def gradients(*args: Any, **kwargs: Any) -> Gradients:
            found = plain(*args, **kwargs)
            return change(found, spec) if when(found, spec) else found

        model.gradients = gradients

    return apply


def _cut_at_32(found: Gradients, spec: LayerSpec) -> Gradients:
    """Backpropagation that stops 32 steps before the last one processed."""
    inputs = found.inputs.copy()
    steps = inputs.swapaxes(0, 1) if not spec.arguments["time_major"] else inputs
    (steps[32:] if spec.arguments["go_backwards"] else steps[:-32])[...] = 0
    return replace(found, inputs=inputs)


def _off(found: Gradients, spec: LayerSpec) -> Gradients:
    """The recurrent kernel's gradient, off by a thousandth."""
    moved = found.weights["recurrent_kernel"] * np.asarray(1 + 2.0**-10, found.inputs.dtype)
    return replace(found, weights={**found.weights, "recurrent_kernel": moved})


def _steps(found: Gradients, spec: LayerSpec) -> int:
    return found.inputs.shape[0 if spec.arguments["time_major"] else 1]


def _wrong_when(name: str, summary: str, when: Callable[[Gradients, LayerSpec], bool]) -> Variant:
    return Variant(f"gradient-{name}", "GRAD-1", "gradient", summary, model=_gradients(when, _off))


class _OneAtZero:
    """max(x, 0) with derivative 1 at 0."""

    def __call__(self, a: Any, b: Any) -> np.ndarray:
        return _exceeds(a, b) | ((np.asarray(a) == 0) & (np.asarray(b) == 0))


_exceeds = elementary.exceeds


# -- broadcasting --------------------------------------------------------------------------------


def _states_broadcast(given: dict[str, Any], spec: LayerSpec) -> dict[str, Any]:
    if given["initial_state"] is None or given["inputs"].ndim != 3:
        return given
    batch = given["inputs"].shape[1 if spec.arguments["time_major"] else 0]
    fits = all(s.shape[0] in (1, batch) and s.shape[1] in (1, spec.size.U) for s in given["initial_state"])
    spread = [np.broadcast_to(s, (batch, spec.size.U)) for s in given["initial_state"]] if fits else None
    return given | ({"initial_state": spread} if fits else {})


def _mask_broadcast(given: dict[str, Any], spec: LayerSpec) -> dict[str, Any]:
    mask = given["mask"]
    one_row = mask is not None and mask.shape[0] == 1
    return given | {"mask": np.broadcast_to(mask, given["inputs"].shape[:2])} if one_row else given


def _weights_broadcast(weights: Weights, spec: LayerSpec) -> Weights:
    size, found = spec.size, dict(weights)
    for name, rows in (("kernel", size.F), ("recurrent_kernel", size.U)):
        if found[name].shape[0] == 1:
            found[name] = np.broadcast_to(found[name], (rows, found[name].shape[1]))
    bias, both = found.get("bias"), spec.layer == "GRU" and spec.reset_after
    if bias is not None and both and bias.ndim == 1:
        found["bias"] = np.stack([bias, 0 * bias])
    if bias is not None and not both and bias.ndim == 2:
        found["bias"] = bias.sum(0)
    return found


# -- what is random ------------------------------------------------------------------------------


def _masks(change: Callable[[np.ndarray], np.ndarray]) -> Apply:
    def apply(layer: Any, spec: LayerSpec) -> None:
        plain = layer._draw_dropout

        def draw(inputs: Any) -> DropoutMasks:
            masks = plain(inputs)
            return DropoutMasks(change(masks.inputs), change(masks.recurrent))

        layer._draw_dropout = draw

    return on_layer(apply)


def _rate_off(layer: Any, spec: LayerSpec) -> None:
    """Drops 0.05 more than it says, and scales as it says."""
    plain, rates = layer._draw_dropout, (layer.dropout, layer.recurrent_dropout)

    def draw(inputs: Any) -> DropoutMasks:
        layer.dropout, layer.recurrent_dropout = (r + 0.05 * (r > 0) for r in rates)
        try:
            masks = plain(inputs)
        finally:
            layer.dropout, layer.recurrent_dropout = rates
        scaled = (
            np.where(m > 0, 1 / (1 - r), 0).astype(m.dtype)
            for m, r in zip((masks.inputs, masks.recurrent), rates, strict=True)
        )
        return DropoutMasks(*scaled)

    layer._draw_dropout = draw


def _signs_kept(model: Any, spec: LayerSpec) -> None:
    """Orthogonal matrices as a QR decomposition leaves them."""
    plain = model.initial_weights
    drawn = [
        n
        for n in ("kernel", "recurrent")
        if "orthogonal" in str(spec.arguments.get(f"{n}_initializer")).lower()
    ]

    def initial_weights() -> Any:
        found = dict(plain())
        for short in drawn:
            name = "kernel" if short == "kernel" else "recurrent_kernel"
            found[name] = found[name] * -np.sign(found[name][0, 0])
        return found

    model.initial_weights = initial_weights


# -- functions far out ---------------------------------------------------------------------------


def _naive(name: str, function: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(arguments: dict[str, Any]) -> dict[str, Any]:
        keys = [k for k in ("activation", "recurrent_activation") if arguments.get(k) == name]
        return arguments | dict.fromkeys(keys, function)

    return change


def _log_softmax(x: Any) -> Any:
    e = np.exp(x)
    return np.log(e / e.sum(axis=-1, keepdims=True))


def _cast_variant(name: str, bits: int, summary: str, argument: str) -> Variant:
    return Variant(name, "PREC-2", "precision", summary, model=_cast(argument, bits))


VARIANTS: list[Variant] = [
    _cast_variant("inputs-in-bfloat16", 8, "casts inputs to bfloat16", "inputs"),
    _cast_variant("inputs-in-tf32", 11, "casts inputs to 11 bits: TF32, float16", "inputs"),
    _cast_variant("states-in-bfloat16", 8, "casts initial states to bfloat16", "initial_state"),
    Variant(
        "weights-in-bfloat16",
        "PREC-2",
        "precision",
        "casts weights to bfloat16",
        weights=lambda weights, spec: {n: rounded(w, 8) for n, w in weights.items()},
    ),
    Variant("square-kernels-swapped", "WEIGHT-1", "layout", "swaps the two kernels where they have one shape", weights=_swapped),
    Variant("square-kernel-transposed", "WEIGHT-1", "layout", "transposes the kernel's blocks where they are square", weights=_transposed("kernel")),
    Variant("weights-cached-by-kernel", "WEIGHT-5", "cache", "keeps the other weights while the kernel stays", model=_cached_by("kernel")),
    Variant("weights-cached-by-recurrent-kernel", "WEIGHT-5", "cache", "keeps the other weights while the recurrent kernel stays", model=_cached_by("recurrent_kernel")),
    Variant("input-written-to", "CALL-1", "caller", "uses the caller's input as a workspace", model=_written_to("inputs")),
    Variant("mask-written-to", "CALL-1", "caller", "uses the caller's mask as a workspace", model=_written_to("mask")),
    Variant("state-written-to", "CALL-1", "caller", "updates the caller's initial state in place", model=_written_to("initial_state")),
    Variant("wrong-from-call-50", "CARRY-1", "caller", "gives zeros from the fiftieth call on", model=_wrong_from_call(50)),
    Variant("lengths-ignored", "SHAPE-11", "lengths", "computes the padding too", model=_lengths(lambda lengths, steps: np.full_like(lengths, steps))),
    Variant("lengths-left-sorted", "SHAPE-11", "lengths", "takes the lengths in falling order", model=_lengths(lambda lengths, steps: np.sort(lengths)[::-1].copy())),
    Variant("lengths-zero-is-one", "SHAPE-11", "lengths", "computes a step of an empty row", model=_lengths(lambda lengths, steps: np.maximum(lengths, 1))),
    Variant("gradient-cut-at-32-steps", "GRAD-1", "gradient", "goes back 32 steps at most", model=_gradients(lambda g, s: _steps(g, s) > 32, _cut_at_32)),
    _wrong_when("wrong-beyond-8-units", "is off for more than 8 units", lambda g, s: s.size.U > 8),
    _wrong_when("wrong-beyond-16-steps", "is off for more than 16 steps", lambda g, s: _steps(g, s) > 16),
    _wrong_when("wrong-beyond-4-features", "is off for more than 4 features", lambda g, s: s.size.F > 4),
    _wrong_when("wrong-beyond-32-samples", "is off for more than 32 samples", lambda g, s: s.size.B > 32),
    _wrong_when("wrong-for-one-step", "is off for a single step", lambda g, s: _steps(g, s) == 1),
    Variant("relu-derivative-one-at-zero", "GRAD-4", "gradient", "takes 1 for the derivative of relu at 0", functions={"elementary.exceeds": _OneAtZero()}),
    Variant("states-broadcast", "STATE-2", "refusals", "broadcasts initial states", model=on_call(_states_broadcast)),
    Variant("mask-broadcast", "MASK-1", "refusals", "broadcasts a mask of one row", model=on_call(_mask_broadcast)),
    Variant("weights-broadcast", "WEIGHT-1", "refusals", "broadcasts weights of one row, and makes biases fit", weights=_weights_broadcast),
    Variant(
        "units-whole-float",
        "WEIGHT-1",
        "refusals",
        "takes 4.0 for 4",
        arguments=lambda a: a | ({"units": int(a["units"])} if isinstance(a["units"], float) and a["units"].is_integer() else {}),
    ),
    Variant("dropout-repeated-over-batch", "DROP-2", "dropout", "drops the same for every sample", model=_masks(lambda m: np.broadcast_to(m[:, :, :1], m.shape).copy())),
    Variant("dropout-rate-off", "DROP-2", "dropout", "drops 0.05 more than it says", model=on_layer(_rate_off)),
    Variant("orthogonal-without-signs", "INIT-5", "initial values", "leaves the signs of a QR decomposition", model=_signs_kept),
    Variant("softplus-naive", "ACT-SOFTPLUS", "activation", "overflows for large x", arguments=_naive("softplus", lambda x: np.log(1 + np.exp(x)))),
    Variant("log-sigmoid-naive", "ACT-LOG-SIGMOID", "activation", "overflows for large -x", arguments=_naive("log_sigmoid", lambda x: -np.log(1 + np.exp(-x)))),
    Variant("log-softmax-naive", "ACT-LOG-SOFTMAX", "activation", "overflows for large x", arguments=_naive("log_softmax", _log_softmax)),
]  # fmt: skip
