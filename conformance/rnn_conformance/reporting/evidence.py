"""What a discrepancy looks like: expected and returned numbers, and z of every element, where what was returned is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from rnn_fixtures.case import Call, Case
from rnn_fixtures.store import Arrays, DataError

from rnn_conformance.cases import Cases
from rnn_conformance.judging.verdict import measure, number
from rnn_conformance.reporting.views import Finding, View
from rnn_conformance.results.database import Results

# Of every cause in so many cases, and of each array so many rows and columns.
EXAMPLES, ROWS, COLUMNS = 10, 64, 64


def evidence(findings: Sequence[Finding], view: View, cases: Cases) -> Iterator[tuple[str, dict[str, Any]]]:
    """Case id and what is shown of it, for some cases of every cause: stored ones, or one of the full tier where no stored one shows it.

    Of a sequence the sample with the worst element is shown, as steps by units; of anything else the rows as they are.
    """
    wanted: dict[str, list[str]] = {}
    for finding in findings:
        differing = [record for record in finding.examples if record["verdict"] == "value"]
        stored = [record for record in differing if record["case"] in cases.stored]
        for record in stored[:EXAMPLES] or differing[:1]:
            wanted.setdefault(record["run"], []).append(record["case"])
    for part in view.parts:
        with Results(part.folder) as results:
            for name in wanted.get(part.run.id, ()):
                # Of cases that this installation does not have, or cannot compute, nothing is shown.
                with suppress(KeyError, DataError):
                    case, store = cases[name], cases.store_of(name)
                    shown = _outputs(case, results.returned(part.run, name), view.run.dtype, store)
                    if shown:
                        yield name, {"outputs": shown}


def _outputs(case: Case, returned: list[np.ndarray], dtype: str, store: Arrays) -> list[dict[str, Any]]:
    named = [(call, name, ref) for call in case.calls for name, ref in call.expected.items()]
    golden = [store.expected(ref) for _, _, ref in named]
    if [a.shape for a in returned] != [g.value.shape for g in golden] or case.detail.get("replay"):
        return []  # gradients, dropout, other shapes: the message says what there is to say
    shown = []
    for (call, name, _), actual, expected in zip(named, returned, golden, strict=True):
        values = actual.astype(np.float64)
        z = measure(values, expected, dtype)
        if not z.size or z.ndim < 2:
            continue
        title = name if len(case.calls) == 1 else f"call {case.calls.index(call) + 1}: {name}"
        sample, where = _slice(z, time_major=bool(case.arguments.get("time_major")))
        shown.append(
            {
                "name": title,
                "shape": list(z.shape),
                "axes": ["step", "unit"] if z.ndim == 3 else ["sample", "unit"],
                "sample": sample,
                "z": [[_short(v) for v in row] for row in z[where][:ROWS, :COLUMNS]],
                "expected": _numbers(expected.value[where]),
                "returned": _numbers(values[where]),
                "input": _numbers(_of_sample(store.exact(call.input), sample, case)),
                "mask": _mask(call, sample, case, store),
            }
        )
    return shown


def _slice(z: np.ndarray, *, time_major: bool) -> tuple[int | None, Any]:
    if z.ndim == 2:
        return None, slice(None)
    worst = np.unravel_index(int(np.argmax(np.nan_to_num(z, posinf=np.finfo(float).max))), z.shape)
    if z.ndim == 3:
        sample = int(worst[1] if time_major else worst[0])
        return sample, (slice(None), sample) if time_major else (sample,)
    return int(worst[0]), tuple(int(k) for k in worst[:-2])


def _of_sample(array: np.ndarray, sample: int | None, case: Case) -> np.ndarray:
    if sample is None or array.ndim != 3:
        return array.reshape(array.shape[0], -1) if array.ndim > 1 else array[None]
    return array[:, sample] if case.arguments.get("time_major") else array[sample]


def _mask(call: Call, sample: int | None, case: Case, store: Arrays) -> list[bool] | None:
    if call.mask is None or sample is None:
        return None
    mask = store.exact(call.mask)
    row = mask[:, sample] if case.arguments.get("time_major") else mask[sample]
    return [bool(v) for v in row[:ROWS]]


def _numbers(array: np.ndarray) -> list[list[float | str]]:
    return [[number(float(v)) for v in row] for row in np.atleast_2d(array)[:ROWS, :COLUMNS]]


def _short(z: float) -> float | str:
    return float(f"{z:.3g}") if np.isfinite(z) else str(z)
