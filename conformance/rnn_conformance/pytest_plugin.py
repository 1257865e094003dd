"""A pytest plug-in: ``pytest --rnn-adapter NAME --rnn-tier smoke`` adds the cases as tests, one for each case and dtype.

pass is passed, a declared difference xfailed, unsupported skipped with its reason, everything else failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OPTIONS = {
    "adapter": "what rnn-conformance run --adapter takes",
    "tier": "smoke or core (default: smoke)",
    "select": "which cases, as run --select",
    "dtype": "default: float32; commas between several",
    "device": "default: cpu",
}
DEFAULTS = {"tier": "smoke", "select": "", "dtype": "float32", "device": "cpu"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; nothing else is imported unless they are used."""
    group = parser.getgroup("rnn-conformance")
    for name, text in OPTIONS.items():
        group.addoption(f"--rnn-{name}", default=DEFAULTS.get(name), help=text, metavar=name.upper())


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[Any]) -> None:
    """Add a test for each case."""
    if config.getoption("--rnn-adapter"):
        items += _items(session, config)


def _items(session: pytest.Session, config: pytest.Config) -> Iterator[pytest.Item]:
    from rnn_fixtures.store import select_tier

    from rnn_conformance.errors import SuiteError
    from rnn_conformance.judging.bench import program_key
    from rnn_conformance.running.served import Served
    from rnn_conformance.selection import compile_selection

    name, tier, select, dtypes, device = (config.getoption(f"--rnn-{option}") for option in OPTIONS)
    try:
        matches = compile_selection(select) if select else None
        served = Served(name, device)
    except SuiteError as error:
        raise pytest.UsageError(str(error)) from error
    config.add_cleanup(served.close)
    cases = sorted(select_tier(served.store.cases(), tier), key=lambda case: str(program_key(case)))
    for dtype in dtypes.split(","):
        for case in cases:
            if dtype in case.dtypes and (matches is None or matches(case, dtype)):
                item = ConformanceItem.from_parent(session, name=f"{case.id}[{dtype}]")
                item.case, item.dtype, item.served = case, dtype, served
                yield item


class Nonconforming(Exception):
    """A result that is not expected."""


class ConformanceItem(pytest.Item):
    """One case in one dtype."""

    case: Any
    dtype: str
    served: Any

    def runtest(self) -> None:
        """Run it; the outcome is the verdict."""
        record = self.served.run(self.case, self.dtype)
        if record.verdict == "pass":
            return
        if record.verdict == "unsupported":
            pytest.skip(record.message)
        if record.known and record.verdict != "stale":
            pytest.xfail(f"known: {record.known}: {record.message}")
        raise Nonconforming(f"{record.verdict}: {record.message}\nclauses: {' '.join(record.clauses)}")

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """The verdict and what was seen, without a traceback of the suite."""
        return (
            str(excinfo.value) if isinstance(excinfo.value, Nonconforming) else super().repr_failure(excinfo)
        )

    def reportinfo(self) -> tuple[Path, int, str]:
        return Path("rnn-conformance"), 0, self.name
