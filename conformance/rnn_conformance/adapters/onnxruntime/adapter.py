"""ONNX Runtime: models of one ``LSTM`` or ``GRU`` operator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from rnn_reference import layouts, onnx_operators
from rnn_reference.shapes import weight_shapes

from rnn_conformance.contract.adapter import (
    DTYPES,
    PROVIDER_LIBRARIES,
    Adapter,
    Description,
    LayerSpec,
    Script,
    framework,
    require,
)
from rnn_conformance.contract.capabilities import ANY, MERGE_MODES, Capabilities
from rnn_conformance.contract.lengths_model import LengthsModel, Outputs

OPSET, IR_VERSION = 14, 8
ELEMENT = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
OPTIMIZATIONS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


def _devices_of(libraries: Sequence[str]) -> dict[str, Any]:
    """Devices of the providers in these libraries, by a name such as ``openvino:cpu``."""
    for path in libraries:
        onnxruntime.register_execution_provider_library(Path(path).name, path)
    found: dict[str, Any] = {}
    for device in onnxruntime.get_ep_devices() if libraries else ():
        name = device.ep_name.replace("ExecutionProvider", "").lower()
        kind = str(device.device.type).rpartition(".")[2].lower()
        if device.ep_name not in PROVIDERS.values():
            found.setdefault(f"{name}:{kind}", device)
    return found


class OnnxRuntimeAdapter(Adapter):
    """An inference session per set of weights, which are initializers, as in exported models."""

    level, layout = "lengths", "onnx"
    settings: Mapping[str, Sequence[str]] = {
        "tf32": ("off", "on"),
        "graph_optimization": tuple(OPTIMIZATIONS),
    }
    libraries: Sequence[str] = ()
    capabilities = Capabilities(
        arguments={
            "activation": sorted(onnx_operators.ACTIVATIONS),
            "recurrent_activation": sorted(onnx_operators.ACTIVATIONS),
            "use_bias": ANY,
            "reset_after": ANY,
            "time_major": ANY,  # the operators' own layout
            "go_backwards": ANY,  # direction=reverse, whose outputs are in the order of the input (DIR-3)
        },
        calls=("lengths", "padding", "initial_state", "malformed", "predict", "static_shapes"),
        num_layers=99,
        bidirectional=True,
        merge_modes=MERGE_MODES,  # operators keep the directions apart
        with_lengths=("time_major",),
        reasons={
            "activation": ("ONNX LSTM and GRU have no activation {value}", "ACT-1"),
            "recurrent_activation": ("ONNX LSTM and GRU have no activation {value}", "ACT-1"),
            "unroll": ("ONNX operators have no unroll attribute", "UNROLL-1"),
            "initial_weights": ("ONNX operators take their weights as inputs: none are made", "INIT-1"),
            "gradients": ("ONNX Runtime sessions only infer: there are no gradients", "GRAD-1"),
            "fit": ("ONNX Runtime sessions only infer: there is no training", "FIT-1"),
            "training": ("ONNX operators have no training mode", "DROP-1"),
            "positional": ("ONNX LSTM and GRU take their sizes by position", "ERR-3"),
            "": ("ONNX LSTM and GRU have no {name} argument", ""),
        },
    )

    def __init__(self) -> None:
        named = os.environ.get(PROVIDER_LIBRARIES, "").split(os.pathsep)
        self.plugged = _devices_of([*self.libraries, *filter(None, named)])
        self._settings: Mapping[str, str] = {name: values[0] for name, values in self.settings.items()}

    def configure(self, settings: Mapping[str, str]) -> None:
        """Options of sessions and of the CUDA provider."""
        self._settings = settings

    def describe(self) -> Description:
        """onnxruntime's version and providers."""
        available = onnxruntime.get_available_providers()
        providers = {d.ep_name: dict(d.ep_metadata).get("version", "") for d in self.plugged.values()}
        return Description(
            framework="onnxruntime",
            version=onnxruntime.__version__,
            devices=["cpu", *(["cuda:0"] if PROVIDERS["cuda"] in available else []), *self.plugged],
            dtypes={
                "float64": "ONNX Runtime: 'LSTM operator does not support double yet'",
                "float32": None,
                "float16": None,
                "bfloat16": "ONNX Runtime has no bfloat16 kernel for LSTM and GRU",
            },
            packages={"onnx": onnx.__version__, "numpy": np.__version__, **providers},
            notes=("the CPU provider computes float16 in float32, between casts",),
        )

    def build(self, spec: LayerSpec) -> LengthsModel:
        """A model of one operator, or of a chain of them."""
        # Merging by ReduceMean and its kin would be tested, not the operator: directions are side by side between layers.
        inside = spec.num_layers > 1 and spec.merge_mode != "concat"
        require(not inside, "ONNX operators keep the directions apart", "NET-3")
        return _OnnxModel(spec, self.plugged.get(spec.device), self._settings)

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


