"""Penalties on weights and outputs (REG-1, REG-2), over every arithmetic.

Each class is callable: an array to its penalty, shape ``[1, 1]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_reference import elementary as el

Regularizer = Callable[[Any], Any]


@dataclass(frozen=True)
class L1:
    """``l1`` times the sum of magnitudes (REG-L1)."""

    l1: float = 0.01

    def __call__(self, x: Any) -> Any:
        return el.total(np.absolute(x)) * self.l1


@dataclass(frozen=True)
class L2:
    """``l2`` times the sum of squares, without a factor of one half (REG-L2)."""

    l2: float = 0.01

    def __call__(self, x: Any) -> Any:
        return el.total(x * x) * self.l2


@dataclass(frozen=True)
class L1L2:
    """The sum of both (REG-L1L2)."""

    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, x: Any) -> Any:
        return L1(self.l1)(x) + L2(self.l2)(x)


@dataclass(frozen=True)
class Orthogonal:
    """``factor`` times the mean magnitude of the cosine between two different rows (REG-ORTHOGONAL).

    Raises
    ------
    ValueError
        For an array that is not a matrix.
    """

    factor: float = 0.01

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ValueError(
                f"an orthogonal regularizer needs a matrix, got shape {x.shape} (REG-ORTHOGONAL)"
            )
        rows = x.shape[0]
        unit = x / np.sqrt(el.unit_sum(x * x))
        cosines = np.absolute(unit @ unit.T)
        others = np.where(~np.eye(rows, dtype=bool), cosines, np.zeros_like(cosines))
        return (
            el.total(others) * self.factor / float(rows * (rows - 1))
        )  # rows are whole: no factor is rounded first


REGULARIZERS: dict[str, type[Any]] = {
    "L1": L1,
    "L2": L2,
    "L1L2": L1L2,
    "OrthogonalRegularizer": Orthogonal,
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
    "orthogonal_regularizer": Orthogonal,
}


def get(regularizer: str | Mapping[str, Any] | Regularizer | None) -> Regularizer | None:
    """The function that a ``*_regularizer`` argument denotes; a name means its default factors,
    a mapping a class (``class``) with its arguments.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if regularizer is None or callable(regularizer):
        return regularizer
    if isinstance(regularizer, Mapping):
        numbers = {k: v for k, v in regularizer.items() if k != "class"}
        return REGULARIZERS[regularizer["class"]](**numbers)
    if regularizer not in REGULARIZERS:
        raise ValueError(
            f"unknown regularizer {regularizer!r}; REG clauses define: {', '.join(REGULARIZERS)}"
        )
    if regularizer == "l1_l2":
        return L1L2(0.01, 0.01)
    return REGULARIZERS[regularizer]()
