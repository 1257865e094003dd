"""Runs the golden cases through frameworks' own LSTM and GRU layers and reports what differs."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("rnn-conformance")
except PackageNotFoundError:  # a source tree on PYTHONPATH
    __version__ = "0+unknown"
