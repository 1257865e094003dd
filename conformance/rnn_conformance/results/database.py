"""Results: one SQLite file per directory, many runs, every batch committed as it arrives.

Facts about cases and texts that many results share are stored once; a passing result takes some two hundred bytes. Everything else (report,
JSON) is read from here, through `rnn_conformance.results.reading`.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnn_conformance import __version__
from rnn_conformance.errors import ConfigurationError, ResultsNotWritten
from rnn_conformance.judging.verdict import DISCREPANCIES, FAULTY, VERDICTS
from rnn_conformance.results import migrations, packing
from rnn_conformance.results.migrations import FORMAT
from rnn_conformance.results.record import Record, as_json

FILE = "results.sqlite"
# Seconds to wait for another run that writes into the same directory.
PATIENCE = 60.0
# So many bytes of returned arrays are kept for one run.
RETURNED = 1 << 28


@dataclass
class Run:
    """One adapter on one device in one dtype over one selection of cases.

    Attributes
    ----------
    declared : list
        The adapter's known differences, as they were when it ran.
    spent : mapping
        Seconds by what took them.
    """

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
    declared: list[dict[str, str]] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

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


@dataclass
class _Place:
    """Where the records of a run go: numbers of the run and of the golden data, and the run's id."""

    run: int
    revision: int
    id: str


class Discrepancy(NamedTuple):
    """What is needed of a discrepancy before it is explained."""

    case: str
    verdict: str
    known: str | None
    message: str
    diagnosed: bool


class _Row(NamedTuple):
    """A record as its tables hold it."""

    id: str
    family: str
    clauses: str
    verdict: str
    known: str | None
    z: float | None
    seconds: float
    mode: str
    path: str
    clause: str
    message: str
    numbers: bytes
    agrees_with: str | None
    observation: str | None


