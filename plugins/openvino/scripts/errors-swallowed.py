"""With INFERENCE_NUM_THREADS=1 OpenVINO's CPU swallows the error of a model of open shapes, and returns what it had. Exit status 1 while it does."""

import sys

import numpy as np
import openvino
from openvino import opset13 as ops

units, features, steps = 2, 3, 4
w, r, b = (
    ops.constant(np.full((1, *shape), 0.5, np.float32))
    for shape in ((3 * units, features), (3 * units, units), (4 * units,))
)
swallowed = False
for settings in ({}, {"INFERENCE_NUM_THREADS": 1}):
    x = ops.parameter([-1, -1, features], np.float32)
    start = ops.parameter([-1, 1, units], np.float32)
    lengths = ops.parameter([-1], np.int32)
    node = ops.gru_sequence(
        x, start, lengths, w, r, b, units, "forward", ["sigmoid", "tanh"], linear_before_reset=True
    )
    model = openvino.Model([node.output(0)], [x, start, lengths], "gru")
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    given = [
        np.ones((2, steps, features), np.float32),
        np.zeros((3, 1, units), np.float32),
        np.array([4, 4], np.int32),
    ]
    try:
        found = compiled(given)[0].shape
    except Exception as error:
        print(
            settings,
            "2 rows with 3 initial states are refused:",
            str(error).splitlines()[-1][:60] or "an exception",
        )
    else:
        print(settings, "2 rows with 3 initial states give outputs", found)
        swallowed = True
sys.exit(int(swallowed))
