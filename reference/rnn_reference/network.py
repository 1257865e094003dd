"""Networks: stacks of layers of one direction or of two (NET-1 to NET-5); a single layer is the simplest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnn_reference.config import LayerConfig
from rnn_reference.recurrence import DropoutMasks, Trajectory
from rnn_reference.shapes import weight_shapes

DIRECTIONS = ("forward", "backward")
MERGE_MODES = ("concat", "sum", "mul", "ave", None)


@dataclass(frozen=True)
class Result:
    """All that a network can be asked for.

    Attributes
    ----------
    last : tuple of Trajectory
        Of the last layer's directions, each in its own processing order.
    states : tuple of arrays [B, U]
        Final states, layer by layer, the forward direction first (NET-4).
    """

    last: tuple[Trajectory, ...]
    states: tuple[Any, ...]


@dataclass(frozen=True)
class Network:
    """A stack of layers.

    Attributes
    ----------
    layers : tuple of tuple of LayerConfig
        For each layer its one or two directions; the views are those of the last.
    merge_mode : str or None
        How the outputs of two directions become one (NET-3).
    """

    layers: tuple[tuple[LayerConfig, ...], ...]
    merge_mode: str | None = "concat"

    @classmethod
    def of(cls, layer: str, arguments: Mapping[str, Any]) -> Network:
        """From tf.keras's constructor arguments with ``num_layers``, ``bidirectional`` and ``merge_mode``, all equal but in direction."""
        last = LayerConfig.of(layer, arguments)
        # Dropout between layers asks for two of them (DROP-5).
        depth = int(arguments.get("num_layers", 2 if arguments.get("stacked_dropout") else 1))
        mode = arguments.get("merge_mode", "concat")
        layers = (*[replace(last, return_sequences=True)] * (depth - 1), last)
        two = bool(arguments.get("bidirectional", False))
        return cls(
            tuple(both_directions(config) if two else (config,) for config in layers),
            None if mode == "none" else mode,
        )

    @property
    def config(self) -> LayerConfig:
        """The last layer's first direction: what is returned hangs on it."""
        return self.layers[-1][0]

    @property
    def is_simple(self) -> bool:
        """Whether it is one layer of one direction, whose weights and states have no prefix."""
        return len(self.layers) == len(self.layers[0]) == 1

    def configured(self, **changes: Any) -> Network:
        """With the same change of every layer and direction."""
        return replace(
            self, layers=tuple(tuple(replace(c, **changes) for c in layer) for layer in self.layers)
        )

    @property
    def places(self) -> tuple[str, ...]:
        """What the names of the weights and states of each layer's each direction begin with, in order (NET-4)."""
        if self.is_simple:
            return ("",)
        return tuple(
            f"{number}.{DIRECTIONS[d]}."
            for number, layer in enumerate(self.layers)
            for d in range(len(layer))
        )

    @property
    def state_names(self) -> tuple[str, ...]:
        """States in the order in which they are passed and returned (STATE-2, NET-4)."""
        return tuple(place + name for place in self.places for name in self.config.state_names)

    def features(self, features: int, units: int) -> Iterator[int]:
        """The features that each layer's each direction gets, in the order of `places` (NET-1)."""
        for layer in self.layers:
            yield from [features] * len(layer)
            features = units * (len(layer) if self.merge_mode == "concat" else 1)

    def weight_shapes(
        self, features: int, units: int, *, use_bias: bool = True
    ) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all weights, in order (WEIGHT-1 to WEIGHT-4, NET-4)."""
        c = self.config
        return {
            place + name: shape
            for place, width in zip(self.places, self.features(features, units), strict=True)
            for name, shape in weight_shapes(
                c.layer, width, units, use_bias=use_bias, reset_after=c.reset_after
            ).items()
        }

    def forward(
        self,
        inputs: Any,
        weights: Mapping[str, Any],
        *,
        initial_state: Sequence[Any] | None = None,
        mask: np.ndarray | None = None,
        dropout: DropoutMasks | None = None,
        between: Any = None,
    ) -> Result:
        """Run the network over batch-major ``inputs`` [B, T, F]; see `rnn_reference.recurrence.forward`.

        Parameters
        ----------
        weights : mapping
            Each with the prefix of its place.
        initial_state : sequence of arrays [B, U], optional
            In the order of `state_names`.
        dropout : DropoutMasks, optional
            Of a single layer.
        between : array [B, T, D], optional
            What the outputs of a layer are multiplied by before the next one sees them (DROP-5).
        """
        places, per_place = iter(self.places), len(self.config.state_names)
        runs: list[tuple[Trajectory, ...]] = []
        for number, layer in enumerate(self.layers):
            if runs:
                inputs = handed_on(runs[-1], self.merge_mode)
                inputs = inputs if between is None else inputs * between
            found = []
            for direction, config in enumerate(layer):
                position = number * len(layer) + direction
                found.append(
                    config.forward(
                        inputs,
                        weights_at(weights, next(places)),
                        initial_state=states_at(initial_state, position, per_place),
                        mask=mask_at(mask, number, direction),
                        dropout=dropout,
                    )
                )
            runs.append(tuple(found))
        return Result(runs[-1], final_states(runs))

    def views(self, result: Result) -> dict[str, Any]:
        """What a call returns, by name and in order: the output, or with ``merge_mode`` None one for each direction, then the states."""
        config = self.config
        shown = shown_outputs(self.layers[-1], result.last)
        states = dict(zip(self.state_names, result.states, strict=True)) if config.return_state else {}
        if len(shown) == 1:
            return {"output": shown[0], **states}
        if self.merge_mode is None:
            return {f"{name}.output": array for name, array in zip(DIRECTIONS, shown, strict=True)} | states
        return {"output": merge(shown[0], shown[1], self.merge_mode), **states}


def both_directions(config: LayerConfig) -> tuple[LayerConfig, LayerConfig]:
    """The two layers of a bidirectional one (NET-2, NET-5)."""
    config = replace(config, zero_output_for_mask=config.return_sequences)
    return config, replace(config, go_backwards=not config.go_backwards)


def weights_at(weights: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The weights of one layer's one direction, by their own names."""
    return {name.removeprefix(place): array for name, array in weights.items() if name.startswith(place)}


