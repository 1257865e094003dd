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

from rnn_conformance.adapters.base import (
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
from rnn_conformance.composition import Carrying, PredictingInBatches, pack, select_outputs, static_views

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
        require(not a["unroll"], "ONNX operators have no unroll attribute", "UNROLL-1")
        return _OnnxModel(spec)

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        """Through ``onnx.helper`` and a session."""
        arrays = layouts.to_onnx(spec.layer, weights, reset_after=spec.reset_after)
        return Script(
            "onnxruntime.py.j2",
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
        complete = ("bias" in weights) == self._spec.arguments["use_bias"]
        require(complete, "ONNX inputs are named, and B is optional: there is no list of weights", "WEIGHT-5")
        tensors = converted(layouts.to_onnx, self._spec.layer, weights, reset_after=self._spec.reset_after)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        if self._kind != "cpu":  # a silent fallback would be reported under the wrong device
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        with framework():
            self._session = onnxruntime.InferenceSession(
                self._model(tensors).SerializeToString(),
                options,
                providers=[(PROVIDERS[self._kind], PROVIDER_OPTIONS[self._kind])],
            )

    def _model(self, tensors: Mapping[str, np.ndarray]) -> Any:
        spec = self._spec
        element, units = ELEMENT[spec.dtype], spec.units
        attributes = _attributes(spec)
        if self._reverse:
            attributes["direction"] = "reverse"
        states = ["initial_h", "initial_c"][: spec.state_count] if spec.has_initial_state else []
        names = ["X", "W", "R", "B" if "B" in tensors else "", "lengths" if spec.has_mask else "", *states]
        outputs = ["Y", "Y_h", "Y_c"][: 1 + spec.state_count]
        node = helper.make_node(spec.layer, names, outputs, **attributes)

        def value(name: str, shape: list[Any] | None, kind: int = element) -> Any:
            return helper.make_tensor_value_info(name, kind, shape)

        inputs = [value("X", ["T", "B", spec.size.F])]
        if spec.has_mask:
            inputs.append(value("lengths", ["B"], TensorProto.INT32))
        inputs += [value(name, [1, "B", units]) for name in states]
        graph = helper.make_graph(
            [node],
            spec.layer,
            inputs,
            [value(name, None) for name in outputs],
            [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in tensors.items()],
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
        self.mode = "composed" if a["go_backwards"] else "native"
        if a["time_major"]:
            inputs = inputs.swapaxes(0, 1)
            mask = None if mask is None else mask.swapaxes(0, 1)
        feeds: dict[str, np.ndarray] = {}
        if mask is not None:
            if a["go_backwards"]:
                inputs, mask = inputs[:, ::-1], mask[:, ::-1]
            packed = pack(inputs, mask)
            if not (packed.right_padded and a["zero_output_for_mask"]):
                self.mode = "composed"
            inputs, feeds["lengths"] = packed.inputs, packed.lengths.astype(np.int32)
        feeds["X"] = np.ascontiguousarray(inputs.swapaxes(0, 1))
        if self._spec.has_initial_state:
            count = len(initial_state) if initial_state is not None else self._spec.state_count
            named = "ONNX LSTM and GRU take each state by name, not as a list"
            require(count == self._spec.state_count, named, "STATE-2")
            zero = np.zeros((inputs.shape[0], self._spec.size.U), inputs.dtype)
            states = initial_state or [zero] * self._spec.state_count  # the model's inputs are not optional
            for name, state in zip(("initial_h", "initial_c"), states, strict=False):
                feeds[name] = np.ascontiguousarray(state[None])
        with framework():
            outputs, *finals = self._session.run(None, feeds)
        result = outputs[:, 0].swapaxes(0, 1)
        if mask is not None:
            result = packed.unpack(result, zero_output_for_mask=a["zero_output_for_mask"])
        elif self._reverse:
            result = result[:, ::-1]
        return select_outputs(
            result,
            [state[0] for state in finals],
            return_sequences=a["return_sequences"],
            return_state=a["return_state"],
            time_major=a["time_major"],
        )

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
        return self._model(layouts.to_onnx(spec.layer, zeros, reset_after=spec.reset_after))

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
