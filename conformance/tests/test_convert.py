"""Weights between layouts: nothing is lost silently, and what cannot be held is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import cli
from hypothesis import given, settings
from hypothesis import strategies as st
from rnn_conformance.cli import convert as command
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.guide import files
from rnn_conformance.guide.checking import check
from rnn_conformance.guide.conversion import (
    LAYOUTS,
    Flat,
    Stack,
    convert,
    read,
    write,
)
from rnn_conformance.guide.files import load, save
from rnn_conformance.guide.named_layouts import Arrays, Place
from rnn_reference import shapes
from rnn_reference.layouts import NotRepresentable


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    layer = draw(st.sampled_from(["LSTM", "GRU"]))
    reset_after = layer == "LSTM" or draw(st.booleans())
    bias, directions = draw(st.booleans()), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    units, features = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    stack = Stack(layer, reset_after)
    for number in range(draw(st.integers(1, 3))):
        wanted = shapes.weight_shapes(layer, features, units, use_bias=bias, reset_after=reset_after)
        for backward in range(directions):
            stack.weights[Place(number, bool(backward))] = {
                name: rng.normal(size=shape).astype(np.float32) for name, shape in wanted.items()
            }
        features = units * directions
    return stack


def same(a: Stack, b: Stack) -> bool:
    return a.weights.keys() == b.weights.keys() and all(
        a.weights[p].keys() == b.weights[p].keys()
        and all(np.array_equal(a.weights[p][n], b.weights[p][n]) for n in a.weights[p])
        for p in a.weights
    )


@settings(max_examples=60)
@given(stacks(), st.sampled_from(LAYOUTS))
def test_there_and_back(stack: Stack, target: str) -> None:
    two = stack.layer == "GRU" and stack.reset_after
    for own in stack.weights.values() if two else ():
        if target == "flax" and "bias" in own:  # it has no place for it
            own["bias"][1] = 0
        if target == "openvino" and "bias" in own:  # it adds the gates' two
            own["bias"][1, : own["bias"].shape[1] // 3 * 2] = 0
    if target in ("torch", "flax", "mxnet", "cudnn") and not stack.reset_after:
        with pytest.raises(NotRepresentable) as refused:
            write(stack, target)
        assert refused.value.clause in ("MAP-TORCH-3", "MAP-FLAX-3", "MAP-MXNET-1")
        return
    arrays = write(stack, target)
    back = read(arrays, target, reset_after=stack.reset_after, flat=Flat.of(stack))
    assert back.layer == stack.layer
    if target in ("flax", "openvino"):  # biases always (MAP-FLAX-4, MAP-OPENVINO-2)
        for place, own in stack.weights.items():
            if "bias" not in own:
                assert not back.weights[place].pop("bias").any()
    assert same(stack, back)
    found = convert(write(stack, "keras"), "keras", target, reset_after=stack.reset_after)
    assert found.lost == []
    assert found.arrays.keys() == arrays.keys()


def test_what_flax_has_no_place_for_is_refused() -> None:
    weights = {n: np.ones(s) for n, s in shapes.weight_shapes("GRU", 2, 3).items()}
    with pytest.raises(NotRepresentable, match="no bias for the recurrent product"):
        convert(weights, "keras", "flax")


def torch_lstm(prefix: str = "") -> Arrays:
    rng = np.random.default_rng(1)
    found: Arrays = {}
    for layer, width in ((0, 3), (1, 8)):
        for way in ("", "_reverse"):
            own = {"weight_ih": (16, width), "weight_hh": (16, 4), "bias_ih": (16,), "bias_hh": (16,)}
            found |= {
                f"{prefix}{n}_l{layer}{way}": rng.normal(size=s).astype(np.float32) for n, s in own.items()
            }
    return found


def test_what_is_not_kept_is_told() -> None:
    found = convert(torch_lstm("encoder.lstm."), "torch", "keras")
    assert found.lost == sorted(n for n in torch_lstm() if n.startswith("bias"))  # added up (MAP-TORCH-2)
    assert [place.name for place in sorted(found.stack.weights)] == [
        *("0.forward.", "0.backward.", "1.forward.", "1.backward.")
    ]
    again = convert(found.arrays, "keras", "torch")
    assert again.lost == []
    total = torch_lstm()["bias_ih_l1_reverse"] + torch_lstm()["bias_hh_l1_reverse"]
    assert np.array_equal(again.arrays["bias_ih_l1_reverse"], total)


def test_biases_that_onnx_keeps_apart_are_told() -> None:
    rng = np.random.default_rng(2)
    shapes_of = {"W": (2, 16, 3), "R": (2, 16, 4), "B": (2, 32)}
    found = convert({n: rng.normal(size=s) for n, s in shapes_of.items()}, "onnx", "keras")
    assert found.lost == ["B"]  # LSTM's two are added (MAP-ONNX-2)


def test_names_as_frameworks_write_them() -> None:
    w = {n: np.ones(s) * k for k, (n, s) in enumerate(shapes.weight_shapes("LSTM", 2, 3).items(), start=1)}
    keras = {f"lstm_{k}/lstm_cell/{n}:0": a + k for k in (2, 10) for n, a in w.items()} | {
        "dense/b": np.ones(1)
    }
    stack = read(keras, "keras")
    assert [p.layer for p in stack.weights] == [0, 1]
    assert stack.weights[Place(1, False)]["kernel"].flat[0] == 11
    assert stack.ignored == ["dense/b"]
    both = {f"bi/{way}_lstm/lstm_cell/{n}": a for way in ("backward", "forward") for n, a in w.items()}
    assert sorted(read(both, "keras").weights) == [Place(0, False), Place(0, True)]


def test_cudnn_and_mxnet_are_pytorch_in_other_words() -> None:
    own = torch_lstm()
    flat = convert(own, "torch", "cudnn").arrays["params"]
    assert np.array_equal(flat[:48], own["weight_ih_l0"].ravel())
    assert np.array_equal(flat[48:112], own["weight_hh_l0"].ravel())
    assert np.array_equal(flat[112:160], own["weight_ih_l0_reverse"].ravel())
    total = own["bias_ih_l1_reverse"] + own["bias_hh_l1_reverse"]  # which come last: the sum, and 0
    assert np.array_equal(flat[-32:], np.concatenate([total, np.zeros(16, np.float32)]))
    shape = Flat("LSTM", 4, 2, True)
    assert convert({"x": flat}, "cudnn", "torch", flat=shape).lost == []
    assert sorted(convert(own, "torch", "mxnet").arrays)[-4:] == [
        *("r1_h2h_bias", "r1_h2h_weight", "r1_i2h_bias", "r1_i2h_weight")
    ]
    with pytest.raises(ConfigurationError, match="holds no such layers"):
        read({"params": flat[1:]}, "cudnn", flat=shape)
    with pytest.raises(ConfigurationError, match="say of which layer"):
        read({"params": flat}, "cudnn")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_the_command(tmp_path: Path, suffix: str) -> None:
    source, middle, back = (tmp_path / f"{n}{suffix}" for n in ("in", "middle", "back"))
    save(source, torch_lstm("model."))

    def convert(*arguments: str) -> subprocess.CompletedProcess[str]:
        return cli("convert", *arguments)

    done = convert(
        str(source), str(middle), "--from", "torch", "--to", "onnx", "--prefix", "model.", "--format", "json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["arrays"]["1.W"] == [2, 16, 8]
    assert told["lossless"] is False
    assert convert(str(middle), str(back), "--from", "onnx", "--to", "torch").returncode == 0
    once, twice = torch_lstm(), load(back)
    assert once.keys() == twice.keys()
    assert np.array_equal(once["weight_hh_l1_reverse"], twice["weight_hh_l1_reverse"])
    for wrong, told_of in (
        ((str(source), str(back), "--from", "keras", "--to", "torch"), "no weights of a keras layer"),
        ((str(source), str(tmp_path / "x.pt"), "--from", "torch", "--to", "keras"), "are written as"),
        ((str(source), str(back), "--from", "cudnn", "--to", "torch"), "needs --layer and --units"),
        ((__file__, str(back), "--from", "torch", "--to", "keras"), "save the weights as one of them first"),
    ):
        done = convert(*wrong)
        assert done.returncode == 2
        assert told_of in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in (source, middle, back))


def of(layer: str, prefix: str, **more: bool) -> Arrays:
    rng = np.random.default_rng(3)
    wanted = shapes.weight_shapes(layer, 2, 4, **more)
    return {f"{prefix}{n}:0": rng.normal(size=s).astype(np.float32) for n, s in wanted.items()}


def test_keras_2_directions_have_cells_of_their_own_names() -> None:
    ways = [f"bidirectional/{way}_lstm/lstm_cell_{k}/" for k, way in ((2, "backward"), (1, "forward"))]
    found = convert(of("LSTM", ways[0]) | of("LSTM", ways[1]), "keras", "torch")
    assert sorted(found.arrays)[-2:] == ["weight_ih_l0", "weight_ih_l0_reverse"]
    with pytest.raises(ConfigurationError, match="without its forward one"):
        read(of("LSTM", ways[0]), "keras")


def test_layers_of_another_kind() -> None:
    dense = {"dense/kernel:0": np.ones((4, 3), np.float32), "dense/bias:0": np.ones(3, np.float32)}
    found = convert(dense | of("LSTM", "lstm/lstm_cell/"), "keras", "torch")
    assert found.stack.ignored == ["dense/kernel", "dense/bias"]
    assert [place.layer for place in found.stack.weights] == [0]
    with pytest.raises(ConfigurationError, match="LSTM and GRU layers"):
        read(of("LSTM", "lstm/lstm_cell/") | of("GRU", "zgru/gru_cell/"), "keras")
    both = of("GRU", "a/gru_cell/") | of("GRU", "b/gru_cell/", reset_after=False)
    with pytest.raises(ConfigurationError, match="with and without reset_after"):
        read(both, "keras")


@pytest.mark.parametrize("reset_after", [True, False])
def test_openvino_tells_where_the_reset_gate_is(reset_after: bool) -> None:
    arrays = convert(of("GRU", "", reset_after=reset_after), "keras", "openvino").arrays
    assert read(arrays, "openvino", reset_after=not reset_after).reset_after == reset_after
    arrays["B"] = arrays["B"][:, :9]
    with pytest.raises(ConfigurationError, match="neither three nor four"):
        read(arrays, "openvino")


def test_what_onnx_says_beside_its_weights(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    arrays = convert(of("GRU", ""), "keras", "onnx").arrays
    made = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    path = tmp_path / "model.onnx"
    for said, told in (
        ({}, None),
        ({"linear_before_reset": 1}, None),
        ({"direction": "reverse"}, "direction=reverse"),
        ({"activations": ["Sigmoid", "Relu"]}, "activations"),
        ({"clip": 1.0}, "clip"),
    ):
        node = onnx.helper.make_node("GRU", ["X", "W", "R", "B"], ["Y"], hidden_size=4, **said)
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [], made)), path)
        if told is None:
            assert files.reset_after_of(path) == bool(said)
            assert load(path).keys() == {"W", "R", "B"}
        else:
            with pytest.raises(ConfigurationError, match=told):
                load(path)


def test_files_of_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    arrays = write(read(torch_lstm(), "torch"), "onnx")
    made = [onnx.numpy_helper.from_array(array, name.replace(".", "_")) for name, array in arrays.items()]
    nodes = [
        onnx.helper.make_node("LSTM", ["X", f"{k}_W", f"{k}_R", f"{k}_B"], [f"Y{k}"], hidden_size=4)
        for k in (0, 1)
    ]
    graph = onnx.helper.make_graph(nodes, "g", [], [], made)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    found = load(tmp_path / "model.onnx")
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_files_that_take_what_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="takes torch, which is not installed here"):
        load(tmp_path / "model.pt")


def test_each_side_is_run_with_its_own_arrays() -> None:
    """By the reference, where no framework is installed: what it makes of the arrays, not what they were made from."""
    stack = read(torch_lstm(), "torch")
    arrays = write(stack, "keras")
    found = check(arrays, "keras", stack)
    assert [(one.place, one.verdict) for one in found] == [(place, "pass") for place in sorted(stack.weights)]
    assert all(one.z is not None and 0 < one.z < 8 for one in found)
    kernel = arrays["1.backward.kernel"]
    arrays["1.backward.kernel"] = np.roll(kernel, 4, axis=1)  # the gates in another order
    assert [one.verdict for one in check(arrays, "keras", stack)] == ["pass", "pass", "pass", "value"]
    (first, *_) = check(write(stack, "mxnet"), "mxnet", stack)
    assert (first.verdict, first.is_wrong) == ("not checked", False)


def test_several_layers_of_torch_need_a_choice() -> None:
    with pytest.raises(ConfigurationError, match="choose one with --prefix"):
        read(torch_lstm("a.") | torch_lstm("b."), "torch")


def test_the_command_offers_what_there_is() -> None:
    assert command.LAYOUTS == LAYOUTS


@pytest.mark.parametrize("shape", [(4, 9), (9,), (0, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match="neither of an LSTM nor of a GRU"):
        read({"kernel": np.ones((2, 9)), "recurrent_kernel": np.ones(shape)}, "keras")
