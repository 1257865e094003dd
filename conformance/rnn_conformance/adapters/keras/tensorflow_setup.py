"""TensorFlow's settings for both Keras adapters: quiet, one thread per worker."""

from __future__ import annotations

import os
from collections.abc import Mapping

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from rnn_conformance.contract.adapter import Description

__all__ = ["SETTINGS", "configure", "description", "tf", "tf_device"]

# Switches of TensorFlow.
SETTINGS = {"tf32": ("off", "on")}

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
for _gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(_gpu, True)  # workers share a device


def configure(settings: Mapping[str, str]) -> None:
    """Set the `SETTINGS`."""
    tf.config.experimental.enable_tensor_float_32_execution(settings["tf32"] == "on")


def description(framework: str, version: str) -> Description:
    """A Keras generation on TensorFlow, with the devices that TensorFlow sees."""
    gpus = range(len(tf.config.list_physical_devices("GPU")))
    return Description(
        framework=framework,
        version=version,
        devices=["cpu", *(f"cuda:{n}" for n in gpus)],
        dtypes=dict.fromkeys(("float64", "float32", "float16", "bfloat16")),
        packages={"tensorflow": tf.__version__, "numpy": np.__version__},
    )


def tf_device(device: str) -> str:
    """TensorFlow's name of a device."""
    return "/CPU:0" if device == "cpu" else f"/GPU:{device.partition(':')[2] or 0}"
