"""Dot products: ``start + a @ w`` for a [B, K], w [K, N] and start [B, N] or None, summed in many orders."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np

from .rounding import multiply_add, wider

Product = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]


def _plus(start: np.ndarray | None, total: np.ndarray) -> np.ndarray:
    return total if start is None else start + total


def blas(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """NumPy's product, rounded to the dtype where it comes out wider."""
    return _plus(start, (a @ w).astype(a.dtype, copy=False))


def einsum(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """`numpy.einsum`'s own loops."""
    return _plus(start, np.einsum("bk,kn->bn", a, w))


def forward(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """One accumulator, term by term."""
    total = start
    for k in range(len(w)):
        total = _plus(total, a[:, k, None] * w[k])
    assert total is not None
    return total


def backward(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """One accumulator, from the last term to the first."""
    return forward(a[:, ::-1], w[::-1], start)


def fused(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """One accumulator and multiply-add instructions, which do not round the product."""
    total = np.zeros((len(a), w.shape[1]), a.dtype) if start is None else start
    for k in range(len(w)):
        total = multiply_add(a[:, k, None], w[k], total)
    return total


def pairwise(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """A balanced tree."""
    if len(w) == 1:
        return _plus(start, a * w)
    middle = len(w) // 2
    return _plus(start, pairwise(a[:, :middle], w[:middle]) + pairwise(a[:, middle:], w[middle:]))


def lanes(count: int) -> Product:
    """As vector units do: ``count`` accumulators in turn, the first from the start, added up in halves."""

    def product(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        sums: list[np.ndarray | None] = [start, *[None] * (count - 1)]
        for k in range(len(w)):
            sums[k % count] = _plus(sums[k % count], a[:, k, None] * w[k])
        left = [s for s in sums if s is not None]
        while len(left) > 1:
            half = (len(left) + 1) // 2
            left = [*(x + y for x, y in zip(left, left[half:], strict=False)), *left[len(left) - half : half]]
        return left[0]

    return product


def split(count: int) -> Product:
    """Split-K: pieces of the sum, each on its own, then added one after the other."""

    def product(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        total = start
        for places in np.array_split(np.arange(len(w)), count):
            if places.size:
                total = _plus(total, forward(a[:, places], w[places]))
        assert total is not None
        return total

    return product


def compensated(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Neumaier's sum of rounded products: what each addition loses is added at the end."""
    total = np.zeros((len(a), w.shape[1]), a.dtype) if start is None else start
    lost = np.zeros_like(total)
    for k in range(len(w)):
        term = a[:, k, None] * w[k]
        new = total + term
        larger = np.abs(total) >= np.abs(term)
        lost = lost + np.where(larger, (total - new) + term, (term - new) + total)
        total = new
    return np.where(np.isfinite(total), total + lost, total)  # infinity has lost nothing


def wide(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """An accumulator of the next wider dtype, rounded once."""
    total = wider(a) @ wider(w)
    return (total if start is None else wider(start) + total).astype(a.dtype)


def three_parts(a: np.ndarray, w: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """float32 on a unit for bfloat16: both factors in three parts, nine exact products, float32 sums."""
    parts_a, parts_w = _parts(a), _parts(w)
    small_first = sorted(((i, j) for i in range(3) for j in range(3)), key=lambda ij: -sum(ij))
    total = sum(parts_a[i] @ parts_w[j] for i, j in small_first)
    first = parts_a[0] @ parts_w[0]
    return _plus(start, np.where(np.isfinite(first), total, first))


def _parts(x: np.ndarray) -> list[np.ndarray]:
    parts = []
    for _ in range(3):
        part = x.astype(ml_dtypes.bfloat16).astype(np.float32)
        parts.append(part)
        x = np.where(np.isfinite(part), x - part, 0).astype(np.float32)
    return parts


PRODUCTS: dict[str, Product] = {
    "blas": blas,
    "einsum": einsum,
    "forward": forward,
    "backward": backward,
    "fused": fused,
    "pairwise": pairwise,
    "lanes4": lanes(4),
    "lanes8": lanes(8),
    "lanes16": lanes(16),
    "split2": split(2),
    "split3": split(3),
    "split4": split(4),
    "compensated": compensated,
    "wide": wide,
    "three_parts": three_parts,
}
