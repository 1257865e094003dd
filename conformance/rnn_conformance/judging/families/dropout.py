"""Family ``dropout``: off when not training, fresh masks of the stated structure and rate, and replay through the reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.domain import Size
from rnn_fixtures.problem import Lift
from rnn_fixtures.store import Expected
from rnn_reference.config import LayerConfig
from rnn_reference.noisy import NoiseSource
from rnn_reference.recurrence import DropoutMasks

from rnn_conformance.contract.adapter import DTYPES, Model
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.dropout_probe import Probe, ProbeError, Recovered, recover_between
from rnn_conformance.judging.families.calls import time_axis
from rnn_conformance.judging.families.outcome import Outcome, checked
from rnn_conformance.judging.statistics import FALSE_ALARM
from rnn_conformance.judging.verdict import Verdict, compare, named

TRAINING = {"unset": None, "false": False, "true": True}
NOISE_SEED = 11
# So many samples' sensitivities are computed at a time: what these take stays in the processor's cache.
TOGETHER = 50


def run(case: Case, bench: Bench) -> Outcome:
    """Without effect: compare with the golden numbers. With effect: recover, check, replay."""
    model = bench.model(case)
    if case.detail.get("stack"):
        try:
            return _stack(case, bench, model)
        finally:
            bench.forget()
    arguments = bench.call_arguments(case.calls[0])
    training = TRAINING[str(case.argument("training"))]
    if case.detail["replay"]:
        try:
            return _replay(case, bench, model)
        finally:
            bench.forget()  # probing has changed its weights
    expected = {name: bench.store.expected(ref) for name, ref in case.calls[0].expected.items()}
    outputs = checked(model.call_training(**arguments, training=training))
    actual = named(expected, outputs)
    if isinstance(actual, Verdict):
        return Outcome.of(actual, model, outputs)
    return Outcome.of(compare(expected, actual, bench.dtype, {"output": time_axis(case)}), model, outputs)


def _replay(case: Case, bench: Bench, model: Model) -> Outcome:
    arguments = bench.call_arguments(case.calls[0])
    expected_names = [
        "output",
        *(LayerConfig.of(case.layer, case.arguments).state_names if case.argument("return_state") else ()),
    ]
    model.rewind()
    found_first = named(expected_names, checked(model.call_training(**arguments, training=True)))
    if isinstance(found_first, Verdict):
        return Outcome.of(found_first, model)
    first, second = found_first["output"], checked(model.call_training(**arguments, training=True))[0]
    if np.array_equal(first, second):
        return _wrong(model, "two calls in training gave the same outputs: masks are not fresh (DROP-1)")
    try:
        found = _recover(case, bench, model)
    except ProbeError as error:
        return _wrong(model, str(error))
    fault = _structure_fault(case, found) or _rate_fault(case, found)
    if fault:
        return _wrong(model, fault)
    model.set_weights(bench.weights(case))
    model.rewind()
    output, *_ = checked(model.call_training(**arguments, training=True))
    expected = _reference(case, bench, found)
    verdict = compare({"output": expected}, {"output": output}, bench.dtype, {"output": time_axis(case)})
    if verdict.verdict == "pass":
        names = structure(found.inputs) if case.argument("dropout") else "none"
        verdict = replace(verdict, message=f"input mask: {names}")
    return Outcome.of(verdict, model, [output])


def _wrong(model: Model, message: str) -> Outcome:
    return Outcome.of(Verdict("value", message=message), model)


def _recover(case: Case, bench: Bench, model: Model) -> Recovered:
    size: Size = case.size
    ones = np.ones((size.B, size.T), bool) if case.calls[0].mask is not None else None

    def call(inputs: np.ndarray, states: list[np.ndarray]) -> np.ndarray:
        return checked(model.call_training(inputs, ones, states, training=True))[0]

    return Probe(
        layer=case.layer,
        reset_after=bool(case.argument("reset_after")),
        size=size,
        rates={"input": case.argument("dropout"), "recurrent": case.argument("recurrent_dropout")},
        dtype=DTYPES[bench.dtype],
        set_weights=model.set_weights,
        rewind=model.rewind,
        call=call,
    ).recover()


def structure(masks: np.ndarray) -> str:
    """Which alternative of DROP-3 masks [n, T, B, F] follow."""
    over_time = bool((masks == masks[:, :1]).all())
    over_gates = bool((masks == masks[:1]).all())
    names = {
        (True, True): "one mask",
        (True, False): "one per gate",
        (False, True): "one per step",
        (False, False): "one per gate and step",
    }
    return names[over_time, over_gates]


def _structure_fault(case: Case, found: Recovered) -> str | None:
    if case.argument("dropout"):
        seen, allowed = structure(found.inputs), case.detail["structures"]
        if seen not in allowed:
            return f"the input mask is {seen}, expected {' or '.join(allowed)} (DROP-3)"
    if case.argument("recurrent_dropout"):
        # Entries that no output shows count as whatever fits.
        readable = found.determined["recurrent"].all(axis=1, keepdims=True)
        steps = np.where(readable, found.recurrent, 0)
        seen = structure(steps)
        if seen != "one per gate":
            return f"the recurrent mask is {seen}, expected one per gate (DROP-4)"
    return None


def share_fault(what: str, drawn: np.ndarray, rate: float) -> str | None:
    """Why a share of zeros is not that of independent draws: by the tail bound of Chernoff and Hoeffding (INIT-6)."""
    share, n = float((drawn == 0).mean()), drawn.size
    if n * divergence(share, rate) <= math.log(2 / FALSE_ALARM):
        return None
    return f"{share:.3f} of the {what} is 0 ({n} numbers), expected {rate} (DROP-2)"


def divergence(share: float, rate: float) -> float:
    """Relative entropy of a share of zeros against a rate."""
    parts = ((share, rate), (1 - share, 1 - rate))
    return sum(p * math.log(p / q) for p, q in parts if p > 0)


def _repeated_fault(what: str, masks: np.ndarray) -> str | None:
    """Whether samples share their masks, [n, T, B, width]."""
    same = (masks == masks[:, :, :1]).all(axis=(0, 1, 3))
    return f"every sample has the same {what} (DROP-2)" if len(same) > 1 and same.all() else None


def _rate_fault(case: Case, found: Recovered) -> str | None:
    """Share of zeros against the rate, over the masks that are drawn independently of each other."""
    for kind, rate, masks in (
        ("input", case.argument("dropout"), found.inputs),
        ("recurrent", case.argument("recurrent_dropout"), found.recurrent),
    ):
        if not rate:
            continue
        known = found.determined[kind]
        seen = structure(masks)
        gates = slice(None) if "gate" in seen else slice(1)
        steps = slice(None) if "step" in seen else slice(1)
        drawn = masks[gates, steps][known[gates, steps]]
        fault = _repeated_fault(f"{kind} mask", masks) or share_fault(f"{kind} mask", drawn, rate)
        if fault:
            return fault
    return None


def _reference(case: Case, bench: Bench, found: Recovered) -> Expected:
    """The reference's output with the recovered masks, with both sensitivities."""
    call = case.calls[0]
    config = LayerConfig.of(case.layer, case.arguments)
    weights = {name: bench.store.exact(ref).astype(np.float64) for name, ref in case.weights.items()}
    inputs = bench.store.exact(call.input).astype(np.float64)
    states = [bench.store.exact(ref).astype(np.float64) for ref in call.initial_state or ()]
    mask = None if call.mask is None else bench.store.exact(call.mask)

    def output(lift: Lift, samples: slice) -> Any:
        return config.forward(
            lift(inputs[samples]),
            weights,
            initial_state=tuple(lift(s[samples]) for s in states) or None,
            mask=None if mask is None else mask[samples],
            dropout=DropoutMasks(found.inputs[:, :, samples], found.recurrent[:, :, samples]),
        ).outputs

    return _expected(output, len(inputs))


