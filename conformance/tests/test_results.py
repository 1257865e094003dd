"""Results on disk: what is written stays, whatever version wrote it, and readers see one subject whatever it was made of."""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nights import night
from rnn_conformance.errors import ConfigurationError, ResultsNotWritten
from rnn_conformance.reporting import exports
from rnn_conformance.reporting.changes import History
from rnn_conformance.results import database, packing
from rnn_conformance.results.database import FILE, Results
from rnn_conformance.results.importing import read_export
from rnn_conformance.results.reading import Subject, collect
from rnn_conformance.results.record import RETURNED, Record
from rnn_conformance.results.run import Run, new_run
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(Store(check=False).cases())[:8]


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


def test_a_resumed_run_takes_over_what_others_of_its_subject_have(tmp_path: Path, cases: list[Case]) -> None:
    def wrong(case: Case, message: str) -> Record:
        return Record.failure(
            case, "value", message, returned=(np.ones(2),), diagnosed=True, agrees_with=["v"]
        )

    declared = [{"id": "k", "packages": {"a": "<2"}}]
    with Results(tmp_path, create=True) as results:
        earlier: dict[str, list[Case]] = {"old": cases[:3], "new": cases[2:5]}
        for name, own in earlier.items():
            results.start(one := some_run(selection=name, declared=declared))
            results.add(one, [wrong(case, name) for case in own])
        for other in (some_run(version="2"), some_run(declared=[]), some_run(dtype="float64")):
            results.start(other, (case.id for case in cases))
            assert results.count(other) == 0
        wanted = [*cases[1:4], cases[7]]
        results.start(run := some_run(shard="1/2", declared=declared), (case.id for case in wanted))
        found = {record["case"]: record for record in results.records(run)}
        assert {name: record["message"] for name, record in found.items()} == {
            cases[1].id: "old",
            cases[2].id: "new",
            cases[3].id: "new",
        }
        assert all(record["agrees_with"] == ["v"] for record in found.values())
        assert np.array_equal(results.returned(run, cases[1].id)[0], np.ones(2))


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


def measured(case: Case, verdict: str = "pass", z: float = 0.5, **more: Any) -> Record:
    """A record with every kind of number."""
    spread = {"output": [4.0, 1.0, -1.0, 1.0], "h": [2.0, 0.5, 0.25, float("inf")]}
    where = {"output": "h", "index": [0, 1]}
    return Record(
        *(case.id, case.family, case.clauses, verdict, "native", "path"),
        **{"z": z, "z_strict": 1.5, "max_abs_error": 1e-8, "where": where, "elements": 6, "spread": spread}
        | more,
    )


def test_what_is_written_is_read(tmp_path: Path, cases: list[Case]) -> None:
    records = [
        measured(cases[0]),
        measured(cases[1], "value", float("inf"), message="m", known="k", clause="MASK-3"),
        Record.failure(cases[2], "unsupported", "\u202eno\x00?", clause="X"),
    ]
    records[1].keep([np.arange(6, dtype=np.float32).reshape(2, 3), np.array(True)])
    with Results(tmp_path, create=True) as results:
        results.start(run := some_run())
        results.add(run, records, {"framework": 1.0})
        results.add(run, [], {"framework": 2.0})
    with Results(tmp_path) as again:
        assert list(again.records(run)) == sorted((r.to_json() for r in records), key=lambda r: r["case"])
        assert [r["case"] for r in again.records(run, "verdict = 'value'")] == [cases[1].id]
        kept = again.returned(run, cases[1].id)
        assert [(a.dtype, a.tolist()) for a in kept] == [("float32", [[0, 1, 2], [3, 4, 5]]), ("bool", True)]
        assert again.returned(run, cases[0].id) == []
        assert again.runs()[0].spent == {"framework": 3.0}
        again.explain(run, [(cases[1].id, ["mask-zeros"], "seen")])
        (explained,) = again.records(run, "verdict = 'value'")
        assert (explained["agrees_with"], explained["message"], explained["diagnosed"]) == (
            ["mask-zeros"],
            "m; seen",
            True,
        )
    with Results(tmp_path / "other", create=True) as other, Results(tmp_path) as again:
        other.absorb(again)
        assert list(other.records(run)) == list(again.records(run))
        assert len(other.returned(run, cases[1].id)) == 2


