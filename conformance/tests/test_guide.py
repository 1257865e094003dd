"""The guide says what is true: every block of code is run in the framework that it names, and prints what stands under it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import product

import pytest
from commands import cli
from frameworks import MODULES, needs
from rnn_conformance.guide.messages import explained, messages
from rnn_conformance.guide.shapes import Question, answers
from rnn_conformance.reporting.explainer import FLAGS
from rnn_fixtures.domain import clauses
from rnn_fixtures.locations import SPEC

EVERY = [*MODULES, "numpy"]
BLOCK = re.compile(r"^```python ([a-z-]+)\n(.*?)^```\n\n^```text\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks() -> list[tuple[str, str, str]]:
    return [(m[1], m[2], m[3]) for m in BLOCK.finditer((SPEC / "guide.md").read_text("utf-8"))]


def run(code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
    }
    environment.setdefault("KERAS_BACKEND", "tensorflow")
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environment)


@pytest.mark.parametrize("framework", EVERY)
def test_every_block_prints_what_stands_under_it(framework: str) -> None:
    own = [(code, shown) for name, code, shown in blocks() if name == framework]
    assert own, f"the guide has no example for {framework}"
    needs(framework)
    # One process for all: importing takes longest. A marker keeps what they print apart.
    mark = "=" * 20
    parts = "".join(f"exec({code!r}, {{}})\nprint({mark!r}, flush=True)\n" for code, _ in own)
    done = run(parts)
    printed = done.stdout.split(mark + "\n")
    assert done.returncode == 0, done.stderr[-2000:]
    for (code, shown), found in zip(own, printed, strict=False):
        assert found == shown, code
    assert len(printed) == len(own) + 1


def test_every_block_has_its_output() -> None:
    text = (SPEC / "guide.md").read_text("utf-8")
    assert text.count("```python") == len(blocks())
    assert {name for name, _, _ in blocks()} == set(EVERY)


QUESTIONS = [
    Question(layer, 5, 3, 4, 6, **dict(zip(FLAGS, values, strict=True)))
    for layer in ("LSTM", "GRU")
    for values in product((False, True), repeat=len(FLAGS))
]
# How each framework's code is run, and what it made: the shape of `output`, and how many numbers it learns.
PROBES = {
    "keras": "import numpy as np\nx = np.zeros({input}, 'float32')\n{code}\nprint(tuple(output.shape), layer.count_params())",
    "torch": "import torch\nx = torch.zeros({input})\n{code}\nprint(tuple(output.shape), sum(p.numel() for p in layer.parameters()))",
    "jax": (
        "import jax, jax.numpy as jnp\nx = jnp.zeros({input})\n{code}\n"
        "print(output.shape, sum(p.size for p in jax.tree.leaves(nnx.state(cell, nnx.Param))))"
    ),
    "onnxruntime": (
        "import onnxruntime as ort, numpy as np\nfrom onnx import TensorProto\n{code}\n"
        "shapes = {shapes}\n"
        "given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shapes[n]) for n in node.input]\n"
        "made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in node.output]\n"
        "opset = [helper.make_opsetid('', 22)]\n"
        "model = helper.make_model(helper.make_graph([node], 'g', given, made), opset_imports=opset, ir_version=10)\n"
        "session = ort.InferenceSession(model.SerializeToString())\n"
        "found = session.run(None, {{n: np.zeros(shapes[n], np.float32) for n in node.input}})\n"
        "print(*(tuple(f.shape) for f in found))"
    ),
}
PROBES["tf-keras"] = PROBES["keras"]
PLACES = ("keras", "torch", "jax", "onnxruntime")


@pytest.mark.parametrize("framework", PROBES)
def test_code_of_shapes_makes_what_it_says(framework: str) -> None:
    """`rnn-conformance shapes`: shapes, numbers of parameters and code, as the framework has them."""
    needs(framework)
    parts, wanted = [], []
    for q in QUESTIONS:
        found = answers(q)
        answer = found[PLACES.index("keras" if framework == "tf-keras" else framework)]
        if not answer.shapes or (q.time_major != (framework == "tf-keras") and framework.endswith("keras")):
            continue
        parts.append(
            PROBES[framework].format(
                input=answer.shapes.get("input"), code=answer.code, shapes=dict(answer.shapes)
            )
        )
        if framework == "onnxruntime":
            outputs = (str(s) for n, s in answer.shapes.items() if n.startswith("Y"))
            wanted.append(" ".join(outputs))
        else:
            wanted.append(f"{found[0].shapes['output']} {answer.parameters}")
    done = run("".join(f"exec({code!r}, {{}})\n" for code in parts))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == wanted


def test_messages_are_complete() -> None:
    written = {name for name, entry in clauses().items() if not entry["reserved"]}
    everything = messages()
    assert len({m.id for m in everything}) == len(everything)
    for message in everything:
        assert set(message.frameworks) <= set(MODULES)
        assert not message.clause or message.clause in written, message.id
        assert message.cause
        assert message.cure
        found = explained(message.text, message.frameworks[0])
        assert message in found[:3], message.id
        assert found[0].clause == message.clause or message is found[0], message.id


@pytest.mark.parametrize("framework", MODULES)
def test_messages_are_what_frameworks_say(framework: str) -> None:
    """The wrong code of every message raises it, or warns so; the right code does neither."""
    own = [m for m in messages() if m.frameworks[0] == framework]
    assert own
    needs(framework)
    script = (
        "import json, sys, warnings, contextlib, io\n"
        "found = []\n"
        f"for wrong, right in {[(m.wrong, m.right) for m in own]!r}:\n"
        "    pair = []\n"
        "    for code in (wrong, right):\n"
        "        told = ''\n"
        "        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):\n"
        "            warnings.simplefilter('always')\n"
        "            try:\n"
        "                exec(code, {})\n"
        "            except Exception as error:\n"
        "                told = f'{type(error).__name__}: {error}'\n"
        "        pair.append(told or ' '.join(str(w.message) for w in caught))\n"
        "    found.append(pair)\n"
        "print(json.dumps(found))\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr[-2000:]
    wrongs = []
    for message, (wrong, right) in zip(own, json.loads(done.stdout.splitlines()[-1]), strict=True):
        if message not in explained(wrong, framework):
            wrongs.append((message.id, "does not say it", wrong[:300]))
        if message in explained(right, framework):
            wrongs.append((message.id, "is not mended", right[:300]))
    assert wrongs == []


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        ("ValueError: ... expected ndim=3, found ndim=2. Full shape received: (32, 10)", 0, "SHAPE-1"),
        ("a message of something else", 5, '"messages": []'),
    ],
)
def test_explain(text: str, status: int, told: str) -> None:
    done = cli("explain", "-", "--format", "json", stdin=text)
    assert done.returncode == status
    assert told in done.stdout
