"""Property tests draw the same examples on every run: a failure is a change, never luck."""

import os

import pytest
from hypothesis import settings
from rnn_conformance.threads import one_thread

one_thread(os.environ)  # as `rnn-conformance` itself does, before a test imports NumPy
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


def pytest_configure() -> None:
    """The committed cases are read once in a process of tests, as its many commands would else read them again and again."""
    from functools import cache

    from rnn_fixtures.locations import DATA
    from rnn_fixtures.store import Store

    read = Store.cases
    committed = cache(lambda digest: tuple(read(Store(check=False))))
    Store.cases = lambda store: iter(committed(store.digest)) if store.folder == DATA else read(store)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: many tests wait for processes of their own."""
    return (os.cpu_count() or 1) + 1
