"""Property tests draw the same examples on every run: a failure is a change, never luck."""

from hypothesis import settings

settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")