def test_large_results_are_not_kept(cases: list[Case]) -> None:
    record = measured(cases[0], "value")
    record.keep([np.zeros(RETURNED + 1, np.uint8)])
    assert len(record.returned) == 0


def test_a_passing_record_is_small(tmp_path: Path, cases: list[Case]) -> None:
    with Results(tmp_path, create=True) as results:
        sizes = []
        for _ in range(2):
            results.start(run := some_run())
            for number in range(4):
                records = [measured(cases[0]) for _ in range(500)]
                for k, record in enumerate(records):
                    record.case = f"{cases[0].id},{number},{k}"
                results.add(run, records)
            results._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            sizes.append((tmp_path / FILE).stat().st_size)
    assert (sizes[1] - sizes[0]) / 2000 < 220  # the second run does not repeat the facts of the cases


FIRST = """
CREATE TABLE suite (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (
    id TEXT PRIMARY KEY, started TEXT NOT NULL, finished TEXT, suite TEXT NOT NULL, fixtures TEXT NOT NULL,
    tier TEXT NOT NULL, selection TEXT NOT NULL, shard TEXT NOT NULL, adapter TEXT NOT NULL, framework TEXT NOT NULL,
    version TEXT NOT NULL, device TEXT NOT NULL, dtype TEXT NOT NULL, selected INTEGER NOT NULL, environment TEXT NOT NULL);
CREATE TABLE results (
    run TEXT NOT NULL REFERENCES runs (id), "case" TEXT NOT NULL, family TEXT NOT NULL, verdict TEXT NOT NULL, known TEXT,
    z REAL, record TEXT NOT NULL, PRIMARY KEY (run, "case")) WITHOUT ROWID;
INSERT INTO suite VALUES ('format', '1'), ('version', '0.1.0');
"""


def first_format(folder: Path, records: list[dict[str, Any]]) -> Run:
    """A file as version 0.1.0 wrote it; one record of it is damaged."""
    run = some_run()
    fields = {k: v for k, v in vars(run).items() if k not in ("declared", "spent")}
    fields["environment"] = json.dumps(run.environment)
    folder.mkdir(exist_ok=True)
    with sqlite3.connect(folder / FILE) as db:
        db.executescript(FIRST)
        db.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(fields))})", [*fields.values()])
        rows = [
            (run.id, r["case"], r["family"], r["verdict"], r["known"], None, json.dumps(r)) for r in records
        ]
        rows.append((run.id, "torn", "forward", "pass", None, None, '{"case": "torn", "fam'))
        db.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    db.close()
    return run


@pytest.mark.parametrize("create", [False, True])
def test_the_first_format_is_read(tmp_path: Path, cases: list[Case], create: bool) -> None:
    explained = measured(cases[2], "value", agrees_with=["mask-zeros"], diagnosed=True)
    records = [
        measured(cases[0]),
        measured(cases[1], "value", float("inf"), message="m", known="k"),
        explained,
    ]
    data = sorted((r.to_json() for r in records), key=lambda r: r["case"])
    run = first_format(tmp_path, data)
    with Results(tmp_path, create=create) as results:
        assert results.damaged == 1
        assert list(results.records(run)) == data
        assert results.runs()[0].same_work(run)
    with sqlite3.connect(tmp_path / FILE) as db:  # in place only where somebody writes
        (written,) = db.execute("SELECT value FROM suite WHERE key = 'format'").fetchone()
    db.close()
    assert written == ("2" if create else "1")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE results SET numbers = x'00' WHERE \"case\" = 1",
        "UPDATE results SET numbers = x'c1c1c1' WHERE \"case\" = 1",
        "UPDATE results SET verdict = 'excellent' WHERE \"case\" = 1",
        "UPDATE explained SET agrees_with = '[' WHERE \"case\" = 1",
    ],
)
def test_damaged_records_are_left_out(tmp_path: Path, cases: list[Case], change: str) -> None:
    with Results(tmp_path, create=True) as results:
        results.start(run := some_run())
        results.add(run, [measured(case, "value", diagnosed=True) for case in cases[:3]])
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute(change)
    db.close()
    (subject,) = collect([tmp_path])
    assert (len(list(subject.records())), subject.damaged) == (2, 1)


