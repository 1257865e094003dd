"""The members of the kit."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from rnn_fixtures.problem import Problem

from .layer import Choices, run

EVERY = ("float64", "float32", "float16", "bfloat16")
# Those with a wider dtype at hand.
NARROW = ("float32", "float16", "bfloat16")
SHORT = ("float16", "bfloat16")
SINGLE = ("float32",)


@dataclass(frozen=True)
class Implementation:
    """One correct implementation, and the dtypes in which it makes sense."""

    choices: Choices
    dtypes: tuple[str, ...]

    def run(self, problem: Problem, dtype: str) -> dict[str, np.ndarray]:
        """``outputs`` [B, T, U] in processing order, ``h`` and, for an LSTM, ``c`` [B, U]."""
        return run(problem, dtype, self.choices)


_SHOWN = {"product": "sum", "gates": "from"}


def _name(choices: Choices) -> str:
    parts = []
    for field in fields(choices):
        value = getattr(choices, field.name)
        if value != field.default:
            shown = _SHOWN.get(field.name, field.name)
            parts.append(shown if value is True else f"{shown}={value}")
    return ",".join(parts) or "plain"


def _members() -> list[tuple[tuple[str, ...], Choices]]:
    return [
        (EVERY, Choices()),
        # Orders of summation.
        (EVERY, Choices(product="forward")),
        (EVERY, Choices(product="backward")),
        (EVERY, Choices(product="pairwise")),
        (EVERY, Choices(product="lanes4")),
        (EVERY, Choices(product="lanes8")),
        (EVERY, Choices(product="lanes16")),
        (EVERY, Choices(product="split2")),
        (EVERY, Choices(product="split3")),
        (EVERY, Choices(product="split4")),
        (EVERY, Choices(product="compensated")),
        (SINGLE, Choices(product="einsum")),
        (NARROW, Choices(product="fused")),
        (NARROW, Choices(product="wide")),
        (SINGLE, Choices(product="three_parts")),
        # What accumulators start from.
        (EVERY, Choices(gates="late_bias", product="forward")),
        (EVERY, Choices(gates="input", product="forward")),
        (EVERY, Choices(gates="input", product="backward")),
        (EVERY, Choices(gates="input", product="lanes8")),
        (NARROW, Choices(gates="input", product="fused")),
        (NARROW, Choices(gates="input", product="wide")),
        (EVERY, Choices(gates="bias", product="forward")),
        (EVERY, Choices(gates="state", product="forward")),
        (EVERY, Choices(gates="joint")),
        (EVERY, Choices(gates="joint", product="forward")),
        (EVERY, Choices(gates="joint", product="pairwise")),
        (EVERY, Choices(gates="joint", product="lanes8")),
        (NARROW, Choices(gates="joint_bias", product="fused")),
        (EVERY, Choices(gates="joint_state", product="forward")),
        # Forms of the updates.
        (NARROW, Choices(update="kept_fused", cell="fused")),
        (EVERY, Choices(update="towards_state")),
        (NARROW, Choices(update="towards_state_fused", cell="fused_input")),
        (EVERY, Choices(update="towards_candidate")),
        (EVERY, Choices(update="distributed")),
        (EVERY, Choices(update="complement")),
        # Forms of the functions.
        (EVERY, Choices(sigmoid="branches", tanh="expm1", others=1)),
        (EVERY, Choices(sigmoid="tanh", tanh="exp", others=2)),
        (EVERY, Choices(sigmoid="half_tanh", tanh="sigmoid")),
        (NARROW, Choices(sigmoid="rational", tanh="rational")),
        (NARROW, Choices(sigmoid="wide", tanh="wide", wide=True, others=1)),
        # Other arithmetics.
        (SHORT, Choices(inside="float32")),
        (SHORT, Choices(inside="float32", states="kept")),
        (SINGLE, Choices(inside="float64")),
        (NARROW, Choices(flush=True)),
        # As libraries combine them.
        (NARROW, Choices("fused", "input", "towards_state", sigmoid="rational", tanh="rational")),
        (SHORT, Choices("forward", "joint", "towards_candidate", inside="float32", others=1)),
        (EVERY, Choices("lanes4", "joint_bias", "towards_candidate", sigmoid="tanh", tanh="exp", others=2)),
        (NARROW, Choices("wide", "state", "towards_state", sigmoid="branches", others=1, flush=True)),
    ]


KIT: dict[str, Implementation] = {
    _name(choices): Implementation(choices, dtypes) for dtypes, choices in _members()
}
