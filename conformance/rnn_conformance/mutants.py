"""Mutation score: does a tier notice every variant, and by how many cases?

Each variant runs as an adapter through the same bench, procedures and verdicts as a framework. Cases that list the violated clause come
first; a variant is done when enough cases have noticed it, and has survived when no case of the tier is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from rnn_fixtures.case import Case
from rnn_fixtures.store import Store, select_tier

from rnn_conformance.bench import Bench
from rnn_conformance.variants import REGISTRY
from rnn_conformance.variants.base import Variant, VariantAdapter
from rnn_conformance.verdict import DISCREPANCIES, FAILURES
from rnn_conformance.worker import run_case

NOTICED = (*DISCREPANCIES, *FAILURES)
DTYPE = "float32"


@dataclass
class Score:
    """What became of one variant.

    Attributes
    ----------
    caught_by : list of str
        The cases that noticed it, at most as many as were asked for.
    ran : int
        How many cases ran until then.
    """

    variant: str
    clause: str
    kind: str
    caught_by: list[str] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    ran: int = 0


@cache
def _cases(data: Path, tier: str) -> tuple[Store, list[Case]]:
    store = Store(data, check=False)
    return store, [c for c in select_tier(store.cases(), tier) if DTYPE in c.dtypes]


def _order(variant: Variant, cases: Sequence[Case]) -> Iterator[Case]:
    """Cases of the clause first, in an order of their own for every variant, the same on every machine."""

    def key(case: Case) -> tuple[bool, bool, bytes]:
        digest = hashlib.sha256(f"{variant.name} {case.id}".encode()).digest()
        return case.layer not in variant.layers, variant.clause not in case.clauses, digest

    return iter(sorted(cases, key=key))


def score(name: str, data: Path, tier: str, enough: int) -> Score:
    """Run one variant until ``enough`` cases have noticed it."""
    variant = REGISTRY[name]
    store, cases = _cases(data, tier)
    bench = Bench(VariantAdapter(variant), store, DTYPE, "cpu")
    result = Score(name, variant.clause, variant.kind)
    for case in _order(variant, cases):
        if case.layer not in variant.layers:
            break  # the rest is the reference as it is
        record = run_case(bench, case)
        result.ran += 1
        if record.verdict in NOTICED:
            result.caught_by.append(case.id)
            result.families.append(case.family)
            if len(result.caught_by) >= enough:
                break
    return result


def scores(names: Sequence[str], data: Path, tier: str, enough: int, executor: Executor) -> Iterator[Score]:
    """Scores of all variants, in the registry's order, as they come."""
    count = len(names)
    yield from executor.map(score, names, [data] * count, [tier] * count, [enough] * count, chunksize=4)
