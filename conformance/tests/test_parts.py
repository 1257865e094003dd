"""Selections, known differences, results on disk, composition."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from packaging.specifiers import SpecifierSet
from rnn_conformance import known
from rnn_conformance.composition import pack
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.record import Record
from rnn_conformance.registry import installed, resolve
from rnn_conformance.results import FILE, Results, Run, new_run
from rnn_conformance.selection import compile_selection
from rnn_conformance.verdict import DISCREPANCIES, FAILURES
from rnn_fixtures.case import Case
from rnn_fixtures.domain import clauses
from rnn_fixtures.store import Store


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(Store().cases())


@pytest.mark.parametrize(
    ("expression", "test"),
    [
        ("lstm", lambda c: c.layer == "LSTM"),
        ("layer=GRU and reset_after=false", lambda c: c.argument("reset_after") is False),
        ("mask=right or mask=left", lambda c: c.argument("mask") in ("right", "left")),
        ("not unroll=true", lambda c: not c.argument("unroll")),
        ("activation=hard_*", lambda c: c.argument("activation").startswith("hard_")),
        ("MASK-4", lambda c: "MASK-4" in c.clauses),
        ("clause=MASK-4 and (tier=smoke)", lambda c: "MASK-4" in c.clauses and c.tier == "smoke"),
        ("claim=reset_after", lambda c: "reset_after" in c.claims),
        ("dtype=float32", lambda c: True),
        ("dtype=float16", lambda c: False),
        ("reset_after=true and lstm", lambda c: False),
    ],
)
def test_selection(cases: list[Case], expression: str, test: Any) -> None:
    matches = compile_selection(expression)
    assert [c.id for c in cases if matches(c, "float32")] == [c.id for c in cases if test(c)]


@pytest.mark.parametrize("expression", ["lstm and", "(mask=right", "a b", "not", "not activaton=relu"])
def test_bad_selection(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="the selection"):
        compile_selection(expression)


# -- known differences ---------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", [p.stem for p in known.FOLDER.glob("*.toml")])
def test_declarations_are_complete(adapter: str, cases: list[Case]) -> None:
    assert adapter in installed()
    entries = known.load(adapter, "not a version")
    assert len({e.id for e in entries}) == len(entries)
    for entry in entries:
        assert entry.clause in clauses()
        assert entry.verdict in (*DISCREPANCIES, *FAILURES)
        assert entry.reason
        SpecifierSet(entry.versions)
        assert any(entry.applies(c, d) for c in cases for d in c.dtypes), f"{entry.id} matches no case"
        repro = (known.FOLDER / "repros" / f"{adapter}-{entry.id}.py").read_text("utf-8")
        assert "rnn_" not in repro, "a reproduction stands alone"
        assert "sys.exit(" in repro


def entry(**fields: str) -> known.Known:
    return known.Known(
        **{"id": "k", "select": "mask=right", "verdict": "value", "clause": "MASK-3", "reason": "r"} | fields
    )


def test_known_stale_and_unexpected(cases: list[Case]) -> None:
    case = next(c for c in cases if c.argument("mask") == "right")
    other = next(c for c in cases if c.argument("mask") == "left")
    for verdict, which, expected, unexpected in (
        ("value", case, ("value", "k"), False),
        ("value", other, ("value", None), True),
        ("shape", case, ("shape", None), True),
        ("pass", case, ("stale", "k"), True),
        ("pass", other, ("pass", None), False),
        ("unsupported", case, ("unsupported", None), False),
    ):
        record = Record.failure(which, verdict, "")
        known.apply(record, which, "float32", [entry()])
        assert (record.verdict, record.known) == expected
        assert known.is_unexpected(record.verdict, record.known) is unexpected


def test_a_difference_below_the_resolution_may_pass(cases: list[Case]) -> None:
    case = next(c for c in cases if c.argument("mask") == "right")
    for dtype, expected in (("bfloat16", "pass"), ("float32", "stale")):
        record = Record.failure(case, "pass", "")
        known.apply(record, case, dtype, [entry(may_pass="dtype=bfloat16")])
        assert record.verdict == expected


def test_declarations_hold_for_versions(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        '[[known]]\nid="k"\nselect="lstm"\nverdict="value"\nclause="MASK-3"\nreason="r"\nversions="<3.16"\n'
    )
    assert len(known.load("x", "3.15.1", tmp_path)) == 1
    assert known.load("x", "3.16.0", tmp_path) == []
    assert known.load("absent", "1", tmp_path) == []


# -- results on disk -----------------------------------------------------------------------------


def some_run(**fields: Any) -> Run:
    defaults = {
        "fixtures": "f",
        "tier": "core",
        "selection": "",
        "shard": "1/1",
        "adapter": "a",
        "framework": "f",
        "version": "1",
        "device": "cpu",
        "dtype": "float32",
        "selected": 2,
        "environment": {"python": "3"},
    }
    return new_run(**defaults | fields)


def test_records_survive_without_closing(tmp_path: Path, cases: list[Case]) -> None:
    results = Results(tmp_path, create=True)
    run = some_run()
    results.start(run)
    results.add(run, [Record.failure(cases[0], "crash", "m", z=float("inf"))])
    with Results(tmp_path) as again:  # the first connection is still open, as after a kill
        assert [r["z"] for r in again.records(run)] == ["inf"]
        assert again.counts(run) == {"crash": 1}
        resumable = again.resumable(some_run())
        assert resumable is not None
        assert resumable.id == run.id
        assert again.resumable(some_run(version="2")) is None
    results.close()


def test_merge_takes_each_run_once(tmp_path: Path, cases: list[Case]) -> None:
    for name in ("one", "two"):
        with Results(tmp_path / name, create=True) as results:
            run = some_run(adapter=name)
            results.start(run)
            results.add(run, [Record.failure(c, "pass", "") for c in cases[:3]])
    with Results(tmp_path / "all", create=True) as target:
        for _ in range(2):
            for name in ("one", "two"):
                with Results(tmp_path / name) as source:
                    target.absorb(source)
        with Results(tmp_path / "one") as source:  # resumed after it was merged
            (run,) = source.runs()
            source.add(run, [Record.failure(cases[3], "pass", "")])
            source.finish(run)
            assert target.absorb(source) == (0, 1)
            source.add(run, [])
        assert sorted(r.adapter for r in target.runs()) == ["one", "two"]
        assert [(len(target.done(r)), r.finished is not None) for r in target.runs()] == [
            (4, True),
            (3, False),
        ]


def test_another_version_is_read_and_a_newer_format_refused(tmp_path: Path) -> None:
    Results(tmp_path, create=True).close()

    def write(key: str, value: str) -> None:
        with sqlite3.connect(tmp_path / FILE) as db:
            db.execute("UPDATE suite SET value = ? WHERE key = ?", (value, key))
        db.close()

    write("version", "0.0.1")
    Results(tmp_path).close()
    write("format", "7")
    with pytest.raises(ConfigurationError, match=r"format 7 of version 0\.0\.1 .* choose another directory"):
        Results(tmp_path)


def test_no_results_and_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no results"):
        Results(tmp_path)
    (tmp_path / FILE).write_text("this is a text file, not a database")
    with pytest.raises(ConfigurationError, match="is not a results file"):
        Results(tmp_path)


# -- composition and registry --------------------------------------------------------------------


@given(hnp.arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 6))), st.booleans())
def test_unpacking_a_running_count(mask: np.ndarray, zero: bool) -> None:
    """The k-th valid step of a row outputs k: masked steps repeat or are zero (MASK-3 to MASK-5)."""
    steps = np.broadcast_to(np.arange(mask.shape[1])[None, :, None], (*mask.shape, 1))
    packed = pack(steps, mask)
    counted = np.broadcast_to(np.arange(1, mask.shape[1] + 1)[None, :, None], (*mask.shape, 1))
    inside = np.arange(mask.shape[1])[None, :] < packed.lengths[:, None]
    framework = np.where(inside[..., None], counted, 0)  # frameworks pad with zeros
    outputs = packed.unpack(framework, zero_output_for_mask=zero)[..., 0]
    for row in range(len(mask)):
        assert packed.inputs[row, : packed.lengths[row], 0].tolist() == np.flatnonzero(mask[row]).tolist()
        expected = np.cumsum(mask[row])
        assert outputs[row].tolist() == (expected * mask[row] if zero else expected).tolist()


def test_registry() -> None:
    assert {"numpy", "keras", "tf-keras", "torch", "jax", "onnxruntime"} <= set(installed())
    assert resolve("my.module:Class").target == "my.module:Class"
    assert resolve("folder/my.py:Class").target == "folder/my.py:Class"
    assert resolve("cmd:program -x").target == "cmd:program -x"
    for bad in ("pytorch", "cmd:", ":x", "x:"):
        with pytest.raises(ConfigurationError):
            resolve(bad)
