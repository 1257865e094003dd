"""Input, output, state and weight shapes of a layer in every framework, its numbers of parameters, and the code that makes it.

All of it follows from the reference's own rules: SHAPE, WEIGHT and MAP clauses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from rnn_reference import layouts, shapes
from rnn_reference.shapes import Shape


@dataclass(frozen=True)
class Question:
    """A layer, and what goes in.

    Attributes
    ----------
    batch, steps : int or None
        None where it is not known until data arrives.
    """

    layer: str
    units: int
    features: int
    batch: int | None = None
    steps: int | None = None
    use_bias: bool = True
    reset_after: bool = True
    return_sequences: bool = False
    return_state: bool = False
    time_major: bool = False

    @property
    def input(self) -> Shape:
        """As tf.keras's layer takes it."""
        first, second = (self.steps, self.batch) if self.time_major else (self.batch, self.steps)
        return first, second, self.features

    @classmethod
    def of_data(cls, data: Shape, **rest: bool | int | str) -> Question:
        """From the shape of the data.

        Raises
        ------
        ValueError
            For another number of dimensions than three, or unknown features (SHAPE-1).
        """
        shapes.check_input(data)
        first, second, features = data
        if features is None:
            raise ValueError("the number of features must be known (SHAPE-1)")
        batch, steps = (second, first) if rest.get("time_major") else (first, second)
        made = cls(str(rest.pop("layer")), int(rest.pop("units")), features, batch, steps)
        return replace(made, **rest)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Answer:
    """What one framework makes of it.

    Attributes
    ----------
    shapes : mapping
        Names of what goes in, comes out and is learnt to their shapes, in order; empty where the framework cannot express the layer.
    learnt : tuple of str
        The names of those that are learnt.
    reason : str
        Why the framework cannot, with the clause.
    """

    framework: str
    shapes: Mapping[str, Shape]
    learnt: tuple[str, ...]
    code: str
    reason: str = ""

    @property
    def parameters(self) -> int | None:
        """How many numbers are learnt; None where there is nothing."""
        if not self.shapes:
            return None
        return sum(math.prod(d or 0 for d in self.shapes[name]) for name in self.learnt)


def answers(q: Question) -> list[Answer]:
    """Keras, PyTorch, Flax and ONNX, in this order."""
    # Without a recurrent bias for a GRU's candidate, which Flax's cell has no place for (MAP-FLAX-3).
    weights = {
        name: np.zeros(shape)
        for name, shape in shapes.weight_shapes(
            q.layer, q.features, q.units, use_bias=q.use_bias, reset_after=q.reset_after
        ).items()
    }
    outputs = shapes.output_shapes(
        q.layer,
        q.input,
        q.units,
        return_sequences=q.return_sequences,
        return_state=q.return_state,
        time_major=q.time_major,
    )
    states = shapes.state_names(q.layer)
    time_first = (q.steps, q.batch, q.features)
    sequence = (q.steps, q.batch, q.units) if q.time_major else (q.batch, q.steps, q.units)
    own = {name: array.shape for name, array in weights.items()}
    found = [Answer("Keras", {"input": q.input, **outputs, **own}, tuple(own), _keras(q))]

    def native(
        name: str, convert: Callable[..., dict[str, np.ndarray]], rows: Mapping[str, Shape], code: str
    ) -> None:
        try:
            converted = convert(q.layer, weights, reset_after=q.reset_after)
        except layouts.NotRepresentable as reason:
            found.append(Answer(name, {}, (), "", f"{reason} ({reason.clause})"))
            return
        learnt = {key: array.shape for key, array in converted.items()}
        found.append(Answer(name, {**rows, **learnt}, tuple(learnt), code))

    finals: dict[str, Shape] = {f"{s}_n": (1, q.batch, q.units) for s in states}
    native(
        f"torch.nn.{q.layer} (batch_first={not q.time_major})",
        layouts.to_torch,
        {"input": q.input, "output": sequence} | finals,
        _torch(q),
    )
    carry: dict[str, Shape] = {
        f"carry {s}": (q.batch, q.units) for s in reversed(states)
    }  # Flax carries (c, h)
    native(
        f"flax.nnx.RNN (time_major={q.time_major})",
        layouts.to_flax,
        {"input": q.input, "output": sequence} | carry,
        _flax(q),
    )
    native(
        "ONNX (layout=0)",
        layouts.to_onnx,
        {"X": time_first, "Y": (q.steps, 1, q.batch, q.units)}
        | {f"Y_{s}": (1, q.batch, q.units) for s in states},
        _onnx(q),
    )
    return found


def _last(q: Question) -> str:
    """What a user of a framework that returns the sequence always keeps of it."""
    if q.return_sequences:
        return ""
    return "\noutput = output[-1]" if q.time_major else "\noutput = output[:, -1]"


def _keras(q: Question) -> str:
    changed = {
        "use_bias": (q.use_bias, True),
        "reset_after": (q.reset_after or q.layer == "LSTM", True),
        "return_sequences": (q.return_sequences, False),
        "return_state": (q.return_state, False),
        "time_major": (q.time_major, False),
    }
    given = "".join(f", {name}={value}" for name, (value, default) in changed.items() if value != default)
    package = "tf_keras" if q.time_major else "keras"
    names = ["output", *(shapes.state_names(q.layer) if q.return_state else ())]
    note = "  # Keras 2: Keras 3 has no time_major" if q.time_major else ""
    return f"import {package}{note}\n\nlayer = {package}.layers.{q.layer}({q.units}{given})\n{', '.join(names)} = layer(x)"


def _torch(q: Question) -> str:
    given = ("" if q.use_bias else ", bias=False") + ("" if q.time_major else ", batch_first=True")
    finals = "(h_n, c_n)" if q.layer == "LSTM" else "h_n"
    return f"import torch\n\nlayer = torch.nn.{q.layer}({q.features}, {q.units}{given})\noutput, {finals} = layer(x){_last(q)}"


def _flax(q: Question) -> str:
    cell = "OptimizedLSTMCell" if q.layer == "LSTM" else "GRUCell"
    carry = "(c, h)" if q.layer == "LSTM" else "h"
    major = ", time_major=True" if q.time_major else ""
    note = "" if q.use_bias else "  # its biases stay: keep them zero"
    return (
        f"from flax import nnx\n\ncell = nnx.{cell}({q.features}, {q.units}, rngs=nnx.Rngs(0)){note}\n"
        f"layer = nnx.RNN(cell, return_carry=True{major})\n{carry}, output = layer(x){_last(q)}"
    )


def _onnx(q: Question) -> str:
    names = '"X", "W", "R"' + (', "B"' if q.use_bias else "")
    outputs = ", ".join(f'"{name}"' for name in ("Y", *(f"Y_{s}" for s in shapes.state_names(q.layer))))
    reset = ", linear_before_reset=1" if q.layer == "GRU" and q.reset_after else ""
    return f'from onnx import helper\n\nnode = helper.make_node("{q.layer}", [{names}], [{outputs}], hidden_size={q.units}{reset})'
