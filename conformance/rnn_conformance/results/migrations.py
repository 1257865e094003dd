"""The tables of a results file, and how those of earlier formats become them."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec

# Of the file; a later version of the suite reads every earlier format.
FORMAT = 2

TABLES = (
    "CREATE TABLE suite (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE runs (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, started TEXT NOT NULL, finished TEXT, suite TEXT NOT NULL, fixtures TEXT NOT NULL,
        tier TEXT NOT NULL, selection TEXT NOT NULL, shard TEXT NOT NULL, adapter TEXT NOT NULL, framework TEXT NOT NULL,
        version TEXT NOT NULL, device TEXT NOT NULL, dtype TEXT NOT NULL, selected INTEGER NOT NULL, environment TEXT NOT NULL,
        declared TEXT NOT NULL DEFAULT '[]', spent TEXT NOT NULL DEFAULT '{}')""",
    # Of the golden data.
    "CREATE TABLE revisions (number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE)",
    """CREATE TABLE cases (
        number INTEGER PRIMARY KEY, revision INTEGER NOT NULL, id TEXT NOT NULL, family TEXT NOT NULL, clauses TEXT NOT NULL,
        UNIQUE (id, revision))""",
    # What many results say alike.
    """CREATE TABLE words (
        number INTEGER PRIMARY KEY, mode TEXT NOT NULL, path TEXT NOT NULL, clause TEXT NOT NULL, message TEXT NOT NULL,
        UNIQUE (message, mode, path, clause))""",
    """CREATE TABLE results (
        run INTEGER NOT NULL, "case" INTEGER NOT NULL, verdict TEXT NOT NULL, known TEXT, z REAL, seconds REAL NOT NULL,
        words INTEGER NOT NULL, numbers BLOB NOT NULL, PRIMARY KEY (run, "case")) WITHOUT ROWID""",
    """CREATE TABLE explained (
        run INTEGER NOT NULL, "case" INTEGER NOT NULL, agrees_with TEXT NOT NULL, observation TEXT NOT NULL,
        PRIMARY KEY (run, "case")) WITHOUT ROWID""",
    """CREATE TABLE returned (
        run INTEGER NOT NULL, "case" INTEGER NOT NULL, arrays BLOB NOT NULL, PRIMARY KEY (run, "case")) WITHOUT ROWID""",
)


def format_of(db: sqlite3.Connection) -> tuple[int, str] | None:
    """Format of a file, and the version of the suite that made it; None where there are no tables yet.

    Raises
    ------
    sqlite3.DatabaseError
        When the file is another one.
    """
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    found = dict(db.execute("SELECT key, value FROM suite"))
    written = found.get("format", "")
    if not written.isdigit():
        raise sqlite3.DatabaseError("it tells no format")
    return int(written), str(found.get("version", "?"))


def create(db: sqlite3.Connection, version: str) -> None:
    """Make the tables, within a transaction of the caller's."""
    for statement in TABLES:
        db.execute(statement)
    db.executemany("INSERT INTO suite VALUES (?, ?)", [("format", str(FORMAT)), ("version", version)])


def migrate(db: sqlite3.Connection, number: int, version: str) -> int:
    """Bring tables of an earlier format to the newest, within a transaction of the caller's; how many records were damaged and are left out."""
    assert number == 1
    return _from_first(db, version)


def _from_first(db: sqlite3.Connection, version: str) -> int:
    """Format 1 had a record as JSON in every row."""
    for table in ("suite", "runs", "results"):
        db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    create(db, version)
    columns = "id, started, finished, suite, fixtures, tier, selection, shard, adapter, framework, version, device, dtype, selected, environment"
    db.execute(f"INSERT INTO runs ({columns}) SELECT {columns} FROM old_runs ORDER BY started, rowid")
    db.execute("INSERT INTO revisions (digest) SELECT DISTINCT fixtures FROM runs")
    runs = {
        id_: (number, revision)
        for id_, number, revision in db.execute(
            "SELECT id, runs.number, revisions.number FROM runs JOIN revisions ON digest = fixtures"
        )
    }
    cases: dict[tuple[int, str], int] = {}
    words: dict[tuple[str, ...], int] = {}
    damaged = 0
    for run, text in db.execute("SELECT run, record FROM old_results").fetchall():
        try:
            _take_first(db, runs[run], json.loads(text), cases, words)
        except (ValueError, TypeError, KeyError):
            damaged += 1
    for table in ("suite", "runs", "results"):
        db.execute(f"DROP TABLE old_{table}")
    return damaged


def _take_first(
    db: sqlite3.Connection,
    run: tuple[int, int],
    record: dict[str, Any],
    cases: dict[tuple[int, str], int],
    words: dict[tuple[str, ...], int],
) -> None:
    def real(name: str) -> float | None:
        return None if record.get(name) is None else float(record[name])

    number, revision = run
    case = revision, str(record["case"])
    said = tuple(str(record.get(name) or "") for name in ("mode", "path", "clause", "message"))
    spread = {name: [float(v) for v in sums] for name, sums in record.get("spread", {}).items()}
    numbers = [
        real("z_strict"),
        real("max_abs_error"),
        int(record.get("elements", 0)),
        record.get("where"),
        spread,
    ]
    values = (str(record["verdict"]), record.get("known"), real("z"), float(record["seconds"]))
    family, clauses = str(record["family"]), " ".join(record["clauses"])
    if case not in cases:
        made = db.execute(
            "INSERT INTO cases (revision, id, family, clauses) VALUES (?, ?, ?, ?)", (*case, family, clauses)
        )
        cases[case] = int(made.lastrowid or 0)
    if said not in words:
        made = db.execute("INSERT INTO words (mode, path, clause, message) VALUES (?, ?, ?, ?)", said)
        words[said] = int(made.lastrowid or 0)
    blob = msgspec.msgpack.encode(numbers)
    db.execute(
        "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (number, cases[case], *values, words[said], blob),
    )
    if record.get("diagnosed") or record.get("agrees_with"):
        agrees = json.dumps(list(record.get("agrees_with", [])))
        db.execute("INSERT INTO explained VALUES (?, ?, ?, '')", (number, cases[case], agrees))
