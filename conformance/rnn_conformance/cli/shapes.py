"""``rnn-conformance shapes``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click
import numpy as np
from rnn_reference import layouts, shapes

from rnn_conformance.cli.common import format_option, is_pretty, print_json, print_table


def _spelled(shape: tuple[int | None, ...]) -> str:
    return str(tuple(shape))


def side_by_side(
    layer: str,
    units: int,
    batch: int | None,
    steps: int | None,
    features: int,
    *,
    use_bias: bool,
    reset_after: bool,
    return_sequences: bool,
    return_state: bool,
    time_major: bool,
) -> dict[str, dict[str, str]]:
    """Framework to (what to shape), from the SHAPE, WEIGHT and MAP clauses."""
    weights = {
        name: np.ones(shape)
        for name, shape in shapes.weight_shapes(
            layer, features, units, use_bias=use_bias, reset_after=reset_after
        ).items()
    }
    batch_major, time_first = (batch, steps, features), (steps, batch, features)
    own = time_first if time_major else batch_major
    views = {"return_sequences": return_sequences, "return_state": return_state}
    keras = {"input": _spelled(own)}
    outputs = shapes.output_shapes(layer, own, units, **views, time_major=time_major)
    keras |= {name: _spelled(shape) for name, shape in outputs.items()}
    keras |= {name: _spelled(array.shape) for name, array in weights.items()}
    states = shapes.state_names(layer)

    def native(
        convert: Callable[..., dict[str, np.ndarray]],
        rows: Mapping[str, tuple[int | None, ...]],
    ) -> dict[str, str]:
        try:
            converted = convert(layer, weights, reset_after=reset_after)
        except layouts.NotRepresentable as reason:
            return {"not expressible": f"{reason} ({reason.clause})"}
        return {k: _spelled(v) for k, v in rows.items()} | {
            k: _spelled(v.shape) for k, v in converted.items()
        }

    sequence = (steps, batch, units) if time_major else (batch, steps, units)
    flax_carry = tuple(reversed(states))  # Flax carries (c, h)
    return {
        "Keras": keras,
        f"torch.nn.{layer} (batch_first={not time_major})": native(
            layouts.to_torch,
            {"input": own, "output": sequence} | {f"{s}_n": (1, batch, units) for s in states},
        ),
        f"flax.nnx.RNN (time_major={time_major})": native(
            layouts.to_flax,
            {"input": own, "output": sequence} | {f"carry {s}": (batch, units) for s in flax_carry},
        ),
        "ONNX (layout=0)": native(
            layouts.to_onnx,
            {"X": time_first, "Y": (steps, 1, batch, units)} | {f"Y_{s}": (1, batch, units) for s in states},
        ),
    }


def _dimension(ctx: click.Context, parameter: click.Parameter, value: str) -> int | None:
    if value.lower() == "none":
        return None
    if value.isdecimal() and int(value) > 0:
        return int(value)
    raise click.BadParameter(f"{value!r} is neither a positive integer nor None")


@click.command("shapes")
@click.argument("layer", type=click.Choice(["LSTM", "GRU"], case_sensitive=False))
@click.option("--units", type=click.IntRange(min=1), required=True)
@click.option("--features", type=click.IntRange(min=1), required=True)
@click.option("--batch", callback=_dimension, default="None", show_default=True, help="A number, or None.")
@click.option("--steps", callback=_dimension, default="None", show_default=True, help="A number, or None.")
@click.option("--use-bias/--no-use-bias", default=True, show_default=True)
@click.option("--reset-after/--no-reset-after", default=True, show_default=True)
@click.option("--return-sequences/--no-return-sequences", default=False, show_default=True)
@click.option("--return-state/--no-return-state", default=False, show_default=True)
@click.option("--time-major/--no-time-major", default=False, show_default=True)
@format_option
def command(layer: str, style: str | None, **arguments: Any) -> None:
    """Input, output, state and weight shapes of a layer in Keras, PyTorch, Flax and ONNX, side by side.

    Frameworks other than Keras return sequence and states always; arguments choose what is kept of them.
    """
    table = side_by_side(layer.upper(), **arguments)
    if is_pretty(style):
        for framework, rows in table.items():
            print_table(framework, ["array", "shape"], list(rows.items()))
    else:
        print_json(
            {"schema": "shapes-1", "layer": layer.upper(), "arguments": arguments, "frameworks": table}
        )
