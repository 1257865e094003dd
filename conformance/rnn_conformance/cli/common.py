"""Options and output that commands share."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click
from rnn_fixtures.case import STORED, TIERS, Case
from rnn_fixtures.store import Store, select_tier

from rnn_conformance.errors import ConfigurationError, NothingSelected
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.selection import compile_selection

F = TypeVar("F", bound=Callable[..., Any])


def format_option(function: F) -> F:
    """``--format``: pretty on a terminal, json into a pipe."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(["pretty", "json"]),
        default=None,
        help="Default: pretty on a terminal, json into a pipe.",
    )(function)


def data_option(function: F) -> F:
    """``--data``: another folder of golden data."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        default=None,
        help="Folder of golden data (default: the installed one).",
    )(function)


def tier_option(function: F) -> F:
    """``--tier``: of the stored ones."""
    return _tier_option(STORED)(function)


def any_tier_option(function: F) -> F:
    """``--tier``, full among them: for commands that compute cases."""
    return _tier_option(TIERS)(function)


def _tier_option(tiers: Sequence[str]) -> Callable[[F], F]:
    return click.option(
        "--tier",
        type=click.Choice(tiers),
        default="core",
        show_default=True,
        help="Each tier contains the ones before it.",
    )


def select_option(function: F) -> F:
    """``--select``."""
    return click.option(
        "--select",
        "selection",
        metavar="EXPR",
        default="",
        help="Words and key=value terms with and, or, not: 'lstm and mask=right and not unroll'.",
    )(function)


def setting_option(function: F) -> F:
    """``--setting``, as texts (`with_settings`)."""
    return click.option(
        "--setting",
        "settings",
        multiple=True,
        metavar="NAME=VALUE[,VALUE]",
        help="A switch of the framework, as --setting cudnn=on,off; of several values each gives a run of its own (repeatable). rnn-conformance doctor lists them.",
    )(function)


def with_settings(refs: Sequence[AdapterRef], settings: Sequence[str]) -> list[AdapterRef]:
    """Every adapter with every combination of the values of ``--setting``."""
    values: dict[str, list[str]] = {}
    for text in settings:
        name, equals, given = text.partition("=")
        if not name or not equals or not all(given.split(",")):
            raise click.UsageError(f"--setting is NAME=VALUE or NAME=VALUE,VALUE, got {text!r}")
        values[name] = list(dict.fromkeys([*values.get(name, []), *given.split(",")]))
    chosen = [
        tuple(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())
    ]
    return [replace(ref, settings=own) for ref in refs for own in chosen]


def provider_library_option(function: F) -> F:
    """``--provider-library``: for the adapters' processes, which inherit the environment."""

    def tell(context: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]) -> None:
        if paths:
            from rnn_conformance.contract.adapter import PROVIDER_LIBRARIES

            os.environ[PROVIDER_LIBRARIES] = os.pathsep.join(str(path.resolve()) for path in paths)

    return click.option(
        "--provider-library",
        multiple=True,
        expose_value=False,
        callback=tell,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A library of execution providers, which ONNX Runtime then offers as devices (repeatable): --device openvino:cpu.",
    )(function)


def open_store(data: Path | None) -> Store:
    """The golden data, its digests checked."""
    return Store() if data is None else Store(data)


def selected_cases(store: Store, tier: str, selection: str) -> list[Case]:
    """The cases of a tier that a selection matches in at least one dtype.

    Raises
    ------
    NothingSelected
        When there are none.
    """
    cases = select(store.cases(), tier, selection)
    if not cases:
        raise NothingSelected(nothing(tier, selection))
    return cases


def select(cases: Iterable[Case], tier: str, selection: str) -> list[Case]:
    """The stored cases of a tier, of full those of core, that a selection matches in at least one dtype."""
    found = select_tier(cases, tier if tier in STORED else STORED[-1])
    if not selection:
        return found
    matches = compile_selection(selection)
    return [c for c in found if any(matches(c, dtype) for dtype in c.dtypes)]


def nothing(tier: str, selection: str) -> str:
    """What is said where nothing is selected."""
    return (
        f"no case of tier {tier} matches {selection!r}; list cases with: rnn-conformance cases --tier {tier}"
    )


def require_flint() -> None:
    """Refuse where golden data cannot be computed, before processes that would do so are started.

    Raises
    ------
    ConfigurationError
        When python-flint is not installed.
    """
    if find_spec("flint") is None:
        raise ConfigurationError("computing golden data needs flint: pip install 'rnn-conformance[generate]'")


def is_pretty(style: str | None) -> bool:
    """Whether to write for a person."""
    return sys.stdout.isatty() if style is None else style == "pretty"


def print_json(data: Any) -> None:
    """Indented JSON on stdout."""
    click.echo(json.dumps(data, indent=2, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout, as wide as the terminal; colours only where they are wanted."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, not markup: "rnn-conformance[torch]" has brackets of its own.
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(table)
