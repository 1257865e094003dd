"""What a weight is replaced by after an update (CONS-1 to CONS-3), over every arithmetic.

Norms are those of columns: over axis 0, for a bias of one dimension over the whole vector (CONS-2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_reference import elementary as el

Constraint = Callable[[Any], Any]
# Keeps a division by a norm of zero finite (CONS-2).
EPSILON = 1e-7


def _scaled(w: Any, wanted: Callable[[Any], Any]) -> Any:
    """``w`` times wanted(norm) / (EPSILON + norm)."""
    flat = w.reshape(-1, 1) if len(w.shape) == 1 else w
    norm = np.sqrt(el.rows_sum(flat * flat))
    return (flat * (wanted(norm) / (norm + EPSILON))).reshape(*w.shape)


@dataclass(frozen=True)
class NonNeg:
    """Negative weights become zero (CONS-NON-NEG)."""

    def __call__(self, w: Any) -> Any:
        return el.maximum(w, 0.0)


@dataclass(frozen=True)
class UnitNorm:
    """Columns of norm one (CONS-UNIT-NORM)."""

    def __call__(self, w: Any) -> Any:
        return _scaled(w, lambda norm: norm * 0 + 1)


@dataclass(frozen=True)
class MaxNorm:
    """Columns of norm at most ``max_value`` (CONS-MAX-NORM)."""

    max_value: float = 2.0

    def __call__(self, w: Any) -> Any:
        return _scaled(w, lambda norm: el.clip(norm, 0.0, self.max_value))


@dataclass(frozen=True)
class MinMaxNorm:
    """Norms moved by ``rate`` of the way into [min_value, max_value] (CONS-MIN-MAX-NORM)."""

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0

    def __call__(self, w: Any) -> Any:
        return _scaled(
            w, lambda norm: el.clip(norm, self.min_value, self.max_value) * self.rate + norm * (1 - self.rate)
        )


CONSTRAINTS: dict[str, type[Any]] = {
    "NonNeg": NonNeg,
    "UnitNorm": UnitNorm,
    "MaxNorm": MaxNorm,
    "MinMaxNorm": MinMaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
    "max_norm": MaxNorm,
    "min_max_norm": MinMaxNorm,
}


def get(constraint: str | Mapping[str, Any] | Constraint | None) -> Constraint | None:
    """The function that a ``*_constraint`` argument denotes; a name means its default numbers,
    a mapping a class (``class``) with its arguments.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if constraint is None or callable(constraint):
        return constraint
    if isinstance(constraint, Mapping):
        numbers = {k: v for k, v in constraint.items() if k != "class"}
        return CONSTRAINTS[constraint["class"]](**numbers)
    if constraint not in CONSTRAINTS:
        raise ValueError(f"unknown constraint {constraint!r}; CONS clauses define: {', '.join(CONSTRAINTS)}")
    return CONSTRAINTS[constraint]()
