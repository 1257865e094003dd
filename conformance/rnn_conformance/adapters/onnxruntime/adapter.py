"""ONNX Runtime: models of one ``LSTM`` or ``GRU`` operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from rnn_reference import layouts, onnx_operators
from rnn_reference.shapes import weight_shapes

from rnn_conformance.contract.adapter import (
    DTYPES,
    Adapter,
    Description,
    Gradients,
    LayerSpec,
    Model,
    Script,
    Unsupported,
    converted,
    framework,
    refuse_keras_only,
    require,
)
from rnn_conformance.running.composition import (
    Carrying,
    PredictingInBatches,
    network_of,
    pack,
    returned,
    static_views,
)

OPSET, IR_VERSION = 14, 8
ELEMENT = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PROVIDER_OPTIONS = {"cpu": {}, "cuda": {"use_tf32": "0"}}


class OnnxRuntimeAdapter(Adapter):
    """An inference session per set of weights, which are initializers, as in exported models."""

    def describe(self) -> Description:
        """onnxruntime's version and providers."""
        available = onnxruntime.get_available_providers()
        return Description(
            framework="onnxruntime",
            version=onnxruntime.__version__,
            devices=["cpu", *(["cuda:0"] if PROVIDERS["cuda"] in available else [])],
            dtypes={
                "float64": "ONNX Runtime: 'LSTM operator does not support double yet'",
                "float32": None,
                "float16": None,
                "bfloat16": "ONNX Runtime has no bfloat16 kernel for LSTM and GRU",
            },
            packages={"onnx": onnx.__version__, "numpy": np.__version__},
            notes=("the CPU provider computes float16 in float32, between casts", "TF32 is switched off"),
        )

    def build(self, spec: LayerSpec) -> Model:
        """The operator's attributes from the case's arguments."""
        a = spec.arguments
        if a.get("stateful"):
            return Carrying(self.build, spec)
        for name in ("activation", "recurrent_activation"):
            require(
                a[name] in onnx_operators.ACTIVATIONS,
                f"ONNX LSTM and GRU have no activation {a[name]}",
                "ACT-1",
            )
        require(spec.seed is None, "ONNX operators take their weights as inputs: none are made", "INIT-1")
        refuse_keras_only(spec, "ONNX LSTM and GRU")
        # Merging by ReduceMean and its kin would be tested, not the operator: directions are side by side between layers.
        inside = spec.num_layers > 1 and spec.merge_mode != "concat"
        require(not inside, "ONNX operators keep the directions apart", "NET-3")
        require(not a["unroll"], "ONNX operators have no unroll attribute", "UNROLL-1")
        return _OnnxModel(spec)

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        """Through ``onnx.helper`` and a session."""
        arrays = layouts.to_onnx(spec.layer, weights, reset_after=spec.reset_after)
        return Script(
            {"attributes": _attributes(spec), "opset": OPSET, "ir_version": IR_VERSION},
            dict(arrays),
        )


def _attributes(spec: LayerSpec) -> dict[str, Any]:
    """The operator's attributes, but for the direction."""
    return onnx_operators.attributes(
        spec.layer, dict(spec.arguments) | {"reset_after": spec.reset_after}, spec.units
    )


