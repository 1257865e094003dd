"""What the ONNX operators ``LSTM`` and ``GRU`` make of a layer's arguments; imports no framework.

Their weights are in `rnn_reference.layouts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The operators' activation functions: specification name to ONNX name, alpha, beta.
ACTIVATIONS: dict[str, tuple[str, float | None, float | None]] = {
    "celu": ("Elu", 1.0, None),  # equal at alpha = 1 (ACT-CELU)
    "elu": ("Elu", 1.0, None),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "hard_sigmoid_keras2": ("HardSigmoid", 0.2, 0.5),
    "leaky_relu": ("LeakyRelu", 0.2, None),
    "linear": ("Affine", 1.0, 0.0),
    "none": ("Affine", 1.0, 0.0),
    "relu": ("Relu", None, None),
    "sigmoid": ("Sigmoid", None, None),
    "softplus": ("Softplus", None, None),
    "softsign": ("Softsign", None, None),
    "sparse_sigmoid": ("HardSigmoid", 0.5, 0.5),
    "tanh": ("Tanh", None, None),
}


def attributes(layer: str, arguments: Mapping[str, Any], units: int) -> dict[str, Any]:
    """The operator's attributes, but for the direction; what ONNX takes by default is left out."""
    lstm = layer == "LSTM"
    result: dict[str, Any] = {"hidden_size": units}
    if not lstm:
        result["linear_before_reset"] = int(arguments["reset_after"])
    gate, cell = arguments["recurrent_activation"], arguments["activation"]
    functions = [ACTIVATIONS[name] for name in ((gate, cell, cell) if lstm else (gate, cell))]
    if (gate, cell) != ("sigmoid", "tanh"):
        result["activations"] = [name for name, _, _ in functions]
        # Parameters are consumed in order by the functions that take them.
        alphas = [alpha for _, alpha, _ in functions if alpha is not None]
        betas = [beta for _, _, beta in functions if beta is not None]
        result |= {"activation_alpha": alphas} if alphas else {}
        result |= {"activation_beta": betas} if betas else {}
    return result
