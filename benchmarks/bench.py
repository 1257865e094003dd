"""The suite's own speed, as ratios within one run: times drift with the machine, ratios do not.

    python benchmarks/bench.py [--adapter NAME]

Prints medians of several repetitions and their ratio to the line they are measured against.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import rnn_reference
from rnn_conformance import worker
from rnn_conformance.bench import build_key
from rnn_conformance.registry import resolve
from rnn_fixtures import balls
from rnn_fixtures.domain import domain
from rnn_fixtures.locations import DATA
from rnn_fixtures.problem import draw_problem
from rnn_fixtures.store import Store
from rnn_reference.noisy import NoiseSource


def median(action: Callable[[], object], repetitions: int = 5) -> float:
    """Median seconds, after one call that is not counted."""
    action()
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def show(title: str, lines: dict[str, float]) -> None:
    """Milliseconds, and the ratio to the first line."""
    first = next(iter(lines.values()))
    print(title)
    for name, seconds in lines.items():
        print(f"  {name:<44}{seconds * 1e3:10.2f} ms {seconds / first:10.1f} x")


def arithmetics() -> None:
    """One LSTM of B3 T5 F2 U4 over each arithmetic."""
    row = {a.name: a.default for a in domain().family("forward", "LSTM")}
    problem = draw_problem(domain(), "LSTM", row, 0)

    def over_balls() -> tuple[np.ndarray, ...]:
        return (problem.run(balls.lift, balls.lift)["outputs"],)

    def noisy() -> object:
        return problem.run(NoiseSource(1, strict=False).lift, lambda w: w.astype(np.float64))

    layer = rnn_reference.LSTM(domain().sizes["base"].U, return_sequences=True)
    layer.set_weights([w.astype(np.float64) for w in problem.weights.values()])
    inputs = problem.inputs.astype(np.float64)
    ones = [np.ones_like(layer(inputs))]

    show(
        "the reference over each arithmetic",
        {
            "float64": median(problem.run_float),
            "float64, with gradients by the tape": median(lambda: layer.gradients(inputs, ones)),
            "noisy arrays, 64 deviations": median(noisy),
            "balls, proved to round correctly": median(lambda: balls.certified(over_balls)),
        },
    )


def sharing_builds(adapter: str) -> None:
    """Cases grouped so that one build serves many, against a build for each case."""
    ref = resolve(adapter)
    cases = [c for c in Store().cases() if "lstm/forward/mask" in c.id and c.argument("size") == "base"]
    cases = [c for c in cases if c.argument("activation") == "tanh" and not c.argument("time_major")]
    cases = sorted((c for c in cases if not c.argument("unroll")), key=lambda c: str(build_key(c)))
    alternating = [c for k in range(16) for c in cases[k::16]]

    def run(order: list[worker.Case]) -> object:
        return worker.run_batch(ref, "float32", "cpu", order, DATA)

    show(
        f"{len(cases)} cases on {adapter}",
        {
            "builds shared": median(lambda: run(cases), 3),
            "a build for each case": median(lambda: run(alternating), 3),
        },
    )


def start_up() -> None:
    """The command line's start against Python's own."""

    def command(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    show(
        "start-up",
        {
            "python -c pass": median(command("-c", "pass")),
            "rnn-conformance --help": median(command("-m", "rnn_conformance", "--help")),
            "rnn-conformance cases --tier smoke": median(
                command("-m", "rnn_conformance", "cases", "--tier", "smoke")
            ),
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", default="numpy")
    chosen = parser.parse_args()
    arithmetics()
    sharing_builds(chosen.adapter)
    start_up()
