"""Family ``rejects``: the framework must raise, not before the case says (ERR-1), and its valid twin must work (ERR-5)."""

from __future__ import annotations

import numpy as np
from rnn_fixtures.case import Case

from rnn_conformance.contract.adapter import Unsupported, is_refusal
from rnn_conformance.errors import AdapterFault, Ended, Refusal, Stopped
from rnn_conformance.judging.bench import Bench
from rnn_conformance.judging.families import calls
from rnn_conformance.judging.families.outcome import Outcome, checked, describe_error
from rnn_conformance.judging.verdict import Verdict

PHASES = ("build", "weights", "call")


def run(case: Case, bench: Bench) -> Outcome:
    """The twin first: build, set weights, call; all of it must work. Then the case itself: one of these must raise."""
    unproved = _twin_fault(case, bench)
    phase = "build"
    try:
        model = bench.adapter.build(bench.spec(case))
        phase = "weights"
        model.set_weights(bench.weights(case))
        phase = "call"
        shapes = []
        for number, call in enumerate(case.calls, start=1):
            arguments = bench.call_arguments(call)
            if number < len(case.calls):
                phase = "earlier call"
                model.call(**arguments)
                phase = "call"
            elif "lengths" in case.detail:
                lengths = np.array(case.detail["lengths"], np.int64)
                shapes = [a.shape for a in checked(model.call_lengths(arguments["inputs"], lengths))]
            else:
                shapes = [a.shape for a in checked(model.call(**arguments))]
    except (Unsupported, AdapterFault, Ended, Stopped):
        raise
    except Exception as error:
        if phase not in PHASES or PHASES.index(phase) < PHASES.index(case.detail["at"]):
            raise  # something else went wrong
        return Outcome(_judge(case, error, bench, unproved))
    finally:
        bench.forget()
    where = ", ".join(map(str, shapes))
    return Outcome.of(
        Verdict("accepted", message=f"nothing was raised; shapes that came out: {where}"), model
    )


def _twin_fault(case: Case, bench: Bench) -> str:
    """What goes wrong with the case without its fault; empty when it works."""
    twin = case.valid_twin
    if twin is None:
        return "the case has no valid twin"
    try:
        lengths = "lengths" in twin.detail
        verdict = (
            calls.with_lengths(twin, bench, padding=False) if lengths else calls.run(twin, bench).verdict
        )
    except (Unsupported, Ended, Stopped):
        raise
    except Exception as error:
        return describe_error(error)
    finally:
        bench.forget()
    return "" if verdict.verdict == "pass" else verdict.message


def _judge(case: Case, error: Exception, bench: Bench, unproved: str) -> Verdict:
    if not is_refusal(error):
        raise AdapterFault(f"the adapter itself raised, not the framework: {describe_error(error)}")
    if unproved:
        return Verdict("unproved", message=f"refused, but the valid twin does not work either: {unproved}")
    wanted = case.detail.get("message", "") if bench.adapter.is_keras else ""
    if wanted not in (error.text if isinstance(error, Refusal) else str(error)):
        return Verdict("refused", message=f"the message lacks {wanted!r}: {describe_error(error)}")
    return Verdict("pass", message=describe_error(error))
