"""The suite's own speed, as ratios within one run: times drift with the machine, ratios do not.

    OPENBLAS_NUM_THREADS=1 python benchmarks/bench.py [NAME ...] [--adapter NAME]

Prints medians of several repetitions and their ratio to the line they are measured against. Names choose among the benchmarks; README.md has the last
results of all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import reporting
import rnn_reference
from measured import peak
from rnn_conformance.errors import AdapterUnavailable
from rnn_conformance.judging.bench import build_key
from rnn_conformance.results.database import Results
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import new_run
from rnn_conformance.running import worker
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.registry import installed, resolve
from rnn_conformance.running.tasks import StoredTask, Task, batches
from rnn_fixtures import balls
from rnn_fixtures.domain import domain
from rnn_fixtures.full import computing, index
from rnn_fixtures.full.parts import Part, parts
from rnn_fixtures.locations import DATA
from rnn_fixtures.problem import draw_problem
from rnn_fixtures.store import Store
from rnn_reference import layouts
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


def medians(actions: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each action, taken in turn: what slows the machine meanwhile slows all of them."""
    rounds = [{name: median(action, 1) for name, action in actions.items()} for _ in range(repetitions)]
    return {name: statistics.median(times[name] for times in rounds) for name in actions}


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


def float_layers(length: int = 100, batch: int = 32, features: int = 64, units: int = 128) -> None:
    """A layer in float32 against its matrix products, which nothing in NumPy can do without, ONNX's reference evaluator and Keras on NumPy."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((batch, length, features)).astype(np.float32)
    h = rng.standard_normal((batch, units)).astype(np.float32)

    def products(kernel: np.ndarray, recurrent_kernel: np.ndarray) -> None:
        inputs @ kernel
        for _ in range(length):
            h @ recurrent_kernel

    for kind in (rnn_reference.LSTM, rnn_reference.GRU):
        layer = kind(units, return_sequences=True, input_shape=inputs.shape[1:])
        shapes = layer.weight_shapes
        weights = {k: (rng.standard_normal(s) / 10).astype(np.float32) for k, s in shapes.items()}
        layer.set_weights(list(weights.values()))
        actions: dict[str, Callable[[], object]] = {
            "matrix products alone": partial(products, weights["kernel"], weights["recurrent_kernel"]),
            "the reference": partial(layer, inputs),
        }
        evaluate = onnx_evaluator(layer.layer, weights)
        if evaluate is None:
            print("onnx is not installed: its reference evaluator is left out")
        else:
            time_major = np.ascontiguousarray(inputs.swapaxes(0, 1))
            difference = evaluate(time_major)[:, 0].swapaxes(0, 1) - layer(inputs)
            assert np.max(np.abs(difference)) < 1e-5
            actions["onnx.reference.ReferenceEvaluator"] = partial(evaluate, time_major)
        theirs = keras_on_numpy(layer.layer, weights)
        if theirs is None:
            print("Keras is not installed: its NumPy backend is left out")
        else:
            assert np.max(np.abs(theirs(inputs) - layer(inputs))) < 1e-5
            actions["Keras, NumPy backend"] = partial(theirs, inputs)
        show(
            f"{layer.layer} of B{batch} T{length} F{features} U{units}, float32",
            medians(actions, 25),
        )


def onnx_evaluator(kind: str, weights: dict[str, np.ndarray]) -> Callable[[np.ndarray], np.ndarray] | None:
    """The same layer by ONNX's reference evaluator, from an input [T, B, F] to [T, 1, B, U]; None without onnx."""
    try:
        from onnx import TensorProto, helper, numpy_helper
        from onnx.reference import ReferenceEvaluator
    except ModuleNotFoundError:
        return None
    tensors = {k: np.ascontiguousarray(t) for k, t in layouts.to_onnx(kind, weights).items()}
    attributes = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(
        kind, ["X", *tensors], ["Y"], hidden_size=weights["recurrent_kernel"].shape[0], **attributes
    )
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "XY")
    initializers = [numpy_helper.from_array(t, name) for name, t in tensors.items()]
    graph = helper.make_graph([node], "layer", [x], [y], initializers)
    evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)]))
    return lambda inputs: evaluator.run(None, {"X": inputs})[0]


