"""Outputs that a device brought back as files, in place of an adapter: the cases of an export are judged as everywhere.

For a case whose name in the export is NAME, the outputs lie in ``NAME.npz``, with entries ``call_K/OUTPUT``; in ``NAME.json``, an object of the same
names and nested lists; or, for tests in ONNX's form, in ``NAME/test_data_set_K/output_N.pb``, in the model's order. Where there is one call only,
``call_0/`` may be left away. ``not-run.json`` says which cases were not run, and why: NAME to reason.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from rnn_fixtures.case import Case

from rnn_conformance.contract.adapter import DTYPES, Adapter, Description, LayerSpec, Model, Unsupported
from rnn_conformance.errors import AdapterFault, ConfigurationError

INDEX, NOT_RUN = "index.json", "not-run.json"


@dataclass(frozen=True)
class Exported:
    """The index of an export.

    Attributes
    ----------
    names : mapping
        Case id to the name of its files.
    """

    fixtures: str
    form: str
    names: Mapping[str, str] = field(default_factory=dict)


def read_index(folder: Path) -> Exported:
    """What an export holds.

    Raises
    ------
    ConfigurationError
        When the folder is none, or of a form without a file for each case.
    """
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
        form, fixtures = str(index["form"]), str(index["fixtures"])
        tests = [(str(test["id"]), str(test["file"])) for test in index["tests"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{folder} is no export of golden data ({INDEX}): {error!r}; make one with: rnn-conformance fixtures export"
        ) from error
    if form == "json":
        # One file for many cases: outputs are called as in the other forms.
        from rnn_fixtures.export.contents import stem

        return Exported(fixtures, form, {case: stem(case) for case, _ in tests})
    return Exported(
        fixtures, form, {case: name.removesuffix("/").removesuffix(".npz") for case, name in tests}
    )


class Files(Adapter):
    """Models that give back what lies in files, call by call.

    Attributes
    ----------
    case : Case
        Set before each case: whose outputs are asked for.
    """

    def __init__(self, folder: Path, exported: Exported, what: Description, dtype: str) -> None:
        self._folder, self._exported, self._what, self._dtype = folder, exported, what, dtype
        self._not_run = _not_run(folder)
        self.case: Case | None = None

    def describe(self) -> Description:
        return self._what

    def build(self, spec: LayerSpec) -> Model:
        return _Files(self)

    def outputs(self) -> list[list[np.ndarray]]:
        """Those of the case, for each call.

        Raises
        ------
        Unsupported
            Where ``not-run.json`` says why there are none.
        AdapterFault
            Where there are none, or they cannot be read.
        """
        assert self.case is not None
        name = self._exported.names[self.case.id]
        if name in self._not_run:
            raise Unsupported(self._not_run[name], "")
        try:
            return self._read(self.case, name)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise AdapterFault(
                f"outputs of {name} cannot be read: {type(error).__name__}: {error}"
            ) from error

    def _read(self, case: Case, name: str) -> list[list[np.ndarray]]:
        path = self._folder / name
        if path.is_dir():
            return [_of_onnx(path / f"test_data_set_{k}") for k in range(len(case.calls))]
        entries: Mapping[str, Any]
        if path.with_name(f"{name}.npz").is_file():
            with np.load(path.with_name(f"{name}.npz"), allow_pickle=False) as file:
                entries = {key: file[key] for key in file.files}
        elif path.with_name(f"{name}.json").is_file():
            entries = json.loads(path.with_name(f"{name}.json").read_text("utf-8"))
            if not isinstance(entries, dict):
                raise ValueError("it is no object")
        else:
            raise FileNotFoundError(f"there is no {name}.npz, {name}.json or folder {name}")
        found = []
        for k, call in enumerate(case.calls):
            own: Mapping[str, Any] = {key.removeprefix(f"call_{k}/"): v for key, v in entries.items()}
            missing = [output for output in call.expected if output not in own]
            if missing:
                raise KeyError(f"call_{k}/{missing[0]} is missing; there are {', '.join(sorted(entries))}")
            # In the order of the case; what else is there counts, too: an output too many is a discrepancy.
            more = [key for key in entries if key.startswith(f"call_{k}/") or len(case.calls) == 1]
            extra = [key for key in more if key.removeprefix(f"call_{k}/") not in call.expected]
            names = [*call.expected, *(key.removeprefix(f"call_{k}/") for key in extra)]
            found.append([self._array(own[output]) for output in names])
        return found

    def _array(self, value: Any) -> np.ndarray:
        if not isinstance(value, np.ndarray):
            return np.array(value, np.float64).astype(DTYPES[self._dtype])
        if self._dtype == "bfloat16" and value.dtype in (np.uint16, np.dtype("V2")):
            return value.view(ml_dtypes.bfloat16)  # npz has no bfloat16
        return value


class _Files(Model):
    """Calls in order; a case that is run again begins anew."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._left: list[list[np.ndarray]] = []

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """The device has had them."""

    def reset_states(self) -> None:
        """The device has done it."""

    def call(
        self, inputs: np.ndarray, mask: np.ndarray | None, initial_state: Sequence[np.ndarray] | None
    ) -> list[np.ndarray]:
        if not self._left:
            self._left = self._files.outputs()
        return self._left.pop(0)


def _not_run(folder: Path) -> dict[str, str]:
    path = folder / NOT_RUN
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict) or not all(isinstance(v, str) and v for v in found.values()):
            raise ValueError("names to reasons are asked for")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    return {str(name).removesuffix(".npz"): reason for name, reason in found.items()}


def _of_onnx(folder: Path) -> list[np.ndarray]:
    """Outputs as the package onnx writes them."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise AdapterFault("outputs in ONNX's form need the package onnx: pip install onnx") from error
    paths = sorted(folder.glob("output_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
    if not paths:
        raise FileNotFoundError(f"there is no output_0.pb in {folder.name}")
    return [numpy_helper.to_array(onnx.load_tensor(str(path))) for path in paths]
