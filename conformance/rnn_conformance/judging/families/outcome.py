"""What a procedure gives back."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from rnn_conformance.contract.adapter import Model
from rnn_conformance.errors import AdapterFault, Refusal
from rnn_conformance.judging.verdict import Verdict


@dataclass(frozen=True)
class Outcome:
    """A verdict, with what shows whether the result can be repeated.

    Attributes
    ----------
    arrays : sequence of arrays
        What the framework returned: compared with those of a second run when the verdict is ``value``.
    """

    verdict: Verdict
    mode: str | None = None
    path: str | None = None
    arrays: Sequence[np.ndarray] = field(default=(), repr=False)

    @classmethod
    def of(cls, verdict: Verdict, model: Model, arrays: Sequence[np.ndarray] = ()) -> Outcome:
        """With the mode and path that a model tells."""
        return cls(verdict, model.mode, model.path, arrays)


def checked(outputs: object) -> list[np.ndarray]:
    """The arrays that a model returned.

    Raises
    ------
    AdapterFault
        When they are no list of NumPy arrays.
    """
    if not isinstance(outputs, (list, tuple)) or not all(isinstance(a, np.ndarray) for a in outputs):
        raise AdapterFault(f"the adapter returned {type(outputs).__name__}, not a list of NumPy arrays")
    return list(outputs)


def describe_error(error: BaseException) -> str:
    """Type, message and place of an error, on one line."""
    if isinstance(error, Refusal):  # of another process, which has said where
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(click.unstyle(str(error)).split())  # TensorFlow colours its messages
    return f"{type(error).__name__}: {text[:400]} ({Path(last.filename).name}:{last.lineno})"
