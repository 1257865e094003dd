"""Searching beyond the enumerated domain: sizes, mixed activations, masks, sequences of calls, states and extreme numbers made up by hypothesis.

The oracle is the reference in extended precision, with sensitivities computed for every scenario. What is found is made small, compared with
certified values where python-flint is installed, and written down as a case and a script.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings, target
from hypothesis import strategies as st
from rnn_fixtures import golden
from rnn_fixtures.case import Case
from rnn_fixtures.domain import Row, domain
from rnn_fixtures.oracle import Computation, estimate
from rnn_fixtures.scenario import NoOracle, Numbers, Scenario
from rnn_fixtures.store import Memory
from rnn_reference.shapes import state_names, weight_shapes

from rnn_conformance.explaining.diagnosis import Diagnosis
from rnn_conformance.explaining.explain import explained
from rnn_conformance.explaining.repro import script_of
from rnn_conformance.explaining.shrink import needed, shrink
from rnn_conformance.judging import differences
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.verdict import FAILURES, FAULTY
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.worker import adapter, run_case

# Elements of the output times units: keeps one scenario to some hundredths of a second.
LARGEST = 40_000
FLAGS = ("return_sequences", "return_state", "go_backwards", "time_major", "unroll", "zero_output_for_mask")
MASKS = ("none", "none", "random", "sparse", "right", "left", "all", "one empty row")
# Trials of the shrinking of one discrepancy.
BUDGET = 150
# A search ends after so many findings: more would repeat themselves.
MOST = 20


@dataclass
class Found:
    """A new discrepancy.

    Attributes
    ----------
    needed : list of str
        What it takes beyond default arguments.
    script : str
        Shows it, without this package where the adapter has a template for it; empty where the process ended.
    """

    scenario: Scenario
    record: Record
    needed: list[str]
    script: str
    certified: bool

    @property
    def signature(self) -> tuple[str, ...]:
        """Discrepancies with equal signatures are taken for one."""
        explained = self.record.agrees_with[:1]
        return (self.record.verdict, *(explained or sorted(term.partition("=")[0] for term in self.needed)))


@dataclass
class Tally:
    """What a search has done.

    Attributes
    ----------
    largest_z : float
        Over everything that passed.
    elements : int
        How many numbers were compared.
    """

    scenarios: int = 0
    unsupported: int = 0
    without_oracle: int = 0
    known: int = 0
    repeated: int = 0
    elements: int = 0
    largest_z: float = 0.0
    found: list[Found] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take over another search's counts and findings."""
        for name in ("scenarios", "unsupported", "without_oracle", "known", "repeated", "elements"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest_z = max(self.largest_z, other.largest_z)
        self.found += other.found


class _TimeIsUp(BaseException):
    """Leaves hypothesis, which would take an ordinary exception for a failure to shrink."""


class _Discrepancy(BaseException):
    def __init__(self, scenario: Scenario, record: Record) -> None:
        super().__init__()
        self.scenario, self.record = scenario, record


def _numbers(rng: np.random.Generator, shape: tuple[int, ...], exponent: int, zeros: bool) -> np.ndarray:
    """Numbers that every dtype holds exactly: k / 2**exponent with |k| <= 127 (PREC-4)."""
    drawn = rng.integers(-127, 128, shape) / 2.0**exponent
    return np.where(rng.random(shape) < 0.5, drawn, 0.0) if zeros else drawn


def _mask(rng: np.random.Generator, kind: str, batch: int, length: int) -> np.ndarray | None:
    shape = (batch, length)
    lengths = rng.integers(1, length + 1, (batch, 1))
    steps = np.arange(length)
    made = {
        "random": rng.random(shape) < 0.6,
        "sparse": rng.random(shape) < 0.2,
        "right": steps < lengths,
        "left": steps >= length - lengths,
        "all": np.ones(shape, bool),
        "one empty row": (rng.random(shape) < 0.7) & (np.arange(batch) > 0)[:, None],
    }
    return made.get(kind)


@st.composite
def scenarios(draw: Callable[[Any], Any]) -> Scenario:
    """Any scenario that the specification gives a meaning and that is small enough."""
    layer = draw(st.sampled_from(["LSTM", "GRU"]))
    arguments: Row = {name: draw(st.booleans()) for name in FLAGS}
    arguments["stateful"] = draw(st.integers(0, 5)) == 5
    if layer == "GRU":
        arguments["reset_after"] = draw(st.integers(0, 3)) > 0
    for name in ("activation", "recurrent_activation"):
        argument = domain().arguments[name]
        others = st.sampled_from(argument.levels)
        arguments[name] = draw(others) if draw(st.booleans()) else argument.default
    batch = draw(st.integers(1, 5) | st.sampled_from([16, 33]))
    units = draw(st.integers(1, 9) | st.sampled_from([16, 17, 33, 64]))
    features = draw(st.integers(1, 6) | st.sampled_from([31, 32]))
    length = draw(st.integers(1, 8) | st.sampled_from([25, 60]))
    while batch * length * units * units > LARGEST:
        batch, length, units = max(1, batch // 2), max(1, length * 2 // 3), max(1, units * 2 // 3)
    rng = np.random.Generator(np.random.PCG64(draw(st.integers(0, 2**32 - 1))))
    exponent = st.sampled_from([7, 7, 8, 9, 6, 5, 4, 12])
    zeros = draw(st.booleans())
    shapes = weight_shapes(
        layer,
        features,
        units,
        use_bias=draw(st.booleans()),
        reset_after=bool(arguments.get("reset_after", False)),
    )
    weights = {}
    for name, shape in shapes.items():
        wide = int(np.log2(shape[0]) / 2) if len(shape) == 2 and name != "bias" else 0
        weights[name] = _numbers(rng, shape, draw(exponent) + wide, zeros)
    kind = draw(st.sampled_from(MASKS))
    count = draw(st.integers(1, 3)) if arguments["stateful"] else 1
    calls = []
    for k in range(count):
        steps = length if k == 0 else draw(st.integers(1, length))
        given = draw(st.integers(0, 2)) == 0
        calls.append(
            Numbers(
                inputs=_numbers(rng, (batch, steps, features), draw(exponent), zeros and draw(st.booleans())),
                mask=_mask(rng, kind, batch, steps),
                initial_state=(
                    _numbers(rng, (len(state_names(layer)), batch, units), draw(exponent), zeros)
                    if given
                    else None
                ),
                reset=k > 0 and draw(st.integers(0, 3)) == 0,
            )
        )
    cotangents: dict[str, np.ndarray] = {}
    if count == 1 and not arguments["stateful"] and draw(st.integers(0, 7)) == 7:
        shape = (batch, length, units) if arguments["return_sequences"] else (batch, units)
        cotangents["output"] = _numbers(rng, shape, 7, zeros=False)
        if arguments["return_state"]:
            cotangents |= {n: _numbers(rng, (batch, units), 7, zeros=False) for n in state_names(layer)}
    return Scenario(layer, arguments, weights, tuple(calls), cotangents, about="fuzz")


class Search:
    """One adapter in one dtype."""

    def __init__(self, ref: AdapterRef, dtype: str, device: str) -> None:
        self._ref, self._dtype, self._device = ref, dtype, device
        self._adapter = adapter(ref)
        self._declared = differences.load(ref.folder, ref.name, self._adapter.describe(), device)

    def _run(self, scenario: Scenario, *, diagnose: bool) -> tuple[Record, Case, Memory]:
        case, memory = scenario.to_case(dtypes=(self._dtype,))
        if self._dtype not in case.dtypes:
            raise NoOracle(f"a discontinuity is too near for {self._dtype}")
        bench = Bench(self._adapter, memory, self._dtype, self._device)
        record = run_case(bench, case)
        if diagnose:
            explained(record, case, Diagnosis(memory, self._dtype))
        differences.apply(record, case, self._dtype, self._declared)
        if record.verdict == "stale":  # what a declaration expects need not show in numbers as small as these
            record.verdict = "pass"
        return record, case, memory

    def run(self, number: int, seconds: float, skip: Sequence[tuple[str, ...]], most: int = MOST) -> Tally:
        """Search for some seconds, or until so many are found; ``number`` seeds hypothesis; ``skip`` are signatures of what is known already."""
        tally, deadline, seen = Tally(), time.monotonic() + seconds, set(skip)
        while time.monotonic() < deadline and len(tally.found) < most:
            number += 1
            try:
                self._explore(number, deadline, tally)
            except _TimeIsUp:
                break
            except _Discrepancy as discrepancy:
                found = self.settle(discrepancy.scenario, discrepancy.record)
                if found.signature in seen:
                    tally.repeated += 1
                else:
                    seen.add(found.signature)
                    tally.found.append(found)
        return tally

    def _explore(self, number: int, deadline: float, tally: Tally) -> None:
        @seed(number)
        @settings(
            max_examples=10**6,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.target),
            suppress_health_check=list(HealthCheck),
        )
        @given(scenarios())
        def explore(scenario: Scenario) -> None:
            if time.monotonic() > deadline:
                raise _TimeIsUp
            tally.scenarios += 1
            if not domain().is_valid(scenario.row):
                return
            try:
                record, *_ = self._run(scenario, diagnose=False)
            except NoOracle:
                tally.without_oracle += 1
                return
            tally.elements += record.elements
            if record.verdict == "unsupported":
                tally.unsupported += 1
            elif record.known:
                tally.known += 1
            elif record.verdict in FAULTY:
                raise _Discrepancy(scenario, record)
            elif record.z is not None:
                tally.largest_z = max(tally.largest_z, record.z)
                target(min(record.z, 100.0))

        explore()

    def settle(self, scenario: Scenario, record: Record) -> Found:
        """Make a discrepancy small, name it, write its script; what ends the process, or does not end, is written down as it is."""
        if record.verdict in FAILURES:
            script = script_of(self._ref, scenario, self._dtype, self._device, record, [])
            return Found(scenario, record, [record.verdict], script, False)

        def fails(candidate: Scenario) -> bool:
            try:
                again, *_ = self._run(candidate, diagnose=False)
            except NoOracle:
                return False
            return again.verdict == record.verdict and not again.known

        small = shrink(scenario, fails, BUDGET)
        final, *_ = self._run(small, diagnose=True)
        terms = needed(small, fails)
        script = script_of(self._ref, small, self._dtype, self._device, final, terms)
        return Found(small, final, terms, script, certified(small.computation()))


def certified(computation: Computation) -> bool:
    """Whether the oracle's values are those of ball arithmetic; False where python-flint is not installed.

    Raises
    ------
    ArithmeticError
        When they are not: a fault of the reference.
    """
    try:
        proved = golden.compute(computation)
    except (ArithmeticError, ImportError):
        return False
    for name, (value, s, _) in estimate(computation)[0].items():
        exact = proved.arrays[name][0]
        if (np.abs(value - exact) > 2.0**-50 * np.maximum(s, np.abs(exact))).any():
            raise ArithmeticError(f"the oracle's {name} is not what ball arithmetic proves: report this")
    return True
