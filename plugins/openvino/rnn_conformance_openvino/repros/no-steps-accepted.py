"""OpenVINO's GRUSequence takes an input without steps where their number is open. Exit status 1 while it does."""

import sys

import numpy as np
import openvino
from openvino import opset13 as ops

units, features = 2, 3
w, r, b = (
    ops.constant(np.full((1, *shape), 0.5, np.float32))
    for shape in ((3 * units, features), (3 * units, units), (4 * units,))
)
x = ops.parameter([-1, -1, features], np.float32)
start = ops.parameter([-1, 1, units], np.float32)
lengths = ops.parameter([-1], np.int32)
node = ops.gru_sequence(
    x, start, lengths, w, r, b, units, "forward", ["sigmoid", "tanh"], linear_before_reset=True
)
model = openvino.Model([node.output(0), node.output(1)], [x, start, lengths], "gru")
compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
given = [np.zeros((2, 0, features), np.float32), np.ones((2, 1, units), np.float32), np.zeros(2, np.int32)]
try:
    found = compiled(given)
except Exception as error:
    print("refused:", error)
    sys.exit(0)
print("openvino", openvino.__version__, "takes no steps: outputs", found[0].shape, "state", found[1].ravel())
sys.exit(1)
