"""Commands as processes of their own: how long they take, and the most memory that they have."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path


def peak(command: list[str]) -> tuple[float, float, bytes]:
    """Seconds, the most memory that the process itself had (MB), and what it printed."""
    started, most = time.perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    reading: queue.Queue[bytes] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda: reading.put(process.stdout.read()), daemon=True).start()  # type: ignore[union-attr]
    while process.poll() is None:
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{process.pid}/status").read_text("ascii")
            most = max(most, next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line))
        time.sleep(0.1)
    return time.perf_counter() - started, most / 1024, reading.get()
