"""``--select EXPR``: which cases, as a boolean expression of words and ``key=value`` terms.

A word matches a case whose id contains it, or that tests the clause of that name. ``key=value`` compares an
argument (``mask=right``, ``unroll=true``) or ``id``, ``layer``, ``family``, ``tier``, ``clause``, ``claim``, ``dtype``; the value
may be a pattern (``activation=hard_*``). Terms combine with ``and``, ``or``, ``not`` and parentheses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import boolean
from rnn_fixtures.case import Case
from rnn_fixtures.domain import domain, spell

from rnn_conformance.errors import ConfigurationError

Predicate = Callable[[Case, str], bool]

_ALGEBRA = boolean.BooleanAlgebra(allowed_in_token=tuple("._=/-*?[],!"))


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


def _matches(term: str, case: Case, dtype: str) -> bool:
    key, equals, pattern = term.partition("=")
    if not equals:
        return term in case.id or term in case.clauses
    return any(
        fnmatchcase(value, pattern) or fnmatchcase(value.lower(), pattern)
        for value in _values(case, key, dtype)
    )


def _evaluate(node: Any, case: Case, dtype: str) -> bool:
    if isinstance(node, boolean.Symbol):
        return _matches(node.obj, case, dtype)
    if isinstance(node, boolean.NOT):
        return not _evaluate(node.args[0], case, dtype)
    if isinstance(node, boolean.AND):
        return all(_evaluate(arg, case, dtype) for arg in node.args)
    if isinstance(node, boolean.OR):
        return any(_evaluate(arg, case, dtype) for arg in node.args)
    return node == _ALGEBRA.TRUE


@cache
def compile_selection(expression: str) -> Predicate:
    """A predicate on (case, dtype).

    Raises
    ------
    ConfigurationError
        When the expression does not parse, or names an unknown key.
    """
    try:
        tree = _ALGEBRA.parse(expression)
        terms = [symbol.obj for symbol in tree.symbols]
    except (boolean.ParseError, TypeError) as error:
        raise ConfigurationError(
            f"cannot read the selection {expression!r}: {error}; write words and key=value terms "
            "with and, or, not and parentheses"
        ) from error
    known = {"dtype", "clause", "claim", "id", "layer", "family", "tier", *domain().arguments}
    for term in terms:
        key, equals, _ = term.partition("=")
        if equals and key not in known:
            raise ConfigurationError(f"the selection {expression!r} names the unknown argument {key!r}")
    return lambda case, dtype: _evaluate(tree, case, dtype)
