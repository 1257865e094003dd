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

# Means over so many draws of weights tell something; what they may be, and what the root mean square may be, PREC-8 and PREC-9 say.
FEWEST = 20
MEAN = 0.07
RMS = 0.38
RETURNED = ("output", "h", "c")


@dataclass(frozen=True)
class Spread:
    """The signed z of one run, over independent draws of numbers.

    Attributes
    ----------
    draws : int
        How many draws of weights the results come from: cases that share weights have errors in common.
    rms, bias, outwards : float
        Root mean square of z over all elements that may differ; mean of the signed z, and of z away from zero, over the draws' means.
    """

    draws: int
    elements: int
    rms: float
    bias: float
    outwards: float

    @property
    def classes(self) -> list[str]:
        """Names of the classes that the run falls into, with what shows it."""
        found = []
        if self.rms > RMS:
            found.append(f"short arithmetic: the root mean square of z is {self.rms:.2f} (PREC-8)")
        if self.draws >= FEWEST and abs(self.outwards) > MEAN:
            way = "away from zero" if self.outwards > 0 else "towards zero"
            found.append(f"directed rounding {way}: z has a mean of {self.outwards:+.2f} (PREC-9)")
        if self.draws >= FEWEST and abs(self.bias) > MEAN:
            found.append(f"biased function: the signed z has a mean of {self.bias:+.2f} (PREC-9)")
        return found


# The records that `spread` looks at, as a condition in SQL: all that is counted, and little else.
COUNTED = "verdict = 'pass' AND family IN ('forward', 'stateful') AND cases.id NOT LIKE '%activation=%'"


def is_counted(case: Case) -> bool:
    """Calls of layers with tanh and sigmoid: what is biased in one function would drown among the others."""
    default = (case.argument("activation"), case.argument("recurrent_activation")) == ("tanh", "sigmoid")
    return default and case.family in ("forward", "stateful")


def spread(records: Iterable[Mapping[str, Any]], cases: Mapping[str, Case]) -> Spread | None:
    """The spread of the results of one adapter, device and dtype; None without numbers.

    Parameters
    ----------
    records : iterable of mapping
        As `Record.to_json` gives them; those that passed and are counted are looked at.
    """
    draws: dict[str, list[np.ndarray]] = {}
    for record in records:
        case = cases.get(record["case"])
        if case is None or record["verdict"] != "pass" or not is_counted(case):
            continue
        sums = [s for name, s in record["spread"].items() if name.split()[-1] in RETURNED]
        if sums:
            draws.setdefault(case.weights["kernel"].tensor, []).append(np.array(sums, np.float64).sum(axis=0))
    totals = [np.sum(own, axis=0) for own in draws.values()]
    counted = np.array([t for t in totals if t[0] > 0]).reshape(-1, 4)
    if not len(counted):
        return None
    count, _, _, squares = counted.sum(axis=0)
    means = counted[:, 1:3] / counted[:, :1]
    bias, outwards = (float(m) for m in means.mean(axis=0))
    return Spread(len(counted), int(count), math.sqrt(squares / count), bias, outwards)
