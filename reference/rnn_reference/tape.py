"""Gradients of whatever the reference computes, over whatever arithmetic it runs (GRAD-1).

A `Taped` array wraps a float array, an object array of balls or a noisy array, and records each operation.
`gradients` walks the record backwards: reverse-mode differentiation, which for a recurrence is backpropagation through
time (Werbos 1990). The forward equations stay written once, and their derivatives cannot disagree with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from rnn_reference import elementary as el

# Adds a contribution to the adjoint of an operand, at a place in it.
Pull = Callable[[Any], list[tuple["Taped", Any, Any]]]
EVERYWHERE = (Ellipsis,)


class Tape:
    """The record of one computation: arrays in the order in which they were made."""

    def __init__(self) -> None:
        self.made: list[Taped] = []

    def variable(self, value: Any) -> Taped:
        """An array whose gradient will be asked for."""
        return Taped(value, self, None)


class Taped(NDArrayOperatorsMixin):
    """An array [...] of any arithmetic that remembers how it was computed."""

    def __init__(self, value: Any, tape: Tape, pull: Pull | None) -> None:
        self.value, self.tape, self._pull = value, tape, pull
        self._adjoint: Any = None
        self._touched: np.ndarray | None = None
        tape.made.append(self)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    def __iadd__(self, other: Any) -> Taped:
        return self + other  # a new array: what is recorded must not change

    @property
    def T(self) -> Taped:  # noqa: N802 - NumPy's name
        return Taped(self.value.T, self.tape, lambda g: [(self, EVERYWHERE, g.T)])

    def reshape(self, *shape: int) -> Taped:
        return Taped(
            self.value.reshape(*shape),
            self.tape,
            lambda g: [(self, EVERYWHERE, g.reshape(*self.shape))],
        )

    def swapaxes(self, first: int, second: int) -> Taped:
        return Taped(
            self.value.swapaxes(first, second),
            self.tape,
            lambda g: [(self, EVERYWHERE, g.swapaxes(first, second))],
        )

    def __getitem__(self, key: Any) -> Taped:
        return Taped(self.value[key], self.tape, lambda g: [(self, key, g)])

    # -- the adjoint -----------------------------------------------------------------------------

    def add_adjoint(self, key: Any, g: Any) -> None:
        """Add ``g`` at ``key``. Where nothing was added before it is put there: a sum with zero rounds nothing."""
        if self._touched is None:
            self._adjoint, self._touched = np.zeros_like(self.value), np.zeros(self.shape, bool)
        if self._touched[key].any():
            self._adjoint[key] = self._adjoint[key] + g
        else:
            self._adjoint[key] = g
        self._touched[key] = True

    @property
    def adjoint(self) -> Any:
        """The gradient with respect to this array, zeros where the result does not depend on it."""
        return np.zeros_like(self.value) if self._touched is None else self._adjoint

    def pull_back(self) -> None:
        """Hand the adjoint on to the operands."""
        if self._pull is not None and self._touched is not None:
            for operand, key, g in self._pull(self._adjoint):
                operand.add_adjoint(key, g)

    # -- functions of rnn_reference.elementary ----------------------------------------------------

    def sigmoid(self) -> Taped:
        y = el.sigmoid(self.value)
        return self._unary(y, lambda g: g * (y * (1 - y)))

    def erf(self) -> Taped:
        x = self.value
        slope = 2 * np.exp(-(x * x)) / np.sqrt(el.pi(x))
        return self._unary(el.erf(x), lambda g: g * slope)

    def blend(self, a: Any, b: Any) -> Taped:
        z, x, y = self.value, _value(a), _value(b)
        return _operation(
            el.blend(z, x, y),
            (self, lambda g: g * x - g * y),
            (a, lambda g: g * z),
            (b, lambda g: g * (1 - z)),
        )

    def maximum(self, other: Any) -> Taped:
        b = _value(other)
        return _select(el.exceeds(self.value, b), el.maximum(self.value, b), self, other)

    def minimum(self, other: Any) -> Taped:
        b = _value(other)
        return _select(el.exceeds(-self.value, -b), el.minimum(self.value, b), self, other)

    def keep_large(self, threshold: float) -> Taped:
        keep = el.exceeds(np.absolute(self.value), threshold)
        return self._unary(
            el.keep_large(self.value, threshold), lambda g: np.where(keep, g, np.zeros_like(g))
        )

    def _unary(self, value: Any, pull: Callable[[Any], Any]) -> Taped:
        return Taped(value, self.tape, lambda g: [(self, EVERYWHERE, pull(g))])

    # -- NumPy's protocols ------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or ufunc not in _UFUNCS:
            return NotImplemented
        return _UFUNCS[ufunc](*operands)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function not in _FUNCTIONS:
            return NotImplemented
        return _FUNCTIONS[function](*args, **kwargs)


def gradients(
    compute: Callable[[Mapping[str, Taped]], Sequence[Any]],
    variables: Mapping[str, Any],
    cotangents: Sequence[Any] | Callable[[list[Any]], Sequence[Any]],
) -> tuple[list[Any], dict[str, Any]]:
    """Values of ``compute`` and the gradient of sum(cotangent * value) with respect to each variable (GRAD-1).

    Parameters
    ----------
    compute : function
        From taped variables, by name, to a sequence of arrays.
    variables : mapping
        Arrays of one arithmetic, by name.
    cotangents : sequence of arrays
        One for each result, of its shape; or a function that makes them from the results.
    """
    tape = Tape()
    taped = {name: tape.variable(value) for name, value in variables.items()}
    results = list(compute(taped))
    values = [_value(r) for r in results]
    seeds = cotangents(values) if callable(cotangents) else cotangents
    for result, cotangent in zip(results, seeds, strict=True):
        if isinstance(result, Taped):
            result.add_adjoint(EVERYWHERE, cotangent)
    for array in reversed(tape.made):
        array.pull_back()
    return values, {name: array.adjoint for name, array in taped.items()}


def _value(operand: Any) -> Any:
    return operand.value if isinstance(operand, Taped) else operand


def _unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of an operand that was broadcast: summed over the axes along which it was repeated."""
    if g.shape == shape:
        return g
    if len(shape) == 3 and shape[1] == 1:  # each gate's bias [n, 1, U]
        return el.rows_sum(_beside(g)).reshape(*shape)
    if len(shape) == len(g.shape) and shape[-1] == 1:
        return _unbroadcast(el.unit_sum(g), shape)
    if len(shape) == len(g.shape) and shape[0] == 1:  # [1, n] repeated along the first axis
        return el.rows_sum(g)
    return el.rows_sum(g)[0] if len(shape) == 1 else NotImplemented


