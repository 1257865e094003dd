"""A layer's configuration as far as numbers and their order hang on it, and the views of its trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_reference import activations
from rnn_reference.activations import Activation
from rnn_reference.recurrence import DropoutMasks, Trajectory, forward
from rnn_reference.shapes import state_names

NamedActivation = str | Activation | None


@dataclass(frozen=True)
class LayerConfig:
    """One layer of one direction; names and meanings are tf.keras's.

    Attributes
    ----------
    layer : "LSTM" or "GRU"
    activation, recurrent_activation : str, callable or None
        None, and "none" as TOML and JSON write it, are `linear` (ACT-LINEAR).
    return_sequences, return_state, time_major : bool
        Choose among the results of one trajectory (`views`); no number of it hangs on them.
    """

    layer: str
    activation: NamedActivation = "tanh"
    recurrent_activation: NamedActivation = "sigmoid"
    reset_after: bool = False
    go_backwards: bool = False
    zero_output_for_mask: bool = False
    return_sequences: bool = False
    return_state: bool = False
    time_major: bool = False

    @classmethod
    def of(cls, layer: str, arguments: Mapping[str, Any]) -> LayerConfig:
        """From tf.keras's constructor arguments; those that are not there have their default."""

        def activation(name: str, default: str) -> NamedActivation:
            given = arguments.get(name, default)
            return "linear" if given is None or given == "none" else given

        return cls(
            layer,
            activation=activation("activation", "tanh"),
            recurrent_activation=activation("recurrent_activation", "sigmoid"),
            reset_after=layer == "GRU" and bool(arguments.get("reset_after", True)),
            go_backwards=bool(arguments.get("go_backwards", False)),
            zero_output_for_mask=bool(arguments.get("zero_output_for_mask", False)),
            return_sequences=bool(arguments.get("return_sequences", False)),
            return_state=bool(arguments.get("return_state", False)),
            time_major=bool(arguments.get("time_major", False)),
        )

    @property
    def state_names(self) -> tuple[str, ...]:
        """States in the order in which they are passed and returned (STATE-2)."""
        return state_names(self.layer)

    def forward(
        self,
        inputs: Any,
        weights: Mapping[str, Any],
        *,
        initial_state: tuple[Any, ...] | None = None,
        mask: np.ndarray | None = None,
        dropout: DropoutMasks | None = None,
    ) -> Trajectory:
        """Run the layer over batch-major ``inputs`` [B, T, F]; see `rnn_reference.recurrence.forward`."""
        return forward(
            self.layer,
            inputs,
            weights,
            initial_state=initial_state,
            mask=mask,
            activation=activations.get(self.activation),
            recurrent_activation=activations.get(self.recurrent_activation),
            reset_after=self.reset_after,
            go_backwards=self.go_backwards,
            zero_output_for_mask=self.zero_output_for_mask,
            dropout=dropout,
        )

    def views(self, result: Trajectory) -> dict[str, Any]:
        """What a call returns, by name and in order: ``output``, then the states (VIEW-1 to VIEW-3, TIME-1)."""
        if not self.return_sequences:
            output = result.outputs[:, -1]
        elif self.time_major:
            output = np.swapaxes(result.outputs, 0, 1)
        else:
            output = result.outputs
        states = dict(zip(self.state_names, result.states, strict=True)) if self.return_state else {}
        return {"output": output, **states}
