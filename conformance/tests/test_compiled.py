"""What frameworks compiled is kept for the next run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from frameworks import needs
from rnn_conformance.contract import compiled
from rnn_conformance.contract.compiled import compiled_folder
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.runner import probe
from rnn_fixtures.locations import CACHE_VARIABLE


def test_a_folder_for_each_compiler_and_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.VARIABLE, str(tmp_path))
    folder = compiled_folder("xla")
    assert folder is not None
    assert folder.is_dir()
    assert folder.parent == tmp_path / "xla"
    assert compiled_folder("xla") == folder
    monkeypatch.setattr(platform, "machine", lambda: "another")
    assert compiled_folder("xla") not in (None, folder)


def test_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compiled.VARIABLE, raising=False)
    assert compiled_folder("xla") is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(compiled.VARIABLE, str(tmp_path / "file"))
    assert compiled_folder("xla") is None


def test_the_suite_names_it_to_every_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    target = f"{Path(__file__).parent / 'fakes.py'}:Compiles"
    (note,) = probe(AdapterRef(target, target)).notes
    assert Path(note).parents[1] == tmp_path / "compiled"


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (CACHE_VARIABLE, "XDG_CACHE_HOME", compiled.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    target = f"{Path(__file__).parent / 'fakes.py'}:Compiles"
    assert list(probe(AdapterRef(target, target)).notes) == ["None"]


def test_jax_compiles_nothing_twice(tmp_path: Path) -> None:
    needs("jax")
    seen = []
    for name in ("first", "second"):
        command = [sys.executable, "-m", "rnn_conformance", "run", "--adapter", "jax"]
        command += ["--select", "id=lstm/forward/defaults", "--out", str(tmp_path / name)]
        environment = dict(os.environ) | {CACHE_VARIABLE: str(tmp_path / "cache")}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        subprocess.run(command, env=environment, capture_output=True, check=True)
        files = [p for p in (tmp_path / "cache" / "compiled" / "xla").rglob("*") if p.is_file()]
        seen.append({p: p.stat().st_mtime_ns for p in files})
    assert seen[0]
    assert seen[0] == seen[1]
