"""The layers, written once more: a loop over steps whose parts are chosen by `Choices`.

B batch, T time, F features, U units; G the width of the gates computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_fixtures.problem import Problem

from .functions import Function, function
from .products import PRODUCTS, Product
from .rounding import DTYPES, flushed, multiply_add


@dataclass(frozen=True)
class Choices:
    """How an implementation computes.

    Attributes
    ----------
    inside : str, optional
        A dtype in which everything is computed; what is asked for is what is returned.
    states : "rounded" or "kept"
        Whether states are rounded to the dtype asked for after every step, or kept as computed.
    wide : bool
        Functions are computed in float64 and rounded.
    """

    product: str = "blas"
    gates: str = "separate"
    update: str = "kept"
    cell: str = "plain"
    sigmoid: str = "reciprocal"
    tanh: str = "library"
    others: int = 0
    wide: bool = False
    inside: str | None = None
    states: str = "rounded"
    flush: bool = False


@dataclass(frozen=True)
class Operands:
    """What a gate is computed from: x [B, F], kernel [F, G], h [B, U], recurrent kernel [U, G], biases [G]."""

    x: np.ndarray
    kernel: np.ndarray
    h: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray | None
    recurrent_bias: np.ndarray | None = None

    @property
    def biases(self) -> np.ndarray | None:
        """Both biases as one."""
        if self.bias is None or self.recurrent_bias is None:
            return self.bias
        return self.bias + self.recurrent_bias

    @property
    def start(self) -> np.ndarray | None:
        """The biases as accumulators [B, G]."""
        both = self.biases
        return None if both is None else np.broadcast_to(both, (len(self.x), len(both)))


def plus(x: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """The sum with a bias where there is one."""
    return x if bias is None else x + bias


def parted(x: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """The gates of [B, count * U]: `numpy.split` takes longer than a step's products."""
    units = x.shape[-1] // count
    return (x[:, k * units : (k + 1) * units] for k in range(count))


def _separate(o: Operands, dot: Product) -> np.ndarray:
    return plus(dot(o.x, o.kernel, None), o.bias) + plus(dot(o.h, o.recurrent, None), o.recurrent_bias)


def _late_bias(o: Operands, dot: Product) -> np.ndarray:
    return plus(plus(dot(o.h, o.recurrent, None) + dot(o.x, o.kernel, None), o.bias), o.recurrent_bias)


def _from_input(o: Operands, dot: Product) -> np.ndarray:
    return dot(o.h, o.recurrent, plus(dot(o.x, o.kernel, None), o.biases))


def _from_bias(o: Operands, dot: Product) -> np.ndarray:
    return dot(o.h, o.recurrent, dot(o.x, o.kernel, o.start))


def _from_state(o: Operands, dot: Product) -> np.ndarray:
    return plus(dot(o.x, o.kernel, dot(o.h, o.recurrent, None)), o.biases)


def _stacked(o: Operands) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([o.x, o.h], axis=-1), np.concatenate([o.kernel, o.recurrent])


def _joint(o: Operands, dot: Product) -> np.ndarray:
    return plus(dot(*_stacked(o), None), o.biases)


def _joint_from_bias(o: Operands, dot: Product) -> np.ndarray:
    return dot(*_stacked(o), o.start)


def _joint_state_first(o: Operands, dot: Product) -> np.ndarray:
    rows = np.concatenate([o.recurrent, o.kernel])
    return plus(dot(np.concatenate([o.h, o.x], axis=-1), rows, None), o.biases)


# What the accumulators of x K + h R + b start from, or which of them are one.
GATES: dict[str, Callable[[Operands, Product], np.ndarray]] = {
    "separate": _separate,
    "late_bias": _late_bias,
    "input": _from_input,
    "bias": _from_bias,
    "state": _from_state,
    "joint": _joint,
    "joint_bias": _joint_from_bias,
    "joint_state": _joint_state_first,
}

# The GRU's next state from z, 1 - z, h and the candidate n.
UPDATES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "kept": lambda z, rest, h, n: z * h + rest * n,
    "kept_fused": lambda z, rest, h, n: multiply_add(z, h, rest * n),
    "towards_state": lambda z, rest, h, n: n + z * (h - n),
    "towards_state_fused": lambda z, rest, h, n: multiply_add(z, h - n, n),
    "towards_candidate": lambda z, rest, h, n: h + rest * (n - h),
    "distributed": lambda z, rest, h, n: (n - z * n) + z * h,
    "complement": lambda z, rest, h, n: z * h + rest * n,
}

# The LSTM's next cell state from f, c, i and the candidate g.
CELLS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "plain": lambda f, c, i, g: f * c + i * g,
    "fused": lambda f, c, i, g: multiply_add(f, c, i * g),
    "fused_input": lambda f, c, i, g: multiply_add(i, g, f * c),
}


