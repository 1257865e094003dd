"""Making a failing scenario small: fewer calls, steps, samples, units and features, simpler arguments, rounder numbers.

Greedy delta debugging: of the simpler scenarios that a pass proposes, the first that still fails is taken, until none does. The arguments
that are left after that are those that the discrepancy needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from rnn_fixtures.domain import domain, spell
from rnn_fixtures.scenario import Numbers, Scenario
from rnn_reference.shapes import GATES

Fails = Callable[[Scenario], bool]
Pass = Callable[[Scenario], Iterator[Scenario]]
BUDGET = 250


def shrink(scenario: Scenario, fails: Fails, budget: int = BUDGET) -> Scenario:
    """The smallest scenario found that still fails.

    Parameters
    ----------
    fails : function
        Whether a scenario shows the discrepancy; asked at most ``budget`` times.
    """
    search = _Search(scenario, fails, budget)
    before = None
    while search.best is not before and search.left > 0:
        before = search.best
        for simpler in PASSES:
            search.exhaust(simpler)
    return search.best


class _Search:
    def __init__(self, scenario: Scenario, fails: Fails, budget: int) -> None:
        self.best, self.left, self._fails = scenario, budget, fails

    def exhaust(self, simpler: Pass) -> None:
        """Take what a pass proposes for as long as something of it still fails."""
        while any(self._taken(candidate) for candidate in simpler(self.best)):
            pass

    def _taken(self, candidate: Scenario) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        if not self._fails(candidate):
            return False
        self.best = candidate
        return True


def needed(scenario: Scenario, fails: Fails) -> list[str]:
    """What a scenario asks for beyond a layer with default arguments, as ``name=level``."""
    defaults = domain().defaults(scenario.family, scenario.layer)
    skipped = ["size", "procedure", "scenario"]
    if "bias" not in scenario.weights and fails(_with_bias_of_zeros(scenario)):
        skipped.append("use_bias")
    found = [
        f"{name}={spell(level)}"
        for name, level in scenario.row.items()
        if name not in skipped and level != defaults[name]
    ]
    return [
        term.replace("mask=own", "mask").replace("initial_state=given", "initial_state") for term in found
    ]


def _with_bias_of_zeros(s: Scenario) -> Scenario:
    shape = s.weights["kernel"].shape[-1:]
    if s.layer == "GRU" and s.arguments.get("reset_after"):
        shape = (2, *shape)
    return replace(s, weights={**s.weights, "bias": np.zeros(shape, s.weights["kernel"].dtype)})


def _parts(length: int) -> Iterator[list[int]]:
    """Which of so many items to keep: halves first, then all but one."""
    everything = list(range(length))
    if length > 2:
        yield everything[: length // 2]
        yield everything[length // 2 :]
    if length > 1:
        for k in everything:
            yield [*everything[:k], *everything[k + 1 :]]


def fewer_calls(s: Scenario) -> Iterator[Scenario]:
    """Some of the calls."""
    for keep in _parts(len(s.calls)):
        yield replace(s, calls=tuple(s.calls[k] for k in keep))


def fewer_steps(s: Scenario) -> Iterator[Scenario]:
    """Some of a call's time steps."""
    if "output" in s.cotangents and s.cotangents["output"].ndim == 3:
        for keep in _parts(s.size.T):
            cotangents = {**s.cotangents, "output": s.cotangents["output"][:, keep]}
            yield replace(s, calls=(_steps(s.calls[0], keep),), cotangents=cotangents)
        return
    for k, call in enumerate(s.calls):
        for keep in _parts(call.inputs.shape[1]):
            yield replace(s, calls=(*s.calls[:k], _steps(call, keep), *s.calls[k + 1 :]))


def _steps(call: Numbers, keep: list[int]) -> Numbers:
    return replace(call, inputs=call.inputs[:, keep], mask=None if call.mask is None else call.mask[:, keep])


def fewer_samples(s: Scenario) -> Iterator[Scenario]:
    """Some of the batch."""
    for keep in _parts(s.size.B):
        calls = tuple(
            replace(
                c,
                inputs=c.inputs[keep],
                mask=None if c.mask is None else c.mask[keep],
                initial_state=None if c.initial_state is None else c.initial_state[:, keep],
            )
            for c in s.calls
        )
        yield replace(s, calls=calls, cotangents={n: a[keep] for n, a in s.cotangents.items()})


