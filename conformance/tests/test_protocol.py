"""The messages of ``spec/protocol.md``: its exchange is what the server says, and tensors come back as they went."""

from __future__ import annotations

import io
import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.serving import serve
from rnn_conformance.contract.tensors import DTYPES, TensorError, decode, dtype_of, encode
from rnn_conformance.running.session import clean
from rnn_fixtures.locations import SPEC


def exchange() -> list[dict[str, Any]]:
    """The lines of the page's example."""
    text = (SPEC / "protocol.md").read_text("utf-8").rpartition("## An exchange")[2]
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def answers(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    source = io.BytesIO("".join(json.dumps(r) + "\n" for r in requests).encode())
    sink = io.BytesIO()
    serve(NumpyAdapter(), source, sink)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_the_exchange_of_the_page_is_true() -> None:
    lines = exchange()
    requests = [line for line in lines if "do" in line]
    build = next(r for r in requests if r["do"] == "build")
    # The page shows few arguments; a case states all of them.
    plain = ("return_state", "go_backwards", "time_major", "unroll", "zero_output_for_mask")
    build["spec"]["arguments"] |= dict.fromkeys(plain, False) | {"recurrent_activation": "sigmoid"}
    found = {answer["id"]: answer for answer in answers(requests)}
    expected = {line["id"]: line for line in lines if "ok" in line}
    assert found.keys() == expected.keys()
    assert all("ok" in answer for answer in found.values())
    (shown,), (actual,) = (e[4]["ok"]["outputs"] for e in (expected, found))
    np.testing.assert_allclose(decode(actual), decode(shown), rtol=1e-6)
    assert decode(actual).dtype == decode(shown).dtype


def test_requests_without_a_layer_and_unknown_ones_are_errors() -> None:
    (first, second) = answers([{"id": 1, "do": "rewind"}, {"id": 2, "do": "describe"}])
    assert first["error"]["text"] == "no layer has been built"
    assert second["ok"]["is_keras"] is True
    spec = next(line for line in exchange() if line.get("do") == "build")
    _, wrong = answers([spec, {"id": 3, "do": "dance"}])
    assert "error" in wrong


@given(
    name=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), max_size=3),
    seed=st.integers(0, 100),
    layout=st.sampled_from(["C", "F", "reversed"]),
)
def test_tensors_come_back_as_they_went(name: str, shape: list[int], seed: int, layout: str) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 2, shape).astype(dtype_of(name))
    if layout == "F":
        array = np.asfortranarray(array)
    elif layout == "reversed" and shape:
        array = array[::-1]
    again = decode(json.loads(json.dumps(encode(array))))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()
    assert again.flags.writeable


def test_special_numbers_survive() -> None:
    array = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    assert decode(encode(array)).tobytes() == array.tobytes()
    short = np.array([1.5, np.nan], ml_dtypes.bfloat16)
    assert decode(encode(short)).dtype == short.dtype


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([1.0], "an object with dtype"),
        ({"dtype": "float32", "shape": [1]}, "an object with dtype"),
        ({"dtype": "float99", "shape": [1], "data": "AAAAAA=="}, "no dtype"),
        ({"dtype": ["float32"], "shape": [1], "data": "AAAAAA=="}, "no dtype"),
        ({"dtype": "float32", "shape": [-1], "data": ""}, "integers from 0"),
        ({"dtype": "float32", "shape": [True], "data": "AAAAAA=="}, "integers from 0"),
        ({"dtype": "float32", "shape": 1, "data": "AAAAAA=="}, "integers from 0"),
        ({"dtype": "float32", "shape": [1], "data": 5}, "base64 in a string"),
        ({"dtype": "float32", "shape": [1], "data": "AAA*"}, "no base64"),
        ({"dtype": "float32", "shape": [2], "data": "AAAAAA=="}, "do not fill"),
        ({"dtype": "float32", "shape": [1 << 40, 1 << 40], "data": "AAAAAA=="}, "do not fill"),
        ({"dtype": "bool", "shape": [1], "data": "Ag=="}, "a byte of 0 or 1"),
    ],
)
def test_what_is_no_tensor_is_refused(message: Any, reason: str) -> None:
    with pytest.raises(TensorError, match=reason):
        decode(message)


@given(st.text(alphabet=st.characters(), max_size=50))
def test_text_from_outside_can_be_stored(text: str) -> None:
    found = clean(text + "\ud800\0\x1b[0m")
    assert found.encode("utf-8")
    assert not {"\0", "\x1b", "\r"} & set(found)
