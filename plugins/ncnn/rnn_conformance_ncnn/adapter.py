"""ncnn: nets of ``LSTM`` or ``GRU`` layers, row by row."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import ncnn
import numpy as np
from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec, framework, require
from rnn_conformance.contract.capabilities import ANY, MERGE_MODES, Capabilities
from rnn_conformance.contract.lengths_model import LengthsModel, Outputs

MAGIC = 7767517  # begins every param file
FORWARD, REVERSE, BIDIRECTIONAL = 0, 1, 2


class NcnnAdapter(Adapter):
    """A net per set of weights, from a param and a model file, as conversions write them."""

    level, layout = "lengths", "torch"
    capabilities = Capabilities(
        arguments={
            "use_bias": ANY,  # a bias of zeros
            "reset_after": [True],
            "go_backwards": ANY,  # direction 1, whose outputs are in the order of the input
        },
        calls=("lengths", "initial_state", "predict"),  # a net runs one row, of any number of steps
        num_layers=99,
        bidirectional=True,
        merge_modes=MERGE_MODES,  # halves of the last layer's output, merged afterwards
        reasons={
            "activation": ("ncnn's layers have tanh built in", "ACT-1"),
            "recurrent_activation": ("ncnn's layers have sigmoid built in", "ACT-1"),
            "reset_after": ("ncnn's GRU applies the reset gate after the recurrent product only", "GRU-EQ-4"),
            "time_major": ("ncnn's layers take one row", "TIME-1"),
            "unroll": ("ncnn's layers have no unroll parameter", "UNROLL-1"),
            "initial_weights": ("ncnn's weights come from a file: none are made", "INIT-1"),
            "static_shapes": ("ncnn infers no shapes before it computes", "SHAPE-9"),
            "gradients": ("ncnn only infers: there are no gradients", "GRAD-1"),
            "fit": ("ncnn only infers: there is no training", "FIT-1"),
            "training": ("ncnn's layers have no training mode", "DROP-1"),
            "positional": ("ncnn's layers take their sizes by number", "ERR-3"),
            "": ("ncnn's layers have no {name} parameter", ""),
        },
    )

    def describe(self) -> Description:
        """ncnn's version; Vulkan is not used."""
        why = "ncnn's Python arrays are float32; float16 and bfloat16 are options of storage"
        return Description(
            framework="ncnn",
            version=version("ncnn"),
            devices=["cpu"],
            dtypes={"float64": why, "float32": None, "float16": why, "bfloat16": why},
            packages={"numpy": np.__version__},
            notes=(
                "float16 and bfloat16 storage and arithmetic are switched off",
                "int8 and Vulkan are not used",
            ),
        )

    def build(self, spec: LayerSpec) -> LengthsModel:
        """A net of one layer, or of a chain of them."""
        whole = type(spec.units) is int and spec.units > 0
        require(whole, "a param file of ncnn has units as text, which the adapter writes", "WEIGHT-1")
        inside = spec.num_layers > 1 and spec.merge_mode != "concat"
        require(not inside, "ncnn's layers concatenate the directions", "NET-3")
        return _Model(spec)


