"""Stacks and directions put together wrongly (NET)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rnn_reference import network
from rnn_reference.config import LayerConfig
from rnn_reference.recurrence import Trajectory

from rnn_conformance.proving.variants.base import Variant

_merge, _handed_on, _shown_outputs = network.merge, network.handed_on, network.shown_outputs
_weights_at, _states_at, _both_directions = network.weights_at, network.states_at, network.both_directions


def _merged_as(**modes: str) -> Any:
    """Some modes taken for others."""

    def merge(forward: Any, backward: Any, mode: str) -> Any:
        return _merge(forward, backward, modes.get(mode, mode))

    return merge


def _backward_first(forward: Any, backward: Any, mode: str) -> Any:
    return _merge(backward, forward, mode)


def _interleaved(forward: Any, backward: Any, mode: str) -> Any:
    if mode != "concat":
        return _merge(forward, backward, mode)
    return np.stack([forward, backward], axis=-1).reshape(*forward.shape[:-1], 2 * forward.shape[-1])


def _last_of_sequence(layer: Sequence[LayerConfig], runs: Sequence[Trajectory]) -> list[Any]:
    """The classic slice: step T-1 of both directions in the input's order."""
    shown = _shown_outputs(layer, runs)
    if len(shown) == 2 and not layer[0].return_sequences:
        shown[1] = runs[1].outputs[:, 0]
    return shown


def _unreversed_inside(runs: Sequence[Trajectory], merge_mode: str | None) -> Any:
    if len(runs) == 1:
        return _handed_on(runs, merge_mode)
    return network.merge(runs[0].outputs, runs[1].outputs, str(merge_mode))


def _swapped_weights(weights: Any, place: str) -> dict[str, Any]:
    other = {"forward": "backward", "backward": "forward"}
    number, _, direction = place.removesuffix(".").partition(".")
    twin = f"{number}.{other.get(direction, '')}."
    return _weights_at(weights, twin if any(name.startswith(twin) for name in weights) else place)


def _by_kind(runs: Sequence[Sequence[Trajectory]]) -> tuple[Any, ...]:
    """Within each layer h of both directions, then c of both, as PyTorch stacks them."""
    return tuple(run.states[k] for layer in runs for k in range(len(layer[0].states)) for run in layer)


def _backward_states_first(runs: Sequence[Sequence[Trajectory]]) -> tuple[Any, ...]:
    return tuple(state for layer in runs for run in reversed(layer) for state in run.states)


def _last_layer_first(runs: Sequence[Sequence[Trajectory]]) -> tuple[Any, ...]:
    return tuple(state for layer in reversed(runs) for run in layer for state in run.states)


def _last_layer_only(runs: Sequence[Sequence[Trajectory]]) -> tuple[Any, ...]:
    return tuple(state for _ in runs for run in runs[-1] for state in run.states)


def _shared_start(states: Any, position: int, count: int) -> Any:
    return _states_at(states, 0, count)


def _first_only(states: Any, position: int, count: int) -> Any:
    return _states_at(states, position, count) if position == 0 else None


def _swapped_start(states: Any, position: int, count: int) -> Any:
    """The states of the other direction, where there are two."""
    if states is None or len(states) % (2 * count):
        return _states_at(states, position, count)
    return _states_at(states, position ^ 1, count)


