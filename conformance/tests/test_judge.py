"""Verdicts for output files: a device that cannot run Python brings back files, and is judged as everyone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import cli
from rnn_conformance.results.reading import collect
from rnn_fixtures.export.contents import stem

SELECT = "lstm and family=forward and tier=smoke and mask=none"
STATEFUL = "gru and family=stateful and tier=smoke"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors") / "npz"
    done = cli(
        "fixtures", "export", "--form", "npz", "--out", str(folder), "--select", f"({SELECT}) or ({STATEFUL})"
    )
    assert done.returncode == 0, done.stderr
    return folder


def device(cases: Path, outputs: Path) -> dict[str, dict[str, np.ndarray]]:
    """What a device with every answer right would bring back: name to entries."""
    outputs.mkdir()
    found = {}
    for path in cases.glob("*.npz"):
        with np.load(path) as file:
            entries = {
                key.replace("/expected/", "/"): file[key].astype(np.float32)
                for key in file.files
                if key.startswith("call_") and "/expected/" in key
            }
        found[path.stem] = entries
        np.savez(outputs / path.name, **entries)  # type: ignore[arg-type]
    return found


def judged(cases: Path, outputs: Path, out: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    done = cli("judge", str(cases), str(outputs), "--name", "chip", "--out", str(out), "--format", "json")
    assert done.stdout, done.stderr
    (subject,) = collect([out])
    assert subject.run.adapter == "chip"
    return done.returncode, {
        stem(case): record for case, record in ((r["case"], r) for r in subject.records())
    }


def test_right_outputs_pass(cases: Path, tmp_path: Path) -> None:
    brought = device(cases, tmp_path / "o")
    status, records = judged(cases, tmp_path / "o", tmp_path / "r")
    assert status == 0
    assert records.keys() == brought.keys()
    assert {r["verdict"] for r in records.values()} == {"pass"}


def test_every_kind_of_file_that_is_not_right(cases: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "o"
    brought = device(cases, outputs)
    single = sorted(
        name for name, entries in brought.items() if all(k.startswith("call_0/") for k in entries)
    )
    wrong, missing, left, more, shape, dtype, garbage, as_json, nothing = single[:9]

    def write(name: str, **entries: np.ndarray) -> None:
        np.savez(outputs / f"{name}.npz", **entries)  # type: ignore[arg-type]

    swapped = {key: value[..., ::-1] for key, value in brought[wrong].items()}
    write(wrong, **swapped)
    (outputs / f"{missing}.npz").unlink()
    (outputs / f"{left}.npz").unlink()
    (outputs / "not-run.json").write_text(json.dumps({left: "the device has no room for it"}))
    write(more, **brought[more], **{"call_0/more": np.zeros(3, np.float32)})
    write(shape, **{key: value[:-1] for key, value in brought[shape].items()})
    write(dtype, **{key: value.astype(np.float64) for key, value in brought[dtype].items()})
    (outputs / f"{garbage}.npz").write_bytes(b"garbage")
    (outputs / f"{as_json}.npz").unlink()
    plain = {key.removeprefix("call_0/"): value.tolist() for key, value in brought[as_json].items()}
    (outputs / f"{as_json}.json").write_text(json.dumps(plain))
    write(nothing)
    status, records = judged(cases, outputs, tmp_path / "r")
    assert status == 1
    found = {
        name: records[name]["verdict"]
        for name in (wrong, missing, left, more, shape, dtype, garbage, as_json, nothing)
    }
    assert list(found.values()) == [
        *("value", "protocol", "unsupported", "shape", "shape", "dtype", "protocol", "pass", "protocol")
    ]
    assert records[wrong]["diagnosed"]
    assert "no room" in records[left]["message"]
    assert "there is no" in records[missing]["message"]
    others = [r["verdict"] for name, r in records.items() if name not in found]
    assert set(others) == {"pass"}


def test_onnx_tests(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    folder, outputs = tmp_path / "c", tmp_path / "o"
    done = cli(
        "fixtures", "export", "--form", "onnx", "--dtype", "float32", "--out", str(folder), "--select", SELECT
    )
    assert done.returncode == 0, done.stderr
    tests = json.loads((folder / "index.json").read_text())["tests"]
    for number, test in enumerate(tests):
        for path in (folder / test["file"]).glob("test_data_set_*/output_*.pb"):
            target = outputs / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            array = onnx.numpy_helper.to_array(onnx.load_tensor(str(path)))
            wrong = array + np.float32(0.5 if number == 0 else 0)
            target.write_bytes(onnx.numpy_helper.from_array(wrong).SerializeToString())
    status, records = judged(folder, outputs, tmp_path / "r")
    assert status == 1
    bad = {name for name, r in records.items() if r["verdict"] != "pass"}
    same = {stem(t["id"]) for t in tests if t["file"] == tests[0]["file"]}
    assert bad == same


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ("", "is no export of golden data"),
        ('{"form": "npz", "fixtures": "other", "tests": []}', "was exported from other golden data"),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, index: str, told: str) -> None:
    (tmp_path / "index.json").write_text(index)
    done = cli("judge", str(tmp_path), str(tmp_path), "--name", "chip", "--out", str(tmp_path / "r"))
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "r").exists()