class _OnnxModel(PredictingInBatches):
    def __init__(self, spec: LayerSpec) -> None:
        self._spec = spec
        self._session: Any = None
        self._kind = spec.device.partition(":")[0]
        self.path = PROVIDERS[self._kind]
        if self._kind == "cpu" and spec.dtype == "float16":
            self.path += " (float32 between casts)"
        # direction=reverse gives input order, and reverses lengths instead of masks (DIR-3).
        self._reverse = bool(spec.arguments["go_backwards"]) and not spec.has_mask

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        complete = any(name.endswith("bias") for name in weights) == self._spec.arguments["use_bias"]
        require(complete, "ONNX inputs are named, and B is optional: there is no list of weights", "WEIGHT-5")
        nodes = converted(layouts.network_to_onnx, network_of(self._spec), weights)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        if self._kind != "cpu":  # a silent fallback would be reported under the wrong device
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        with framework():
            self._session = onnxruntime.InferenceSession(
                self._model(nodes).SerializeToString(),
                options,
                providers=[(PROVIDERS[self._kind], PROVIDER_OPTIONS[self._kind])],
            )

    def _model(self, nodes: Sequence[Mapping[str, np.ndarray]]) -> Any:
        """A chain of operators, from the weights of each."""
        spec = self._spec
        element, directions = ELEMENT[spec.dtype], 2 if spec.bidirectional else 1
        attributes = _attributes(spec)
        if self._reverse:
            attributes["direction"] = "reverse"
        if spec.bidirectional:
            attributes["direction"] = "bidirectional"
            listed = ("activations", "activation_alpha", "activation_beta")
            attributes |= {name: attributes[name] * 2 for name in listed if name in attributes}

        def value(name: str, shape: list[Any] | None, kind: int = element) -> Any:
            return helper.make_tensor_value_info(name, kind, shape)

        graph_inputs, graph_outputs = [value("X", ["T", "B", spec.size.F])], []
        if spec.has_mask:
            graph_inputs.append(value("lengths", ["B"], TensorProto.INT32))
        operators, initializers = [], []
        seen = "X"
        for number, tensors in enumerate(nodes):
            last = number == len(nodes) - 1
            end = "" if len(nodes) == 1 else f"_{number}"
            states = [f"initial_{name}{end}" for name in "hc"[: spec.state_count]]
            states = states if spec.has_initial_state else []
            finals = [f"Y_{name}{end}" for name in "hc"[: spec.state_count]]
            names = [f"{name}{end}" for name in ("W", "R")]
            bias = f"B{end}" if "B" in tensors else ""
            operators.append(
                helper.make_node(
                    spec.layer,
                    [seen, *names, bias, "lengths" if spec.has_mask else "", *states],
                    ["Y" if last else f"Y{end}", *finals],
                    **attributes,
                )
            )
            if not last:  # [T, D, B, U] to the next one's input [T, B, D U]
                operators += [
                    helper.make_node("Transpose", [f"Y{end}"], [f"side{end}"], perm=[0, 2, 1, 3]),
                    helper.make_node("Reshape", [f"side{end}", "joined"], [f"X{end}"]),
                ]
                seen = f"X{end}"
            graph_inputs += [value(name, [directions, "B", spec.units]) for name in states]
            graph_outputs += finals
            initializers += [
                numpy_helper.from_array(np.ascontiguousarray(array), f"{name}{end}")
                for name, array in tensors.items()
            ]
        if len(nodes) > 1:
            initializers.append(numpy_helper.from_array(np.array([0, 0, -1], np.int64), "joined"))
        graph = helper.make_graph(
            operators,
            spec.layer,
            graph_inputs,
            [value(name, None) for name in ("Y", *graph_outputs)],
            initializers,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        a = self._spec.arguments
        merged = self._spec.bidirectional and self._spec.merge_mode != "concat"
        self.mode = "composed" if a["go_backwards"] or merged else "native"
        if a["time_major"]:
            inputs = inputs.swapaxes(0, 1)
            mask = None if mask is None else mask.swapaxes(0, 1)
        feeds: dict[str, np.ndarray] = {}
        if mask is not None:
            if a["go_backwards"]:
                inputs, mask = inputs[:, ::-1], mask[:, ::-1]
            packed = pack(inputs, mask)
            if not (packed.right_padded and network_of(self._spec).config.zero_output_for_mask):
                self.mode = "composed"
            inputs, feeds["lengths"] = packed.inputs, packed.lengths.astype(np.int32)
        feeds["X"] = np.ascontiguousarray(inputs.swapaxes(0, 1))
        if self._spec.has_initial_state:
            wanted = len(network_of(self._spec).state_names)
            count = len(initial_state) if initial_state is not None else wanted
            require(count == wanted, "ONNX LSTM and GRU take each state by name, not as a list", "STATE-2")
            zero = np.zeros((inputs.shape[0], self._spec.size.U), inputs.dtype)
            feeds |= self._state_feeds(
                initial_state or [zero] * wanted
            )  # the model's inputs are not optional
        with framework():
            outputs, *finals = self._session.run(None, feeds)
        parts = [outputs[:, k].swapaxes(0, 1) for k in range(outputs.shape[1])]
        if mask is not None:
            zero_masked = network_of(self._spec).config.zero_output_for_mask
            parts = [
                packed.unpack(part, zero_output_for_mask=zero_masked, backward=k == 1)
                for k, part in enumerate(parts)
            ]
        elif self._reverse:
            parts = [parts[0][:, ::-1]]
        kinds, states = self._spec.state_count, []
        for first in range(0, len(finals), kinds):  # layer by layer
            own = finals[first : first + kinds]
            states += [kind[k] for k in range(len(parts)) for kind in own]
        return returned(self._spec, parts, states)

    def _state_feeds(self, states: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Each node's inputs ``initial_h`` and ``initial_c`` [D, B, U], from states in the order of NET-4."""
        spec = self._spec
        per_layer = len(states) // spec.num_layers
        feeds = {}
        for number in range(spec.num_layers):
            own = states[number * per_layer : (number + 1) * per_layer]
            end = "" if spec.num_layers == 1 else f"_{number}"
            for k, name in enumerate("hc"[: spec.state_count]):
                feeds[f"initial_{name}{end}"] = np.stack(own[k :: spec.state_count])
        return feeds

    def _zero_model(self) -> Any:
        spec = self._spec
        shapes = weight_shapes(
            spec.layer,
            spec.size.F,
            spec.size.U,
            use_bias=spec.arguments["use_bias"],
            reset_after=spec.reset_after,
        )
        zeros = {name: np.zeros(shape, DTYPES[spec.dtype]) for name, shape in shapes.items()}
        return self._model([layouts.to_onnx(spec.layer, zeros, reset_after=spec.reset_after)])

    def static_shapes(self) -> Mapping[str, Sequence[Sequence[int | None]]]:
        """``onnx.shape_inference``; open dimensions are symbols."""
        model = self._zero_model()
        for dimension, number in zip(
            model.graph.input[0].type.tensor_type.shape.dim,
            (self._spec.declared["Input"][k] for k in (1, 0, 2)),
            strict=True,
        ):
            if number is not None:
                dimension.dim_value = number
        with framework():
            inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        found = [
            [d.dim_value or None for d in output.type.tensor_type.shape.dim]
            for output in inferred.graph.output
        ]
        time, _, batch, units = found[0]
        return {"onnx.shape_inference": static_views(self._spec, (batch, time, units), found[1][1:])}

    def weight_shapes(self) -> Mapping[str, Sequence[int]]:
        tensors = {t.name: numpy_helper.to_array(t) for t in self._zero_model().graph.initializer}
        found = layouts.from_onnx(self._spec.layer, tensors, reset_after=self._spec.reset_after)
        return {name: array.shape for name, array in found.items()}

    def call_lengths(self, inputs: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """``sequence_lens``."""
        feeds = {"X": np.ascontiguousarray(inputs.swapaxes(0, 1)), "lengths": lengths.astype(np.int32)}
        with framework():
            outputs, *_ = self._session.run(None, feeds)
        return [np.ascontiguousarray(outputs[:, 0].swapaxes(0, 1))]

    def gradients(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        cotangents: Sequence[np.ndarray],
    ) -> Gradients:
        raise Unsupported("ONNX Runtime sessions only infer: there are no gradients", "GRAD-1")

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int | None,
        learning_rate: float,
        mask: np.ndarray | None = None,
    ) -> tuple[dict[str, np.ndarray], int]:
        raise Unsupported("ONNX Runtime sessions only infer: there is no training", "FIT-1")

    def call_training(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        training: bool | None,
    ) -> list[np.ndarray]:
        raise Unsupported("calls have no training argument", "DROP-1")
