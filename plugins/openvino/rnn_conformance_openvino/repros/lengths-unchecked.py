"""OpenVINO's GRUSequence takes lengths that are negative or beyond the number of steps. Exit status 1 while it does."""

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
model = openvino.Model([node.output(0)], [x, start, lengths], "gru")
compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
accepted = []
for length in (-2, 9):
    try:
        found = compiled(
            [
                np.ones((1, steps, features), np.float32),
                np.zeros((1, 1, units), np.float32),
                np.array([length], np.int32),
            ]
        )[0]
    except Exception as error:
        print("length", length, "of 4 is refused:", error)
    else:
        print(
            "openvino",
            openvino.__version__,
            "takes length",
            length,
            "of 4; the first unit:",
            found[0, 0, :, 0],
        )
        accepted.append(length)
sys.exit(int(bool(accepted)))
