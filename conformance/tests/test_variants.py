"""The registry of variants, and that the tiers notice them."""

from __future__ import annotations

import pytest
from rnn_conformance.judging.bench import Bench
from rnn_conformance.proving import mutants
from rnn_conformance.proving.variants import REGISTRY
from rnn_conformance.proving.variants.base import Variant, VariantAdapter
from rnn_conformance.running.worker import run_case
from rnn_fixtures.domain import clauses
from rnn_fixtures.locations import DATA
from rnn_fixtures.store import Store, select_tier

# Clauses that no variant violates, and why not.
WITHOUT_VARIANT = {
    # what they say is violated by the variants of the clauses that they refer to
    "GRU-EQ-1", "INIT-1", "INIT-4", "CARRY-4", "CARRY-6", "REG-3", "CONS-3", "UNROLL-1", "WEIGHT-4",
    # definitions and measures, not behaviour
    "INIT-6", "PREC-1", "PREC-3", "PREC-5", "PREC-8", "PREC-9", "ERR-5",
    # the reference has no such thing to break: other frameworks, other dtypes, names of keywords
    "DROP-5", "PREC-7", "SHAPE-8", "SHAPE-10", "WEIGHT-6",
}  # fmt: skip


def test_names_and_clauses() -> None:
    assert len(REGISTRY) >= 120
    for name, variant in REGISTRY.items():
        assert variant.name == name == name.lower()
        assert variant.clause in clauses()
        assert variant.kind
        assert variant.summary
        changes = (variant.weights, variant.arguments, variant.functions, variant.model, variant.spec)
        assert any(change for change in changes), f"{name} changes nothing"


def test_every_clause_has_a_variant_or_a_reason() -> None:
    violated = {v.clause for v in REGISTRY.values()}
    without = {c for c in clauses() if c not in violated and not c.startswith("MAP-")}
    assert without == WITHOUT_VARIANT


@pytest.mark.parametrize("name", [*REGISTRY][:: len(REGISTRY) // 40])
def test_the_core_notices_variants(name: str) -> None:
    """A sample; `rnn-conformance mutants` runs all of them."""
    score = mutants.score(name, DATA, "core", enough=2)
    assert len(score.caught_by) == 2, score


def test_no_change_is_not_noticed() -> None:
    plain = Variant("none", "PREC-1", "none", "changes nothing", functions={})
    bench = Bench(VariantAdapter(plain), Store(check=False), "float32", "cpu")
    for case in select_tier(bench.store.cases(), "smoke")[::4]:
        assert run_case(bench, case).verdict in ("pass", "unsupported"), case.id


def test_the_reference_is_whole_again_after_a_variant() -> None:
    name = "mask-ignored"
    assert mutants.score(name, DATA, "smoke", enough=1).caught_by
    test_no_change_is_not_noticed()
