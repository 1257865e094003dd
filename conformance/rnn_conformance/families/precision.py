"""Family ``precision``: calls, and gradients, compared as in the other families."""

from __future__ import annotations

from rnn_fixtures.case import Case

from rnn_conformance.bench import Bench
from rnn_conformance.families import calls, training
from rnn_conformance.families.outcome import Outcome


def run(case: Case, bench: Bench) -> Outcome:
    """What the case's ``quantity`` says."""
    return (
        training.gradients(case, bench)
        if case.argument("quantity") == "gradients"
        else calls.run(case, bench)
    )
