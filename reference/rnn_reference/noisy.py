"""Noisy arrays: which roundoff a correct implementation is expected to show (PREC-2, PREC-3).

A `NoisyArray` carries, beside its float64 value, K sampled *deviations* in units of the roundoff u.
Every operation passes its operands' deviations on to first order and adds a fresh one of its own:
a random sign times the size of the rounding error that the operation commits. The root mean square
of a result's deviations is its sensitivity S. This is Monte Carlo arithmetic in the limit u -> 0;
random signs have the same variance as N(0, 1) and, unlike normal variates, are the same bits on every
machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from rnn_reference import elementary as el

Exact = Callable[..., np.ndarray]

SAMPLES = 64
# A kink is "near" when 8 deviations at bfloat16's u = 2**-8 may cross it (PREC-3).
KINK_WIDTH = 8 * 2.0**-8
# The roundoff at which the product of two errors counts: float32's (PREC-3).
SECOND_ORDER = 2.0**-24
# Libraries' exp, tanh, ... are good to about two units of roundoff (PREC-3).
FUNCTION_ERROR = 2.0
# The eight signs that a byte stands for, lowest bit first.
_SIGNS = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little") - 1.0


class NoiseSource:
    """Deterministic random signs, shared by all arrays of one computation.

    Parameters
    ----------
    seed : int
    strict : bool, optional
        True: errors of functions and of complements 1 - x are relative only (S_strict); False: also absolute, of one u (S).
        None: both side by side, with the signs that each alone would have; every array then has 2 K deviations, those of S first.
    samples : int
        Deviations K carried per element, and kind of sensitivity.
    unit : float
        0: deviations are passed on to first order. A roundoff: as far as that roundoff carries them.

    Attributes
    ----------
    margin : float
        Smallest distance to a discontinuity seen, in deviations; infinite when none was met.
    peak : float
        Largest magnitude of any intermediate value: says which dtypes would overflow.
    """

    def __init__(self, seed: int, *, strict: bool | None, samples: int = SAMPLES, unit: float = 0.0) -> None:
        self._bits = np.random.PCG64(seed)
        self.kinds = 2 if strict is None else 1
        self._free = 0 if strict else 1  # how many kinds, from the first on, are not strict
        self.samples = samples
        self.unit = unit
        self.margin = float("inf")
        self.peak = 0.0

    def signs(self, shape: tuple[int, ...]) -> np.ndarray:
        """Random signs ``[K, *shape]``, from the bit generator's raw output (stable across NumPy versions)."""
        count = self.samples * math.prod(shape)
        words = self._bits.random_raw(-(-count // 64)).astype("<u8", copy=False)
        return _SIGNS[words.view(np.uint8)].reshape(-1)[:count].reshape((self.samples, *shape))

    def noise(self, error: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Fresh deviations of these sizes, ``[...]`` or one for each kind of sensitivity ``[kinds, ...]``."""
        signs = self.signs(shape)
        if error.ndim > len(shape):
            each: np.ndarray = (signs[None] * error[:, None]).reshape((self.kinds * self.samples, *shape))
            return each
        signs *= error
        return signs if self.kinds == 1 else np.concatenate((signs, signs))

    def free_only(self, strict: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Errors ``[kinds, ...]``: the second where an absolute error counts as well, the first where it does not."""
        return np.stack([free if kind < self._free else strict for kind in range(self.kinds)])

    def spread(self, deviations: np.ndarray) -> np.ndarray:
        """Root mean square of deviations for each kind of sensitivity, ``[kinds, ...]``."""
        each = deviations.reshape((self.kinds, len(deviations) // self.kinds, *deviations.shape[1:]))
        found: np.ndarray = np.sqrt(np.add.reduce(each * each, axis=1) / each.shape[1])
        return found

    def lift(self, exact: Any) -> NoisyArray:
        """An exact array as a noisy one without deviations."""
        value = np.asarray(exact, dtype=np.float64)
        return NoisyArray(value, np.zeros((self.kinds * self.samples, *value.shape)), self)


class NoisyArray(NDArrayOperatorsMixin):
    """Value ``[...]`` and deviations ``[K, ...]`` in units of roundoff; see the module's text.

    Attributes
    ----------
    terms : int
        How many products were added up to the value: their sum may as well start from what is added next.
    """

    def __init__(
        self, value: np.ndarray, deviations: np.ndarray, source: NoiseSource, terms: int = 0
    ) -> None:
        self.value = value
        self.deviations = deviations
        self.source = source
        self.terms = terms
        if value.size:
            source.peak = max(source.peak, float(np.abs(value).max()))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    @property
    def sensitivity(self) -> np.ndarray:
        """Root mean square of the deviations, ``[...]``; S where there are both."""
        found: np.ndarray = self.sensitivities[0]
        return found

    @property
    def sensitivities(self) -> np.ndarray:
        """S, S_strict or both, ``[kinds, ...]``."""
        return self.source.spread(self.deviations)

    def __getitem__(self, key: Any) -> NoisyArray:
        keys = key if isinstance(key, tuple) else (key,)
        return NoisyArray(self.value[key], self.deviations[(slice(None), *keys)], self.source, self.terms)

    def __setitem__(self, key: Any, item: Any) -> None:
        keys = key if isinstance(key, tuple) else (key,)
        if isinstance(item, NoisyArray):
            value, deviations = item.value, item.deviations
            self.terms = max(self.terms, item.terms)
        else:
            value, deviations = np.asarray(item, np.float64), np.zeros(1)
        self.value[keys] = value
        self.deviations[(slice(None), *keys)] = deviations

    def reshape(self, *shape: int) -> NoisyArray:
        deviations = self.deviations.reshape(len(self.deviations), *shape)
        return NoisyArray(self.value.reshape(shape), deviations, self.source, self.terms)

    def swapaxes(self, first: int, second: int) -> NoisyArray:
        ndim = self.value.ndim
        deviations = self.deviations.swapaxes(first % ndim + 1, second % ndim + 1)
        return NoisyArray(self.value.swapaxes(first, second), deviations, self.source, self.terms)

    def __iadd__(self, other: Any) -> NoisyArray:
        return self + other  # the mixin's wants an array to write to

    @property
    def T(self) -> NoisyArray:  # noqa: N802 - NumPy's name
        return NoisyArray(self.value.T, self.deviations.transpose(0, 2, 1), self.source, self.terms)

    # -- operations ----------------------------------------------------------------------------

    def _result(
        self, value: np.ndarray, carried: np.ndarray, error: np.ndarray, terms: int = 0
    ) -> NoisyArray:
        deviations = self.source.noise(error, value.shape)
        deviations += carried  # in place: these are the largest arrays, and what takes longest
        return NoisyArray(value, deviations, self.source, terms)

    def _carried(self, function: Exact, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """The deviations of ``value = function(self.value)`` that follow from the operand's."""
        unit = self.source.unit
        if not unit:
            return slope * self.deviations
        return (function(self.value + unit * self.deviations) - value) / unit

    def _function(self, function: Exact, value: np.ndarray, slope: np.ndarray) -> NoisyArray:
        relative = FUNCTION_ERROR * np.abs(value)
        error = self.source.free_only(relative, np.hypot(relative, 1.0))
        return self._result(value, self._carried(function, value, slope), error)

    def sigmoid(self) -> NoisyArray:
        y = el.sigmoid(self.value)
        return self._function(el.sigmoid, y, y * (1 - y))

    def erf(self) -> NoisyArray:
        slope = 2 / np.sqrt(np.pi) * np.exp(-(self.value**2))
        return self._function(el.erf, el.erf(self.value), slope)

    def blend(self, a: NoisyArray, b: NoisyArray) -> NoisyArray:
        made = self * a + (1 - self) * b
        # a + (1 - z) (b - a) rounds this difference, except where it is -a; all other forms round nothing that is not
        # charged already (PREC-3).
        difference = np.abs((1 - self.value) * (b.value - a.value))
        rounded = np.where((self.value != 0) | (b.value != 0), difference, 0.0)
        # Strict or not, as many signs are drawn: the two sensitivities differ by what is charged alone.
        error = self.source.free_only(np.zeros_like(rounded), rounded)
        return self._result(made.value, made.deviations, error)

    def maximum(self, other: Any) -> NoisyArray:
        return self._choose(other, np.greater_equal, np.maximum)

    def minimum(self, other: Any) -> NoisyArray:
        return self._choose(other, np.less_equal, np.minimum)

    def _choose(self, other: Any, prefers_self: Exact, choice: Exact) -> NoisyArray:
        value, deviations = _parts(other, self.value.ndim)
        take = prefers_self(self.value, value)
        gap = np.abs(self.value - value)
        spread = self.source.spread(self.deviations - deviations)
        chosen = np.where(take, self.value, value)
        if unit := self.source.unit:
            carried = choice(self.value + unit * self.deviations, value + unit * deviations)
            return self._result(chosen, (carried - chosen) / unit, np.zeros_like(chosen))
        carried = np.where(take, self.deviations, deviations)
        # Near the kink a correct implementation may land on the other side: how far 8 deviations at bfloat16's u reach
        # there is charged as an error of its own, which no other deviation can cancel.
        return self._result(chosen, carried, np.maximum(spread - gap / KINK_WIDTH, 0.0))

    def exceeds(self, other: Any) -> np.ndarray:
        """Where this is greater; how sure that is goes into the source's ``margin``."""
        value, deviations = _parts(other, self.value.ndim)
        spread = self.source.spread(self.deviations - deviations)[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            margins = np.where(spread > 0, np.abs(self.value - value) / spread, np.inf)
        self.source.margin = min(self.source.margin, float(np.min(margins, initial=np.inf)))
        return self.value > value

    def keep_large(self, threshold: float) -> NoisyArray:
        _absolute(self).exceeds(threshold)
        keep = np.abs(self.value) > threshold
        return NoisyArray(np.where(keep, self.value, 0.0), keep * self.deviations, self.source)

    # -- NumPy's protocols ----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **kwargs: Any) -> Any:
        # Arrays that wrap this one (taped ones) go first.
        known = all(isinstance(x, (NoisyArray, np.ndarray, np.generic, int, float)) for x in operands)
        if method != "__call__" or kwargs or ufunc not in _UFUNCS or not known:
            return NotImplemented
        return _UFUNCS[ufunc](*operands)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function not in _FUNCTIONS or not all(issubclass(t, (NoisyArray, np.ndarray)) for t in types):
            return NotImplemented
        return _FUNCTIONS[function](*args, **kwargs)


def _parts(operand: Any, ndim: int) -> tuple[np.ndarray, np.ndarray]:
    """Value and deviations of an operand (zero deviations for an exact one), aligned to ``ndim``."""
    if isinstance(operand, NoisyArray):
        value, deviations = operand.value, operand.deviations
    else:
        value = np.asarray(operand, dtype=np.float64)
        deviations = np.zeros((1,) * (value.ndim + 1))
    pad = (1,) * (max(ndim, value.ndim) - value.ndim)
    return value, deviations.reshape((deviations.shape[0], *pad, *deviations.shape[1:]))


def _aligned(each: np.ndarray, ndim: int) -> np.ndarray:
    """Something of each kind of sensitivity ``[kinds, ...]``, with ``ndim`` axes after the first."""
    return each.reshape((each.shape[0], *(1,) * (ndim + 1 - each.ndim), *each.shape[1:]))


def _operands(a: Any, b: Any) -> tuple[NoisyArray, tuple[np.ndarray, ...]]:
    owner: NoisyArray = a if isinstance(a, NoisyArray) else b
    ndim = max(np.ndim(getattr(a, "value", a)), np.ndim(getattr(b, "value", b)))
    return owner, (*_parts(a, ndim), *_parts(b, ndim))


def _sum_error(a: Any, b: Any, x: np.ndarray, y: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, int]:
    """What adding commits, and of how many terms the sum is.

    A sum of products may start from the other operand, or follow it in one longer sum: then each of its partial sums is larger
    by that operand.
    """
    n, m = getattr(a, "terms", 0), getattr(b, "terms", 0)
    if not n and not m:
        return np.abs(total), 0
    return np.sqrt(total**2 + n * y**2 + m * x**2), n + m


def _add(a: Any, b: Any) -> NoisyArray:
    owner, (x, dx, y, dy) = _operands(a, b)
    error, terms = _sum_error(a, b, x, y, x + y)
    return owner._result(x + y, dx + dy, error, terms)


def _subtract(a: Any, b: Any) -> NoisyArray:
    owner, (x, dx, y, dy) = _operands(a, b)
    error, terms = _sum_error(a, b, x, y, x - y)
    if not isinstance(a, NoisyArray) and np.all(x == 1):
        # A complement 1 - y may be distributed, z h + (1 - z) n = n + z (h - n): its error is then one of 1 (PREC-3).
        error = owner.source.free_only(error, np.hypot(error, 1.0))
    return owner._result(x - y, dx - dy, error, terms)


def _multiply(a: Any, b: Any) -> NoisyArray:
    owner, (x, dx, y, dy) = _operands(a, b)
    error = np.abs(x * y)
    if isinstance(a, NoisyArray) and isinstance(b, NoisyArray):
        # All that is left where two saturated gates meet is the product of their errors.
        ndim = error.ndim
        both = _aligned(SECOND_ORDER * a.sensitivities, ndim) * _aligned(b.sensitivities, ndim)
        error = np.hypot(error, both)
    carried, unit = _sum(dx * y, x * dy), owner.source.unit
    if unit or not np.isfinite(carried).all():  # else the product of finite deviations counts for nothing
        carried = carried + unit * (dx * dy)
    return owner._result(x * y, carried, error)


def _sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The sum of two fresh arrays, in the place of the first where it has room."""
    if a.shape != b.shape:
        return a + b
    a += b
    return a


def _divide(a: Any, b: Any) -> NoisyArray:
    owner, (x, dx, y, dy) = _operands(a, b)
    quotient = x / y
    carried = (dx - quotient * dy) / (y + owner.source.unit * dy)
    return owner._result(quotient, carried, np.abs(quotient))


def _matmul(a: Any, b: Any) -> NoisyArray:
    """Product with a matrix, or one for each gate: a rounding per term and per partial sum; either operand may be exact."""
    owner, (x, dx, y, dy) = _operands(a, b)
    total, terms, count = x @ y, x**2 @ y**2, x.shape[-1]
    # The mean of the sum of the squares of n partial sums over all orders of the terms is (n + 1) (sum of squares + 2 total**2) / 6.
    squares = terms + (count + 1) / 6 * (terms + 2 * total**2)
    if isinstance(a, NoisyArray) and isinstance(b, NoisyArray):
        ndim = max(x.ndim, y.ndim)
        squares = (
            squares
            + _aligned(SECOND_ORDER * a.sensitivities, ndim) ** 2 @ _aligned(b.sensitivities, ndim) ** 2
        )
    carried: Any = 0.0
    if isinstance(a, NoisyArray):
        carried = dx @ y
    if isinstance(b, NoisyArray):
        carried = carried + x @ dy
        if isinstance(a, NoisyArray) and owner.source.unit:
            carried = carried + owner.source.unit * (dx @ dy)
    return owner._result(total, carried, np.sqrt(squares), count)


def _negative(a: NoisyArray) -> NoisyArray:
    return NoisyArray(-a.value, -a.deviations, a.source, a.terms)


def _absolute(a: NoisyArray) -> NoisyArray:
    y = np.abs(a.value)
    return NoisyArray(y, a._carried(np.abs, y, np.sign(a.value)), a.source)


def _sqrt(a: NoisyArray) -> NoisyArray:
    y = np.sqrt(a.value)
    return a._result(y, a._carried(np.sqrt, y, 1 / (2 * y)), y)  # correctly rounded everywhere


def _tanh(a: NoisyArray) -> NoisyArray:
    y = np.tanh(a.value)
    return a._function(np.tanh, y, 1 - y * y)


def _exp(a: NoisyArray) -> NoisyArray:
    y = np.exp(a.value)
    return a._function(np.exp, y, y)


def _expm1(a: NoisyArray) -> NoisyArray:
    return a._function(np.expm1, np.expm1(a.value), np.exp(a.value))


def _log(a: NoisyArray) -> NoisyArray:
    return a._function(np.log, np.log(a.value), 1 / a.value)


def _log1p(a: NoisyArray) -> NoisyArray:
    return a._function(np.log1p, np.log1p(a.value), 1 / (1 + a.value))


def _where(condition: np.ndarray, a: NoisyArray, b: NoisyArray) -> NoisyArray:
    return NoisyArray(
        np.where(condition, a.value, b.value),
        np.where(condition, a.deviations, b.deviations),
        a.source,
    )


def _stack(arrays: Sequence[NoisyArray], axis: int = 0) -> NoisyArray:
    axis %= arrays[0].value.ndim + 1
    return NoisyArray(
        np.stack([a.value for a in arrays], axis=axis),
        np.stack([a.deviations for a in arrays], axis=axis + 1),
        arrays[0].source,
    )


def _zeros_like(a: NoisyArray) -> NoisyArray:
    return a.source.lift(np.zeros_like(a.value))


_UFUNCS: dict[np.ufunc, Callable[..., NoisyArray]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.true_divide: _divide,
    np.matmul: _matmul,
    np.negative: _negative,
    np.absolute: _absolute,
    np.sqrt: _sqrt,
    np.tanh: _tanh,
    np.exp: _exp,
    np.expm1: _expm1,
    np.log: _log,
    np.log1p: _log1p,
}
_FUNCTIONS: dict[Callable[..., Any], Callable[..., NoisyArray]] = {
    np.where: _where,
    np.stack: _stack,
    np.zeros_like: _zeros_like,
}
