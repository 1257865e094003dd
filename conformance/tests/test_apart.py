"""A process apart: it answers, and outlives what kills it."""

from __future__ import annotations

import os
import time

import pytest
from rnn_conformance.apart import Apart, Ended
from rnn_conformance.errors import AdapterUnavailable
from rnn_conformance.worker import AdapterRef, describe

NUMPY = AdapterRef("numpy", "rnn_conformance.adapters.numpy_reference:NumpyAdapter")


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def fail() -> None:
    raise RuntimeError("of my own")


def test_one_process_answers_until_it_ends() -> None:
    with Apart(NUMPY) as process:
        answer, first = process.ask(30, double, 21)
        assert answer == 42
        assert first != os.getpid()
        with pytest.raises(RuntimeError, match="of my own"):
            process.ask(30, fail)
        assert process.ask(30, double, 1) == (2, first)
        with pytest.raises(Ended, match=r"exit 7") as ended:
            process.ask(30, os._exit, 7)
        assert ended.value.verdict == "crash"
        answer, second = process.ask(30, double, 2)
        assert answer == 4
        assert second != first
        with pytest.raises(Ended, match=r"no answer within 0\.5 s") as ended:
            process.ask(0.5, time.sleep, 60)
        assert ended.value.verdict == "timeout"
        assert process.ask(30, double, 3)[0] == 6


def test_an_adapter_that_cannot_start_says_so() -> None:
    nobody = AdapterRef("nobody:Nothing", "nobody:Nothing")
    with Apart(nobody) as process, pytest.raises(AdapterUnavailable):
        process.ask(30, describe, nobody)
