"""One thread for linear algebra: the arrays are small, and it is processes that share the work."""

from __future__ import annotations

from collections.abc import MutableMapping

NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def one_thread(environment: MutableMapping[str, str]) -> None:
    """Ask for one, of the libraries that read these variables when they are loaded, unless the user asks for another number."""
    for name in NAMES:
        environment.setdefault(name, "1")
