"""Whether converted weights compute what the original ones do: each side's arrays, as they are, in its own framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_fixtures.scenario import NoOracle, Numbers, Scenario

from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec, Model
from rnn_conformance.errors import AdapterUnavailable, ConfigurationError
from rnn_conformance.guide.conversion import Stack, raw
from rnn_conformance.guide.named_layouts import Arrays, Place
from rnn_conformance.judging.bench import Bench
from rnn_conformance.running.registry import installed
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Session
from rnn_conformance.running.worker import run_case

# Layout to the adapters that take its arrays as they are, the first of which that is installed does.
ADAPTERS: Mapping[str, Sequence[str]] = {
    "keras": ("keras", "tf-keras", "numpy"),
    "torch": ("torch",),
    "flax": ("jax",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino-static",),
}
ROWS, STEPS, SEED = 3, 5, 0


@dataclass(frozen=True)
class Checked:
    """What a framework made of the arrays of one layer and direction.

    Attributes
    ----------
    verdict : str
        Of the suite, against the reference with the Keras weights between the two sides; "not checked" where no framework could.
    z : float, optional
        The largest.
    """

    layout: str
    place: Place
    adapter: str
    verdict: str
    z: float | None
    message: str

    @property
    def is_wrong(self) -> bool:
        return self.verdict not in ("pass", "not checked", "unsupported")


class _Given(Adapter):
    """An adapter whose layers are given the arrays of a file, whatever weights a case has."""

    def __init__(self, own: RemoteAdapter, arrays: Arrays) -> None:
        self._own, self._arrays = own, arrays
        self.capabilities, self.level, self.layout = own.capabilities, own.level, own.layout

    def describe(self) -> Description:
        return self._own.describe()

    def build(self, spec: LayerSpec) -> Model:
        model: Any = self._own.build(spec)
        model.set_weights = lambda weights: model.give(self._arrays)
        return model


def check(arrays: Mapping[str, np.ndarray], layout: str, stack: Stack) -> list[Checked]:
    """Run each layer and direction on random input by the framework of a layout, with these arrays.

    Parameters
    ----------
    stack : Stack
        The Keras weights that they stand for.
    """
    places = sorted(stack.weights)
    reasons: list[str] = []
    here = installed()
    names = [name for name in ADAPTERS.get(layout, ()) if name in here]
    given = raw(arrays, layout) if names else {}
    for name in names:
        with Session(here[name]) as session:
            try:
                adapter = RemoteAdapter(session)
            except AdapterUnavailable as error:
                reasons.append(str(error))
                continue
            return [_one(adapter, name, layout, place, given[place], stack) for place in places]
    why = "; ".join(reasons) or f"no adapter that is declared here takes the arrays of {layout}"
    return [Checked(layout, place, "", "not checked", None, why) for place in places]


def _one(adapter: RemoteAdapter, name: str, layout: str, place: Place, own: Arrays, stack: Stack) -> Checked:
    weights = stack.weights[place]
    dtype = weights["kernel"].dtype.name
    rng = np.random.default_rng(SEED)
    x = rng.uniform(-1, 1, (ROWS, STEPS, weights["kernel"].shape[0])).astype(np.float16).astype(np.float64)
    arguments: dict[str, Any] = {
        "return_sequences": True,
        "return_state": True,
        "use_bias": "bias" in weights,
    }
    if stack.layer == "GRU":
        arguments["reset_after"] = stack.reset_after
    exact = {key: array.astype(np.float64) for key, array in weights.items()}
    try:
        case, memory = Scenario(stack.layer, arguments, exact, (Numbers(x),)).to_case(dtypes=(dtype,))
    except NoOracle as reason:
        return Checked(layout, place, name, "not checked", None, str(reason))
    except ValueError as error:
        raise ConfigurationError(f"{place.name}: {error}") from error
    why = adapter.describe().dtypes.get(dtype, f"{name} does not name {dtype}")
    if why is not None or dtype not in case.dtypes:
        return Checked(
            layout, place, name, "not checked", None, why or f"{dtype} is too short for these weights"
        )
    record = run_case(Bench(_Given(adapter, own), memory, dtype, "cpu"), case)
    return Checked(layout, place, name, record.verdict, record.z, record.message)
