"""One process of an implementation, asked one thing at a time over a pipe (``spec/protocol.md``).

Nothing that happens in it reaches further than its own request: a deadline, a limit of memory, garbage, silence and death all end in one of the
errors below, the process and whatever it started are killed, and the next request finds a fresh one.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rnn_fixtures.locations import programs_folder

from rnn_conformance.contract import compiled
from rnn_conformance.errors import AdapterNotInstalled, AdapterUnavailable, Ended, Stopped
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.threads import one_thread

START_LIMIT = 300.0
STOP_LIMIT = 2.0
# How often a waiting session looks at its process.
GLANCE = 0.1
LINE_LIMIT = 1 << 30
# Of what a process prints, so much is passed on, and so much of the end is kept for a message about its death.
PASSED_ON, KEPT = 1 << 18, 2_000
TEXT = 4_000

_SUBREAPER, _DEATH_SIGNAL = 36, 1
# Runs a program that dies with its parent, whatever it does.
_LAUNCH = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execvp(sys.argv[1],sys.argv[1:])"


def _read_json(line: bytes) -> Any:
    """What Python's own module reads: msgspec is several times faster, but knows no half of a surrogate pair, which texts from a file system have."""
    try:
        return msgspec.json.decode(line)
    except ValueError:
        return json.loads(line)


def clean(text: Any, limit: int = TEXT) -> str:
    """Text from outside as it can be stored and shown: valid Unicode, without control characters, cut."""
    whole = str(text)
    found = "".join(
        c if c.isprintable() or c in "\n\t" else " "
        for c in whole[:limit].encode("utf-8", "replace").decode()
    )
    return found + (f" [... {len(whole) - limit} more characters]" if len(whole) > limit else "")


@dataclass
class Limits:
    """What a process may take.

    Attributes
    ----------
    seconds : float
        For one request.
    memory : int
        Resident bytes of the process and its children.
    """

    seconds: float = 60.0
    memory: int = 16 << 30


