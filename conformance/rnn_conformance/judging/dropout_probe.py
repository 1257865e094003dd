"""Recovering the dropout masks of a layer from outside, with weights that make its outputs tell them.

It needs three operations: set weights, call in training, and rewind, after which a call draws the same masks again. One unit of one
call answers one question: what is the mask of this gate for this feature (or unit), at every step and sample? The unit's gates are pinned
by their biases, the gate in question gets a small weight in one row of its column, and its output is inverted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rnn_fixtures.domain import Size
from rnn_reference.network import Network

OPEN = 40.0  # a bias that holds a gate open; its negative shuts it
REST = 0.5  # what a candidate rests at
SHIFT = 4.0  # keeps a GRU's update gate near 1, so that its state does not fade

TOLERANCE = {"float64": 1e-9, "float32": 1e-2}

Call = Callable[[np.ndarray, list[np.ndarray]], np.ndarray]
Job = tuple[str, int, int]  # "input" or "recurrent", gate, feature or unit


class ProbeError(Exception):
    """What came out is not what any mask of 0 and 1/(1 - p) gives."""


@dataclass(frozen=True)
class Recovered:
    """Masks in processing order: ``inputs`` [n, T, B, F], ``recurrent`` [n, T, B, U].

    ``determined`` says which entries of ``recurrent`` and ``inputs`` could be read; the others have no effect on any output.
    """

    inputs: np.ndarray
    recurrent: np.ndarray
    determined: Mapping[str, np.ndarray]
    residual: float


def _logit(x: np.ndarray) -> np.ndarray:
    return np.log(x) - np.log1p(-x)


@dataclass
class Probe:
    """One recovery: the layer's operations, its sizes and rates."""

    layer: str
    reset_after: bool
    size: Size
    rates: Mapping[str, float]
    dtype: Any
    set_weights: Callable[[Mapping[str, np.ndarray]], None]
    rewind: Callable[[], None]
    call: Call

    def __post_init__(self) -> None:
        s = self.size
        self.gates = 4 if self.layer == "LSTM" else 3
        self.widths = {"input": s.F, "recurrent": s.U}
        self.masks = {k: np.ones((self.gates, s.T, s.B, n)) for k, n in self.widths.items()}
        self.determined = {k: np.ones(m.shape, bool) for k, m in self.masks.items()}
        self.residual = 0.0
        self.heights = {k: 1 - p for k, p in self.rates.items()}  # so that a kept value raises by 1
        self.h0 = np.full((s.B, s.U), 0.5 if self.layer == "LSTM" else 1.0)
        self.c0 = np.full((s.B, s.U), 0.5)

    def recover(self) -> Recovered:
        """All masks.

        Raises
        ------
        ProbeError
            When an output cannot come from a mask of 0 and 1/(1 - p).
        """
        # A reset gate before the product shows only where the candidate's own mask lets the state through.
        late = self.layer == "GRU" and not self.reset_after and self.rates["recurrent"] > 0
        jobs = [
            (kind, gate, index)
            for kind, width in self.widths.items()
            if self.rates[kind] > 0
            for gate in range(self.gates)
            for index in range(width)
        ]
        early = [job for job in jobs if not (late and job[1] == 1)]
        for start in range(0, len(early), self.size.U):
            self._answer(early[start : start + self.size.U])
        if late:
            for job in (job for job in jobs if job[1] == 1):
                self._answer_late_reset(job)
        return Recovered(self.masks["input"], self.masks["recurrent"], self.determined, self.residual)

    # -- weights ---------------------------------------------------------------------------------

    def _blank(self) -> dict[str, np.ndarray]:
        """Kernels of zeros [rows, gates, U], biases that let the candidate through and nothing else."""
        s, lstm = self.size, self.layer == "LSTM"
        resting = [OPEN, -OPEN, REST, OPEN] if lstm else [-OPEN, OPEN, REST]
        return {
            "input": np.zeros((s.F, self.gates, s.U)),
            "recurrent": np.zeros((s.U, self.gates, s.U)),
            "bias": np.repeat(np.array(resting)[:, None], s.U, axis=1),
            "recurrent bias": np.zeros((self.gates, s.U)),
        }

    def _observe(self, w: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """States h_t and h_{t-1} [B, T, U] that these weights give."""
        s = self.size
        both = self.layer == "GRU" and self.reset_after
        bias = np.stack([w["bias"].ravel(), w["recurrent bias"].ravel()]) if both else w["bias"].ravel()
        weights = {
            "kernel": w["input"].reshape(s.F, -1),
            "recurrent_kernel": w["recurrent"].reshape(s.U, -1),
            "bias": bias,
        }
        self.set_weights({name: array.astype(self.dtype) for name, array in weights.items()})
        self.rewind()
        states = [self.h0, self.c0] if self.layer == "LSTM" else [self.h0]
        ones = np.ones((s.B, s.T, s.F), self.dtype)
        h = self.call(ones, [state.astype(self.dtype) for state in states]).astype(np.float64)
        return h, np.concatenate([self.h0[:, None], h[:, :-1]], axis=1)

    # -- questions and answers --------------------------------------------------------------------

    def _answer(self, jobs: Sequence[Job]) -> None:
        w = self._blank()
        for unit, (kind, gate, index) in enumerate(jobs):
            w[kind][index, gate, unit] = self.heights[kind]
            if self.layer == "LSTM":
                if gate != 2:
                    w["bias"][gate, unit] = 0.0
            elif gate == 0:
                w["bias"][0, unit], w["bias"][2, unit] = SHIFT, 0.0  # h_t = z h_{t-1}
            elif gate == 1:
                w["bias"][1, unit] = 0.0
                if self.reset_after:
                    w["recurrent bias"][2, unit] = REST  # candidate tanh(REST + r REST)
                else:
                    w["recurrent"][unit, 2, unit] = REST  # candidate tanh(REST + r h_{t-1} REST)
        h, before = self._observe(w)
        with np.errstate(all="ignore"):
            for unit, job in enumerate(jobs):
                raised = self._invert(job[1], h[:, :, unit], before[:, :, unit], unit)
                self._keep(job, raised, before)

    def _invert(self, gate: int, h: np.ndarray, before: np.ndarray, unit: int) -> np.ndarray:
        """What the gate's preactivation was raised by, [B, T]."""
        if self.layer == "LSTM":
            if gate == 3:
                return _logit(h / np.tanh(np.tanh(REST)))
            c = np.arctanh(h)
            if gate == 0:
                return _logit(c / np.tanh(REST))
            if gate == 1:
                earlier = np.concatenate([self.c0[:, unit, None], c[:, :-1]], axis=1)
                return _logit((c - np.tanh(REST)) / earlier)
            return np.arctanh(c) - REST
        if gate == 0:
            return _logit(h / before) - SHIFT
        if gate == 2:
            return np.arctanh(h) - REST
        return _logit((np.arctanh(h) - REST) / (REST if self.reset_after else REST * before))

    def _answer_late_reset(self, job: Job) -> None:
        """One reset gate of GRU(reset_after=False) through the sum over the units whose state is kept."""
        kind, gate, index = job
        w = self._blank()
        w["bias"][1] = 0.0
        w[kind][index, gate, :] = self.heights[kind]
        w["recurrent"][:, 2, :] = self.heights["recurrent"] / self.size.U
        h, before = self._observe(w)
        kept = before * self.masks["recurrent"][2].swapaxes(0, 1)
        through = kept.sum(-1) * self.heights["recurrent"] / self.size.U
        with np.errstate(all="ignore"):
            raised = np.where(through > 0, _logit((np.arctanh(h[:, :, 0]) - REST) / through), np.nan)
            self._keep(job, raised, before)

    def _keep(self, job: Job, raised: np.ndarray, before: np.ndarray) -> None:
        """Divide by what was masked, snap to 0 or 1/(1 - p), and check how well that fits."""
        kind, gate, index = job
        source = 1.0 if kind == "input" else before[:, :, index]
        value = raised / (self.heights[kind] * source)
        known = np.isfinite(value)
        kept = 1 / (1 - self.rates[kind])
        snapped = np.where(np.where(known, value, 0.0) > kept / 2, kept, 0.0)
        gap = float(np.max(np.abs(value - snapped), where=known, initial=0.0))
        self.residual = max(self.residual, gap)
        if gap > TOLERANCE[np.dtype(self.dtype).name] * kept:
            raise ProbeError(
                f"the {kind} mask of gate {gate}, element {index} is neither 0 nor {kept:.6g}, but off by {gap:.3g} (DROP-2)"
            )
        self.masks[kind][gate, :, :, index] = snapped.T
        self.determined[kind][gate, :, :, index] = known.T


def recover_between(
    layer: str,
    reset_after: bool,
    size: Size,
    rate: float,
    dtype: Any,
    set_weights: Callable[[Mapping[str, np.ndarray]], None],
    rewind: Callable[[], None],
    call: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The mask [T, B, U] between the two layers of a stack (DROP-5), by one call.

    The first layer gives a constant; unit u of the second reads unit u of the first.

    Raises
    ------
    ProbeError
        As `Probe.recover`.
    """
    gates = 4 if layer == "LSTM" else 3
    resting = [OPEN, -OPEN, REST, OPEN] if layer == "LSTM" else [-OPEN, OPEN, REST]
    bias = np.repeat(resting, size.U)
    if layer == "GRU" and reset_after:
        bias = np.stack([bias, 0 * bias])
    kernel = np.zeros((size.U, gates, size.U))
    kernel[:, 2, :] = (1 - rate) * np.eye(size.U)
    first, second = Network.of(layer, {"num_layers": 2}).places
    weights = {
        first + "kernel": np.zeros((size.F, gates * size.U)),
        first + "recurrent_kernel": np.zeros((size.U, gates * size.U)),
        first + "bias": bias,
        second + "kernel": kernel.reshape(size.U, -1),
        second + "recurrent_kernel": np.zeros((size.U, gates * size.U)),
        second + "bias": bias,
    }
    set_weights({name: array.astype(dtype) for name, array in weights.items()})
    rewind()
    h = call(np.ones((size.B, size.T, size.F), dtype)).astype(np.float64)
    constant = np.tanh(np.tanh(REST)) if layer == "LSTM" else np.tanh(REST)
    with np.errstate(all="ignore"):
        inner = np.arctanh(np.arctanh(h)) if layer == "LSTM" else np.arctanh(h)
    value = (inner - REST) / ((1 - rate) * constant)
    kept = 1 / (1 - rate)
    snapped = np.where(value > kept / 2, kept, 0.0)
    gap = float(np.max(np.abs(value - snapped)))
    if not gap <= TOLERANCE[np.dtype(dtype).name] * kept:
        raise ProbeError(
            f"the mask between the layers is neither 0 nor {kept:.6g}, but off by {gap:.3g} (DROP-2)"
        )
    return snapped.swapaxes(0, 1)
