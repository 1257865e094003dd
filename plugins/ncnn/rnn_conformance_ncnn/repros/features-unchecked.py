"""ncnn's GRU takes inputs of another number of features than its weights have. Exit status 1 while it does."""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import ncnn
import numpy as np

units, features, steps = 2, 3, 4
gates, states = 3, 1
names = [f"{kind}_in" for kind in "hc"[:states]]
lines = [f"Input {name} 0 1 {name}" for name in ("x", *names)]
blobs = " ".join(["x", *names, "y", *"hc"[:states]])
lines.append(
    f"GRU layer {1 + states} {1 + states} {blobs} 0={units} 1={gates * units * features} 2=0 3={units}"
)
weights = [np.full(n, 0.5, np.float32) for n in (gates * units * features, 4 * units, gates * units * units)]
net = ncnn.Net()
for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
    setattr(net.opt, f"use_{option}", False)
with tempfile.TemporaryDirectory() as folder:
    param, model = Path(folder, "net.param"), Path(folder, "net.bin")
    param.write_text("\n".join(["7767517", f"{len(lines)} {2 + 2 * states}", *lines, ""]))
    model.write_bytes(b"".join(bytes(4) + array.tobytes() for array in weights))  # each after a tag
    assert net.load_param(str(param)) == net.load_model(str(model)) == 0


def run(x, *initial):
    extractor = net.create_extractor()
    for name, array in zip(("x", *names), (x, *initial), strict=True):
        extractor.input(name, ncnn.Mat(array).clone())
    return [np.array(extractor.extract(name)[1]) for name in ("y", *"hc"[:states])]


found = []
for width in (features - 1, features + 1):
    outputs, _ = run(np.ones((steps, width), np.float32), np.zeros((1, units), np.float32))
    print(
        "ncnn", version("ncnn"), "weights of", features, "features, input of", width, "gives", outputs.shape
    )
    found.append(outputs.shape == (steps, units))
sys.exit(int(any(found)))
