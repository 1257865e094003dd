"""OpenVINO's GRUSequence returns zeros, not the initial state, for a row of length 0. Exit status 1 while it does."""

import sys

import numpy as np
import openvino
from openvino import opset13 as ops

units, features, steps = 2, 3, 4
w, r, b = (
    ops.constant(np.full((1, *shape), 0.5, np.float32))
    for shape in ((3 * units, features), (3 * units, units), (4 * units,))
)
x = ops.parameter([1, steps, features], np.float32)
start = ops.parameter([1, 1, units], np.float32)
lengths = ops.parameter([1], np.int32)
node = ops.gru_sequence(
    x, start, lengths, w, r, b, units, "forward", ["sigmoid", "tanh"], linear_before_reset=True
)
model = openvino.Model([node.output(1)], [x, start, lengths], "gru")
compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
given = np.full((1, 1, units), 0.25, np.float32)
found = compiled([np.ones((1, steps, features), np.float32), given, np.array([0], np.int32)])[0]
print(
    "openvino",
    openvino.__version__,
    "initial state",
    given.ravel(),
    "final state after no step",
    found.ravel(),
)
sys.exit(int(not np.array_equal(found, given)))
