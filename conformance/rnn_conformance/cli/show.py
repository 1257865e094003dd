"""``rnn-conformance show``."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.domain import clauses
from rnn_fixtures.store import Arrays, Store

from rnn_conformance.cases import Cases
from rnn_conformance.cli.common import data_option, format_option, is_pretty, open_store, print_json
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.judging.verdict import number


def find(store: Store, case_id: str) -> tuple[Case, Store]:
    """The case of that id, and the golden data that holds it: of the full tier that is computed here.

    Raises
    ------
    ConfigurationError
        When there is none; the message names similar ones.
    """
    cases = Cases(store)
    if case_id in cases:
        return cases[case_id], cases.store_of(case_id)
    near = get_close_matches(case_id, cases, n=3, cutoff=0.5)
    hint = f"; similar: {' '.join(near)}" if near else ""
    raise ConfigurationError(f"unknown case {case_id!r}{hint}; list cases with: rnn-conformance cases")


def _listed(array: np.ndarray) -> Any:
    """Nested lists; numbers that JSON has no word for as strings."""
    finite = array.dtype == bool or np.isfinite(array).all()
    if finite:
        return array.tolist()
    return [_listed(a) for a in array] if array.ndim else number(float(array))


def whole(store: Arrays, case: Case) -> dict[str, Any]:
    """A case with its arrays written out."""
    data = case.to_json()
    data["weights"] = {name: _listed(store.exact(ref)) for name, ref in case.weights.items()}
    data["arrays"] = {name: _listed(store.exact(ref)) for name, ref in case.arrays.items()}
    for call, written in zip(case.calls, data["calls"], strict=True):
        written["input"] = _listed(store.exact(call.input))
        if call.mask is not None:
            written["mask"] = store.exact(call.mask).tolist()
        if call.initial_state is not None:
            written["initial_state"] = [_listed(store.exact(ref)) for ref in call.initial_state]
        for name, ref in call.expected.items():
            golden = store.expected(ref)
            written["expected"][name] = {
                "value": _listed(golden.value),
                "sensitivity": golden.sensitivity.tolist(),
                "sensitivity_strict": golden.sensitivity_strict.tolist(),
            }
    return data


def _array(value: Any) -> np.ndarray:
    """An array from nested lists, with the strings of `_listed` as numbers again."""
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind in "US" else array


def _print_arrays(arrays: dict[str, Any]) -> None:
    for name, value in arrays.items():
        if value is not None:
            array = _array(value)
            click.echo(f"{name} {list(array.shape)}:\n{array}")


def _print(case: Case, data: dict[str, Any]) -> None:
    titles = clauses()
    click.echo(f"{case.id}\ntier {case.tier}; dtypes {', '.join(case.dtypes)}")
    click.echo(f"{case.layer}({', '.join(f'{k}={v!r}' for k, v in case.layer_arguments.items())})")
    click.echo("clauses:")
    for clause in case.clauses:
        click.echo(f"  {clause}: {titles[clause]['title']}")
    if case.detail:
        click.echo(f"detail: {json.dumps(data['detail'])}")
    with np.printoptions(precision=9, suppress=True, linewidth=110, threshold=400):
        _print_arrays(data["weights"] | data["arrays"])
        for number, call in enumerate(data["calls"], start=1):
            click.echo(f"call {number}" + (", after reset_states()" if call.get("reset") else ""))
            _print_arrays({name: call.get(name) for name in ("input", "mask", "initial_state")})
            for name, golden in call["expected"].items():
                value, s = _array(golden["value"]), _array(golden["sensitivity"])
                click.echo(f"expected {name} {list(value.shape)}:\n{value}\nits sensitivity S:\n{s}")


@click.command("show")
@click.argument("case_id", metavar="CASE")
@data_option
@format_option
def command(case_id: str, data: Path | None, style: str | None) -> None:
    """Print one case whole: arguments, clauses, weights, inputs, expected values, sensitivities."""
    store = open_store(data)
    case, store = find(store, case_id)
    content = whole(store, case)
    if is_pretty(style):
        _print(case, content)
    else:
        print_json({"schema": "case-1", **content})