VARIANTS = [
    Variant(
        "backward-in-processing-order",
        "NET-2",
        "direction",
        "the backward direction's outputs are merged in processing order, not reversed to the input's",
        functions={"network.time_reversed": lambda outputs, axis=1: outputs},
    ),
    Variant(
        "backward-in-processing-order-inside",
        "NET-2",
        "direction",
        "between layers the backward direction's outputs are merged in processing order",
        functions={"network.handed_on": _unreversed_inside},
    ),
    Variant(
        "last-step-of-both-directions",
        "NET-2",
        "direction",
        "without return_sequences the backward direction gives its output of step T-1, which has seen one step",
        functions={"network.shown_outputs": _last_of_sequence},
    ),
    Variant(
        "merge-backward-first",
        "NET-3",
        "merge",
        "the backward output comes first",
        functions={"network.merge": _backward_first},
    ),
    Variant(
        "merge-interleaved",
        "NET-3",
        "merge",
        "the units of both directions alternate",
        functions={"network.merge": _interleaved},
    ),
    Variant(
        "merge-ave-is-sum",
        "NET-3",
        "merge",
        'merge_mode="ave" adds without halving',
        functions={"network.merge": _merged_as(ave="sum")},
    ),
    Variant(
        "merge-sum-is-ave",
        "NET-3",
        "merge",
        'merge_mode="sum" halves the sum',
        functions={"network.merge": _merged_as(sum="ave")},
    ),
    Variant(
        "merge-mul-is-sum",
        "NET-3",
        "merge",
        'merge_mode="mul" adds',
        functions={"network.merge": _merged_as(mul="sum")},
    ),
    Variant(
        "directions-swapped-weights",
        "NET-4",
        "weights",
        "the forward direction has the backward one's weights, and the other way round",
        functions={"network.weights_at": _swapped_weights},
    ),
    Variant(
        "directions-swapped-initial-states",
        "NET-4",
        "states",
        "each direction starts from the other one's initial states",
        functions={"network.states_at": _swapped_start},
    ),
    Variant(
        "network-states-by-kind",
        "NET-4",
        "states",
        "final states of a layer come as h of both directions, then c of both",
        layers=("LSTM",),
        functions={"network.final_states": _by_kind},
    ),
    Variant(
        "network-states-backward-first",
        "NET-4",
        "states",
        "final states of the backward direction come first",
        functions={"network.final_states": _backward_states_first},
    ),
    Variant(
        "network-states-last-layer-first",
        "NET-4",
        "states",
        "final states of the last layer come first",
        functions={"network.final_states": _last_layer_first},
    ),
    Variant(
        "network-states-of-last-layer",
        "NET-4",
        "states",
        "the last layer's final states are returned for every layer",
        functions={"network.final_states": _last_layer_only},
    ),
    Variant(
        "network-shared-initial-state",
        "NET-4",
        "states",
        "every layer and direction starts from the states of the first",
        functions={"network.states_at": _shared_start},
    ),
    Variant(
        "network-first-initial-state-only",
        "NET-4",
        "states",
        "only the first layer's first direction gets its initial states",
        functions={"network.states_at": _first_only},
    ),
    Variant(
        "bidirectional-output-repeated",
        "NET-5",
        "mask",
        "both directions repeat outputs on masked steps unless zero_output_for_mask is set, as single layers do",
        functions={
            "network.both_directions": lambda config: (
                config,
                replace(config, go_backwards=not config.go_backwards),
            )
        },
    ),
    Variant(
        "bidirectional-last-output-zero",
        "NET-5",
        "mask",
        "both directions put zeros on masked steps, also where only the last output is returned",
        functions={
            "network.both_directions": lambda config: tuple(
                replace(c, zero_output_for_mask=True) for c in _both_directions(config)
            )
        },
    ),
    Variant(
        "mask-not-handed-on",
        "NET-5",
        "mask",
        "the mask reaches the first layer only",
        functions={"network.mask_at": lambda mask, layer, direction: mask if layer == 0 else None},
    ),
    Variant(
        "mask-forward-only",
        "NET-5",
        "mask",
        "the backward direction runs without the mask",
        functions={"network.mask_at": lambda mask, layer, direction: mask if direction == 0 else None},
    ),
    Variant(
        "mask-not-turned-backward",
        "NET-5",
        "mask",
        "the backward direction takes the mask in processing order as it stands",
        functions={
            "network.mask_at": lambda mask, layer, direction: (
                mask if mask is None or direction == 0 else mask[:, ::-1]
            )
        },
    ),
    Variant(
        "stack-one-step-late",
        "NET-1",
        "stack",
        "a hidden layer hands on the outputs one step late",
        functions={
            "network.handed_on": lambda runs, mode: np.concatenate(
                [0 * _handed_on(runs, mode)[:, :1], _handed_on(runs, mode)[:, :-1]], axis=1
            )
        },
    ),
]
