"""``LSTM`` and ``GRU`` with every constructor argument of ``tf.keras.layers``.

Arguments, names, order and defaults are those of tf.keras 2.x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnn_reference import activations, constraints, initializers, regularizers, shapes, tape, training
from rnn_reference.activations import Activation
from rnn_reference.config import LayerConfig
from rnn_reference.recurrence import DropoutMasks, Trajectory
from rnn_reference.shapes import WEIGHTS
from rnn_reference.training import Penalties

# Keyword arguments beyond the signature (SHAPE-2, SHAPE-3; the last line changes no value).
_KEYWORDS = frozenset(
    "input_shape input_dim input_length batch_input_shape batch_size weights zero_output_for_mask dtype "
    "name trainable implementation use_cudnn seed".split()
)


class _Recurrent:
    """What the two layers share; see `LSTM` and `GRU`."""

    layer: str

    def _configure(self, arguments: dict[str, Any]) -> None:
        """Check and keep a constructor's local names: its arguments, and ``kwargs``."""
        kwargs = arguments["kwargs"]
        units = arguments["units"]
        unknown = sorted(set(kwargs) - _KEYWORDS)
        if unknown:
            raise TypeError(f"{self.layer}() got unknown keyword arguments: {', '.join(unknown)}")
        if not isinstance(units, (int, np.integer)) or isinstance(units, bool) or units <= 0:
            raise ValueError(f"units must be a positive integer, got {units!r} (WEIGHT-1)")
        self.units = int(units)
        self.activation = activations.get(arguments["activation"])
        self.recurrent_activation = activations.get(arguments["recurrent_activation"])
        self.use_bias = bool(arguments["use_bias"])
        self.reset_after = bool(arguments.get("reset_after", False))
        self.return_sequences = bool(arguments["return_sequences"])
        self.return_state = bool(arguments["return_state"])
        self.go_backwards = bool(arguments["go_backwards"])
        self.time_major = bool(arguments["time_major"])
        self.unroll = bool(arguments["unroll"])
        self.zero_output_for_mask = bool(kwargs.get("zero_output_for_mask", False))
        for rate in ("dropout", "recurrent_dropout"):
            if not 0 <= arguments[rate] < 1:
                raise ValueError(f"{rate} must lie in [0, 1), got {arguments[rate]!r} (ERR-4)")
        self.dropout, self.recurrent_dropout = arguments["dropout"], arguments["recurrent_dropout"]
        self.unit_forget_bias = bool(arguments.get("unit_forget_bias", False))
        self.initializers = {
            short: initializers.get(arguments[f"{short}_initializer"]) for short in WEIGHTS.values()
        }
        self.seed = kwargs.get("seed")
        self.dropout_rng = np.random.default_rng(self.seed)
        self.penalties = Penalties(
            {
                weight: made
                for weight, short in WEIGHTS.items()
                if (made := regularizers.get(arguments[f"{short}_regularizer"])) is not None
            },
            regularizers.get(arguments["activity_regularizer"]),
        )
        self.constraints = {
            weight: made
            for weight, short in WEIGHTS.items()
            if (made := constraints.get(arguments[f"{short}_constraint"])) is not None
        }
        self.stateful = bool(arguments["stateful"])
        self._batch: int | None = None
        self._carried: tuple[Any, ...] | None = None
        self.name = kwargs.get("name") or self.layer.lower()
        self.trainable = bool(kwargs.get("trainable", True))
        self.dtype = None if kwargs.get("dtype") is None else np.dtype(kwargs["dtype"])
        self.losses: list[Any] = []  # penalties of the last call
        self.calls = 0
        self._weights: dict[str, Any] | None = None
        self.features: int | None = None
        declared = shapes.batch_input_shape(
            **{
                name: kwargs.get(name)
                for name in ("input_shape", "input_dim", "input_length", "batch_input_shape", "batch_size")
            }
        )
        if declared is not None:
            self.build(declared)
        if kwargs.get("weights") is not None:
            self.set_weights(kwargs["weights"])

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Fix the number of features from an input shape with three entries (SHAPE-1, UNROLL-2).

        Raises
        ------
        ValueError
            For another number of dimensions, an unknown feature length, or ``unroll`` without a length.
        """
        shapes.check_input(input_shape)
        if input_shape[-1] is None:
            raise ValueError(f"the feature length must be known, got {tuple(input_shape)} (SHAPE-1)")
        if self.unroll and input_shape[0 if self.time_major else 1] is None:
            raise ValueError("unroll=True needs a fixed number of time steps (UNROLL-2)")
        batch = input_shape[1 if self.time_major else 0]
        if self.stateful and batch is None:
            raise ValueError("stateful=True needs a known batch size: give batch_input_shape (CARRY-7)")
        self.features, self._batch = input_shape[-1], batch
        self.batch_input_shape = tuple(input_shape)
        if self._weights is None:
            self._require_weights()

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights, in order (WEIGHT-1 to WEIGHT-4)."""
        if self.features is None:
            raise ValueError(f"{self.name} is not built: give input_shape, or call build() first")
        return shapes.weight_shapes(
            self.layer,
            self.features,
            self.units,
            use_bias=self.use_bias,
            reset_after=self.reset_after,
        )

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take ``[kernel, recurrent_kernel, bias]``, without bias when ``use_bias=False`` (WEIGHT-5).

        Raises
        ------
        ValueError
            For a wrong number of arrays or a wrong shape.
        """
        if self.features is None and weights:
            self.features = np.shape(weights[0])[0]
        expected = self.weight_shapes
        if len(weights) != len(expected):
            raise ValueError(f"expected {len(expected)} weights ({', '.join(expected)}), got {len(weights)}")
        for (name, shape), array in zip(expected.items(), weights, strict=True):
            if np.shape(array) != shape:
                raise ValueError(f"{name} must have shape {shape}, got {np.shape(array)} (WEIGHT-1)")
        self._weights = dict(zip(expected, weights, strict=True))

    def get_weights(self) -> list[Any]:
        """The weights as they were set or drawn, in order (WEIGHT-5)."""
        return list(self._require_weights().values())

    def _require_weights(self) -> dict[str, Any]:
        """The weights; drawn now when nobody has set them (INIT-1)."""
        if self._weights is None:
            names = self.weight_shapes  # raises when the layer is not built
            assert self.features is not None
            parts = initializers.initial_parts(
                self.layer,
                self.features,
                self.units,
                use_bias=self.use_bias,
                reset_after=self.reset_after,
                unit_forget_bias=self.unit_forget_bias,
                **self.initializers,
            )
            rng = np.random.default_rng(self.seed)
            drawn = {name: initializers.draw(parts[name], shape, rng) for name, shape in names.items()}
            self._weights = {name: np.asarray(array, self.dtype) for name, array in drawn.items()}
        return self._weights

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> shapes.Shape | list[shapes.Shape]:
        """Static output shape, or a list with the states' shapes after it (SHAPE-4, SHAPE-5)."""
        result = shapes.output_shapes(
            self.layer,
            input_shape,
            self.units,
            return_sequences=self.return_sequences,
            return_state=self.return_state,
            time_major=self.time_major,
        )
        return list(result.values()) if self.return_state else result["output"]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask handed on: the input's with ``return_sequences``, else none; none for states (MASK-8)."""
        handed_on = mask if self.return_sequences else None
        if not self.return_state:
            return handed_on
        return [handed_on, *(None for _ in shapes.state_names(self.layer))]

    def _checked(
        self, inputs: Any, mask: Any, initial_state: Sequence[Any] | None
    ) -> tuple[Any, np.ndarray | None, tuple[Any, ...] | None]:
        """Input and mask batch-major, states as a tuple, all in the layer's dtype and of the right shape."""
        if self.dtype is not None:
            inputs = np.asarray(inputs, self.dtype)  # SHAPE-7
            if initial_state is not None:
                initial_state = [np.asarray(state, self.dtype) for state in initial_state]
        shapes.check_input(inputs.shape, self.features)
        if self.features is None or (self.stateful and self._batch is None):
            self.build(inputs.shape)
        if self.time_major:
            inputs = np.swapaxes(inputs, 0, 1)
            mask = None if mask is None else np.swapaxes(mask, 0, 1)
        batch, length, _ = inputs.shape
        if length == 0:
            raise ValueError("an input needs at least one time step (SHAPE-6)")
        if mask is not None:
            mask = np.asarray(mask, bool)
            if mask.shape != (batch, length):
                raise ValueError(f"mask must have shape {(batch, length)}, got {mask.shape} (MASK-1)")
        states = None
        if initial_state is not None:
            names = shapes.state_names(self.layer)
            states = tuple(initial_state)
            if len(states) != len(names):
                raise ValueError(
                    f"expected {len(names)} initial states ({', '.join(names)}), got {len(states)} (STATE-2)"
                )
            for name, state in zip(names, states, strict=True):
                if state.shape != (batch, self.units):
                    raise ValueError(
                        f"initial state {name} must have shape {(batch, self.units)}, got {state.shape} (STATE-2)"
                    )
        if self.stateful and batch != self._batch:
            raise ValueError(f"a stateful layer of batch {self._batch} was called with {batch} (CARRY-7)")
        return inputs, mask, states

    def _current_weights(self) -> dict[str, Any]:
        weights = self._require_weights()
        if self.dtype is None:
            return weights
        return {name: np.asarray(array, self.dtype) for name, array in weights.items()}

    def _draw_dropout(self, inputs: Any) -> DropoutMasks:
        """Fresh masks for a call in training: shared over time, per gate when the state is dropped too (DROP-3, DROP-4)."""
        batch, length, features = inputs.shape
        gates = shapes.GATES[self.layer]
        per_gate = gates if self.recurrent_dropout else 1

        def draw(rate: float, count: int, width: int) -> np.ndarray:
            kept = self.dropout_rng.random((count, 1, batch, width)) >= rate
            return np.broadcast_to(kept / (1 - rate), (gates, length, batch, width)).astype(inputs.dtype)

        return DropoutMasks(
            draw(self.dropout, per_gate, features), draw(self.recurrent_dropout, gates, self.units)
        )

    @property
    def config(self) -> LayerConfig:
        """What numbers hang on."""
        return LayerConfig(
            layer=self.layer,
            activation=self.activation,
            recurrent_activation=self.recurrent_activation,
            reset_after=self.reset_after,
            go_backwards=self.go_backwards,
            zero_output_for_mask=self.zero_output_for_mask,
            return_sequences=self.return_sequences,
            return_state=self.return_state,
            time_major=self.time_major,
        )

    def _shown(self, result: Trajectory) -> list[Any]:
        """What a call returns, batch-major (VIEW-1 to VIEW-3)."""
        return list(replace(self.config, time_major=False).views(result).values())

    def trajectory(
        self,
        inputs: Any,
        mask: Any = None,
        initial_state: Sequence[Any] | None = None,
        training: bool | None = None,
    ) -> Trajectory:
        """All outputs and final states, batch-major whatever ``time_major`` says; see `__call__`."""
        inputs, mask, states = self._checked(inputs, mask, initial_state)
        if self.stateful and states is None:
            states = self._carried
        dropping = training and (self.dropout or self.recurrent_dropout)
        dropout = self._draw_dropout(inputs) if dropping else None
        result = self.config.forward(
            inputs, self._current_weights(), initial_state=states, mask=mask, dropout=dropout
        )
        if self.stateful:
            self._carried = result.states
        return result

    def reset_states(self) -> None:
        """Carry zeros into the next call (CARRY-2).

        Raises
        ------
        ValueError
            When the layer is not stateful.
        """
        if not self.stateful:
            raise ValueError(f"{self.name} is not stateful: it has no state to reset (CARRY-5)")
        self._carried = None

    def __call__(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        initial_state: Sequence[Any] | None = None,
    ) -> Any:
        """Run the layer.

        Parameters
        ----------
        inputs : array [B, T, F], or [T, B, F] with ``time_major``
        mask : bool array [B, T], or [T, B] with ``time_major``, optional
            False marks a step to skip (MASK-1).
        training : bool, optional
            True switches dropout on; unset counts as False (DROP-1).
        initial_state : sequence of arrays [B, U], optional
            LSTM [h, c], GRU [h]; when absent zeros, or with ``stateful`` what the last call left (STATE-1, CARRY-1).

        Returns
        -------
        array or list
            The output, [B, U] or with ``return_sequences`` [B, T, U] ([T, B, U] with ``time_major``);
            with ``return_state`` a list of the output and the final states (VIEW-1 to VIEW-3).

        Raises
        ------
        ValueError
            For an input, mask or state of a wrong shape or number.
        """
        self.calls += 1
        result = self.trajectory(inputs, mask, initial_state, training)
        penalties = self.penalties.of(self._shown(result), self._current_weights())
        self.losses = [loss[0, 0] for loss in penalties]
        shown = list(self.config.views(result).values())
        return shown if self.return_state else shown[0]

    def gradients(
        self,
        inputs: Any,
        cotangents: Sequence[Any],
        mask: Any = None,
        initial_state: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Gradient of sum(cotangent * result) + losses (GRAD-1); a carried state is a constant, and stays what it is (GRAD-5).

        Parameters
        ----------
        cotangents : sequence of arrays
            One for each array that a call returns, of its shape.

        Returns
        -------
        dict
            ``input``, ``initial h`` and ``initial c`` where given, and every weight: arrays of the same shapes.
        """
        inputs, mask, states = self._checked(inputs, mask, initial_state)
        weights = self._current_weights()
        names = [f"initial {name}" for name in shapes.state_names(self.layer)]
        start = {} if states is None else dict(zip(names, states, strict=True))
        carried = self._carried if self.stateful else None
        seeds = list(cotangents)
        if self.return_sequences and self.time_major:
            seeds[0] = np.swapaxes(seeds[0], 0, 1)

        def compute(taped: Mapping[str, Any]) -> list[Any]:
            own = {name: taped[name] for name in weights}
            begin = carried if states is None else tuple(taped[name] for name in names)
            shown = self._shown(self.config.forward(taped["input"], own, initial_state=begin, mask=mask))
            return [*shown, *self.penalties.of(shown, own)]

        _, slopes = tape.gradients(
            compute,
            {"input": inputs, **start, **weights},
            lambda values: [*seeds, *(np.ones_like(v) for v in values[len(seeds) :])],
        )
        if self.time_major:
            slopes["input"] = np.swapaxes(slopes["input"], 0, 1)
        return slopes

    def fit(
        self,
        inputs: Any,
        targets: Any,
        batch_size: int | None = None,
        learning_rate: float = 0.01,
        mask: Any = None,
    ) -> int:
        """One epoch of gradient descent on the mean squared error, samples in order; returns the updates (FIT-1, FIT-2)."""
        if self.dropout or self.recurrent_dropout:
            raise NotImplementedError("training with dropout is random: no clause says which masks are drawn")
        inputs, mask, _ = self._checked(inputs, mask, None)
        size = 32 if batch_size is None else batch_size
        if not self.trainable:  # FIT-4
            return -(-len(inputs) // size)
        weights, updates = training.fit(
            lambda x, w, m: self._shown(self.config.forward(x, w, mask=m))[0],
            self._current_weights(),
            inputs,
            targets,
            batch_size=size,
            learning_rate=learning_rate,
            penalties=self.penalties,
            constraints=self.constraints,
            mask=mask,
        )
        self._weights = weights
        return updates

    def predict(self, inputs: Any, batch_size: int | None = None) -> Any:
        """The outputs for all samples, computed ``batch_size`` at a time (FIT-5)."""
        size = 32 if batch_size is None else batch_size
        parts = [self(inputs[k : k + size]) for k in range(0, len(inputs), size)]
        if self.return_state:
            return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        return np.concatenate(parts)


class LSTM(_Recurrent):
    """Long short-term memory layer; arguments as in ``tf.keras.layers.LSTM`` (LSTM-EQ-1 to LSTM-EQ-4).

    Examples
    --------
    >>> import numpy as np
    >>> layer = LSTM(2, input_shape=(4, 3))
    >>> layer.weight_shapes
    {'kernel': (3, 8), 'recurrent_kernel': (2, 8), 'bias': (8,)}
    >>> layer.set_weights([np.ones(shape) / 4 for shape in layer.weight_shapes.values()])
    >>> layer(np.ones((5, 4, 3))).shape
    (5, 2)
    """

    layer = "LSTM"

    def __init__(
        self,
        units: int,
        activation: str | Activation | None = "tanh",
        recurrent_activation: str | Activation | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        time_major: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ) -> None:
        self._configure(locals())


class GRU(_Recurrent):
    """Gated recurrent unit layer; arguments as in ``tf.keras.layers.GRU`` (GRU-EQ-1 to GRU-EQ-5)."""

    layer = "GRU"

    def __init__(
        self,
        units: int,
        activation: str | Activation | None = "tanh",
        recurrent_activation: str | Activation | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        time_major: bool = False,
        reset_after: bool = True,
        **kwargs: Any,
    ) -> None:
        self._configure(locals())
