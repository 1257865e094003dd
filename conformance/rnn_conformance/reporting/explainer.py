"""What the page of shapes knows: the reference's own rules, asked once for every layer and set of arguments, with letters for numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

from rnn_conformance.guide.messages import messages
from rnn_conformance.guide.shapes import Question, answers

FLAGS = ("use_bias", "reset_after", "return_sequences", "return_state", "time_major")
# Numbers by which letters are told apart: primes, none of them a small multiple of another, or a number of gates.
_PROBE = {"B": 103, "T": 107, "F": 109, "U": 113}


def knowledge() -> dict[str, Any]:
    """For every layer and set of arguments the shapes, what is learnt and the code, per framework; and the error messages.

    Dimensions are numbers, or a letter with a factor, as in ``4U``; code has ``{U}`` and ``{F}`` where these stand.
    """
    known = {}
    for layer, *values in product(("LSTM", "GRU"), *[(False, True)] * len(FLAGS)):
        flags = {flag: bool(value) for flag, value in zip(FLAGS, values, strict=True)}
        if layer == "LSTM" and not flags["reset_after"]:
            continue  # it has none
        p = _PROBE
        q = Question(str(layer), p["U"], p["F"], p["B"], p["T"], **flags)
        known[key(q)] = [
            {
                "framework": a.framework,
                "shapes": {name: [_letter(d) for d in shape] for name, shape in a.shapes.items()},
                "learnt": a.learnt,
                "code": a.code.replace(str(p["U"]), "{U}").replace(str(p["F"]), "{F}"),
                "reason": a.reason,
            }
            for a in answers(q)
        ]
    told = [
        {
            name: getattr(m, name)
            for name in ("id", "frameworks", "pattern", "clause", "cause", "cure", "right")
        }
        for m in messages()
    ]
    return {"flags": FLAGS, "known": known, "messages": told}


def key(q: Question) -> str:
    """Under which the answers to a question are kept."""
    q = replace(q, reset_after=True) if q.layer == "LSTM" else q
    return q.layer + "".join(str(int(getattr(q, flag))) for flag in FLAGS)


def _letter(dimension: int | None) -> int | str:
    if dimension is None:
        raise ValueError("probes have no unknown dimension")
    for letter, number in _PROBE.items():
        if dimension % number == 0:
            factor = dimension // number
            return letter if factor == 1 else f"{factor}{letter}"
    return dimension