class _OnnxModel(LengthsModel):
    def __init__(self, spec: LayerSpec, device: Any, settings: Mapping[str, str]) -> None:
        self._spec, self._device, self._settings = spec, device, settings
        self._session: Any = None
        self._kind = spec.device.partition(":")[0]
        self.path = PROVIDERS[self._kind] if device is None else device.ep_name
        if self._kind == "cpu" and spec.dtype == "float16":
            self.path += " (float32 between casts)"
        self._reverse = bool(spec.arguments["go_backwards"])
        self.mode = "composed" if self._reverse else "native"

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        complete = any(name.startswith("B") for name in weights) == self._spec.arguments["use_bias"]
        require(complete, "ONNX inputs are named, and B is optional: there is no list of weights", "WEIGHT-5")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.graph_optimization_level = OPTIMIZATIONS[self._settings["graph_optimization"]]
        if self._kind != "cpu":  # a silent fallback would be reported under the wrong device
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        model = self._model(weights).SerializeToString()
        with framework():
            if self._device is not None:
                options.add_provider_for_devices([self._device], {})
                self._session = onnxruntime.InferenceSession(model, options)
            else:
                own = {"use_tf32": str(int(self._settings["tf32"] == "on"))} if self._kind == "cuda" else {}
                self._session = onnxruntime.InferenceSession(
                    model, options, providers=[(PROVIDERS[self._kind], own)]
                )

    def _model(self, weights: Mapping[str, np.ndarray]) -> Any:
        """A chain of operators; of several, the names of weights end with the number of each."""
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
        for number in range(spec.num_layers):
            last = number == spec.num_layers - 1
            end = "" if spec.num_layers == 1 else f"_{number}"
            states = [f"initial_{name}{end}" for name in "hc"[: spec.state_count]]
            states = states if spec.has_initial_state else []
            finals = [f"Y_{name}{end}" for name in "hc"[: spec.state_count]]
            names = [f"{name}{end}" for name in ("W", "R")]
            bias = f"B{end}" if f"B{end}" in weights else ""
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
            numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()
        ]
        if spec.num_layers > 1:
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

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[Outputs, Sequence[np.ndarray]]:
        spec = self._spec
        steps_first = spec.arguments["time_major"]
        feeds = {"X": np.ascontiguousarray(inputs if steps_first else inputs.swapaxes(0, 1))}
        if lengths is not None:
            feeds["lengths"] = lengths.astype(np.int32)
        if spec.has_initial_state:
            wanted = spec.state_count * spec.num_layers * (2 if spec.bidirectional else 1)
            count = len(states) if states is not None else wanted
            require(count == wanted, "ONNX LSTM and GRU take each state by name, not as a list", "STATE-2")
            zero = np.zeros((feeds["X"].shape[1], spec.size.U), inputs.dtype)
            feeds |= self._state_feeds(states or [zero] * wanted)  # the model's inputs are not optional
        with framework():
            outputs, *finals = self._session.run(None, feeds)
        sides = [outputs[::-1, k] if self._reverse else outputs[:, k] for k in range(outputs.shape[1])]
        kinds, found = spec.state_count, []
        for first in range(0, len(finals), kinds):  # layer by layer
            own = finals[first : first + kinds]
            found += [kind[k] for k in range(len(sides)) for kind in own]
        return sides if steps_first else [side.swapaxes(0, 1) for side in sides], found

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

    def weights(self) -> Mapping[str, np.ndarray]:
        """Those of the model whose shapes are inferred."""
        return {t.name: numpy_helper.to_array(t) for t in self._zero_model().graph.initializer}

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

    def shapes(self) -> Mapping[str, tuple[Sequence[int | None], Sequence[int | None]]]:
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
        return {"onnx.shape_inference": ((batch, time, units), found[1][1:])}
