"""``--select EXPR``: which cases, as a boolean expression of words and ``key=value`` terms.

A word matches a case whose id contains it, or that tests the clause of that name. ``key=value`` compares an
argument (``mask=right``, ``unroll=true``) or ``id``, ``layer``, ``family``, ``tier``, ``clause``, ``claim``, ``dtype``; the value
may be a pattern (``activation=hard_*``). Terms combine with ``and``, ``or``, ``not`` and parentheses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from rnn_fixtures import selection
from rnn_fixtures.case import Case
from rnn_fixtures.domain import SELECTABLE, domain, spell

from rnn_conformance.errors import ConfigurationError

Predicate = Callable[[Case, str], bool]


def _values(case: Case, key: str, dtype: str) -> Iterable[str]:
    match key:
        case "dtype":
            return (dtype,)
        case "clause":
            return case.clauses
        case "claim":
            return case.claims
        case "id" | "layer" | "family" | "tier":
            return (getattr(case, key),)
    if key not in case.arguments:
        return ()
    return (spell(case.arguments[key]),)


def may_match(text: str, known: Mapping[str, str]) -> bool:
    """Whether a case of these values, by key, can match a selection, whatever else it is."""
    return not text or selection.parse(text).may_hold(lambda key: (known[key],) if key in known else None)


@cache
def compile_selection(text: str) -> Predicate:
    """A predicate on (case, dtype).

    Raises
    ------
    ConfigurationError
        When the expression does not parse, or names an unknown key.
    """
    try:
        expression = selection.parse(text)
    except selection.SelectionError as error:
        raise ConfigurationError(str(error)) from error
    for key, _ in expression.terms:
        if key and key not in SELECTABLE and key not in domain().arguments:
            raise ConfigurationError(f"the selection {text!r} names the unknown argument {key!r}")
    return lambda case, dtype: expression.holds(
        lambda key: _values(case, key, dtype), lambda word: word in case.id or word in case.clauses
    )
