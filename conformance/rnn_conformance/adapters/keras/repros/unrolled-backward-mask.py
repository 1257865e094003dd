"""Keras 3: with unroll and go_backwards, zero_output_for_mask zeroes by the unreversed mask.

Exit status 1 while the bug exists: the same layer without unroll is the expected value.
"""

import sys

import keras
import numpy as np

x = np.ones((1, 3, 1), "float32")
mask = np.array([[True, True, False]])  # backwards, the masked step comes first: output 0, then two others
outputs = []
for unroll in (False, True):
    layer = keras.layers.GRU(
        1,
        return_sequences=True,
        go_backwards=True,
        zero_output_for_mask=True,
        unroll=unroll,
        kernel_initializer="ones",
    )
    outputs.append(np.asarray(layer(x, mask=mask))[0, :, 0])
print("keras", keras.__version__, "rolled", outputs[0], "unrolled", outputs[1])
sys.exit(int(abs(outputs[0] - outputs[1]).max() > 1e-6))
