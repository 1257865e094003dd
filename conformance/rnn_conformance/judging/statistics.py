"""Tests of numbers against a stated distribution, each with a proved bound on its rate of false alarms (INIT-6).

Every bound is an inequality that holds for all sample sizes, so no table and no asymptotics are needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

# Chance that one test rejects numbers that do follow the distribution; a run makes fewer than ten thousand tests.
FALSE_ALARM = 1e-10
_LOG = math.log(2 / FALSE_ALARM)


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2)))


def _standard(kind: str, p: Mapping[str, float]) -> tuple[float, float, float, float]:
    """Mean, standard deviation, lowest and highest value of a distribution."""
    if kind == "uniform":
        return (p["low"] + p["high"]) / 2, (p["high"] - p["low"]) / math.sqrt(12), p["low"], p["high"]
    mean, stddev = p["mean"], p["stddev"]
    if kind == "normal":
        return mean, stddev, -math.inf, math.inf
    mass = math.erf(math.sqrt(2))  # within two standard deviations
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    return mean, stddev * math.sqrt(1 - 4 * density / mass), mean - 2 * stddev, mean + 2 * stddev


def _cdf(kind: str, p: Mapping[str, float], x: np.ndarray) -> np.ndarray:
    if kind == "uniform":
        return np.clip((x - p["low"]) / (p["high"] - p["low"]), 0, 1)
    below = _normal_cdf((x - p["mean"]) / p["stddev"])
    if kind == "normal":
        return below
    low = 0.5 * (1 - math.erf(math.sqrt(2)))
    return np.clip((below - low) / (1 - 2 * low), 0, 1)


def faults(kind: str, parameters: Mapping[str, float], numbers: np.ndarray, unit: float) -> list[str]:
    """Why numbers do not look like draws from a distribution; empty when they do.

    Parameters
    ----------
    kind : "uniform", "normal" or "truncated_normal"
    unit : float
        Unit roundoff of their dtype: the ends of a range may be rounded.
    """
    x = np.sort(numbers.astype(np.float64).ravel())
    n = x.size
    mean, stddev, low, high = _standard(kind, parameters)
    found = []
    slack = 4 * unit * max(abs(x[0]), abs(x[-1]))
    if x[0] < low - slack or x[-1] > high + slack:
        found.append(f"range [{x[0]:.6g}, {x[-1]:.6g}], expected [{low:.6g}, {high:.6g}]")
    # Kolmogorov-Smirnov: Dvoretzky, Kiefer, Wolfowitz 1956 with Massart's constant (1990).
    cdf = _cdf(kind, parameters, x)
    steps = np.arange(n + 1) / n
    distance = float(max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1])))
    limit = math.sqrt(_LOG / (2 * n))
    if distance > limit:
        found.append(f"Kolmogorov-Smirnov distance {distance:.4f}, limit {limit:.4f} for {n} numbers")
    squares = (x - mean) ** 2
    if kind == "normal":  # Gaussian tail; Laurent and Massart 2000
        mean_limit = stddev * math.sqrt(2 * _LOG / n)
        variance_limit = stddev**2 * (2 * math.sqrt(n * _LOG) + 2 * _LOG) / n
    else:  # Hoeffding 1963
        mean_limit = (high - low) * math.sqrt(_LOG / (2 * n))
        variance_limit = ((high - low) / 2) ** 2 * math.sqrt(_LOG / (2 * n))
    if abs(float(x.mean()) - mean) > mean_limit:
        found.append(f"mean {x.mean():.6g}, expected {mean:.6g} within {mean_limit:.2g}")
    if abs(float(squares.mean()) - stddev**2) > variance_limit:
        found.append(f"variance {squares.mean():.6g}, expected {stddev**2:.6g} within {variance_limit:.2g}")
    return found
