"""What requests and answers are made of (``spec/protocol.md``): arrays as tensors, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnn_conformance.contract.adapter import LayerSpec
from rnn_conformance.contract.tensors import decode, encode
from rnn_conformance.running.session import clean


def of_spec(spec: LayerSpec) -> dict[str, Any]:
    """The ``spec`` of a ``build`` request."""
    message = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    arguments = dict(spec.arguments)
    if isinstance(arguments.get("weights"), (list, tuple)):
        arguments["weights"] = [encode(array) for array in arguments["weights"]]
    return message | {
        "arguments": arguments,
        "size": dict(vars(spec.size)),
        "declared": dict(spec.declared),
        "positional": list(spec.positional),
    }


def of_arrays(given: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays by name."""
    return {name: encode(array) for name, array in given.items()}


def of_rows(
    inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
) -> dict[str, Any]:
    """What a layer of lengths is called with."""
    return of_call(inputs, None, states) | ({} if lengths is None else {"lengths": encode(lengths)})


def of_call(
    inputs: np.ndarray, mask: np.ndarray | None, initial_state: Sequence[np.ndarray] | None
) -> dict[str, Any]:
    """What a model is called with."""
    content: dict[str, Any] = {"inputs": encode(inputs)}
    if mask is not None:
        content["mask"] = encode(mask)
    if initial_state is not None:
        content["initial_state"] = [encode(state) for state in initial_state]
    return content


def arrays(messages: Any) -> list[np.ndarray]:
    """A list of tensors.

    Raises
    ------
    TypeError
        When it is none; these and the next are told as the adapter's fault (`rnn_conformance.running.remote.RemoteModel`).
    """
    if not isinstance(messages, list):
        raise TypeError("a list of tensors is wanted")
    return [decode(tensor) for tensor in messages]


def named(messages: Any) -> dict[str, np.ndarray]:
    """Tensors by name."""
    return {str(name): decode(tensor) for name, tensor in messages.items()}


def count(number: Any) -> int:
    """A whole number."""
    if type(number) is not int:
        raise TypeError("a whole number is wanted")
    return number


def described(error: Mapping[str, Any]) -> str:
    """Type, text and place of an error, on one line."""
    text = " ".join(clean(error.get("text", "")).split())
    where = clean(error.get("where", ""), 80)
    return f"{clean(error.get('type', ''), 80)}: {text[:400]}" + (f" ({where})" if where else "")