def fewer_units(s: Scenario) -> Iterator[Scenario]:
    """Some of the units."""
    gates = GATES[s.layer]
    for keep in _parts(s.size.U):

        def columns(array: np.ndarray, keep: list[int] = keep) -> np.ndarray:
            split = array.reshape(*array.shape[:-1], gates, -1)[..., keep]
            return split.reshape(*array.shape[:-1], -1)

        weights = {name: columns(array) for name, array in s.weights.items()}
        weights["recurrent_kernel"] = weights["recurrent_kernel"][keep]
        calls = tuple(
            replace(c, initial_state=None if c.initial_state is None else c.initial_state[..., keep])
            for c in s.calls
        )
        cotangents = {n: a[..., keep] for n, a in s.cotangents.items()}
        yield replace(s, weights=weights, calls=calls, cotangents=cotangents)


def fewer_features(s: Scenario) -> Iterator[Scenario]:
    """Some of the features."""
    for keep in _parts(s.size.F):
        calls = tuple(replace(c, inputs=c.inputs[..., keep]) for c in s.calls)
        yield replace(s, weights={**s.weights, "kernel": s.weights["kernel"][keep]}, calls=calls)


def simpler_arguments(s: Scenario) -> Iterator[Scenario]:
    """One argument at its default; no mask, no initial state, no bias."""
    if any(c.mask is not None for c in s.calls):
        yield replace(s, calls=tuple(replace(c, mask=None) for c in s.calls))
    if any(c.initial_state is not None for c in s.calls):
        yield replace(s, calls=tuple(replace(c, initial_state=None) for c in s.calls))
    if "bias" in s.weights:
        yield replace(s, weights={n: a for n, a in s.weights.items() if n != "bias"})
    row, defaults = s.row, domain().defaults(s.family, s.layer)
    for name, level in row.items():
        if name in ("mask", "initial_state", "size", "procedure", "scenario", "use_bias"):
            continue
        if level != defaults[name]:
            simpler = _with_default(replace(s, arguments={**s.arguments, name: defaults[name]}), name)
            yield simpler
            if name == "go_backwards":  # the same steps in the same order
                yield replace(simpler, calls=tuple(_reversed(c) for c in simpler.calls))


def _reversed(call: Numbers) -> Numbers:
    return replace(call, inputs=call.inputs[:, ::-1], mask=None if call.mask is None else call.mask[:, ::-1])


def _with_default(s: Scenario, name: str) -> Scenario:
    """What else must change with an argument that has become its default."""
    if name == "reset_after" and "bias" in s.weights:
        bias = s.weights["bias"]
        return replace(s, weights={**s.weights, "bias": np.stack([bias, np.zeros_like(bias)])})
    if name == "return_sequences" and "output" in s.cotangents:
        return replace(s, cotangents={**s.cotangents, "output": s.cotangents["output"][:, -1]})
    if name == "return_state":
        return replace(s, cotangents={n: a for n, a in s.cotangents.items() if n == "output"})
    return s


def rounder_numbers(s: Scenario) -> Iterator[Scenario]:
    """An array whose numbers are zeros, one half, or have fewer digits."""
    for name, array in s.weights.items():
        for rounder in _rounder(array):
            yield replace(s, weights={**s.weights, name: rounder})
    for k, call in enumerate(s.calls):
        for inputs in _rounder(call.inputs):
            yield replace(s, calls=(*s.calls[:k], replace(call, inputs=inputs), *s.calls[k + 1 :]))
        if call.initial_state is not None:
            for state in _rounder(call.initial_state):
                yield replace(s, calls=(*s.calls[:k], replace(call, initial_state=state), *s.calls[k + 1 :]))


def _rounder(array: np.ndarray) -> Iterator[np.ndarray]:
    if not np.isfinite(array).all():
        return
    exact = array.astype(np.float64)
    proposals = [0 * exact, 0 * exact + 0.5, np.round(exact * 2) / 2, np.round(exact * 8) / 8]
    cost = _digits(exact)
    for proposal in proposals:
        if _digits(proposal) < cost:
            yield (proposal + 0.0).astype(array.dtype)  # without negative zeros


def _digits(array: np.ndarray) -> int:
    """How much there is to read: different numbers, and the digits of each."""
    return sum(len(f"{abs(value):g}") for value in np.unique(array)) + int(np.any(array != 0))


PASSES: tuple[Pass, ...] = (
    fewer_calls,
    fewer_samples,
    fewer_steps,
    simpler_arguments,
    fewer_units,
    fewer_features,
    rounder_numbers,
)
