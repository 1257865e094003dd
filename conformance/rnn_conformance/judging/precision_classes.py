"""Precision classes of an implementation, from all its results in one dtype: what no single case shows (PREC-8, PREC-9; SHOULD).

z sees what is wrong somewhere; the mean of the signed z sees what is biased everywhere, and its root mean square arithmetic that is shorter
than the dtype's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_fixtures.case import Case

# Means over so many draws of weights tell something; what they may be, and what the root mean square may be, PREC-8 and PREC-9 say.
FEWEST = 20
MEAN = 0.07
RMS = 0.38
RETURNED = ("output", "h", "c")
FAMILIES = ("forward", "stateful")


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


# The records of which `sums` gives something, as a condition in SQL, and little else.
COUNTED = f"verdict = 'pass' AND family IN {FAMILIES} AND cases.id NOT LIKE '%activation=%'"


def sums(record: Mapping[str, Any]) -> list[float] | None:
    """Of what a layer returned: how many elements may differ, and the sums of their signed z, of z away from zero, and of its squares.

    None for a record, as `Record.to_json` gives it, that is certainly not counted.
    """
    if record["verdict"] != "pass" or record["family"] not in FAMILIES:
        return None
    if "activation=" in record["case"]:
        return None
    found = [s for name, s in record["spread"].items() if name.split()[-1] in RETURNED]
    return [sum(map(float, column)) for column in zip(*found, strict=True)] if found else None


def is_counted(case: Case) -> bool:
    """Calls of layers with tanh and sigmoid: what is biased in one function would drown among the others."""
    default = (case.argument("activation"), case.argument("recurrent_activation")) == ("tanh", "sigmoid")
    return default and case.family in FAMILIES


def spread(found: Iterable[tuple[str, Sequence[float]]], cases: Mapping[str, Case]) -> Spread | None:
    """The spread of the results of one adapter, device and dtype; None without numbers.

    Parameters
    ----------
    found : iterable of (str, sequence)
        Case id, and the `sums` of its result.
    """
    draws: dict[str, list[np.ndarray]] = {}
    for name, own in found:
        case = cases.get(name)
        if case is not None and is_counted(case):
            draws.setdefault(case.weights["kernel"].tensor, []).append(np.array(own, np.float64))
    totals = [np.sum(own, axis=0) for own in draws.values()]
    counted = np.array([t for t in totals if t[0] > 0]).reshape(-1, 4)
    if not len(counted):
        return None
    count, _, _, squares = counted.sum(axis=0)
    means = counted[:, 1:3] / counted[:, :1]
    bias, outwards = (float(m) for m in means.mean(axis=0))
    return Spread(len(counted), int(count), math.sqrt(squares / count), bias, outwards)