def keras_on_numpy(kind: str, weights: dict[str, np.ndarray]) -> Callable[[np.ndarray], np.ndarray] | None:
    """The same layer by Keras's NumPy backend; None without Keras."""
    os.environ["KERAS_BACKEND"] = "numpy"
    try:
        import keras
    except ModuleNotFoundError:
        return None
    layer = getattr(keras.layers, kind)(weights["recurrent_kernel"].shape[0], return_sequences=True)
    layer.build((None, None, weights["kernel"].shape[0]))
    layer.set_weights(list(weights.values()))
    return lambda inputs: np.asarray(layer(inputs))


def sharing_builds(adapter: str) -> None:
    """Cases grouped so that one build serves many, against a build for each case."""
    ref = resolve(adapter)
    cases = [c for c in Store().cases() if "lstm/forward/mask" in c.id and c.argument("size") == "base"]
    cases = [c for c in cases if c.argument("activation") == "tanh" and not c.argument("time_major")]
    cases = sorted((c for c in cases if not c.argument("unroll")), key=lambda c: str(build_key(c)))
    alternating = [c for k in range(16) for c in cases[k::16]]

    def run(order: list[worker.Case]) -> object:
        return worker.run_batch(ref, "float32", "cpu", StoredTask(order, DATA))

    show(
        f"{len(cases)} cases on {adapter}",
        {
            "builds shared": median(lambda: run(cases), 3),
            "a build for each case": median(lambda: run(alternating), 3),
        },
    )


