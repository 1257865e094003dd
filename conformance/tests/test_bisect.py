"""Where a verdict changed: halves are taken, what cannot be tried is left out, and nothing is claimed that was not seen."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.searching.bisect import between, bisect


@given(
    st.integers(2, 60).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(1, n), st.sets(st.integers(0, n - 1)))
    )
)
def test_the_change_is_found(given: tuple[int, int, set[int]]) -> None:
    count, change, broken = given
    versions = [str(k) for k in range(count)]
    asked = []

    def verdict(version: str) -> str:
        asked.append(version)
        return "!no wheel" if int(version) in broken else "pass" if int(version) < change else "value"

    good = [k for k in range(count) if k not in broken]
    if len(good) < 2:
        with pytest.raises(ConfigurationError, match="fewer than two versions could be tried"):
            bisect(versions, verdict)
        return
    found = bisect(versions, verdict)
    before, after = [k for k in good if k < change], [k for k in good if k >= change]
    assert found.found is bool(before and after)
    if found.found:
        assert (int(found.last), int(found.first)) == (before[-1], after[0])
    assert len(asked) == len(set(asked)) == len(found.tried)
    if not broken:
        assert len(asked) <= 2 + math.ceil(math.log2(count))


def test_released_versions_between_two() -> None:
    known = ["2.10.0", "2.9.1", "2.9.0", "2.8.0", "2.11.0rc1", "old", "2.11.0"]
    assert between(known, "2.9", "2.11") == ["2.9.0", "2.9.1", "2.10.0", "2.11.0"]
    with pytest.raises(ConfigurationError, match="fewer than two released versions; the newest are"):
        between(known, "3.0", "4.0")
    with pytest.raises(ConfigurationError, match="--versions"):
        between(known, "new", "4.0")