def states_at(states: Sequence[Any] | None, position: int, count: int) -> tuple[Any, ...] | None:
    """The initial states of the layer and direction that is number ``position`` (NET-4)."""
    return None if states is None else tuple(states[position * count : (position + 1) * count])


def mask_at(mask: np.ndarray | None, layer: int, direction: int) -> np.ndarray | None:
    """The mask of a layer's direction: the same everywhere (NET-5)."""
    return mask


def final_states(runs: Sequence[Sequence[Trajectory]]) -> tuple[Any, ...]:
    """All final states in their order (NET-4)."""
    return tuple(state for layer in runs for run in layer for state in run.states)


def shown_outputs(layer: Sequence[LayerConfig], runs: Sequence[Trajectory]) -> list[Any]:
    """Each direction's output as the views ask for it: sequences in the input's order, or what was processed last (NET-2)."""
    outputs = [replace(config, return_state=False) for config in layer]
    shown = [config.views(run)["output"] for config, run in zip(outputs, runs, strict=True)]
    if len(shown) == 2 and layer[0].return_sequences:
        shown[1] = time_reversed(shown[1], 0 if layer[0].time_major else 1)
    return shown


def handed_on(runs: Sequence[Trajectory], merge_mode: str | None) -> Any:
    """What the next layer sees [B, T, D]: the outputs of every step, both directions' in the input's order (NET-1, NET-2)."""
    if len(runs) == 1:
        return runs[0].outputs
    if merge_mode is None:
        raise ValueError(
            "two outputs cannot be one layer's input: merge_mode=None is for the last layer (NET-3)"
        )
    return merge(runs[0].outputs, time_reversed(runs[1].outputs), merge_mode)


def time_reversed(outputs: Any, axis: int = 1) -> Any:
    """Outputs in processing order, in the input's (NET-2)."""
    return outputs[::-1] if axis == 0 else outputs[:, ::-1]


def merge(forward: Any, backward: Any, mode: str) -> Any:
    """One output of two directions' (NET-3)."""
    match mode:
        case "concat":
            *outer, width = forward.shape
            return np.stack([forward, backward], axis=len(outer)).reshape(*outer, 2 * width)
        case "sum":
            return forward + backward
        case "mul":
            return forward * backward
        case "ave":
            return (forward + backward) / 2
    raise ValueError(f"merge_mode must be one of {MERGE_MODES}, got {mode!r} (NET-3)")
