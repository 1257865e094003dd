"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnn_fixtures.case import Case

from rnn_conformance.running.cluster import Cluster
from rnn_conformance.running.session import Limits


@dataclass(frozen=True)
class Options:
    """What a run does, apart from its adapters.

    Attributes
    ----------
    cases : sequence of Case
        Those of the stored tiers.
    dtypes : sequence of str
        ``float32`` and so on; "all" stands for every dtype that the suite knows.
    full : mapping, optional
        How many cases of the full tier there are beyond the stored ones, in each dtype; None where that tier is not asked for.
    cluster : Cluster, optional
        Whose workers do the work, instead of processes of this machine.
    timeout : float
        Seconds for one request to an adapter.
    memory : int
        Bytes that an adapter's process may take.
    """

    cases: Sequence[Case]
    tier: str
    selection: str
    shard: str
    dtypes: Sequence[str]
    device: str
    workers: int
    timeout: float
    data: Path
    fixtures: str
    resume: bool = False
    memory: int = Limits.memory
    full: Mapping[str, int] | None = None
    cluster: Cluster | None = None