@dataclass
class Session:
    """The process of one adapter; started by the first request, and again by the first one after its end.

    Attributes
    ----------
    stop : function
        Asked while waiting: true where the run was interrupted.
    adopts : bool
        Whether this process starts no other children meanwhile, so that what a killed one leaves behind can be told, and ended (Linux).
    """

    ref: AdapterRef
    limits: Limits = field(default_factory=Limits)
    stop: Callable[[], bool] = lambda: False
    adopts: bool = False
    starts: int = 0
    seconds: float = 0.0  # of the implementation's own, since somebody set it to zero
    waited: float = 0.0  # for answers, in all
    restarting: float = 0.0  # for fresh processes to start, in all

    _others: frozenset[int] = frozenset()  # children that were there before
    _process: subprocess.Popen[bytes] | None = None
    _requests: int = -1
    _answers: int = -1
    _number: int = 0
    _rest: bytes = b""
    _tail: bytearray = field(default_factory=bytearray)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether there is a process that has not ended."""
        return self._process is not None and self._process.poll() is None

    # -- requests ----------------------------------------------------------------------------------------

    def ask(self, do: str, *, limit: float | None = None, **fields: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises
        ------
        Ended
            When there is none.
        Stopped
            When the run was interrupted meanwhile.
        AdapterUnavailable
            When the process cannot be started.
        """
        if not self.is_alive:
            self._start()
            if do != "describe":
                self._await_start()
        asked = time.monotonic()
        self._number += 1
        line = msgspec.json.encode({"id": self._number, "do": do, **fields}) + b"\n"
        deadline = time.monotonic() + (self.limits.seconds if limit is None else limit)
        try:
            self._write(line, deadline)
            answer = self._parsed(self._read(deadline))
        except BaseException:
            self.close()  # whatever it was, this process is not to be trusted with the next request
            raise
        finally:
            self.waited += time.monotonic() - asked
        self.seconds += float(answer.get("seconds", 0.0))
        return answer

    def _await_start(self) -> None:
        """Until a fresh process has imported what it needs: no request pays for that with its own time."""
        before, asked = (self.seconds, self.waited), time.monotonic()
        try:
            self.describe()
        except AdapterUnavailable as error:
            raise Ended("crash", f"started again, {error}") from None
        finally:
            self.seconds, self.waited = before
            self.restarting += time.monotonic() - asked

    def _write(self, line: bytes, deadline: float) -> None:
        view = memoryview(line)
        while view:
            try:
                view = view[os.write(self._requests, view) :]
            except BlockingIOError:  # the pipe is full
                self._wait(self._requests, select.POLLOUT, deadline)
            except OSError:
                raise Ended("crash", self._obituary()) from None

    def _read(self, deadline: float) -> bytes:
        parts, size = [self._rest], len(self._rest)
        while b"\n" not in parts[-1]:
            self._wait(self._answers, select.POLLIN, deadline)
            try:
                part = os.read(self._answers, 1 << 20)
            except BlockingIOError:
                continue
            if not part:
                raise Ended("crash", self._obituary())
            parts.append(part)
            size += len(part)
            if size > LINE_LIMIT:
                raise Ended("protocol", f"an answer has more than {LINE_LIMIT} bytes")
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        """Until a pipe is ready; looks after the process meanwhile."""
        poll = select.poll()
        poll.register(descriptor, event)
        while not poll.poll(1000 * max(0.0, min(GLANCE, deadline - time.monotonic()))):
            if self.stop():
                raise Stopped
            if time.monotonic() >= deadline:
                raise Ended("timeout", f"no answer within {self.limits.seconds:g} s")
            assert self._process is not None
            used = resident(self._process.pid)
            if used > self.limits.memory:
                raise Ended(
                    "crash",
                    f"the process took {used / 2**30:.1f} GB of memory, more than {self.limits.memory / 2**30:g}: killed",
                )

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            answer = _read_json(line)
        except (ValueError, RecursionError):
            raise Ended("protocol", f"an answer is no JSON: {clean(line[:80])!r}") from None
        if not isinstance(answer, dict) or answer.get("id") != self._number:
            raise Ended("protocol", f"an answer is not that to request {self._number}: {clean(line[:80])!r}")
        if not isinstance(answer.get("seconds", 0.0), (int, float)):
            raise Ended("protocol", "an answer's seconds are no number")
        return answer

    # -- the process -------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.close()
        if self.adopts:
            self._others = self._others or _children()
            _become_subreaper()
        self.starts += 1
        self._rest, self._tail = b"", bytearray()
        command, folder = self.ref.target, ""
        environment = dict(os.environ)
        one_thread(environment)
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with suppress(FileNotFoundError):  # some containers' users have no home: nothing is kept
            environment.setdefault(compiled.VARIABLE, str(programs_folder()))
        for_them, self._requests = os.pipe()
        self._answers, from_them = os.pipe()
        theirs = [for_them, from_them]
        if command.startswith("cmd:"):
            argv = shlex.split(command.removeprefix("cmd:"))
            streams: dict[str, Any] = {"stdin": for_them, "stdout": from_them}
        else:
            if self.ref.name == self.ref.target:  # it may name a file in this folder
                folder = os.getcwd()
            server = [sys.executable, "-m", "rnn_conformance.contract.serving"]
            argv = [*server, command, folder, str(for_them), str(from_them)]
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "pass_fds": theirs}
        if sys.platform == "linux":
            argv = [sys.executable, "-I", "-S", "-c", _LAUNCH, *argv]
        try:
            self._process = subprocess.Popen(
                argv, stderr=subprocess.PIPE, env=environment, start_new_session=True, **streams
            )
        except OSError as error:
            self.close()
            raise AdapterUnavailable(f"adapter {self.ref.name!r} cannot start: {error}") from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        os.set_blocking(self._requests, False)
        os.set_blocking(self._answers, False)
        printed = _Printed(self._tail)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                threading.Thread(target=printed.drain, args=(stream,), daemon=True).start()

    def describe(self) -> dict[str, Any]:
        """What the adapter says of itself.

        Raises
        ------
        AdapterUnavailable
            When it cannot start, or says nothing that can be understood.
        """
        who = f"adapter {self.ref.name!r} cannot start"
        try:
            asked = {"settings": dict(self.ref.settings)} if self.ref.settings else {}
            answer = self.ask("describe", limit=START_LIMIT, **asked)
        except Ended as ended:
            if ended.verdict == "timeout":
                raise AdapterUnavailable(f"{who}: no answer within {START_LIMIT:g} s") from None
            raise AdapterUnavailable(f"{who}: {ended.message}") from None
        if "not_started" in answer:
            self.close()
            raise self._not_started(answer["not_started"])
        if not isinstance(answer.get("ok"), Mapping):
            self.close()
            reason = answer.get("error") or answer.get("refused") or answer
            text = f"{reason.get('type')}: {reason.get('text')}" if isinstance(reason, Mapping) else reason
            raise AdapterUnavailable(f"{who}: describe failed: {clean(text, 400)}")
        return dict(answer["ok"])

    def _not_started(self, reason: Mapping[str, Any]) -> AdapterUnavailable:
        text = clean(reason.get("reason", ""), 400)
        if not reason.get("missing"):
            return AdapterUnavailable(f"adapter {self.ref.name!r} cannot start: {text}")
        if self.ref.target.startswith("rnn_conformance.adapters."):
            hint = f"install it with: pip install 'rnn-conformance[{self.ref.name}]'"
        else:
            hint = "is its package installed, or its module in this folder?"
        return AdapterNotInstalled(f"adapter {self.ref.name!r} cannot start: {text}; {hint}")

    def _obituary(self) -> str:
        """How the process ended, and the last that it printed."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        code = self._process.returncode
        if code is None:
            return "the process closed its pipe"
        how = f"exit {code}"
        if code < 0:
            with suppress(ValueError):
                how = signal.Signals(-code).name
        lines = [
            line for line in clean(bytes(self._tail).decode("utf-8", "replace")).splitlines() if line.strip()
        ]
        fatal = next(
            (line for line in lines if "Fatal" in line or "terminate" in line), lines[-1] if lines else ""
        )
        return f"the process died ({how})" + (f": {fatal.strip()[:200]}" if fatal else "")

    def close(self) -> None:
        """End the process and all that it started."""
        process, self._process = self._process, None
        for name in ("_requests", "_answers"):
            descriptor = getattr(self, name)
            setattr(self, name, -1)
            if descriptor >= 0:
                with suppress(OSError):  # another thread, which ends this process, may have been quicker
                    os.close(descriptor)
        if process is None:
            return
        started = descendants(process.pid)
        if process.poll() is None:  # its pipe has ended: a good one goes by itself, at once or not at all
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        for pid in (process.pid, *started):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.close()
        if self.adopts:
            _end_orphans(self._others)


class _Printed:
    """What a process prints: the beginning goes to stderr, the end is kept."""

    def __init__(self, tail: bytearray) -> None:
        self._tail, self._left = tail, PASSED_ON

    def drain(self, stream: Any) -> None:
        with suppress(OSError, ValueError):
            while part := os.read(stream.fileno(), 1 << 16):
                shown = part[: self._left]
                self._left -= len(shown)
                if shown:
                    os.write(2, shown)
                self._tail += part
                del self._tail[:-KEPT]


def _become_subreaper() -> None:
    """What a killed process leaves behind becomes this one's child, and is found (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)


