"""Running on the workers of a Dask cluster, as on processes of one's own: ``concurrent.futures`` is all that the runner sees.

Every thread of a worker has the adapter's process to itself. What an adapter does to that process costs its own case a verdict and never the
worker; a task whose workers were killed is handed out again.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from rnn_fixtures.full import index
from rnn_fixtures.locations import DATA
from rnn_fixtures.store import Store

from rnn_conformance.contract.adapter import Description
from rnn_conformance.errors import AdapterUnavailable, ConfigurationError
from rnn_conformance.judging import differences
from rnn_conformance.running import worker
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.session import Limits
from rnn_conformance.running.tasks import Task
from rnn_conformance.running.worker import Batch

# Seconds to wait for the scheduler, and for a first worker.
PATIENCE = 20.0
_ADDRESS = re.compile(r"([a-z]+://)?[^/\s]+:\d+")


@dataclass(frozen=True)
class Cluster:
    """Where the scheduler is, and what a worker must have to be given work.

    Attributes
    ----------
    address : str
        As ``tcp://10.0.0.1:8786``, or a scheduler's file.
    resources : mapping
        Name and amount of what workers were started with (``dask worker ... --resources cuda=1``).
    """

    address: str
    resources: Mapping[str, float] = field(default_factory=dict)


@contextmanager
def workers(cluster: Cluster) -> Iterator[tuple[Executor, int]]:
    """An executor over the workers that have the resources, and how many tasks they run at a time.

    Raises
    ------
    ConfigurationError
        When the package is missing, nothing answers at the address, or no worker has the resources.
    """
    try:
        import distributed
    except ImportError as error:
        raise ConfigurationError(
            f"a cluster needs {error.name}: pip install 'rnn-conformance[cluster]'"
        ) from error
    file = cluster.address if Path(cluster.address).is_file() else None
    if file is None and not _ADDRESS.fullmatch(cluster.address):
        raise ConfigurationError(
            f"{cluster.address!r} is neither the address of a scheduler, as tcp://HOST:PORT, nor a scheduler's file"
        )
    client: Any
    try:
        client = distributed.Client(  # type: ignore[no-untyped-call]
            None if file else cluster.address, scheduler_file=file, timeout=PATIENCE, set_as_default=False
        )
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigurationError(
            f"no scheduler of a cluster answers at {cluster.address!r}: {error or type(error).__name__}"
        ) from error
    try:
        width = _width(client, cluster)
        more = {"resources": dict(cluster.resources)} if cluster.resources else {}
        with client.get_executor(pure=False, **more) as executor:
            try:
                yield executor, width
            except BaseException:
                executor.shutdown(wait=False)  # what runs is cancelled
                raise
    finally:
        client.close(timeout=PATIENCE)


def _width(client: Any, cluster: Cluster) -> int:
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise ConfigurationError(f"the cluster at {cluster.address!r} has no workers") from None
    found = client.scheduler_info(n_workers=-1)["workers"].values()
    able = [
        one
        for one in found
        if all(one.get("resources", {}).get(name, 0) >= n for name, n in cluster.resources.items())
    ]
    if not able:
        wanted = ", ".join(f"{name}={n:g}" for name, n in cluster.resources.items())
        raise ConfigurationError(f"none of the {len(found)} workers of the cluster has {wanted}")
    return sum(int(one["nthreads"]) for one in able)


def gave_up(error: BaseException) -> bool:
    """Whether an error says nothing of the task, but that the workers that had it were killed."""
    from distributed.scheduler import KilledWorker

    return isinstance(error, KilledWorker)


@dataclass(frozen=True)
class Expected:
    """What must be on a worker as it is where the run was started.

    Attributes
    ----------
    fixtures : str
        Digest of the golden data.
    full : str
        Digest of the index of the full tier; empty where that tier is not run.
    framework, version : str
        What the adapter said of itself on the first worker.
    """

    fixtures: str
    full: str = ""
    framework: str = ""
    version: str = ""


def describe(ref: AdapterRef, limits: Limits, expected: Expected) -> Description:
    """The adapter's description of itself, on a worker."""
    worker.limit(limits)
    _check_data(expected)
    return worker.describe(ref)


def run_batch(
    ref: AdapterRef,
    dtype: str,
    device: str,
    task: Task,
    declared: Sequence[differences.Known],
    refusal: str | None,
    limits: Limits,
    expected: Expected,
) -> Batch:
    """`rnn_conformance.running.worker.run_batch` on a worker, which reads the golden data that is installed there.

    Raises
    ------
    AdapterUnavailable
        When golden data or the framework are others than where the run began.
    """
    worker.limit(limits)
    _check_data(expected)
    what = worker.describe(ref)
    if (what.framework, what.version) != (expected.framework, expected.version):
        raise AdapterUnavailable(
            f"workers differ: {socket.gethostname()} has {what.framework} {what.version}, the first one {expected.framework} {expected.version}; "
            "label them by resources, and run each kind by --resource"
        )
    return worker.run_batch(ref, dtype, device, replace(task, data=DATA), declared, refusal)


@cache
def _installed() -> tuple[str, str]:
    store = Store(DATA)
    return store.digest, index.read(DATA).digest


def _check_data(expected: Expected) -> None:
    fixtures, full = _installed()
    if fixtures != expected.fixtures or expected.full not in ("", full):
        raise AdapterUnavailable(
            f"workers differ: the golden data on {socket.gethostname()} is not that of the run; install the same version of the suite on all of them"
        )
