"""The LSTM and GRU cases that the ``onnx`` package publishes, run on any adapter: a yardstick for our own.

Needs the ``onnx`` package. Cases with peepholes are left out: tf.keras's layer has none (LSTM-EQ-2).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from rnn_fixtures.domain import domain
from rnn_reference import layouts

from rnn_conformance.contract.adapter import Adapter, LayerSpec, Size

# The tolerance with which onnx's own runner compares.
RTOL, ATOL = 1e-3, 1e-7


@dataclass(frozen=True)
class Published:
    """One node test: the operator, its inputs by their role, and its expected outputs."""

    name: str
    op: str
    attributes: Mapping[str, Any]
    inputs: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]


@cache
def cases() -> list[Published]:
    """All cases of the installed package, without those with peepholes.

    Raises
    ------
    ImportError
        Without the ``onnx`` package.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx import helper
        from onnx.backend.test.case import node as collected

        tests = collected.collect_testcases()  # all operators': a second call with another one finds nothing
    found = []
    for test in tests:
        node = test.model.graph.node[0]
        if node.op_type not in ("LSTM", "GRU"):
            continue
        (inputs, outputs), *_ = test.data_sets
        given = dict(zip([i.name for i in test.model.graph.input], inputs, strict=True))
        roles = dict(zip("X W R B lengths h c P".split(), node.input, strict=False))
        arrays = {role: given[name] for role, name in roles.items() if name}
        if "P" in arrays:
            continue
        names = dict(zip(node.output, ("Y", "Y_h", "Y_c"), strict=False))
        expected = {names[v.name]: a for v, a in zip(test.model.graph.output, outputs, strict=True)}
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        found.append(Published(test.name, node.op_type, attributes, arrays, expected))
    return found


def run(adapter: Adapter, case: Published) -> dict[str, np.ndarray]:
    """Y, Y_h and Y_c as the adapter's layer computes them, one direction at a time."""
    # Copies: what a variant writes into its arguments must not reach the ones after it.
    a, arrays = case.attributes, {name: array.copy() for name, array in case.inputs.items()}
    batch_first = bool(a.get("layout", 0))
    x = arrays["X"] if batch_first else arrays["X"].swapaxes(0, 1)
    mask = None
    if "lengths" in arrays:
        mask = np.arange(x.shape[1]) < arrays["lengths"][:, None]
    direction = a.get("direction", b"forward").decode()
    sequences, finals = [], []
    for d in range(len(arrays["W"])):
        backwards = direction == "reverse" or d == 1
        states = [arrays[k][:, d] if batch_first else arrays[k][d] for k in "hc" if k in arrays]
        output, *final = _one_direction(adapter, case, d, backwards, x, mask, states or None)
        sequences.append(output[:, ::-1] if backwards else output)
        finals.append(final)
    axis = 2 if batch_first else 1  # [B, T, D, U] or [T, D, B, U]
    y = np.stack(sequences if batch_first else [s.swapaxes(0, 1) for s in sequences], axis=axis)
    states_out = [np.stack(parts, axis=1 if batch_first else 0) for parts in zip(*finals, strict=True)]
    return dict(zip(("Y", "Y_h", "Y_c"), (y, *states_out), strict=False))


def _one_direction(
    adapter: Adapter,
    case: Published,
    d: int,
    backwards: bool,
    x: np.ndarray,
    mask: np.ndarray | None,
    states: list[np.ndarray] | None,
) -> list[np.ndarray]:
    reset_after = bool(case.attributes.get("linear_before_reset", 0))
    tensors = {k: case.inputs[k][d : d + 1] for k in "WRB" if k in case.inputs}
    weights = layouts.from_onnx(case.op, tensors, reset_after=reset_after)
    units = case.attributes["hidden_size"]
    chosen = {
        "units": units,
        "use_bias": "bias" in weights,
        "return_sequences": True,
        "return_state": True,
        "go_backwards": backwards,
        "zero_output_for_mask": True,
    }
    if case.op == "GRU":
        chosen["reset_after"] = reset_after
    arguments = {n: v for n, v in domain().defaults("forward", case.op).items() if n in ARGUMENTS} | chosen
    batch, steps, features = x.shape
    size = Size(batch, steps, features, units)
    spec = LayerSpec(case.op, arguments, size, "float32", "cpu", mask is not None, states is not None)
    model = adapter.build(spec)
    model.set_weights(weights)
    return model.call(x, mask, states)


ARGUMENTS = ("activation", "recurrent_activation", "time_major", "unroll", "reset_after")


def any_notices(variant: str) -> bool:
    """Whether any case fails on a variant, as a task for a worker process."""
    from rnn_conformance.proving.variants import REGISTRY  # a run does not need them
    from rnn_conformance.proving.variants.base import VariantAdapter

    return any(notices(VariantAdapter(REGISTRY[variant]), case) for case in cases())


def notices(adapter: Adapter, case: Published) -> bool:
    """Whether a case fails on an adapter, by onnx's own tolerance."""
    try:
        found = run(adapter, case)
    except Exception:
        return True
    return not all(
        name in found
        and found[name].shape == array.shape
        and np.allclose(found[name], array, rtol=RTOL, atol=ATOL)
        for name, array in case.expected.items()
    )
