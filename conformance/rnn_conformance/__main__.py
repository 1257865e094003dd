"""``python -m rnn_conformance``."""

from rnn_conformance.cli.main import entry_point

entry_point()
