"""OpenVINO's CPU ends the process, by SIGFPE, where a recurrent model is compiled for no rows. Exit status other than 0 while it does."""

import sys

import numpy as np
import openvino
from openvino import opset13 as ops

units, features, steps = 2, 3, 4
w, r, b = (
    ops.constant(np.full((1, *shape), 0.5, np.float32))
    for shape in ((3 * units, features), (3 * units, units), (4 * units,))
)
x = ops.parameter([0, steps, features], np.float32)
start = ops.parameter([0, 1, units], np.float32)
lengths = ops.parameter([0], np.int32)
node = ops.gru_sequence(
    x, start, lengths, w, r, b, units, "forward", ["sigmoid", "tanh"], linear_before_reset=True
)
model = openvino.Model([node.output(0)], [x, start, lengths], "gru")
print("openvino", openvino.__version__, "compiles a model for an empty batch", flush=True)
compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
print(
    "and returns",
    compiled([np.zeros(s, t) for s, t in (((0, 4, 3), "f4"), ((0, 1, 2), "f4"), ((0,), "i4"))])[0].shape,
)
sys.exit(0)
