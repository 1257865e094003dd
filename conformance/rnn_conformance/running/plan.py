"""The runs of an adapter, one for each dtype, and what is left to do for each."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rnn_fixtures.case import Case

from rnn_conformance.contract.adapter import Description
from rnn_conformance.judging import differences
from rnn_conformance.results.database import Results
from rnn_conformance.results.run import Run, new_run
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.options import Options
from rnn_conformance.running.tasks import Shard, Task, ids, tasks
from rnn_conformance.selection import compile_selection


@dataclass
class Job:
    """A run, and what there is to do for it.

    Attributes
    ----------
    lost : list of Task
        Those that were handed to a process that died.
    """

    run: Run
    tasks: Iterator[Task]
    declared: Sequence[differences.Known]
    lost: list[Task] = field(default_factory=list)
    given_up: int = 0


def _environment(what: Description) -> dict[str, object]:
    can = what.capabilities
    return {
        "capabilities": None if can is None else can.to_json(),
        "packages": dict(what.packages),
        "notes": list(what.notes),
        "settings": dict(what.settings),
        "changed": sorted(name for name, value in what.settings.items() if value != what.offered[name][0]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
    }


def planned(
    results: Results,
    ref: AdapterRef,
    what: Description,
    declared: Sequence[differences.Known],
    options: Options,
) -> tuple[list[Job], int]:
    """The runs of an adapter, one per dtype, with what is still to do, and how many records that will give."""
    plan, total = [], 0
    matches = compile_selection(options.selection) if options.selection else lambda case, dtype: True
    full = options.full or {}
    shard = Shard.of(options.shard)
    for dtype in options.dtypes:
        cases = [c for c in options.cases if dtype in c.dtypes and matches(c, dtype)]
        run = new_run(
            fixtures=options.fixtures,
            tier=options.tier,
            selection=options.selection,
            shard=options.shard,
            adapter=ref.name,
            framework=what.framework,
            version=what.version,
            device=options.device,
            dtype=dtype,
            selected=len(cases) + full.get(dtype, 0),
            environment=_environment(what),
            declared=[dict(vars(known)) for known in declared],
        )
        done: frozenset[int] = frozenset()
        if not options.resume:
            results.start(run)
        else:
            earlier = results.resumable(run)
            if earlier is None:
                results.start(run, _ids(cases, shard, options, dtype))
            run = earlier or run
            done = frozenset(map(hash, results.done(run)))
            cases = [c for c in cases if hash(c.id) not in done]
        total += run.selected - len(done)
        left = tasks(
            cases,
            options.data,
            shard.parts(options.selection) if full.get(dtype) else (),
            options.selection,
            done,
        )
        plan.append(Job(run, left, declared))
    return plan, total


def _ids(cases: Sequence[Case], shard: Shard, options: Options, dtype: str) -> Iterator[str]:
    """Of all cases that a run selects."""
    yield from (case.id for case in cases)
    if (options.full or {}).get(dtype):
        for part in shard.parts(options.selection):
            yield from ids(part, options.data, dtype, options.selection)
