"""The tests against distributions: right numbers pass, numbers that are a little wrong do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rnn_conformance.judging import statistics
from rnn_conformance.judging.families.initial import part_faults
from rnn_reference.initializers import Distribution, Orthogonal

SHAPE = (96, 256)
CASES: list[tuple[str, dict[str, float]]] = [
    ("uniform", {"low": -0.13, "high": 0.13}),
    ("normal", {"mean": 0.5, "stddev": 0.25}),
    ("truncated_normal", {"mean": -0.5, "stddev": 0.25}),
]


@pytest.mark.parametrize(("kind", "parameters"), CASES)
def test_right_numbers_pass(kind: str, parameters: dict[str, float]) -> None:
    for seed in range(20):
        drawn = Distribution(kind, parameters).draw(SHAPE, np.random.default_rng(seed))
        assert statistics.faults(kind, parameters, drawn, 2.0**-24) == []


@pytest.mark.parametrize(("kind", "parameters"), CASES)
@pytest.mark.parametrize("fault", ["scaled", "shifted", "other kind"])
def test_wrong_numbers_do_not(kind: str, parameters: dict[str, float], fault: str) -> None:
    rng = np.random.default_rng(0)
    drawn = Distribution(kind, parameters).draw(SHAPE, rng)
    mean = float(drawn.mean())
    wrong: Any = {
        "scaled": mean + (drawn - mean) * 1.15,
        "shifted": drawn + 0.1 * drawn.std(),
        "other kind": mean
        + drawn.std() * (rng.uniform(-1.7, 1.7, SHAPE) if kind != "uniform" else rng.normal(size=SHAPE)),
    }[fault]
    assert statistics.faults(kind, parameters, wrong, 2.0**-24) != []


def test_limits_of_a_gate_s_own_fan_are_noticed() -> None:
    """Glorot's limit computed per gate instead of for the whole kernel (INIT-3)."""
    whole, per_gate = np.sqrt(6 / (96 + 256)), np.sqrt(6 / (96 + 64))
    drawn = np.random.default_rng(1).uniform(-per_gate, per_gate, SHAPE)
    assert any(
        "range" in f for f in statistics.faults("uniform", {"low": -whole, "high": whole}, drawn, 2.0**-24)
    )


def test_orthogonal_constant_and_repeated() -> None:
    rng = np.random.default_rng(2)
    good = Orthogonal()((64, 256)).draw((64, 256), rng)
    part = {"kind": "orthogonal", "gain": 1.0}
    assert part_faults(part, good[None], 2.0**-53) == []
    per_gate = np.concatenate([Orthogonal()((64, 64)).draw((64, 64), rng) for _ in range(4)], axis=1)
    assert part_faults(part, per_gate[None], 2.0**-53) != []
    assert part_faults(part, np.eye(64, 256)[None], 2.0**-53) != []
    ones = {"kind": "constant", "value": 1.0}
    assert part_faults(ones, np.ones((1, 4)), 2.0**-24) == []
    assert part_faults(ones, np.array([[1, 1, 0, 1.0]]), 2.0**-24) == [
        "1 of 4 elements differ from constant; the first is 0"
    ]
    same = np.stack([rng.normal(size=64)] * 2)
    assert part_faults({"kind": "normal", "mean": 0, "stddev": 1}, same, 2.0**-24) == [
        "two seeds give the same numbers"
    ]
