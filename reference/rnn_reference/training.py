"""Losses, and one epoch of stochastic gradient descent (FIT-1 to FIT-4), over every arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnn_reference.constraints import Constraint
from rnn_reference.regularizers import Regularizer
from rnn_reference.shapes import WEIGHTS
from rnn_reference.tape import gradients


@dataclass(frozen=True)
class Penalties:
    """Regularizers by weight, and that of the outputs (REG-1, REG-2)."""

    weights: Mapping[str, Regularizer] = field(default_factory=dict)
    activity: Regularizer | None = None

    def of(self, results: list[Any], weights: Mapping[str, Any]) -> list[Any]:
        """One penalty [1, 1] for each: every returned array's activity, divided by the batch size, then the weights."""
        found = []
        if self.activity is not None:
            found += [self.activity(r) / float(r.shape[0]) for r in results]
        return found + [
            self.weights[name](weights[name]) for name in WEIGHTS if name in self.weights and name in weights
        ]


def fit(
    call: Callable[[Any, Mapping[str, Any]], Any],
    weights: Mapping[str, Any],
    inputs: Any,
    targets: Any,
    *,
    batch_size: int,
    learning_rate: float,
    penalties: Penalties,
    constraints: Mapping[str, Constraint],
) -> tuple[dict[str, Any], int]:
    """One epoch of plain gradient descent on the mean squared error, samples in their order.

    Parameters
    ----------
    call : function
        The layer: (inputs, weights) to its output, over taped arrays.
    inputs : array [N, T, F]
    targets : array [N, U] or [N, T, U]
    batch_size : int
        Samples before each update; the last update sees what is left (FIT-1).

    Returns
    -------
    weights, updates
        The weights after the epoch, and ceil(N / batch_size).
    """
    updates = 0
    current = dict(weights)
    for start in range(0, inputs.shape[0], batch_size):
        batch = slice(start, start + batch_size)
        wanted = targets[batch]

        def compute(taped: Mapping[str, Any], batch: slice = batch) -> list[Any]:
            output = call(inputs[batch], taped)
            return [output, *penalties.of([output], taped)]

        def cotangents(values: list[Any], wanted: Any = wanted) -> list[Any]:
            output, *rest = values
            error = (output - wanted) * 2 / float(np.prod(output.shape))  # FIT-2
            return [error, *(np.zeros_like(r) + 1 for r in rest)]

        _, slopes = gradients(compute, current, cotangents)
        for name, slope in slopes.items():
            moved = current[name] - slope * learning_rate
            current[name] = constraints[name](moved) if name in constraints else moved
        updates += 1
    return current, updates
