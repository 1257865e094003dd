"""The command line: output, one clear line per error, exit codes."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from commands import cli
from rnn_conformance.selection import compile_selection
from rnn_fixtures.locations import DATA, SPEC
from rnn_fixtures.store import Store, select_tier

HERE = Path(__file__).parent
FEW = "family=forward and lstm and (mask=right or mask=none) and activation=tanh and size=base"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the reference, and of a faulty adapter in some cases."""
    folder = tmp_path_factory.mktemp("results")
    run = ["run", "--tier", "smoke", "--out", str(folder), "--adapter"]
    done = cli(*run, "numpy")
    assert done.returncode == 0, done.stderr
    done = cli(*run, "fakes:Value", "--select", FEW)
    assert done.returncode == 1, done.stderr
    return folder


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['rnn-conformance', '--help']\n"
        "from rnn_conformance.cli.main import entry_point\n"
        "try: entry_point()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'rich', 'jinja2', 'sqlite3', 'torch', 'tensorflow', 'jax', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "fixtures" in done.stdout


def test_linear_algebra_has_one_thread_unless_the_user_asks_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os, sys; sys.argv = ['rnn-conformance', '--version']\n"
        "from rnn_conformance.cli.main import entry_point\n"
        "try: entry_point()\n"
        "except SystemExit: print(*(os.environ[n] for n in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')))"
    )
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "3 1 1"


