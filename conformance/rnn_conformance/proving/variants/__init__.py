"""The registry of variants: named deviations from the specification, each a small change of the reference.

They prove the suite: `rnn-conformance mutants` runs each as if it were an implementation, and a tier must notice it.
"""

from __future__ import annotations

from rnn_conformance.proving.variants import (
    equations,
    gates,
    hidden,
    masks,
    networks,
    numbers,
    refusals,
    training,
    views,
)
from rnn_conformance.proving.variants.base import PAIR, Variant, combined

REGISTRY: dict[str, Variant] = {
    variant.name: variant
    for module in (gates, equations, masks, views, refusals, training, numbers, hidden, networks)
    for variant in module.VARIANTS
}


def has_variant(name: str) -> bool:
    """Whether a name is that of a variant, or of a pair: names come from results of other versions, too."""
    try:
        variant_of(name)
    except (KeyError, AssertionError, AttributeError):
        return False
    return True


def variant_of(name: str) -> Variant:
    """A variant of the registry, or the two of a name like "mask-zeros + bias-dropped" at once."""
    first, _, second = name.partition(PAIR)
    if not second:
        return REGISTRY[first]
    pair = combined(REGISTRY[first], REGISTRY[second])
    assert pair is not None
    return pair
