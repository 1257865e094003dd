"""``rnn-conformance explain``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from rnn_conformance.cli.common import format_option, is_pretty, print_json
from rnn_conformance.errors import Exit

if TYPE_CHECKING:
    from rnn_conformance.guide.messages import Message

# The first is mostly the one; others are shown where they explain as much.
SHOWN = 3


@click.command("explain")
@click.argument("text")
@click.option(
    "--framework",
    default=None,
    metavar="ADAPTER",
    help="keras, tf-keras, torch, jax or onnxruntime: theirs alone.",
)
@format_option
def command(text: str, framework: str | None, style: str | None) -> int:
    """What a framework's error message means: clause, cause, cure.

    TEXT is the message, or a whole traceback; - reads it from standard input. Exit status 5 when nothing is known about it.
    """
    from rnn_conformance.guide.messages import explained, similar

    text = sys.stdin.read() if text == "-" else text
    found = explained(text, framework)[:SHOWN]
    near = [] if found else similar(text)
    if not is_pretty(style):
        print_json(
            {
                "schema": "explain-1",
                "messages": [_as_json(message) for message in found],
                "similar": [_as_json(message) for message in near],
            }
        )
    else:
        for message in found:
            _print(message)
        if not found:
            click.echo("Nothing is known about this message." + (" Similar ones:\n" if near else ""))
        for message in near:
            _print(message)
    return Exit.EXPECTED if found else Exit.NOTHING_SELECTED


def _as_json(message: Message) -> dict[str, Any]:
    return vars(message) | {"frameworks": list(message.frameworks)}


def _print(message: Message) -> None:
    click.echo(f"{', '.join(message.frameworks)}" + (f" ({message.clause})" if message.clause else ""))
    click.echo(f"  Message: {message.text.splitlines()[0][:160]}")
    click.echo(f"  Cause:   {message.cause}")
    click.echo(f"  Cure:    {message.cure}")
    click.echo("\n" + "\n".join(f"      {line}" for line in message.right.strip().splitlines()) + "\n")
