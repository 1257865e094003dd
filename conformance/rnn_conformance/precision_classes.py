"""Precision classes of an implementation, from all its results in one dtype: what no single case shows (PREC-8, PREC-9; SHOULD).

z sees what is wrong somewhere; the mean of the signed z sees what is biased everywhere, and its root mean square arithmetic that is shorter
than the dtype's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_fixtures.case import Case

# Student's t beyond which a mean is not zero: with FEWEST independent draws, a false alarm in less than one of 10**7 (PREC-9).
FAR = 6.0
FEWEST = 100
# A bias below this share of the roundoff expected is no class of its own.
SMALLEST = 0.05
# Root mean square of z of an implementation that computes in its dtype; PREC-8 says where it comes from.
RMS = 0.5
RETURNED = ("output", "h", "c")


@dataclass(frozen=True)
class Spread:
    """The signed z of one run, over independent draws of numbers.

    Attributes
    ----------
    draws : int
        How many draws of weights the results come from: cases that share weights have errors in common.
    rms, bias, outwards : float
        Root mean square of z, mean of the signed z, and mean of z away from zero; over all elements that may differ.
    t_bias, t_outwards : float
        The last two over their standard error from draw to draw.
    """

    draws: int
    elements: int
    rms: float
    bias: float
    outwards: float
    t_bias: float
    t_outwards: float

    @property
    def classes(self) -> list[str]:
        """Names of the classes that the run falls into, with what shows it."""
        found = []
        if self.rms > RMS:
            found.append(f"short arithmetic: the root mean square of z is {self.rms:.2f} (PREC-8)")
        if self.draws >= FEWEST and abs(self.t_outwards) > FAR and abs(self.outwards) > SMALLEST:
            way = "away from zero" if self.outwards > 0 else "towards zero"
            found.append(f"directed rounding {way}: z has a mean of {self.outwards:+.2f} (PREC-9)")
        if self.draws >= FEWEST and abs(self.t_bias) > FAR and abs(self.bias) > SMALLEST:
            found.append(f"biased function: the signed z has a mean of {self.bias:+.2f} (PREC-9)")
        return found


def spread(records: Iterable[Mapping[str, Any]], cases: Mapping[str, Case]) -> Spread | None:
    """The spread of the results of one adapter, device and dtype; None without numbers.

    Parameters
    ----------
    records : iterable of mapping
        Records that passed, as `Record.to_json` gives them; the family ``precision`` is left out, as its numbers are extreme on purpose.
    """
    draws: dict[str, list[np.ndarray]] = {}
    for record in records:
        case = cases.get(record["case"])
        if case is None or record["verdict"] != "pass" or case.family not in ("forward", "stateful"):
            continue
        sums = [s for name, s in record["spread"].items() if name.split()[-1] in RETURNED]
        if sums:
            draws.setdefault(case.weights["kernel"].tensor, []).append(np.array(sums, np.float64).sum(axis=0))
    totals = [np.sum(own, axis=0) for own in draws.values()]
    counted = np.array([t for t in totals if t[0] > 0]).reshape(-1, 4)
    if not len(counted):
        return None
    count, bias, outwards, squares = counted.sum(axis=0)
    return Spread(
        len(counted),
        int(count),
        math.sqrt(squares / count),
        bias / count,
        outwards / count,
        _t(counted[:, 1] / counted[:, 0]),
        _t(counted[:, 2] / counted[:, 0]),
    )


def _t(means: np.ndarray) -> float:
    if len(means) < 2 or not means.std(ddof=1) > 0:
        return 0.0
    return float(means.mean() / (means.std(ddof=1) / math.sqrt(len(means))))
