"""Gradients, penalties, constraints and epochs that are a little wrong (GRAD, REG, CONS, FIT)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from rnn_reference import constraints, regularizers, training

from rnn_conformance.contract.adapter import DTYPES, Gradients, LayerSpec
from rnn_conformance.proving.variants.base import Variant, installed


def _gradients(change: Callable[[Gradients, LayerSpec], Gradients]) -> Callable[[Any, LayerSpec], None]:
    def apply(model: Any, spec: LayerSpec) -> None:
        plain = model.gradients
        model.gradients = lambda *args, **kwargs: change(plain(*args, **kwargs), spec)

    return apply


def _truncated(found: Gradients, spec: LayerSpec) -> Gradients:
    inputs = found.inputs.copy()
    inputs[(slice(None), slice(0, 2)) if not spec.arguments["time_major"] else slice(0, 2)] = 0
    return replace(found, inputs=inputs)


def _weight(name: str, factor: float) -> Callable[[Gradients, LayerSpec], Gradients]:
    def change(found: Gradients, spec: LayerSpec) -> Gradients:
        if name not in found.weights:
            return found
        return replace(
            found,
            weights={**found.weights, name: found.weights[name] * np.asarray(factor, found.inputs.dtype)},
        )

    return change


def _penalties(**functions: Any) -> Callable[[Any, LayerSpec], None]:
    """The layer's regularizers wrapped: ``weights`` or ``activity`` by a function of one."""

    def apply(model: Any, spec: LayerSpec) -> None:
        p = model._layer.penalties
        weights = {k: functions.get("weights", lambda r: r)(r) for k, r in p.weights.items()}
        activity = None if p.activity is None else functions.get("activity", lambda r: r)(p.activity)
        model._layer.penalties = replace(p, weights=weights, activity=activity)

    return apply


def _constraints(change: Callable[[Any], Any]) -> Callable[[Any, LayerSpec], None]:
    def apply(model: Any, spec: LayerSpec) -> None:
        layer = model._layer
        layer.constraints = {name: change(c) for name, c in layer.constraints.items()}

    return apply


def _other_axis(constraint: Any) -> Any:
    if isinstance(constraint, constraints.NonNeg):
        return constraint
    return lambda w: constraint(w.T).T if len(w.shape) == 2 else constraint(w)


def _fit(change: Callable[..., Any]) -> Callable[[Any, LayerSpec], None]:
    def apply(model: Any, spec: LayerSpec) -> None:
        plain = model.fit
        model.fit = lambda x, y, batch, rate, mask=None: change(plain, x, y, batch, rate, mask)

    return apply


def _last_dropped(plain: Any, x: Any, y: Any, batch: Any, rate: float, mask: Any) -> Any:
    size = batch or 32
    whole = len(x) // size * size
    return plain(x[:whole], y[:whole], batch, rate, None if mask is None else mask[:whole])


def _reversed(plain: Any, x: Any, y: Any, batch: Any, rate: float, mask: Any) -> Any:
    return plain(x[::-1], y[::-1], batch, rate, None if mask is None else mask[::-1])


def _carries_nothing(model: Any, spec: LayerSpec) -> None:
    """Outputs from the carried state, gradients as if from zeros."""
    plain, layer = model.gradients, model._layer

    def gradients(inputs: Any, mask: Any, initial_state: Any, cotangents: Any) -> Gradients:
        if not layer.stateful:
            return cast(Gradients, plain(inputs, mask, initial_state, cotangents))
        carried, layer._carried = layer._carried, None
        slopes = layer.gradients(inputs, cotangents, mask, initial_state)
        layer._carried = carried
        found: Gradients = plain(inputs, mask, initial_state, cotangents)
        return replace(found, inputs=slopes["input"], weights={n: slopes[n] for n in found.weights})

    model.gradients = gradients


def _flows_back(model: Any, spec: LayerSpec) -> None:
    """Gradients that go on through the carried state into the call that left it."""
    layer = model._layer
    earlier: list[tuple[Any, Any]] = []
    plain_call, plain = model.call_training, model.gradients

    def call_training(inputs: Any, mask: Any, initial_state: Any, training: Any) -> Any:
        earlier[:] = [(inputs, mask)]
        return plain_call(inputs, mask, initial_state, training)

    def gradients(inputs: Any, mask: Any, initial_state: Any, cotangents: Any) -> Gradients:
        before, carried = list(earlier), layer._carried
        found: Gradients = plain(inputs, mask, initial_state, cotangents)
        if not (layer.stateful and before and carried):
            return found
        slopes = layer.gradients(inputs, cotangents, mask, carried)
        seeds = [slope for name, slope in slopes.items() if name.startswith("initial")]
        (x, valid) = before[0]
        blank = np.zeros((*x.shape[:2], layer.units), x.dtype)
        shown = layer.return_sequences, layer.return_state, layer._carried
        layer.return_sequences, layer.return_state, layer._carried = True, True, None
        more = layer.gradients(x, [blank, *seeds], valid)
        layer.return_sequences, layer.return_state, layer._carried = shown
        return replace(found, weights={n: w + more[n] for n, w in found.weights.items()})

    model.call_training, model.gradients = call_training, gradients


