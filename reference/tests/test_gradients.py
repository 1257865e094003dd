"""Gradients of the reference: against central differences, and the pieces of the tape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import rnn_reference
from hypothesis import given
from hypothesis import strategies as st
from rnn_reference import constraints, regularizers, tape
from rnn_reference.activations import ACTIVATIONS

B, T, F, U = 2, 4, 3, 3


def made(kind: str, seed: int, **arguments: Any) -> tuple[Any, np.random.Generator]:
    rng = np.random.default_rng(seed)
    layer = getattr(rnn_reference, kind)(U, return_state=True, **arguments)
    layer.build((B, T, F))
    layer.set_weights(
        [rng.normal(size=shape, scale=0.4).astype(np.longdouble) for shape in layer.weight_shapes.values()]
    )
    return layer, rng


def check(layer: Any, rng: np.random.Generator, mask: np.ndarray | None, states: int) -> None:
    """Every gradient, at a few elements, against central differences in extended precision."""
    x = rng.normal(size=(B, T, F)).astype(np.longdouble)
    initial = [rng.normal(size=(B, U)).astype(np.longdouble) for _ in range(states)]
    seeds = [rng.normal(size=np.shape(a)) for a in layer(x, mask=mask, initial_state=initial)]
    found = layer.gradients(x, seeds, mask, initial)
    arrays = {"input": x, **dict(zip(("initial h", "initial c"), initial, strict=False))}
    weights = dict(zip(layer.weight_shapes, layer.get_weights(), strict=True))
    assert set(found) == {*arrays, *weights}

    def objective() -> np.longdouble:
        outputs = layer(x, mask=mask, initial_state=initial)
        terms = [np.sum(a * s) for a, s in zip(outputs, seeds, strict=True)]
        return np.sum(terms) + np.sum(layer.losses)

    step = np.longdouble(2.0**-22)
    for name, array in (arrays | weights).items():
        for _ in range(3):
            index = tuple(int(rng.integers(n)) for n in array.shape)
            before = array[index]
            array[index] = before + step
            above = objective()
            array[index] = before - step
            below = objective()
            array[index] = before
            expected = float((above - below) / (2 * step))
            assert float(found[name][index]) == pytest.approx(expected, rel=2e-7, abs=2e-7), name


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"hard_shrink", "exponential"}))
@pytest.mark.parametrize(("kind", "extra"), [("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False})])
def test_every_activation(kind: str, extra: dict[str, Any], activation: str) -> None:
    for place in ("activation", "recurrent_activation"):
        layer, rng = made(kind, 3, **{place: activation}, **extra)
        check(layer, rng, None, 2 if kind == "LSTM" else 1)


@given(
    kind=st.sampled_from(["LSTM", "GRU"]),
    sequences=st.booleans(),
    backwards=st.booleans(),
    zero=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_masks_directions_and_penalties(
    kind: str, sequences: bool, backwards: bool, zero: bool, seed: int
) -> None:
    layer, rng = made(
        kind,
        seed,
        return_sequences=sequences,
        go_backwards=backwards,
        zero_output_for_mask=zero,
        kernel_regularizer="l1_l2",
        recurrent_regularizer="orthogonal_regularizer",
        bias_regularizer="l2",
        activity_regularizer="l2",
    )
    mask = rng.random(size=(B, T)) < 0.6
    check(layer, rng, mask, 2 if kind == "LSTM" else 1)


def test_masked_steps_get_no_gradient() -> None:  # GRAD-2
    layer, rng = made("GRU", 0, return_sequences=True)
    mask = np.array([[True, False, True, False], [False, True, True, True]])
    x = rng.normal(size=(B, T, F))
    seeds = [np.ones((B, T, U)), np.ones((B, U))]
    found = layer.gradients(x, seeds, mask)["input"]
    assert (found[~mask] == 0).all()
    assert found[mask].all()


def test_gradient_of_a_kink_at_zero() -> None:  # GRAD-4
    def slope(function: Any) -> float:
        def compute(taped: Mapping[str, Any]) -> list[Any]:
            return [function(taped["x"])]

        return float(tape.gradients(compute, {"x": np.zeros((1, 1))}, [np.ones((1, 1))])[1]["x"][0, 0])

    assert slope(ACTIVATIONS["relu"]) == 0
    assert slope(np.absolute) == 0
    assert slope(ACTIVATIONS["tanh"]) == 1


def test_regularizers_by_hand() -> None:
    w = np.array([[3.0, 4.0], [1.0, 0.0]])
    assert regularizers.L1(0.5)(w)[0, 0] == 4
    assert regularizers.L2(0.5)(w)[0, 0] == 13
    assert regularizers.L1L2(0.5, 0.5)(w)[0, 0] == 17
    assert regularizers.Orthogonal(0.5)(w)[0, 0] == pytest.approx(0.5 * 0.6)
    with pytest.raises(ValueError, match="REG-ORTHOGONAL"):
        regularizers.Orthogonal()(np.ones(3))
    with pytest.raises(ValueError, match="unknown regularizer 'l3'"):
        regularizers.get("l3")


def test_constraints_by_hand() -> None:
    w = np.array([[3.0, 0.3], [-4.0, 0.4]])
    assert constraints.NonNeg()(w).tolist() == [[3, 0.3], [0, 0.4]]

    def norms(a: np.ndarray) -> np.ndarray:
        return np.sqrt((a * a).sum(axis=0))

    assert norms(constraints.UnitNorm()(w)) == pytest.approx([1, 1], rel=1e-6)
    assert norms(constraints.MaxNorm(2)(w)) == pytest.approx([2, 0.5], rel=1e-6)
    assert norms(constraints.MinMaxNorm(1, 2, 0.5)(w)) == pytest.approx([3.5, 0.75], rel=1e-6)
    bias = np.array([3.0, 4.0])
    assert constraints.UnitNorm()(bias) == pytest.approx([0.6, 0.8], rel=1e-6)  # CONS-2: the whole vector
    with pytest.raises(ValueError, match="unknown constraint"):
        constraints.get("no_norm")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_fit_updates_in_batches(kind: str) -> None:  # FIT-1, FIT-3, FIT-4
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(7, T, F)), rng.normal(size=(7, U))
    layer = getattr(rnn_reference, kind)(U, kernel_constraint="non_neg")
    layer.build((None, T, F))
    start = [rng.normal(size=shape) for shape in layer.weight_shapes.values()]
    layer.set_weights(start)
    assert layer.fit(x, y, batch_size=3, learning_rate=0.1) == 3
    layer_by_hand = getattr(rnn_reference, kind)(U)
    weights = start
    for part in (slice(0, 3), slice(3, 6), slice(6, 7)):
        layer_by_hand.set_weights(weights)
        error = (layer_by_hand(x[part]) - y[part]) * 2 / y[part].size
        slopes = layer_by_hand.gradients(x[part], [error])
        weights = [w - 0.1 * slopes[name] for name, w in zip(layer.weight_shapes, weights, strict=True)]
        weights[0] = np.maximum(weights[0], 0)
    for a, b in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_array_equal(
        layer.predict(x, batch_size=2), np.concatenate([layer(p) for p in np.split(x, [2, 4, 6])])
    )
    fixed = getattr(rnn_reference, kind)(U, trainable=False)
    fixed.set_weights(start)
    fixed.fit(x, y)
    assert all(a is b for a, b in zip(fixed.get_weights(), start, strict=True))


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_masked_steps_do_not_count_in_the_loss(
    kind: str, backwards: bool, zero: bool
) -> None:  # FIT-2, MASK-8
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(5, T, F)), rng.normal(size=(5, T, U))
    mask = np.arange(T)[None, :] < np.array([T, 1, 2, 1, T - 1])[:, None]

    def made() -> Any:
        layer = getattr(rnn_reference, kind)(
            U, return_sequences=True, go_backwards=backwards, zero_output_for_mask=zero
        )
        layer.build((None, T, F))
        return layer

    layer, by_hand = made(), made()
    start = [rng.normal(size=shape) for shape in layer.weight_shapes.values()]
    layer.set_weights(start)
    assert layer.fit(x, y, batch_size=3, learning_rate=0.1, mask=mask) == 2
    for part in (slice(0, 3), slice(3, 5)):
        by_hand.set_weights(start)
        error = np.zeros_like(y[part])
        valid = mask[part]  # not reversed, though the outputs are
        error[valid] = 2 * (by_hand(x[part], mask=valid) - y[part])[valid] / y[part][valid].size
        slopes = by_hand.gradients(x[part], [error], valid)
        start = [w - 0.1 * slopes[name] for name, w in zip(layer.weight_shapes, start, strict=True)]
    for a, b in zip(layer.get_weights(), start, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_carried_state_is_a_constant(kind: str) -> None:  # GRAD-5
    layer, rng = made(kind, 5, stateful=True)
    plain, _ = made(kind, 5)
    first, second = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, F))
    _, *carried = layer(first)
    seeds = [rng.normal(size=(B, U)) for _ in range(1 + len(carried))]
    found = layer.gradients(second, seeds)
    given = plain.gradients(second, seeds, initial_state=carried)
    assert found.keys() == {name for name in given if not name.startswith("initial")}
    for name, slope in found.items():
        np.testing.assert_array_equal(slope, given[name])
    assert np.abs(found["kernel"] - plain.gradients(second, seeds)["kernel"]).max() > 1e-3
    for own, state in zip(layer(second)[1:], plain(second, initial_state=carried)[1:], strict=True):
        np.testing.assert_array_equal(own, state)  # asking for gradients is no call
