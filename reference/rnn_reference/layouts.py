"""Weights from the Keras layout into other frameworks' and back (``spec/weights.md``, MAP clauses).

Every function takes and returns plain mappings of NumPy arrays; none imports a framework. Where a
framework cannot hold the weights at all, `NotRepresentable` names the clause and the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rnn_reference.network import Network, weights_at

Weights = Mapping[str, np.ndarray]

# Positions of Keras's gates (i, f, c, o), (z, r, h) in each framework's order.
TORCH_ORDER = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2)}
ONNX_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2)}
OPENVINO_ORDER = {"LSTM": (1, 0, 2, 3), "GRU": (0, 1, 2)}
# PyTorch's parameter to MXNet's; the gates are in the same order.
MXNET_NAMES = {
    "weight_ih": "i2h_weight",
    "weight_hh": "h2h_weight",
    "bias_ih": "i2h_bias",
    "bias_hh": "h2h_bias",
}


class NotRepresentable(ValueError):
    """The target layout has no place for these weights.

    Attributes
    ----------
    clause : str
        The MAP clause that says so.
    """

    def __init__(self, reason: str, clause: str) -> None:
        super().__init__(reason)
        self.clause = clause


def reorder(array: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Permute the gate blocks of the last axis ``[..., n * U]``."""
    units, rest = divmod(array.shape[-1], len(order))
    if rest:
        raise ValueError(f"{array.shape[-1]} columns are not {len(order)} equal blocks")
    return np.concatenate([array[..., k * units : (k + 1) * units] for k in order], axis=-1)


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes ``order``."""
    return tuple(int(k) for k in np.argsort(order))


def _two_biases(layer: str, weights: Weights, reset_after: bool) -> tuple[np.ndarray, np.ndarray]:
    """Input and recurrent bias ``[nU]``; Keras's single bias goes with the input."""
    bias = weights["bias"]
    if layer == "GRU" and reset_after:
        return bias[0], bias[1]
    return bias, np.zeros_like(bias)


def to_torch(layer: str, weights: Weights, *, reset_after: bool = True) -> dict[str, np.ndarray]:
    """``torch.nn.LSTM`` / ``GRU`` parameters (MAP-TORCH-1, MAP-TORCH-2)."""
    if layer == "GRU" and not reset_after:
        raise NotRepresentable(
            "torch.nn.GRU applies the reset gate after the recurrent product only", "MAP-TORCH-3"
        )
    order = TORCH_ORDER[layer]
    result = {
        "weight_ih_l0": reorder(weights["kernel"], order).T,
        "weight_hh_l0": reorder(weights["recurrent_kernel"], order).T,
    }
    if "bias" in weights:
        b_input, b_recurrent = _two_biases(layer, weights, reset_after)
        result["bias_ih_l0"] = reorder(b_input, order)
        result["bias_hh_l0"] = reorder(b_recurrent, order)
    return result


def network_to_torch(network: Network, weights: Weights) -> dict[str, np.ndarray]:
    """Parameters of a stack, of one direction or two (MAP-TORCH-4)."""
    config = network.config
    result: dict[str, np.ndarray] = {}
    for place in network.places:
        own = to_torch(config.layer, weights_at(weights, place), reset_after=config.reset_after)
        number, _, direction = (place or "0.forward.").removesuffix(".").partition(".")
        suffix = f"_l{number}" + ("_reverse" if direction == "backward" else "")
        result |= {name.removesuffix("_l0") + suffix: array for name, array in own.items()}
    return result


def from_torch(layer: str, parameters: Weights) -> dict[str, np.ndarray]:
    """Keras weights from torch parameters; LSTM's two biases are added (MAP-TORCH-2)."""
    order = inverse(TORCH_ORDER[layer])
    result = {
        "kernel": reorder(parameters["weight_ih_l0"].T, order),
        "recurrent_kernel": reorder(parameters["weight_hh_l0"].T, order),
    }
    if "bias_ih_l0" in parameters:
        b_input, b_recurrent = parameters["bias_ih_l0"], parameters["bias_hh_l0"]
        result["bias"] = (
            reorder(b_input + b_recurrent, order)
            if layer == "LSTM"
            else np.stack([reorder(b_input, order), reorder(b_recurrent, order)])
        )
    return result


