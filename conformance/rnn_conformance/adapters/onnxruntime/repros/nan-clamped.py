"""ONNX Runtime's GRU and LSTM turn a NaN in the input into ordinary numbers where they have a bias. Exit status 1 while it does."""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

units = 4
node = helper.make_node("GRU", ["X", "W", "R", "B"], ["Y"], hidden_size=units)
weights = [
    numpy_helper.from_array(np.full((1, 3 * units, n), 0.5, np.float32), name)
    for name, n in (("W", 2), ("R", units))
]
weights.append(numpy_helper.from_array(np.full((1, 6 * units), 0.5, np.float32), "B"))
x_info = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "B", 2])
y_info = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
graph = helper.make_graph([node], "g", [x_info], [y_info], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

x = np.ones((3, 1, 2), np.float32)
x[1, 0, 0] = np.nan
(y,) = session.run(None, {"X": x})
print(y[:, 0, 0])
sys.exit(0 if np.isnan(y[1:]).all() else 1)
