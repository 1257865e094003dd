"""OpenVINO: models of ``LSTMSequence`` or ``GRUSequence`` operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops
from rnn_conformance.contract.adapter import Adapter, Description, LayerSpec, framework, require
from rnn_conformance.contract.capabilities import ANY, MERGE_MODES, Capabilities
from rnn_conformance.contract.lengths_model import LengthsModel, Outputs
from rnn_reference import layouts
from rnn_reference.shapes import weight_shapes

ELEMENT = {"float32": openvino.Type.f32, "float16": openvino.Type.f16}
ACTIVATIONS = ["relu", "sigmoid", "tanh"]
CORE = openvino.Core()
# Of the nodes that the CPU executes, those that can be the recurrence: oneDNN's, or a loop over steps.
KERNELS = {"RNNSeq", "RNNCell", "TensorIterator", "Loop"}
# Otherwise a CPU with AMX computes in bfloat16, whatever the model says.
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}


class OpenVinoAdapter(Adapter):
    """A compiled model per set of weights, which are constants, and any number of rows and steps, as in converted models."""

    static = False

    level, layout = "lengths", "openvino"
    capabilities = Capabilities(
        arguments={
            "activation": ACTIVATIONS,
            "recurrent_activation": ACTIVATIONS,
            "use_bias": ANY,  # a bias of zeros
            "reset_after": ANY,  # linear_before_reset
            "go_backwards": ANY,  # direction=reverse, whose outputs are in the order of the input
        },
        calls=("lengths", "padding", "initial_state", "predict", "static_shapes"),
        num_layers=99,
        bidirectional=True,
        merge_modes=MERGE_MODES,  # the operations keep the directions apart
        reasons={
            "activation": ("OpenVINO's sequences have no activation {value}", "ACT-1"),
            "recurrent_activation": ("OpenVINO's sequences have no activation {value}", "ACT-1"),
            "time_major": ("OpenVINO's sequences take batches first", "TIME-1"),
            "unroll": ("OpenVINO's sequences have no unroll attribute", "UNROLL-1"),
            "initial_weights": ("OpenVINO's weights are constants of a model: none are made", "INIT-1"),
            "gradients": ("OpenVINO only infers: there are no gradients", "GRAD-1"),
            "fit": ("OpenVINO only infers: there is no training", "FIT-1"),
            "training": ("OpenVINO's sequences have no training mode", "DROP-1"),
            "positional": ("OpenVINO's sequences take their sizes by their own names", "ERR-3"),
            "": ("OpenVINO's sequences have no {name} attribute", ""),
        },
    )

    def describe(self) -> Description:
        """OpenVINO's version and devices."""
        version, _, build = openvino.__version__.partition("-")
        return Description(
            framework="openvino",
            version=version,
            devices=[name.lower() for name in CORE.available_devices],
            dtypes={
                "float64": "OpenVINO's sequences do not compute in float64",
                "float32": None,
                "float16": None,
                "bfloat16": "OpenVINO's models are converted to bfloat16 by a hint, not by their type",
            },
            packages={"numpy": np.__version__},
            notes=(
                f"build {build}",
                "INFERENCE_PRECISION_HINT is f32",
                "the CPU computes float16 in float32",
            ),
        )

    def build(self, spec: LayerSpec) -> LengthsModel:
        """A model of one operation, or of a chain of them."""
        inside = spec.num_layers > 1 and spec.merge_mode != "concat"
        require(not inside, "OpenVINO's sequences keep the directions apart", "NET-3")
        return _Model(spec, self.static)


class StaticOpenVinoAdapter(OpenVinoAdapter):
    """A compiled model for every shape of the input, as ``Model.reshape`` makes them."""

    static = True