def overhead(adapter: str | None, count: int = 600) -> None:
    """What running and judging cost beside the framework's own time, in cases that the adapter runs: of one adapter, or of all that can run here."""
    core = [
        c
        for c in Store().cases()
        if c.family in ("forward", "stateful", "training") and "float32" in c.dtypes
    ]
    cases = [
        c
        for c in core
        if c.argument("activation") == "tanh" and c.argument("recurrent_activation") == "sigmoid"
    ]
    chosen = [c for batch in batches(cases[:: max(1, len(cases) // count)]) for c in batch]
    for ref in [resolve(adapter)] if adapter else installed().values():
        with suppress(AdapterUnavailable):
            _overhead(ref, chosen)


def _overhead(ref: AdapterRef, cases: list[worker.Case]) -> None:
    worker.adapter(ref)
    for when in ("", ", again: without what a framework does once"):
        left: Task | None = StoredTask(cases, DATA)
        ran = 0
        spent: Counter[str] = Counter()
        while left is not None:
            batch = worker.run_batch(ref, "float32", "cpu", left)
            left = batch.rest
            ran += sum(record.verdict != "unsupported" for record in batch.records)
            spent.update(batch.spent)
        own = spent["messages"] + spent["judging"]
        lines = {"the framework, a case": spent["framework"] / max(ran, 1), "the suite": own / max(ran, 1)}
        show(f"{ran} cases on {ref.name}, {len(cases) - ran} more that it cannot express{when}", lines)


def results(count: int = 20_000) -> None:
    """Writing and reading records, and what they take on disk."""
    case = next(c for c in Store().cases() if c.id == "lstm/forward/defaults")
    where = {"output": "output", "index": [1, 2]}
    numbers = {"z": 0.5, "z_strict": 0.6, "max_abs_error": 1e-8, "where": where, "elements": 36}
    spread = {name: [12.0, 1.5, -0.25, 3.0] for name in ("output", "h", "c")}
    records = [
        Record(f"{case.id},{k}", case.family, case.clauses, "pass", "native", spread=spread, **numbers)
        for k in range(count)
    ]
    fields = dict.fromkeys(
        "fixtures tier selection shard adapter framework version device dtype".split(), "x"
    )
    with tempfile.TemporaryDirectory() as folder, Results(Path(folder), create=True) as database:
        sizes = []
        for _ in range(2):
            run = new_run(**fields, selected=count, environment={})
            database.start(run)
            started = time.perf_counter()
            for k in range(0, count, 48):
                database.add(run, records[k : k + 48])
            written = time.perf_counter() - started
            sizes.append(sum(path.stat().st_size for path in Path(folder).glob("*")))
        started = time.perf_counter()
        assert sum(1 for _ in database.records(run)) == count
        read = time.perf_counter() - started
    show("a record", {"written, 48 at a time": written / count, "read": read / count})
    print(f"  {(sizes[1] - sizes[0]) / count:.0f} bytes, {sizes[0] / count:.0f} with the facts of its case")


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


def _computed(part: Part) -> int:
    writer = computing.computed(domain(), part, index.read(DATA))
    return len(writer.golden)


def generation(count: int = 12) -> None:
    """Certified trajectories of the full tier a second, where the index says which draw serves, on two processes and on one."""
    every = [p for p in parts(domain()) if p.family == "forward" and dict(p.levels)["size"] == "small"]
    chosen = every[7 :: len(every) // count][:count]
    trajectories = sum(len(computing.trajectories(domain(), part)) for part in chosen)
    seconds = {}
    for processes in (2, 1):
        with ProcessPoolExecutor(processes) as executor:
            list(executor.map(_computed, chosen[:2]))  # started
            started = time.perf_counter()
            list(executor.map(_computed, chosen))
            seconds[processes] = time.perf_counter() - started
    lines = {f"{n} process(es)": taken / trajectories for n, taken in seconds.items()}
    show("a certified trajectory of B2 T4 F5 U3", lines)
    print(f"  {trajectories / seconds[2]:.0f} a second on two processes")


def growth(shards: tuple[int, ...] = (256, 3)) -> None:
    """What a hundred times as many cases take of time and of the parent's memory: an adapter that can express none, so that all is the suite's own."""
    target = f"{Path(__file__).resolve().with_name('nothing.py')}:Nothing"
    found = []
    for count in shards:
        with tempfile.TemporaryDirectory() as folder:
            options = ["--tier", "full", "--shard", f"1/{count}", "--out", folder, "--format", "json"]
            command = [sys.executable, "-m", "rnn_conformance", "run", "--adapter", target, *options]
            seconds, memory, said = peak(command)
            found.append((int(json.loads(said)["runs"][0]["selected"]), seconds, memory))
    print("growth with the number of cases, the parent's peak memory")
    for cases, seconds, memory in found:
        print(
            f"  {cases:>8,} cases {seconds:8.1f} s {memory:8.0f} MB {memory / found[0][2]:10.2f} x the memory of the first"
        )
    (few, first, _), (many, last, _) = found[0], found[-1]
    print(f"  {1e3 * (last - first) / (many - few):.2f} ms for each further case")


def workers(adapter: str) -> None:
    """The smoke tier with one process and with two."""

    def run(count: int) -> object:
        with tempfile.TemporaryDirectory() as folder:
            options = ["--tier", "smoke", "--workers", str(count), "--out", folder]
            command = [sys.executable, "-m", "rnn_conformance", "run", "--adapter", adapter, *options]
            return subprocess.run(command, check=False, capture_output=True)

    show(f"the smoke tier on {adapter}", {f"--workers {n}": median(partial(run, n), 3) for n in (2, 1)})


if __name__ == "__main__":
    every: dict[str, Callable[[str | None], None]] = {
        "arithmetics": lambda adapter: arithmetics(),
        "reference": lambda adapter: float_layers(),
        "builds": lambda adapter: sharing_builds(adapter or "numpy"),
        "overhead": overhead,
        "records": lambda adapter: results(),
        "start-up": lambda adapter: start_up(),
        "generation": lambda adapter: generation(),
        "growth": lambda adapter: growth(),
        "workers": lambda adapter: workers(adapter or "numpy"),
        "reporting": lambda adapter: reporting.main([]),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(every))
    parser.add_argument("--adapter", help="default: of overhead all that can run here, else numpy")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - every.keys():
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    for name in chosen.names or every:
        every[name](chosen.adapter)
