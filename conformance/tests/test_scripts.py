"""The stand-alone scripts of each framework that is installed: they agree where the framework is right, and notice where it is not."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from frameworks import MODULES, needs
from rnn_conformance.explaining.repro import stand_alone
from rnn_conformance.judging.bench import Bench
from rnn_conformance.results.record import Record
from rnn_conformance.running.registry import installed
from rnn_conformance.running.worker import adapter, run_case
from rnn_fixtures.case import Case
from rnn_fixtures.scenario import NoOracle, Numbers, Scenario, scenario_of
from rnn_fixtures.store import Store, select_tier

COUNT = 15
FAMILIES = ("forward", "stateful", "training")


def run(script: str, path: Path) -> int:
    """Exit status of a script, in this process."""
    path.write_text(script)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as exit_:
            return int(exit_.code or 0)
    return 0


def chosen(store: Store) -> list[Case]:
    """Smoke cases, those of every family in turn."""
    cases = select_tier(store.cases(), "smoke")
    families = [[c for c in cases if c.family == name and scenario_of(c, store)] for name in FAMILIES]
    return [c for group in zip(*(f * (60 // len(f) + 1) for f in families), strict=False) for c in group][
        :180
    ]


# Keras 3 and Keras 2 set TensorFlow up in different ways: each in a process of its own.
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_scripts(name: str, dtype: str, tmp_path: Path) -> None:
    needs(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check(name, dtype, tmp_path)


def _check(name: str, dtype: str, tmp_path: Path) -> None:
    ref, store = installed()[name], Store(check=False)
    if adapter(ref).describe().dtypes.get(dtype) is not None:
        pytest.skip(f"{name} does not compute in {dtype}")
    checked, seen = 0, set()
    for case in chosen(store):
        scenario = scenario_of(case, store)
        if case.id in seen or scenario is None or dtype not in case.dtypes:
            continue
        seen.add(case.id)
        record = run_case(Bench(adapter(ref), store, dtype, "cpu"), case)
        if record.verdict != "pass":
            continue
        with contextlib.suppress(NoOracle):
            script = stand_alone(ref, scenario, dtype, "cpu", Record.failure(case, "value", ""), [])
            if script is None:
                continue
            assert run(script, tmp_path / "right.py") == 0, f"{case.id}\n{script}"
            wrong, count = re.subn(r"^(x(?:_\d)?) = (.*)$", r"\1 = 1 - 2 * \2", script, flags=re.MULTILINE)
            assert count == len(case.calls)
            assert run(wrong, tmp_path / "wrong.py") == 1, f"{case.id}\n{wrong}"
            checked += 1
        if checked >= COUNT:
            break
    assert checked >= COUNT // 2


def test_flipped_arrays_reach_torch() -> None:
    """NumPy keeps the negative stride of a flipped axis of length 1; torch refuses it."""
    needs("torch")
    numbers = Numbers(np.ones((1, 1, 1)))
    weights = {"kernel": np.ones((1, 4)), "recurrent_kernel": np.ones((1, 4))}
    scenario = Scenario("LSTM", {"go_backwards": True}, weights, (numbers,), {"output": np.ones((1, 1))})
    case, memory = scenario.to_case()
    bench = Bench(adapter(installed()["torch"]), memory, "float32", "cpu")
    assert run_case(bench, case).verdict == "pass"
