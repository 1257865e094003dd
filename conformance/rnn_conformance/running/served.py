"""An adapter that serves cases one by one, to tests and checks; runs have workers of their own (`rnn_conformance.running.runner`)."""

from __future__ import annotations

from typing import Self

from rnn_fixtures.case import Case
from rnn_fixtures.store import Store

from rnn_conformance.judging import differences
from rnn_conformance.judging.bench import Bench
from rnn_conformance.results.record import Record
from rnn_conformance.running.registry import resolve
from rnn_conformance.running.remote import RemoteAdapter
from rnn_conformance.running.session import Limits, Session
from rnn_conformance.running.worker import run_case


class Served:
    """The adapter's process, what is declared of it, and the models of one dtype at a time.

    Parameters
    ----------
    name : str
        What ``run --adapter`` takes.

    Raises
    ------
    AdapterUnavailable
        When the adapter cannot start.
    """

    def __init__(
        self, name: str, device: str = "cpu", *, timeout: float = 60.0, store: Store | None = None
    ) -> None:
        ref = resolve(name)
        self._session, self._device = Session(ref, Limits(timeout)), device
        self.store = store or Store(check=False)
        try:
            self.adapter = RemoteAdapter(self._session)
            self.what = self.adapter.describe()
            self.declared = differences.load(ref.folder, ref.name, self.what, device)
        except BaseException:
            self.close()
            raise
        self._benches: dict[str, Bench] = {}

    def run(self, case: Case, dtype: str) -> Record:
        """The record of a case, with what is declared of it."""
        if dtype not in self._benches:
            self._benches = {dtype: Bench(self.adapter, self.store, dtype, self._device)}
        record = run_case(self._benches[dtype], case)
        differences.apply(record, case, dtype, self.declared)
        return record

    def close(self) -> None:
        """End the process."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
