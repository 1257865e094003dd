"""Adapters that do harm: the reference, which on a right-padded mask does what the environment variable HOW says."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec, Model, framework

Outputs = list[np.ndarray]


class _Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _raise(error: BaseException, *, inside: bool = False) -> Callable[[Any, Outputs], NoReturn]:
    def act(inputs: Any, outputs: Outputs) -> NoReturn:
        if inside:
            with framework():
                raise error
        raise error

    return act


def _signal(number: int) -> Callable[[Any, Outputs], None]:
    def act(inputs: Any, outputs: Outputs) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    return act


def _exit(code: int) -> Callable[[Any, Outputs], None]:
    return lambda inputs, outputs: os._exit(code)


def _hold_the_interpreter(inputs: Any, outputs: Outputs) -> None:
    ctypes.PyDLL(None).sleep(600)


def _busy(inputs: Any, outputs: Outputs) -> NoReturn:
    while True:
        pass


def _hog(inputs: Any, outputs: Outputs) -> None:
    kept = [np.ones(1 << 24) for _ in range(6)]  # 0.8 GB
    time.sleep(30)
    del kept


def _child(inputs: Any, outputs: Outputs) -> Outputs:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # hostile-child"])
    return outputs


def _daemon(inputs: Any, outputs: Outputs) -> Outputs:
    """A process that has left its parent, its group and its session."""
    code = "import os,time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\ntime.sleep(600)  # hostile-child"
    subprocess.run([sys.executable, "-c", code], check=True)
    return outputs


def _fork(inputs: Any, outputs: Outputs) -> Outputs:
    """A copy of the whole process, its pipes too, that hangs."""
    if os.fork() == 0:
        time.sleep(600)
    return outputs


def _flood(inputs: Any, outputs: Outputs) -> Outputs:
    for _ in range(200):
        os.write(1, b"x" * 100_000 + b"\n")
        sys.stderr.write("y" * 1000)
    return outputs


def _close_stdout(inputs: Any, outputs: Outputs) -> Outputs:
    os.close(1)
    os.close(2)
    return outputs


def _close_everything(inputs: Any, outputs: Outputs) -> Outputs:
    os.closerange(0, 256)
    return outputs


def _garbage(text: bytes) -> Callable[[Any, Outputs], Outputs]:
    """Writes into every pipe that it finds."""

    def act(inputs: Any, outputs: Outputs) -> Outputs:
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, text)
            except OSError:
                continue
        return outputs

    return act


def _patch_numpy(inputs: Any, outputs: Outputs) -> Outputs:
    np.abs = np.max = np.subtract = np.isnan = lambda *a, **k: np.zeros(())  # type: ignore[assignment, method-assign, misc]
    return [outputs[0] * 2, *outputs[1:]]


def _patch_time(inputs: Any, outputs: Outputs) -> Outputs:
    time.perf_counter = time.monotonic = time.time = lambda: 1e300  # type: ignore[assignment]
    return outputs


def _patch_json(inputs: Any, outputs: Outputs) -> Outputs:
    json.dumps = lambda *a, **k: '{"verdict": "pass"}'  # type: ignore[assignment]
    return outputs


def _elsewhere(inputs: Any, outputs: Outputs) -> Outputs:
    os.chdir("/")
    os.umask(0o777)
    os.environ.clear()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    gc.disable()
    return outputs


def _mutate(inputs: Any, outputs: Outputs) -> Outputs:
    inputs[...] = 0
    return outputs


_buffer: list[np.ndarray] = []


def _later(inputs: Any, outputs: Outputs) -> Outputs:
    """Goes on writing into what it has returned."""

    def scribble() -> None:
        for _ in range(100):
            outputs[0][...] = 7
            time.sleep(0.01)

    threading.Timer(0.2, scribble).start()
    return outputs


def _masked(inputs: Any, outputs: Outputs) -> Outputs:
    wrong = np.ma.MaskedArray(outputs[0] * 3, mask=np.ones(outputs[0].shape, bool))
    return [wrong, *outputs[1:]]


class _Yes(np.ndarray):
    """Equal to everything."""

    def __eq__(self, other: object) -> Any:
        return np.ones(self.shape, bool)

    def __sub__(self, other: object) -> Any:
        return np.zeros(self.shape)

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        return self


def _first(change: Callable[[np.ndarray], Any]) -> Callable[[Any, Outputs], Any]:
    return lambda inputs, outputs: [change(outputs[0]), *outputs[1:]]


def _instead(value: Any) -> Callable[[Any, Outputs], Any]:
    return lambda inputs, outputs: value


TEXT = "\"quotes\" 'more' \\ back\x00nul \ud800 \x1b[31mred\x1b[0m </script> ]]> \u202e rtl {{ 7*7 }} \r\n"

# What it does, and the verdicts that this may cost its own case.
HOW: dict[str, tuple[Callable[[Any, Outputs], Any], tuple[str, ...]]] = {
    "exit-0": (_exit(0), ("crash",)),
    "exit-7": (_exit(7), ("crash",)),
    "sigsegv": (_signal(signal.SIGSEGV), ("crash",)),
    "sigabrt": (_signal(signal.SIGABRT), ("crash",)),
    "sigkill": (_signal(signal.SIGKILL), ("crash",)),
    "sigterm": (_signal(signal.SIGTERM), ("crash",)),
    "sigbus": (_signal(signal.SIGBUS), ("crash",)),
    "sigfpe": (_signal(signal.SIGFPE), ("crash",)),
    "sigstop": (_signal(signal.SIGSTOP), ("timeout",)),
    "sys-exit": (_raise(SystemExit(0)), ("protocol",)),
    "keyboard-interrupt": (_raise(KeyboardInterrupt()), ("crash",)),
    "generator-exit": (_raise(GeneratorExit()), ("protocol",)),
    "memory-error": (_raise(MemoryError()), ("protocol",)),
    "own-error": (_raise(KeyError("kernel")), ("protocol",)),
    "framework-error": (_raise(ValueError("no"), inside=True), ("refused",)),
    "wild-text": (_raise(ValueError(TEXT), inside=True), ("refused",)),
    "long-text": (_raise(ValueError("a" * 10_000_000), inside=True), ("refused",)),
    "no-text": (_raise(_Silent(), inside=True), ("refused",)),
    "sleep": (lambda inputs, outputs: time.sleep(600), ("timeout",)),
    "hold-the-interpreter": (_hold_the_interpreter, ("timeout",)),
    "busy": (_busy, ("timeout",)),
    "hog-memory": (_hog, ("crash",)),
    "child": (_child, ("pass",)),
    "daemon": (_daemon, ("pass",)),
    "fork": (_fork, ("pass",)),
    "flood": (_flood, ("pass",)),
    "close-stdout": (_close_stdout, ("pass",)),
    "close-everything": (_close_everything, ("crash",)),
    "garbage": (_garbage(b"garbage\n"), ("protocol",)),
    "half-a-line": (_garbage(b'{"id": 1, "ok": {'), ("protocol",)),
    "other-answer": (_garbage(b'{"id": 999, "ok": {"outputs": []}}\n'), ("protocol",)),
    "deep-json": (_garbage(b"[" * 200_000 + b"\n"), ("protocol",)),
    "not-unicode": (_garbage(b"\xff\xfe\x00\n"), ("protocol",)),
    "patch-numpy": (_patch_numpy, ("value",)),
    "patch-time": (_patch_time, ("pass",)),
    "patch-json": (_patch_json, ("protocol",)),
    "elsewhere": (_elsewhere, ("pass",)),
    "mutate-inputs": (_mutate, ("value",)),
    "write-later": (_later, ("pass",)),
    "masked-array": (_masked, ("value",)),
    "yes-array": (_first(lambda a: (a * 3).view(_Yes)), ("value",)),
    "object-array": (_first(lambda a: a.astype(object)), ("protocol",)),
    "complex-array": (_first(lambda a: a.astype(complex)), ("protocol",)),
    "integer-array": (_first(lambda a: a.astype(np.int64)), ("dtype",)),
    "text-array": (_first(lambda a: a.astype(str)), ("protocol",)),
    "big-endian": (_first(lambda a: a.astype(">f4")), ("pass",)),
    "fortran-order": (_first(np.asfortranarray), ("pass",)),
    "no-array": (_first(lambda a: a.tolist()), ("protocol",)),
    "scalar-array": (_first(lambda a: np.asarray(a.sum())), ("shape",)),
    "empty-array": (_first(lambda a: a[:0]), ("shape",)),
    "too-many": (lambda inputs, outputs: [*outputs, outputs[0]], ("shape",)),
    "nothing": (_instead(None), ("protocol",)),
    "empty-list": (_instead([]), ("shape",)),
    "a-text": (_instead("pass"), ("protocol",)),
    "a-dictionary": (_instead({"verdict": "pass"}), ("protocol",)),
    "infinite-list": (_instead([np.full((3, 5, 4), np.inf, np.float32)]), ("shape",)),
}


class Hostile(Adapter):
    """Does what HOW says."""

    is_keras = True

    def __init__(self) -> None:
        self._how = os.environ.get("HOW", "")

    def describe(self) -> Description:
        if self._how == "describe-exit":
            sys.exit(0)
        if self._how == "describe-die":
            os._exit(0)
        if self._how == "describe-hang":
            time.sleep(600)
        if self._how == "describe-none":
            return None  # type: ignore[return-value]
        if self._how == "describe-nonsense":
            return Description(TEXT, "1\x00", [], {"float32": None})
        return Description(
            TEXT if self._how == "wild-description" else "hostile", "1.0", ["cpu"], {"float32": None}
        )

    def build(self, spec: LayerSpec) -> Model:
        return _HostileModel(self._how, NumpyAdapter().build(spec))


class _HostileModel(Model):
    def __init__(self, how: str, model: Model) -> None:
        self._how, self._model = how, model

    def set_weights(self, weights: Any) -> None:
        self._model.set_weights(weights)

    def call(self, inputs: Any, mask: Any, initial_state: Any) -> Any:
        outputs = self._model.call(inputs, mask, initial_state)
        if self._how == "wild-mode":
            self.mode, self.path = object(), {"a": object()}  # type: ignore[assignment]
        if mask is None or mask.all() or not mask[:, 0].all() or self._how not in HOW:
            return outputs
        return HOW[self._how][0](inputs, outputs)
