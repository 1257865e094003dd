"""ONNX Runtime's Softplus in LSTM and GRU overflows for large numbers, and NaN follows. Exit status 1 while it does.

softplus(200) is 200. One step of a GRU with z = sigmoid(-200) = 0 gives the candidate, softplus(200).
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

activations = {"activations": ["Sigmoid", "Softplus"]}
node = helper.make_node("GRU", ["X", "W", "R"], ["Y"], hidden_size=1, **activations)
weights = [
    numpy_helper.from_array(np.array([[[-200.0], [0.0], [200.0]]], np.float32), "W"),
    numpy_helper.from_array(np.zeros((1, 3, 1), np.float32), "R"),
]
x_info = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "B", 1])
y_info = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
graph = helper.make_graph([node], "g", [x_info], [y_info], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
(y,) = session.run(None, {"X": np.ones((1, 1, 1), np.float32)})
print("got", y.ravel()[0], "expected 200")
sys.exit(0 if abs(y.ravel()[0] - 200) < 0.01 else 1)
