"""What error messages of the frameworks mean: ``spec/messages.toml``, searched."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

from rnn_fixtures.locations import SPEC

FILE = "messages.toml"
# Messages that share fewer of their words than this are not called similar.
SIMILAR = 0.5


@dataclass(frozen=True)
class Message:
    """An error message, and what is to be said of it.

    Attributes
    ----------
    frameworks : tuple of str
        Names of the adapters whose frameworks say it; the first is the one in which ``wrong`` and ``right`` run.
    pattern : str
        A regular expression that the message contains, in what Python and JavaScript have in common.
    text : str
        The message, as the first of the frameworks words it.
    wrong, right : str
        The shortest code that provokes it, and the same without the fault.
    """

    id: str
    frameworks: tuple[str, ...]
    pattern: str
    clause: str
    cause: str
    cure: str
    text: str
    wrong: str
    right: str


@cache
def messages(folder: Path = SPEC) -> tuple[Message, ...]:
    """All of them."""
    entries = tomllib.loads((folder / FILE).read_text("utf-8"))["message"]
    return tuple(Message(**entry | {"frameworks": tuple(entry["frameworks"])}) for entry in entries)


def normal(text: str) -> str:
    """A text without colours, and with single spaces."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def explained(text: str, framework: str | None = None) -> list[Message]:
    """The messages that a text contains, the longest part of it explained first.

    Parameters
    ----------
    text : str
        An error message, or a whole traceback.
    framework : str, optional
        Name of an adapter: what other frameworks say is left out.
    """
    flat = normal(text)
    found = []
    for message in messages():
        if framework is None or framework in message.frameworks:
            match = re.search(message.pattern, flat)
            if match:
                found.append((len(match[0]), message))
    return [message for _, message in sorted(found, key=lambda item: -item[0])]


def similar(text: str, most: int = 3) -> list[Message]:
    """Messages with many of the words of a text, for one that nothing explains."""
    words = normal(text).lower().split()
    scored = [(SequenceMatcher(None, words, normal(m.text).lower().split()).ratio(), m) for m in messages()]
    near = sorted((item for item in scored if item[0] >= SIMILAR), key=lambda item: -item[0])
    return [message for _, message in near[:most]]
