"""What an adapter is: says what it runs on, builds a model of a layer, calls it.

A third party implements `Adapter` and `Model` and names the class in the entry-point group
``rnn_conformance.adapters`` or as ``--adapter module:Class``; the built-in adapters come through the same door.
Arrays in and out are NumPy arrays; bfloat16 is ``ml_dtypes.bfloat16``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ml_dtypes
import numpy as np

from rnn_conformance.contract.capabilities import Capabilities

DTYPES: Mapping[str, Any] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


class Unsupported(Exception):
    """The framework cannot express this; raised by `Adapter.build` or `Model.call`.

    Parameters
    ----------
    reason : str
        Shown in the report, counted by its text: keep it free of the case's numbers.
    clause : str
        The clause of the specification that cannot be expressed.
    """

    def __init__(self, reason: str, clause: str) -> None:
        super().__init__(reason, clause)
        self.reason = reason
        self.clause = clause


# Libraries of execution providers, as `--provider-library` names them to the adapters' processes.
PROVIDER_LIBRARIES = "RNN_CONFORMANCE_PROVIDER_LIBRARIES"

E = TypeVar("E", bound=Exception)

# What `framework` puts on an error that was raised in it.
_MARK = "_rnn_conformance_framework"


@contextmanager
def framework() -> Iterator[None]:
    """Around the framework's own call, and nothing else: only what is raised in it is the framework's refusal (ERR-1).

    An adapter that raises anywhere else, `Unsupported` aside, is broken: the verdict is ``protocol``.
    """
    try:
        yield
    except Unsupported:
        raise
    except Exception as error:
        mark_refusal(error)
        raise


def mark_refusal(error: E) -> E:
    """The error as one that the framework raised in its own call."""
    setattr(error, _MARK, True)
    return error


def is_refusal(error: BaseException) -> bool:
    """Whether an error was raised within `framework`."""
    return bool(getattr(error, _MARK, False))


@dataclass(frozen=True)
class Description:
    """What an adapter runs: framework, version, and what it offers on this machine.

    Attributes
    ----------
    dtypes : mapping
        dtype name to None when the framework's layer computes in it, else the reason why not.
    notes : sequence of str
        Settings that matter for the numbers, such as TF32 being off.
    capabilities : Capabilities, optional
        Set by the suite: the adapter's own.
    settings, offered : mapping
        Set by the suite: the framework's switches as they are, and the values that each can have, the usual one first.
    """

    framework: str
    version: str
    devices: Sequence[str]
    dtypes: Mapping[str, str | None]
    packages: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    capabilities: Capabilities | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    offered: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """Batch, steps, features of the input, and the layer's units."""

    B: int
    T: int
    F: int
    U: int


