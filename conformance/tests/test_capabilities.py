"""What an adapter does not name it is not asked for; what it names wrongly it cannot start with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from rnn_conformance.contract.adapter import LayerSpec, Unsupported
from rnn_conformance.contract.capabilities import Capabilities
from rnn_conformance.judging.bench import layer_spec
from rnn_conformance.judging.shown import unshown
from rnn_conformance.running.expressible import check
from rnn_conformance.selection import compile_selection
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store


@cache
def plain_spec(layer: str) -> LayerSpec:
    case = next(c for c in Store().cases() if c.id == f"{layer.lower()}/forward/defaults")
    return layer_spec(case, "float32", "cpu")


def spec(layer: str = "LSTM", **changes: Any) -> LayerSpec:
    """That of a plain layer, with arguments, or fields, of another value."""
    plain = plain_spec(layer)
    own = {
        name: value for name, value in changes.items() if hasattr(plain, name) and name not in plain.arguments
    }
    arguments = {name: value for name, value in changes.items() if name not in own}
    return replace(plain, arguments=dict(plain.arguments) | arguments, **own)


def reason(can: Capabilities, asked: LayerSpec, *, composed: bool = False) -> tuple[str, str] | None:
    try:
        check(can, asked, composed=composed)
    except Unsupported as error:
        return error.reason, error.clause
    return None


@pytest.mark.parametrize(
    ("asked", "can", "clause"),
    [
        (spec(), Capabilities(), None),
        (spec("GRU"), Capabilities(), None),
        (spec(), Capabilities(layers=["GRU"]), "LSTM-EQ-1"),
        (spec(return_sequences=True), Capabilities(), "VIEW-1"),
        (spec(return_sequences=True), Capabilities(arguments={"return_sequences": [True, False]}), None),
        (spec(return_sequences=True), Capabilities(arguments={"return_sequences": [1]}), "VIEW-1"),
        (spec(use_bias=False), Capabilities(), "WEIGHT-4"),
        (spec(use_bias=False), Capabilities(arguments={"use_bias": "*"}), None),
        (spec(activation="none"), Capabilities(), "ACT-1"),
        (spec(dropout=0.5), Capabilities(), "DROP-3"),
        (spec(dropout=0.0, kernel_regularizer=None, stateful=False), Capabilities(), None),
        (spec(kernel_regularizer={"class": "L1", "l1": 0.25}), Capabilities(), "REG-1"),
        (spec(returnsequences=True), Capabilities(), "ERR-3"),
        (spec(has_mask=True), Capabilities(), "MASK-1"),
        (spec(has_mask=True), Capabilities(calls=["mask"]), None),
        (spec(has_initial_state=True), Capabilities(), "STATE-2"),
        (spec(declared={"input_dim": 2}), Capabilities(), "SHAPE-2"),
        (spec(declared={"Input": [None, None, 2]}), Capabilities(), "SHAPE-9"),
        (spec(positional=(4,)), Capabilities(), "ERR-3"),
        (spec(seed=1), Capabilities(), "INIT-1"),
        (spec(num_layers=2), Capabilities(), "NET-1"),
        (spec(num_layers=2), Capabilities(num_layers=2), None),
        (spec(bidirectional=True), Capabilities(), "NET-2"),
        (spec(bidirectional=True, merge_mode="sum"), Capabilities(bidirectional=True), "NET-3"),
    ],
)
def test_what_is_not_named_is_unsupported(asked: LayerSpec, can: Capabilities, clause: str | None) -> None:
    found = reason(can, asked)
    assert (None if found is None else found[1]) == clause


def test_the_suite_does_what_layers_of_lengths_lack() -> None:
    flags = (
        "return_sequences",
        "return_state",
        "go_backwards",
        "time_major",
        "zero_output_for_mask",
        "stateful",
    )
    asked = spec(**dict.fromkeys(flags, True), has_mask=True, has_initial_state=True)
    assert reason(Capabilities(calls=["lengths", "initial_state"]), asked, composed=True) is None
    assert reason(Capabilities(calls=["initial_state"]), asked, composed=True) is not None
    assert reason(Capabilities(calls=["lengths"]), asked, composed=True) is not None


def test_an_adapter_s_own_reason_is_shown() -> None:
    can = Capabilities(reasons={"use_bias": ("there is always a bias", "MAP-FLAX-4")})
    assert reason(can, spec(use_bias=False)) == ("there is always a bias", "MAP-FLAX-4")


def test_they_come_back_as_they_went() -> None:
    can = Capabilities(
        arguments={"use_bias": "*", "activation": ["tanh", "relu"]},
        calls=["mask"],
        num_layers=3,
        bidirectional=True,
        merge_modes=["concat", None],
        reasons={"fit": ("no", "FIT-1")},
    )
    assert Capabilities.from_json(json.loads(json.dumps(can.to_json()))).to_json() == can.to_json()


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"layer": ["LSTM"]}, "no field 'layer'"),
        ({"layers": ["RNN"]}, "layers"),
        ({"layers": "LSTM"}, "layers"),
        ({"arguments": ["use_bias"]}, "arguments"),
        ({"arguments": {"use_bias": True}}, "arguments"),
        ({"calls": ["masks"]}, "calls"),
        ({"calls": [["mask"]]}, "calls"),
        ({"num_layers": 0}, "num_layers"),
        ({"num_layers": True}, "num_layers"),
        ({"bidirectional": 1}, "bidirectional"),
        ({"merge_modes": None}, "merge_modes"),
        ({"reasons": {"fit": "no"}}, "reasons"),
    ],
)
def test_nonsense_is_refused(message: dict[str, Any], where: str) -> None:
    with pytest.raises(ValueError, match=where):
        Capabilities.from_json(message)


def test_what_is_claimed_and_never_shown_is_told() -> None:
    cases = {c.id: c for c in Store(check=False).cases() if c.tier == "smoke"}
    can = Capabilities(
        layers=["LSTM"],
        arguments={"activation": ["tanh", "relu"], "use_bias": "*", "unroll": [True, False]},
        calls=["mask", "fit"],
    )

    def records(passing: Callable[[Case], bool]) -> list[dict[str, str]]:
        return [{"case": c.id, "verdict": "pass" if passing(c) else "value"} for c in cases.values()]

    assert unshown(can, records(lambda c: True), cases) == []
    assert unshown(can, [], cases) == []  # nobody asked
    left_out = [
        {"case": c.id, "verdict": "pass" if c.layer == "GRU" else "unsupported"} for c in cases.values()
    ]
    assert "LSTM" in unshown(can, left_out, cases)
    assert "activation=relu" not in unshown(can, left_out[:40], cases)  # few asked
    for name, claim in (
        ("procedure=fit", "fit"),
        ("activation=relu", "activation=relu"),
        ("unroll=true", "unroll=true"),
        ("use_bias=false", "use_bias"),
        ("lstm", "LSTM"),
    ):
        matches = compile_selection(name)
        assert unshown(can, records(lambda c: not matches(c, "float32")), cases) == [claim]  # noqa: B023


def test_a_plug_in_imports_the_contract_alone() -> None:
    """NumPy, ml_dtypes for bfloat16, and the standard library."""
    code = (
        "import sys, rnn_conformance.contract.adapter, rnn_conformance.contract.lengths_model, rnn_conformance.contract.serving\n"
        "heavy = {'click', 'rich', 'sqlite3', 'jinja2', 'msgspec', 'safetensors', 'rnn_fixtures', 'rnn_reference'}\n"
        "own = {m for m in sys.modules if m.startswith('rnn_conformance.') and not m.startswith('rnn_conformance.contract')}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(own))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
