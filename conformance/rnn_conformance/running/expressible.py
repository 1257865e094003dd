"""From what an adapter says that it can do to what is ``unsupported``."""

from __future__ import annotations

from typing import Any

from rnn_fixtures.domain import domain, spell

from rnn_conformance.contract.adapter import LayerSpec, Unsupported, require
from rnn_conformance.contract.capabilities import ANY, FLIPS, Capabilities
from rnn_conformance.contract.lengths_model import VIEWS

# What the suite does itself for layers that know lengths and states alone.
COMPOSED = (*VIEWS, *FLIPS)


def check(can: Capabilities, spec: LayerSpec, *, composed: bool) -> None:
    """Raise `Unsupported` where a spec asks for more than the capabilities name.

    Parameters
    ----------
    composed : bool
        Whether the suite does what layers of lengths and states do not have.
    """
    require(spec.layer in can.layers, f"the adapter has no {spec.layer}", _clause("", spec.layer))
    if spec.seed is not None:
        demand(can, "initial_weights")
    for name, value in spec.arguments.items():
        if name == "units" or (composed and name in COMPOSED):
            continue
        if composed and name == "zero_output_for_mask" and "lengths" in can.calls:
            continue
        if composed and name == "stateful" and "initial_state" in can.calls:
            continue
        supported = can.arguments.get(name, [_default(name)])
        if supported != ANY and not any(_same(value, one) for one in supported):
            reason, clause = _why(can, f"{name}={_spelled(value)}", name)
            raise Unsupported(reason.replace("{value}", _spelled(value)), clause)
    _calls(can, spec, composed)
    _network(can, spec)


def _calls(can: Capabilities, spec: LayerSpec, composed: bool) -> None:
    asked = {
        "lengths" if composed else "mask": spec.has_mask,
        "initial_state": spec.has_initial_state,
        "static_shapes": "Input" in spec.declared,
        "positional": bool(spec.positional),
    }
    for name, needed in asked.items():
        if needed:
            demand(can, name)
    for name in spec.declared:
        if name != "Input" and "declared" not in can.calls:
            raise Unsupported(*_why(can, "declared", name))


def demand(can: Capabilities, call: str) -> None:
    """Raise `Unsupported` unless the capabilities name something of `CALLS`."""
    if call not in can.calls:
        raise Unsupported(*_why(can, call, call))


def _network(can: Capabilities, spec: LayerSpec) -> None:
    require(spec.num_layers <= can.num_layers, f"stacks have {can.num_layers} layers at most", "NET-1")
    if spec.bidirectional:
        require(can.bidirectional, "layers have one direction", "NET-2")
        require(spec.merge_mode in can.merge_modes, f"there is no merge_mode {spec.merge_mode}", "NET-3")


def _default(name: str) -> Any:
    argument = domain().arguments.get(name)
    if argument is None:
        return None
    return domain().value(name, argument.default)


def _same(value: Any, supported: Any) -> bool:
    """JSON's equality: True is not 1, but None, False and 0.0 all leave an argument away that has no default of its own."""
    if supported is None:
        return value is None or value is False or value == "none" or (type(value) is float and value == 0)
    return bool(value == supported) and (type(value) is bool) == (type(supported) is bool)


def _spelled(value: Any) -> str:
    return spell(value) if isinstance(value, (str, bool, int, float)) else type(value).__name__


def _why(can: Capabilities, *names: str) -> tuple[str, str]:
    """The adapter's own reason, or the plain one."""
    for name in names:
        if name in can.reasons:
            return can.reasons[name]
    clause = _clause(names[0] if names[0] in CLAUSES else names[-1])
    if "" in can.reasons and names[-1] not in CLAUSES:  # of all arguments that it does not have
        reason, own = can.reasons[""]
        return reason.replace("{name}", names[-1]), own or clause
    return f"the adapter does not name {names[0]} among its capabilities", clause


# Constructor arguments that layers outside Keras do not have (and PyTorch's stacks), with the clause that gives them a meaning.
KERAS_ONLY = {
    "kernel_regularizer": "REG-1",
    "recurrent_regularizer": "REG-1",
    "bias_regularizer": "REG-1",
    "activity_regularizer": "REG-2",
    "kernel_constraint": "CONS-1",
    "recurrent_constraint": "CONS-1",
    "bias_constraint": "CONS-1",
    "name": "SHAPE-10",
    "weights": "WEIGHT-6",
    "seed": "SHAPE-10",
    "implementation": "SHAPE-10",
    "use_cudnn": "SHAPE-10",
    "dropout": "DROP-3",
    "recurrent_dropout": "DROP-4",
    "stacked_dropout": "DROP-5",
    "returnsequences": "ERR-3",
    "dtype_policy": "PREC-7",
    "kernel_initializer": "INIT-1",
    "recurrent_initializer": "INIT-1",
    "bias_initializer": "INIT-1",
}
CLAUSES = {
    "lengths": "MASK-7",
    "mask": "MASK-1",
    "initial_state": "STATE-2",
    "declared": "SHAPE-2",
    "static_shapes": "SHAPE-9",
    "positional": "ERR-3",
    "initial_weights": "INIT-1",
    "training": "DROP-1",
    "gradients": "GRAD-1",
    "fit": "FIT-1",
    "predict": "FIT-5",
}


def _clause(name: str, layer: str = "") -> str:
    if layer:
        return domain().layers[layer][0]
    if name in CLAUSES:
        return CLAUSES[name]
    argument = domain().arguments.get(name)
    clauses = argument.all_clauses if argument is not None else ()
    return KERAS_ONLY.get(name) or (clauses[0] if clauses else "ERR-3")
