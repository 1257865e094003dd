"""A naive LSTM and GRU for one sample, written from the text of the specification alone.

Plain lists and loops, to check the reference against; it shares no code with `rnn_reference`.
"""

from __future__ import annotations

import math

SELU_LAMBDA = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def _exp(x: float) -> float:
    """ACT-EXPONENTIAL: e^x, infinite (not an exception) where float64 has no finite value."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _clip(x: float, low: float, high: float) -> float:
    """max(low, min(high, x)) of several ACT clauses; x comes first so that NaN stays NaN."""
    return max(min(x, high), low)


def _sigmoid(x: float) -> float:
    """ACT-SIGMOID: 1 / (1 + e^-x), with numerator and denominator times e^x for negative x."""
    if x < 0.0:
        return math.exp(x) / (1.0 + math.exp(x))
    return 1.0 / (1.0 + math.exp(-x))


def _softplus(x: float) -> float:
    """ACT-SOFTPLUS: log(1 + e^x), which for positive x is x + log(1 + e^-x)."""
    if x > 0.0:
        return x + math.log1p(math.exp(-x))
    return math.log1p(math.exp(x))


def _tanh_shrink(x: float) -> float:
    """ACT-TANH-SHRINK: x - tanh x; near 0 by the power series of (x cosh x - sinh x) / cosh x."""
    if abs(x) >= 1.0:
        return x - math.tanh(x)
    total = 0.0
    for k in range(12, 0, -1):
        total += x ** (2 * k + 1) * (2 * k) / math.factorial(2 * k + 1)
    return total / math.cosh(x)


def _squareplus(x: float) -> float:
    """ACT-SQUAREPLUS: (x + sqrt(x^2 + 4)) / 2; for negative x times its conjugate, against cancellation."""
    if x < 0.0:
        return 2.0 / (math.hypot(x, 2.0) - x)
    return (x + math.hypot(x, 2.0)) / 2.0


def _sparse_plus(x: float) -> float:
    """ACT-SPARSE-PLUS: 0 up to -1, x from 1 on, a parabola between."""
    if x <= -1.0:
        return 0.0
    if x >= 1.0:
        return x
    return (x + 1.0) * (x + 1.0) / 4.0


def _one(name: str, x: float) -> float:
    """One number under an elementwise activation: the ACT clause of that name; ACT-1 for an unknown name."""
    match name:
        case "tanh":
            return math.tanh(x)
        case "sigmoid":
            return _sigmoid(x)
        case "relu":
            return max(x, 0.0)
        case "linear" | "none":
            return x
        case "hard_sigmoid":
            return _clip(x / 6.0 + 0.5, 0.0, 1.0)
        case "hard_sigmoid_keras2":
            return _clip(x / 5.0 + 0.5, 0.0, 1.0)
        case "softsign":
            return x / (1.0 + abs(x))
        case "softplus":
            return _softplus(x)
        case "elu" | "celu":
            return x if x > 0.0 else math.expm1(x)
        case "selu":
            return SELU_LAMBDA * x if x > 0.0 else SELU_LAMBDA * SELU_ALPHA * math.expm1(x)
        case "exponential":
            return _exp(x)
        case "silu" | "swish":
            return x * _sigmoid(x)
        case "gelu":
            return x * math.erfc(-x / math.sqrt(2.0)) / 2.0  # 1 + erf(y) = erfc(-y)
        case "mish":
            return x * math.tanh(_softplus(x))
        case "leaky_relu":
            return max(x, x / 5.0)
        case "relu6":
            return _clip(x, 0.0, 6.0)
        case "hard_shrink":
            return 0.0 if abs(x) <= 0.5 else x
        case "hard_silu" | "hard_swish":
            return x * _clip(x / 6.0 + 0.5, 0.0, 1.0)
        case "hard_tanh":
            return _clip(x, -1.0, 1.0)
        case "log_sigmoid":
            return -_softplus(-x)
        case "soft_shrink":
            return max(x - 0.5, 0.0) + min(x + 0.5, 0.0)
        case "sparse_plus":
            return _sparse_plus(x)
        case "sparse_sigmoid":
            return _clip((x + 1.0) / 2.0, 0.0, 1.0)
        case "squareplus":
            return _squareplus(x)
        case "tanh_shrink":
            return _tanh_shrink(x)
    raise ValueError(f"unknown activation {name!r}")


def _softmax(vector: list[float]) -> list[float]:
    """ACT-SOFTMAX: e^x_j over the sum of all e^x_k, both divided by e^max."""
    top = max(vector)
    terms = [math.exp(x - top) for x in vector]
    return [term / math.fsum(terms) for term in terms]


def _log_softmax(vector: list[float]) -> list[float]:
    """ACT-LOG-SOFTMAX: x_j minus the logarithm of the sum of all e^x_k, both shifted by the maximum."""
    top = max(vector)
    log_sum = math.log(math.fsum(math.exp(x - top) for x in vector))
    return [(x - top) - log_sum for x in vector]


def _sparsemax(vector: list[float]) -> list[float]:
    """ACT-SPARSEMAX: find tau by dropping what is not above it until nothing more drops."""
    top = max(vector)
    shifted = [x - top for x in vector]  # a common shift moves tau as much and changes no result
    support = shifted
    while True:
        tau = (math.fsum(support) - 1.0) / len(support)  # what makes the support's results sum to 1
        kept = [x for x in support if x > tau]
        if not kept or len(kept) == len(support):  # none kept: only with NaN
            break
        support = kept
    return [max(x - tau, 0.0) for x in shifted]


def activate(name: str, vector: list[float]) -> list[float]:
    """ACT-1 and the ACT clause of that name, over the units of one gate of one sample."""
    if name == "softmax":
        return _softmax(vector)
    if name == "log_softmax":
        return _log_softmax(vector)
    if name == "sparsemax":
        return _sparsemax(vector)
    return [_one(name, x) for x in vector]


def _product(row: list[float], matrix: list[list[float]], block: int, units: int) -> list[float]:
    """WEIGHT-1: a row times one gate's block of columns of a matrix."""
    result: list[float] = []
    for unit in range(units):
        total = 0.0
        for index in range(len(row)):
            total += row[index] * matrix[index][block * units + unit]
        result.append(total)
    return result


