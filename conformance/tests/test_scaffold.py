"""From nothing to an adapter: what `adapters new` writes, what `adapters check` says of it, and tests for vendors' own CI."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commands import cli
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.guide.scaffold import write
from rnn_conformance.judging import differences
from rnn_conformance.testing import assert_conforms

HERE = Path(__file__).parent
TODO = 'raise NotImplementedError("run() of my_rnn_conformance/adapter.py is not written yet: call your layer there")'
# What stands for a framework's own layer: the reference, which is none.
WRITTEN = """from rnn_reference import LSTM
        with framework():
            layer = LSTM(self.spec.units, return_sequences=True, return_state=True)
            layer.build(inputs.shape)
            layer.set_weights(list(self.weights_given.values()))
            outputs, h, c = layer(inputs)
        return outputs.astype(inputs.dtype), [h.astype(inputs.dtype), c.astype(inputs.dtype)]"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write("my-rnn", tmp_path / "my-rnn")
    return tmp_path / "my-rnn"


def checked(target: str) -> tuple[int, dict[str, bool | None], dict[str, object]]:
    done = cli("adapters", "check", target, "--format", "json")
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    return done.returncode, {step["name"]: step["ok"] for step in found["steps"]}, found


def test_the_package_is_whole(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text())
    target = project["project"]["entry-points"]["rnn_conformance.adapters"]["my-rnn"]
    assert target == "my_rnn_conformance.adapter:MyRnnAdapter"
    compile((package / "my_rnn_conformance/adapter.py").read_text(), "adapter.py", "exec")
    assert differences.declarations(package / "my_rnn_conformance") == []
    names = {str(p.relative_to(package)) for p in package.rglob("*") if p.is_file()}
    assert names >= {"README.md", "tox.ini", "tests/test_conformance.py", ".github/workflows/conformance.yml"}
    assert not any(
        "<<" in p.read_text() and "my_rnn" not in p.name for p in package.rglob("*") if p.is_file()
    )


def test_check_says_what_to_write(package: Path) -> None:
    status, steps, found = checked(f"{package}/my_rnn_conformance/adapter.py:MyRnnAdapter")
    assert status == 1
    assert steps["starts"] is True
    assert steps["keeps the contract"] is False
    assert "run() of my_rnn_conformance/adapter.py is not written yet" in str(found["steps"])
    assert steps["passes something"] is False


def test_check_of_what_is_written(package: Path) -> None:
    path = package / "my_rnn_conformance/adapter.py"
    path.write_text(path.read_text().replace(TODO, WRITTEN))
    target = f"{path}:MyRnnAdapter"
    status, steps, found = checked(target)
    assert status == 0, found
    assert all(ok is not False for ok in steps.values())
    assert steps["noticed: one element off by a thousandth"] is True
    assert steps["noticed: numbers through float16"] is True
    reasons = found["left_out"]
    assert isinstance(reasons, list)
    assert any("initial_state" in entry["reason"] for entry in reasons)
    counts = assert_conforms(target)
    assert counts["pass"] > 20
    # pytest, with nothing but the option
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    select = [
        "--rnn-adapter",
        target,
        "--rnn-select",
        "lstm and family=forward",
        "-rs",
        "--rootdir",
        str(package),
    ]
    done = subprocess.run(
        [*command, *select, str(package / "my_rnn_conformance")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "does not name" in done.stdout  # why what is skipped is skipped
    assert " passed" in done.stdout


@pytest.mark.parametrize("target", ["fakes:Value", "broken:EchoesZeros"])
def test_wrong_adapters_do_not_look_right(target: str) -> None:
    status, steps, _ = checked(target)
    assert status == 1
    assert False in steps.values()
    with pytest.raises(AssertionError):
        assert_conforms(f"{HERE / target.split(':')[0]}.py:{target.split(':')[1]}", select="family=forward")


@pytest.mark.parametrize("name", ["", "1x", "a b", "../x", "class", "x/../../y", "-x"])
def test_names_of_packages(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no name of a package"):
        write(name, tmp_path / "p")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(ConfigurationError, match="not empty"):
        write("mine", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
