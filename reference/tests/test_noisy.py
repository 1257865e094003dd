"""Sensitivities: each rule of PREC-3 on a case small enough to know."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from rnn_reference import activations
from rnn_reference import elementary as el
from rnn_reference.noisy import KINK_WIDTH, NoiseSource
from rnn_reference.recurrence import forward
from rnn_reference.tape import gradients


def source(strict: bool = False, samples: int = 4096) -> NoiseSource:
    return NoiseSource(1, strict=strict, samples=samples)


def test_exact_input_has_no_sensitivity() -> None:
    assert (source().lift(np.ones(3)).sensitivity == 0).all()


def test_one_operation_is_charged_its_result() -> None:
    x = source().lift(np.array([3.0, -5.0]))
    assert (x + 1).sensitivity == pytest.approx([4, 4])
    assert (2 * x).sensitivity == pytest.approx([6, 10])
    assert (x / 4).sensitivity == pytest.approx([0.75, 1.25])
    assert (2 - x).sensitivity == pytest.approx([1, 7])


def test_complements_may_be_distributed() -> None:
    x = np.array([0.75])
    assert (1 - source().lift(x)).sensitivity == pytest.approx([np.hypot(0.25, 1)])
    assert (1 - source(strict=True).lift(x)).sensitivity == pytest.approx([0.25])


def test_product_of_two_errors_counts() -> None:
    y, z = (np.tanh(source().lift(np.array([1e-12]))) for _ in range(2))
    assert (y * z).sensitivity == pytest.approx([np.hypot(2e-12, 2.0**-24)], rel=0.05)
    assert (y[:, None] @ z[:, None]).sensitivity[0] == pytest.approx([np.hypot(2e-12, 2.0**-24)], rel=0.05)
    assert (y * 1e-12).sensitivity == pytest.approx([1e-12])  # an exact factor has no error


def update(x: Any, weights: np.ndarray, h: float, *, distributed: bool) -> Any:
    """One GRU unit's next state [B, 1] from what both gates see: [B, F] with weights [2, F, 1]; the update gate saturates."""
    z, n = el.sigmoid(x @ weights[0] + 9), np.tanh(x @ weights[1])
    return n + z * (h - n) if distributed else z * h + (1 - z) * n


@pytest.mark.parametrize("distributed", [False, True])
def test_either_form_of_an_update_has_gradients_within_the_limit(distributed: bool) -> None:
    worst = 0.0
    for seed in range(40):
        rng = np.random.Generator(np.random.PCG64(seed))
        x, weights = rng.integers(-127, 128, (3, 40)) / 128, rng.integers(-127, 128, (2, 40, 1)) / 256

        def slope(x: Any, *, distributed: bool, weights: np.ndarray = weights) -> Any:
            cotangent = np.full((3, 1), 93 / 128, weights.dtype)  # times 1, g - g z would be exact
            made = gradients(
                lambda v: [update(v["x"], weights, 0.75, distributed=distributed)], {"x": x}, [cotangent]
            )
            return made[1]["x"]

        exact = slope(x.astype(np.longdouble), distributed=False)
        noisy = slope(source(samples=64).lift(x), distributed=False)
        actual = slope(x.astype(np.float32), distributed=distributed, weights=weights.astype(np.float32))
        worst = max(worst, float(np.max(np.abs(actual - exact) / (2.0**-24 * noisy.sensitivity))))
    assert 0.3 < worst < 8


def test_errors_add_in_squares() -> None:
    x = source().lift(np.array([1.0]))
    assert ((x + 1) + 1).sensitivity == pytest.approx([np.hypot(2, 3)], rel=0.03)


def test_correlated_errors_cancel() -> None:
    y = source().lift(np.array([1.0])) + 1
    assert (y - y).sensitivity == pytest.approx([0])


def test_dot_product_is_charged_terms_and_partial_sums() -> None:
    x = source().lift(np.array([[1.0, 2.0]]))
    product = x @ np.array([[3.0], [-1.0]])  # terms 3, -2; partial sums 3, 1 or -2, 1
    assert product.sensitivity == pytest.approx(np.sqrt([[9 + 4 + (9 + 4) / 2 + 1]]))


def test_partial_sums_are_those_of_the_mean_order() -> None:
    terms = np.array([1.0, 2.0, -4.0, 8.0])
    orders = [np.cumsum(order) for order in itertools.permutations(terms)]
    expected = np.sum(terms**2) + np.mean(np.sum(np.square(orders), axis=1))
    product = source().lift(terms[None]) @ np.ones((4, 1))
    assert product.sensitivity == pytest.approx(np.sqrt([[expected]]))


def test_a_sum_may_start_from_what_is_added_to_it() -> None:
    one = np.ones((1, 1))
    x = source().lift(np.array([[1.0, 2.0, 3.0]])) @ np.zeros((3, 1))
    assert (x + 5 * one).sensitivity == pytest.approx(np.sqrt([[25 + 3 * 25]]))
    assert ((x + 5 * one)[:, 0] + 2.0).sensitivity == pytest.approx(
        np.hypot(10, np.sqrt([49 + 3 * 4])), rel=0.05
    )
    assert (-x - 5 * one).sensitivity == (x + 5 * one).sensitivity
    assert (x * 1.0 + 5 * one).sensitivity == pytest.approx(5)  # a product is no sum


def test_a_blend_may_start_from_either_side() -> None:
    z, h, n = np.array([0.0]), np.array([100.0]), np.array([1.0])
    noise = source()
    assert noise.lift(z).blend(noise.lift(h), noise.lift(n)).sensitivity == pytest.approx([99], rel=0.01)
    assert noise.lift(z).blend(noise.lift(h), noise.lift(0 * n)).sensitivity == 0
    noise = source(strict=True)
    assert noise.lift(z).blend(noise.lift(h), noise.lift(n)).sensitivity == pytest.approx(
        [np.sqrt(3)], rel=0.05
    )


