"""Family ``rejects``: the framework must raise, and not before the case says (ERR-1)."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path

import numpy as np
from rnn_fixtures.case import Case

import rnn_conformance
from rnn_conformance.adapters.base import Refused, Unsupported
from rnn_conformance.bench import Bench
from rnn_conformance.families.outcome import Outcome, ProtocolError, checked, describe_error
from rnn_conformance.verdict import Verdict

PHASES = ("build", "weights", "call")
SUITE = Path(inspect.getfile(rnn_conformance)).parent
NUMPY = Path(inspect.getfile(np)).parent


def run(case: Case, bench: Bench) -> Outcome:
    """Build, set weights, call: one of these must raise, and the one named in the case or a later one."""
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
    except (Unsupported, ProtocolError):
        raise
    except Exception as error:
        if phase not in PHASES or PHASES.index(phase) < PHASES.index(case.detail["at"]):
            raise  # something else went wrong
        return Outcome(_judge(case, error, type(bench.adapter)))
    finally:
        bench.forget()
    where = ", ".join(map(str, shapes))
    return Outcome.of(
        Verdict("accepted", message=f"nothing was raised; shapes that came out: {where}"), model
    )


def _judge(case: Case, error: Exception, adapter: type) -> Verdict:
    if not isinstance(error, Refused) and not _is_framework_s(error, adapter):
        raise ProtocolError(f"the adapter itself raised, not the framework: {describe_error(error)}")
    wanted = case.detail.get("message", "")
    if wanted not in str(error):
        return Verdict("refused", message=f"the message lacks {wanted!r}: {describe_error(error)}")
    return Verdict("pass", message=describe_error(error))


def _is_framework_s(error: Exception, adapter: type) -> bool:
    """Whether code outside the suite, the adapter's own file and NumPy was running when the error was raised."""
    if isinstance(error, TypeError) and "__init__() got" in str(error):
        return True  # Python's own, for the framework's constructor
    own = Path(inspect.getfile(adapter))
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    return any(f != own and not f.is_relative_to(SUITE) and not f.is_relative_to(NUMPY) for f in files)