def test_a_torn_file_is_told(tmp_path: Path, cases: list[Case]) -> None:
    with Results(tmp_path, create=True) as results:
        results.start(run := some_run())
        results.add(run, [measured(case) for case in cases])
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with (
        pytest.raises(ConfigurationError, match=r"is damaged|is not a results file"),
        Results(tmp_path) as results,
    ):
        list(results.records(run))


def subject(*folders: Path) -> Subject:
    (found,) = collect(list(folders))
    return found


def test_parts_join(tmp_path: Path, cases: list[Case]) -> None:
    """Shards in two directories, and a case that was run again: one subject, the newest record of each case."""
    for number in (1, 2):
        with Results(tmp_path / str(number), create=True) as results:
            run = some_run(shard=f"{number}/2", selected=4)
            run.started = f"2026-01-01T00:00:0{number}+00:00"
            results.start(run)
            results.add(run, [measured(case) for case in cases[4 * number - 4 : 4 * number]])
            results.finish(run)
            if number == 2:
                again = some_run(selection="id=x", selected=2)
                again.started = "2026-01-01T00:00:03+00:00"
                results.start(again)
                results.add(again, [measured(cases[0], "value", 9.0)])
    found = subject(tmp_path)
    records = {r["case"]: r for r in found.records()}
    assert list(records) == sorted(c.id for c in cases)
    assert [name for name, r in records.items() if r["verdict"] == "value"] == [cases[0].id]
    assert records[cases[0].id]["run"] == found.parts[0].run.id
    assert found.missing == 1  # of the last run, which was not finished
    assert subject(tmp_path / "1").run.shard == "1/2"


def test_an_interrupted_run_is_made_up_for(tmp_path: Path, cases: list[Case]) -> None:
    with Results(tmp_path, create=True) as results:
        for number, (tier, finished) in enumerate((("smoke", False), ("core", True))):
            run = some_run(tier=tier, selected=3)
            run.started = f"2026-01-01T00:00:0{number}+00:00"
            results.start(run)
            results.add(run, [measured(case) for case in cases[: 1 + 2 * number]])
            if finished:
                results.finish(run)
    found = subject(tmp_path)
    assert (found.missing, found.run.tier, len(list(found.records()))) == (0, "core", 3)


def test_golden_data_of_two_revisions_does_not_mix(tmp_path: Path, cases: list[Case]) -> None:
    with Results(tmp_path, create=True) as results:
        for number, revision in enumerate(("old", "new")):
            run = some_run(fixtures=revision)
            run.started = f"2026-01-01T00:00:0{number}+00:00"
            results.start(run)
            results.add(run, [measured(cases[number])])
    assert [r["case"] for r in subject(tmp_path).records()] == [cases[1].id]


