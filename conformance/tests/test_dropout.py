"""Dropout: masks are recovered exactly, and every planted fault gets a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.adapter import LayerSpec, Model
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.dropout_probe import Probe
from rnn_conformance.judging.families import dropout
from rnn_fixtures.case import Case
from rnn_fixtures.domain import Size
from rnn_fixtures.store import Store
from rnn_reference import GRU, LSTM, recurrence
from rnn_reference.recurrence import DropoutMasks

CASES = {c.id: c for c in Store().cases() if c.family == "dropout"}
BOTH = "return_sequences,size=dropout,dropout=0.5,recurrent_dropout=0.25,training=true"


@pytest.mark.parametrize(
    ("kind", "arguments"), [(LSTM, {}), (GRU, {}), (GRU, {"reset_after": False})], ids=str
)
@pytest.mark.parametrize(("features", "units"), [(7, 4), (3, 5)])
@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.25), (0.25, 0.5)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_recovered_masks_are_those_that_were_drawn(
    kind: type[Any],
    arguments: dict[str, Any],
    features: int,
    units: int,
    rates: tuple[float, float],
    dtype: Any,
) -> None:
    layer = kind(
        units, return_sequences=True, dropout=rates[0], recurrent_dropout=rates[1], dtype=dtype, **arguments
    )
    layer.build((3, 4, features))
    drawn: list[DropoutMasks] = []
    draw = layer._draw_dropout

    def remembering(inputs: Any) -> DropoutMasks:
        drawn.append(draw(inputs))
        return drawn[-1]

    layer._draw_dropout = remembering

    def rewind() -> None:
        layer.dropout_rng = np.random.default_rng(5)

    found = Probe(
        layer=layer.layer,
        reset_after=layer.reset_after,
        size=Size(3, 4, features, units),
        rates={"input": rates[0], "recurrent": rates[1]},
        dtype=dtype,
        set_weights=lambda w: layer.set_weights(list(w.values())),
        rewind=rewind,
        call=lambda x, states: layer(x, initial_state=states, training=True),
    ).recover()
    for kind_of, masks, wanted in (
        ("input", found.inputs, drawn[0].inputs),
        ("recurrent", found.recurrent, drawn[0].recurrent),
    ):
        known = found.determined[kind_of]
        np.testing.assert_allclose(masks[known], wanted[known], rtol=1e-6)
        assert known.mean() > 0.8


class _Planted(NumpyAdapter):
    """The reference, with one thing wrong about dropout."""

    fault = "none"

    def build(self, spec: LayerSpec) -> Model:
        model: Any = super().build(spec)
        layer, fault = model._layer, self.fault
        draw = layer._draw_dropout

        def wrong(inputs: Any) -> DropoutMasks:
            if fault == "stale":
                layer.dropout_rng = np.random.default_rng(1)
            masks = draw(inputs)
            x, h = masks.inputs.copy(), masks.recurrent.copy()
            match fault:
                case "unscaled":
                    x = (x > 0) * 1.0
                case "recurrent unscaled":
                    h = (h > 0) * 1.0
                case "rate":
                    x = x * (layer.dropout_rng.random(x.shape[2:]) < 0.5)
                case "recurrent shared by gates":
                    h[:] = h[:1]
                case "recurrent resampled":
                    h = np.stack([draw(inputs).recurrent[:, t] for t in range(h.shape[1])], axis=1)
                case "per gate and step":
                    x = np.stack([draw(inputs).inputs[:, t] for t in range(x.shape[1])], axis=1)
                case "ineffective":
                    x, h = np.ones_like(x), np.ones_like(h)
            return DropoutMasks(x.astype(inputs.dtype), h.astype(inputs.dtype))

        layer._draw_dropout = wrong
        if fault == "in inference":
            plain = layer.trajectory
            layer.trajectory = lambda x, m, s, training=None: plain(x, m, s, True)
        return model


def verdict(case: Case, fault: str) -> tuple[str, str]:
    adapter = _Planted()
    adapter.fault = fault
    found = dropout.run(case, Bench(adapter, Store(check=False), "float32", "cpu")).verdict
    return found.verdict, found.message


@pytest.mark.parametrize("layer", ["lstm", "gru"])
def test_the_reference_passes(layer: str) -> None:
    assert verdict(CASES[f"{layer}/dropout/{BOTH}"], "none") == ("pass", "input mask: one per gate")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("unscaled", "DROP-2"),
        ("recurrent unscaled", "DROP-2"),
        ("rate", "DROP-2"),
        ("recurrent shared by gates", "DROP-4"),
        ("recurrent resampled", "DROP-4"),
        ("per gate and step", "DROP-3"),
        ("ineffective", "DROP-1"),
        ("stale", "DROP-1"),
    ],
)
def test_planted_faults_are_noticed(fault: str, message: str) -> None:
    found, text = verdict(CASES[f"lstm/dropout/{BOTH}"], fault)
    assert found == "value"
    assert message in text


def test_dropout_in_inference_is_noticed() -> None:
    case = CASES["lstm/dropout/return_sequences,size=dropout,dropout=0.5"]
    assert verdict(case, "none")[0] == "pass"
    assert verdict(case, "in inference")[0] == "value"


def test_a_mask_on_what_the_update_gate_keeps_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """DROP-4: only the product is masked. The layer drops the state itself; the replay does not."""
    case = CASES[f"gru/dropout/{BOTH}"]
    step = recurrence.gru_step

    def dropped_everywhere(
        x: Any, states: Any, r: Any, rb: Any, after: bool, a: Any, s: Any, d: Any = None
    ) -> Any:
        return step(x, tuple(h * d[0] for h in states) if d is not None else states, r, rb, after, a, s, d)

    reference = dropout._reference
    monkeypatch.setattr(recurrence, "gru_step", dropped_everywhere)

    def honest(*args: Any) -> Any:
        with monkeypatch.context() as inner:
            inner.setattr(recurrence, "gru_step", step)
            return reference(*args)

    monkeypatch.setattr(dropout, "_reference", honest)
    assert verdict(case, "none")[0] == "value"
