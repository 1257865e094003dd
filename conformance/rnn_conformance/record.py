"""One result: a case on an adapter, a device and a dtype."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rnn_fixtures.case import Case

from rnn_conformance.verdict import Verdict, number


@dataclass
class Record:
    """The fields that every exported result has (``spec/schemas/results.schema.json``)."""

    case: str
    family: str
    clauses: tuple[str, ...]
    verdict: str
    mode: str | None = None
    path: str | None = None
    known: str | None = None
    z: float | None = None
    z_strict: float | None = None
    rms_z: float | None = None
    bias_z: float | None = None
    max_abs_error: float | None = None
    where: dict[str, Any] | None = None
    agrees_with: list[str] = field(default_factory=list)
    diagnosed: bool = False
    message: str = ""
    elements: int = 0
    spread: dict[str, list[float]] = field(default_factory=dict)
    clause: str | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, case: Case, verdict: Verdict, **more: Any) -> Record:
        """The record of a comparison."""
        return cls(case.id, case.family, case.clauses, **vars(verdict), **more)

    @classmethod
    def failure(cls, case: Case, verdict: str, message: str, **more: Any) -> Record:
        """The record of a case without a comparison."""
        return cls(case.id, case.family, case.clauses, verdict, message=message, **more)

    def to_json(self) -> dict[str, Any]:
        """JSON without non-finite numbers."""
        data = asdict(self)
        for key in ("z", "z_strict", "rms_z", "bias_z", "max_abs_error"):
            data[key] = None if data[key] is None else number(data[key])
        data["spread"] = {name: [number(value) for value in sums] for name, sums in self.spread.items()}
        return data
