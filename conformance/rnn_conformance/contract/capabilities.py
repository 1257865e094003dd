"""What an adapter can do, as data: the suite decides from it what is ``unsupported``, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# What calls may carry, and what else may be asked of a model.
CALLS = (
    "mask",
    "lengths",
    "initial_state",
    "training",
    "gradients",
    "fit",
    "predict",
    "initial_weights",
    "static_shapes",
    "declared",
    "positional",
    # Of layers of lengths: outputs beyond the lengths are zeros by the framework's own doing.
    "padding",
    # Of layers of lengths: what must be refused (inputs of another rank, another number of states) is handed over as it is.
    "malformed",
)
ANY = "*"
# Arguments that change the order of the data alone: a layer of lengths may leave them to the suite.
FLIPS = ("time_major", "go_backwards")
# What two directions may come to (NET-3).
MERGE_MODES = ("concat", "sum", "mul", "ave", None)


@dataclass(frozen=True)
class Capabilities:
    """What is not named here is not asked for.

    Attributes
    ----------
    layers : sequence of "LSTM", "GRU"
    arguments : mapping
        Constructor argument, by tf.keras's name, to the values that are supported; "*" instead of a list stands for all. One that is absent is
        supported at its default alone.
    calls : sequence of str
        Of `CALLS`.
    num_layers : int
        The deepest stack (NET-1).
    bidirectional : bool
    merge_modes : sequence
        Of two directions (NET-3); None among them stands for two outputs.
    with_lengths : sequence of str
        Of ``time_major`` and ``go_backwards``, named among the arguments of a layer of lengths, those that the layer does itself for rows of
        lengths too. Without lengths it does all that it names.
    reasons : mapping
        Argument, value as "name=value", or call to (reason, clause): why something is not supported. "" stands for all other arguments; "{name}" and
        "{value}" in a reason are the argument's.
    """

    layers: Sequence[str] = ("LSTM", "GRU")
    arguments: Mapping[str, Sequence[Any] | str] = field(default_factory=dict)
    calls: Sequence[str] = ()
    num_layers: int = 1
    bidirectional: bool = False
    merge_modes: Sequence[str | None] = ("concat",)
    with_lengths: Sequence[str] = ()
    reasons: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The message."""
        return {
            "layers": list(self.layers),
            "arguments": {n: v if v == ANY else list(v) for n, v in self.arguments.items()},
            "calls": list(self.calls),
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "merge_modes": list(self.merge_modes),
            "with_lengths": list(self.with_lengths),
            "reasons": {name: list(why) for name, why in self.reasons.items()},
        }

    @classmethod
    def from_json(cls, message: Mapping[str, Any]) -> Capabilities:
        """From a message.

        Raises
        ------
        ValueError
            When it is none; the error says where.
        """

        def wrong(name: str) -> ValueError:
            return ValueError(f"capabilities.{name} is not what it should be: {message.get(name)!r}")

        plain = cls()
        for unknown in set(message) - set(vars(plain)):
            raise ValueError(f"capabilities has no field {unknown!r}")
        found = vars(plain) | dict(message)
        for name, allowed in (
            ("layers", ("LSTM", "GRU")),
            ("calls", CALLS),
            ("with_lengths", FLIPS),
        ):
            listed = isinstance(found[name], (list, tuple))
            if not listed or not all(isinstance(one, str) and one in allowed for one in found[name]):
                raise wrong(name)
        if not isinstance(found["arguments"], Mapping) or not all(
            values == ANY or isinstance(values, list) for values in found["arguments"].values()
        ):
            raise wrong("arguments")
        if type(found["num_layers"]) is not int or found["num_layers"] < 1:
            raise wrong("num_layers")
        if type(found["bidirectional"]) is not bool:
            raise wrong("bidirectional")
        if not isinstance(found["merge_modes"], (list, tuple)):
            raise wrong("merge_modes")
        reasons = found["reasons"]
        if not isinstance(reasons, Mapping) or not all(
            isinstance(why, (list, tuple)) and len(why) == 2 and all(isinstance(w, str) for w in why)
            for why in reasons.values()
        ):
            raise wrong("reasons")
        return cls(**found | {"reasons": {name: (why[0], why[1]) for name, why in reasons.items()}})
