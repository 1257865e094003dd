"""One result: a case on an adapter, a device and a dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rnn_fixtures.case import Case

from rnn_conformance.judging.verdict import Verdict, number, spread_totals

# So many bytes of what an implementation returned are kept with a discrepancy; of larger results nothing is.
RETURNED = 1 << 20


@dataclass
class Record:
    """The fields that every exported result has (``spec/schemas/results.schema.json``).

    Attributes
    ----------
    returned : sequence of arrays
        What the implementation returned, kept for discrepancies that can be explained; not exported.
    """

    case: str
    family: str
    clauses: tuple[str, ...]
    verdict: str
    mode: str | None = None
    path: str | None = None
    known: str | None = None
    z: float | None = None
    z_strict: float | None = None
    max_abs_error: float | None = None
    where: dict[str, Any] | None = None
    agrees_with: list[str] = field(default_factory=list)
    diagnosed: bool = False
    message: str = ""
    elements: int = 0
    spread: dict[str, list[float]] = field(default_factory=dict)
    clause: str | None = None
    seconds: float = 0.0
    returned: Sequence[np.ndarray] = field(default=(), repr=False, compare=False)

    @classmethod
    def of(cls, case: Case, verdict: Verdict, **more: Any) -> Record:
        """The record of a comparison."""
        return cls(case.id, case.family, case.clauses, **vars(verdict), **more)

    @classmethod
    def failure(cls, case: Case, verdict: str, message: str, **more: Any) -> Record:
        """The record of a case without a comparison."""
        return cls(case.id, case.family, case.clauses, verdict, message=message, **more)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The inverse of `to_json`."""
        fields = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        for name in ("z", "z_strict", "max_abs_error"):
            fields[name] = None if fields[name] is None else float(fields[name])
        spread = {name: [float(v) for v in sums] for name, sums in data["spread"].items()}
        return cls(**fields | {"clauses": tuple(data["clauses"]), "spread": spread})

    def keep(self, arrays: Sequence[np.ndarray]) -> None:
        """Keep what was returned, where it is not too large."""
        if sum(array.nbytes for array in arrays) <= RETURNED:
            self.returned = arrays

    def to_json(self) -> dict[str, Any]:
        """JSON without non-finite numbers."""
        return as_json({name: value for name, value in vars(self).items() if name != "returned"})


def as_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record as they are exported."""
    data = dict(fields)
    rms, bias = spread_totals(data["spread"])
    data |= {"rms_z": rms, "bias_z": bias, "clauses": list(data["clauses"])}
    for key in ("z", "z_strict", "rms_z", "bias_z", "max_abs_error"):
        data[key] = None if data[key] is None else number(data[key])
    data["spread"] = {name: [number(value) for value in sums] for name, sums in data["spread"].items()}
    return data
