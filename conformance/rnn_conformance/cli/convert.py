"""``rnn-conformance convert``."""

from __future__ import annotations

from pathlib import Path

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json
from rnn_conformance.errors import ConfigurationError, Exit

# Those of rnn_conformance.guide.conversion, which --help does without.
LAYOUTS = ("keras", "torch", "flax", "onnx", "openvino", "mxnet", "cudnn")


@click.command("convert")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "from_", type=click.Choice(LAYOUTS), required=True)
@click.option("--to", type=click.Choice(LAYOUTS), required=True)
@click.option("--prefix", default="", help="Convert only the arrays whose names begin so, and leave it away.")
@click.option(
    "--reset-after/--no-reset-after",
    default=True,
    show_default=True,
    help="Of a GRU whose weights do not tell: without bias, or arrays of ONNX.",
)
@click.option(
    "--layer",
    type=click.Choice(["LSTM", "GRU"]),
    help="From cuDNN, whose buffer has no names: of what layer it is.",
)
@click.option("--units", type=click.IntRange(1), help="From cuDNN: the units.")
@click.option("--num-layers", type=click.IntRange(1), default=1, help="From cuDNN: how many layers.")
@click.option("--bidirectional", is_flag=True, help="From cuDNN: two directions.")
@click.option("--no-bias", is_flag=True, help="From cuDNN: without biases.")
@click.option(
    "--check",
    is_flag=True,
    help="Run random input through every layer on both sides, each side's arrays in its own framework where that is installed, and compare by z; exit status 1 where they differ.",
)
@format_option
def command(
    source: Path,
    target: Path,
    from_: str,
    to: str,
    prefix: str,
    reset_after: bool,
    layer: str | None,
    units: int | None,
    num_layers: int,
    bidirectional: bool,
    no_bias: bool,
    check: bool,
    style: str | None,
) -> int:
    """Convert weights of LSTM and GRU layers between frameworks' layouts.

    IN is an .npz or .safetensors file, or a framework's own: .pt (a state_dict), .onnx, .keras, .h5, which take that framework's package; OUT .npz or .safetensors.

    Stacks and both directions are found by the arrays' names. The result is converted back and compared: what is not kept is told. What the target has
    no place for is refused, with the clause.
    """
    from rnn_conformance.guide import checking
    from rnn_conformance.guide.conversion import Flat, convert
    from rnn_conformance.guide.files import load, reset_after_of, save

    if from_ == "cudnn" and (layer is None or units is None):
        raise click.UsageError("cuDNN's buffer has no names: --from cudnn needs --layer and --units")
    flat = Flat(layer, units, num_layers, bidirectional, not no_bias) if layer and units else None

    arrays = {name.removeprefix(prefix): a for name, a in load(source).items() if name.startswith(prefix)}
    told = reset_after_of(source) if from_ == "onnx" else None
    reset_after = reset_after if told is None else told
    try:
        found = convert(arrays, from_, to, reset_after=reset_after, flat=flat)
    except ValueError as reason:  # NotRepresentable
        clause = getattr(reason, "clause", "")
        raise ConfigurationError(f"{to} cannot hold these weights: {reason} ({clause})") from reason
    save(target, found.arrays)
    stack = found.stack
    checked = []
    if check:
        for layout, own in ((from_, arrays), (to, load(target))):
            checked += checking.check(own, layout, stack)
    if is_pretty(style):
        kind = stack.layer + (f" (reset_after={stack.reset_after})" if stack.layer == "GRU" else "")
        click.echo(f"{kind}, {len(stack.weights)} layers or directions, from {from_} to {to}: {target}")
        for place, path in sorted(stack.origins.items()):
            if path:
                click.echo(f"  layer {place.layer}: {path}")
        for name, array in found.arrays.items():
            click.echo(f"  {name} {tuple(array.shape)} {array.dtype}")
        click.echo(
            f"not kept, as {to} has no place for them: {', '.join(found.lost)}"
            if found.lost
            else "lossless: converting back gives the same arrays"
        )
        for one in checked:
            z = "" if one.z is None else f": z {one.z:.2f} (limit 8)"
            where = f"{one.layout} {one.place.name.removesuffix('.')}" + (
                f" on {one.adapter}" if one.adapter else ""
            )
            click.echo(f"{where}: {one.verdict}{z}{': ' if one.message else ''}{one.message}")
        if stack.ignored:
            click.echo(f"no weights of these layers: {', '.join(stack.ignored[:20])}")
    else:
        print_json(
            {
                "schema": "convert-1",
                "out": str(target),
                "layer": stack.layer,
                "reset_after": stack.reset_after if stack.layer == "GRU" else None,
                "places": [place.name for place in sorted(stack.weights)],
                "origins": {place.name: path for place, path in sorted(stack.origins.items())},
                "arrays": {name: list(array.shape) for name, array in found.arrays.items()},
                "lossless": not found.lost,
                "not_kept": found.lost,
                "ignored": stack.ignored,
                "checked": [vars(one) | {"place": one.place.name} for one in checked],
            }
        )
    shown = [one for one in checked if one.verdict == "pass"]
    return Exit.UNEXPECTED if check and (any(one.is_wrong for one in checked) or not shown) else Exit.EXPECTED
