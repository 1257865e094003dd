"""Every family's procedure notices what it is there for: the reference, broken in one place at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.adapter import LayerSpec, Model, Unsupported
from rnn_conformance.errors import AdapterFault
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families import PROCEDURES
from rnn_conformance.judging.verdict import Verdict
from rnn_conformance.proving.variants import REGISTRY
from rnn_conformance.proving.variants.base import VariantAdapter
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store

STORE = Store()
CASES = {c.id: c for c in STORE.cases()}


class Tampered(NumpyAdapter):
    """The reference, with a model changed after it is built, or a spec before."""

    def __init__(
        self,
        after: Callable[[Any], None] = lambda model: None,
        before: Callable[[LayerSpec], LayerSpec] = lambda spec: spec,
    ) -> None:
        self.after, self.before = after, before

    def build(self, spec: LayerSpec) -> Model:
        model = super().build(self.before(spec))
        self.after(model)
        return model


def judged(case: Case, adapter: NumpyAdapter, dtype: str = "float64") -> Verdict:
    return PROCEDURES[case.family](case, Bench(adapter, STORE, dtype, "cpu")).verdict


def not_stacked(case: Case) -> bool:
    return not case.argument("stacked_dropout")


@pytest.mark.parametrize("family", sorted(PROCEDURES))
def test_the_reference_passes_a_case_of_each_family(family: str) -> None:
    chosen = [
        c for c in CASES.values() if c.family == family and c.argument("dtype_policy") in (None, "none")
    ]
    for case in chosen[:: max(len(chosen) // 12, 1)]:
        assert judged(case, Tampered()).verdict == "pass", case.id


# -- stateful ------------------------------------------------------------------------------------

STATEFUL = "lstm/stateful/return_sequences,return_state,stateful,scenario=reset"


@pytest.mark.parametrize("fault", ["never carries", "never resets", "carries the rows of others"])
def test_stateful(fault: str) -> None:
    def tamper(model: Any) -> None:
        layer = model._layer
        if fault == "never resets":
            layer.reset_states = lambda: None
            return
        plain = layer.trajectory

        def trajectory(*args: Any, **kwargs: Any) -> Any:
            result = plain(*args, **kwargs)
            layer._carried = None if fault == "never carries" else tuple(s[::-1] for s in result.states)
            return result

        layer.trajectory = trajectory

    found = judged(CASES[STATEFUL], Tampered(tamper))
    assert found.verdict == "value"
    assert "call" in found.message


# -- shapes --------------------------------------------------------------------------------------


def test_a_wrong_static_shape() -> None:
    case = CASES["gru/shapes/return_sequences,return_state,input_declaration=input_object_dynamic"]

    def tamper(model: Any) -> None:
        model.static_shapes = lambda: {"a guess": [(None, 5, 4), (None, 4)]}

    found = judged(case, Tampered(tamper))
    assert (found.verdict, found.message) == (
        "shape",
        "a guess says (None, 5, 4), (None, 4), expected (None, None, 4), (None, 4) (SHAPE-9)",
    )


# -- rejects -------------------------------------------------------------------------------------

REJECTS = "lstm/rejects/return_sequences,rejection={}"


def test_nothing_raised_is_accepted() -> None:
    def tamper(model: Any) -> None:
        model._layer._checked = lambda x, m, s: (x[:, :, :2], m, None)

    found = judged(CASES[REJECTS.format("features_more")], Tampered(tamper))
    assert found.verdict == "accepted"
    assert "(3, 5, 4)" in found.message


def test_the_adapter_s_own_error_does_not_count() -> None:
    def tamper(model: Any) -> None:
        def call(*args: Any, **kwargs: Any) -> Any:
            raise IndexError("a slip")

        model.call = call

    with pytest.raises(AdapterFault, match="the adapter itself raised"):
        judged(CASES[REJECTS.format("input_2d")], Tampered(tamper))


def test_an_error_before_its_time_is_no_refusal() -> None:
    def tamper(model: Any) -> None:
        model.set_weights = lambda weights: np.linalg.inv(np.zeros((2, 3)))

    with pytest.raises(np.linalg.LinAlgError):
        judged(CASES[REJECTS.format("input_2d")], Tampered(tamper))


def test_the_message_of_three_numbers() -> None:
    case = CASES[REJECTS.format("input_shape_with_batch")]
    assert judged(case, Tampered()).verdict == "pass"
    found = judged(replace(case, detail={**case.detail, "message": "something else"}), Tampered())
    assert found.verdict == "refused"
    assert "lacks 'something else'" in found.message


# -- initial -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["per gate", "no forget bias", "forget bias at the input gate"])
def test_initial(fault: str) -> None:
    def tamper(model: Any) -> None:
        weights = dict(model.initial_weights())
        if fault == "per gate":  # Glorot's limit from the fans of one gate
            weights["kernel"] = weights["kernel"] * np.sqrt((96 + 256) / (96 + 64))
        else:
            weights["bias"] = np.roll(weights["bias"], -64) if "input" in fault else 0 * weights["bias"]
        model.initial_weights = lambda: weights

    found = judged(CASES["lstm/initial/size=initial"], Tampered(tamper))
    assert found.verdict == "value"
    assert ("kernel" if fault == "per gate" else "bias[64:128]") in found.message


# -- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["truncated", "bias halved", "state forgotten", "penalty not divided"])
def test_gradients(fault: str) -> None:
    name = "lstm/training/mask=right,initial_state=given,return_state"
    if fault == "penalty not divided":
        name = next(
            c.id
            for c in CASES.values()
            if c.family == "training"
            and c.argument("activity_regularizer") != "none"
            and c.argument("procedure") == "gradients"
        )

    def tamper(model: Any) -> None:
        plain = model.gradients

        def gradients(*args: Any, **kwargs: Any) -> Any:
            found = plain(*args, **kwargs)
            match fault:
                case "truncated":
                    inputs = found.inputs.copy()
                    inputs[:, 0] = 0
                    return replace(found, inputs=inputs)
                case "bias halved":
                    return replace(found, weights={**found.weights, "bias": found.weights["bias"] / 2})
                case "state forgotten":
                    return replace(found, initial_state=[0 * g for g in found.initial_state])
            return replace(found, losses=found.losses * 3)

        model.gradients = gradients

    case = next((c for c in CASES.values() if c.id == name), None) or next(
        c
        for c in CASES.values()
        if c.family == "training" and c.argument("initial_state") == "given" and c.argument("mask") == "none"
    )
    assert judged(case, Tampered()).verdict == "pass"
    assert judged(case, Tampered(tamper)).verdict == "value"


@pytest.mark.parametrize(
    "fault", ["last batch dropped", "one update too many", "constraint before the update"]
)
def test_fit(fault: str) -> None:
    case = next(
        c
        for c in CASES.values()
        if c.family == "training"
        and c.argument("procedure") == "fit"
        and c.argument("kernel_constraint") == "non_neg"
    )

    def tamper(model: Any) -> None:
        plain = model.fit

        def fit(inputs: Any, targets: Any, batch_size: Any, rate: float, mask: Any) -> Any:
            if fault == "last batch dropped":
                whole = len(inputs) // (batch_size or 32) * (batch_size or 32)
                if whole == len(inputs):
                    whole -= 1
                return plain(inputs[:whole], targets[:whole], batch_size, rate)
            if fault == "one update too many":
                weights, updates = plain(inputs, targets, batch_size, rate)
                return weights, updates + 1
            model._layer.constraints = {}
            return plain(inputs, targets, batch_size, rate)

        model.fit = fit

    assert judged(case, Tampered()).verdict == "pass"
    assert judged(case, Tampered(tamper)).verdict == "value"


# -- precision -----------------------------------------------------------------------------------


def test_a_masked_nan_that_gets_through() -> None:
    case = CASES["lstm/precision/return_sequences,return_state,regime=nan_masked"]

    def tamper(model: Any) -> None:
        plain = model.call_training

        def call(inputs: Any, mask: Any, states: Any, training: Any) -> Any:
            outputs = plain(inputs, mask, states, training)
            return [o + 0 * np.nansum(inputs * 0 + np.isnan(inputs)) * np.nan for o in outputs]

        model.call_training = call

    assert judged(case, Tampered()).verdict == "pass"
    assert judged(case, Tampered(tamper)).verdict == "value"


def test_unsupported_is_passed_on() -> None:
    case = next(c for c in CASES.values() if c.argument("dtype_policy") == "mixed_float16")
    with pytest.raises(Unsupported, match="one dtype"):
        judged(case, Tampered(), "float16")


# -- callers' arrays -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["input-written-to", "mask-written-to", "state-written-to"])
def test_what_is_written_into_an_argument_reaches_no_other_case(name: str) -> None:  # CALL-1
    case = CASES["lstm/forward/mask=right,initial_state=given,return_sequences"]
    bench = Bench(VariantAdapter(REGISTRY[name]), STORE, "float64", "cpu")
    found = PROCEDURES[case.family](case, bench).verdict
    assert found.verdict == "value"
    assert "CALL-1" in found.message
    assert judged(case, Tampered()).verdict == "pass"
