"""Initial values of weights (INIT-1 to INIT-5): the distribution of each initializer, and draws from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnn_reference.shapes import weight_shapes

Shape = tuple[int, ...]
# Standard deviation of a standard normal variable cut at two standard deviations (INIT-3).
TRUNCATED_STDDEV = 0.87962566103423978


@dataclass(frozen=True)
class Distribution:
    """What an array is drawn from.

    Attributes
    ----------
    kind : str
        ``constant`` (value), ``identity`` (gain), ``orthogonal`` (gain), ``uniform`` (low, high), ``normal`` (mean, stddev) or
        ``truncated_normal`` (mean, stddev before it is cut at two of them).
    """

    kind: str
    parameters: Mapping[str, float] = field(default_factory=dict)

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """An array from the distribution."""
        p = self.parameters
        match self.kind:
            case "constant":
                return np.full(shape, p["value"])
            case "identity":
                return p["gain"] * np.eye(shape[0], shape[1])
            case "orthogonal":
                return p["gain"] * _orthogonal(shape, rng)
            case "uniform":
                return rng.uniform(p["low"], p["high"], shape)
            case "normal":
                return rng.normal(p["mean"], p["stddev"], shape)
        drawn = rng.standard_normal(shape)
        while (outside := np.abs(drawn) > 2).any():
            drawn[outside] = rng.standard_normal(int(outside.sum()))
        return p["mean"] + p["stddev"] * drawn


def _orthogonal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Orthonormal rows when wide, columns when tall; signs fixed so that every such matrix is as likely."""
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T


Initializer = Callable[[Shape], Distribution]


def _matrix(shape: Shape, name: str) -> None:
    if len(shape) != 2:
        raise ValueError(f"the initializer {name} needs a matrix, got shape {shape} (INIT-5)")


def zeros(shape: Shape) -> Distribution:
    """All 0."""
    return Distribution("constant", {"value": 0.0})


def ones(shape: Shape) -> Distribution:
    """All 1."""
    return Distribution("constant", {"value": 1.0})


@dataclass(frozen=True)
class Constant:
    """All ``value``."""

    value: float = 0.0

    def __call__(self, shape: Shape) -> Distribution:
        return Distribution("constant", {"value": self.value})


@dataclass(frozen=True)
class Identity:
    """``gain`` on the diagonal of a matrix that need not be square."""

    gain: float = 1.0

    def __call__(self, shape: Shape) -> Distribution:
        _matrix(shape, "Identity")
        return Distribution("identity", {"gain": self.gain})


@dataclass(frozen=True)
class Orthogonal:
    """``gain`` times orthonormal rows of the whole matrix, columns when it is tall (Saxe et al. 2014)."""

    gain: float = 1.0

    def __call__(self, shape: Shape) -> Distribution:
        _matrix(shape, "Orthogonal")
        return Distribution("orthogonal", {"gain": self.gain})


@dataclass(frozen=True)
class RandomUniform:
    """Uniform in [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05

    def __call__(self, shape: Shape) -> Distribution:
        return Distribution("uniform", {"low": self.minval, "high": self.maxval})


@dataclass(frozen=True)
class RandomNormal:
    """Normal."""

    mean: float = 0.0
    stddev: float = 0.05

    def __call__(self, shape: Shape) -> Distribution:
        return Distribution("normal", {"mean": self.mean, "stddev": self.stddev})


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal, values beyond two standard deviations drawn again."""

    mean: float = 0.0
    stddev: float = 0.05

    def __call__(self, shape: Shape) -> Distribution:
        return Distribution("truncated_normal", {"mean": self.mean, "stddev": self.stddev})


@dataclass(frozen=True)
class VarianceScaling:
    """Variance ``scale`` / fan (INIT-3)."""

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"

    def __call__(self, shape: Shape) -> Distribution:
        fan_in, fan_out = (shape[0], shape[0]) if len(shape) == 1 else shape
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return Distribution("uniform", {"low": -limit, "high": limit})
        if self.distribution == "untruncated_normal":
            return Distribution("normal", {"mean": 0.0, "stddev": math.sqrt(variance)})
        return Distribution(
            "truncated_normal", {"mean": 0.0, "stddev": math.sqrt(variance) / TRUNCATED_STDDEV}
        )


