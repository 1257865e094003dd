"""The real runner, with real worker processes, over adapters that misbehave."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rnn_conformance.errors import AdapterUnavailable, ConfigurationError
from rnn_conformance.judging.bench import build_key
from rnn_conformance.results.database import Results
from rnn_conformance.running import runner, tasks
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.options import Options
from rnn_conformance.running.registry import installed, resolve
from rnn_conformance.selection import compile_selection
from rnn_fixtures.case import Case
from rnn_fixtures.locations import DATA
from rnn_fixtures.store import Store

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def fakes_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    chosen = compile_selection(
        "family=forward and lstm and unroll=true and return_state=true and (mask=right or mask=left) and size=base and activation=tanh and recurrent_activation=sigmoid and use_bias=true"
    )
    return [c for c in Store().cases() if chosen(c, "float32")]


def options(cases: list[Case], **changes: Any) -> Options:
    defaults: dict[str, Any] = {
        "cases": cases,
        "tier": "core",
        "selection": "",
        "shard": "1/1",
        "dtypes": ["float32"],
        "device": "cpu",
        "workers": 2,
        "timeout": 30.0,
        "data": DATA,
        "fixtures": "test",
    }
    return Options(**defaults | changes)


def verdicts(folder: Path, name: str, cases: list[Case], **changes: Any) -> dict[str, list[dict[str, Any]]]:
    """Records by the kind of mask."""
    with Results(folder, create=True) as results:
        outcome = runner.execute(
            [AdapterRef(f"fakes:{name}", f"fakes:{name}")],
            options(cases, **changes),
            results,
            runner.Progress(),
        )
        found: dict[str, list[dict[str, Any]]] = {"right": [], "left": []}
        for run in outcome.runs:
            for record in results.records(run):
                found["right" if "mask=right" in record["case"] else "left"].append(record)
        assert all(run.finished for run in results.runs())
    return found


@pytest.mark.parametrize(
    ("name", "verdict", "message"),
    [
        ("Crash", "crash", "exit 7"),
        ("Raise", "protocol", "RuntimeError: no idea"),
        ("RaiseInside", "refused", "RuntimeError: no idea"),
        ("Declared", "unsupported", "lengths are not implemented"),
        ("Value", "value", "z = "),
        ("NotANumber", "value", "is nan"),
        ("Noise", "nondeterministic", "two identical runs differ"),
        ("Shape", "shape", "output has shape"),
        ("Dtype", "dtype", "float64, expected float32"),
        ("Count", "shape", "returned 5 arrays, expected 3: output, h, c"),
    ],
)
def test_a_misbehaving_adapter_costs_its_own_cases_a_verdict(
    tmp_path: Path, cases: list[Case], name: str, verdict: str, message: str
) -> None:
    few = [c for c in cases if "time_major" not in c.id and "go_backwards" not in c.id and "zero" not in c.id]
    found = verdicts(tmp_path, name, few)
    assert {r["verdict"] for r in found["left"]} == {"pass"}
    assert {r["verdict"] for r in found["right"]} == {verdict}
    assert all(message in r["message"] for r in found["right"])
    assert len(found["left"]) == len(found["right"]) == 4


@pytest.mark.parametrize("name", ["Hang", "SlowStartAndHang"])
def test_a_hanging_adapter_is_stopped_and_the_run_goes_on(
    tmp_path: Path, cases: list[Case], name: str
) -> None:
    """Starting again takes longer than a case may, and is not counted."""
    few = [
        c
        for c in cases
        if c.id.endswith("return_state,unroll") and "zero" not in c.id and "given" not in c.id
    ]
    found = verdicts(tmp_path, name, few, timeout=2.0, workers=1)
    assert {r["verdict"] for r in found["left"]} == {"pass"}
    assert {r["verdict"] for r in found["right"]} == {"timeout"}


def test_verdicts_by_dtype(tmp_path: Path, cases: list[Case]) -> None:
    few = cases[:2]
    with Results(tmp_path, create=True) as results:
        all_dtypes = ["float64", "float32", "float16", "bfloat16"]
        outcome = runner.execute(
            [AdapterRef("fakes:Broken", "fakes:Broken")],
            options(few, dtypes=all_dtypes),
            results,
            runner.Progress(),
        )
        counts = {run.dtype: results.counts(run) for run in outcome.runs}
        reasons = {run.dtype: next(results.records(run))["message"] for run in outcome.runs}
    assert counts == {d: {"pass": 2} for d in all_dtypes[:2]} | {
        d: {"unsupported": 2} for d in all_dtypes[2:]
    }
    assert reasons["float16"] == "not today"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("fakes:NoStart", "OSError: no licence server"),
        ("fakes:DiesAtStart", "process died"),
        ("fakes:NotAnAdapter", "is not a subclass"),
        ("fakes:Nothing", "AttributeError"),
        ("no_such_module:X", "No module named 'no_such_module'"),
    ],
)
def test_adapters_that_cannot_start(target: str, message: str) -> None:
    with pytest.raises(AdapterUnavailable, match=message):
        runner.probe(resolve(target))


def test_unavailable_adapters_do_not_stop_the_others(tmp_path: Path, cases: list[Case]) -> None:
    refs = [AdapterRef("fakes:NoStart", "fakes:NoStart"), AdapterRef("numpy", installed()["numpy"].target)]
    with Results(tmp_path, create=True) as results:
        outcome = runner.execute(refs, options(cases[:3]), results, runner.Progress())
        assert list(outcome.unavailable) == ["fakes:NoStart"]
        assert [results.counts(run) for run in outcome.runs] == [{"pass": 3}]


def test_a_device_that_is_not_there(tmp_path: Path, cases: list[Case]) -> None:
    with Results(tmp_path, create=True) as results:
        outcome = runner.execute(
            [installed()["numpy"]], options(cases[:1], device="cuda:3"), results, runner.Progress()
        )
    assert outcome.runs == []
    assert "no device 'cuda:3'" in str(outcome.unavailable["numpy"])


class _StopsAfterTheFirstBatch(runner.Progress):
    def records(self, ref: AdapterRef, count: int) -> None:
        raise KeyboardInterrupt


class _Counts(runner.Progress):
    def __init__(self) -> None:
        self.counted = 0

    def records(self, ref: AdapterRef, count: int) -> None:
        self.counted += count


def test_interrupt_keeps_what_is_done_and_resume_does_the_rest(
    tmp_path: Path, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.batches, "__defaults__", (4,))
    ref = installed()["numpy"]
    before = set(threading.enumerate())
    with Results(tmp_path, create=True) as results:
        with pytest.raises(KeyboardInterrupt):
            runner.execute([ref], options(cases, workers=1), results, _StopsAfterTheFirstBatch())
        (run,) = results.runs()
        kept = results.done(run)
        assert 0 < len(kept) < len(cases)
        assert run.finished is None
        progress = _Counts()
        outcome = runner.execute([ref], options(cases, resume=True), results, progress)
        assert [r.id for r in outcome.runs] == [run.id]
        assert progress.counted == len(cases) - len(kept)
        assert results.done(run) == {c.id for c in cases}
        assert [r.finished is not None for r in results.runs()] == [True]
    deadline = time.monotonic() + 60
    while left := set(threading.enumerate()) - before:  # the interrupted run's end when they come to it
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_worker_output_does_not_reach_stdout(
    tmp_path: Path, cases: list[Case], capfd: pytest.CaptureFixture[str]
) -> None:
    verdicts(tmp_path, "Chatter", [c for c in cases if "mask=right" in c.id][:2])
    out, err = capfd.readouterr()
    assert out == ""
    assert "this must not reach the standard output" in err


def test_batches_keep_builds_together(cases: list[Case]) -> None:
    made = list(tasks.batches(cases, limit=3))
    assert Counter(c.id for b in made for c in b) == Counter(c.id for c in cases)
    for key in {build_key(c) for c in cases}:
        assert sum(any(build_key(c) == key for c in b) for b in made) == 1


def test_shards_part_the_cases(cases: list[Case]) -> None:
    parts = [tasks.Shard.of(f"{i}/3").cases(cases) for i in (1, 2, 3)]
    assert sorted(c.id for p in parts for c in p) == sorted(c.id for c in cases)
    assert all(parts)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "a/b", "1", "1/0"])
def test_bad_shards(shard: str) -> None:
    with pytest.raises(ConfigurationError, match="I/N"):
        tasks.Shard.of(shard)


def test_the_parent_imports_no_framework() -> None:
    assert not {"torch", "tensorflow", "jax", "onnxruntime", "keras"} & set(sys.modules)
