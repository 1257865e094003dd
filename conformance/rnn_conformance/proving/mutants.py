"""Mutation score: does a tier notice every variant, by how many cases, and does the diagnosis name it?

Each variant runs as an adapter through the same bench, procedures and verdicts as a framework. Cases that list the violated clause come
first; a variant is done when enough cases have noticed it, and has survived when no case of the tier is left.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from rnn_fixtures.case import Case
from rnn_fixtures.store import Store, select_tier

from rnn_conformance.explaining.diagnosis import Diagnosis, explanations
from rnn_conformance.explaining.explain import explained
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.proving.variants import REGISTRY, variant_of
from rnn_conformance.proving.variants.base import Variant, VariantAdapter, combined
from rnn_conformance.results.record import Record
from rnn_conformance.running.worker import run_case

DTYPE = "float32"
# A variant that cannot run over the gradients' tape raises this of its own: that is not being noticed.
OWN_FAULT = "TypeError"
# Discrepancies that the diagnosis sees of each variant.
DIAGNOSED = 6
# A diagnosis does not wait for more discrepancies than were asked for after so many cases.
PATIENCE = 500
# Cases of each family that a row of the matrix runs.
SAMPLED = 12


@dataclass
class Score:
    """What became of one variant, or pair of variants.

    Attributes
    ----------
    caught_by : list of str
        The cases that noticed it, at most as many as were asked for.
    ran : int
        How many cases ran until then.
    diagnosis : list of str
        What its discrepancies were found to agree with, best first; empty where nobody asked.
    """

    variant: str
    clause: str
    kind: str
    caught_by: list[str] = field(default_factory=list)
    ran: int = 0
    diagnosis: list[str] = field(default_factory=list)


def sampled_pairs(count: int, seed: int = 0) -> list[str]:
    """Names of ``count`` pairs of variants that can be had at once, the same at every call."""
    possible = [
        pair.name
        for a, b in itertools.combinations(REGISTRY.values(), 2)
        if (pair := combined(a, b)) is not None
    ]
    return random.Random(seed).sample(possible, min(count, len(possible)))


@cache
def _cases(data: Path, tier: str) -> tuple[Store, list[Case]]:
    store = Store(data, check=False)
    return store, [c for c in select_tier(store.cases(), tier) if DTYPE in c.dtypes]


def _order(variant: Variant, cases: Sequence[Case]) -> Iterator[Case]:
    """Cases of the clause first, in an order of their own for every variant, the same on every machine."""

    def key(case: Case) -> bytes:
        return hashlib.sha256(f"{variant.name} {case.id}".encode()).digest()

    # On other layers a variant is the reference as it is.
    possible = [c for c in cases if c.layer in variant.layers]
    yield from sorted((c for c in possible if variant.clause in c.clauses), key=key)
    yield from sorted((c for c in possible if variant.clause not in c.clauses), key=key)


def score(name: str, data: Path, tier: str, enough: int, diagnose: bool = False) -> Score:
    """Run one variant until ``enough`` cases have noticed it."""
    variant = variant_of(name)
    store, cases = _cases(data, tier)
    bench = Bench(VariantAdapter(variant), store, DTYPE, "cpu")
    diagnosis = Diagnosis(store, DTYPE)
    result = Score(name, variant.clause, variant.kind)
    agreeing: dict[str, list[str]] = {}
    for case in _order(variant, cases):
        wanted = diagnose and len(agreeing) < DIAGNOSED
        record = run_case(bench, case)
        if wanted:
            explained(record, case, diagnosis)
        result.ran += 1
        if _is_noticed(record):
            result.caught_by.append(case.id)
            if wanted:
                agreeing[case.id] = record.agrees_with
        caught = len(result.caught_by)
        if caught >= enough and (not diagnose or caught >= DIAGNOSED or result.ran >= PATIENCE):
            break
    result.diagnosis = [e.variant for e in explanations(agreeing)]
    return result


def matrix_row(name: str, data: Path, tier: str) -> dict[str, tuple[int, int]]:
    """For each family, how many of a sample of its cases notice a variant, and how many there are in the sample."""
    variant = variant_of(name)
    store, cases = _cases(data, tier)
    bench = Bench(VariantAdapter(variant), store, DTYPE, "cpu")
    row: dict[str, tuple[int, int]] = {}
    for case in _order(variant, cases):
        noticed, ran = row.get(case.family, (0, 0))
        if ran < SAMPLED:
            row[case.family] = noticed + _notices(bench, case), ran + 1
    return row


def notices_nothing(number: int, data: Path, tier: str) -> bool:
    """Whether no single variant is noticed by a case of the tier; variants of its own clauses are tried first."""
    store, cases = _cases(data, tier)
    case = cases[number]
    variants = [v for v in REGISTRY.values() if case.layer in v.layers]
    variants.sort(key=lambda v: v.clause not in case.clauses)
    return not any(_notices(Bench(VariantAdapter(v), store, DTYPE, "cpu"), case) for v in variants)


def _notices(bench: Bench, case: Case) -> bool:
    return _is_noticed(run_case(bench, case))


def _is_noticed(record: Record) -> bool:
    return record.verdict in FAULTY and not record.message.startswith(OWN_FAULT)


def scores(
    names: Sequence[str],
    data: Path,
    tier: str,
    enough: int,
    executor: Executor,
    diagnose: bool = False,
) -> Iterator[Score]:
    """Scores of all variants, in the order given, as they come."""
    work = partial(score, data=data, tier=tier, enough=enough, diagnose=diagnose)
    yield from executor.map(work, names, chunksize=4)


def matrix(
    names: Sequence[str], data: Path, tier: str, executor: Executor
) -> tuple[dict[str, dict[str, tuple[int, int]]], list[str]]:
    """Rows of the matrix variant by family, and the cases that notice no variant at all."""
    rows = executor.map(partial(matrix_row, data=data, tier=tier), names, chunksize=4)
    cases = _cases(data, tier)[1]
    idle = executor.map(partial(notices_nothing, data=data, tier=tier), range(len(cases)), chunksize=64)
    silent = [case.id for case, nothing in zip(cases, idle, strict=True) if nothing]
    return dict(zip(names, rows, strict=True)), silent
