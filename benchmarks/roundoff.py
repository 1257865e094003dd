"""How far correct implementations are from the golden values: the kit of ``conformance/tests/correct`` against S (PREC-2).

    python benchmarks/roundoff.py [--every N] [--large] [--computed] [--errors FILE]

Prints, for each member and dtype, the largest z and where it occurs, the mean signed z times the root of the number of elements (an
unbiased error gives about its rms) and the root mean square of z. ``--every 10`` takes each tenth problem; ``--large`` draws layers of up
to 2048 units instead of reading golden cases; ``--computed`` computes S again instead of reading it; ``--errors`` keeps the errors in a
file, so that the kit need not run again when only the model of S has changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rnn_conformance.judging.verdict import measure, smallest_normal
from rnn_fixtures import draw
from rnn_fixtures.case import Ref
from rnn_fixtures.domain import Size
from rnn_fixtures.lint import stored_problem
from rnn_fixtures.oracle import estimate, sensitivities
from rnn_fixtures.precision import UNIT
from rnn_fixtures.problem import Problem
from rnn_fixtures.store import Expected, Store
from rnn_reference.config import LayerConfig
from rnn_reference.shapes import state_names

sys.path.insert(0, str(Path(__file__).parent.parent / "conformance" / "tests"))
from correct import KIT

LARGE = (65, 257, 1024, 2048)


@dataclass(frozen=True)
class Item:
    """A problem with its golden values and sensitivities, by name of the result."""

    name: str
    problem: Problem
    dtypes: tuple[str, ...]
    values: dict[str, np.ndarray] = field(default_factory=dict)
    sensitivities: dict[str, np.ndarray] = field(default_factory=dict)

    def flat(self, arrays: dict[str, Any]) -> np.ndarray:
        """The named results that have golden values, as one vector."""
        return np.concatenate([np.asarray(arrays[n], np.float64).ravel() for n in sorted(self.values)])


def stored_items(store: Store) -> Iterator[Item]:
    """One item for each trajectory among the cases of ``forward`` and ``precision``."""
    found: dict[int, Item] = {}
    for case in store.cases():
        if case.family not in ("forward", "precision") or case.argument("quantity") == "gradients":
            continue
        problem = stored_problem(case, store)
        item = found.setdefault(problem.seed, Item(case.id, problem, case.dtypes))
        expected = case.calls[0].expected
        names = {"outputs": Ref(expected["output"].tensor)}
        names |= {n: expected[n] for n in state_names(case.layer) if n in expected}
        for name, ref in names.items():
            golden = store.expected(ref)
            if golden.value.ndim == 3 or name != "outputs":  # else only the last output is there
                item.values[name], item.sensitivities[name] = golden.value, golden.sensitivity
        found[problem.seed] = replace(item, dtypes=tuple(dict.fromkeys((*item.dtypes, *case.dtypes))))
    yield from found.values()


def large_items() -> Iterator[Item]:
    """Layers as wide as users' own, from the same distribution of numbers."""
    for units in LARGE:
        for layer, reset_after in (("LSTM", False), ("GRU", True), ("GRU", False)):
            size = Size(2, 3, 64, units)
            problem = Problem(
                config=LayerConfig(layer, reset_after=reset_after),
                weights=draw.weights(layer, size, use_bias=True, reset_after=reset_after, attempt=0),
                inputs=draw.inputs(size, 0),
                initial_state=draw.initial_state(layer, size, 0),
                mask=None,
            )
            arrays, _ = estimate(problem)
            name = f"{layer} U={units}" + (" reset_after" if reset_after else "")
            values = {n: value for n, (value, *_) in arrays.items()}
            s = {n: free for n, (_, free, _) in arrays.items()}
            yield Item(name, problem, ("float32", "float16", "bfloat16"), values, s)


def run_kit(items: list[Item]) -> dict[str, np.ndarray]:
    """Signed errors of every member and dtype over all elements of all items; NaN where an item lacks the dtype.

    An error is infinite where only one of the two numbers is finite, or they are different infinities.
    """
    lengths = np.cumsum([0, *(item.flat(item.values).size for item in items)])
    errors = {}
    for name, member in KIT.items():
        for dtype in member.dtypes:
            found = np.full(lengths[-1], np.nan)
            for item, start, end in zip(items, lengths, lengths[1:], strict=False):
                if dtype in item.dtypes:
                    actual, golden = item.flat(member.run(item.problem, dtype)), item.flat(item.values)
                    with np.errstate(invalid="ignore"):
                        error = actual - golden
                    same = (actual == golden) | (np.isnan(actual) & np.isnan(golden))
                    found[start:end] = np.where(same, 0, np.where(np.isnan(error), np.inf, error))
            errors[f"{name} {dtype}"] = found
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return errors


def table(items: list[Item], errors: dict[str, np.ndarray], s: np.ndarray) -> Iterator[str]:
    """A line for each member and dtype."""
    ends = np.cumsum([item.flat(item.values).size for item in items])
    width = max(map(len, KIT))
    yield f"{'member':<{width}} {'dtype':<10}{'max z':>9}{'above 4':>9}{'bias':>8}{'rms z':>8}  worst"
    for key, error in errors.items():
        name, dtype = key.split(" ")
        here = ~np.isnan(error)
        if not here.any():
            continue
        z = measure(error[here], Expected(np.zeros(here.sum()), s[here], s[here]), dtype)
        allowed = UNIT[dtype] * s[here] + smallest_normal(dtype)
        signed = np.where(np.isfinite(error[here]) & (s[here] > 0), error[here] / allowed, 0.0)
        worst = np.flatnonzero(here)[np.argmax(z)]
        bias = np.mean(signed) * np.sqrt(signed.size)
        rms = np.sqrt(np.mean(signed**2))
        cases = np.unique(np.searchsorted(ends, np.flatnonzero(here)[z > 4], side="right")).size
        where = items[int(np.searchsorted(ends, worst, side="right"))].name
        yield f"{name:<{width}} {dtype:<10}{z.max():>9.3g}{cases:>9}{bias:>8.2f}{rms:>8.3f}  {where}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--computed", action="store_true")
    parser.add_argument("--errors", type=Path)
    options = parser.parse_args()
    items = list(large_items() if options.large else stored_items(Store()))[:: options.every]
    if options.errors and options.errors.exists():
        with np.load(options.errors) as kept:
            errors = dict(kept)
    else:
        errors = run_kit(items)
        if options.errors:
            np.savez(options.errors, allow_pickle=False, **errors)
    found = [sensitivities(i.problem).free if options.computed else i.sensitivities for i in items]
    s = np.concatenate([item.flat(dict(arrays)) for item, arrays in zip(items, found, strict=True)])
    for line in table(items, errors, s):
        print(line)


if __name__ == "__main__":
    main()
