"""ONNX Runtime: GRU with a sequence length of 0 returns zeros as state. Exit status 1 while it does (onnx#1674)."""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

names = ["X", "W", "R", "", "lengths", "initial_h"]
node = helper.make_node("GRU", names, ["Y", "Y_h"], hidden_size=1)
shapes = {"X": [3, 1, 1], "W": [1, 3, 1], "R": [1, 3, 1], "initial_h": [1, 1, 1]}
inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [1]))
outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("Y", "Y_h")]
graph = helper.make_graph([node], "gru", inputs, outputs)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString())
feeds = {n: np.full(s, 0.5, np.float32) for n, s in shapes.items()}
_, state = session.run(None, feeds | {"lengths": np.zeros(1, np.int32)})
print(
    "onnxruntime", onnxruntime.__version__, "initial state 0.5, final state of a sequence of length 0:", state
)
sys.exit(int(abs(state - 0.5).max() > 1e-6))
