"""An adapter and its models on this side of the pipe: what `rnn_conformance.judging.bench.Bench` and the families work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from rnn_conformance.contract.adapter import (
    Adapter,
    Description,
    Gradients,
    LayerSpec,
    Model,
    Script,
    Unsupported,
    mark_refusal,
)
from rnn_conformance.contract.capabilities import Capabilities
from rnn_conformance.contract.lengths_model import VIEWS, Lesson, Pulled
from rnn_conformance.contract.tensors import TensorError, decode, encode
from rnn_conformance.errors import AdapterFault, AdapterUnavailable, Ended, Refusal
from rnn_conformance.running import expressible, fields
from rnn_conformance.running.composed import LAYOUTS, Composed, native
from rnn_conformance.running.composition import Carrying
from rnn_conformance.running.session import Session, clean

T = TypeVar("T")

# After these a layer is not as it was built.
CHANGING = ("learn", "train", "rewind")

# Requests that capabilities name.
NAMED = {
    "gradients": "gradients",
    "vjp": "gradients",
    "fit": "fit",
    "learn": "fit",
    "predict": "predict",
    "train": "training",
    "call_lengths": "lengths",
}


class RemoteAdapter(Adapter):
    """The adapter in a session's process.

    Raises
    ------
    AdapterUnavailable
        When it cannot start.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._said = session.describe()
        self._level, self._layout = self._said.get("level", "model"), self._said.get("layout", "keras")
        self._can, self._offered = self._capabilities(), self._switches()
        self._last: tuple[str, RemoteModel] | None = None

    @property
    def is_keras(self) -> bool:  # type: ignore[override]
        return self._said.get("is_keras") is True

    @property
    def is_composed(self) -> bool:
        """Whether it has layers of lengths, around which the suite does the rest."""
        return bool(self._level == "lengths")

    def _capabilities(self) -> Capabilities | None:
        message = self._said.get("capabilities")
        try:
            if self._level not in ("model", "lengths") or (self._level == "lengths" and message is None):
                raise ValueError(f"level {self._level!r} is not model, nor lengths with capabilities")
            if self._layout not in LAYOUTS:
                raise ValueError(f"layout {self._layout!r} is none of {', '.join(LAYOUTS)}")
            if message is not None and not isinstance(message, Mapping):
                raise ValueError("capabilities are an object")
            return None if message is None else Capabilities.from_json(message)
        except ValueError as error:
            raise AdapterUnavailable(f"adapter {self.session.ref.name!r} cannot start: {error}") from error

    def _switches(self) -> dict[str, list[str]]:
        """The switches that the adapter offers, and their values.

        Raises
        ------
        AdapterUnavailable
            Where one is asked for that is not offered.
        """
        ref, said = self.session.ref, self._said.get("settings") or {}
        if not isinstance(said, Mapping) or not all(isinstance(v, list) and v for v in said.values()):
            raise AdapterUnavailable(
                f"adapter {ref.name!r} cannot start: settings are an object of lists of values"
            )
        offered = {clean(k, 80): [clean(v, 80) for v in values] for k, values in said.items()}
        for name, value in ref.settings:
            if value not in offered.get(name, ()):
                known = "; ".join(f"{k}={'|'.join(values)}" for k, values in offered.items())
                raise AdapterUnavailable(
                    f"adapter {ref.name!r} has no setting {name}={value}; it has {known or 'none'}"
                )
        return offered

    @cached_property
    def description(self) -> Description:
        """What the adapter said of itself.

        Raises
        ------
        AdapterUnavailable
            When that is no description.
        """
        said = self._said
        try:
            devices, dtypes = said["devices"], said["dtypes"]
            if not (isinstance(devices, list) and devices and isinstance(dtypes, Mapping)):
                raise TypeError("devices must be a list with at least one name, dtypes an object")
            return Description(
                framework=clean(said["framework"], 80),
                version=clean(said["version"], 80),
                devices=[clean(device, 80) for device in devices],
                dtypes={clean(k, 80): None if v is None else clean(v, 400) for k, v in dtypes.items()},
                packages={clean(k, 80): clean(v, 80) for k, v in dict(said.get("packages") or {}).items()},
                notes=[clean(note, 400) for note in said.get("notes") or ()],
                capabilities=self._can,
                settings={k: values[0] for k, values in self._offered.items()}
                | dict(self.session.ref.settings),
                offered=self._offered,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AdapterUnavailable(
                f"adapter {self.session.ref.name!r} cannot start: what it says of itself is no description: {error!r}"
            ) from error

    def describe(self) -> Description:
        return self.description

    def ask(self, spec: LayerSpec) -> None:
        """Raise `Unsupported` where the capabilities do not name what a spec asks for; nothing is built."""
        if self._can is not None:
            expressible.check(self._can, spec, composed=self.is_composed)

    def build(self, spec: LayerSpec) -> Model:
        is_composed = self.is_composed
        self.ask(spec)
        if is_composed and spec.arguments.get("stateful"):
            return Carrying(self.build, spec)
        if self._can is None or not is_composed:
            return self._built(spec)
        own = native(spec, self._can)
        return Composed(self._shared(own), spec, own, self._layout, self._can)

    def _built(self, spec: LayerSpec) -> RemoteModel:
        model = RemoteModel(self.session, spec, self._can)
        model.request("build", spec=fields.of_spec(spec))
        model.built()
        return model

    def _shared(self, own: LayerSpec) -> RemoteModel:
        """A layer of lengths; the one that was built last, where only what is shown of it differs, which is not its business."""
        # A network may merge by what is shown; arrays are not told apart by how they are written.
        if own.seed is not None or own.is_network or "weights" in own.arguments:
            self._last = None
            return self._built(own)
        shown = {name: value for name, value in own.arguments.items() if name not in VIEWS}
        key = repr(replace(own, arguments=shown))  # neither 4.0 nor True is what equals it
        if self._last is None or self._last[0] != key or not self._last[1].is_fresh:
            self._last = None  # stays so where the build fails
            self._last = key, self._built(own)
        return self._last[1]

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        found = RemoteModel(self.session, spec).request(
            "script", spec=fields.of_spec(spec), weights=fields.of_arrays(weights)
        )["script"]
        if found is None:
            return None
        arrays = {name: decode(tensor) for name, tensor in found["arrays"].items()}
        return Script(found["values"], arrays, found["gradients"])


class RemoteModel(Model):
    """A layer in the session's process; gone when that ends, or builds another.

    Attributes
    ----------
    changed : str
        The argument of the last call that the implementation wrote to (CALL-1).
    """

    def __init__(self, session: Session, spec: LayerSpec, can: Capabilities | None = None) -> None:
        self._session, self._spec, self._can = session, spec, can
        self._start: int | None = None
        self._unchanged = True
        self._weights: dict[str, Any] | None = None  # those that it keeps
        self.changed = ""

    def built(self) -> None:
        """From now on the process must be the one that it is now."""
        self._start = self._session.starts

    @property
    def is_there(self) -> bool:
        """Whether the process that built it lives."""
        return self._session.is_alive and self._session.starts == self._start

    def forget(self) -> None:
        self._unchanged = False

    @property
    def is_fresh(self) -> bool:
        """Whether it is there, and as it was built but for its weights; nothing went wrong in it either."""
        return self._unchanged and self.is_there

    def request(self, do: str, **content: Any) -> dict[str, Any]:
        """The content of the answer.

        Raises
        ------
        Unsupported, Refusal, AdapterFault, Ended
        """
        if self._can is not None and do in NAMED:
            expressible.demand(self._can, NAMED[do])
        if self._start is not None and not self.is_there:
            raise Ended("crash", "the process died after its last answer")
        unchanged, self._unchanged = self._unchanged and do not in CHANGING, False
        answer = self._session.ask(do, **content)
        if isinstance(answer.get("ok"), Mapping):
            self._unchanged = unchanged
            found = dict(answer["ok"])
            self.mode = "composed" if found.get("mode") == "composed" else "native"
            self.path = None if found.get("path") is None else clean(found["path"], 80)
            return found
        if isinstance(no := answer.get("unsupported"), Mapping):
            raise Unsupported(clean(no.get("reason", ""), 400), clean(no.get("clause", ""), 40))
        if isinstance(error := answer.get("refused"), Mapping):
            raise mark_refusal(Refusal(fields.described(error), clean(error.get("text", ""))))
        if isinstance(error := answer.get("error"), Mapping):
            raise AdapterFault(f"the adapter itself raised, not the framework: {fields.described(error)}")
        raise AdapterFault(
            f"the answer to {do} is neither ok, unsupported, refused nor error: {sorted(answer)[:8]}"
        )

    def _from(self, found: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> T:
        """A field of an answer.

        Raises
        ------
        AdapterFault
            When it is missing, or not what it should be.
        """
        try:
            return read(found[name])
        except TensorError as error:
            raise AdapterFault(f"{name} of the answer: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AdapterFault(f"the answer has no {name} as the contract asks for it: {error!r}") from error

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.give(weights)

    def give(self, weights: Mapping[str, np.ndarray]) -> None:
        """Weights in the adapter's own layout."""
        self._set(fields.of_arrays(weights))

    def keep(self, weights: Mapping[str, np.ndarray]) -> None:
        """The same, unless it has them: for a layer that cases share."""
        messages = fields.of_arrays(weights)
        if messages != self._weights or not self.is_fresh:
            self._set(messages)
            self._weights = messages

    def _set(self, messages: dict[str, Any]) -> None:
        self._weights = None  # stays so where it fails
        self.request("set_weights", weights=messages)

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        return self._called(fields.of_call(inputs, mask, initial_state))

    def call_training(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        training: bool | None,
    ) -> list[np.ndarray]:
        if self._can is not None:
            expressible.demand(self._can, "training")
        return self._called(fields.of_call(inputs, mask, initial_state) | {"training": training})

    def _called(self, content: dict[str, Any]) -> list[np.ndarray]:
        found = self.request("call", **content)
        self.changed = clean(found.get("changed") or "", 40)
        return self._from(found, "outputs", fields.arrays)

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of a layer of lengths: outputs of each direction, or of both together, and final states."""
        found = self.request("run", **fields.of_rows(inputs, lengths, states))
        self.changed = clean(found.get("changed") or "", 40)
        outputs, finals = (
            self._from(found, "outputs", fields.arrays),
            self._from(found, "states", fields.arrays),
        )
        wanted = self._spec.state_count * self._spec.num_layers * (1 + self._spec.bidirectional)
        if not 1 <= len(outputs) <= 1 + self._spec.bidirectional or len(finals) != wanted:
            raise AdapterFault(
                f"run returned {len(outputs)} outputs and {len(finals)} states, expected one of each direction and {wanted}"
            )
        if inputs.ndim == 3 and any(array.ndim != 3 for array in outputs):
            raise AdapterFault(f"run returned outputs of rank {outputs[0].ndim}, expected [B, T, U]")
        return outputs, finals

    def vjp(
        self,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        states: Sequence[np.ndarray] | None,
        outputs: np.ndarray,
        finals: Sequence[np.ndarray],
    ) -> Pulled:
        """Of a layer of lengths: results, and gradients in its own layout."""
        seeds = {"outputs": encode(outputs), "finals": [encode(seed) for seed in finals]}
        found = self.request("vjp", **fields.of_rows(inputs, lengths, states), **seeds)
        (output,) = self._from(found, "outputs", fields.arrays)
        return Pulled(
            output,
            self._from(found, "states", fields.arrays),
            self._from(found, "inputs", decode),
            self._from(found, "initial_state", fields.arrays),
            self._from(found, "weights", fields.named),
        )

    def learn(self, lesson: Lesson, learning_rate: float) -> None:
        """Of a layer of lengths: one update."""
        arrays = {name: value for name, value in vars(lesson).items() if isinstance(value, np.ndarray)}
        self.request("learn", **fields.of_arrays(arrays), last=lesson.last, learning_rate=learning_rate)

    def weights(self) -> dict[str, np.ndarray]:
        """Of a layer of lengths: its weights in its own layout."""
        return self._from(self.request("weights"), "weights", fields.named)

    def shapes(self) -> dict[str, list[list[int | None]]]:
        """Of a layer of lengths: static shapes of outputs and of one state."""
        return self._from(self.request("shapes"), "shapes", dict)

    def train(self, training: bool | None) -> None:
        """Of a layer of lengths: its mode."""
        self.request("train", training=training)

    def call_lengths(self, inputs: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        found = self.request("call_lengths", inputs=encode(inputs), lengths=encode(lengths))
        return self._from(found, "outputs", fields.arrays)

    def gradients(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        cotangents: Sequence[np.ndarray],
    ) -> Gradients:
        seeds = [encode(seed) for seed in cotangents]
        found = self.request("gradients", **fields.of_call(inputs, mask, initial_state), cotangents=seeds)
        return Gradients(
            self._from(found, "outputs", fields.arrays),
            self._from(found, "inputs", decode),
            self._from(found, "initial_state", fields.arrays),
            self._from(found, "weights", fields.named),
            self._from(found, "losses", decode),
        )

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int | None,
        learning_rate: float,
        mask: np.ndarray | None = None,
    ) -> tuple[dict[str, np.ndarray], int]:
        given: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate}
        if mask is not None:
            given["mask"] = encode(mask)
        found = self.request("fit", inputs=encode(inputs), targets=encode(targets), **given)
        return self._from(found, "weights", fields.named), self._from(found, "updates", fields.count)

    def predict(self, inputs: np.ndarray, batch_size: int | None) -> tuple[list[np.ndarray], int]:
        found = self.request("predict", inputs=encode(inputs), batch_size=batch_size)
        return self._from(found, "outputs", fields.arrays), self._from(found, "batches", fields.count)

    def initial_weights(self) -> Mapping[str, np.ndarray]:
        return self._from(self.request("initial_weights"), "weights", fields.named)

    def weight_shapes(self) -> Mapping[str, Sequence[int]]:
        return self._from(self.request("weight_shapes"), "shapes", dict)

    def static_shapes(self) -> Mapping[str, Sequence[Sequence[int | None]]]:
        return self._from(self.request("static_shapes"), "shapes", dict)

    def reset_states(self) -> None:
        self.request("reset_states")

    def rewind(self) -> None:
        self.request("rewind")