def _expected(output: Callable[[Lift, slice], Any], count: int) -> Expected:
    """What a computation gives for samples that do not depend on each other, with both sensitivities."""
    parts = [
        output(NoiseSource(NOISE_SEED, strict=None).lift, slice(start, start + TOGETHER)).sensitivities
        for start in range(0, count, TOGETHER)
    ]
    free, strict = np.concatenate(parts, axis=1)
    return Expected(output(np.asarray, slice(None)), np.maximum(free, strict), strict)


def _stack(case: Case, bench: Bench, model: Model) -> Outcome:
    """Two layers with dropout between them: the same checks."""
    rate = float(case.argument("stacked_dropout"))
    arguments = bench.call_arguments(case.calls[0])

    def call(training: bool) -> np.ndarray:
        return checked(model.call_training(**arguments, training=training))[0]

    ones = np.ones((case.size.T, case.size.B, case.size.U))
    inferred = named(["output"], checked(model.call_training(**arguments, training=False)))
    if isinstance(inferred, Verdict):
        return Outcome.of(inferred, model)
    inference = compare({"output": _stacked(case, bench, ones)}, inferred, bench.dtype)
    if inference.verdict != "pass":
        return Outcome.of(inference, model)
    if np.array_equal(call(True), call(True)):
        return _wrong(model, "two calls in training gave the same outputs: masks are not fresh (DROP-1)")
    try:
        mask = recover_between(
            case.layer,
            bool(case.argument("reset_after")),
            case.size,
            rate,
            DTYPES[bench.dtype],
            model.set_weights,
            model.rewind,
            lambda x: checked(model.call_training(x, None, None, training=True))[0],
        )
    except ProbeError as error:
        return _wrong(model, str(error))
    if (mask == mask[:1]).all():
        return _wrong(model, "the mask between the layers is the same at every step (DROP-5)")
    if fault := _repeated_fault("mask", mask[None]) or share_fault("mask", mask, rate):
        return _wrong(model, fault)
    model.set_weights(bench.weights(case))
    model.rewind()
    output = call(True)
    verdict = compare({"output": _stacked(case, bench, mask)}, {"output": output}, bench.dtype, {"output": 1})
    return Outcome.of(verdict, model, [output])


def _stacked(case: Case, bench: Bench, mask: np.ndarray) -> Expected:
    """The reference's two layers, the first one's outputs times a mask [T, B, U]."""
    exact = {name: bench.store.exact(ref).astype(np.float64) for name, ref in case.weights.items()}
    inputs = bench.store.exact(case.calls[0].input).astype(np.float64)
    network, between = case.network, mask.swapaxes(0, 1)

    def output(lift: Lift, samples: slice) -> Any:
        result = network.forward(lift(inputs[samples]), exact, between=between[samples])
        return network.views(result)["output"]

    return _expected(output, len(inputs))
