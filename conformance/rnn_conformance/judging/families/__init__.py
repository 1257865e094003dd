"""How the cases of each family are run and judged: one module, with a function ``run``, per kind of procedure."""

from __future__ import annotations

from collections.abc import Callable

from rnn_fixtures.case import Case

from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families import calls, dropout, initial, precision, rejects, shapes, training
from rnn_conformance.judging.families.outcome import Outcome

Procedure = Callable[[Case, Bench], Outcome]

PROCEDURES: dict[str, Procedure] = {
    "forward": calls.run,
    "stateful": calls.run,
    "networks": calls.run,
    "shapes": shapes.run,
    "rejects": rejects.run,
    "initial": initial.run,
    "dropout": dropout.run,
    "precision": precision.run,
    "training": training.run,
}
