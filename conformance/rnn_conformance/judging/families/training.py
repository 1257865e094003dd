"""Family ``training``: gradients, penalties, an epoch of gradient descent, prediction in batches."""

from __future__ import annotations

import numpy as np
from rnn_fixtures.case import Case

from rnn_conformance.contract.adapter import Model
from rnn_conformance.errors import AdapterFault
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families.calls import time_axis
from rnn_conformance.judging.families.outcome import Outcome, checked
from rnn_conformance.judging.verdict import Verdict, compare, named


def run(case: Case, bench: Bench) -> Outcome:
    """Do what the case's ``procedure`` says and compare with the golden results."""
    match case.argument("procedure"):
        case "gradients" | "gradients_carried":
            return gradients(case, bench)
        case "fit":
            return _compared(case, bench, *_fit(case, bench))
        case "predict":
            return _compared(case, bench, *_predict(case, bench))
        case other:
            raise ValueError(f"unknown procedure {other!r}")


def gradients(case: Case, bench: Bench) -> Outcome:
    """Outputs, penalties and gradients of one call, the last where a state is carried into it (GRAD-5)."""
    return _compared(case, bench, *_gradients(case, bench))


def _compared(
    case: Case, bench: Bench, model: Model, actual: dict[str, np.ndarray] | Verdict, fault: str | None
) -> Outcome:
    if isinstance(actual, Verdict):
        return Outcome.of(actual, model)
    expected = {name: bench.store.expected(ref) for name, ref in case.calls[-1].expected.items()}
    if set(actual) != set(expected):
        message = f"returned {', '.join(sorted(actual))}, expected {', '.join(sorted(expected))}"
        return Outcome.of(Verdict("shape", message=message), model)
    if fault is not None:
        return Outcome.of(Verdict("value", message=fault), model)
    axes = {"output": time_axis(case)}
    ordered = {name: actual[name] for name in expected}
    return Outcome.of(compare(expected, ordered, bench.dtype, axes), model, list(ordered.values()))


Found = tuple[Model, dict[str, np.ndarray] | Verdict, str | None]


def _gradients(case: Case, bench: Bench) -> Found:
    model = bench.model(case)
    *earlier, call = case.calls
    if earlier:
        model.reset_states()  # the model may have served another case
    for one in earlier:
        checked(model.call(**bench.call_arguments(one)))
    cotangents = [bench.array(ref) for name, ref in case.arrays.items() if name.startswith("cotangent")]
    found = model.gradients(**bench.call_arguments(call), cotangents=cotangents)
    shown = [name.removeprefix("cotangent ") for name in case.arrays if name.startswith("cotangent")]
    states = [f"gradient initial {name}" for name in ("h", "c")[: len(found.initial_state)]]
    returned = named(shown, checked(found.outputs))
    if isinstance(returned, Verdict):
        return model, returned, None
    actual = returned | {"gradient input": found.inputs}
    actual |= dict(zip(states, found.initial_state, strict=True))
    actual |= {f"gradient {name}": array for name, array in found.weights.items()}
    return model, actual | ({"losses": found.losses} if found.losses.size else {}), None


def _fit(case: Case, bench: Bench) -> Found:
    model = bench.model(case)
    detail = case.detail
    call, targets = case.calls[0], bench.array(case.arrays["targets"])
    mask = None if call.mask is None else bench.array(call.mask)
    try:
        weights, updates = model.fit(
            bench.array(call.input), targets, detail["batch_size"], detail["learning_rate"], mask
        )
    finally:
        bench.forget()  # its weights have moved
    if not isinstance(updates, int):
        raise AdapterFault(f"fit returned {type(updates).__name__} for the number of updates")
    # A layer that is not trained may count batches or nothing.
    wrong = updates != detail["batches"] and case.argument("trainable")
    return model, dict(weights), f"{updates} updates, expected {detail['batches']} (FIT-1)" if wrong else None


def _predict(case: Case, bench: Bench) -> Found:
    model = bench.model(case)
    detail = case.detail
    outputs, batches = model.predict(bench.array(case.calls[0].input), detail["batch_size"])
    actual = named(case.calls[0].expected, checked(outputs))
    wrong = batches != detail["batches"]
    return model, actual, f"{batches} batches, expected {detail['batches']} (FIT-5)" if wrong else None
