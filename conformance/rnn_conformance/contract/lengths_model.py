"""The smaller of two contracts for models: rows of lengths, from given states; the suite does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnn_conformance.contract.adapter import Unsupported

# What of a layer is shown: the suite sees to it.
VIEWS = ("return_sequences", "return_state")
# One array, or one for each direction of the last layer.
Outputs = np.ndarray | Sequence[np.ndarray]


@dataclass(frozen=True)
class Pulled:
    """What `LengthsModel.vjp` returns.

    Attributes
    ----------
    outputs, states
        As `LengthsModel.run` returns them.
    inputs : array
        Gradient with respect to the inputs, of their shape.
    initial_state : sequence of arrays [B, U]
        Those with respect to the given states; empty when there were none.
    weights : mapping
        Those with respect to the weights, in ``Adapter.layout``.
    """

    outputs: np.ndarray
    states: Sequence[np.ndarray]
    inputs: np.ndarray
    initial_state: Sequence[np.ndarray]
    weights: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Lesson:
    """A batch to learn from (FIT-1, FIT-2).

    Attributes
    ----------
    inputs, lengths
        As for `LengthsModel.run`.
    targets : array [B, T, U], or [B, U] where ``last``
    places, shown : arrays [B, T], optional
        With lengths: the step whose output each step shows, and where there is one; elsewhere the output is 0.
    valid : bool array [B, T], optional
        The steps whose errors count; all, where it is not given.
    last : bool
        Whether the last step's output alone is compared.
    """

    inputs: np.ndarray
    lengths: np.ndarray | None
    targets: np.ndarray
    places: np.ndarray | None
    shown: np.ndarray | None
    valid: np.ndarray | None
    last: bool


class LengthsModel(ABC):
    """A layer that runs rows of given lengths from given states, and what else it can.

    What `Adapter.build` returns where ``Adapter.level`` is "lengths". The suite reverses, packs the valid steps of masked batches, puts outputs back
    in place, chooses what is returned, carries states from call to call, predicts in batches, pulls gradients back through all that, and converts
    weights; where it did so the result says ``composed``. All but the first two methods are asked for only where the capabilities name them.

    Attributes
    ----------
    mode : "native" or "composed"
        "composed" where the model itself takes array operations around the framework's layer.
    path : str or None
        Which kernel ran, where the framework tells.
    """

    mode: str = "native"
    path: str | None = None

    @abstractmethod
    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take weights in the layout that ``Adapter.layout`` names, in the model's dtype."""

    @abstractmethod
    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[Outputs, Sequence[np.ndarray]]:
        """Run the layer forward.

        Parameters
        ----------
        inputs : array [B, T, F]
            [T, B, F] where the capabilities name ``time_major`` and the spec asks for it.
        lengths : int64 array [B], optional
            How many steps of each row count; outputs beyond may be anything, unless the capabilities name ``padding``. Never given unless they name
            ``lengths``.
        states : list of arrays [B, U], optional
            LSTM h and c, GRU h, layer by layer and direction by direction (NET-4); zeros where none are given. Never given unless the
            capabilities name ``initial_state``.

        Returns
        -------
        outputs, states
            [B, T, U], time-major as the inputs, in the order of processing; of two directions either both, the second in the order of the input, or what
            the framework merged them to. The states after the last step of each row.
        """

    def vjp(
        self,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        states: Sequence[np.ndarray] | None,
        outputs: np.ndarray,
        finals: Sequence[np.ndarray],
    ) -> Pulled:
        """Gradients of the sum of cotangent times result, for cotangents of the ``outputs`` and of the ``finals`` of `run` (``gradients``)."""
        raise Unsupported("the adapter offers no gradients", "GRAD-1")

    def learn(self, lesson: Lesson, learning_rate: float) -> None:
        """One update by gradient descent on the mean squared error (``fit``)."""
        raise Unsupported("the adapter offers no training", "FIT-1")

    def weights(self) -> Mapping[str, np.ndarray]:
        """The layer's weights as they are now, in ``Adapter.layout`` (``initial_weights``, ``fit``, ``static_shapes``)."""
        raise Unsupported("the adapter does not show weights", "WEIGHT-1")

    def shapes(self) -> Mapping[str, tuple[Sequence[int | None], Sequence[int | None]]]:
        """What the framework says of outputs [B, T, U] and of one state [B, U] before it computes, by the means that it offers (``static_shapes``)."""
        raise Unsupported("the adapter offers no static shape inference", "SHAPE-9")

    def train(self, training: bool | None) -> None:
        """Whether the next calls are in training; None: as a fresh layer is (``training``)."""
        raise Unsupported("the adapter's layers have no training mode", "DROP-1")

    def rewind(self) -> None:
        """Let the next call in training draw the same random masks as the first call after the last rewind (``training``)."""
        raise Unsupported("the adapter's layers draw no masks", "DROP-1")
