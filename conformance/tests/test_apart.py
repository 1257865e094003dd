"""A process apart: it answers, and outlives what kills it."""

from __future__ import annotations

import asyncio
import operator
import os
import signal
import time

import pytest
from rnn_conformance.apart import Apart, Ended
from rnn_conformance.errors import AdapterUnavailable
from rnn_conformance.worker import AdapterRef, describe

NUMPY = AdapterRef("numpy", "rnn_conformance.adapters.numpy_reference:NumpyAdapter")


def test_one_process_answers_until_it_ends() -> None:
    with Apart(NUMPY) as process:
        first = process.ask(30, os.getpid)
        assert first != os.getpid()
        assert process.ask(30, operator.mul, 6, 7) == 42
        with pytest.raises(RuntimeError, match="no running event loop"):  # the function's own error
            process.ask(30, asyncio.get_running_loop)
        assert process.ask(30, os.getpid) == first
        with pytest.raises(Ended, match=r"exit 7") as ended:
            process.ask(30, os._exit, 7)
        assert ended.value.verdict == "crash"
        second = process.ask(30, os.getpid)
        assert second != first
        with pytest.raises(Ended, match=r"no answer within 0\.5 s") as ended:
            process.ask(0.5, time.sleep, 60)
        assert ended.value.verdict == "timeout"
        third = process.ask(30, os.getpid)
        assert third not in (first, second)
        os.kill(third, signal.SIGKILL)  # between two questions
        time.sleep(2)
        assert process.ask(30, operator.mul, 2, 4) == 8


def test_an_adapter_that_cannot_start_says_so() -> None:
    nobody = AdapterRef("nobody:Nothing", "nobody:Nothing")
    with Apart(nobody) as process, pytest.raises(AdapterUnavailable):
        process.ask(30, describe, nobody)
