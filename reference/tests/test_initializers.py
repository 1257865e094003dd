"""Initial values: what each initializer says, and what it draws (INIT-1 to INIT-5)."""

from __future__ import annotations

import numpy as np
import pytest
from rnn_reference import GRU, LSTM, initializers


def test_forget_slice_of_the_bias() -> None:  # INIT-2, INIT-4
    layer = LSTM(3, input_shape=(4, 2), bias_initializer="random_normal", seed=1)
    bias = layer.get_weights()[2]
    assert (bias[3:6] == 1).all()
    assert (np.abs(np.delete(bias, slice(3, 6))) < 0.5).all()
    plain = LSTM(3, input_shape=(4, 2), unit_forget_bias=False).get_weights()[2]
    assert not plain.any()
    assert len(LSTM(3, input_shape=(4, 2), use_bias=False).get_weights()) == 2
    assert not GRU(3, input_shape=(4, 2)).get_weights()[2].any()


def test_orthogonal_as_a_whole() -> None:  # INIT-1, INIT-5
    recurrent = GRU(8, input_shape=(4, 2), seed=3).get_weights()[1]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(8), atol=1e-12)
    tall = initializers.Orthogonal(2.0)((6, 3)).draw((6, 3), np.random.default_rng(0))
    np.testing.assert_allclose(tall.T @ tall, 4 * np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "shape", "variance"),
    [
        ("glorot_uniform", (30, 50), 2 / 80),
        ("glorot_normal", (30, 50), 2 / 80),
        ("he_uniform", (30, 50), 2 / 30),
        ("he_normal", (30, 50), 2 / 30),
        ("lecun_uniform", (40,), 1 / 40),
        ("lecun_normal", (40,), 1 / 40),
        ("truncated_normal", (30, 50), (0.05 * initializers.TRUNCATED_STDDEV) ** 2),
    ],
)
def test_variance_is_what_the_fans_say(name: str, shape: tuple[int, ...], variance: float) -> None:  # INIT-3
    distribution = initializers.get(name)(shape)
    drawn = distribution.draw((400, 500), np.random.default_rng(5))
    assert drawn.var() == pytest.approx(variance, rel=0.02)
    if "uniform" in name:
        assert np.abs(drawn).max() <= distribution.parameters["high"] == pytest.approx(np.sqrt(3 * variance))
    else:
        assert np.abs(drawn).max() <= 2 * distribution.parameters["stddev"]


def test_seeds_repeat_and_refusals() -> None:
    a, b, c = (LSTM(4, input_shape=(3, 2), seed=s).get_weights()[0] for s in (1, 1, 2))
    assert (a == b).all()
    assert not (a == c).any()
    for name in ("orthogonal", "identity"):
        with pytest.raises(ValueError, match="INIT-5"):
            LSTM(2, bias_initializer=name, input_shape=(3, 2))
    with pytest.raises(ValueError, match="unknown initializer 'xavier'"):
        LSTM(2, kernel_initializer="xavier")
