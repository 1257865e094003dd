"""Nothing that an adapter does to its own process reaches another case: fifty ways to do harm, each with the cases before and after it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from rnn_conformance.errors import AdapterUnavailable
from rnn_conformance.judging.bench import Bench
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Limits, Session, resident
from rnn_conformance.running.worker import run_case
from rnn_conformance.selection import compile_selection
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store

from . import hostile

HERE = Path(__file__).parent
LIMITS = Limits(seconds=2.0, memory=700 << 20)
TARGET = f"{HERE / 'hostile.py'}:Hostile"


@cache
def store() -> Store:
    return Store()


@cache
def cases() -> list[Case]:
    """One that comes before, the one that does harm, and one after it."""
    base = "family=forward and lstm and return_sequences=true and return_state=true and size=base and activation=tanh and recurrent_activation=sigmoid"
    more = "use_bias=true and unroll=false and go_backwards=false and time_major=false and zero_output_for_mask=false and initial_state=none"
    found = []
    for kind in ("left", "right", "first_step"):
        matches = compile_selection(f"{base} and {more} and mask={kind}")
        found.append(next(c for c in store().cases() if matches(c, "float32")))
    return found


def left_behind() -> list[str]:
    """Command lines of processes that a hostile adapter has started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if "hostile-child" in text or ("serving" in text and "hostile.py" in text):
            found.append(text)
    return found


@pytest.fixture
def session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("HOW", request.param)
    with Session(AdapterRef(TARGET, TARGET), LIMITS, adopts=request.param == "daemon") as made:
        yield made


def run(session: Session) -> list[Record]:
    bench = Bench(RemoteAdapter(session), store(), "float32", "cpu")
    return [run_case(bench, case) for case in cases()]


@pytest.mark.parametrize(("session", "how"), [(how, how) for how in hostile.HOW], indirect=["session"])
def test_harm_costs_its_own_case_a_verdict(session: Session, how: str) -> None:
    started, folder, mask = time.monotonic(), os.getcwd(), os.umask(0o22)
    os.umask(mask)
    before, harm, after = run(session)
    assert (before.verdict, after.verdict) == ("pass", "pass"), (before.message, after.message)
    assert harm.verdict in hostile.HOW[how][1], harm.message
    assert len(harm.message) < 6000
    harm.message.encode("utf-8")
    assert "\0" not in harm.message
    assert time.monotonic() - started < 25
    session.close()
    assert os.getcwd() == folder
    for _ in range(20):
        if not left_behind():
            break
        time.sleep(0.1)
    assert left_behind() == []


@pytest.mark.parametrize("session", ["wild-mode"], indirect=True)
def test_what_is_told_beside_the_numbers_is_shown_or_a_fault(session: Session) -> None:
    for record in run(session):
        assert record.verdict == "protocol"


@pytest.mark.parametrize("session", ["wild-description"], indirect=True)
def test_a_wild_description_is_text(session: Session) -> None:
    what = RemoteAdapter(session).describe()
    what.framework.encode("utf-8")
    assert not {"\0", "\x1b", "\r"} & set(what.framework)


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        ("describe-exit", "SystemExit"),
        ("describe-die", "the process died"),
        ("describe-none", "describe failed"),
        ("describe-nonsense", "no description"),
    ],
    indirect=["session"],
)
def test_an_adapter_that_does_not_describe_itself_cannot_start(session: Session, reason: str) -> None:
    with pytest.raises(AdapterUnavailable, match=reason):
        RemoteAdapter(session).describe()


@pytest.mark.parametrize("session", ["describe-hang"], indirect=True)
def test_an_adapter_that_never_describes_itself_cannot_start(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnn_conformance.running.session.START_LIMIT", 2.0)
    with pytest.raises(AdapterUnavailable, match="no answer within 2 s"):
        RemoteAdapter(session).describe()
    assert not session.is_alive


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("cmd:no-such-program-anywhere", "the process died"),
        ("cmd:echo hello", "no JSON"),
        ("cmd:true", "the process died"),
        ("cmd:cat", "describe failed"),
        ("cmd:yes", "no JSON"),
    ],
)
def test_a_program_that_does_not_speak_the_protocol_cannot_start(program: str, reason: str) -> None:
    with Session(AdapterRef(program, program)) as session, pytest.raises(AdapterUnavailable, match=reason):
        RemoteAdapter(session)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_is_that_of_the_whole_family() -> None:
    """Also of a grandchild, which a thread has started."""
    big = "held = bytearray(200 << 20); print(flush=True); input()"
    child = f"""
import subprocess, sys, threading
thread = threading.Thread(target=lambda: subprocess.run([sys.executable, "-c", {big!r}]))
thread.start()
"""
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        assert resident(process.pid) > 200 << 20
        process.stdin.write(b"\n")
