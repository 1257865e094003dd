"""A Python adapter behind the protocol: reads requests, one JSON object a line, and answers each (``spec/protocol.md``).

``python -m rnn_conformance.contract.serving TARGET FOLDER REQUESTS ANSWERS``: the adapter's ``module:Class`` or ``path.py:Class``, a folder to import
it from ("" for none), and the two ends of pipes that nobody else knows, as file descriptors. What the adapter prints reaches neither.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rnn_conformance.contract.adapter import Adapter, LayerSpec, Model, Size, Unsupported, is_refusal
from rnn_conformance.contract.lengths_model import LengthsModel, Lesson
from rnn_conformance.contract.tensors import decode, encode

VERSION = 1
# Longer texts are cut, here and by the suite.
TEXT = 20_000


class NotStarted(Exception):
    """The adapter cannot start; ``missing`` where something is not installed."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


class ContractError(Exception):
    """The adapter returned something that the contract does not allow; the message says what."""


def load(target: str, folder: str) -> Adapter:
    """The adapter that a target names.

    Raises
    ------
    NotStarted
        When it cannot be imported, or is no adapter.
    """
    if folder:
        sys.path.insert(0, folder)
    where, _, attribute = target.rpartition(":")
    try:
        instance = getattr(_module(where), attribute)()
    except ImportError as error:
        raise NotStarted(str(error), missing=True) from error
    except Exception as error:
        raise NotStarted(f"{type(error).__name__}: {error}") from error
    if not isinstance(instance, Adapter):
        raise NotStarted(f"{target} is not a subclass of rnn_conformance.contract.adapter.Adapter")
    return instance