def test_a_locked_file_is_told(tmp_path: Path, cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    with Results(tmp_path, create=True) as results:
        results.start(run := some_run())
        other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResultsNotWritten, match=r"locked.*--resume"):
            results.add(run, [measured(cases[0])])
        other.execute("ROLLBACK")
        other.close()
        results.add(run, [measured(cases[0])])
        assert results.done(run) == {cases[0].id}


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, cases: list[Case]) -> None:
    """SQLite's own limit of pages gives the error of a full disk."""
    with Results(tmp_path, create=True) as results:
        results.start(run := some_run())
        results.add(run, [measured(cases[0])])
        results._db.execute("PRAGMA max_page_count = 1")  # no further page
        large = [measured(case, message="m" * 10_000) for case in cases[1:2]]
        with pytest.raises(ResultsNotWritten, match=r"full.*is kept.*--resume"):
            results.add(run, large)
        results._db.execute("PRAGMA max_page_count = 1000000")
        results.add(run, [measured(cases[2])])
        assert results.done(run) == {cases[0].id, cases[2].id}


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of file sizes")
def test_a_run_whose_disk_is_full_ends_as_it_should(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "rnn_conformance",
        "run",
        "--adapter",
        "numpy",
        "--tier",
        "smoke",
        "--select",
        "family=forward",
        "--out",
        str(tmp_path),
    ]
    limit = 100_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot write" in done.stderr
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_runs_write_into_one_directory(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "rnn_conformance",
        "run",
        "--adapter",
        "numpy",
        "--out",
        str(tmp_path),
        "--select",
    ]
    selections = tuple(f"tier=smoke and family=forward and {layer}" for layer in ("lstm", "gru"))
    running = [
        subprocess.Popen([*command, s], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for s in selections
    ]
    for process in running:
        _, err = process.communicate()
        assert process.returncode == 0, err
    found = subject(tmp_path)
    smoke = [c for c in Store(check=False).cases() if c.tier == "smoke" and c.family == "forward"]
    assert [r["case"] for r in found.records()] == sorted(c.id for c in smoke if "float32" in c.dtypes)
    assert len(found.parts) == 2


def test_arrays_survive_packing() -> None:
    for array in (np.zeros((0, 3), np.float32), np.arange(6.0).reshape(2, 3).T, np.array(3, np.int64)):
        (again,) = packing.unpack_arrays(packing.pack_arrays([array]))
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(again, array)


def test_any_text_can_be_stored(tmp_path: Path, cases: list[Case]) -> None:
    text = "\u202e \x00 \ud800 </script> ]]> \x1b[31m" + "m" * 1_000_000
    with Results(tmp_path, create=True) as results:
        results.start(run := some_run())
        results.add(run, [measured(cases[0], "value", message=text)])
        (record,) = results.records(run)
    assert record["message"] == text.replace("\ud800", "?")


def test_exports_are_merged_as_they_were(tmp_path: Path, cases: list[Case]) -> None:
    night(
        tmp_path / "a",
        cases,
        1,
        faults={cases[0].id: {"verdict": "value", "z": float("inf"), "message": "m"}},
    )
    exported = tmp_path / "a.json"
    exported.write_text("".join(exports.text_of(History([tmp_path / "a"]), "json")))
    with Results(tmp_path / "b", create=True) as results:
        for _ in range(2):  # a second time adds nothing
            taken = [results.take_over(run, records) for run, records in read_export(exported)]
        assert taken == [(0, 0)]
    (before,), (after,) = (collect([tmp_path / k]) for k in "ab")
    strip = ("spread", "elements", "rms_z", "bias_z", "clause", "diagnosed")
    # what an export does not need to have is left out
    kept = [
        [{k: v for k, v in r.items() if k not in strip} for r in found.records()] for found in (before, after)
    ]
    assert kept[0] == kept[1]
    assert vars(after.run) == vars(before.run)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no export"),
        ("[]", "not of type 'object'"),
        ('{"schema": "results-1", "runs": [], "results": [{}]}', "results/0"),
        ('{"schema": "results-1", "runs": [{"id": 1}], "results": []}', "runs/0"),
        ("[" * 100_000, "no export"),
    ],
)
def test_other_files_are_refused_before_anything_is_kept(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        list(read_export(tmp_path / "x.json"))