def _operation(value: Any, *pulls: tuple[Any, Callable[[Any], Any]]) -> Taped:
    """An array computed from operands, of which some are taped, with how each one's adjoint follows."""
    taped = [(operand, pull) for operand, pull in pulls if isinstance(operand, Taped)]
    return Taped(
        value,
        taped[0][0].tape,
        lambda g: [(operand, EVERYWHERE, _unbroadcast(pull(g), operand.shape)) for operand, pull in taped],
    )


def _select(takes_a: np.ndarray, value: Any, a: Any, b: Any) -> Taped:
    return _operation(
        value,
        (a, lambda g: np.where(takes_a, g, np.zeros_like(g))),
        (b, lambda g: np.where(takes_a, np.zeros_like(g), g)),
    )


def _add(a: Any, b: Any) -> Taped:
    return _operation(_value(a) + _value(b), (a, lambda g: g), (b, lambda g: g))


def _subtract(a: Any, b: Any) -> Taped:
    return _operation(_value(a) - _value(b), (a, lambda g: g), (b, lambda g: -g))


def _multiply(a: Any, b: Any) -> Taped:
    x, y = _value(a), _value(b)
    return _operation(x * y, (a, lambda g: g * y), (b, lambda g: g * x))


def _divide(a: Any, b: Any) -> Taped:
    x, y = _value(a), _value(b)
    quotient = x / y
    return _operation(quotient, (a, lambda g: g / y), (b, lambda g: -(g * quotient) / y))


def _beside(array: Any) -> Any:
    """The gates' blocks [..., n, R, C] side by side, [..., R, nC] with the rows in one axis."""
    gates, _, columns = array.shape[-3:]
    return array.swapaxes(-3, -2).reshape(-1, gates * columns)


def _matmul(a: Any, b: Any) -> Taped:
    """Product with a matrix, or with one for each gate, whose adjoints are then products with all of them side by side."""
    x, y = _value(a), _value(b)
    by_gate = len(y.shape) == 3

    def to_a(g: Any) -> Any:
        return (_beside(g) @ _beside(y).T).reshape(*x.shape) if by_gate else g @ y.T

    def to_b(g: Any) -> Any:
        rows = x.reshape(-1, x.shape[-1])
        if not by_gate:
            return rows.T @ g.reshape(-1, g.shape[-1])
        gates, width, units = y.shape
        return (rows.T @ _beside(g)).reshape(width, gates, units).swapaxes(0, 1)

    return _operation(x @ y, (a, to_a), (b, to_b))


def _negative(a: Taped) -> Taped:
    return a._unary(-a.value, lambda g: -g)


def _absolute(a: Taped) -> Taped:
    positive, negative = el.exceeds(a.value, 0.0), el.exceeds(-a.value, 0.0)
    zero = np.zeros_like(a.value)  # GRAD-4: |x| has the derivative 0 at 0
    return a._unary(np.absolute(a.value), lambda g: np.where(positive, g, np.where(negative, -g, zero)))


def _sqrt(a: Taped) -> Taped:
    y = np.sqrt(a.value)
    return a._unary(y, lambda g: g / (2 * y))


def _tanh(a: Taped) -> Taped:
    y = np.tanh(a.value)
    return a._unary(y, lambda g: g * (1 - y * y))


def _exp(a: Taped) -> Taped:
    y = np.exp(a.value)
    return a._unary(y, lambda g: g * y)


def _expm1(a: Taped) -> Taped:
    return a._unary(np.expm1(a.value), lambda g: g * np.exp(a.value))


def _log(a: Taped) -> Taped:
    return a._unary(np.log(a.value), lambda g: g / a.value)


def _log1p(a: Taped) -> Taped:
    return a._unary(np.log1p(a.value), lambda g: g / (1 + a.value))


def _where(condition: np.ndarray, a: Any, b: Any) -> Taped:
    return _select(condition, np.where(condition, _value(a), _value(b)), a, b)


def _stack(arrays: Sequence[Any], axis: int = 0) -> Taped:
    axis %= len(arrays[0].shape) + 1
    values = np.stack([_value(a) for a in arrays], axis=axis)
    before = (slice(None),) * axis
    taped = [(k, a) for k, a in enumerate(arrays) if isinstance(a, Taped)]
    return Taped(values, taped[0][1].tape, lambda g: [(a, EVERYWHERE, g[(*before, k)]) for k, a in taped])


def _zeros_like(a: Taped) -> Any:
    return np.zeros_like(a.value)


_UFUNCS: dict[np.ufunc, Callable[..., Taped]] = {
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
_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.where: _where,
    np.stack: _stack,
    np.zeros_like: _zeros_like,
}