def _bias_rows(
    bias: list[float] | list[list[float]] | None, width: int, two_rows: bool
) -> tuple[list[float], list[float]]:
    """WEIGHT-2, WEIGHT-3 and WEIGHT-4: the input bias and the recurrent bias, zeros where there is none."""
    zeros = [0.0] * width
    if bias is None:
        return zeros, zeros
    numbers: list[float] = []
    rows: list[list[float]] = []
    for entry in bias:
        if isinstance(entry, list):
            rows.append(entry)
        else:
            numbers.append(entry)
    if two_rows and not numbers and [len(row) for row in rows] == [width, width]:
        return rows[0], rows[1]
    if not two_rows and not rows and len(numbers) == width:
        return numbers, zeros
    raise ValueError("bias has the wrong shape")


def _lstm_step(
    x: list[float],
    h: list[float],
    c: list[float],
    kernel: list[list[float]],
    recurrent_kernel: list[list[float]],
    bias: list[float],
    activation: str,
    recurrent_activation: str,
) -> tuple[list[float], list[float]]:
    """LSTM-EQ-1 to LSTM-EQ-4 with the gate order of WEIGHT-2: the new h and c."""
    units = len(h)
    before: list[list[float]] = []
    for block in range(4):
        from_x = _product(x, kernel, block, units)
        from_h = _product(h, recurrent_kernel, block, units)
        before.append([from_x[u] + from_h[u] + bias[block * units + u] for u in range(units)])
    i = activate(recurrent_activation, before[0])
    f = activate(recurrent_activation, before[1])
    candidate = activate(activation, before[2])
    o = activate(recurrent_activation, before[3])
    new_c = [f[u] * c[u] + i[u] * candidate[u] for u in range(units)]
    squashed = activate(activation, new_c)
    new_h = [o[u] * squashed[u] for u in range(units)]
    return new_h, new_c


