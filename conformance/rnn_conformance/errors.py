"""Errors that the command line turns into one line and an exit code (README, "Exit codes")."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    EXPECTED = 0
    UNEXPECTED = 1
    USAGE = 2
    UNAVAILABLE = 3
    INTERNAL = 4
    NOTHING_SELECTED = 5
    INTERRUPTED = 130


class SuiteError(Exception):
    """Something the user can mend; the message says what, where and what to do."""

    exit_code = Exit.USAGE


class ConfigurationError(SuiteError):
    """Wrong usage or configuration."""


class AdapterUnavailable(SuiteError):
    """An adapter could not start."""

    exit_code = Exit.UNAVAILABLE


class AdapterNotInstalled(AdapterUnavailable):
    """The adapter's framework is not installed here."""


class NothingSelected(SuiteError):
    """The selection matches no case."""

    exit_code = Exit.NOTHING_SELECTED


class Refusal(Exception):
    """What the framework raised within its own call; ``text`` is all that it said."""

    def __init__(self, described: str, text: str) -> None:
        super().__init__(described)
        self.text = text


class AdapterFault(Exception):
    """The adapter broke its contract: an error of its own, or an answer that is none; the message says how."""


class Ended(Exception):
    """The process gave no answer.

    Attributes
    ----------
    verdict : str
        ``timeout``, ``crash``, or ``protocol`` where what came back was no answer.
    """

    def __init__(self, verdict: str, message: str) -> None:
        super().__init__(message)
        self.verdict, self.message = verdict, message


class Stopped(Exception):
    """The run was interrupted while the process was at work."""


class ResultsNotWritten(SuiteError):
    """Results cannot be written; what was written before is kept."""