@pytest.mark.parametrize(
    "command", "doctor run cases show shapes report diff merge fixtures coverage schema".split()
)
def test_every_command_has_help(command: str) -> None:
    done = cli(command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--adapter", "pytorch"], 2, "unknown adapter 'pytorch'"),
        (["run", "--tier", "huge"], 2, "'huge' is not one of"),
        (["run", "--select", "mask=nothing"], 5, "no case of tier core matches"),
        (["run", "--select", "(("], 2, "cannot read the selection"),
        (
            ["run", "--adapter", "numpy", "--device", "cuda:0", "--tier", "smoke", "--out", "{tmp}"],
            3,
            "no device 'cuda:0'",
        ),
        (["run", "--adapter", "fakes:NoStart", "--tier", "smoke", "--out", "{tmp}"], 3, "no licence server"),
        (["run", "--shard", "5/4"], 2, "--shard is I/N"),
        (["run", "--data", "{tmp}/none"], 2, "cannot read golden data"),
        (["run", "--timeout", "0"], 2, "timeout"),
        (["show", "lstm/forward/mask=rigth"], 2, "unknown case"),
        (["report", "{tmp}"], 2, "holds no results"),
        (["merge", "{tmp}", "--out", "{tmp}/x"], 2, "holds no results"),
        (["schema", "nonsense"], 2, "unknown schema 'nonsense'"),
        (["shapes", "LSTM", "--units", "0", "--features", "3"], 2, "--units"),
        (["shapes", "LSTM", "--units", "2", "--features", "3", "--batch", "²"], 2, "--batch"),
        (["run", "--tier", "smoke", "--out", "/proc/nowhere"], 2, "/proc/nowhere"),
        (["fixtures", "export", "--out", "{tmp}/x"], 2, "Missing option '--form'"),
        (
            ["fixtures", "export", "--form", "npz", "--out", "{tmp}/x", "--tier", "full"],
            2,
            "'full' is not one of",
        ),
        (
            ["fixtures", "export", "--form", "npz", "--out", "{tmp}/x", "--select", "mask=nothing"],
            5,
            "no case of tier core matches",
        ),
        (
            "fixtures export --form json --out {tmp}/x --select dtype_policy=mixed_float16 --dtype float32".split(),
            5,
            "no case that is selected can be compared in float32",
        ),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = cli(*(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_framework_that_is_not_installed(tmp_path: Path) -> None:
    """Every built-in adapter either runs here or says what to install."""
    done = cli("doctor", "--format", "json")
    assert done.returncode == 0
    for entry in json.loads(done.stdout)["adapters"]:
        if not entry["available"]:
            assert f"pip install 'rnn-conformance[{entry['adapter']}]'" in entry["reason"]
            shown = cli("doctor", "--adapter", entry["adapter"], "--format", "pretty")
            assert shown.returncode == 3
            assert f"'rnn-conformance[{entry['adapter']}]'" in shown.stdout


def test_altered_golden_data(tmp_path: Path) -> None:
    data = Path(shutil.copytree(DATA, tmp_path / "data"))
    with (data / "cases/forward.jsonl").open("ab") as file:
        file.write(b"\n")
    for arguments in (["run", "--adapter", "numpy"], ["fixtures", "verify", "--digests-only"], ["cases"]):
        done = cli(*arguments, "--data", str(data))
        assert done.returncode == 2
        assert "forward.jsonl was altered: sha256 is" in done.stderr


def test_results_of_another_version_are_read_and_of_a_newer_format_refused(
    tmp_path: Path, results: Path
) -> None:
    other = Path(shutil.copytree(results, tmp_path / "results"))

    def write(key: str, value: str) -> None:
        with sqlite3.connect(other / "results.sqlite") as db:
            db.execute("UPDATE suite SET value = ? WHERE key = ?", (value, key))
        db.close()

    write("version", "0.0.9")
    done = cli("report", str(other), "--export", "json", "--out", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]
    write("format", "99")
    for arguments in (["run", "--adapter", "numpy", "--out", str(other)], ["report", str(other)]):
        done = cli(*arguments)
        assert done.returncode == 2
        assert "has format 99 of version 0.0.9" in done.stderr


def test_run_prints_json_into_a_pipe(tmp_path: Path) -> None:
    done = cli(
        "run",
        "--adapter",
        "numpy",
        "--tier",
        "smoke",
        "--select",
        "lstm and (family=forward or family=precision)",
        "--dtype",
        "all",
        "--out",
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [r["dtype"] for r in runs] == ["float64", "float32", "float16", "bfloat16"]
    assert all(set(r["verdicts"]) == {"pass"} and r["largest_z"] < 4 for r in runs[:2])
    assert set(runs[2]["verdicts"]) == {"pass", "unsupported"}  # the reference has no mixed policies
    assert set(runs[3]["verdicts"]) == {"unsupported"}


def test_show(results: Path) -> None:
    case = "gru/forward/mask=right,return_state"
    done = cli("show", case, "--format", "json")
    shown = json.loads(done.stdout)
    assert shown["id"] == case
    call = shown["calls"][0]
    assert (
        len(call["expected"]["h"]["value"]) == len(call["expected"]["h"]["sensitivity"]) == shown["size"]["B"]
    )
    pretty = cli("show", case, "--format", "pretty").stdout
    assert "MASK-3: output is repeated" in pretty
    assert "its sensitivity S" in pretty


def test_export(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def export(form: str, selection: str, *more: str) -> subprocess.CompletedProcess[str]:
        return cli("fixtures", "export", "--form", form, "--out", str(out), "--select", selection, *more)

    done = export("json", "MASK-6", "--tier", "smoke")
    assert done.returncode == 0, done.stderr
    assert (done.stdout, "MB in" in done.stderr) == ("", True)
    index = json.loads((out / "index.json").read_bytes())
    listed = json.loads(cli("cases", "--tier", "smoke", "--select", "MASK-6").stdout)["cases"]
    assert [test["id"] for test in index["tests"]] == [case["id"] for case in listed]
    assert index["complete"]
    done = export("npz", "id=lstm/forward/defaults")
    assert done.returncode == 0, done.stderr
    (name,) = json.loads((out / "index.json").read_bytes())["entries"]
    assert {path.name for path in out.iterdir()} == {name, "index.json"}  # the earlier export is gone
    (out / "index.json").unlink()
    refused = export("npz", "id=lstm/forward/defaults")
    assert refused.returncode == 2
    assert "is not empty and holds no earlier export" in refused.stderr
    assert (out / name).exists()


def test_export_to_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    command = ["fixtures", "export", "--form", "onnx", "--out", str(tmp_path), "--tier", "smoke", "--select"]
    done = cli(*command, "forward and (mask=right or mask=none)", "--dtype", "float64")
    assert done.returncode == 0, done.stderr
    assert "cannot be expressed, see not-expressible.json" in done.stderr
    assert json.loads((tmp_path / "index.json").read_bytes())["dtype"] == "float64"
    assert (cli(*command, "rejects").returncode, cli(*command, "gru", "--dtype", "bfloat16").returncode) == (
        5,
        2,
    )


def test_cases_and_coverage() -> None:
    listed = json.loads(cli("cases", "--tier", "smoke", "--select", "MASK-6").stdout)["cases"]
    assert listed
    assert all("MASK-6" in c["clauses"] for c in listed)
    counted = json.loads(cli("coverage", "--strength", "2").stdout)["combinations"]
    assert all(c["covered"] == c["feasible"] for c in counted)


def test_shapes() -> None:
    done = cli(
        "shapes",
        "GRU",
        "--units",
        "4",
        "--features",
        "2",
        "--batch",
        "3",
        "--return-sequences",
        "--no-reset-after",
    )
    table = json.loads(done.stdout)["frameworks"]
    assert table["Keras"] == {
        "input": "(3, None, 2)",
        "output": "(3, None, 4)",
        "kernel": "(2, 12)",
        "recurrent_kernel": "(4, 12)",
        "bias": "(12,)",
    }
    assert any("MAP-TORCH-3" in rows.get("not expressible", "") for rows in table.values())
    assert table["ONNX (layout=0)"]["Y"] == "(None, 1, 3, 4)"


def smoke_cases(selection: str = "family=*") -> int:
    matches = compile_selection(selection)
    smoke = select_tier(Store().cases(), "smoke")
    return sum("float32" in c.dtypes and matches(c, "float32") for c in smoke)


def test_json_export(tmp_path: Path, results: Path) -> None:
    done = cli("report", str(results), "--export", "json", "--out", "-")
    exported = json.loads(done.stdout)
    schema = json.loads((SPEC / "schemas/results.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(exported)
    counts = Counter(r["adapter"] for r in exported["results"])
    assert counts == {"numpy": smoke_cases(), "fakes:Value": smoke_cases(FEW)}
    assert {r["verdict"] for r in exported["results"]} == {"pass", "value"}


def test_every_argument_has_a_clause_a_case_and_a_verdict(tmp_path: Path, results: Path) -> None:
    done = cli("arguments", "--format", "json")
    assert done.returncode == 0, done.stdout
    rows = json.loads(done.stdout)["arguments"]
    assert len(rows) > 50
    assert all(row["cases"] and row["clauses"] for row in rows)
    names = {row["argument"] for row in rows}
    assert {
        "kernel_initializer",
        "dropout",
        "mask",
        "input_dim",
        "weights",
        "use_cudnn",
        "trainable",
    } <= names
    partial = cli("arguments", str(results), "--format", "json")
    missing = json.loads(partial.stdout)["missing"]
    assert partial.returncode == (1 if missing else 0)
    assert all("no verdict from" in line for line in missing)


def test_every_adapter_with_a_framework_has_its_environment() -> None:
    """tox.ini names them once; CI and the nightly job ask `adapters list`."""
    done = cli("adapters", "list", "--format", "json")
    found = json.loads(done.stdout)
    schema = json.loads((SPEC / "schemas/adapters.schema.json").read_text("utf-8"))
    jsonschema.validate(found, schema)
    names = {a["name"] for a in found["adapters"] if a["extra"]}
    tox = (HERE.parents[1] / "tox.ini").read_text("utf-8")
    (environments,) = re.findall(r"^\[testenv:\{([a-z,-]+)\}\{,-oldest,-newest\}\]$", tox, re.MULTILINE)
    assert set(environments.split(",")) == names
    for label, last in (("conformance", "report"), ("nightly", "history")):
        (members,) = re.findall(rf"^    {label} = (.*)$", tox, re.MULTILINE)
        assert set(members.split(", ")) == names | {last}
    assert set(re.findall(r"^    \S+: ADAPTER = (\S+)$", tox, re.MULTILINE)) == names


def test_an_adapter_from_elsewhere_brings_its_differences_and_scripts(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {str(HERE)!r})\nfrom fakes import Value as Mine\n"
    )
    (tmp_path / "known.toml").write_text(
        '[[known]]\nid = "off"\nselect = "mask=right"\nverdict = "value"\nclause = "MASK-3"\nreason = "always"\n'
    )
    (tmp_path / "repros").mkdir()
    (tmp_path / "repros/off.py").write_text("# kept\nraise SystemExit(1)\n")
    case = "lstm/forward/mask=right,return_sequences"
    run = ["run", "--adapter", "mine.py:Mine", "--select", f"id={case}", "--out", "results"]
    done = cli(*run, "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = json.loads(done.stdout)["runs"]
    assert entry["verdicts"] == {"known value": 1}
    done = cli("repro", case, "--adapter", "mine.py:Mine", cwd=tmp_path)
    assert done.stdout.startswith("# kept")
    (tmp_path / "known.toml").write_text("[[known]]\nid = 1")
    done = cli(*run, cwd=tmp_path)
    assert done.returncode == 2
    assert "does not declare differences" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["cases"], 0),
        (["cases", "--format", "json"], 0),
        (["--help"], 0),
        (["run", "--adapter", "numpy", "--select", "id=lstm/forward/defaults"], 0),
        (["run", "--adapter", "fakes:Value", "--select", "id=lstm/forward/mask=right,return_sequences"], 1),
        (
            [
                "run",
                "--adapter",
                "fakes:Value",
                "--select",
                "id=lstm/forward/mask=right,return_sequences",
                "--format",
                "pretty",
            ],
            1,
        ),
    ],
)
def test_whoever_reads_may_go_away(tmp_path: Path, arguments: list[str], status: int) -> None:
    command = [sys.executable, "-m", "rnn_conformance", *arguments]
    more = ["--out", str(tmp_path / "results")] if "run" in arguments else []
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    process.stderr.close()
    assert (process.wait(), "Traceback" in err, "Broken" in err) == (status, False, False)


def test_damaged_records_are_told(tmp_path: Path, results: Path) -> None:
    other = Path(shutil.copytree(results, tmp_path / "results"))
    with sqlite3.connect(other / "results.sqlite") as db:
        db.execute("UPDATE results SET verdict = 'splendid' WHERE \"case\" IN (1, 2) AND run = 1")
    db.close()
    done = cli("report", str(other), "--out", str(tmp_path / "site"), "--format", "json")
    assert done.returncode == 0
    assert "2 damaged records" in done.stderr
    assert json.loads(done.stdout)["damaged"] == 2
    assert (tmp_path / "site/index.html").stat().st_size > 10_000