def _scaling(scale: float, mode: str, distribution: str) -> Callable[[], Initializer]:
    return lambda: VarianceScaling(scale, mode, distribution)


CLASSES: dict[str, Callable[..., Initializer]] = {
    "Zeros": lambda: zeros,
    "Ones": lambda: ones,
    "Constant": Constant,
    "Identity": Identity,
    "Orthogonal": Orthogonal,
    "RandomUniform": RandomUniform,
    "RandomNormal": RandomNormal,
    "TruncatedNormal": TruncatedNormal,
    "VarianceScaling": VarianceScaling,
    "GlorotUniform": _scaling(1.0, "fan_avg", "uniform"),
    "GlorotNormal": _scaling(1.0, "fan_avg", "truncated_normal"),
    "HeUniform": _scaling(2.0, "fan_in", "uniform"),
    "HeNormal": _scaling(2.0, "fan_in", "truncated_normal"),
    "LecunUniform": _scaling(1.0, "fan_in", "uniform"),
    "LecunNormal": _scaling(1.0, "fan_in", "truncated_normal"),
}
NAMES = {
    "zeros": "Zeros",
    "ones": "Ones",
    "identity": "Identity",
    "orthogonal": "Orthogonal",
    "random_uniform": "RandomUniform",
    "random_normal": "RandomNormal",
    "truncated_normal": "TruncatedNormal",
    "variance_scaling": "VarianceScaling",
    "glorot_uniform": "GlorotUniform",
    "glorot_normal": "GlorotNormal",
    "he_uniform": "HeUniform",
    "he_normal": "HeNormal",
    "lecun_uniform": "LecunUniform",
    "lecun_normal": "LecunNormal",
}


def get(initializer: str | Mapping[str, Any] | Initializer) -> Initializer:
    """What an ``*_initializer`` argument denotes: a name, a class (``class``) with its arguments, or a callable.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if callable(initializer):
        return initializer
    if isinstance(initializer, Mapping):
        return CLASSES[initializer["class"]](**{k: v for k, v in initializer.items() if k != "class"})
    if initializer not in NAMES:
        raise ValueError(f"unknown initializer {initializer!r}; INIT clauses define: {', '.join(NAMES)}")
    return CLASSES[NAMES[initializer]]()


@dataclass(frozen=True)
class Part:
    """Columns [start, stop) of a weight that are drawn together."""

    start: int
    stop: int
    distribution: Distribution


def initial_parts(
    layer: str,
    features: int,
    units: int,
    *,
    use_bias: bool,
    reset_after: bool,
    kernel: Initializer,
    recurrent: Initializer,
    bias: Initializer,
    unit_forget_bias: bool,
) -> dict[str, list[Part]]:
    """How every weight of a layer starts (INIT-1, INIT-2, INIT-4)."""
    shapes = weight_shapes(layer, features, units, use_bias=use_bias, reset_after=reset_after)
    width = shapes["kernel"][1]
    parts = {
        "kernel": [Part(0, width, kernel(shapes["kernel"]))],
        "recurrent_kernel": [Part(0, width, recurrent(shapes["recurrent_kernel"]))],
    }
    if not use_bias:
        return parts
    if layer == "LSTM" and unit_forget_bias:
        parts["bias"] = [
            Part(0, units, bias((units,))),
            Part(units, 2 * units, ones((units,))),
            Part(2 * units, width, bias((2 * units,))),
        ]
    else:
        parts["bias"] = [Part(0, width, bias(shapes["bias"]))]
    return parts


def draw(parts: list[Part], shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """A weight whose parts are drawn one after another."""
    drawn = [p.distribution.draw((*shape[:-1], p.stop - p.start), rng) for p in parts]
    return np.concatenate(drawn, axis=-1)
