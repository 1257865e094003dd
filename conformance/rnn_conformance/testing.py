"""For tests of adapters: `assert_conforms`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rnn_fixtures.store import select_tier

from rnn_conformance.judging.bench import program_key
from rnn_conformance.judging.differences import is_unexpected
from rnn_conformance.results.record import Record
from rnn_conformance.running.served import Served
from rnn_conformance.selection import compile_selection

# So many unexpected results are told in full.
TOLD = 10


def assert_conforms(
    adapter: str,
    *,
    tier: str = "smoke",
    select: str = "",
    dtypes: Sequence[str] = ("float32",),
    device: str = "cpu",
    timeout: float = 60.0,
) -> Counter[str]:
    """Run cases through an adapter, in a process of its own, and fail where a result is unexpected or nothing passes.

    Parameters
    ----------
    adapter : str
        What ``run --adapter`` takes: a name, ``module:Class``, ``path.py:Class`` or ``cmd:PROGRAM``.
    select : str
        As ``run --select``.

    Returns
    -------
    Counter
        How many cases have which verdict; declared differences count as ``known``.

    Raises
    ------
    AssertionError
        With the unexpected results, and what they differ in.
    AdapterUnavailable
        When the adapter cannot start.
    """
    matches = compile_selection(select) if select else None
    counts: Counter[str] = Counter()
    unexpected: list[tuple[str, Record]] = []
    with Served(adapter, device, timeout=timeout) as served:
        for dtype in dtypes:
            for case in sorted(select_tier(served.store.cases(), tier), key=lambda c: str(program_key(c))):
                if dtype not in case.dtypes or (matches is not None and not matches(case, dtype)):
                    continue
                record = served.run(case, dtype)
                counts["known" if record.known and record.verdict != "stale" else record.verdict] += 1
                if is_unexpected(record.verdict, record.known):
                    unexpected.append((dtype, record))
    lines = [f"{r.case} ({dtype}): {r.verdict}: {r.message}" for dtype, r in unexpected[:TOLD]]
    if len(unexpected) > TOLD:
        lines.append(f"and {len(unexpected) - TOLD} more")
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()) or "no case selected"
    assert not unexpected, f"{adapter}: {summary}\n" + "\n".join(lines)
    assert counts["pass"], f"{adapter}: nothing passes: {summary}"
    return counts
