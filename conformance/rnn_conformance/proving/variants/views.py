"""Directions, layouts, states and what is carried (VIEW, DIR, TIME, STATE, CARRY, DROP, INIT, SHAPE, ERR)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rnn_reference.recurrence import DropoutMasks

from rnn_conformance.contract.adapter import LayerSpec
from rnn_conformance.proving.variants.base import Variant, on_call, on_layer, on_outputs


def _set(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda arguments: arguments | values


def _time(spec: LayerSpec) -> int:
    return 0 if spec.arguments["time_major"] else 1


def _unreversed(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    a = spec.arguments
    if not (a["go_backwards"] and a["return_sequences"]):
        return outputs
    return [np.flip(outputs[0], _time(spec)), *outputs[1:]]


def _states_swapped(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    return [outputs[0], *reversed(outputs[1:])]


def _second_state_first(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    return [outputs[0], *[outputs[1]] * (len(outputs) - 1)]


def _states_before_output(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    return [*outputs[1:], outputs[0]]


def _initial(change: Callable[[list[np.ndarray]], Any]) -> Callable[[Any, LayerSpec], None]:
    def apply(given: dict[str, Any], spec: LayerSpec) -> dict[str, Any]:
        states = given["initial_state"]
        return given if states is None else given | {"initial_state": change(list(states))}

    return on_call(apply)


def _zero_first(states: list[np.ndarray]) -> list[np.ndarray]:
    return [0 * states[0], *states[1:]]


def _zero_second(states: list[np.ndarray]) -> list[np.ndarray]:
    return [*states[:1], *(0 * s for s in states[1:])]


def _ones_by_default(given: dict[str, Any], spec: LayerSpec) -> dict[str, Any]:
    if given["initial_state"] is not None or spec.arguments.get("stateful"):
        return given
    batch = given["inputs"].shape[1 - _time(spec)]
    ones = np.ones((batch, spec.size.U), given["inputs"].dtype)
    return given | {"initial_state": [ones] * spec.state_count}


def _carry(change: Callable[[tuple[Any, ...] | None], Any]) -> Callable[[Any, LayerSpec], None]:
    def apply(layer: Any, spec: LayerSpec) -> None:
        plain = layer.trajectory

        def trajectory(*args: Any, **kwargs: Any) -> Any:
            result = plain(*args, **kwargs)
            if layer.stateful:
                layer._carried = change(result.states)
            return result

        layer.trajectory = trajectory

    return on_layer(apply)


def _never_reset(layer: Any, spec: LayerSpec) -> None:
    layer.reset_states = lambda: None


def _carried_wins(layer: Any, spec: LayerSpec) -> None:
    plain = layer.trajectory

    def trajectory(inputs: Any, mask: Any = None, initial_state: Any = None, training: Any = None) -> Any:
        known = layer.stateful and layer._carried is not None
        return plain(inputs, mask, None if known else initial_state, training)

    layer.trajectory = trajectory


def _always_stateful(model: Any, spec: LayerSpec) -> None:
    layer, plain = model._layer, model._layer.trajectory
    last: list[Any] = [None]

    def trajectory(inputs: Any, mask: Any = None, initial_state: Any = None, training: Any = None) -> Any:
        same = last[0] is not None and last[0][0].shape[0] == inputs.shape[_time(spec) ^ 1]
        start = last[0] if initial_state is None and same and not layer.stateful else initial_state
        result = plain(inputs, mask, start, training)
        last[0] = result.states
        return result

    layer.trajectory = trajectory


def _masks(change: Callable[[DropoutMasks, Any, Any], DropoutMasks]) -> Callable[[Any, LayerSpec], None]:
    def apply(layer: Any, spec: LayerSpec) -> None:
        draw = layer._draw_dropout
        layer._draw_dropout = lambda inputs: change(draw(inputs), draw, inputs)

    return on_layer(apply)


def _per_step(which: str) -> Callable[[DropoutMasks, Any, Any], DropoutMasks]:
    def change(masks: DropoutMasks, draw: Any, inputs: Any) -> DropoutMasks:
        parts = {"inputs": masks.inputs, "recurrent": masks.recurrent}
        steps = range(parts[which].shape[1])
        parts[which] = np.stack([getattr(draw(inputs), which)[:, t] for t in steps], axis=1)
        return DropoutMasks(**parts)

    return change


def _per_gate_and_step(masks: DropoutMasks, draw: Any, inputs: Any) -> DropoutMasks:
    gates, steps = masks.inputs.shape[:2]
    drawn = [[draw(inputs).inputs[0, 0] for _ in range(steps)] for _ in range(gates)]
    return DropoutMasks(np.array(drawn), masks.recurrent)


def _in_inference(model: Any, spec: LayerSpec) -> None:
    plain = model.call_training
    model.call_training = lambda inputs, mask, initial_state, training: plain(
        inputs, mask, initial_state, True
    )


def _never(model: Any, spec: LayerSpec) -> None:
    plain = model.call_training
    model.call_training = lambda inputs, mask, initial_state, training: plain(
        inputs, mask, initial_state, False
    )


def _weights_made(
    change: Callable[[dict[str, np.ndarray], LayerSpec], None],
) -> Callable[[Any, LayerSpec], None]:
    def apply(model: Any, spec: LayerSpec) -> None:
        if spec.seed is None:
            return
        made = {name: array.copy() for name, array in model.initial_weights().items()}
        change(made, spec)
        model.initial_weights = lambda: made

    return apply


def _no_forget_bias(made: dict[str, np.ndarray], spec: LayerSpec) -> None:
    if "bias" in made and spec.arguments.get("unit_forget_bias"):
        made["bias"][spec.size.U : 2 * spec.size.U] = 0


def _forget_bias_first(made: dict[str, np.ndarray], spec: LayerSpec) -> None:
    if "bias" in made and spec.arguments.get("unit_forget_bias"):
        made["bias"][: spec.size.U], made["bias"][spec.size.U : 2 * spec.size.U] = 1, 0


def _per_gate_fans(made: dict[str, np.ndarray], spec: LayerSpec) -> None:
    gates = 4 if spec.layer == "LSTM" else 3
    features, units = spec.size.F, spec.size.U
    made["kernel"] *= np.sqrt((features + gates * units) / (features + units))


def _static(change: Callable[[int, tuple[Any, ...], LayerSpec], Any]) -> Callable[[Any, LayerSpec], None]:
    """Other static shapes of the outputs; ``change`` gets an axis and the shape."""

    def apply(model: Any, spec: LayerSpec) -> None:
        if spec.declared:
            plain = model.static_shapes()
            other = {
                means: [tuple(change(k, shape, spec) for k in range(len(shape))) for shape in shapes]
                for means, shapes in plain.items()
            }
            model.static_shapes = lambda: other

    return apply


def _as_float64(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    return [o.astype(np.float64) for o in outputs]


def _states_with_layer_axis(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    return [outputs[0], *(s[None] for s in outputs[1:])]


def _swapped_sequence(outputs: list[np.ndarray], spec: LayerSpec, given: Any) -> list[np.ndarray]:
    return [outputs[0].swapaxes(0, 1) if outputs[0].ndim == 3 else outputs[0], *outputs[1:]]


VARIANTS: list[Variant] = [
    Variant(
        "static-length-open",
        "SHAPE-2",
        "shapes",
        "does not know a declared length",
        model=_static(lambda k, shape, spec: None if len(shape) == 3 and k == 1 else shape[k]),
    ),
    Variant(
        "static-batch-open",
        "SHAPE-3",
        "shapes",
        "does not know a declared batch size",
        model=_static(lambda k, shape, spec: None if k == 0 else shape[k]),
    ),
    Variant(
        "results-in-float64",
        "SHAPE-7",
        "shapes",
        "returns float64 whatever the layer's dtype",
        model=on_outputs(_as_float64),
    ),
    Variant(
        "states-with-layer-axis",
        "SHAPE-5",
        "shapes",
        "returns states as [1, B, U], as PyTorch does",
        model=on_outputs(_states_with_layer_axis),
    ),
    Variant(
        "sequence-time-first",
        "SHAPE-4",
        "shapes",
        "returns sequences with the first two axes swapped",
        model=on_outputs(_swapped_sequence),
    ),
    Variant(
        "dropout-per-gate-and-step",
        "DROP-3",
        "dropout",
        "draws the input's masks anew for every gate and step",
        model=_masks(_per_gate_and_step),
    ),
    Variant(
        "go-backwards-ignored",
        "DIR-1",
        "direction",
        "runs forward always",
        arguments=_set(go_backwards=False),
    ),
    Variant(
        "output-reversed-back",
        "DIR-2",
        "direction",
        "gives the outputs in input order",
        model=on_outputs(_unreversed),
    ),
    Variant(
        "sequences-always",
        "VIEW-1",
        "view",
        "returns all outputs always",
        arguments=_set(return_sequences=True),
    ),
    Variant(
        "sequences-never",
        "VIEW-2",
        "view",
        "returns the last output only",
        arguments=_set(return_sequences=False),
    ),
    Variant("states-never", "VIEW-3", "view", "does not return states", arguments=_set(return_state=False)),
    Variant(
        "states-swapped",
        "VIEW-3",
        "states",
        "returns c, then h",
        ("LSTM",),
        model=on_outputs(_states_swapped),
    ),
    Variant(
        "states-h-twice",
        "VIEW-3",
        "states",
        "returns h for c",
        ("LSTM",),
        model=on_outputs(_second_state_first),
    ),
    Variant(
        "states-before-output",
        "VIEW-3",
        "states",
        "returns the output last",
        model=on_outputs(_states_before_output),
    ),
    Variant(
        "time-major-ignored",
        "TIME-1",
        "layout",
        "takes time-major input for batch-major",
        arguments=_set(time_major=False),
    ),
    Variant(
        "initial-state-ignored",
        "STATE-2",
        "states",
        "starts from zeros always",
        model=_initial(lambda s: None),
    ),
    Variant(
        "initial-h-ignored",
        "STATE-2",
        "states",
        "starts h from zeros",
        ("LSTM",),
        model=_initial(_zero_first),
    ),
    Variant(
        "initial-c-ignored",
        "STATE-2",
        "states",
        "starts c from zeros",
        ("LSTM",),
        model=_initial(_zero_second),
    ),
    Variant(
        "initial-states-swapped",
        "STATE-2",
        "states",
        "takes c, then h",
        ("LSTM",),
        model=_initial(lambda s: s[::-1]),
    ),
    Variant(
        "initial-state-of-other-samples",
        "STATE-2",
        "states",
        "gives sample i the state of the last but i",
        model=_initial(lambda s: [a[::-1] for a in s]),
    ),
    Variant("default-state-ones", "STATE-1", "states", "starts from ones", model=on_call(_ones_by_default)),
    Variant(
        "state-not-carried",
        "CARRY-1",
        "stateful",
        "starts every call from zeros",
        model=_carry(lambda s: None),
    ),
    Variant(
        "state-carried-to-others",
        "CARRY-1",
        "stateful",
        "carries sample i's state to the last but i",
        model=_carry(lambda s: s and tuple(a[::-1] for a in s)),
    ),
    Variant(
        "c-not-carried",
        "CARRY-1",
        "stateful",
        "carries h alone",
        ("LSTM",),
        model=_carry(lambda s: s and (s[0], 0 * s[1])),
    ),
    Variant("state-not-reset", "CARRY-2", "stateful", "ignores reset_states()", model=on_layer(_never_reset)),
    Variant(
        "carried-state-wins",
        "CARRY-3",
        "stateful",
        "prefers the carried state to a given one, as Keras 2",
        model=on_layer(_carried_wins),
    ),
    Variant(
        "state-carried-always",
        "CARRY-5",
        "stateful",
        "carries the state without stateful",
        model=_always_stateful,
    ),
    Variant(
        "dropout-unscaled",
        "DROP-2",
        "dropout",
        "does not scale the input that is kept",
        model=_masks(lambda m, d, x: DropoutMasks((m.inputs > 0).astype(x.dtype), m.recurrent)),
    ),
    Variant(
        "recurrent-dropout-unscaled",
        "DROP-2",
        "dropout",
        "does not scale the state that is kept",
        model=_masks(lambda m, d, x: DropoutMasks(m.inputs, (m.recurrent > 0).astype(x.dtype))),
    ),
    Variant(
        "recurrent-dropout-per-step",
        "DROP-4",
        "dropout",
        "draws the state's masks anew at every step",
        model=_masks(_per_step("recurrent")),
    ),
    Variant(
        "recurrent-dropout-shared",
        "DROP-4",
        "dropout",
        "drops the same of the state for all gates",
        model=_masks(
            lambda m, d, x: DropoutMasks(m.inputs, np.broadcast_to(m.recurrent[:1], m.recurrent.shape))
        ),
    ),
    Variant("dropout-in-inference", "DROP-1", "dropout", "drops without training too", model=_in_inference),
    Variant("dropout-ineffective", "DROP-1", "dropout", "never drops", model=_never),
    Variant(
        "no-forget-bias",
        "INIT-2",
        "initial values",
        "ignores unit_forget_bias",
        ("LSTM",),
        model=_weights_made(_no_forget_bias),
    ),
    Variant(
        "forget-bias-at-input-gate",
        "INIT-2",
        "initial values",
        "sets the input gate's bias to 1",
        ("LSTM",),
        model=_weights_made(_forget_bias_first),
    ),
    Variant(
        "fans-of-one-gate",
        "INIT-3",
        "initial values",
        "computes fans for one gate",
        model=_weights_made(_per_gate_fans),
    ),
    Variant(
        "static-batch-guessed",
        "SHAPE-9",
        "shapes",
        "says a number for an open dimension",
        model=_static(lambda k, shape, spec: 7 if shape[k] is None else shape[k]),
    ),
]