def to_flax(layer: str, weights: Weights, *, reset_after: bool = True) -> dict[str, np.ndarray]:
    """``flax.nnx.OptimizedLSTMCell`` / ``GRUCell`` parameters (MAP-FLAX-1, MAP-FLAX-2).

    A GRU whose candidate has a recurrent bias gets ``dense_h.bias``, which the stock cell lacks
    (MAP-FLAX-3); a cell without bias gets zeros (MAP-FLAX-4).
    """
    kernel, recurrent = weights["kernel"], weights["recurrent_kernel"]
    if layer == "LSTM":
        bias = weights.get("bias", np.zeros(kernel.shape[1], kernel.dtype))
        return {"dense_i.kernel": kernel, "dense_h.kernel": recurrent, "dense_h.bias": bias}
    if not reset_after:
        raise NotRepresentable(
            "flax.nnx.GRUCell applies the reset gate after the recurrent product only",
            "MAP-FLAX-3",
        )
    order, units = TORCH_ORDER["GRU"], recurrent.shape[0]
    result = {
        "dense_i.kernel": reorder(kernel, order),
        "dense_h.kernel": reorder(recurrent, order),
        "dense_i.bias": np.zeros(3 * units, kernel.dtype),
    }
    if "bias" in weights:
        b_input, b_recurrent = (reorder(row, order) for row in weights["bias"])
        gates = np.arange(3 * units) < 2 * units
        result["dense_i.bias"] = b_input + np.where(gates, b_recurrent, 0)
        if np.any(b_recurrent[~gates]):
            result["dense_h.bias"] = np.where(gates, 0, b_recurrent)
    return result


def network_to_flax(network: Network, weights: Weights) -> dict[str, np.ndarray]:
    """The cells' parameters; of several cells their names begin with the place of each (MAP-FLAX-1 to MAP-FLAX-4)."""
    config, places = network.config, list(network.places)
    result: dict[str, np.ndarray] = {}
    for place in places:
        own = to_flax(config.layer, weights_at(weights, place), reset_after=config.reset_after)
        result |= {f"{place}{name}" if len(places) > 1 else name: array for name, array in own.items()}
    return result


def from_flax(layer: str, parameters: Weights) -> dict[str, np.ndarray]:
    """Keras weights from the NNX cells' parameters (MAP-FLAX-1, MAP-FLAX-2)."""
    if layer == "LSTM":
        return {
            "kernel": parameters["dense_i.kernel"],
            "recurrent_kernel": parameters["dense_h.kernel"],
            "bias": parameters["dense_h.bias"],
        }
    order = inverse(TORCH_ORDER["GRU"])
    b_input = reorder(parameters["dense_i.bias"], order)
    b_recurrent = parameters.get("dense_h.bias")
    return {
        "kernel": reorder(parameters["dense_i.kernel"], order),
        "recurrent_kernel": reorder(parameters["dense_h.kernel"], order),
        "bias": np.stack(
            [b_input, np.zeros_like(b_input) if b_recurrent is None else reorder(b_recurrent, order)]
        ),
    }


def to_onnx(layer: str, weights: Weights, *, reset_after: bool = True) -> dict[str, np.ndarray]:
    """ONNX ``W`` [1, nU, F], ``R`` [1, nU, U] and ``B`` [1, 2nU] (MAP-ONNX-1, MAP-ONNX-2)."""
    order = ONNX_ORDER[layer]
    result = {
        "W": reorder(weights["kernel"], order).T[None],
        "R": reorder(weights["recurrent_kernel"], order).T[None],
    }
    if "bias" in weights:
        both = [reorder(b, order) for b in _two_biases(layer, weights, reset_after)]
        result["B"] = np.concatenate(both)[None]
    return result


def _operators(
    convert: Callable[..., dict[str, np.ndarray]], network: Network, weights: Weights
) -> list[dict[str, np.ndarray]]:
    """Arrays of each layer's operator, directions along their first axis."""
    config, places = network.config, iter(network.places)
    nodes = []
    for layer in network.layers:
        directions = [
            convert(config.layer, weights_at(weights, next(places)), reset_after=config.reset_after)
            for _ in layer
        ]
        nodes.append({name: np.concatenate([d[name] for d in directions]) for name in directions[0]})
    return nodes


def network_to_onnx(network: Network, weights: Weights) -> list[dict[str, np.ndarray]]:
    """``W``, ``R`` and ``B`` of each layer's node, directions along their first axis (MAP-ONNX-4)."""
    return _operators(to_onnx, network, weights)


