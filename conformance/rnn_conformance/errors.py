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
