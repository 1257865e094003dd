"""Results: one SQLite file per directory, many runs, every batch committed as it arrives.

Everything else (report, JSON) is an export of it.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rnn_conformance import __version__
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.record import Record

FILE = "results.sqlite"
# Of the file; a later version of the suite reads every earlier format.
FORMAT = 1
# Seconds to wait for another run that writes into the same directory.
PATIENCE = 60.0

_SCHEMA = """
CREATE TABLE suite (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (
    id TEXT PRIMARY KEY, started TEXT NOT NULL, finished TEXT, suite TEXT NOT NULL, fixtures TEXT NOT NULL,
    tier TEXT NOT NULL, selection TEXT NOT NULL, shard TEXT NOT NULL, adapter TEXT NOT NULL, framework TEXT NOT NULL,
    version TEXT NOT NULL, device TEXT NOT NULL, dtype TEXT NOT NULL, selected INTEGER NOT NULL,
    environment TEXT NOT NULL);
CREATE TABLE results (
    run TEXT NOT NULL REFERENCES runs (id), "case" TEXT NOT NULL, family TEXT NOT NULL, verdict TEXT NOT NULL, known TEXT,
    z REAL, record TEXT NOT NULL, PRIMARY KEY (run, "case")) WITHOUT ROWID;
"""


@dataclass
class Run:
    """One adapter on one device in one dtype over one selection of cases."""

    id: str
    started: str
    finished: str | None
    suite: str
    fixtures: str
    tier: str
    selection: str
    shard: str
    adapter: str
    framework: str
    version: str
    device: str
    dtype: str
    selected: int
    environment: dict[str, Any]

    @property
    def label(self) -> str:
        return f"{self.adapter} {self.dtype}" + ("" if self.device == "cpu" else f" {self.device}")

    def same_work(self, other: Run) -> bool:
        """Whether ``--resume`` may continue one as the other: everything but time and identity agrees."""
        fields = "suite fixtures tier selection shard adapter framework version device dtype selected"
        same_packages = self.environment.get("packages") == other.environment.get("packages")
        return same_packages and all(getattr(self, f) == getattr(other, f) for f in fields.split())


def now() -> str:
    """UTC time, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run(**fields: Any) -> Run:
    """A run that starts now."""
    return Run(id=uuid.uuid4().hex, started=now(), finished=None, suite=__version__, **fields)


class Results:
    """The results of one directory.

    Raises
    ------
    ConfigurationError
        When the directory holds no results, or those of a newer format.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.path = folder / FILE
        if not create and not self.path.is_file():
            raise ConfigurationError(
                f"{folder} holds no results ({FILE} is missing); make some with: rnn-conformance run --out {folder}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        fresh = not self.path.is_file()
        self._db = sqlite3.connect(self.path, timeout=PATIENCE)
        try:
            self._open(fresh)
        except BaseException:
            self._db.close()
            raise

    def _open(self, fresh: bool) -> None:
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            if fresh:
                self._db.executescript(_SCHEMA)
                self._db.executemany(
                    "INSERT INTO suite VALUES (?, ?)", [("format", str(FORMAT)), ("version", __version__)]
                )
                self._db.commit()
            found = dict(self._db.execute("SELECT key, value FROM suite"))
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(f"{self.path} is not a results file: {error}") from error
        written = found.get("format", "")
        if not written.isdigit():
            raise ConfigurationError(f"{self.path} is not a results file: it tells no format")
        if int(written) > FORMAT:
            raise ConfigurationError(
                f"{self.path} has format {written} of version {found.get('version')} of the suite; this is {__version__}, which "
                f"reads formats up to {FORMAT}: choose another directory, or update"
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing -------------------------------------------------------------------------------

    def start(self, run: Run) -> None:
        """Add a run."""
        with self._db:
            self._insert(run)

    def _insert(self, run: Run) -> None:
        values = [*vars(run).values()]
        values[-1] = json.dumps(run.environment, sort_keys=True)
        self._db.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(values))})", values)

    def add(self, run: Run, records: Iterable[Record]) -> None:
        """Add records; they are on disk when this returns."""
        rows = []
        for record in records:
            data = record.to_json()
            rows.append(
                (run.id, record.case, record.family, record.verdict, record.known, record.z, json.dumps(data))
            )
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def finish(self, run: Run) -> None:
        """Mark a run as complete."""
        run.finished = now()
        with self._db:
            self._db.execute("UPDATE runs SET finished = ? WHERE id = ?", (run.finished, run.id))

    def absorb(self, other: Results) -> tuple[int, int]:
        """Take over runs and records of another directory that are not here; returns how many of each."""
        here = {run.id for run in self.runs()}
        new_runs = new_records = 0
        for run in other.runs():
            rows = other._db.execute("SELECT * FROM results WHERE run = ?", (run.id,)).fetchall()
            with self._db:  # a run and its records together, or not at all
                if run.id not in here:
                    self._insert(run)
                    new_runs += 1
                elif run.finished:
                    self._db.execute("UPDATE runs SET finished = ? WHERE id = ?", (run.finished, run.id))
                statement = "INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)"
                new_records += self._db.executemany(statement, rows).rowcount
        return new_runs, new_records

    # -- reading -------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        cursor = self._db.cursor()
        cursor.row_factory = sqlite3.Row
        with closing(cursor.execute("SELECT * FROM runs ORDER BY started, rowid")):
            return [Run(**dict(row) | {"environment": json.loads(row["environment"])}) for row in cursor]

    def resumable(self, run: Run) -> Run | None:
        """The newest run that does the same work, finished or not."""
        return next((r for r in reversed(self.runs()) if r.same_work(run)), None)

    def done(self, run: Run) -> set[str]:
        """Ids of the cases that have a record."""
        return {row[0] for row in self._db.execute('SELECT "case" FROM results WHERE run = ?', (run.id,))}

    def records(self, run: Run) -> Iterator[dict[str, Any]]:
        """The records of a run as JSON data, by case id."""
        query = 'SELECT record FROM results WHERE run = ? ORDER BY "case"'
        for (text,) in self._db.execute(query, (run.id,)):
            yield json.loads(text)

    def counts(self, run: Run) -> dict[str, int]:
        """How many records of a run have each verdict; known discrepancies as ``known value`` and so on."""
        query = """SELECT CASE WHEN known IS NOT NULL AND verdict <> 'stale' THEN 'known ' || verdict ELSE verdict END,
                   COUNT(*) FROM results WHERE run = ? GROUP BY 1 ORDER BY 1"""
        return dict(self._db.execute(query, (run.id,)))

    def elements(self, run: Run) -> int:
        """How many numbers the run's cases compared."""
        query = "SELECT SUM(json_extract(record, '$.elements')) FROM results WHERE run = ?"
        (value,) = self._db.execute(query, (run.id,)).fetchone()
        return value or 0

    def largest_z(self, run: Run) -> float | None:
        """Largest z of the passing cases."""
        query = "SELECT MAX(z) FROM results WHERE run = ? AND verdict = 'pass'"
        (value,) = self._db.execute(query, (run.id,)).fetchone()
        return value