def _not_trainable_ignored(arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments | ({"trainable": True} if "trainable" in arguments else {})


def _short_factors(regularizer: Any) -> Any:
    """Its factors in bfloat16."""
    numbers = {name: float(DTYPES["bfloat16"].type(value)) for name, value in vars(regularizer).items()}
    return replace(regularizer, **numbers)


def _scaled(factor: float) -> Callable[[Any], Any]:
    return lambda regularizer: lambda x: regularizer(x) * factor


def _of(kind: type, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A change of the constraints or regularizers of one class."""
    return lambda item: change(item) if isinstance(item, kind) else item


def _mean_over_samples(plain: Any, x: Any, y: Any, batch: Any, rate: float, mask: Any) -> Any:
    """The loss summed over units and steps, and averaged over samples alone."""
    return plain(x, y, batch, rate * float(np.prod(y.shape[1:])), mask)


def _over_all_steps(output: Any, wanted: Any, mask: np.ndarray | None) -> Any:
    return (output - wanted) * 2 / float(np.prod(output.shape))


def _divided_by_all_steps(output: Any, wanted: Any, mask: np.ndarray | None) -> Any:
    slope = _over_all_steps(output, wanted, mask)
    return slope if mask is None else np.where(mask[..., None], slope, np.zeros_like(slope))


def _row_by_row(output: Any, wanted: Any, mask: np.ndarray | None) -> Any:
    """The mean of the rows' own means."""
    slope = _divided_by_all_steps(output, wanted, mask)
    if mask is None:
        return slope
    share = mask.shape[1] / np.maximum(mask.sum(axis=1), 1)
    return slope * share[:, None, None].astype(slope.dtype)


def _loss_mask_turned(model: Any, spec: LayerSpec) -> None:
    if not spec.arguments["go_backwards"]:
        return
    plain, own = model.fit, training.error_slope

    def turned(output: Any, wanted: Any, mask: np.ndarray | None) -> Any:
        return own(output, wanted, None if mask is None else mask[:, ::-1])

    def fit(*args: Any) -> Any:
        with installed({"training.error_slope": turned}):
            return plain(*args)

    model.fit = fit


def _one_batch_more(model: Any, spec: LayerSpec) -> None:
    plain = model.predict

    def predict(x: Any, batch: Any) -> Any:
        outputs, batches = plain(x, batch)
        return outputs, batches + 1

    model.predict = predict


VARIANTS: list[Variant] = [
    Variant(
        "l1-squared",
        "REG-L1",
        "penalty",
        "squares where L1 takes magnitudes",
        model=_penalties(weights=_of(regularizers.L1, lambda r: regularizers.L2(r.l1))),
    ),
    Variant(
        "l1-l2-without-l1",
        "REG-L1L2",
        "penalty",
        "leaves L1L2's first part out",
        model=_penalties(weights=_of(regularizers.L1L2, lambda r: regularizers.L2(r.l2))),
    ),
    Variant(
        "non-neg-absolute",
        "CONS-NON-NEG",
        "constraint",
        "turns negative weights positive",
        model=_constraints(_of(constraints.NonNeg, lambda c: np.absolute)),
    ),
    Variant(
        "unit-norm-of-all",
        "CONS-UNIT-NORM",
        "constraint",
        "makes the norm of the whole matrix one",
        model=_constraints(_of(constraints.UnitNorm, lambda c: lambda w: c(w.reshape(-1)).reshape(*w.shape))),
    ),
    Variant(
        "max-norm-always",
        "CONS-MAX-NORM",
        "constraint",
        "scales short columns up as well",
        model=_constraints(
            _of(constraints.MaxNorm, lambda c: lambda w: constraints.UnitNorm()(w) * c.max_value)
        ),
    ),
    Variant(
        "min-max-norm-at-once",
        "CONS-MIN-MAX-NORM",
        "constraint",
        "ignores the rate",
        model=_constraints(_of(constraints.MinMaxNorm, lambda c: replace(c, rate=1.0))),
    ),
    Variant(
        "loss-not-averaged",
        "FIT-2",
        "epoch",
        "sums the loss over units and steps",
        model=_fit(_mean_over_samples),
    ),
    Variant(
        "masked-steps-in-the-loss",
        "FIT-2",
        "epoch",
        "averages the loss over masked steps too",
        functions={"training.error_slope": _over_all_steps},
    ),
    Variant(
        "masked-steps-in-the-number",
        "FIT-2",
        "epoch",
        "leaves the errors of masked steps out, but divides by the number of all steps",
        functions={"training.error_slope": _divided_by_all_steps},
    ),
    Variant(
        "loss-row-by-row",
        "FIT-2",
        "epoch",
        "averages the loss over each row's valid steps first",
        functions={"training.error_slope": _row_by_row},
    ),
    Variant(
        "loss-mask-turned",
        "MASK-8",
        "epoch",
        "reverses the mask that it hands on to the loss with go_backwards",
        model=_loss_mask_turned,
    ),
    Variant(
        "predict-one-batch-more",
        "FIT-5",
        "epoch",
        "runs an empty batch at the end of predict",
        model=_one_batch_more,
    ),
    Variant(
        "gradient-truncated",
        "GRAD-1",
        "gradient",
        "stops after some steps back",
        model=_gradients(_truncated),
    ),
    Variant(
        "gradient-bias-doubled",
        "GRAD-1",
        "gradient",
        "counts the bias twice, as two added biases do",
        model=_gradients(_weight("bias", 2.0)),
    ),
    Variant(
        "gradient-recurrent-halved",
        "GRAD-1",
        "gradient",
        "halves the recurrent kernel's",
        model=_gradients(_weight("recurrent_kernel", 0.5)),
    ),
    Variant(
        "gradient-kernel-zero",
        "GRAD-1",
        "gradient",
        "does not reach the kernel",
        model=_gradients(_weight("kernel", 0.0)),
    ),
    Variant(
        "gradient-of-state-dropped",
        "GRAD-3",
        "gradient",
        "does not reach the initial state",
        model=_gradients(lambda g, s: replace(g, initial_state=[0 * a for a in g.initial_state])),
    ),
    Variant(
        "gradient-of-masked-steps",
        "GRAD-2",
        "gradient",
        "lets masked steps have a gradient",
        model=_gradients(
            lambda g, s: replace(
                g, inputs=np.where(g.inputs == 0, np.asarray(1e-3, g.inputs.dtype), g.inputs)
            )
        ),
    ),
    Variant(
        "gradient-from-zeros",
        "GRAD-5",
        "gradient",
        "computes gradients as if the call started from zeros instead of the carried state",
        model=_carries_nothing,
    ),
    Variant(
        "gradient-into-the-earlier-call",
        "GRAD-5",
        "gradient",
        "lets gradients flow through the carried state, as states that nobody detaches do",
        model=_flows_back,
    ),
    Variant(
        "l2-halved",
        "REG-L2",
        "penalty",
        "halves weight penalties, as weight decay does",
        model=_penalties(weights=_scaled(0.5)),
    ),
    Variant(
        "factors-in-bfloat16",
        "REG-4",
        "penalty",
        "rounds factors to bfloat16",
        model=_penalties(weights=_short_factors, activity=_short_factors),
    ),
    Variant(
        "penalties-ignored",
        "REG-1",
        "penalty",
        "adds no weight penalty",
        model=_penalties(weights=_scaled(0.0)),
    ),
    Variant(
        "activity-not-divided",
        "REG-2",
        "penalty",
        "does not divide the activity's penalty by the batch size",
        model=_penalties(activity=lambda r: lambda x: r(x) * float(x.shape[0])),
    ),
    Variant(
        "orthogonal-columns",
        "REG-ORTHOGONAL",
        "penalty",
        "compares columns instead of rows",
        model=_penalties(
            weights=lambda r: (lambda x: r(x.T)) if isinstance(r, regularizers.Orthogonal) else r
        ),
    ),
    Variant(
        "constraint-ignored",
        "CONS-1",
        "constraint",
        "leaves weights as they are",
        model=_constraints(lambda c: lambda w: w),
    ),
    Variant(
        "constraint-other-axis",
        "CONS-2",
        "constraint",
        "takes norms of rows",
        model=_constraints(_other_axis),
    ),
    Variant(
        "last-batch-dropped", "FIT-1", "epoch", "drops the last partial batch", model=_fit(_last_dropped)
    ),
    Variant("samples-reversed", "FIT-1", "epoch", "takes samples from the end", model=_fit(_reversed)),
    Variant(
        "learning-rate-doubled",
        "FIT-3",
        "epoch",
        "moves twice as far",
        model=_fit(lambda p, x, y, b, r, m: p(x, y, b, 2 * r, m)),
    ),
    Variant(
        "trainable-ignored",
        "FIT-4",
        "epoch",
        "trains what is not trainable",
        arguments=_not_trainable_ignored,
    ),
]
