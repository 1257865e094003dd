"""What is asked of a results file: nothing here writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnn_conformance.errors import ConfigurationError
from rnn_conformance.judging.verdict import DISCREPANCIES, FAULTY, VERDICTS
from rnn_conformance.results import packing
from rnn_conformance.results.record import as_json
from rnn_conformance.results.run import Run


class Discrepancy(NamedTuple):
    """What is needed of a discrepancy before it is explained."""

    case: str
    verdict: str
    known: str | None
    message: str
    diagnosed: bool


class Row(NamedTuple):
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


class Queries:
    """The reading half of `rnn_conformance.results.database.Results`.

    Attributes
    ----------
    damaged : int
        Records that were skipped in reading because they are none.
    """

    path: Path
    damaged: int
    _db: sqlite3.Connection

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

    def rows(self, run: Run, where: str = "") -> Iterator[Row]:
        """The records of a run as the tables hold them, by case id; ``where`` as in `records`."""
        query = f"""SELECT cases.id, family, clauses, verdict, known, z, seconds, mode, path, clause, message, numbers, agrees_with, observation
                    FROM results JOIN cases ON cases.number = results."case" JOIN words ON words.number = results.words
                    LEFT JOIN explained USING (run, "case")
                    WHERE run = (SELECT number FROM runs WHERE id = ?) {f"AND ({where})" if where else ""} ORDER BY cases.id"""
        try:
            yield from map(Row._make, self._db.execute(query, (run.id,)))
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(f"{self.path} is damaged: {error}") from error

    def records(self, run: Run, where: str = "") -> Iterator[dict[str, Any]]:
        """The records of a run as JSON data, by case id; those that are damaged are left out and counted.

        Parameters
        ----------
        where : str
            A condition in SQL on the columns of ``results`` and ``explained``.
        """
        for row in self.rows(run, where):
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


def _as_record(row: Row) -> dict[str, Any]:
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