class _Layer:
    """A problem's layer in one dtype."""

    def __init__(self, problem: Problem, choices: Choices, dtype: Any) -> None:
        self.choices, self.dtype = choices, dtype
        self.dot, self.gates = PRODUCTS[choices.product], GATES[choices.gates]
        self.weights = {name: self.lift(array) for name, array in problem.weights.items()}
        self.reset_after = problem.config.reset_after
        self.recurrent_name = problem.config.recurrent_activation
        self.activation = self._function(problem.config.activation)
        self.gate = self._function(problem.config.recurrent_activation)

    def lift(self, array: np.ndarray) -> np.ndarray:
        made = array.astype(self.dtype)
        return flushed(made) if self.choices.flush else made

    def _function(self, name: str) -> Function:
        c = self.choices
        return function(name, sigmoid=c.sigmoid, tanh=c.tanh, others=c.others, wide=c.wide)

    def lstm(self, x: np.ndarray, states: list[np.ndarray]) -> list[np.ndarray]:
        h, c = states
        w = self.weights
        a = self.gates(Operands(x, w["kernel"], h, w["recurrent_kernel"], w.get("bias")), self.dot)
        i, f, g, o = parted(a, 4)
        c = CELLS[self.choices.cell](self.gate(f), c, self.gate(i), self.activation(g))
        return [self.gate(o) * self.activation(c), c]

    def gru(self, x: np.ndarray, states: list[np.ndarray]) -> list[np.ndarray]:
        (h,) = states
        w = self.weights
        units = h.shape[1]
        two, last = slice(0, 2 * units), slice(2 * units, None)
        kernel, recurrent, bias = w["kernel"], w["recurrent_kernel"], w.get("bias")
        b = r_b = None
        if bias is not None:
            b, r_b = bias if self.reset_after else (bias, None)

        def half(array: np.ndarray | None, where: slice) -> np.ndarray | None:
            return None if array is None else array[where]

        operands = Operands(x, kernel[:, two], h, recurrent[:, two], half(b, two), half(r_b, two))
        a_z, a_r = parted(self.gates(operands, self.dot), 2)
        z, r = self.gate(a_z), self.gate(a_r)
        if self.reset_after:
            from_state = self._side(h, recurrent[:, last], half(r_b, last))
            a_n = self._side(x, kernel[:, last], half(b, last)) + r * from_state
        else:
            operands = Operands(x, kernel[:, last], r * h, recurrent[:, last], half(b, last))
            a_n = self.gates(operands, self.dot)
        rest = 1 - z
        if self.choices.update == "complement" and self.recurrent_name == "sigmoid":
            rest = self.gate(-a_z)
        return [UPDATES[self.choices.update](z, rest, h, self.activation(a_n))]

    def _side(self, a: np.ndarray, w: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """One product with its bias: where the reset gate keeps the two apart, only the place of the bias is free."""
        if bias is not None and self.choices.gates.endswith("bias") and self.choices.gates != "late_bias":
            return self.dot(a, w, np.broadcast_to(bias, (len(a), len(bias))))
        return plus(self.dot(a, w, None), bias)


def run(problem: Problem, dtype: str, choices: Choices) -> dict[str, np.ndarray]:
    """Outputs [B, T, U] in processing order, and final states, in the dtype."""
    with np.errstate(all="ignore"):  # infinite and NaN inputs are part of the problems
        return _run(problem, dtype, choices)


def _run(problem: Problem, dtype: str, choices: Choices) -> dict[str, np.ndarray]:
    wanted = DTYPES[dtype]
    layer = _Layer(problem, choices, DTYPES[choices.inside or dtype])
    inputs = layer.lift(problem.inputs)
    batch, length, _ = inputs.shape
    names = ("h", "c") if problem.layer == "LSTM" else ("h",)
    step = layer.lstm if problem.layer == "LSTM" else layer.gru
    zero = layer.lift(np.zeros((batch, layer.weights["recurrent_kernel"].shape[0])))
    given = problem.initial_state
    states = [zero for _ in names] if given is None else [layer.lift(s) for s in given]
    output = zero
    outputs = []
    for t in range(length)[:: -1 if problem.config.go_backwards else 1]:
        stepped = step(inputs[:, t], states)
        if choices.inside and choices.states == "rounded":
            stepped = [s.astype(wanted).astype(s.dtype) for s in stepped]
        if problem.mask is None:
            states, output = stepped, stepped[0]
        else:
            valid = problem.mask[:, t, None]
            output = np.where(valid, stepped[0], zero if problem.config.zero_output_for_mask else output)
            states = [np.where(valid, new, old) for new, old in zip(stepped, states, strict=True)]
        outputs.append(output)
    found = {"outputs": np.stack(outputs, axis=1), **dict(zip(names, states, strict=True))}
    return {name: np.asarray(array).astype(wanted) for name, array in found.items()}
