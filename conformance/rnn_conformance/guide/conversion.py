"""Weights of stacks of LSTM and GRU layers from one framework's layout to another's (WEIGHT, MAP-TORCH, MAP-FLAX, MAP-ONNX clauses).

What lies between is the Keras layout, layer by layer and direction by direction. Whether anything is lost is not said from a table: the result is
converted back, and compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rnn_reference import layouts
from rnn_reference.layouts import NotRepresentable

from rnn_conformance.errors import ConfigurationError

Arrays = dict[str, np.ndarray]
LAYOUTS = ("keras", "torch", "flax", "onnx")
FORMS = (".safetensors", ".npz")


class Place(NamedTuple):
    """A layer of a stack, and one of its directions."""

    layer: int
    backward: bool

    @property
    def name(self) -> str:
        """As the suite names it (NET-1): ``0.forward.``."""
        return f"{self.layer}.{'backward' if self.backward else 'forward'}."


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
    """

    layer: str
    reset_after: bool
    weights: dict[Place, Arrays] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    given: Arrays = field(default_factory=dict)


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


# What the arrays of one layer and direction are called; a path may stand before it.
_NAMES = {
    "keras": re.compile(r"^(?P<path>.*?)(?P<name>recurrent_kernel|kernel|bias)(?::0)?$"),
    "torch": re.compile(
        r"^(?P<path>.*?)(?P<name>(?:weight|bias)_[ih]h)_l(?P<layer>\d+)(?P<backward>_reverse)?$"
    ),
    "flax": re.compile(r"^(?P<path>.*?)(?P<name>dense_[ih][./](?:kernel|bias))(?:[./]value)?$"),
    "onnx": re.compile(r"^(?P<path>.*?)(?P<name>[WRB])$"),
}


def convert(
    arrays: Mapping[str, np.ndarray], source: str, target: str, *, reset_after: bool = True
) -> Converted:
    """Convert all layers that the arrays hold.

    Parameters
    ----------
    source, target : one of `LAYOUTS`
    reset_after : bool
        Of a GRU whose arrays do not tell: without bias, or from ONNX.

    Raises
    ------
    ConfigurationError
        When the arrays are not what the source has.
    NotRepresentable
        When the target has no place for them; the message names the clause.
    """
    stack = read(arrays, source, reset_after=reset_after)
    written = write(stack, target)
    back = write(read(written, target, reset_after=stack.reset_after), source)
    lost = sorted(
        name
        for name, array in stack.given.items()
        if name not in back or not np.array_equal(back[name], array)
    )
    return Converted(stack, written, lost)


def _spelled(layout: str, name: str, place: Place, places: Sequence[Place]) -> str:
    """What the array of one layer and direction is called in a file of all places; ONNX's hold both directions."""
    match layout:
        case "torch":
            return f"{name}_l{place.layer}" + ("_reverse" if place.backward else "")
        case "onnx":
            return f"{place.layer}.{name}" if max(places).layer else name
        case _:
            return place.name + name if len(places) > 1 else name


def read(arrays: Mapping[str, np.ndarray], source: str, *, reset_after: bool = True) -> Stack:
    """The Keras weights behind arrays of a layout."""
    found: dict[tuple[str, int, bool], Arrays] = {}
    ignored = []
    for name, array in arrays.items():
        match = _NAMES[source].match(name)
        if match is None:
            ignored.append(name)
            continue
        groups = match.groupdict()
        key = groups["path"], int(groups.get("layer") or 0), bool(groups.get("backward"))
        found.setdefault(key, {})[groups["name"].replace("/", ".")] = np.asarray(array)
    if not found:
        raise ConfigurationError(
            f"no weights of a {source} layer among {', '.join(list(arrays)[:8]) or 'no arrays'}; expected names such as {_example(source)}"
        )
    read_one = _READERS[source]
    layer = _layer(next(iter(found.values())), source)
    if source == "keras":
        shapes = {own["bias"].ndim for own in found.values() if "bias" in own}
        reset_after = shapes == {2} if shapes and layer == "GRU" else reset_after
    stack = Stack(layer, reset_after, {}, ignored)
    placed = _placed(found, source)
    for place, own in placed:
        try:
            for direction, weights in enumerate(read_one(layer, own, reset_after)):
                stack.weights[Place(place.layer, place.backward or direction == 1)] = {
                    name: np.ascontiguousarray(a) for name, a in weights.items()
                }
        except (KeyError, ValueError, IndexError) as error:
            raise ConfigurationError(f"layer {place.layer} of the {source} weights: {error!r}") from error
    places = [place for place, _ in placed]
    stack.given = {
        _spelled(source, name, place, places): array for place, own in placed for name, array in own.items()
    }
    return stack


def _example(source: str) -> str:
    return {"keras": "kernel", "torch": "weight_ih_l0", "flax": "dense_i.kernel", "onnx": "W"}[source]


