"""Weights of stacks of LSTM and GRU layers from one framework's layout to another's (WEIGHT and MAP clauses).

What lies between is the Keras layout, layer by layer and direction by direction. Whether anything is lost is not said from a table: the result is
converted back, and compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rnn_reference import layouts

from rnn_conformance.errors import ConfigurationError
from rnn_conformance.guide.named_layouts import NAMED, Arrays, Named, Place

# cuDNN's has no names: one buffer, which we call so in files.
CUDNN, PARAMS = "cudnn", "params"
LAYOUTS = (*NAMED, CUDNN)


@dataclass
class Stack:
    """Weights in the Keras layout, by place.

    Attributes
    ----------
    layer : "LSTM" or "GRU"
    reset_after : bool
        Of a GRU.
    ignored : list of str
        Names in the file that are no weights of these layers.
    given : dict
        The others as they were read, by the names that `write` gives them.
    origins : dict
        Place to the path that its arrays had in the file: layers without numbers are in the order of their names.
    """

    layer: str
    reset_after: bool
    weights: dict[Place, Arrays] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    given: Arrays = field(default_factory=dict)
    origins: dict[Place, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Flat:
    """What a buffer without names is of: its length tells the number of features alone (MAP-CUDNN-1)."""

    layer: str
    units: int
    num_layers: int = 1
    bidirectional: bool = False
    use_bias: bool = True

    @classmethod
    def of(cls, stack: Stack) -> Flat:
        """That of a stack."""
        first = next(iter(stack.weights.values()))
        return cls(
            stack.layer,
            len(first["recurrent_kernel"]),
            1 + max(stack.weights).layer,
            any(place.backward for place in stack.weights),
            "bias" in first,
        )


@dataclass(frozen=True)
class Converted:
    """The result, and what it does not keep.

    Attributes
    ----------
    lost : list of str
        Names of arrays that come back otherwise when the result is converted back.
    """

    stack: Stack
    arrays: Arrays
    lost: list[str]


def convert(
    arrays: Mapping[str, np.ndarray],
    source: str,
    target: str,
    *,
    reset_after: bool = True,
    flat: Flat | None = None,
) -> Converted:
    """Convert all layers that the arrays hold.

    Parameters
    ----------
    source, target : one of `LAYOUTS`
    reset_after : bool
        Of a GRU whose arrays do not tell: without bias, or from ONNX.
    flat : Flat, optional
        What cuDNN's buffer is of.

    Raises
    ------
    ConfigurationError
        When the arrays are not what the source has.
    NotRepresentable
        When the target has no place for them; the message names the clause.
    """
    stack = read(arrays, source, reset_after=reset_after, flat=flat)
    written = write(stack, target)
    back = write(read(written, target, reset_after=stack.reset_after, flat=Flat.of(stack)), source)
    lost = sorted(
        name
        for name, array in stack.given.items()
        if name not in back or not np.array_equal(back[name], array)
    )
    return Converted(stack, written, lost)


def read(
    arrays: Mapping[str, np.ndarray], source: str, *, reset_after: bool = True, flat: Flat | None = None
) -> Stack:
    """The Keras weights behind arrays of a layout."""
    if source == CUDNN:
        return _read_cudnn(arrays, flat)
    layout = NAMED[source]
    placed, ignored = _placed(arrays, source)
    layer = _layer(placed[0][1], layout)
    others = [place.name for place, own, _ in placed if _layer(own, layout) != layer]
    if others:
        raise ConfigurationError(
            f"the file has LSTM and GRU layers ({', '.join(others)} are others than the first): choose with --prefix"
        )
    if layer == "GRU":
        kinds = {_kind(own, source) for _, own, _ in placed} - {None}
        if len(kinds) > 1:
            raise ConfigurationError("the file has GRUs with and without reset_after: choose with --prefix")
        reset_after = bool(next(iter(kinds), reset_after))
    stack = Stack(layer, reset_after, {}, ignored)
    for place, own, path in placed:
        stack.origins[place] = path.rstrip("./")
        try:
            for direction, weights in enumerate(layout.read(layer, own, reset_after)):
                stack.weights[Place(place.layer, place.backward or direction == 1)] = {
                    name: np.ascontiguousarray(a) for name, a in weights.items()
                }
        except (KeyError, ValueError, IndexError) as error:
            raise ConfigurationError(f"layer {place.layer} of the {source} weights: {error!r}") from error
    places = [place for place, _, _ in placed]
    stack.given = {
        layout.spelled(name, place, places): array for place, own, _ in placed for name, array in own.items()
    }
    return stack


def _kind(own: Arrays, source: str) -> bool | None:
    """Whether a GRU's biases tell that the reset gate comes after the product, or before; None where they do not."""
    if source == "keras" and "bias" in own:
        return own["bias"].ndim == 2
    if source == "openvino" and "B" in own:
        blocks = own["B"].shape[-1] / own["R"].shape[-1]
        if blocks not in (3, 4):
            raise ConfigurationError(
                f"B has shape {own['B'].shape}: neither three nor four biases of {own['R'].shape[-1]} units"
            )
        return blocks == 4
    return None


