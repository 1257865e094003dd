"""What is killed can be resumed, and leaves nothing behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rnn_conformance.results.database import Results

# RNN_CONFORMANCE_KILLS=50 for a thorough search.
KILLS = int(os.environ.get("RNN_CONFORMANCE_KILLS", "4"))
SELECT = "family=forward and lstm and size=base and activation=tanh"


def start(out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "rnn_conformance",
        "run",
        "--adapter",
        "numpy",
        "--out",
        str(out),
        "--select",
        SELECT,
    ]
    return subprocess.Popen(
        [*command, "--format", "json", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ) | {"RNN_CONFORMANCE_TEST": str(out)},
    )


def records(out: Path) -> dict[str, Any]:
    """What every case came to, without the time that it took."""
    found = {}
    with Results(out) as results:
        for run in results.runs():
            for record in results.records(run):
                del record["seconds"]
                assert record["case"] not in found
                found[record["case"]] = record
    return found


def left_behind(out: Path) -> list[str]:
    """Processes of these runs: they inherit a variable of the environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"RNN_CONFORMANCE_TEST={out}".encode() in entry.read_bytes().split(b"\0"):
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


def assert_nothing_left(out: Path) -> None:
    deadline = time.monotonic() + 60
    while left_behind(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind(out) == []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed")
    _, err = (process := start(out)).communicate()
    assert process.returncode == 0, err
    return records(out)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_and_resumed_gives_the_same_records(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    chance = random.Random(7)
    for number in range(KILLS):
        process = start(tmp_path, *(["--resume"] if number else []))
        time.sleep(chance.uniform(0.2, 4.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert_nothing_left(tmp_path)
    _, err = (process := start(tmp_path, "--resume")).communicate()
    assert process.returncode == 0, err
    assert records(tmp_path) == undisturbed
    _, err = (process := start(tmp_path, "--resume")).communicate()  # nothing is left to do
    assert process.returncode == 0, err
    assert records(tmp_path) == undisturbed
    assert_nothing_left(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("moment", [0.6, 2.5])
def test_asked_to_end_is_interrupted(tmp_path: Path, number: signal.Signals, moment: float) -> None:
    process = start(tmp_path)
    time.sleep(moment)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("it was done before")
    assert process.returncode in (130, -number), err  # the latter while Python itself was starting
    assert b"Traceback" not in err, err.decode()
    assert_nothing_left(tmp_path)


def test_a_judge_leaves_with_its_parent_whatever_stands_in_the_way() -> None:
    """Two threads may be closing a session at the same moment, of which one then fails."""
    code = """
import threading, time
from types import SimpleNamespace
from rnn_conformance.running import worker

def close():
    raise OSError("Bad file descriptor")

worker._sessions.append(SimpleNamespace(close=close))
parent = SimpleNamespace(join=lambda: None)
threading.Thread(target=worker._leave_with, args=(parent,), daemon=True).start()
time.sleep(30)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_judge_that_is_asked_to_end_ends(tmp_path: Path) -> None:
    """Also in the middle of a case; its parent begins that again in another."""
    process = start(tmp_path)
    judge = None
    deadline = time.monotonic() + 60
    while judge is None and process.poll() is None and time.monotonic() < deadline:
        for entry in left_behind(tmp_path):
            command = Path(f"/proc/{entry}/cmdline")
            with suppress(OSError):
                if b"spawn_main" in command.read_bytes():
                    judge = int(entry)
        time.sleep(0.05)
    assert judge is not None
    time.sleep(1.5)
    with suppress(ProcessLookupError):
        os.kill(judge, signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert_nothing_left(tmp_path)
