"""Small scenarios, and what they need."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rnn_conformance.explaining.shrink import PASSES, needed, shrink
from rnn_conformance.judging.bench import Bench
from rnn_conformance.proving.variants import REGISTRY
from rnn_conformance.proving.variants.base import VariantAdapter
from rnn_conformance.running.worker import run_case
from rnn_fixtures.domain import Size
from rnn_fixtures.scenario import NoOracle, Numbers, Scenario

RNG = np.random.default_rng(5)


def scenario(layer: str = "LSTM", calls: int = 1, **arguments: object) -> Scenario:
    """A scenario with everything in it: B 3, T 5, F 2, U 4."""
    gates = 4 if layer == "LSTM" else 3
    bias = (2, gates * 4) if layer == "GRU" else (gates * 4,)

    def grid(*shape: int) -> np.ndarray:
        return RNG.integers(-64, 65, shape) / 64

    given = [
        Numbers(grid(3, 5, 2), RNG.random((3, 5)) < 0.6, grid(2 if layer == "LSTM" else 1, 3, 4))
        for _ in range(calls)
    ]
    weights = {"kernel": grid(2, gates * 4), "recurrent_kernel": grid(4, gates * 4), "bias": grid(*bias)}
    row = {"return_sequences": True, "return_state": True, "go_backwards": True, "reset_after": True}
    return Scenario(layer, row | arguments, weights, tuple(given))  # type: ignore[arg-type] # levels


def fails_with(name: str) -> Callable[[Scenario], bool]:
    adapter = VariantAdapter(REGISTRY[name])

    def fails(candidate: Scenario) -> bool:
        try:
            case, memory = candidate.to_case()
        except NoOracle:
            return False
        return run_case(Bench(adapter, memory, "float32", "cpu"), case).verdict == "value"

    return fails


@pytest.mark.parametrize(
    ("name", "layer", "size", "terms"),
    [
        ("mask-zeros", "LSTM", Size(1, 2, 1, 1), ["mask"]),
        ("gru-bias-rows-swapped", "GRU", Size(1, 1, 1, 1), []),
        ("initial-c-ignored", "LSTM", Size(1, 1, 1, 1), ["initial_state"]),
        ("output-reversed-back", "LSTM", Size(1, 2, 1, 1), ["go_backwards=true", "return_sequences=true"]),
        ("recurrent-transposed", "LSTM", Size(1, 1, 1, 2), ["initial_state"]),
    ],
)
def test_what_is_left(name: str, layer: str, size: Size, terms: list[str]) -> None:
    fails = fails_with(name)
    big = scenario(layer)
    assert fails(big)
    small = shrink(big, fails)
    assert fails(small)
    assert small.size == size
    assert sorted(needed(small, fails)) == sorted(terms)


def test_calls_are_dropped() -> None:
    fails = fails_with("state-not-carried")
    small = shrink(scenario("GRU", calls=4, stateful=True), fails)
    assert len(small.calls) == 2
    assert "stateful=true" in needed(small, fails)


def test_the_budget_is_kept() -> None:
    asked = []

    def fails(candidate: Scenario) -> bool:
        asked.append(candidate)
        return True

    shrink(scenario(), fails, budget=9)
    assert len(asked) == 9


def test_every_pass_keeps_a_scenario_consistent() -> None:
    """Whatever is proposed can be computed, for calls and for gradients."""
    plain = scenario("GRU", stateful=True, calls=2)
    shape = (3, 5, 4)
    gradients = Scenario(
        "LSTM",
        {"return_sequences": True, "return_state": True, "time_major": True},
        scenario().weights,
        scenario().calls,
        {"output": np.ones(shape), "h": np.ones((3, 4)), "c": np.ones((3, 4))},
    )
    for start in (plain, gradients):
        for simpler in PASSES:
            for candidate in simpler(start):
                case, memory = candidate.to_case()
                for call in case.calls:
                    assert all(memory.expected(ref).value.size for ref in call.expected.values())
