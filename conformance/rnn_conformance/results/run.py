"""One run: an adapter on a device in a dtype, over a selection of cases."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rnn_conformance import __version__


@dataclass
class Run:
    """One adapter on one device in one dtype over one selection of cases.

    Attributes
    ----------
    declared : list
        The adapter's known differences, as they were when it ran.
    spent : mapping
        Seconds by what took them.
    """

    id: str
    started: str
    finished: str | None
    suite: str
    fixtures: str
    tier: str
    selection: str
    shard: str
    adapter: str
    framework: str
    version: str
    device: str
    dtype: str
    selected: int
    environment: dict[str, Any]
    declared: list[dict[str, str]] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """The framework's switches that were not as usual, as ``cudnn=off tf32=on``."""
        every, changed = (self.environment.get(name) for name in ("settings", "changed"))
        if not isinstance(every, dict) or not isinstance(changed, list):
            return ""
        return " ".join(f"{name}={every.get(name)}" for name in sorted(map(str, changed)))

    @property
    def where(self) -> str:
        """The device, and the switches that were not as usual."""
        return f"{self.device} {self.settings}".rstrip()

    @property
    def line(self) -> tuple[str, str, str, str]:
        """What stays the same from version to version: adapter, device, dtype, settings."""
        return self.adapter, self.device, self.dtype, self.settings

    @property
    def label(self) -> str:
        device = "" if self.device == "cpu" else self.device  # nothing is said of the usual
        return " ".join(filter(None, (self.adapter, self.dtype, device, self.settings)))

    def same_work(self, other: Run) -> bool:
        """Whether ``--resume`` may continue one as the other: everything but time and identity agrees."""
        return self.same_subject(other) and self._agrees(other, "tier selection shard selected")

    def same_subject(self, other: Run) -> bool:
        """Whether both would find the same of a case: everything agrees but time, identity and which cases they are over."""
        same_packages = self.environment.get("packages") == other.environment.get("packages")
        return same_packages and self._agrees(
            other, "suite fixtures adapter framework version device dtype settings"
        )

    def _agrees(self, other: Run, fields: str) -> bool:
        return all(getattr(self, field) == getattr(other, field) for field in fields.split())


def now() -> str:
    """UTC time, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run(**fields: Any) -> Run:
    """A run that starts now."""
    return Run(id=uuid.uuid4().hex, started=now(), finished=None, suite=__version__, **fields)