def _layer(own: Arrays, source: str) -> str:
    """By the number of gates: columns of the recurrent kernel over units."""
    name, axes = {
        "keras": ("recurrent_kernel", (0, 1)),
        "torch": ("weight_hh", (1, 0)),
        "flax": ("dense_h.kernel", (0, 1)),
        "onnx": ("R", (2, 1)),
    }[source]
    if name not in own:
        raise ConfigurationError(f"{name} is missing among {', '.join(own)}")
    shape = own[name].shape
    try:
        gates = shape[axes[1]] / shape[axes[0]]
        return {4.0: "LSTM", 3.0: "GRU"}[gates]
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise ConfigurationError(f"{name} has shape {shape}: neither of an LSTM nor of a GRU") from error


def _natural(text: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def _placed(found: Mapping[tuple[str, int, bool], Arrays], source: str) -> list[tuple[Place, Arrays]]:
    """Layers by their paths, in natural order; a path with ``backward`` in it is the other direction of the one with ``forward``."""
    if source == "torch":
        paths = sorted({path for path, _, _ in found})
        if len(paths) > 1:
            raise ConfigurationError(
                f"the file has the layers {', '.join(map(repr, paths))}: choose one with --prefix"
            )
        return [(Place(layer, backward), own) for (_, layer, backward), own in sorted(found.items())]
    layers = sorted({path.replace("backward", "forward") for path, _, _ in found}, key=_natural)
    return [
        (Place(layers.index(path.replace("backward", "forward")), "backward" in path), own)
        for (path, _, _), own in found.items()
    ]


def _from_torch(layer: str, own: Arrays, reset_after: bool) -> list[Arrays]:
    return [layouts.from_torch(layer, {f"{name}_l0": a for name, a in own.items()})]


def _from_onnx(layer: str, own: Arrays, reset_after: bool) -> list[Arrays]:
    return [
        layouts.from_onnx(layer, {name: a[d : d + 1] for name, a in own.items()}, reset_after=reset_after)
        for d in range(len(own["W"]))
    ]


_READERS: Mapping[str, Callable[[str, Arrays, bool], list[Arrays]]] = {
    "keras": lambda layer, own, reset_after: [
        {name: own[name] for name in ("kernel", "recurrent_kernel", "bias") if name in own}
    ],
    "torch": _from_torch,
    "flax": lambda layer, own, reset_after: [layouts.from_flax(layer, own)],
    "onnx": _from_onnx,
}


def _to_flax(stack: Stack, weights: Arrays) -> Arrays:
    own = layouts.to_flax(stack.layer, weights, reset_after=stack.reset_after)
    if stack.layer == "GRU" and "dense_h.bias" in own:
        raise NotRepresentable(
            "flax.nnx.GRUCell has no bias for the recurrent product of the candidate", "MAP-FLAX-3"
        )
    return own


_WRITERS: Mapping[str, Callable[[Stack, Arrays], Arrays]] = {
    "keras": lambda stack, weights: weights,
    "torch": lambda stack, weights: layouts.to_torch(stack.layer, weights, reset_after=stack.reset_after),
    "flax": _to_flax,
    "onnx": lambda stack, weights: layouts.to_onnx(stack.layer, weights, reset_after=stack.reset_after),
}


def write(stack: Stack, target: str) -> Arrays:
    """Arrays of a layout."""
    places = sorted(stack.weights)
    result: Arrays = {}
    for place in places:
        for name, array in _WRITERS[target](stack, stack.weights[place]).items():
            spelled = _spelled(target, name.removesuffix("_l0"), place, places)
            earlier = result.get(spelled)  # the other direction of ONNX
            result[spelled] = array if earlier is None else np.concatenate([earlier, array])
    return {name: np.ascontiguousarray(array) for name, array in result.items()}


def load(path: Path) -> Arrays:
    """The arrays of a ``.safetensors`` or ``.npz`` file.

    Raises
    ------
    ConfigurationError
        When it is none.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return dict(load_file(path))
    except Exception as error:
        raise ConfigurationError(f"cannot read {path}: {type(error).__name__}: {error}") from error
    raise ConfigurationError(f"{path} is no {' or '.join(FORMS)} file: save the weights as one of them first")


def save(path: Path, arrays: Arrays) -> None:
    """Write the arrays, and read them back.

    Raises
    ------
    ConfigurationError
        For another kind of file, or when what is read back differs.
    """
    unfinished = path.with_name(f".part-{path.name}")
    try:
        if path.suffix == ".npz":
            np.savez(unfinished, **arrays)  # type: ignore[arg-type]
        elif path.suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, unfinished)
        else:
            raise ConfigurationError(f"{path}: weights are written as {' or '.join(FORMS)}")
        again = load(unfinished)
        if again.keys() != arrays.keys() or any(again[n].tobytes() != a.tobytes() for n, a in arrays.items()):
            raise ConfigurationError(f"{path}: what was written does not read back")
        unfinished.replace(path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
