"""Networks against the same layers put together by hand (NET-1 to NET-5)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rnn_reference import GRU, LSTM
from rnn_reference.layouts import network_to_onnx, network_to_torch
from rnn_reference.network import MERGE_MODES, Network, weights_at

LAYERS = {"LSTM": LSTM, "GRU": GRU}
B, T, F, U = 2, 5, 3, 4


def drawn(network: Network, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, shape in network.weight_shapes(F, U).items()}


def by_hand(layer, arguments, weights, x, mask, states):
    """Keras's way: layers one after another, each made by its own constructor."""
    depth, two = arguments["num_layers"], arguments["bidirectional"]
    own = {k: v for k, v in arguments.items() if k not in ("num_layers", "bidirectional", "merge_mode")}
    finals, kinds = [], 2 if layer == "LSTM" else 1
    for number in range(depth):
        last = number == depth - 1
        outputs = []
        for direction in ("forward", "backward") if two else ("forward",):
            place = f"{number}.{direction}." if depth > 1 or two else ""
            sequences = own["return_sequences"] or not last
            made = LAYERS[layer](
                U,
                **(own | {"return_sequences": sequences, "return_state": True}),
                go_backwards=direction == "backward",
            )
            made.build(x.shape)
            made.set_weights(list(weights_at(weights, place).values()))
            if two:
                made.zero_output_for_mask = sequences  # NET-5
            start = None if states is None else states[len(finals) : len(finals) + kinds]
            y, *final = made(x, mask=mask, initial_state=start)
            finals += final
            outputs.append(y[:, ::-1] if direction == "backward" and sequences else y)
        if len(outputs) == 1:
            x = outputs[0]
            continue
        f, b = outputs
        mode = arguments["merge_mode"]
        if mode is None:
            return [f, b, *finals] if own["return_state"] else [f, b]
        x = {"concat": np.concatenate([f, b], -1), "sum": f + b, "mul": f * b, "ave": (f + b) / 2}[mode]
    return [x, *finals] if own["return_state"] else [x]


@settings(max_examples=60, deadline=None)
@given(
    layer=st.sampled_from(["LSTM", "GRU"]),
    num_layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    merge_mode=st.sampled_from(MERGE_MODES),
    return_sequences=st.booleans(),
    return_state=st.booleans(),
    zero_output_for_mask=st.booleans(),
    masked=st.booleans(),
    started=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_network_is_its_layers_put_together(layer, num_layers, masked, started, seed, **arguments):
    if arguments["merge_mode"] is None and num_layers > 1:
        return
    arguments["num_layers"] = num_layers
    network = Network.of(layer, arguments)
    weights = drawn(network, seed)
    rng = np.random.default_rng(seed + 1)
    x = rng.normal(size=(B, T, F))
    mask = rng.random((B, T)) > 0.4 if masked else None
    states = [rng.normal(size=(B, U)) for _ in network.state_names] if started else None
    found = network.views(network.forward(x, weights, initial_state=states, mask=mask))
    for actual, expected in zip(
        found.values(), by_hand(layer, arguments, weights, x, mask, states), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_names_of_places():
    network = Network.of("LSTM", {"num_layers": 2, "bidirectional": True})
    assert network.state_names[:5] == (
        "0.forward.h",
        "0.forward.c",
        "0.backward.h",
        "0.backward.c",
        "1.forward.h",
    )
    assert network.weight_shapes(F, U)["1.backward.kernel"] == (2 * U, 4 * U)
    assert Network.of("GRU", {}).places == ("",)


def test_two_outputs_are_no_input():
    network = Network.of("GRU", {"num_layers": 2, "bidirectional": True, "merge_mode": "none"})
    weights = drawn(Network.of("GRU", {"num_layers": 2, "bidirectional": True, "merge_mode": "sum"}), 0)
    with pytest.raises(ValueError, match="NET-3"):
        network.forward(np.zeros((B, T, F)), weights)


def test_other_layouts_have_every_layer_and_direction():
    network = Network.of("LSTM", {"num_layers": 2, "bidirectional": True})
    weights = drawn(network, 3)
    torch = network_to_torch(network, weights)
    assert len(torch) == 16
    np.testing.assert_array_equal(torch["weight_ih_l1_reverse"], weights["1.backward.kernel"].T)
    first, second = network_to_onnx(network, weights)
    assert first["W"].shape == (2, 4 * U, F)
    assert second["W"].shape == (2, 4 * U, 2 * U)
    # ONNX orders i, o, f, c.
    np.testing.assert_array_equal(
        second["R"][1][U : 2 * U], weights["1.backward.recurrent_kernel"][:, 3 * U :].T
    )