def test_products_with_each_gates_matrix_are_charged_alone() -> None:
    x = source().lift(np.array([[1.0, 2.0]])) + 1
    both = np.array([[[3.0], [-1.0]], [[0.5], [4.0]]])
    alone = [(x @ matrix).sensitivity for matrix in both]
    assert (x @ both).sensitivity == pytest.approx(np.array(alone), rel=0.05)
    kernels = x.source.lift(both) * 3
    alone = [(x @ kernels[k]).sensitivity for k in range(2)]
    assert (x @ kernels).sensitivity == pytest.approx(np.array(alone), rel=0.05)


def test_functions_strict_and_not() -> None:
    x = np.array([0.5])
    y = np.tanh(0.5)
    assert np.tanh(source(strict=True).lift(x)).sensitivity == pytest.approx([2 * y])
    assert np.tanh(source().lift(x)).sensitivity == pytest.approx([np.hypot(2 * y, 1)])


@pytest.mark.parametrize(
    "function", [np.tanh, np.exp, np.expm1, np.log1p, np.log, np.sqrt, el.sigmoid, el.erf, np.absolute]
)
def test_slopes_are_derivatives(function: object) -> None:
    assert callable(function)
    x, h = 0.7, 1e-6
    noisy = source(strict=True).lift(np.array([x]))
    noisy.deviations += 1e6  # so large that the fresh error does not count
    slope = np.mean(function(noisy).deviations) / 1e6
    numeric = (function(np.array([x + h])) - function(np.array([x - h]))) / (2 * h)
    assert slope == pytest.approx(float(numeric[0]), rel=1e-4)


def test_copies_and_selections_are_exact() -> None:
    a, b = (source().lift(np.array([v])) for v in (1.0, 2.0))
    assert np.where(np.array([True]), a, b).sensitivity == 0
    assert a.maximum(b).sensitivity == 0


def test_kink_counts_the_other_side_when_near() -> None:
    far = source().lift(np.array([-1.0])) * 1.0
    assert far.maximum(0.0).sensitivity == 0
    near = (source().lift(np.array([1.0])) + 1) - 2  # zero, uncertain by about 2
    assert near.maximum(0.0).sensitivity > 1
    assert pytest.approx(8 / 256) == KINK_WIDTH
    half = source().lift(np.array([-1.0])) * 64.0  # off by 64 u, of which 8 in bfloat16 are 2
    assert (half + 63).maximum(0.0).sensitivity == pytest.approx([np.hypot(64, 1) - 32], rel=0.01)


def test_deviations_are_passed_on_as_far_as_a_roundoff_carries_them() -> None:
    bent = NoiseSource(1, strict=True, unit=2.0**-8)
    x, y = (bent.lift(np.array([1.0])) * 1.0 - 1.0 for _ in range(2))  # zero, off by 1 u
    assert (x * y).sensitivity == pytest.approx([2.0**-8], rel=0.01)
    assert (np.exp(x) - 1).sensitivity > 0
    x.deviations[:] = 64.0
    assert np.expm1(x).deviations.mean() == pytest.approx(np.expm1(0.25) * 256)
    assert (1 / (x + 1)).deviations.mean() == pytest.approx((1 / 1.25 - 1) * 256, rel=0.02)
    assert np.absolute(-x).deviations == pytest.approx(64)
    assert x.minimum(0.125).deviations == pytest.approx(0.125 * 256)


def test_discontinuity_is_reported_as_margin() -> None:
    noise = source()
    x = noise.lift(np.array([1.0])) * 0.75  # off by 0.75 u, and 0.25 away from the threshold
    x.keep_large(0.5)
    assert noise.margin == pytest.approx(0.25 / 0.75)


def test_signs_are_the_same_bits_everywhere() -> None:
    assert NoiseSource(3, strict=False, samples=2).signs((4,)).tolist() == [
        [-1.0, -1.0, -1.0, 1.0],
        [1.0, 1.0, 1.0, 1.0],
    ]


def test_unknown_operation_is_refused() -> None:
    with pytest.raises(TypeError):
        np.cos(source().lift(np.ones(1)))


@pytest.mark.parametrize("reset_after", [True, False])
def test_both_sensitivities_side_by_side_are_those_of_each_alone(reset_after: bool) -> None:
    rng = np.random.default_rng(4)
    weights = {"kernel": rng.standard_normal((3, 12)), "recurrent_kernel": rng.standard_normal((4, 12)) / 2}
    weights["bias"] = rng.standard_normal((2, 12) if reset_after else 12)
    inputs, mask = rng.standard_normal((2, 5, 3)), np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]], bool)

    def run(strict: bool | None) -> Any:
        noise = NoiseSource(7, strict=strict)
        found = forward(
            "GRU",
            noise.lift(inputs),
            weights,
            mask=mask,
            activation=activations.get("softplus"),
            recurrent_activation=activations.get("hard_sigmoid"),
            reset_after=reset_after,
        )
        return found.outputs, noise

    both, source_of_both = run(None)
    free, source_of_free = run(False)
    strict, _ = run(True)
    assert both.sensitivities.shape == (2, *both.shape)
    assert (both.sensitivities[0] == free.sensitivity).all()
    assert (both.sensitivities[1] == strict.sensitivity).all()
    assert (both.sensitivity == free.sensitivity).all()
    assert (free.sensitivity > strict.sensitivity).any()
    assert (source_of_both.peak, source_of_both.margin) == (source_of_free.peak, source_of_free.margin)