class _Model(LengthsModel):
    mode = "composed"  # rows one after the other

    def __init__(self, spec: LayerSpec) -> None:
        self._spec = spec
        self._directions = 2 if spec.bidirectional else 1
        self._reverse = bool(spec.arguments["go_backwards"])

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        spec = self._spec
        rows, deeper = (4 if spec.layer == "LSTM" else 3) * spec.units, self._directions * spec.units
        for name, array in weights.items():
            columns = spec.units if "_hh_" in name else spec.size.F if "_l0" in name else deeper
            shape = (rows, columns) if name.startswith("weight") else (rows,)
            require(
                array.shape == shape, "a model file of ncnn has numbers alone: it tells no shapes", "WEIGHT-1"
            )
        net = ncnn.Net()
        for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "vulkan_compute"):
            setattr(net.opt, f"use_{option}", False)
        net.opt.num_threads = 1
        with tempfile.TemporaryDirectory() as folder:
            param, model = Path(folder, "layers.param"), Path(folder, "layers.bin")
            param.write_text(self._param(), "ascii")
            model.write_bytes(b"".join(self._parts(weights)))
            with framework():
                for found in (net.load_param(str(param)), net.load_model(str(model))):
                    if found != 0:
                        raise RuntimeError(f"ncnn returned {found} for the net")
        self._net = net

    def _param(self) -> str:
        """The text of the net."""
        spec, D = self._spec, self._directions
        way = BIDIRECTIONAL if spec.bidirectional else REVERSE if self._reverse else FORWARD
        gates = 4 if spec.layer == "LSTM" else 3
        inputs, layers, seen = ["x"], [], "x"
        for number in range(spec.num_layers):
            states = [f"{kind}{number}_in" for kind in "hc"[: spec.state_count]]
            results = [f"y{number}", *(f"{kind}{number}" for kind in "hc"[: spec.state_count])]
            width = D * spec.units if number else spec.size.F
            blobs = " ".join([seen, *states, *results])
            parameters = f"0={spec.units} 1={D * gates * spec.units * width} 2={way}"
            if spec.layer == "LSTM":
                parameters += f" 3={spec.units}"
            layers.append(f"{spec.layer} layer{number} {1 + len(states)} {len(results)} {blobs} {parameters}")
            inputs += states
            seen = results[0]
        lines = [f"Input {name} 0 1 {name}" for name in inputs] + layers
        blobs = len(inputs) + spec.num_layers * (1 + spec.state_count)
        return "\n".join([str(MAGIC), f"{len(lines)} {blobs}", *lines, ""])

    def _parts(self, weights: Mapping[str, np.ndarray]) -> list[bytes]:
        """For each layer input weights, biases, recurrent weights; LSTM i, f, o, g; GRU r, z, n, of whose two biases n's stay apart."""
        U, lstm = self._spec.units, self._spec.layer == "LSTM"

        def ordered(array: np.ndarray) -> np.ndarray:
            if not lstm:
                return array
            i, f, g, o = np.split(array, 4)
            return np.concatenate([i, f, o, g])

        parts = []
        for number in range(self._spec.num_layers):
            ends = [f"_l{number}", f"_l{number}_reverse"][: self._directions]
            given = [
                (weights.get(f"bias_ih{end}", zero), weights.get(f"bias_hh{end}", zero))
                for end in ends
                for zero in [np.zeros((4 if lstm else 3) * U, np.float32)]
            ]
            biases = [
                ordered(a + b) if lstm else np.concatenate([(a + b)[: 2 * U], a[2 * U :], b[2 * U :]])
                for a, b in given
            ]
            for arrays in (
                [ordered(weights[f"weight_ih{end}"]) for end in ends],
                biases,
                [ordered(weights[f"weight_hh{end}"]) for end in ends],
            ):
                parts.append(bytes(4))  # a tag: float32 as it is
                parts += [np.ascontiguousarray(array, np.float32).tobytes() for array in arrays]
        return parts

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[Outputs, Sequence[np.ndarray]]:
        spec, D, kinds = self._spec, self._directions, self._spec.state_count
        wanted = kinds * spec.num_layers * D
        require(states is None or len(states) == wanted, "ncnn's layers take each state by name", "STATE-2")
        batch, steps = inputs.shape[:2]
        rows = {batch, *([] if lengths is None else [len(lengths)]), *(len(state) for state in states or ())}
        require(batch > 0, "a net of ncnn runs one row: there is no empty batch", "SHAPE-8")
        require(len(rows) == 1, "a net of ncnn runs one row: it never sees another batch", "SHAPE-5")
        require(
            lengths is None or bool(np.all(lengths != 0)), "a net of ncnn runs no row of length 0", "MASK-6"
        )
        if lengths is None:
            lengths = np.full(batch, steps)
        require(bool(np.all(lengths != 0)), "a net of ncnn runs no row of length 0", "MASK-6")
        fits = bool(np.all((lengths > 0) & (lengths <= steps)))
        require(fits, "a net of ncnn is given the valid steps alone", "SHAPE-11")
        given = states or [np.zeros((batch, spec.size.U), inputs.dtype)] * wanted
        outputs = np.zeros((batch, steps, D * spec.size.U), inputs.dtype)
        finals = []
        for row, length in enumerate(lengths):
            outputs[row, :length], found = self._row(inputs[row, :length], [state[row] for state in given])
            finals.append(found)
        sides = np.split(outputs, D, axis=-1)
        ends = [np.stack(kind) for kind in zip(*finals, strict=True)]
        return [side[:, ::-1] for side in sides] if self._reverse else sides, ends

    def _row(self, row: np.ndarray, states: Sequence[np.ndarray]) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        """Outputs [T, D U] and final states of a row [T, F]; states [U] in the order of NET-4: layer, direction, kind."""
        D, kinds, layers = self._directions, self._spec.state_count, range(self._spec.num_layers)
        with framework():
            extractor = self._net.create_extractor()
            self._give(extractor, "x", row)
            for number in layers:
                own = states[number * D * kinds : (number + 1) * D * kinds]
                for k, kind in enumerate("hc"[:kinds]):  # [D, U]
                    self._give(extractor, f"{kind}{number}_in", np.stack(own[k::kinds]))
            outputs = self._blob(extractor, f"y{layers[-1]}")
            found = [[self._blob(extractor, f"{kind}{n}") for kind in "hc"[:kinds]] for n in layers]
        return outputs, [kind[d] for layer in found for d in range(D) for kind in layer]

    @staticmethod
    def _give(extractor: ncnn.Extractor, name: str, array: np.ndarray) -> None:
        array = np.ascontiguousarray(array)  # by name: a Mat does not hold the memory that it looks at
        extractor.input(name, ncnn.Mat(array).clone())

    @staticmethod
    def _blob(extractor: ncnn.Extractor, name: str) -> np.ndarray:
        code, mat = extractor.extract(name)
        if code != 0:
            raise RuntimeError(f"ncnn returned {code} for {name}")
        return np.array(mat)
