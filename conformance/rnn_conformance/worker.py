"""What happens inside a worker process: one adapter, batches of cases, one record each.

`run_batch` is a plain function of picklable arguments, so that any ``concurrent.futures.Executor`` can run it.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import pickle
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store

from rnn_conformance.adapters.base import DTYPES, Adapter, Description, LayerSpec, Model, Unsupported
from rnn_conformance.errors import AdapterNotInstalled, AdapterUnavailable
from rnn_conformance.record import Record
from rnn_conformance.verdict import judge


@dataclass(frozen=True)
class AdapterRef:
    """An adapter by the name that the user gave and the object that it stands for (``module:Class``)."""

    name: str
    target: str


def start(ref: AdapterRef) -> None:
    """Prepare a fresh process: frameworks' chatter goes to stderr, a crash leaves a trace there.

    The adapter starts here, outside any case's time; if it cannot, the first task says why.
    """
    os.dup2(2, 1)
    faulthandler.enable()
    with suppress(AdapterUnavailable):
        adapter(ref)


@cache
def adapter(ref: AdapterRef) -> Adapter:
    """The adapter of this process.

    Raises
    ------
    AdapterUnavailable
        When it cannot be imported or started; the message says what to install.
    """
    module, _, attribute = ref.target.partition(":")
    if ref.name == ref.target and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # ``--adapter module:Class`` may name a file in this folder
    try:
        instance = getattr(importlib.import_module(module), attribute)()
    except ImportError as error:
        if module.startswith("rnn_conformance.adapters."):
            hint = f"install it with: pip install 'rnn-conformance[{ref.name}]'"
        else:
            hint = "is its package installed, or its module in this folder?"
        raise AdapterNotInstalled(f"adapter {ref.name!r} cannot start: {error}; {hint}") from error
    except Exception as error:
        raise AdapterUnavailable(
            f"adapter {ref.name!r} cannot start: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(instance, Adapter):
        raise AdapterUnavailable(
            f"adapter {ref.name!r} cannot start: {ref.target} is not a subclass of "
            "rnn_conformance.adapters.base.Adapter"
        )
    return instance


def describe(ref: AdapterRef) -> Description:
    """The adapter's description of itself."""
    return adapter(ref).describe()


@cache
def _store(data: Path) -> Store:
    return Store(data, check=False)  # the parent process has checked the digests


def layer_spec(case: Case, dtype: str, device: str) -> LayerSpec:
    """What an adapter must build for a case."""
    return LayerSpec(
        case.layer,
        case.layer_arguments,
        case.size,
        dtype,
        device,
        has_mask=case.mask is not None,
        has_initial_state=case.initial_state is not None,
    )


def build_key(case: Case) -> tuple[Any, ...]:
    """Cases with equal keys can share a build."""
    return (
        case.layer,
        tuple(case.layer_arguments.values()),
        tuple(vars(case.size).values()),
        case.mask is None,
        case.initial_state is None,
    )


class _Models:
    """Builds a model when the case's build key changes, and sets weights when they change."""

    def __init__(self, adapter: Adapter, store: Store, dtype: str, device: str) -> None:
        self._adapter, self._store, self._dtype, self._device = adapter, store, dtype, device
        self._key: Any = None
        self._model: Model | Unsupported | None = None
        self._weights: Any = None

    def get(self, case: Case) -> Model:
        key = build_key(case)
        if key != self._key:
            self._key, self._weights, self._model = key, None, None
            spec = layer_spec(case, self._dtype, self._device)
            try:
                self._model = self._adapter.build(spec)
            except Unsupported as reason:
                self._model = reason
        if isinstance(self._model, Unsupported):
            raise self._model
        if self._model is None:
            raise RuntimeError("the build of this layer failed for an earlier case of the same arguments")
        if case.weights != self._weights:
            self._weights = None  # stays so when setting fails half-way
            kind = DTYPES[self._dtype]
            self._model.set_weights(
                {name: self._store.exact(ref).astype(kind) for name, ref in case.weights.items()}
            )
            self._weights = case.weights
        return self._model


def _call(model: Model, case: Case, store: Store, dtype: str) -> list[np.ndarray]:
    kind = DTYPES[dtype]
    states = None
    if case.initial_state is not None:
        states = [np.ascontiguousarray(store.exact(ref).astype(kind)) for ref in case.initial_state]
    return model.call(
        np.ascontiguousarray(store.exact(case.input).astype(kind)),
        None if case.mask is None else np.ascontiguousarray(store.exact(case.mask)),
        states,
    )


def _run_case(models: _Models, case: Case, store: Store, dtype: str) -> Record:
    try:
        model = models.get(case)
        outputs = _call(model, case, store, dtype)
    except Unsupported as reason:
        return Record.failure(case, "unsupported", reason.reason, clause=reason.clause)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        return Record.failure(
            case,
            "refused",
            f"{type(error).__name__}: {text[:400]} ({Path(last.filename).name}:{last.lineno})",
        )
    if not isinstance(outputs, (list, tuple)) or not all(isinstance(a, np.ndarray) for a in outputs):
        return Record.failure(
            case, "protocol", f"the adapter returned {type(outputs).__name__}, not a list of NumPy arrays"
        )
    verdict = judge(case, outputs, store, dtype)
    record = Record.of(case, verdict, mode=model.mode, path=model.path)
    if verdict.verdict == "value":
        again = _call(model, case, store, dtype)
        if any(a.tobytes() != b.tobytes() for a, b in zip(outputs, again, strict=True)):
            record.verdict = "nondeterministic"
            record.message = f"two identical calls differ; the first: {record.message}"
    return record


def run_batch(
    ref: AdapterRef, dtype: str, device: str, cases: Sequence[Case], data: Path, journal: Path | None = None
) -> list[Record]:
    """Run cases in order; every case gets a record, whatever its adapter raises.

    Each record is also appended to ``journal`` at once, so that what is done survives the process.
    """
    instance = adapter(ref)
    store = _store(data)
    models = _Models(instance, store, dtype, device)
    records = []
    with open(os.devnull if journal is None else journal, "ab", buffering=0) as file:
        for case in cases:
            started = time.perf_counter()
            record = _run_case(models, case, store, dtype)
            record.seconds = time.perf_counter() - started
            records.append(record)
            file.write(pickle.dumps(record))
    return records


def read_journal(journal: Path) -> list[Record]:
    """The records that a worker wrote before it died."""
    records: list[Record] = []
    if journal.is_file():
        with journal.open("rb") as file, suppress(EOFError, pickle.UnpicklingError):
            while True:
                records.append(pickle.load(file))
    return records
