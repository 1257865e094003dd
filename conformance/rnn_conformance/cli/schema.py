"""``rnn-conformance schema``."""

from __future__ import annotations

import click
from rnn_fixtures.locations import SPEC

from rnn_conformance.errors import ConfigurationError

FOLDER = SPEC / "schemas"


@click.command("schema")
@click.argument("name")
def command(name: str) -> None:
    """Print the JSON Schema of one of the suite's JSON documents."""
    known = sorted(p.name.removesuffix(".schema.json") for p in FOLDER.glob("*.schema.json"))
    if name not in known:
        raise ConfigurationError(f"unknown schema {name!r}; there are: {', '.join(known)}")
    click.echo((FOLDER / f"{name}.schema.json").read_text("utf-8"), nl=False)