def _module(where: str) -> Any:
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise NotStarted(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


class Server:
    """One adapter, and the model that it built last."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._model: Model | LengthsModel | None = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What a request comes to: ``ok``, ``unsupported``, ``refused`` (by the framework itself) or ``error`` (of the adapter)."""
        started = time.perf_counter()
        try:
            found: dict[str, Any] = {"ok": self._do(request)}
        except Unsupported as reason:
            found = {"unsupported": {"reason": str(reason.reason), "clause": str(reason.clause)}}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: whoever asks wants an answer
            kind = "refused" if is_refusal(error) else "error"
            found = {kind: described(error)}
        return found | {"seconds": time.perf_counter() - started}

    def _do(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "describe":
                return self._describe(request.get("settings") or {})
            case "build":
                self._model = None
                self._model = self._adapter.build(layer_spec(request["spec"]))
                return {}
            case "script":
                return self._script(request)
        if self._model is None:
            raise ContractError("no layer has been built")
        table: Mapping[str, Callable[[Any, Mapping[str, Any]], dict[str, Any]]]
        table = LENGTHS_OPERATIONS if isinstance(self._model, LengthsModel) else OPERATIONS
        if request["do"] not in table:
            raise ContractError(f"a model of this level is not asked to {request['do']}")
        found = table[request["do"]](self._model, request)
        return found | {"mode": self._model.mode, "path": self._model.path}

    def _describe(self, wanted: Mapping[str, str]) -> dict[str, Any]:
        offered = {name: [str(value) for value in values] for name, values in self._adapter.settings.items()}
        usual = {name: values[0] for name, values in offered.items()}
        # What is not offered, the suite refuses when it reads what is.
        self._adapter.configure(usual | {name: wanted[name] for name in wanted.keys() & usual.keys()})
        what, can = self._adapter.describe(), self._adapter.capabilities
        return {
            "protocol": VERSION,
            "framework": str(what.framework),
            "version": str(what.version),
            "devices": [str(device) for device in what.devices],
            "dtypes": dict(what.dtypes),
            "packages": dict(what.packages),
            "notes": [str(note) for note in what.notes],
            "settings": offered,
            "is_keras": bool(self._adapter.is_keras),
            "level": self._adapter.level,
            "layout": self._adapter.layout,
        } | ({} if can is None else {"capabilities": can.to_json()})

    def _script(self, request: Mapping[str, Any]) -> dict[str, Any]:
        made = self._adapter.script(layer_spec(request["spec"]), _arrays(request["weights"]))
        if made is None:
            return {"script": None}
        arrays = {name: encode(np.ascontiguousarray(array)) for name, array in made.arrays.items()}
        return {
            "script": {
                "values": dict(made.values),
                "arrays": arrays,
                "gradients": made.gradients,
            }
        }


def layer_spec(message: Mapping[str, Any]) -> LayerSpec:
    """What a ``build`` request asks for."""
    arguments = dict(message["arguments"])
    if isinstance(arguments.get("weights"), list):
        arguments["weights"] = [decode(tensor) for tensor in arguments["weights"]]
    own = {**message, "arguments": arguments, "size": Size(**message["size"])}
    return LayerSpec(**own | {"positional": tuple(message["positional"])})


def _arrays(messages: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: decode(tensor) for name, tensor in messages.items()}


def _listed(outputs: Any) -> list[dict[str, Any]]:
    """The arrays that a model returned.

    Raises
    ------
    ContractError
        When they are no list of NumPy arrays.
    """
    if not isinstance(outputs, (list, tuple)) or not all(isinstance(a, np.ndarray) for a in outputs):
        raise ContractError(f"the adapter returned {type(outputs).__name__}, not a list of NumPy arrays")
    return [encode(array) for array in outputs]


def _named(arrays: Any) -> dict[str, Any]:
    if not isinstance(arrays, Mapping):
        raise ContractError(f"the adapter returned {type(arrays).__name__}, not arrays by name")
    return {str(name): encode(array) for name, array in arrays.items()}


def _counted(count: Any) -> int:
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool):
        raise ContractError(f"the adapter returned {type(count).__name__} where a number of batches belongs")
    return int(count)


class _Given:
    """The arrays of a call, and whether one of them was written to (CALL-1)."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.inputs = decode(request["inputs"])
        self.mask = None if request.get("mask") is None else decode(request["mask"])
        states = request.get("initial_state")
        self.initial_state = None if states is None else [decode(state) for state in states]
        self._before = self._bytes()

    def _bytes(self) -> dict[str, list[bytes]]:
        states = self.initial_state
        return {
            "inputs": [self.inputs.tobytes()],
            "mask": [] if self.mask is None else [self.mask.tobytes()],
            "initial_state": [] if states is None else [state.tobytes() for state in states],
        }

    @property
    def changed(self) -> str:
        """The argument that is no longer what was handed over; empty when none is."""
        after = self._bytes()
        return next((name for name, before in self._before.items() if after[name] != before), "")


def _call(model: Model, request: Mapping[str, Any]) -> dict[str, Any]:
    given = _Given(request)
    if "training" in request:
        found = model.call_training(
            given.inputs, given.mask, given.initial_state, training=request["training"]
        )
    else:
        found = model.call(given.inputs, given.mask, given.initial_state)
    return {"outputs": _listed(found), "changed": given.changed}


def _lengths(request: Mapping[str, Any]) -> np.ndarray | None:
    return None if request.get("lengths") is None else decode(request["lengths"])


def _sides(outputs: Any) -> list[dict[str, Any]]:
    return _listed([outputs] if isinstance(outputs, np.ndarray) else outputs)


def _run(model: LengthsModel, request: Mapping[str, Any]) -> dict[str, Any]:
    given = _Given(request)
    found = model.run(given.inputs, _lengths(request), given.initial_state)
    if not isinstance(found, (list, tuple)) or len(found) != 2:
        raise ContractError("run returns outputs and states")
    return {"outputs": _sides(found[0]), "states": _listed(found[1]), "changed": given.changed}


def _vjp(model: LengthsModel, request: Mapping[str, Any]) -> dict[str, Any]:
    given = _Given(request)
    seeds = decode(request["outputs"]), [decode(seed) for seed in request["finals"]]
    found = model.vjp(given.inputs, _lengths(request), given.initial_state, *seeds)
    return {
        "outputs": _sides(found.outputs),
        "states": _listed(found.states),
        "inputs": encode(found.inputs),
        "initial_state": _listed(found.initial_state),
        "weights": _named(found.weights),
    }


def _learn(model: LengthsModel, request: Mapping[str, Any]) -> dict[str, Any]:
    arrays = ("inputs", "lengths", "targets", "places", "shown", "valid")
    given: dict[str, Any] = {
        name: None if request.get(name) is None else decode(request[name]) for name in arrays
    }
    model.learn(Lesson(**given, last=request["last"]), request["learning_rate"])
    return {}


def _train(model: LengthsModel, request: Mapping[str, Any]) -> dict[str, Any]:
    model.train(request["training"])
    return {}


def _call_lengths(model: Model, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"outputs": _listed(model.call_lengths(decode(request["inputs"]), decode(request["lengths"])))}


def _gradients(model: Model, request: Mapping[str, Any]) -> dict[str, Any]:
    given = _Given(request)
    seeds = [decode(seed) for seed in request["cotangents"]]
    found = model.gradients(given.inputs, given.mask, given.initial_state, seeds)
    return {
        "outputs": _listed(found.outputs),
        "inputs": encode(found.inputs),
        "initial_state": _listed(found.initial_state),
        "weights": _named(found.weights),
        "losses": encode(found.losses),
    }


def _fit(model: Model, request: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: request[name] for name in ("batch_size", "learning_rate")}
    if request.get("mask") is not None:
        given["mask"] = decode(request["mask"])
    weights, updates = model.fit(decode(request["inputs"]), decode(request["targets"]), **given)
    return {"weights": _named(weights), "updates": _counted(updates)}


def _predict(model: Model, request: Mapping[str, Any]) -> dict[str, Any]:
    outputs, batches = model.predict(decode(request["inputs"]), request["batch_size"])
    return {"outputs": _listed(outputs), "batches": _counted(batches)}


def _shapes(shapes: Sequence[Sequence[Any]]) -> list[list[int | None]]:
    return [[None if n is None else int(n) for n in shape] for shape in shapes]


def _nothing(method: str) -> Callable[[Any, Mapping[str, Any]], dict[str, Any]]:
    def operation(model: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        getattr(model, method)()
        return {}

    return operation


def _set_weights(model: Model | LengthsModel, request: Mapping[str, Any]) -> dict[str, Any]:
    model.set_weights(_arrays(request["weights"]))
    return {}


OPERATIONS: Mapping[str, Callable[[Model, Mapping[str, Any]], dict[str, Any]]] = {
    "set_weights": _set_weights,
    "call": _call,
    "call_lengths": _call_lengths,
    "gradients": _gradients,
    "fit": _fit,
    "predict": _predict,
    "initial_weights": lambda model, _: {"weights": _named(model.initial_weights())},
    "weight_shapes": lambda model, _: {
        "shapes": {name: _shapes([shape])[0] for name, shape in model.weight_shapes().items()}
    },
    "static_shapes": lambda model, _: {
        "shapes": {means: _shapes(shapes) for means, shapes in model.static_shapes().items()}
    },
    "reset_states": _nothing("reset_states"),
    "rewind": _nothing("rewind"),
}


LENGTHS_OPERATIONS: Mapping[str, Callable[[LengthsModel, Mapping[str, Any]], dict[str, Any]]] = {
    "set_weights": _set_weights,
    "run": _run,
    "vjp": _vjp,
    "learn": _learn,
    "weights": lambda model, _: {"weights": _named(model.weights())},
    "shapes": lambda model, _: {
        "shapes": {means: _shapes(shapes) for means, shapes in model.shapes().items()}
    },
    "train": _train,
    "rewind": _nothing("rewind"),
}


def described(error: BaseException) -> dict[str, str]:
    """An error for a message: its type, text, place, and where it came from."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    place = "" if last is None else f"{Path(last.filename).name}:{last.lineno}"
    trace = "".join(traceback.format_list(frames[-12:]))
    return {"type": type(error).__name__, "text": text[:TEXT], "where": place, "traceback": trace[-TEXT:]}


def serve(adapter: Adapter, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until a request says ``stop``, or the pipe ends."""
    server = Server(adapter)
    for line in requests:
        request = json.loads(line)
        if request["do"] == "stop":
            return
        found = server.answer(request)
        try:
            text = json.dumps({"id": request["id"], **found}, allow_nan=False)
        except (ValueError, TypeError) as error:
            text = json.dumps({"id": request["id"], "error": described(error), "seconds": 0.0})
        answers.write(text.encode("ascii") + b"\n")
        answers.flush()


def main(target: str, folder: str, requests: int, answers: int) -> None:
    """Serve an adapter over file descriptors; stdout becomes stderr, so that nothing printed is taken for an answer."""
    os.dup2(2, 1)
    faulthandler.enable()
    # The suite may have gone before it had its answer.
    with suppress(BrokenPipeError), os.fdopen(requests, "rb") as source, os.fdopen(answers, "wb") as sink:
        try:
            adapter = load(target, folder)
        except NotStarted as error:
            first = json.loads(source.readline() or "{}")
            reason = {"reason": str(error)[:TEXT], "missing": error.missing}
            sink.write(json.dumps({"id": first.get("id", 0), "not_started": reason}).encode("ascii") + b"\n")
            return
        serve(adapter, source, sink)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
