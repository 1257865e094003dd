"""State carried between calls (CARRY-1 to CARRY-7)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import rnn_reference
from hypothesis import given
from hypothesis import strategies as st

B, F, U = 2, 3, 4


def layer(kind: str, rng: np.random.Generator, **arguments: Any) -> Any:
    made = getattr(rnn_reference, kind)(U, return_sequences=True, return_state=True, **arguments)
    made.build((B, None, F))
    made.set_weights([rng.normal(size=shape) for shape in made.weight_shapes.values()])
    return made


@given(
    kind=st.sampled_from(["LSTM", "GRU"]),
    cuts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    backwards=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 99),
)
def test_one_long_call_equals_several_short_ones(
    kind: str, cuts: list[int], backwards: bool, masked: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stateful = layer(kind, rng, stateful=True, go_backwards=backwards)
    x = rng.normal(size=(B, sum(cuts), F))
    mask = rng.random(size=x.shape[:2]) < 0.6 if masked else None
    # MASK-4: a piece cannot repeat the output of the piece before it, so compare states and valid steps.
    whole, *final = stateful(x, mask=mask)
    stateful.reset_states()
    bounds = np.cumsum([0, *cuts])
    order = list(itertools.pairwise(bounds))
    pieces: list[Any] = []
    for low, high in reversed(order) if backwards else order:
        piece = stateful(x[:, low:high], mask=None if mask is None else mask[:, low:high])
        pieces.append(piece[0])
    joined = np.concatenate(pieces, axis=1)
    shown = np.ones(x.shape[:2], bool) if mask is None else (mask[:, ::-1] if backwards else mask)
    np.testing.assert_allclose(joined[shown], whole[shown], rtol=1e-12, atol=1e-14)
    for a, b in zip(piece[1:], final, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_reset_initial_state_and_stateless(kind: str) -> None:
    rng = np.random.default_rng(0)
    stateful, x = layer(kind, rng, stateful=True), rng.normal(size=(B, 5, F))
    first = stateful(x)
    assert not np.array_equal(stateful(x)[0], first[0])
    stateful.reset_states()
    np.testing.assert_array_equal(stateful(x)[0], first[0])
    given_state = [rng.normal(size=(B, U)) for _ in first[1:]]
    from_given = stateful(x, initial_state=given_state)
    stateless = layer(kind, rng)
    stateless.set_weights(stateful.get_weights())
    np.testing.assert_array_equal(from_given[0], stateless(x, initial_state=given_state)[0])
    np.testing.assert_array_equal(stateless(x)[0], stateless(x)[0])


def test_what_a_stateful_layer_refuses() -> None:
    with pytest.raises(ValueError, match="CARRY-7"):
        rnn_reference.LSTM(2, stateful=True, input_shape=(3, 2))
    made = layer("GRU", np.random.default_rng(0), stateful=True)
    with pytest.raises(ValueError, match="CARRY-7"):
        made(np.zeros((B + 1, 3, F)))
    with pytest.raises(ValueError, match="CARRY-5"):
        rnn_reference.GRU(2).reset_states()
