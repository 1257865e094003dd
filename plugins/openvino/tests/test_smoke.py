"""The smoke tier: everything as expected or declared."""

import pytest
from rnn_conformance.testing import assert_conforms


@pytest.mark.parametrize("adapter", ["openvino", "openvino-static"])
def test_smoke(adapter: str) -> None:
    assert_conforms(adapter, timeout=120)
