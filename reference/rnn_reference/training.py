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


def error_slope(output: Any, wanted: Any, mask: np.ndarray | None) -> Any:
    """The derivative of a batch's mean squared error with respect to its output (FIT-2).

    Parameters
    ----------
    output, wanted : array [B, U] or [B, T, U]
    mask : bool array [B, T], optional
        As the layer hands it on (MASK-8): the places of the output whose errors are averaged.
    """
    if mask is None:
        return (output - wanted) * 2 / float(np.prod(output.shape))
    error = (output - wanted) * 2 / float(mask.sum() * output.shape[-1])
    return np.where(mask[..., None], error, np.zeros_like(error))


def fit(
    call: Callable[[Any, Mapping[str, Any], np.ndarray | None], Any],
    weights: Mapping[str, Any],
    inputs: Any,
    targets: Any,
    *,
    batch_size: int,
    learning_rate: float,
    penalties: Penalties,
    constraints: Mapping[str, Constraint],
    mask: np.ndarray | None = None,
) -> tuple[dict[str, Any], int]:
    """One epoch of plain gradient descent on the mean squared error, samples in their order.

    Parameters
    ----------
    call : function
        The layer: (inputs, weights, mask) to its output, over taped arrays.
    inputs : array [N, T, F]
    targets : array [N, U] or [N, T, U]
    batch_size : int
        Samples before each update; the last update sees what is left (FIT-1).
    mask : bool array [N, T], optional
        Every batch needs a valid step (FIT-2).

    Returns
    -------
    weights, updates
        The weights after the epoch, and ceil(N / batch_size).
    """
    updates = 0
    current = dict(weights)
    for start in range(0, inputs.shape[0], batch_size):
        batch = slice(start, start + batch_size)
        wanted, valid = targets[batch], None if mask is None else mask[batch]

        def compute(
            taped: Mapping[str, Any], batch: slice = batch, valid: np.ndarray | None = valid
        ) -> list[Any]:
            output = call(inputs[batch], taped, valid)
            return [output, *penalties.of([output], taped)]

        def cotangents(
            values: list[Any], wanted: Any = wanted, valid: np.ndarray | None = valid
        ) -> list[Any]:
            output, *rest = values
            handed_on = valid if len(output.shape) == 3 else None  # MASK-8
            error = error_slope(output, wanted, handed_on)
            return [error, *(np.zeros_like(r) + 1 for r in rest)]

        _, slopes = gradients(compute, current, cotangents)
        for name, slope in slopes.items():
            moved = current[name] - slope * learning_rate
            current[name] = constraints[name](moved) if name in constraints else moved
        updates += 1
    return current, updates
