"""``rnn-conformance shapes``."""

from __future__ import annotations

from typing import Any

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json, print_table
from rnn_conformance.errors import ConfigurationError


def _dimension(ctx: click.Context, parameter: click.Parameter, value: str) -> int | None:
    if value.lower() == "none":
        return None
    if value.isdecimal() and value.isascii() and int(value) > 0:
        return int(value)
    raise click.BadParameter(f"{value!r} is neither a positive integer nor None")


def _data(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int | None, ...] | None:
    if value is None:
        return None
    return tuple(
        _dimension(ctx, parameter, part.strip()) for part in value.strip("()[] ").split(",") if part.strip()
    )


@click.command("shapes")
@click.argument("layer", type=click.Choice(["LSTM", "GRU"], case_sensitive=False))
@click.option("--units", type=click.IntRange(min=1), required=True)
@click.option(
    "--data",
    callback=_data,
    metavar="B,T,F",
    help="Shape of the data, as in 32,10,4 or None,10,4: instead of --batch, --steps and --features.",
)
@click.option("--features", type=click.IntRange(min=1))
@click.option("--batch", callback=_dimension, default="None", show_default=True, help="A number, or None.")
@click.option("--steps", callback=_dimension, default="None", show_default=True, help="A number, or None.")
@click.option("--use-bias/--no-use-bias", default=True, show_default=True)
@click.option("--reset-after/--no-reset-after", default=True, show_default=True)
@click.option("--return-sequences/--no-return-sequences", default=False, show_default=True)
@click.option("--return-state/--no-return-state", default=False, show_default=True)
@click.option("--time-major/--no-time-major", default=False, show_default=True)
@format_option
def command(
    layer: str,
    data: tuple[int | None, ...] | None,
    features: int | None,
    batch: int | None,
    steps: int | None,
    style: str | None,
    **arguments: Any,
) -> None:
    """Input, output, state and weight shapes of a layer in Keras, PyTorch, Flax and ONNX side by side, and its numbers of parameters.

    Frameworks other than Keras return sequence and states always; arguments choose what is kept of them.
    """
    from rnn_conformance.guide.shapes import Question, answers

    layer = layer.upper()
    if data is not None:
        if features is not None or batch is not None or steps is not None:
            raise click.UsageError(
                "--data says what --batch, --steps and --features say: give one or the other"
            )
        try:
            question = Question.of_data(data, layer=layer, **arguments)
        except ValueError as error:
            raise ConfigurationError(f"{error}. {_advice(data)}") from error
    elif features is None:
        raise click.UsageError("missing --data, or --features")
    else:
        question = Question(layer, features=features, batch=batch, steps=steps, **arguments)
    found = answers(question)
    if not is_pretty(style):
        frameworks = {
            a.framework: {name: str(tuple(shape)) for name, shape in a.shapes.items()}
            if a.shapes
            else {"not expressible": a.reason}
            for a in found
        }
        asked = {"batch": question.batch, "steps": question.steps, "features": question.features, **arguments}
        print_json(
            {
                "schema": "shapes-1",
                "layer": layer,
                "arguments": asked,
                "frameworks": frameworks,
                "parameters": {a.framework: a.parameters for a in found},
                "code": {a.framework: a.code for a in found},
            }
        )
        return
    for a in found:
        rows = [(name, str(tuple(shape))) for name, shape in a.shapes.items()]
        rows.append(("parameters", f"{a.parameters:,}") if a.shapes else ("not expressible", a.reason))
        print_table(a.framework, ["array", "shape"], rows)
        if a.code:
            click.echo("\n".join(f"    {line}" for line in a.code.splitlines()) + "\n")


def _advice(data: tuple[int | None, ...]) -> str:
    """What to do about data that is not three-dimensional."""
    if len(data) == 2:
        return "One sequence [T, F] needs a batch of one, x[None]; sequences of single numbers [B, T] need a feature axis, x[..., None]"
    if len(data) > 3:
        return "Merge what belongs to one step into its features, x.reshape(B, T, -1), or leave out axes of length 1"
    return "An input is [batch, time, features]"