def raw(arrays: Mapping[str, np.ndarray], source: str) -> dict[Place, Arrays]:
    """The arrays of each layer and direction as they are, by the names that one layer alone has."""
    layout, result = NAMED[source], {}
    for place, own, _ in _placed(arrays, source)[0]:
        for direction, one in enumerate(layout.directions(own)):
            at = Place(place.layer, place.backward or direction == 1)
            names = layout.order or sorted(one)
            result[at] = {layout.alone(name): one[name] for name in names if name in one}
    return result


def _read_cudnn(arrays: Mapping[str, np.ndarray], flat: Flat | None) -> Stack:
    if flat is None:
        raise ConfigurationError(
            "cuDNN's weights are one buffer without names: say of which layer, and how many units"
        )
    if len(arrays) != 1:
        raise ConfigurationError(f"cuDNN's weights are one array, not {len(arrays)}")
    (given,) = arrays.values()
    try:
        named = layouts.cudnn_to_torch(
            given,
            flat.layer,
            flat.units,
            num_layers=flat.num_layers,
            bidirectional=flat.bidirectional,
            use_bias=flat.use_bias,
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    stack = read(named, "torch")
    stack.given = {PARAMS: given}
    return stack


def _layer(own: Arrays, layout: Named) -> str:
    """By the number of gates: columns of the recurrent kernel over units."""
    name, units, gates = layout.recurrent
    if name not in own:
        raise ConfigurationError(f"{name} is missing among {', '.join(own)}")
    shape = own[name].shape
    try:
        return {4.0: "LSTM", 3.0: "GRU"}[shape[gates] / shape[units]]
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise ConfigurationError(f"{name} has shape {shape}: neither of an LSTM nor of a GRU") from error


def _natural(text: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def _placed(
    arrays: Mapping[str, np.ndarray], source: str
) -> tuple[list[tuple[Place, Arrays, str]], list[str]]:
    """Layers by their numbers, or by their paths, in natural order, with these, and the names that are no weights of these layers.

    A path with ``backward`` in it is the other direction of the one with ``forward``.
    """
    layout, ignored = NAMED[source], []
    found: dict[tuple[str, int, bool], Arrays] = {}
    for name, array in arrays.items():
        match = layout.names.match(name)
        if match is None:
            ignored.append(name)
            continue
        groups = match.groupdict()
        key = groups["path"], int(groups.get("layer") or 0), bool(groups.get("backward"))
        found.setdefault(key, {})[groups["name"].replace("/", ".")] = np.asarray(array)
    for path, number, backward in [key for key, own in found.items() if layout.recurrent[0] not in own]:
        own = found.pop((path, number, backward))  # of another kind of layer
        ignored += [f"{path}{name}" for name in own]
    if not found:
        raise ConfigurationError(
            f"no weights of a {source} layer among {', '.join(list(arrays)[:8]) or 'no arrays'}; expected names such as {layout.example}"
        )
    if "layer" in layout.names.groupindex:
        paths = sorted({path for path, _, _ in found})
        if len(paths) > 1:
            raise ConfigurationError(
                f"the file has the layers {', '.join(map(repr, paths))}: choose one with --prefix"
            )
        numbered = sorted(found.items())
        return [(Place(layer, backward), own, path) for (path, layer, backward), own in numbered], ignored
    layers = sorted({_layer_of(path) for path, _, _ in found}, key=_natural)
    placed = sorted(
        (
            (Place(layers.index(_layer_of(path)), "backward" in path), own, path)
            for (path, _, _), own in found.items()
        ),
        key=lambda one: one[0],
    )
    for place, _, path in placed:
        if place.backward and not any(other == place._replace(backward=False) for other, _, _ in placed):
            raise ConfigurationError(f"{path} is a backward layer without its forward one")
    return placed, ignored


def _layer_of(path: str) -> str:
    """A path up to its direction, where it has one: both directions are one layer, whatever their cells are called."""
    parts = re.split(r"(?<=[./])", path)
    at = next((k for k, part in enumerate(parts) if "backward" in part or "forward" in part), None)
    return path if at is None else "".join(parts[: at + 1]).replace("backward", "forward")


def write(stack: Stack, target: str) -> Arrays:
    """Arrays of a layout."""
    if target == CUDNN:
        return {PARAMS: layouts.torch_to_cudnn(write(stack, "torch"))}
    layout, places = NAMED[target], sorted(stack.weights)
    result: Arrays = {}
    for place in places:
        for name, array in layout.write(stack.layer, stack.weights[place], stack.reset_after).items():
            spelled = layout.spelled(name, place, places)
            earlier = result.get(spelled)  # the other direction, where a layout holds both in one
            result[spelled] = array if earlier is None else np.concatenate([earlier, array])
    return {name: np.ascontiguousarray(array) for name, array in result.items()}
