"""Whether an adapter keeps the contract, shows what it claims, and whether faults in what it returns would be noticed; and what to write next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.store import Arrays

from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec, Model, Unsupported
from rnn_conformance.errors import Ended
from rnn_conformance.judging import differences
from rnn_conformance.judging.bench import Bench, layer_spec
from rnn_conformance.judging.shown import unshown
from rnn_conformance.judging.verdict import FAILURES
from rnn_conformance.results.record import Record
from rnn_conformance.running.expressible import check as expressible
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.worker import run_case

# So many passing cases are asked twice, and given each fault.
SAMPLE = 6


@dataclass(frozen=True)
class Step:
    """One thing that was looked at.

    Attributes
    ----------
    ok : bool or None
        None where there was nothing to look at.
    """

    name: str
    ok: bool | None
    detail: str


def _zeros(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [np.zeros_like(a) for a in arrays]


def _one_element(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The largest element of the first array, off by a thousandth."""
    first = arrays[0].copy()
    first.flat[int(np.argmax(np.abs(first)))] *= np.asarray(1.001, first.dtype)
    return [first, *arrays[1:]]


def _rows_rotated(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [np.roll(a, 1, axis=0) for a in arrays]


def _units_swapped(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [np.ascontiguousarray(a[..., ::-1]) for a in arrays]


def _short(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Through eleven significant bits, as TF32 and float16 have them."""
    return [a.astype(np.float16).astype(a.dtype) for a in arrays]


def _one_fewer(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return arrays[:-1]


FAULTS: Mapping[str, Callable[[list[np.ndarray]], list[np.ndarray]]] = {
    "zeros": _zeros,
    "one element off by a thousandth": _one_element,
    "rows of the batch rotated": _rows_rotated,
    "units in reverse order": _units_swapped,
    "numbers through float16": _short,
    "the last array left out": _one_fewer,
}


class _Faulty(Adapter):
    """An adapter whose models' outputs pass through a fault on their way to the judge."""

    def __init__(self, inner: Adapter, fault: Callable[[list[np.ndarray]], list[np.ndarray]]) -> None:
        self._inner, self._fault = inner, fault

    def describe(self) -> Description:
        return self._inner.describe()

    def build(self, spec: LayerSpec) -> Model:
        return _FaultyModel(self._inner.build(spec), self._fault)


class _FaultyModel(Model):
    def __init__(self, inner: Any, fault: Callable[[list[np.ndarray]], list[np.ndarray]]) -> None:
        self._inner, self._fault = inner, fault

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self._inner.set_weights(weights)

    def call(
        self, inputs: np.ndarray, mask: np.ndarray | None, initial_state: Sequence[np.ndarray] | None
    ) -> list[np.ndarray]:
        return self._fault([np.asarray(a) for a in self._inner.call(inputs, mask, initial_state)])


def check(
    adapter: RemoteAdapter,
    what: Description,
    declared: Sequence[differences.Known],
    store: Arrays,
    smoke: Sequence[Case],
    dtype: str,
    device: str,
) -> Iterator[Step]:
    """The steps, one after the other.

    Parameters
    ----------
    smoke : sequence of Case
        Those that are run.
    """
    able = [name for name, reason in what.dtypes.items() if reason is None]
    yield Step("starts", True, f"{what.framework} {what.version} on {', '.join(what.devices)}")
    yield Step(
        "computes in a dtype", dtype in able, f"{dtype} is {'' if dtype in able else 'not '}among {able}"
    )
    if dtype not in able:
        return
    bench = Bench(adapter, store, dtype, device)
    records: dict[str, Record] = {}
    for case in smoke:
        records[case.id] = record = run_case(bench, case)
        differences.apply(record, case, dtype, declared)
    count = Counter(r.verdict for r in records.values())
    broken = [r for r in records.values() if r.verdict in FAILURES]
    told = "; ".join(f"{r.case}: {r.verdict}: {r.message[:300]}" for r in broken[:3])
    yield Step(
        "keeps the contract",
        not broken,
        f"{len(broken)} of {len(records)} cases broke it: {told}"
        if broken
        else f"{len(records)} cases, message by message",
    )
    passing = [
        case
        for case in smoke
        if case.family == "forward" and records[case.id].verdict == "pass" and len(case.calls) == 1
    ]
    yield Step(
        "passes something",
        bool(passing),
        ", ".join(f"{n} {verdict}" for verdict, n in count.most_common()),
    )
    wrong = [
        r
        for r in records.values()
        if differences.is_unexpected(r.verdict, r.known) and r.verdict not in FAILURES
    ]
    told = "; ".join(f"{r.case}: {r.verdict}: {r.message[:200]}" for r in wrong[:3])
    yield Step(
        "differs nowhere that is not declared",
        not wrong if passing else None,
        f"{len(wrong)} cases: {told}" if wrong else "",
    )
    yield _deterministic(adapter, store, passing, dtype, device)
    can = what.capabilities
    if can is not None:
        missing = unshown(can, [r.to_json() for r in records.values()], {case.id: case for case in smoke})
        yield Step(
            "shows what it claims",
            not missing,
            f"claimed, and no case passes: {', '.join(missing)}" if missing else "",
        )
    yield from _noticed(adapter, store, passing, dtype, device)


def _deterministic(
    adapter: RemoteAdapter, store: Arrays, passing: Sequence[Case], dtype: str, device: str
) -> Step:
    """The same call twice, in two builds, gives the same bytes."""
    differing = []
    for case in passing[:SAMPLE]:
        found = []
        for _ in range(2):
            bench = Bench(adapter, store, dtype, device)
            outputs = bench.model(case).call(**bench.call_arguments(case.calls[0]))
            found.append([np.asarray(a).tobytes() for a in outputs])
        if found[0] != found[1]:
            differing.append(case.id)
    told = (
        f"two calls differ: {', '.join(differing)}" if differing else f"{len(passing[:SAMPLE])} cases, twice"
    )
    return Step("is deterministic", not differing if passing else None, told)


def _noticed(
    adapter: RemoteAdapter, store: Arrays, passing: Sequence[Case], dtype: str, device: str
) -> Iterator[Step]:
    """Outputs that are spoilt on their way must not pass: an adapter that echoes, or does nothing, cannot look right."""
    for name, fault in FAULTS.items():
        unseen, tried = [], 0
        for case in passing:
            if tried == SAMPLE:
                break
            golden = [store.expected(ref).value.astype(np.float32) for ref in case.calls[0].expected.values()]
            spoilt = fault(golden)
            if len(spoilt) == len(golden) and all(map(np.array_equal, golden, spoilt)):
                continue  # nothing to notice, as where all rows are the same
            tried += 1
            try:
                record = run_case(Bench(_Faulty(adapter, fault), store, dtype, device), case)
            except Ended as ended:
                record = Record.failure(case, ended.verdict, ended.message)
            if record.verdict == "pass":
                unseen.append(case.id)
        yield Step(
            f"noticed: {name}",
            not unseen if tried else None,
            f"passes all the same: {', '.join(unseen)}" if unseen else f"{tried} cases",
        )


def left_out(adapter: RemoteAdapter, cases: Sequence[Case], dtype: str, device: str) -> list[tuple[str, int]]:
    """Why cases are not asked for, with how many each reason leaves out, the most first; empty without capabilities."""
    can = adapter.describe().capabilities
    if can is None:
        return []
    reasons: Counter[str] = Counter()
    for case in cases:
        try:
            expressible(can, layer_spec(case, dtype, device), composed=adapter.is_composed)
        except Unsupported as reason:
            reasons[f"{reason.reason} ({reason.clause})" if reason.clause else reason.reason] += 1
    return reasons.most_common()