def from_onnx(layer: str, tensors: Weights, *, reset_after: bool = True) -> dict[str, np.ndarray]:
    """Keras weights from ONNX tensors; biases that Keras does not keep apart are added (MAP-ONNX-2)."""
    order = inverse(ONNX_ORDER[layer])
    result = {
        "kernel": reorder(tensors["W"][0].T, order),
        "recurrent_kernel": reorder(tensors["R"][0].T, order),
    }
    if "B" in tensors:
        b_input, b_recurrent = (reorder(b, order) for b in np.split(tensors["B"][0], 2))
        keeps_both = layer == "GRU" and reset_after
        result["bias"] = np.stack([b_input, b_recurrent]) if keeps_both else b_input + b_recurrent
    return result


def to_openvino(layer: str, weights: Weights, *, reset_after: bool = True) -> dict[str, np.ndarray]:
    """OpenVINO's ``W`` [1, nU, F], ``R`` [1, nU, U] and ``B`` [1, nU], for a GRU with ``linear_before_reset`` [1, 4U] (MAP-OPENVINO-1, MAP-OPENVINO-2)."""
    order, units = OPENVINO_ORDER[layer], weights["recurrent_kernel"].shape[0]
    apart = layer == "GRU" and reset_after
    bias = weights.get(
        "bias", np.zeros((4 if layer == "LSTM" or apart else 3) * units, weights["kernel"].dtype)
    )
    if "bias" in weights and apart:  # the gates' two are added, the candidate's stay apart
        b_input, b_recurrent = bias
        gates = 2 * units
        bias = np.concatenate([b_input[:gates] + b_recurrent[:gates], b_input[gates:], b_recurrent[gates:]])
    return {
        "W": reorder(weights["kernel"], order).T[None],
        "R": reorder(weights["recurrent_kernel"], order).T[None],
        "B": (reorder(bias, order) if layer == "LSTM" else bias)[None],
    }


def from_openvino(layer: str, tensors: Weights, *, reset_after: bool = True) -> dict[str, np.ndarray]:
    """Keras weights from OpenVINO's tensors (MAP-OPENVINO-1, MAP-OPENVINO-2)."""
    order, bias = inverse(OPENVINO_ORDER[layer]), tensors["B"][0]
    if layer == "LSTM":
        bias = reorder(bias, order)
    elif reset_after:
        gates, candidate, recurrent = np.split(bias, [bias.size // 2, bias.size // 4 * 3])
        bias = np.stack(
            [np.concatenate([gates, candidate]), np.concatenate([np.zeros_like(gates), recurrent])]
        )
    return {
        "kernel": reorder(tensors["W"][0].T, order),
        "recurrent_kernel": reorder(tensors["R"][0].T, order),
        "bias": bias,
    }


def network_to_openvino(network: Network, weights: Weights) -> list[dict[str, np.ndarray]]:
    """Those of each layer's operation, directions along their first axis (MAP-OPENVINO-1)."""
    return _operators(to_openvino, network, weights)


def torch_to_cudnn(parameters: Weights) -> np.ndarray:
    """cuDNN's flat buffer: every matrix, then every bias (MAP-CUDNN-1)."""
    places = sorted(
        {name.partition("_l")[2] for name in parameters}, key=lambda p: (int(p.partition("_")[0]), p)
    )
    names = [
        f"{kind}_{side}_l{place}" for kind in ("weight", "bias") for place in places for side in ("ih", "hh")
    ]
    return np.concatenate([parameters[name].ravel() for name in names if name in parameters])


def cudnn_to_torch(
    params: np.ndarray,
    layer: str,
    units: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    use_bias: bool = True,
) -> dict[str, np.ndarray]:
    """PyTorch's parameters from cuDNN's flat buffer; the number of features follows from its length (MAP-CUDNN-1).

    Raises
    ------
    ValueError
        When no number of features fits the length.
    """
    ways, rows = ("", "_reverse") if bidirectional else ("",), (4 if layer == "LSTM" else 3) * units
    deeper = (num_layers - 1) * len(ways) * rows * len(ways) * units
    recurrent = num_layers * len(ways) * rows * (units + (2 if use_bias else 0))
    features, rest = divmod(params.size - deeper - recurrent, len(ways) * rows)
    if params.ndim != 1 or rest or features < 1:
        raise ValueError(
            f"an array {params.shape} holds no such layers of {units} units, whatever the number of features"
        )
    shapes = {}
    for kind in ("weight", "bias") if use_bias else ("weight",):
        for number in range(num_layers):
            width = len(ways) * units if number else features
            for way in ways:
                for side, columns in (("ih", width), ("hh", units)):
                    shapes[f"{kind}_{side}_l{number}{way}"] = (rows, columns) if kind == "weight" else (rows,)
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    return {
        name: part.reshape(shape)
        for (name, shape), part in zip(shapes.items(), np.split(params, ends[:-1]), strict=True)
    }
