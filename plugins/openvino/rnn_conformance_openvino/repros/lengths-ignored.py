"""OpenVINO's GRUSequence computes the steps beyond sequence_lengths where the number of rows or steps is open. Exit status 1 while it does."""

import sys

import numpy as np
import openvino
from openvino import opset13 as ops

rng = np.random.default_rng(0)
units, features, steps = 2, 3, 4
w, r, b = (
    ops.constant(rng.normal(size=(1, *shape)).astype(np.float32))
    for shape in ((3 * units, features), (3 * units, units), (4 * units,))
)


def final_state(batch, number_of_steps, x, lengths):
    seen = ops.parameter([batch, number_of_steps, features], np.float32)
    start = ops.parameter([batch, 1, units], np.float32)
    count = ops.parameter([batch], np.int32)
    node = ops.gru_sequence(
        seen, start, count, w, r, b, units, "forward", ["sigmoid", "tanh"], linear_before_reset=True
    )
    model = openvino.Model([node.output(1)], [seen, start, count], "gru")
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([x, np.zeros((len(x), 1, units), np.float32), lengths])[0][:, 0]


x = rng.normal(size=(1, steps, features)).astype(np.float32)
expected = final_state(1, 2, x[:, :2], np.array([2], np.int32))  # of the valid steps alone
wrong = False
for shape in ((1, steps), (-1, steps), (1, -1), (-1, -1)):
    found = final_state(*shape, x, np.array([2], np.int32))
    right = np.allclose(found, expected, atol=1e-5)
    print(
        "openvino",
        openvino.__version__,
        "model for",
        shape,
        "after 2 of 4 steps:",
        found[0],
        "right" if right else "WRONG",
    )
    wrong |= not right
sys.exit(int(wrong))
