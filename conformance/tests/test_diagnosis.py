"""Naming what an implementation computes instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rnn_conformance.cases import Cases
from rnn_conformance.explaining import explain
from rnn_conformance.explaining.diagnosis import Diagnosis, effective_bits, explanations
from rnn_conformance.explaining.explain import explained
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families import calls
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.proving import mutants
from rnn_conformance.proving.variants import REGISTRY
from rnn_conformance.proving.variants.base import Variant, VariantAdapter, combined, on_outputs
from rnn_conformance.results.database import Results
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import Run, new_run
from rnn_conformance.running.worker import run_case
from rnn_conformance.selection import compile_selection
from rnn_fixtures.case import Case
from rnn_fixtures.locations import DATA
from rnn_fixtures.store import Store


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(check=False)


@pytest.fixture(scope="module")
def cases(store: Store) -> list[Case]:
    return list(store.cases())


def run(variant: Variant, expression: str, store: Store, cases: list[Case]) -> Record:
    """The first case of a selection that notices a variant."""
    bench = Bench(VariantAdapter(variant), store, "float32", "cpu")
    matches = compile_selection(expression)
    for case in cases:
        if matches(case, "float32") and run_case(bench, case).verdict in FAULTY:
            return explained(run_case(bench, case), case, Diagnosis(store, "float32"))
    raise AssertionError(f"{variant.name} is not noticed by {expression}")


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("gru-reset-after-inverted", "family=forward and mask=none"),
        ("mask-zeros", "family=forward and lstm and mask=interior"),
        ("lstm-gates-iofc", "family=forward and lstm"),
        ("states-swapped", "family=forward and lstm and return_state=true"),
        ("state-not-carried", "family=stateful and scenario=repeat"),
        ("constraint-ignored", "family=training and procedure=fit"),
        ("masked-steps-in-the-loss", "procedure=fit and mask=right and return_sequences=true"),
        ("loss-row-by-row", "procedure=fit and mask=right and return_sequences=true"),
        ("loss-mask-turned", "procedure=fit and mask=left and return_sequences=true and go_backwards=true"),
        ("gradient-of-masked-steps", "family=training and procedure=gradients"),
        ("gradient-from-zeros", "procedure=gradients_carried"),
        ("gradient-into-the-earlier-call", "procedure=gradients_carried"),
        ("rates-clamped", "family=rejects"),
        ("dropout-unscaled", "family=dropout and gru"),
        ("state-in-11-bits", "family=forward"),
    ],
)
def test_a_variant_is_named_first(name: str, expression: str, store: Store, cases: list[Case]) -> None:
    record = run(REGISTRY[name], expression, store, cases)
    assert record.agrees_with[0] == name


def test_the_diagnosis_of_many_cases_names_the_variant() -> None:
    """A sample; `rnn-conformance mutants --diagnose` asks for all."""
    for name in [*REGISTRY][::103]:
        assert mutants.score(name, DATA, "core", 2, diagnose=True).diagnosis[:1] == [name]


def test_a_pair_is_named(store: Store, cases: list[Case]) -> None:
    pair = combined(REGISTRY["mask-zeros"], REGISTRY["bias-doubled"])
    assert pair is not None
    record = run(
        pair,
        "id=lstm/forward/mask=interior,return_sequences,return_state",
        store,
        cases,
    )
    assert record.agrees_with[0] == "bias-doubled + mask-zeros"


def test_what_nothing_explains(store: Store, cases: list[Case]) -> None:
    odd = Variant(
        "odd", "PREC-2", "odd", "adds 1/64", model=on_outputs(lambda o, s, g: [a + 2**-6 for a in o])
    )
    record = run(
        odd,
        "id=lstm/forward/mask=interior,return_sequences,return_state",
        store,
        cases,
    )
    assert record.verdict == "value"
    assert record.agrees_with == []


def test_places_are_told(store: Store, cases: list[Case]) -> None:
    record = run(
        REGISTRY["last-unit-wrong"],
        "id=lstm/forward/mask=interior,return_sequences,return_state",
        store,
        cases,
    )
    assert record.where is not None
    assert record.where["only"] == {"unit": [record.where["index"][-1]]}
    assert ", only unit" in record.message


def test_bits_are_told(store: Store, cases: list[Case]) -> None:
    record = run(
        REGISTRY["state-in-11-bits"],
        "family=precision and size=steps_512 and return_sequences=true",
        store,
        cases,
    )
    assert "products of 11 significant bits" in record.message
    rng = np.random.default_rng(1)
    yardstick = rng.normal(size=400)
    assert effective_bits(8 * yardstick[::-1], yardstick) == 8
    assert effective_bits(np.where(np.arange(400) == 7, 1e6, 0), yardstick) is None


def test_pairs_that_stand_in_each_others_way() -> None:
    assert combined(REGISTRY["mask-zeros"], REGISTRY["mask-ignored"]) is None
    assert combined(REGISTRY["states-swapped"], REGISTRY["gru-no-reset-gate"]) is None


def test_explanations_are_few() -> None:
    agreeing = {"one": ["a", "b"], "two": ["b"], "three": ["b", "a"], "four": ["c"], "five": []}
    assert [(e.variant, len(e.cases)) for e in explanations(agreeing)] == [("b", 3), ("c", 1)]


def test_a_diagnosis_changes_nothing(store: Store, cases: list[Case]) -> None:
    bench = Bench(VariantAdapter(REGISTRY["mask-ignored"]), store, "float32", "cpu")
    case = next(c for c in cases if c.id == "lstm/forward/mask=interior,return_sequences")
    outcome = calls.run(case, bench)
    diagnosis = Diagnosis(bench.store, bench.dtype)
    first = diagnosis.agrees_with(case, outcome, "value")
    assert first == diagnosis.agrees_with(case, outcome, "value")
    plain = Bench(
        VariantAdapter(Variant("none", "PREC-1", "none", "changes nothing")), store, "float32", "cpu"
    )
    assert calls.run(case, plain).verdict.verdict == "pass"


def discrepancies(
    folder: Path, store: Store, cases: Sequence[Case], known: str | None
) -> tuple[Results, Run]:
    """Results of a layer that ignores masks."""
    bench = Bench(VariantAdapter(REGISTRY["mask-ignored"]), store, "float32", "cpu")
    results = Results(folder, create=True)
    run = new_run(
        **dict.fromkeys(
            ("fixtures", "tier", "selection", "shard", "adapter", "framework", "version", "device"), "x"
        ),
        dtype="float32",
        selected=len(cases),
        environment={},
    )
    results.start(run)
    records = [run_case(bench, case) for case in cases]
    for record in records:
        record.known = known if record.verdict in FAULTY else None
    results.add(run, records)
    return results, run


@pytest.mark.parametrize("known", [None, "k"])
def test_what_is_explained_hangs_on_the_records_alone(
    tmp_path: Path, store: Store, cases: list[Case], known: str | None
) -> None:
    matches = compile_selection("family=forward and mask=left and lstm")
    chosen = [c for c in cases if matches(c, "float32")][:10]
    by_id = Cases(store)
    found = []
    for number, order in enumerate((chosen, chosen[::-1])):
        results, run = discrepancies(tmp_path / str(number), store, order, known)
        left = explain.tasks(results, run, by_id)
        found.append([(t.case.id, t.pairs, [a.tolist() for a in t.returned]) for t in left])
        explain.explain(results, run, by_id, 2, lambda count: None)
        assert explain.tasks(results, run, by_id) == []  # what is explained is not explained again
        found.append([(r["case"], r["agrees_with"]) for r in results.records(run, "agrees_with IS NOT NULL")])
        results.close()
    assert found[:2] == found[2:]
    assert len(found[0]) == explain.SAMPLE if known else len(found[0]) > explain.SAMPLE
    assert sum("mask-ignored" in names for _, names in found[1]) > len(found[1]) / 2
