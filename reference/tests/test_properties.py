"""Identities that hold for every LSTM and GRU, on random arguments (float64)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rnn_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from rnn_reference.shapes import GATES, weight_shapes


class Drawn:
    """A layer's arguments, weights and inputs, drawn by hypothesis as a seed and a few choices."""

    def __init__(self, seed: int, layer: str, reset_after: bool, sizes: tuple[int, int, int, int]) -> None:
        rng = np.random.default_rng(seed)
        b, t, f, u = sizes
        self.layer = layer
        self.units = u
        self.more: dict[str, Any] = {"reset_after": reset_after} if layer == "GRU" else {}
        shapes = weight_shapes(layer, f, u, reset_after=reset_after)
        self.weights = [rng.normal(size=shape) for shape in shapes.values()]
        self.inputs = rng.normal(size=(b, t, f))
        self.states = [rng.normal(size=(b, u)) for _ in range(2 if layer == "LSTM" else 1)]
        self.mask = rng.random((b, t)) < 0.6
        self.rng = rng

    def run(
        self, inputs: Any = None, weights: Any = None, *, call: Any = None, **arguments: Any
    ) -> list[Any]:
        layer = getattr(rnn_reference, self.layer)(
            self.units, return_sequences=True, return_state=True, **self.more, **arguments
        )
        layer.set_weights(self.weights if weights is None else weights)
        return layer(self.inputs if inputs is None else inputs, **(call or {}))


drawn = st.builds(
    Drawn,
    st.integers(0, 2**32),
    st.sampled_from(["LSTM", "GRU"]),
    st.booleans(),
    st.tuples(*(st.integers(1, 5) for _ in range(4))),
)
quick = settings(max_examples=60, deadline=None)


def close(a: Any, b: Any) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@quick
@given(drawn)
def test_backward_is_forward_on_the_reversed_input_and_mask(d: Drawn) -> None:  # DIR-3
    backward = d.run(go_backwards=True, call={"mask": d.mask, "initial_state": d.states})
    reversed_call = {"mask": d.mask[:, ::-1], "initial_state": d.states}
    close(backward, d.run(d.inputs[:, ::-1], call=reversed_call))


@quick
@given(drawn, st.integers(1, 4))
def test_a_sequence_in_two_parts_is_the_sequence(d: Drawn, cut: int) -> None:  # STATE-2
    cut = min(cut, d.inputs.shape[1] - 1)
    if cut == 0:
        return
    whole = d.run()
    first = d.run(d.inputs[:, :cut])
    second = d.run(d.inputs[:, cut:], call={"initial_state": first[1:]})
    close(whole, [np.concatenate([first[0], second[0]], axis=1), *second[1:]])


@quick
@given(drawn)
def test_masked_steps_may_hold_anything_and_may_be_removed(d: Drawn) -> None:  # MASK-2, MASK-7
    masked = d.run(call={"mask": d.mask, "initial_state": d.states})
    garbage = np.where(d.mask[..., None], d.inputs, 1e6)
    close(masked, d.run(garbage, call={"mask": d.mask, "initial_state": d.states}))
    for row in range(len(d.inputs)):
        valid = d.mask[row]
        if valid.any():
            states = [s[row : row + 1] for s in d.states]
            alone = d.run(d.inputs[row : row + 1, valid], call={"initial_state": states})
            close([masked[0][row : row + 1, valid], *(s[row : row + 1] for s in masked[1:])], alone)


@quick
@given(drawn)
def test_padding_changes_nothing(d: Drawn) -> None:  # MASK-2, MASK-3
    plain = d.run()
    padded = np.concatenate([d.inputs, d.inputs], axis=1)
    steps = d.inputs.shape[1]
    mask = np.broadcast_to(np.arange(2 * steps) < steps, padded.shape[:2])
    result = d.run(padded, call={"mask": mask})
    close([result[0][:, :steps], *result[1:]], plain)
    close([result[0][:, steps:]], [np.repeat(plain[0][:, -1:], steps, axis=1)])


@quick
@given(drawn)
def test_permuting_samples_permutes_results(d: Drawn) -> None:
    order = d.rng.permutation(len(d.inputs))
    close([a[order] for a in d.run()], d.run(d.inputs[order]))


@quick
@given(drawn)
def test_permuting_units_permutes_results(d: Drawn) -> None:  # WEIGHT-2, WEIGHT-3
    order = d.rng.permutation(d.units)
    columns = np.concatenate([order + k * d.units for k in range(GATES[d.layer])])
    kernel, recurrent, bias = d.weights
    permuted = [kernel[:, columns], recurrent[order][:, columns], bias[..., columns]]
    close([a[..., order] for a in d.run()], d.run(weights=permuted))


@quick
@given(drawn)
def test_zero_weights(d: Drawn) -> None:
    """With zero weights gates are 1/2 and candidates 0: LSTM c halves, GRU h halves, each step."""
    zeros = [np.zeros_like(w) for w in d.weights]
    outputs, *states = d.run(weights=zeros, call={"initial_state": d.states})
    halved = d.states[-1] / 2.0 ** d.inputs.shape[1]
    close([states[-1]], [halved])
    close([outputs[:, -1]], [np.tanh(halved) / 2 if d.layer == "LSTM" else halved])


@quick
@given(drawn)
def test_closed_update_gate_keeps_the_state(d: Drawn) -> None:  # LSTM-EQ-2, GRU-EQ-2
    kernel, recurrent, bias = (w.copy() for w in d.weights)
    u = d.units
    keep, shut = (slice(u, 2 * u), slice(0, u)) if d.layer == "LSTM" else (slice(0, u), None)
    for w in (kernel, recurrent):
        w[:, keep] = 0
        if shut is not None:
            w[:, shut] = 0
    bias[..., keep] = 1000
    if shut is not None:
        bias[..., shut] = -1000
    result = d.run(weights=[kernel, recurrent, bias], call={"initial_state": d.states})
    close([result[-1]], [d.states[-1]])


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_unroll_and_time_major_change_no_number(layer: str) -> None:  # UNROLL-1, TIME-1
    d = Drawn(1, layer, True, (3, 5, 2, 4))
    plain = d.run(call={"mask": d.mask})
    close(plain, d.run(call={"mask": d.mask}, unroll=True))
    swapped = d.run(d.inputs.swapaxes(0, 1), call={"mask": d.mask.T}, time_major=True)
    close([plain[0].swapaxes(0, 1), *plain[1:]], swapped)
