"""Results: one SQLite file per directory, many runs, every batch committed as it arrives.

Facts about cases and texts that many results share are stored once; a passing result takes some two hundred bytes. Everything else (report,
JSON) is read from here, through `rnn_conformance.results.reading`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn_conformance import __version__
from rnn_conformance.errors import ConfigurationError, ResultsNotWritten
from rnn_conformance.results import migrations, packing
from rnn_conformance.results.migrations import FORMAT
from rnn_conformance.results.queries import Queries, Row
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import Run, now

FILE = "results.sqlite"
# Seconds to wait for another run that writes into the same directory.
PATIENCE = 60.0
# What is known of a case in a run, by table.
COPIED = {
    "results": "verdict, known, z, seconds, words, numbers",
    "explained": "agrees_with, observation",
    "returned": "arrays",
}
# So many bytes of returned arrays are kept for one run.
RETURNED = 1 << 28


@dataclass
class _Place:
    """Where the records of a run go: numbers of the run and of the golden data, and the run's id."""

    run: int
    revision: int
    id: str


class Results(Queries):
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

    def start(self, run: Run, known: Iterable[str] | None = None) -> None:
        """Add a run.

        Parameters
        ----------
        known : iterable of str, optional
            Ids of cases whose results it takes over where earlier runs of the same subject, with the same declarations, have them;
            asked for only when there are such runs.
        """
        earlier: list[Run] = []
        names: list[str] = []
        if known is not None:
            declared = json.loads(json.dumps(run.declared))
            earlier = [one for one in self.runs() if one.same_subject(run) and one.declared == declared]
            names = [*known] if earlier else []  # before the transaction: others may be waiting
        with self._transaction():
            self._insert(run)
            if names:
                self._copy(earlier[::-1], run, names)

    def _copy(self, earlier: Iterable[Run], run: Run, cases: Iterable[str]) -> None:
        """Give a run the first results that there are of some cases."""
        own = self._number(run)
        self._db.execute("CREATE TEMP TABLE wanted (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((name,) for name in cases))
        for one in earlier:
            number = self._number(one)
            self._db.execute(
                """CREATE TEMP TABLE taken AS SELECT "case" FROM results JOIN cases ON cases.number = "case" JOIN wanted USING (id)
                   WHERE run = ? AND "case" NOT IN (SELECT "case" FROM results WHERE run = ?)""",
                (number, own),
            )
            for table, columns in COPIED.items():
                query = f"""INSERT INTO {table} (run, "case", {columns}) SELECT ?, "case", {columns} FROM {table} JOIN taken USING ("case")
                            WHERE run = ?"""
                self._db.execute(query, (own, number))
            self._db.execute("DROP TABLE taken")
        self._db.execute("DROP TABLE wanted")

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
        row = Row(
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

    def _insert_row(self, place: _Place, row: Row, returned: bytes) -> None:
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
                for row in other.rows(run):
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


def _storable(value: Any) -> Any:
    """A lone surrogate cannot be stored."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
