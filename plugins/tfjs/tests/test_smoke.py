"""The smoke tier: everything as expected or declared."""

from rnn_conformance.testing import assert_conforms


def test_smoke() -> None:
    assert_conforms("tfjs=cmd:node adapter.mjs", timeout=120)
