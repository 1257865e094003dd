"""The onnx package's own cases: the reference passes all of them; some variants do, too."""

from __future__ import annotations

import numpy as np
import pytest
from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.proving import published
from rnn_conformance.proving.variants import REGISTRY
from rnn_conformance.proving.variants.base import VariantAdapter

pytest.importorskip("onnx")
CASES = published.cases()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_reference_passes(case: published.Published) -> None:
    found = published.run(NumpyAdapter(), case)
    for name, expected in case.expected.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)


def test_what_they_notice_and_what_not() -> None:
    assert {c.op for c in CASES} == {"LSTM", "GRU"}

    def noticed(name: str) -> bool:
        return any(published.notices(VariantAdapter(REGISTRY[name]), case) for case in CASES)

    assert noticed("gru-update-inverted")
    assert not noticed("state-not-carried")  # there are no stateful cases among them
    assert not any(published.notices(NumpyAdapter(), case) for case in CASES)


def test_what_a_variant_writes_does_not_reach_the_next() -> None:  # CALL-1
    writing = [name for name, variant in REGISTRY.items() if variant.clause == "CALL-1"]
    assert writing
    for name in writing:
        for case in CASES:
            published.notices(VariantAdapter(REGISTRY[name]), case)
        assert not any(published.notices(NumpyAdapter(), case) for case in CASES), name
