"""Property tests draw the same examples on every run: a failure is a change, never luck."""

import os

from hypothesis import settings
from rnn_conformance.threads import one_thread

one_thread(os.environ)  # as `rnn-conformance` itself does, before a test imports NumPy
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")
