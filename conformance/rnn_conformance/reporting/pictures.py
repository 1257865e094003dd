"""Pictures as SVG, in the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnn_fixtures.precision import LIMIT

_WIDTH, _HEIGHT, _FOOT = 480, 120, 24
# From 2^-6 to 2^10, four bars for each factor of four.
_FIRST, _LAST, _PER = -6, 10, 2


def z_histogram(values: Sequence[float]) -> str:
    """How many results have which largest z, on a logarithmic scale, with the limit; z = 0 counts into the first bar.

    Parameters
    ----------
    values : sequence of float
        Finite and not negative.
    """
    bars = [0] * ((_LAST - _FIRST) * _PER)
    for z in values:
        place = (math.log2(z) - _FIRST) * _PER if z > 0 else 0
        bars[min(len(bars) - 1, max(0, int(place)))] += 1
    top = max(bars, default=0) or 1
    width = _WIDTH / len(bars)
    drawn = []
    for number, count in enumerate(bars):
        if count:
            height = max(1.5, count / top * (_HEIGHT - 8))
            low, high = (2 ** (_FIRST + (number + k) / _PER) for k in (0, 1))
            drawn.append(
                f'<rect x="{number * width + 1:.1f}" y="{_HEIGHT - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}" rx="1.5">'
                f"<title>{count} with z from {low:.3g} to {high:.3g}</title></rect>"
            )
    ticks = "".join(
        f'<text x="{(k - _FIRST) * _PER * width:.1f}" y="{_HEIGHT + 16}">{2.0**k:g}</text>'
        for k in range(_FIRST + 1, _LAST, 2)
    )
    limit = (math.log2(LIMIT) - _FIRST) * _PER * width
    return (
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}" role="img" aria-label="Distribution of z over {len(values)} results, limit {LIMIT:g}">'
        f'{"".join(drawn)}<line class="base" x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>'
        f'<line class="limit" x1="{limit:.1f}" x2="{limit:.1f}" y1="0" y2="{_HEIGHT}"/>{ticks}</svg>'
    )


def trend(values: Sequence[float], label: str) -> str:
    """A line through values from 0 to their largest, the newest last."""
    if len(values) < 2:
        return ""
    top = max(values) or 1
    step = 120 / (len(values) - 1)
    points = " ".join(f"{k * step:.1f},{26 - v / top * 24:.1f}" for k, v in enumerate(values))
    return f'<svg class="trend" viewBox="-2 0 124 28" role="img" aria-label="{label}"><polyline points="{points}"/></svg>'
