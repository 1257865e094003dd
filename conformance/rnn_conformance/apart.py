"""A process of an adapter's own, asked one thing at a time; replaced when it dies or does not answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

from rnn_conformance.errors import AdapterUnavailable
from rnn_conformance.runner import pool_of
from rnn_conformance.worker import AdapterRef

P = ParamSpec("P")
T = TypeVar("T")


class Ended(Exception):
    """The process gave no answer.

    Attributes
    ----------
    verdict : str
        ``timeout`` or ``crash``.
    message : str
    """

    def __init__(self, verdict: str, message: str) -> None:
        super().__init__(message)
        self.verdict, self.message = verdict, message


class Apart:
    """Calls functions in the adapter's process, which lives until the end or until it fails to answer."""

    def __init__(self, ref: AdapterRef) -> None:
        self._ref = ref
        self._pool: ProcessPool | None = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def ask(self, timeout: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a module's function returns there.

        Raises
        ------
        Ended
            When the process died, or gave no answer within ``timeout`` seconds; the next call starts another.
        AdapterUnavailable
            When the adapter cannot start.
        Exception
            What the function itself raised there.
        """
        if self._pool is not None and not self._pool.active:  # it died between two questions
            self._end()
        if self._pool is None:
            self._pool = pool_of(1, self._ref)
        try:
            future = self._pool.schedule(function, args=list(args), kwargs=kwargs, timeout=timeout)
            answer: T = future.result()
            return answer
        except FutureTimeout:
            self._end()
            raise Ended("timeout", f"no answer within {timeout:g} s") from None
        except ProcessExpired as error:
            self._end()
            raise Ended("crash", f"the process died (exit {error.exitcode})") from None
        except RuntimeError as error:
            own = error.__cause__ is not None  # of the function itself, and not of the pool
            if own and not isinstance(error, BrokenExecutor):
                raise
            self._end()
            raise AdapterUnavailable(f"adapter {self._ref.name!r} cannot start: {error}") from error
