"""The smaller of two contracts for models: rows of lengths, from given states; the suite does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np


class LengthsModel(ABC):
    """A layer that runs rows of given lengths from given states, and nothing else.

    What `Adapter.build` returns where ``Adapter.level`` is "lengths". The suite reverses, packs the valid steps of masked batches, puts outputs back
    in place, chooses what is returned, carries states from call to call and predicts in batches; where it did so the result says ``composed``.

    Attributes
    ----------
    path : str or None
        Which kernel ran, where the framework tells.
    """

    path: str | None = None

    @abstractmethod
    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take weights in the layout that ``Adapter.layout`` names, in the model's dtype."""

    @abstractmethod
    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        """Run the layer forward.

        Parameters
        ----------
        inputs : array [B, T, F]
        lengths : int64 array [B], optional
            How many steps of each row count; outputs beyond may be anything. Never given unless the capabilities name ``lengths``.
        states : list of arrays [B, U], optional
            LSTM h and c, GRU h; zeros where none are given. Never given unless the capabilities name ``initial_state``.

        Returns
        -------
        outputs, states
            [B, T, U], and the states after the last step of each row.
        """
