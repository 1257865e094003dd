"""ONNX Runtime's LSTM takes an input without time steps. Exit status 1 while it does."""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def session(op, gates):
    node = helper.make_node(op, ["X", "W", "R"], ["Y"], hidden_size=4)
    weights = [
        numpy_helper.from_array(np.ones((1, 4 * gates, n), np.float32), name)
        for name, n in (("W", 2), ("R", 4))
    ]
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "B", 2])
    y = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


try:
    (output,) = session("LSTM", 4).run(None, {"X": np.zeros((0, 3, 2), np.float32)})
except Exception as error:
    print("refused:", error)
    sys.exit(0)
print("accepted:", output.shape)
sys.exit(1)