class Results:
    """The results of one directory.

    Attributes
    ----------
    damaged : int
        Records that were skipped in reading because they are none.

    Raises
    ------
    ConfigurationError
        When the directory holds no results, or those of a newer format.
    ResultsNotWritten
        By whatever writes, when the file cannot be written; what was written before stays.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.path = folder / FILE
        self.damaged = 0
        self._kept: dict[str, int] = {}  # bytes of returned arrays, by run
        if not create and not self.path.is_file():
            raise ConfigurationError(
                f"{folder} holds no results ({FILE} is missing); make some with: rnn-conformance run --out {folder}"
            )
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            self._open(create)
        except BaseException:
            self._db.close()
            raise

    def _open(self, create: bool) -> None:
        try:
            if create:
                with self._writing():
                    self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")  # in WAL mode: survives a kill at any moment
            found = migrations.format_of(self._db)
            if found is None and create:
                with self._transaction():
                    if migrations.format_of(self._db) is None:  # another run may have been quicker
                        migrations.create(self._db, __version__)
                found = FORMAT, __version__
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(f"{self.path} is not a results file: {error}") from error
        if found is None:
            raise ConfigurationError(f"{self.path} is not a results file: it tells no format")
        number, version = found
        if number > FORMAT:
            raise ConfigurationError(
                f"{self.path} has format {number} of version {version} of the suite; this is {__version__}, which "
                f"reads formats up to {FORMAT}: choose another directory, or update"
            )
        if number < FORMAT:
            self._migrate(create, number)

    def _migrate(self, create: bool, number: int) -> None:
        """In place where the directory is written to, otherwise in memory."""
        if not create:
            memory = sqlite3.connect(":memory:", isolation_level=None)
            self._db.backup(memory)
            self._db.close()
            self._db = memory
        with self._transaction():
            found = migrations.format_of(self._db)
            if found is not None and found[0] < FORMAT:
                self.damaged += migrations.migrate(self._db, found[0], __version__)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing -------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise ResultsNotWritten(
                f"cannot write {self.path}: {error}. What was recorded before is kept; mend it (free space, another --out, or wait for the "
                "run that holds it) and go on with --resume"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that is written in it, or nothing."""
        with self._writing():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def start(self, run: Run) -> None:
        """Add a run."""
        with self._transaction():
            self._insert(run)

    def _insert(self, run: Run) -> None:
        values = [
            json.dumps(v, sort_keys=True) if isinstance(v, (dict, list)) else _storable(v)
            for v in vars(run).values()
        ]
        names = ", ".join(vars(run))
        self._db.execute(f"INSERT INTO runs ({names}) VALUES ({', '.join('?' * len(values))})", values)

    def add(self, run: Run, records: Iterable[Record], spent: Mapping[str, float] | None = None) -> None:
        """Add records, and the seconds that went into them; they are on disk when this returns."""
        with self._transaction():
            place = self._place(run)
            for record in records:
                self._add(place, record)
            if spent:
                self._spend(run, spent)

    def _number(self, run: Run) -> int:
        return int(self._db.execute("SELECT number FROM runs WHERE id = ?", (run.id,)).fetchone()[0])

    def _place(self, run: Run) -> _Place:
        number = self._number(run)
        if run.id not in self._kept:
            query = "SELECT COALESCE(SUM(LENGTH(arrays)), 0) FROM returned WHERE run = ?"
            self._kept[run.id] = int(self._db.execute(query, (number,)).fetchone()[0])
        return _Place(number, self._once("revisions", digest=run.fixtures), run.id)

    def _add(self, place: _Place, record: Record) -> None:
        row = _Row(
            *(
                record.case,
                record.family,
                " ".join(record.clauses),
                record.verdict,
                record.known,
                record.z,
                record.seconds,
            ),
            *(record.mode or "", record.path or "", record.clause or "", record.message),
            packing.numbers(record),
            json.dumps(record.agrees_with) if record.diagnosed else None,
            "" if record.diagnosed else None,
        )
        self._insert_row(place, row, packing.pack_arrays(record.returned) if record.returned else b"")

    def _insert_row(self, place: _Place, row: _Row, returned: bytes) -> None:
        number = place.run
        case = self._once("cases", revision=place.revision, id=row.id, family=row.family, clauses=row.clauses)
        words = self._once("words", mode=row.mode, path=row.path, clause=row.clause, message=row.message)
        self._db.execute(
            "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, case, row.verdict, row.known, row.z, row.seconds, words, row.numbers),
        )
        if row.agrees_with is not None:
            values = (number, case, row.agrees_with, row.observation or "")
            self._db.execute("INSERT OR REPLACE INTO explained VALUES (?, ?, ?, ?)", values)
        if returned and self._kept[place.id] < RETURNED:
            self._kept[place.id] += len(returned)
            self._db.execute("INSERT OR REPLACE INTO returned VALUES (?, ?, ?)", (number, case, returned))

    def _once(self, table: str, **facts: str | int) -> int:
        """The number of a row that is stored once."""
        facts = {name: _storable(value) for name, value in facts.items()}
        columns, values = ", ".join(facts), [*facts.values()]
        self._db.execute(
            f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({', '.join('?' * len(values))})", values
        )
        key = ("revision", "id") if table == "cases" else tuple(facts)
        found = self._db.execute(
            f"SELECT number FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in key)}",
            [facts[k] for k in key],
        )
        return int(found.fetchone()[0])

    def finish(self, run: Run) -> None:
        """Mark a run as complete."""
        run.finished = now()
        with self._transaction():
            self._db.execute("UPDATE runs SET finished = ? WHERE id = ?", (run.finished, run.id))

    def _spend(self, run: Run, spent: Mapping[str, float]) -> None:
        for name, value in spent.items():
            run.spent[name] = run.spent.get(name, 0.0) + value
        self._db.execute("UPDATE runs SET spent = ? WHERE id = ?", (json.dumps(run.spent), run.id))

    def explain(
        self, run: Run, found: Iterable[tuple[str, list[str], str]], spent: Mapping[str, float] | None = None
    ) -> None:
        """Add what discrepancies agree with: case, names of variants, and what else can be said of it."""
        with self._transaction():
            if spent:
                self._spend(run, spent)
            number = self._number(run)
            for case, agrees_with, observation in found:
                self._db.execute(
                    """INSERT OR REPLACE INTO explained
                       SELECT ?, cases.number, ?, ? FROM cases JOIN revisions ON revisions.number = revision
                       WHERE digest = ? AND id = ?""",
                    (number, json.dumps(agrees_with), observation, run.fixtures, case),
                )

    def absorb(self, other: Results) -> tuple[int, int]:
        """Take over runs and records of another directory that are not here; returns how many of each."""
        here = {run.id for run in self.runs()}
        new_runs = new_records = 0
        for run in other.runs():
            with self._transaction():  # a run and its records together, or not at all
                if run.id not in here:
                    self._insert(run)
                    new_runs += 1
                elif run.finished:
                    self._db.execute("UPDATE runs SET finished = ? WHERE id = ?", (run.finished, run.id))
                done, place = self.done(run), self._place(run)
                for row in other._rows(run):
                    if row.id not in done:
                        self._insert_row(place, row, other._returned(run, row.id))
                        new_records += 1
        return new_runs, new_records

    def take_over(self, run: Run, records: Iterable[Record]) -> tuple[int, int]:
        """Add a run and records of it that are not here; returns how many of each."""
        new = run.id not in {other.id for other in self.runs()}
        with self._transaction():
            if new:
                self._insert(run)
            done, place = self.done(run), self._place(run)
            left = [record for record in records if record.case not in done]
            for record in left:
                self._add(place, record)
        return int(new), len(left)

    # -- reading -------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        cursor = self._db.cursor()
        cursor.row_factory = sqlite3.Row
        found = []
        with closing(cursor.execute("SELECT * FROM runs ORDER BY started, number")):
            for row in cursor:
                fields = {name: row[name] for name in row.keys() if name != "number"}  # noqa: SIM118
                try:
                    fields |= {name: json.loads(row[name]) for name in ("environment", "declared", "spent")}
                    found.append(Run(**fields))
                except (ValueError, TypeError):
                    self.damaged += 1
        return found

    def resumable(self, run: Run) -> Run | None:
        """The newest run that does the same work, finished or not."""
        return next((r for r in reversed(self.runs()) if r.same_work(run)), None)

    def done(self, run: Run) -> set[str]:
        """Ids of the cases that have a record."""
        query = """SELECT cases.id FROM results JOIN cases ON cases.number = results."case"
                   WHERE run = (SELECT number FROM runs WHERE id = ?)"""
        return {row[0] for row in self._db.execute(query, (run.id,))}

    def count(self, run: Run) -> int:
        """How many cases have a record."""
        query = "SELECT COUNT(*) FROM results WHERE run = (SELECT number FROM runs WHERE id = ?)"
        return int(self._db.execute(query, (run.id,)).fetchone()[0])

    def _rows(self, run: Run, where: str = "") -> Iterator[_Row]:
        query = f"""SELECT cases.id, family, clauses, verdict, known, z, seconds, mode, path, clause, message, numbers, agrees_with, observation
                    FROM results JOIN cases ON cases.number = results."case" JOIN words ON words.number = results.words
                    LEFT JOIN explained USING (run, "case")
                    WHERE run = (SELECT number FROM runs WHERE id = ?) {f"AND ({where})" if where else ""} ORDER BY cases.id"""
        try:
            yield from map(_Row._make, self._db.execute(query, (run.id,)))
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(f"{self.path} is damaged: {error}") from error

    def records(self, run: Run, where: str = "") -> Iterator[dict[str, Any]]:
        """The records of a run as JSON data, by case id; those that are damaged are left out and counted.

        Parameters
        ----------
        where : str
            A condition in SQL on the columns of ``results`` and ``explained``.
        """
        for row in self._rows(run, where):
            try:
                yield _as_record(row)
            except (ValueError, TypeError, KeyError, AttributeError):
                self.damaged += 1

    def discrepancies(self, run: Run) -> Iterator[Discrepancy]:
        """Those of a run, by case id."""
        quoted = ", ".join(f"'{verdict}'" for verdict in DISCREPANCIES)
        query = f"""SELECT cases.id, verdict, known, message, agrees_with IS NOT NULL
                    FROM results JOIN cases ON cases.number = results."case" JOIN words ON words.number = results.words
                    LEFT JOIN explained USING (run, "case")
                    WHERE run = (SELECT number FROM runs WHERE id = ?) AND verdict IN ({quoted}) ORDER BY cases.id"""
        yield from (
            Discrepancy(case, verdict, known, message, bool(there))
            for case, verdict, known, message, there in self._db.execute(query, (run.id,))
        )

    def unexpected(self, run: Run) -> Iterator[dict[str, Any]]:
        """Records that make a run fail (`rnn_conformance.judging.differences.is_unexpected`)."""
        quoted = ", ".join(f"'{verdict}'" for verdict in FAULTY)
        yield from self.records(run, f"verdict = 'stale' OR (known IS NULL AND verdict IN ({quoted}))")

    def shown(self, run: Run) -> Iterator[tuple[str, str]]:
        """Case and verdict of every record of a run; ``known`` for a known discrepancy."""
        query = """SELECT cases.id, CASE WHEN known IS NOT NULL AND verdict <> 'stale' THEN 'known' ELSE verdict END
                   FROM results JOIN cases ON cases.number = results."case"
                   WHERE run = (SELECT number FROM runs WHERE id = ?)"""
        yield from self._db.execute(query, (run.id,))

    def verdicts(self, run: Run) -> Iterator[tuple[str, str]]:
        """Case and verdict of every record of a run."""
        query = """SELECT cases.id, verdict FROM results JOIN cases ON cases.number = results."case"
                   WHERE run = (SELECT number FROM runs WHERE id = ?)"""
        yield from self._db.execute(query, (run.id,))

    def elements(self, run: Run) -> int:
        """How many numbers were compared."""
        query = "SELECT numbers FROM results WHERE run = (SELECT number FROM runs WHERE id = ?)"
        return sum(packing.elements(blob) for (blob,) in self._db.execute(query, (run.id,)))

    def _returned(self, run: Run, case: str) -> bytes:
        query = """SELECT arrays FROM returned JOIN cases ON cases.number = returned."case"
                   WHERE run = (SELECT number FROM runs WHERE id = ?) AND cases.id = ?"""
        row = self._db.execute(query, (run.id, case)).fetchone()
        return b"" if row is None else row[0]

    def returned(self, run: Run, case: str) -> list[np.ndarray]:
        """What the implementation returned for a discrepancy; empty where it was not kept."""
        blob = self._returned(run, case)
        try:
            return packing.unpack_arrays(blob) if blob else []
        except (ValueError, TypeError):
            self.damaged += 1
            return []

    def counts(self, run: Run) -> dict[str, int]:
        """How many records of a run have each verdict; known discrepancies as ``known value`` and so on."""
        query = """SELECT CASE WHEN known IS NOT NULL AND verdict <> 'stale' THEN 'known ' || verdict ELSE verdict END,
                   COUNT(*) FROM results WHERE run = (SELECT number FROM runs WHERE id = ?) GROUP BY 1 ORDER BY 1"""
        return dict(self._db.execute(query, (run.id,)))

    def largest_z(self, run: Run) -> float | None:
        """Largest z of the passing cases."""
        query = "SELECT MAX(z) FROM results WHERE run = (SELECT number FROM runs WHERE id = ?) AND verdict = 'pass'"
        (value,) = self._db.execute(query, (run.id,)).fetchone()
        return value


def _storable(value: Any) -> Any:
    """A lone surrogate cannot be stored."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _as_record(row: _Row) -> dict[str, Any]:
    if row.verdict not in VERDICTS:
        raise ValueError(f"there is no verdict {row.verdict!r}")
    diagnosed = row.agrees_with is not None
    return as_json(
        {
            "case": row.id,
            "family": row.family,
            "clauses": row.clauses.split(),
            "verdict": row.verdict,
            "mode": row.mode or None,
            "path": row.path or None,
            "known": row.known,
            "z": row.z,
            **packing.unpack_numbers(row.numbers),
            "agrees_with": json.loads(row.agrees_with) if row.agrees_with is not None else [],
            "diagnosed": diagnosed,
            "message": "; ".join(filter(None, (row.message, row.observation))),
            "clause": row.clause or None,
            "seconds": row.seconds,
        }
    )
