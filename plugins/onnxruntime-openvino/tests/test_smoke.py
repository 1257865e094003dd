"""The smoke tier: everything as expected or declared."""

from rnn_conformance.testing import assert_conforms


def test_smoke() -> None:
    assert_conforms("onnxruntime-openvino", device="openvino:cpu", timeout=120)