@dataclass(frozen=True)
class LayerSpec:
    """What to build. Cases with equal specs share one build; of a `LengthsModel` also those that differ in ``return_sequences`` and ``return_state``,
    which are the suite's to see to.

    Attributes
    ----------
    layer : "LSTM" or "GRU"
    arguments : mapping
        Constructor arguments by tf.keras's names, with ``units``; ``activation`` may be "none" (None).
    size : Size
    dtype, device : str
    has_mask, has_initial_state : bool
        Whether calls will pass them.
    declared : mapping
        Keywords that declare the input's shape (SHAPE-2, SHAPE-3), or ``Input``: the batch shape of a ``keras.Input``, which for other
        frameworks is the shape to ask their static inference about (SHAPE-9). None stands for an open dimension.
    seed : int, optional
        Given where the layer must keep its own initial weights: the seed to draw them with (INIT-1). The builds of
        one case have seeds that follow one another: they may be one sequence of draws.
    positional : tuple
        Arguments given by position too, before those of ``arguments`` (ERR-3).
    num_layers, bidirectional, merge_mode
        Other than 1, False and "concat" where a stack of layers, or layers of two directions, are asked for (NET-1 to NET-5): then the names of
        weights begin with their place, and states come in the order of NET-4.
    """

    layer: str
    arguments: Mapping[str, Any]
    size: Size
    dtype: str
    device: str
    has_mask: bool
    has_initial_state: bool
    declared: Mapping[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()
    seed: int | None = None
    num_layers: int = 1
    bidirectional: bool = False
    merge_mode: str | None = "concat"

    @property
    def is_network(self) -> bool:
        """Whether more is asked for than a single layer of one direction."""
        return self.num_layers > 1 or self.bidirectional

    @property
    def units(self) -> Any:
        """What the constructor is given: a case may ask for units that are no positive integer."""
        return self.arguments["units"]

    @property
    def reset_after(self) -> bool:
        return bool(self.arguments.get("reset_after", False))

    @property
    def state_count(self) -> int:
        return 2 if self.layer == "LSTM" else 1


@dataclass(frozen=True)
class Gradients:
    """What `Model.gradients` returns (GRAD-1).

    Attributes
    ----------
    outputs : list of arrays
        What the call returned.
    inputs : array
        Gradient with respect to the input, of its shape.
    initial_state : list of arrays
        Those with respect to the given initial states; empty when there were none.
    weights : mapping
        Those with respect to the weights, in the Keras layout.
    losses : array [n]
        Penalties that the layer added to the loss, activity first (REG-1); empty when it has none.
    """

    outputs: list[np.ndarray]
    inputs: np.ndarray
    initial_state: list[np.ndarray]
    weights: Mapping[str, np.ndarray]
    losses: np.ndarray


@dataclass(frozen=True)
class Script:
    """What the template ``script.py.j2`` in the folder of the adapter's module needs to call a layer without this package.

    Attributes
    ----------
    values : mapping
        What the template asks for: names, and pieces of Python.
    arrays : mapping
        The weights in the framework's own layout, by the names that the template uses.
    gradients : bool
        Whether the template can ask for gradients.
    """

    values: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    gradients: bool = False


class Model(ABC):
    """A built layer.

    Attributes
    ----------
    mode : "native" or "composed"
        Read after a call: whether it took array operations around the framework's layer.
    path : str or None
        Which kernel ran, where the framework tells.
    changed : str or None
        Set by the suite: the argument of the last call that the model wrote to, empty where it wrote to none (CALL-1); None where nobody has looked.
    """

    mode: str = "native"
    path: str | None = None
    changed: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether the model can still be called: one in another process goes with it."""
        return True

    def forget(self) -> None:  # noqa: B027 # most models have nothing to do
        """Called by the suite when it is done with a model that something may have changed: nothing of it is used again."""

    @abstractmethod
    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take weights in the Keras layout (WEIGHT-1 to WEIGHT-5), in the model's dtype."""

    @abstractmethod
    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        """Run the layer: [output] or [output, *states], as tf.keras returns them (VIEW-1 to VIEW-3)."""

    def call_training(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        training: bool | None,
    ) -> list[np.ndarray]:
        """As `call`, with ``training`` given, or None to leave it away (DROP-1)."""
        raise Unsupported("the adapter's layers have no training mode", "DROP-1")

    def rewind(self) -> None:
        """Let the next call in training draw the same random masks as the first call after the last rewind."""
        raise Unsupported("the adapter's layers draw no masks", "DROP-1")

    def reset_states(self) -> None:
        """Forget the state carried from earlier calls (CARRY-2); for layers built with ``stateful``."""
        raise Unsupported("the adapter's layers carry no state from call to call", "CARRY-1")

    def static_shapes(self) -> Mapping[str, Sequence[Sequence[int | None]]]:
        """What the framework says before it computes: the outputs' shapes, by the means that it offers (SHAPE-9)."""
        raise Unsupported("the adapter offers no static shape inference", "SHAPE-9")

    def weight_shapes(self) -> Mapping[str, Sequence[int]]:
        """The shapes of the layer's weights in the Keras layout (WEIGHT-1 to WEIGHT-4)."""
        raise Unsupported("the adapter does not show weights", "WEIGHT-1")

    def initial_weights(self) -> Mapping[str, np.ndarray]:
        """The weights that the layer made for itself, in the Keras layout (INIT-1)."""
        raise Unsupported("the adapter's layers have no initial weights of their own", "INIT-1")

    def call_lengths(self, inputs: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """Run the layer on rows of the given lengths (SHAPE-11)."""
        raise Unsupported("the layers take masks, not lengths", "SHAPE-11")

    def gradients(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        cotangents: Sequence[np.ndarray],
    ) -> Gradients:
        """Gradient of the sum of cotangent times output, plus the layer's penalties (GRAD-1); of a stateful layer, from the carried state (GRAD-5)."""
        raise Unsupported("the adapter offers no gradients", "GRAD-1")

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int | None,
        learning_rate: float,
        mask: np.ndarray | None = None,
    ) -> tuple[dict[str, np.ndarray], int]:
        """One epoch of gradient descent on the mean squared error of the valid steps: weights after it, and the updates (FIT-1, FIT-2)."""
        raise Unsupported("the adapter offers no training", "FIT-1")

    def predict(self, inputs: np.ndarray, batch_size: int | None) -> tuple[list[np.ndarray], int]:
        """Outputs for all samples, some at a time, and in how many batches (FIT-5)."""
        raise Unsupported("the adapter offers no prediction in batches", "FIT-5")


class Adapter(ABC):
    """One framework's recurrent layers.

    Importing the module, or constructing the class, imports the framework; an ``ImportError`` there means
    that the adapter cannot run here.

    Attributes
    ----------
    is_keras : bool
        Whether the layers are those of tf.keras: clauses that demand words of an error bind these alone (ERR-1).
    capabilities : Capabilities, optional
        What the layers can do; the suite then asks for nothing else. Without them `build` and the models raise `Unsupported` themselves.
    level : "model" or "lengths"
        Whether `build` returns a `Model`, or a `LengthsModel` around which the suite does the rest; the latter needs capabilities.
    layout : "keras", "torch", "onnx", "openvino" or "flax"
        Of the weights that a `LengthsModel` is given.
    settings : mapping
        The framework's switches that results hang on, as ``{"tf32": ("off", "on")}``: the values of each, the usual one first.
    """

    is_keras = False
    settings: Mapping[str, Sequence[str]] = {}
    capabilities: Capabilities | None = None
    level = "model"
    layout = "keras"

    @abstractmethod
    def describe(self) -> Description:
        """What is installed here."""

    @abstractmethod
    def build(self, spec: LayerSpec) -> Any:
        """Build the layer, or raise `Unsupported`: a `Model`, or a `LengthsModel` where ``level`` says so."""

    def configure(self, settings: Mapping[str, str]) -> None:
        """Set all the switches that the class attribute names; called once, before anything else."""
        if settings:
            raise NotImplementedError(f"{type(self).__name__} names settings and has no configure")

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        """How a stand-alone script builds and calls this layer; None when it can only go through the adapter."""
        return None


def require(condition: bool, reason: str, clause: str) -> None:
    """Raise `Unsupported` unless the condition holds."""
    if not condition:
        raise Unsupported(reason, clause)
