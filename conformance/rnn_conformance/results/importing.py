"""Results that others exported as JSON, checked against the schema before anything of them is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
from rnn_fixtures.locations import SPEC

from rnn_conformance.errors import ConfigurationError
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import Run

# Larger files are refused unread: an export of a hundred thousand results has a tenth of this.
LARGEST = 1 << 30


def read_export(path: Path) -> Iterator[tuple[Run, list[Record]]]:
    """The runs of an export (``report --export json``) and their records.

    Raises
    ------
    ConfigurationError
        When the file is none, or not as ``spec/schemas/results.schema.json`` says.
    """
    schema = json.loads((SPEC / "schemas/results.schema.json").read_text("utf-8"))
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST >> 20} MiB")
        data = json.loads(path.read_bytes())
        jsonschema.Draft202012Validator(schema).validate(data)
        runs = {run["id"]: Run(**run) for run in data["runs"]}
        records: dict[str, list[Record]] = {name: [] for name in runs}
        for entry in data["results"]:
            records[entry["run"]].append(_record(entry))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no export of results: {_short(error)}") from error
    except jsonschema.ValidationError as error:
        place = "/".join(map(str, error.absolute_path))
        raise ConfigurationError(
            f"{path} is no export of results: {place or 'all of it'}: {_short(error.message)}"
        ) from error
    for name, run in runs.items():
        yield run, records[name]


def _record(entry: dict[str, Any]) -> Record:
    extra = {"spread": {}, "elements": 0, "diagnosed": bool(entry["agrees_with"]), "clause": None}
    return Record.from_json({**extra, **entry})


def _short(what: object) -> str:
    return str(what)[:300]
