"""The full tier through the runner and the commands: computed where it is run, counted, sharded, resumed, explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import cli
from rnn_conformance.cases import Cases, full_digest
from rnn_conformance.errors import NothingSelected
from rnn_conformance.explaining.explain import explain
from rnn_conformance.results.database import Results
from rnn_conformance.running import runner
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.options import Options
from rnn_conformance.running.registry import installed
from rnn_conformance.running.tasks import Shard, full_cases, full_count
from rnn_fixtures.locations import CACHE_VARIABLE, DATA
from rnn_fixtures.store import Store

# Two parts of one layer.
CHOSEN = "family=forward and layer=LSTM and size=small and activation=tanh and (recurrent_activation=sigmoid or recurrent_activation=relu) and tier=full"
WHOLE = Shard()


@pytest.fixture(scope="module", autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `fakes` lies."""
    monkeypatch.chdir(Path(__file__).parent)


@pytest.fixture(scope="module")
def ids() -> set[str]:
    return {case.id for case in full_cases(DATA, CHOSEN) if "float32" in case.dtypes}


def options(shard: str = "1/1", **changes: Any) -> Options:
    defaults: dict[str, Any] = {
        "cases": [],
        "tier": "full",
        "selection": CHOSEN,
        "shard": shard,
        "dtypes": ["float32"],
        "device": "cpu",
        "workers": 2,
        "timeout": 60.0,
        "data": DATA,
        "fixtures": full_digest(Store(check=False)),
        "full": full_count(Shard.of(shard), DATA, ["float32"], CHOSEN),
    }
    return Options(**defaults | changes)


def run(
    folder: Path, ref: AdapterRef, progress: runner.Progress | None = None, **changes: Any
) -> dict[str, dict[str, Any]]:
    with Results(folder, create=True) as results:
        outcome = runner.execute([ref], options(**changes), results, progress or runner.Progress())
        (done,) = outcome.runs
        records = {record["case"]: record for record in results.records(done)}
        assert done.selected == len(records)
        assert done.finished
        return records


def test_every_case_has_a_verdict(tmp_path: Path, ids: set[str]) -> None:
    records = run(tmp_path, installed()["numpy"])
    assert records.keys() == ids
    assert {record["verdict"] for record in records.values()} == {"pass"}
    assert len(ids) > 100


def test_shards_are_the_whole_and_compute_their_own(tmp_path: Path, ids: set[str], kept: Path) -> None:
    found = [run(tmp_path / shard[0], installed()["numpy"], shard=shard) for shard in ("1/2", "2/2")]
    assert not found[0].keys() & found[1].keys()
    assert found[0].keys() | found[1].keys() == ids
    counts = [full_count(Shard(number, 3), DATA, ["float32"], CHOSEN)["float32"] for number in (1, 2, 3)]
    assert sum(counts) == len(ids)


class _Stops(runner.Progress):
    def records(self, ref: AdapterRef, count: int) -> None:
        if count:
            raise KeyboardInterrupt


def test_an_interrupted_run_is_resumed(tmp_path: Path, ids: set[str]) -> None:
    ref = installed()["numpy"]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, ref, _Stops(), workers=1)
    with Results(tmp_path) as results:
        (first,) = results.runs()
        assert 0 < len(results.done(first)) < len(ids)
    assert run(tmp_path, ref, resume=True).keys() == ids
    with Results(tmp_path) as results:
        assert [one.id for one in results.runs()] == [first.id]


def test_what_shards_and_narrower_runs_have_is_not_run_again(tmp_path: Path, ids: set[str]) -> None:
    ref = installed()["numpy"]
    shard = run(tmp_path, ref, shard="1/2")
    narrower = f"{CHOSEN} and mask=right"
    counted = full_count(WHOLE, DATA, ["float32"], narrower)
    narrow = run(tmp_path, ref, selection=narrower, full=counted, resume=True)
    whole = run(tmp_path, ref, _Counts(left := []), resume=True)
    assert whole.keys() == ids
    assert sum(left) == len(ids - shard.keys() - narrow.keys())
    assert 0 < sum(left) < len(ids) - len(shard)
    assert all(whole[name] == record for found in (shard, narrow) for name, record in found.items())


class _Counts(runner.Progress):
    def __init__(self, counts: list[int]) -> None:
        self._counts = counts

    def records(self, ref: AdapterRef, count: int) -> None:
        self._counts.append(count)


