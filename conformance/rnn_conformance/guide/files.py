"""Arrays from and to files: npz and safetensors, and the frameworks' own files to read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rnn_conformance.errors import ConfigurationError
from rnn_conformance.guide.named_layouts import Arrays

# What a Keras 3 layer's variables are, by their number in the file.
KERAS_VARIABLES = ("kernel", "recurrent_kernel", "bias")


def _npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _safetensors(path: Path) -> Arrays:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _torch(path: Path) -> Arrays:
    """A state_dict, or a checkpoint with one under ``state_dict`` or ``model``; nothing else of the file is executed."""
    import torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    found = next(
        (found[key] for key in ("state_dict", "model") if isinstance(found.get(key), Mapping)), found
    )
    arrays = {}
    for name, value in found.items():
        if isinstance(value, torch.Tensor):
            tensor = value.detach().contiguous()
            if tensor.dtype == torch.bfloat16:
                import ml_dtypes

                arrays[name] = tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
            else:
                arrays[name] = tensor.numpy()
    return arrays


# What an ONNX operator may say, and these layouts have no place for.
_ONNX_ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"]}


def _onnx_nodes(path: Path) -> tuple[list[tuple[Any, dict[str, Any]]], Arrays]:
    """The LSTM and GRU nodes of a model, in the order of the graph, each with its attributes, and the model's constants."""
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.load(path).graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    arrays |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].HasField("t")
    }
    nodes = [node for node in graph.node if node.op_type in ("LSTM", "GRU")]
    return [(node, {a.name: helper.get_attribute_value(a) for a in node.attribute}) for node in nodes], arrays


def _onnx(path: Path) -> Arrays:
    """The weights of every LSTM and GRU node, numbered in the order of the graph where there are several."""
    nodes, arrays = _onnx_nodes(path)
    result: Arrays = {}
    for number, (node, said) in enumerate(nodes):
        names = [n.decode().lower() for n in said.get("activations", [])]
        usual = _ONNX_ACTIVATIONS[node.op_type]
        odd = [name for name in ("clip", "input_forget") if said.get(name)]
        odd += ["direction=reverse"] if said.get("direction") == b"reverse" else []
        odd += ["activations"] if names and names != usual * (len(names) // len(usual)) else []
        odd += ["P"] if len(node.input) > 7 and node.input[7] else []
        own = {name: at for name, at in zip("WRB", list(node.input)[1:4], strict=False) if at}
        odd += [f"a {name} that is computed" for name, at in own.items() if at not in arrays]
        if odd:
            raise ConfigurationError(
                f"{path}: {node.op_type} {node.name or number} has {', '.join(odd)}, which no layout of weights holds"
            )
        result |= {f"{number}.{name}" if len(nodes) > 1 else name: arrays[at] for name, at in own.items()}
    return result


def reset_after_of(path: Path) -> bool | None:
    """Of the GRUs in an ONNX model; None where the file does not tell, or has none.

    Raises
    ------
    ConfigurationError
        When some have it and some have not.
    """
    if path.suffix != ".onnx":
        return None
    nodes, _ = _onnx_nodes(path)
    found = {bool(said.get("linear_before_reset", 0)) for node, said in nodes if node.op_type == "GRU"}
    if len(found) > 1:
        raise ConfigurationError(
            f"{path} has GRUs with and without linear_before_reset: convert them one by one"
        )
    return next(iter(found), None)


def _h5(source: Any) -> Arrays:
    """Names of Keras 2 as they are; the numbered variables of a Keras 3 cell by their names."""
    import h5py

    found: Arrays = {}

    def take(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or "optimizer" in name:
            return
        path, _, last = name.rpartition("/")
        if path.endswith("cell/vars") and last.isdigit() and int(last) < len(KERAS_VARIABLES):
            name = f"{path.removesuffix('/vars')}/{KERAS_VARIABLES[int(last)]}"
        found[name] = np.asarray(item)

    with h5py.File(source, "r") as file:
        file.visititems(take)
    return found


def _keras(path: Path) -> Arrays:
    with zipfile.ZipFile(path) as archive:
        return _h5(io.BytesIO(archive.read("model.weights.h5")))


# What a file's name ends with: how it is read, and what that takes.
READERS: Mapping[str, tuple[Callable[[Path], Arrays], str]] = {
    ".npz": (_npz, "numpy"),
    ".safetensors": (_safetensors, "safetensors"),
    ".pt": (_torch, "torch"),
    ".pth": (_torch, "torch"),
    ".onnx": (_onnx, "onnx"),
    ".h5": (_h5, "h5py"),
    ".keras": (_keras, "h5py"),
}
WRITTEN = (".safetensors", ".npz")


def load(path: Path) -> Arrays:
    """The arrays of a file.

    Raises
    ------
    ConfigurationError
        When it is none that can be read, or what it takes is not installed.
    """
    if path.suffix not in READERS:
        raise ConfigurationError(
            f"{path} is no {', '.join(READERS)} file: save the weights as one of them first"
        )
    read, needs = READERS[path.suffix]
    if find_spec(needs) is None:
        raise ConfigurationError(f"{path}: reading {path.suffix} takes {needs}, which is not installed here")
    try:
        return read(path)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"cannot read {path}: {type(error).__name__}: {error}") from error


def save(path: Path, arrays: Arrays) -> None:
    """Write the arrays, and read them back.

    Raises
    ------
    ConfigurationError
        For another kind of file, or when what is read back differs.
    """
    unfinished = path.with_name(f".part-{path.name}")
    try:
        if path.suffix == ".npz":
            np.savez(unfinished, **arrays)  # type: ignore[arg-type]
        elif path.suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, unfinished)
        else:
            raise ConfigurationError(f"{path}: weights are written as {' or '.join(WRITTEN)}")
        again = load(unfinished)
        if again.keys() != arrays.keys() or any(again[n].tobytes() != a.tobytes() for n, a in arrays.items()):
            raise ConfigurationError(f"{path}: what was written does not read back")
        unfinished.replace(path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
