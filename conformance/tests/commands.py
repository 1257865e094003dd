"""The command line within this process: what it prints, which files it writes, its exit status. Pipes, signals and imports are tested in processes."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from rnn_conformance.cli.main import exit_status

HERE = Path(__file__).parent


def cli(*arguments: str, cwd: Path = HERE, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; by default where `fakes` lies."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "stdin", io.StringIO(stdin)),
        patch.object(sys, "argv", ["rnn-conformance", *arguments]),
    ):
        status = exit_status()
    out.seek(0)
    err.seek(0)
    return subprocess.CompletedProcess(sys.argv, int(status), out.read(), err.read())
