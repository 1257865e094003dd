"""``rnn-conformance show``."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.domain import clauses
from rnn_fixtures.store import Store

from rnn_conformance.cli.common import data_option, format_option, is_pretty, open_store, print_json
from rnn_conformance.errors import ConfigurationError


def find(store: Store, case_id: str) -> Case:
    """The case of that id.

    Raises
    ------
    ConfigurationError
        When there is none; the message names similar ones.
    """
    cases = {c.id: c for c in store.cases()}
    if case_id in cases:
        return cases[case_id]
    near = get_close_matches(case_id, cases, n=3, cutoff=0.5)
    hint = f"; similar: {' '.join(near)}" if near else ""
    raise ConfigurationError(f"unknown case {case_id!r}{hint}; list cases with: rnn-conformance cases")


def whole(store: Store, case: Case) -> dict[str, Any]:
    """A case with its arrays written out."""
    data = case.to_json()
    (call,) = data["calls"]
    data["weights"] = {name: store.exact(ref).tolist() for name, ref in case.weights.items()}
    call["input"] = store.exact(case.input).tolist()
    if case.mask is not None:
        call["mask"] = store.exact(case.mask).tolist()
    if case.initial_state is not None:
        call["initial_state"] = [store.exact(ref).tolist() for ref in case.initial_state]
    for name, ref in case.expected.items():
        golden = store.expected(ref)
        call["expected"][name] = {
            "value": golden.value.tolist(),
            "sensitivity": golden.sensitivity.tolist(),
            "sensitivity_strict": golden.sensitivity_strict.tolist(),
        }
    return data


def _print(case: Case, data: dict[str, Any]) -> None:
    titles = clauses()
    click.echo(f"{case.id}\ntier {case.tier}; dtypes {', '.join(case.dtypes)}")
    click.echo(f"{case.layer}({', '.join(f'{k}={v!r}' for k, v in case.layer_arguments.items())})")
    click.echo("clauses:")
    for clause in case.clauses:
        click.echo(f"  {clause}: {titles[clause]['title']}")
    (call,) = data["calls"]
    arrays = {
        **data["weights"],
        "input": call["input"],
        "mask": call["mask"],
        "initial_state": call["initial_state"],
    }
    with np.printoptions(precision=9, suppress=True, linewidth=110, threshold=400):
        for name, value in arrays.items():
            if value is not None:
                array = np.asarray(value)
                click.echo(f"{name} {list(array.shape)}:\n{array}")
        for name, golden in call["expected"].items():
            value, s = np.asarray(golden["value"]), np.asarray(golden["sensitivity"])
            click.echo(f"expected {name} {list(value.shape)}:\n{value}\nits sensitivity S:\n{s}")


@click.command("show")
@click.argument("case_id", metavar="CASE")
@data_option
@format_option
def command(case_id: str, data: Path | None, style: str | None) -> None:
    """Print one case whole: arguments, clauses, weights, inputs, expected values, sensitivities."""
    store = open_store(data)
    case = find(store, case_id)
    content = whole(store, case)
    if is_pretty(style):
        _print(case, content)
    else:
        print_json({"schema": "case-1", **content})
