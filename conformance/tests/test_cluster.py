"""Running on a Dask cluster: a real scheduler, real worker processes, of which one is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import cli
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.results.database import Results
from rnn_conformance.running import cluster as clusters
from rnn_conformance.running import runner
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.cluster import Cluster
from rnn_conformance.running.options import Options
from rnn_conformance.running.registry import installed
from rnn_fixtures.case import Case
from rnn_fixtures.locations import CACHE_VARIABLE, DATA
from rnn_fixtures.store import Store

distributed: Any = pytest.importorskip("distributed")
HERE = Path(__file__).parent


class _Fleet:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._environment = dict(os.environ) | {CACHE_VARIABLE: str(folder / "cache")}
        self._environment["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, sys.path)])
        self.file = folder / "scheduler.json"
        self._folder = folder
        self.processes = [
            self._start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file))
        ]

    def _start(self, *args: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + args[0], *args[1:]]
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def worker(self, *more: str) -> subprocess.Popen[bytes]:
        """One more worker, of one thread."""
        own = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--scheduler-file", str(self.file))
        self.processes.append(self._start("worker", *own, *more))
        return self.processes[-1]

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[_Fleet]:
    found = _Fleet(tmp_path)
    try:
        deadline = time.monotonic() + 180
        while not found.file.is_file():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    every = [c for c in Store(check=False).cases() if c.family in ("forward", "stateful", "training")]
    return [c for c in every[::50] if "float32" in c.dtypes]


def options(cases: list[Case], cluster: Cluster | None, **changes: Any) -> Options:
    defaults: dict[str, Any] = {
        "cases": cases,
        "tier": "core",
        "selection": "",
        "shard": "1/1",
        "dtypes": ["float32"],
        "device": "cpu",
        "workers": 2,
        "timeout": 60.0,
        "data": DATA,
        "fixtures": "test",
        "cluster": cluster,
    }
    return Options(**defaults | changes)


def records(
    folder: Path, refs: list[AdapterRef], chosen: Options, progress: runner.Progress | None = None
) -> Any:
    """Records by adapter, without what differs from run to run."""
    with Results(folder, create=True) as results:
        outcome = runner.execute(refs, chosen, results, progress or runner.Progress())
        assert not outcome.unavailable
        assert all(run.finished for run in outcome.runs)
        return {
            run.adapter: [{**record, "seconds": 0} for record in results.records(run)] for run in outcome.runs
        }


class _Kills(runner.Progress):
    """Kills a process as soon as there are results."""

    def __init__(self, victim: subprocess.Popen[bytes]) -> None:
        self._victim = victim
        self.killed = threading.Event()

    def records(self, ref: AdapterRef, count: int) -> None:
        if count and not self.killed.is_set():
            self._victim.send_signal(signal.SIGKILL)
            self.killed.set()


def test_a_cluster_of_which_a_worker_is_killed_gives_the_same_records(
    tmp_path: Path, fleet: _Fleet, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HERE)
    # The second one's process dies in every case with right-padded masks: that is its own affair.
    refs = [installed()["numpy"], AdapterRef("fakes:Crash", "fakes:Crash")]
    chosen = [c for c in cases if c.family == "forward"][::2]
    victim = [fleet.worker() for _ in range(3)][1]
    progress = _Kills(victim)
    found = records(tmp_path / "far", refs, options(chosen, Cluster(str(fleet.file))), progress)
    assert progress.killed.is_set()
    assert victim.wait(60) == -signal.SIGKILL
    assert found == records(tmp_path / "near", refs, options(chosen, None))
    assert {r["verdict"] for r in found["fakes:Crash"]} == {"pass", "crash"}


def test_only_workers_that_have_a_resource_are_given_work(
    tmp_path: Path, fleet: _Fleet, cases: list[Case]
) -> None:
    fleet.worker()
    fleet.worker("--resources", "cuda=1")
    file = str(fleet.file)
    refs = [installed()["numpy"]]
    deadline = time.monotonic() + 180
    while True:  # until both have come
        try:
            with clusters.workers(Cluster(file)) as (_, width):
                if width == 2:
                    break
        except ConfigurationError:
            assert time.monotonic() < deadline
    with clusters.workers(Cluster(file, {"cuda": 1})) as (executor, width):
        assert width == 1
        assert executor.submit(os.getpid).result() == fleet.processes[2].pid
    found = records(tmp_path / "far", refs, options(cases[::3], Cluster(file, {"cuda": 1})))
    assert found == records(tmp_path / "near", refs, options(cases[::3], None))
    with (
        pytest.raises(ConfigurationError, match="none of the 2 workers of the cluster has tpu=1"),
        clusters.workers(Cluster(file, {"tpu": 1})),
    ):
        pass


def test_workers_that_differ_are_refused(
    tmp_path: Path, fleet: _Fleet, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.worker()
    refs = [installed()["numpy"]]
    chosen = options(cases[:4], Cluster(str(fleet.file)))
    good = clusters.Expected

    def other_data(fixtures: str, full: str) -> clusters.Expected:
        return good("another", full)

    monkeypatch.setattr(clusters, "Expected", other_data)
    with Results(tmp_path, create=True) as results:
        outcome = runner.execute(refs, chosen, results, runner.Progress())
    assert "golden data" in str(outcome.unavailable["numpy"])


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "PATIENCE", 0.5)
    with (
        pytest.raises(ConfigurationError, match="no scheduler"),
        clusters.workers(Cluster("tcp://127.0.0.1:1")),
    ):
        pass


def test_the_command(tmp_path: Path, fleet: _Fleet) -> None:
    fleet.worker()
    command = ["run", "--adapter", "numpy", "--out", str(tmp_path / "out")]
    selection = (
        "family=forward and layer=LSTM and size=small and activation=tanh and recurrent_activation=relu"
    )
    done = cli(*command, "--tier", "full", "--select", selection, "--cluster", str(fleet.file))
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["runs"]
    assert entry["verdicts"] == {"pass": entry["selected"]}
    assert list((tmp_path / "cache" / "full").iterdir())  # computed where it ran

    for wrong, told in (
        (["--cluster", "/nowhere/scheduler.json"], "neither the address"),
        (["--resource", "cuda=1"], "--cluster"),
        (["--cluster", str(fleet.file), "--resource", "cuda=much"], "NAME=AMOUNT"),
    ):
        refused = cli(*command, "--tier", "smoke", *wrong)
        assert (refused.returncode, told in refused.stderr) == (2, True), refused.stderr
