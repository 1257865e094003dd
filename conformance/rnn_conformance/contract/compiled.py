"""Where an adapter may keep what its framework compiled, for the next run."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

# The suite names a folder by it, to every adapter's process.
VARIABLE = "RNN_CONFORMANCE_COMPILED"


def compiled_folder(name: str) -> Path | None:
    """A folder for one compiler's programs, which this machine's processor can run; None where no folder is to be had."""
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    folder = Path(root) / name / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _processor() -> str:
    """A name of its kind: a cache may be carried to a machine that lacks some of this one's instructions."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        text = platform.processor()
    flags = {
        line for line in text.splitlines() if line.lower().startswith(("model name", "flags", "features"))
    }
    return hashlib.sha256(" ".join([platform.machine(), *sorted(flags or {text})]).encode()).hexdigest()[:16]