def _gru_step(
    x: list[float],
    h: list[float],
    kernel: list[list[float]],
    recurrent_kernel: list[list[float]],
    bias: list[float],
    recurrent_bias: list[float],
    activation: str,
    recurrent_activation: str,
    reset_after: bool,
) -> list[float]:
    """GRU-EQ-1 to GRU-EQ-5 with the gate order of WEIGHT-3: the new h."""
    units = len(h)
    gates: list[list[float]] = []
    for block in range(2):
        from_x = _product(x, kernel, block, units)
        from_h = _product(h, recurrent_kernel, block, units)
        before: list[float] = []
        for u in range(units):
            column = block * units + u
            before.append(from_x[u] + bias[column] + from_h[u] + recurrent_bias[column])
        gates.append(activate(recurrent_activation, before))
    z, r = gates
    from_x = _product(x, kernel, 2, units)
    candidate: list[float] = []
    if reset_after:
        from_h = _product(h, recurrent_kernel, 2, units)
        for u in range(units):
            column = 2 * units + u
            candidate.append(from_x[u] + bias[column] + r[u] * (from_h[u] + recurrent_bias[column]))
    else:
        from_h = _product([r[u] * h[u] for u in range(units)], recurrent_kernel, 2, units)
        for u in range(units):
            candidate.append(from_x[u] + bias[2 * units + u] + from_h[u])
    candidate = activate(activation, candidate)
    return [z[u] * h[u] + (1.0 - z[u]) * candidate[u] for u in range(units)]


def run(
    layer: str,
    inputs: list[list[float]],
    kernel: list[list[float]],
    recurrent_kernel: list[list[float]],
    bias: list[float] | list[list[float]] | None,
    *,
    activation: str,
    recurrent_activation: str,
    reset_after: bool = True,
    mask: list[bool] | None = None,
    initial_state: list[list[float]] | None = None,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[list[list[float]], list[list[float]]]:
    """Outputs and final states: MASK-1 to MASK-7, VIEW-2, VIEW-3, DIR-1, DIR-2, STATE-1 and 2."""
    if layer.lower() not in ("lstm", "gru"):
        raise ValueError(f"unknown layer {layer!r}")
    lstm = layer.lower() == "lstm"
    units = len(recurrent_kernel)
    bias_row, recurrent_bias = _bias_rows(bias, (4 if lstm else 3) * units, not lstm and reset_after)

    states = [[0.0] * units for _ in range(2 if lstm else 1)]
    if initial_state is not None:
        if [len(state) for state in initial_state] != [len(state) for state in states]:
            raise ValueError("initial_state has the wrong shape")
        states = [list(state) for state in initial_state]
    if mask is not None and len(mask) != len(inputs):
        raise ValueError("mask has the wrong length")

    order = list(range(len(inputs)))
    if go_backwards:
        order.reverse()
    outputs: list[list[float]] = []
    repeated = [0.0] * units  # what a masked step puts out: zeros until a valid step was processed
    for t in order:
        if mask is not None and not mask[t]:
            outputs.append([0.0] * units if zero_output_for_mask else list(repeated))
            continue
        if lstm:
            h, c = _lstm_step(
                inputs[t],
                states[0],
                states[1],
                kernel,
                recurrent_kernel,
                bias_row,
                activation,
                recurrent_activation,
            )
            states = [h, c]
        else:
            h = _gru_step(
                inputs[t],
                states[0],
                kernel,
                recurrent_kernel,
                bias_row,
                recurrent_bias,
                activation,
                recurrent_activation,
                reset_after,
            )
            states = [h]
        repeated = list(h)
        outputs.append(list(h))
    return outputs, states
