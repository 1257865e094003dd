"""How frameworks call and lay out the weights of a layer, as a table: names, and the way to the Keras layout and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from rnn_reference import layouts
from rnn_reference.layouts import MXNET_NAMES, NotRepresentable
from rnn_reference.shapes import WEIGHTS

Arrays = dict[str, np.ndarray]


class Place(NamedTuple):
    """A layer of a stack, and one of its directions."""

    layer: int
    backward: bool

    @property
    def name(self) -> str:
        """As the suite names it (NET-1): ``0.forward.``."""
        return f"{self.layer}.{'backward' if self.backward else 'forward'}."


def _by_path(name: str, place: Place, places: Sequence[Place]) -> str:
    return place.name + name if len(places) > 1 else name


def _by_operator(name: str, place: Place, places: Sequence[Place]) -> str:
    """Both directions are in one array."""
    return f"{place.layer}.{name}" if max(places).layer else name


def _directions(own: Arrays) -> list[Arrays]:
    return [{name: array[d : d + 1] for name, array in own.items()} for d in range(len(own["W"]))]


@dataclass(frozen=True)
class Named:
    """A layout whose arrays have names.

    Attributes
    ----------
    names : pattern
        Of the arrays of one layer and direction: ``name``, the ``path`` before it, where the name has them the number of the ``layer`` and whether it
        is ``backward``.
    example : str
        Such a name.
    recurrent : (str, int, int)
        The recurrent kernel's name, its axis of units, and that of units times gates.
    read : callable
        (layer, arrays of one place, reset_after) to the Keras weights of each direction that is in them.
    write : callable
        (layer, Keras weights, reset_after) to the arrays of one place.
    spelled : callable
        (name, place, all places) to what an array is called in a file of all places.
    directions : callable
        Arrays of one place to those of each direction that is in them.
    order, alone : sequence of str, callable
        In which order a layer takes its arrays, where that matters, and what it calls them where there is one alone.
    """

    names: re.Pattern[str]
    example: str
    recurrent: tuple[str, int, int]
    read: Callable[[str, Arrays, bool], list[Arrays]]
    write: Callable[[str, Arrays, bool], Arrays]
    spelled: Callable[[str, Place, Sequence[Place]], str] = _by_path
    directions: Callable[[Arrays], list[Arrays]] = lambda own: [own]
    order: Sequence[str] = ()
    alone: Callable[[str], str] = str


def _from_torch(layer: str, own: Arrays, reset_after: bool) -> list[Arrays]:
    return [layouts.from_torch(layer, {f"{name}_l0": array for name, array in own.items()})]


def _to_torch(layer: str, weights: Arrays, reset_after: bool) -> Arrays:
    found = layouts.to_torch(layer, weights, reset_after=reset_after)
    return {name.removesuffix("_l0"): array for name, array in found.items()}


def _from_mxnet(layer: str, own: Arrays, reset_after: bool) -> list[Arrays]:
    return _from_torch(layer, {torch: own[name] for torch, name in MXNET_NAMES.items() if name in own}, True)


def _to_mxnet(layer: str, weights: Arrays, reset_after: bool) -> Arrays:
    if layer == "GRU" and not reset_after:
        raise NotRepresentable(
            "MXNet's GRU applies the reset gate after the recurrent product only", "MAP-MXNET-1"
        )
    return {MXNET_NAMES[name]: array for name, array in _to_torch(layer, weights, reset_after).items()}


def _to_flax(layer: str, weights: Arrays, reset_after: bool) -> Arrays:
    own = layouts.to_flax(layer, weights, reset_after=reset_after)
    if layer == "GRU" and "dense_h.bias" in own:
        raise NotRepresentable(
            "flax.nnx.GRUCell has no bias for the recurrent product of the candidate", "MAP-FLAX-3"
        )
    return own


def _operator(read: Callable[..., Arrays], write: Callable[..., Arrays]) -> Named:
    """Of an operator's ``W``, ``R`` and ``B``, with both directions in each."""
    return Named(
        re.compile(r"^(?P<path>.*?)(?P<name>[WRB])$"),
        "W",
        ("R", 2, 1),
        lambda layer, own, reset_after: [
            read(layer, one, reset_after=reset_after) for one in _directions(own)
        ],
        lambda layer, weights, reset_after: write(layer, weights, reset_after=reset_after),
        _by_operator,
        _directions,
    )


NAMED: Mapping[str, Named] = {
    "keras": Named(
        re.compile(r"^(?P<path>.*?)(?P<name>recurrent_kernel|kernel|bias)(?::0)?$"),
        "kernel",
        ("recurrent_kernel", 0, 1),
        lambda layer, own, reset_after: [{name: own[name] for name in WEIGHTS if name in own}],
        lambda layer, weights, reset_after: weights,
        order=tuple(WEIGHTS),
    ),
    "torch": Named(
        re.compile(r"^(?P<path>.*?)(?P<name>(?:weight|bias)_[ih]h)_l(?P<layer>\d+)(?P<backward>_reverse)?$"),
        "weight_ih_l0",
        ("weight_hh", 1, 0),
        _from_torch,
        _to_torch,
        lambda name, place, places: f"{name}_l{place.layer}" + ("_reverse" if place.backward else ""),
        alone=lambda name: f"{name}_l0",
    ),
    "flax": Named(
        re.compile(r"^(?P<path>.*?)(?P<name>dense_[ih][./](?:kernel|bias))(?:[./]value)?$"),
        "dense_i.kernel",
        ("dense_h.kernel", 0, 1),
        lambda layer, own, reset_after: [layouts.from_flax(layer, own)],
        _to_flax,
    ),
    "onnx": _operator(layouts.from_onnx, layouts.to_onnx),
    "openvino": _operator(layouts.from_openvino, layouts.to_openvino),
    "mxnet": Named(
        re.compile(r"^(?P<path>.*?)(?:l|(?P<backward>r))(?P<layer>\d+)_(?P<name>[ih]2h_(?:weight|bias))$"),
        "l0_i2h_weight",
        ("h2h_weight", 1, 0),
        _from_mxnet,
        _to_mxnet,
        lambda name, place, places: f"{'r' if place.backward else 'l'}{place.layer}_{name}",
    ),
}