def _parents() -> dict[int, int]:
    """Every process with its parent; nothing where there is no /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = entry.read_text("ascii", "replace").rpartition(")")[2].split()
            found[int(entry.parent.name)] = int(fields[1])
    return found


def descendants(pid: int) -> list[int]:
    """A process's children, their children, and so on."""
    parents = _parents()
    found, last = [], {pid}
    while last:
        last = {child for child, parent in parents.items() if parent in last}
        found += sorted(last)
    return found


def _children() -> frozenset[int]:
    return frozenset(child for child, parent in _parents().items() if parent == os.getpid())


def _end_orphans(others: frozenset[int]) -> None:
    """End the processes that were left to this one, but for its own (see `Session.adopts`)."""
    for pid in _children() - others:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _listed(pid: int) -> list[int]:
    """A process with its descendants as the kernel lists them, which is quick; some may be missing while processes come and go."""
    if not Path(f"/proc/{pid}/task/{pid}/children").exists():  # a kernel without these lists
        return [pid, *descendants(pid)]
    found = [pid]
    for each in found:  # which grows by their children meanwhile
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{each}/task"):
                with suppress(OSError):
                    found += map(int, Path(f"/proc/{each}/task/{thread}/children").read_text("ascii").split())
    return found


def resident(pid: int) -> int:
    """Resident bytes of a process and its descendants; 0 where there is no /proc."""
    total = 0
    for each in _listed(pid):
        with suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{each}/statm").read_text("ascii").split()[1]) * os.sysconf(
                "SC_PAGE_SIZE"
            )
    return total