def test_what_an_adapter_cannot_express_is_not_computed(
    tmp_path: Path, ids: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    records = run(tmp_path / "out", AdapterRef("fakes:OnlyTanh", "fakes:OnlyTanh"))
    shown = {name for name in ids if "recurrent_activation" not in name}
    assert {name for name, record in records.items() if record["verdict"] == "pass"} == shown
    left_out = {record["verdict"] for name, record in records.items() if name not in shown}
    assert left_out == {"unsupported"}
    assert len(list((tmp_path / "cache" / "full").iterdir())) == 1  # of two parts


def test_a_dtype_that_an_adapter_does_not_have(
    tmp_path: Path, ids: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    count = full_count(WHOLE, DATA, ["float16"], CHOSEN)
    records = run(tmp_path, AdapterRef("fakes:Value", "fakes:Value"), dtypes=["float16"], full=count)
    assert {(record["verdict"], record["message"]) for record in records.values()} == {
        ("unsupported", "not today")
    }
    assert len(records) == count["float16"] > 100
    assert not (tmp_path / "cache").exists()


def test_discrepancies_of_the_full_tier_are_explained(tmp_path: Path, ids: set[str]) -> None:
    few = f"{CHOSEN} and mask=right and use_bias=true and unroll=false"
    counted = full_count(WHOLE, DATA, ["float32"], few)
    run(tmp_path, AdapterRef("fakes:Value", "fakes:Value"), selection=few, full=counted)
    with Results(tmp_path) as results:
        (done,) = results.runs()
        wrong = [d for d in results.discrepancies(done) if d.verdict == "value"]
        assert 8 <= len({d.case for d in wrong} & ids) == counted["float32"]
        told: list[int] = []
        explain(results, done, Cases(Store(check=False)), 2, told.append)
        assert sum(told) == len(list(results.discrepancies(done)))
        assert all(d.diagnosed for d in results.discrepancies(done))


def test_cases_of_the_full_tier_by_id(ids: set[str]) -> None:
    cases = Cases(Store(check=False))
    name = sorted(ids)[0]
    assert name in cases
    case = cases[name]
    assert (case.id, case.tier) == (name, "full")
    expected = cases.store_of(name).expected(next(iter(case.calls[0].expected.values())))
    assert expected.value.shape[0] == case.size.B
    assert "lstm/forward/nothing" not in cases
    stored = next(iter(cases))
    assert cases.store_of(stored).folder == DATA


def test_commands(tmp_path: Path, ids: set[str]) -> None:
    listed = json.loads(cli("cases", "--tier", "full", "--select", CHOSEN).stdout)
    assert {case["id"] for case in listed["cases"] if "float32" in case["dtypes"]} == ids
    assert cli("cases", "--tier", "full", "--select", f"{CHOSEN} and mask=nothing").returncode in (2, 5)

    name = sorted(ids)[0]
    shown = json.loads(cli("show", name, "--format", "json").stdout)
    assert shown["id"] == name
    assert shown["calls"][0]["expected"]

    out = str(tmp_path / "out")
    selection = f"{CHOSEN} and recurrent_activation=relu and mask=right"
    done = cli("run", "--adapter", "numpy", "--tier", "full", "--select", selection, "--out", out)
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["runs"]
    assert entry["verdicts"] == {"pass": entry["selected"]}
    assert 0 < entry["selected"] < len(ids)
    assert entry["elements"] > entry["selected"]
    assert "golden data" in entry["spent"]
    assert cli("fixtures", "export", "--form", "json", "--tier", "full", "--out", out).returncode == 2
    nothing = cli(
        "run", "--adapter", "numpy", "--tier", "full", "--select", "family=rejects and gelu", "--out", out
    )
    assert nothing.returncode == NothingSelected.exit_code, nothing.stderr


def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "def home():\n    raise RuntimeError('Could not determine home directory.')\n"
        "Path.home = home\n"
        "from rnn_conformance.cli.main import entry_point\n"
        "entry_point()"
    )
    environment = {k: v for k, v in os.environ.items() if k not in (CACHE_VARIABLE, "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code, "fixtures", "cache"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "internal" not in done.stderr
    assert f"set {CACHE_VARIABLE} to a folder of yours" in done.stderr
