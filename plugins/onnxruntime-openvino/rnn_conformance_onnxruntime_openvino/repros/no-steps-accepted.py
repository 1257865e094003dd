"""OpenVINO's provider takes an input without steps. Exit status 1 while it does."""

import sys

import numpy as np
import onnxruntime
import onnxruntime_ep_openvino
from onnx import TensorProto, helper, numpy_helper

units, features, steps = 2, 3, 4
onnxruntime.register_execution_provider_library("openvino", str(onnxruntime_ep_openvino.get_library_path()))
(device, *_) = (d for d in onnxruntime.get_ep_devices() if d.ep_name == "OpenVINOExecutionProvider")


def session(has_lengths=True, openvino=True, **attributes):
    """A GRU of open shapes, on the provider or on ONNX Runtime's own."""
    rng = np.random.default_rng(0)
    names = ["X", "W", "R", "", "lengths" if has_lengths else ""]
    node = helper.make_node(
        "GRU", names, ["Y", "Y_h"], hidden_size=units, linear_before_reset=1, **attributes
    )
    weights = [
        numpy_helper.from_array(rng.normal(size=(1, 3 * units, n)).astype(np.float32), name)
        for name, n in (("W", features), ("R", units))
    ]
    value = helper.make_tensor_value_info
    inputs = [value("X", TensorProto.FLOAT, ["T", "B", features])]
    inputs += [value("lengths", TensorProto.INT32, ["B"])] if has_lengths else []
    outputs = [value(name, TensorProto.FLOAT, None) for name in ("Y", "Y_h")]
    graph = helper.make_graph([node], "gru", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    if openvino:
        options.add_provider_for_devices([device], {})
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


x = np.random.default_rng(1).normal(size=(steps, 1, features)).astype(np.float32)
try:
    outputs, state = session(has_lengths=False).run(None, {"X": x[:0]})
except Exception as error:
    print("refused:", str(error)[:120])
    sys.exit(0)
print("no steps give outputs", outputs.shape, "and a state", state.ravel())
sys.exit(1)