class _Model(LengthsModel):
    def __init__(self, spec: LayerSpec, static: bool) -> None:
        self._spec, self._static = spec, static
        self._compiled: dict[tuple[int, int], Any] = {}
        self._directions = 2 if spec.bidirectional else 1
        self._reverse = bool(spec.arguments["go_backwards"])
        self.mode = "composed" if self._reverse else "native"  # outputs are turned around

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = weights
        self._compiled.clear()
        self._compiled_for(*(self._spec.size.B, self._spec.size.T) if self._static else (-1, -1))

    def _compiled_for(self, batch: int, steps: int) -> Any:
        if (batch, steps) not in self._compiled:
            model = self._model(self._weights, [batch, steps, self._spec.size.F])
            with framework():
                compiled = CORE.compile_model(model, self._spec.device.upper(), SETTINGS)
                nodes = compiled.get_runtime_model().get_ops()
                self.path = " ".join(sorted(KERNELS & {_kind(node) for node in nodes}))
                self._compiled[batch, steps] = compiled
        return self._compiled[batch, steps]

    def _model(self, weights: Mapping[str, np.ndarray], shape: Sequence[int]) -> openvino.Model:
        spec, D = self._spec, self._directions
        element = ELEMENT[spec.dtype]
        with framework():
            x = ops.parameter(shape, element, name="X")
            lengths = ops.parameter([shape[0]], openvino.Type.i32, name="lengths")
            parameters, finals, seen = [x, lengths], [], x
            for number in range(spec.num_layers):
                end = "" if spec.num_layers == 1 else f"_{number}"
                states = [
                    ops.parameter([shape[0], D, spec.units], element, name=f"{name}{end}")
                    for name in "hc"[: spec.state_count]
                ]
                constants = [
                    ops.constant(np.ascontiguousarray(weights[f"{name}{end}"])) for name in ("W", "R", "B")
                ]
                node = self._operation(seen, states, lengths, constants)
                parameters += states
                finals += [node.output(1 + k) for k in range(spec.state_count)]
                side = ops.transpose(node.output(0), ops.constant([0, 2, 1, 3]))  # [B, T, D, U]
                seen = ops.reshape(side, ops.constant([0, 0, D * spec.units]), special_zero=True)
            return openvino.Model([node.output(0), *finals], parameters, spec.layer)

    def _operation(self, seen: Any, states: list[Any], lengths: Any, constants: list[Any]) -> Any:
        spec, a = self._spec, self._spec.arguments
        direction = "bidirectional" if spec.bidirectional else "reverse" if self._reverse else "forward"
        gates = [a["recurrent_activation"], a["activation"]]
        if spec.layer == "LSTM":
            return ops.lstm_sequence(
                seen, *states, lengths, *constants, spec.units, direction, [*gates, a["activation"]]
            )
        return ops.gru_sequence(
            *(seen, *states, lengths, *constants, spec.units, direction, gates),
            linear_before_reset=spec.reset_after,
        )

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[Outputs, Sequence[np.ndarray]]:
        spec, D, kinds = self._spec, self._directions, self._spec.state_count
        if lengths is None:
            lengths = np.full(len(inputs), inputs.shape[1])
        wanted = kinds * spec.num_layers * D
        require(
            states is None or len(states) == wanted, "OpenVINO's sequences take each state by name", "STATE-2"
        )
        given = states or [np.zeros((len(inputs), spec.size.U), inputs.dtype)] * wanted
        feeds = [inputs, lengths.astype(np.int32)]
        for first in range(0, wanted, kinds * D):  # layer by layer
            own = given[first : first + kinds * D]
            feeds += [np.stack(own[k::kinds], axis=1) for k in range(kinds)]
        compiled = self._compiled_for(*inputs.shape[:2] if self._static else (-1, -1))
        with framework():
            found = compiled([np.ascontiguousarray(a) for a in feeds])
            outputs, *finals = (found[k].copy() for k in range(1 + kinds * spec.num_layers))
        sides = [outputs[:, d, ::-1] if self._reverse else outputs[:, d] for d in range(D)]
        layers = [finals[k : k + kinds] for k in range(0, len(finals), kinds)]
        return sides, [kind[:, d] for layer in layers for d in range(D) for kind in layer]

    def weights(self) -> Mapping[str, np.ndarray]:
        """The constants of a model that nothing was given to."""
        spec = self._spec
        shapes = weight_shapes(
            spec.layer,
            spec.size.F,
            spec.size.U,
            use_bias=spec.arguments["use_bias"],
            reset_after=spec.reset_after,
        )
        zeros = {name: np.zeros(shape, spec.dtype) for name, shape in shapes.items()}
        return layouts.to_openvino(spec.layer, zeros, reset_after=spec.reset_after)

    def shapes(self) -> Mapping[str, tuple[Sequence[int | None], Sequence[int | None]]]:
        """The partial shapes of a model's outputs."""
        shape = [-1 if n is None else n for n in self._spec.declared["Input"]]
        model = self._model(self.weights(), shape)
        output, state = (
            [d.get_length() if d.is_static else None for d in model.output(k).get_partial_shape()]
            for k in (0, 1)
        )
        batch, _, steps, units = output
        return {"OpenVINO's partial shapes": ((batch, steps, units), (state[0], state[2]))}


def _kind(node: Any) -> str:
    return str(node.get_rt_info()["layerType"].astype(str))
