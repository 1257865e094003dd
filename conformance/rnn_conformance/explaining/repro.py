"""Stand-alone scripts that show one discrepancy: the framework and NumPy only, literal data, expected values with their equations.

The case is made small first (`rnn_conformance.explaining.shrink`), the framework itself saying at every step whether the discrepancy is still there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from rnn_fixtures.case import Case
from rnn_fixtures.domain import clauses
from rnn_fixtures.locations import DATA
from rnn_fixtures.precision import LIMIT, UNIT
from rnn_fixtures.scenario import NoOracle, Scenario, scenario_of
from rnn_fixtures.store import Arrays, Store
from rnn_reference.shapes import state_names

from rnn_conformance.contract.adapter import Script
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.explaining.diagnosis import Diagnosis
from rnn_conformance.explaining.explain import explained
from rnn_conformance.explaining.shrink import BUDGET, needed, shrink
from rnn_conformance.judging import differences
from rnn_conformance.judging.bench import Bench, layer_spec
from rnn_conformance.judging.verdict import FAILURES, FAULTY, smallest_normal
from rnn_conformance.proving.variants import has_variant, variant_of
from rnn_conformance.results.record import Record
from rnn_conformance.running.adapter_ref import AdapterRef
from rnn_conformance.running.session import clean
from rnn_conformance.running.worker import adapter, run_case

# Arguments that templates ask about.
FLAGS = ("return_sequences", "return_state", "time_major", "go_backwards", "unroll", "zero_output_for_mask")
# In the folder of an adapter's module.
TEMPLATE = "script.py.j2"


@dataclass(frozen=True)
class Repro:
    """What became of asking for a reproduction.

    Attributes
    ----------
    record : Record
        Of the case as it is, before anything is made smaller.
    script : str
        Empty where there is no discrepancy.
    kept : bool
        Whether the script is the one kept with the difference that the record names.
    needed : list of str
        What the layer and its calls must ask for beyond the defaults, found by taking away all else.
    """

    record: Record
    script: str = ""
    kept: bool = False
    needed: list[str] = field(default_factory=list)


def reproduce(
    ref: AdapterRef,
    case: Case,
    data: Path,
    dtype: str,
    device: str,
    *,
    fresh: bool = False,
    stored: Record | None = None,
) -> Repro:
    """Run a case, make it small, write the script. One that ends the adapter's process, or does not end, is written down as it is.

    Parameters
    ----------
    fresh : bool
        Write a new script also where one is kept with a declared difference.
    stored : Record, optional
        Of the case, explained, where it has been run before.
    """
    offered = adapter(ref).describe().devices
    if device not in offered:
        raise ConfigurationError(f"{ref.name} has no device {device!r} here, only {', '.join(offered)}")
    store = Store(data, check=False)
    record = _record(ref, case, store, dtype, device) if stored is None else stored
    if record.verdict not in FAULTY:
        return Repro(record)
    kept = None if fresh else differences.kept_script(ref.folder, record.known)
    if kept is not None:
        return Repro(record, kept.read_text("utf-8"), kept=True)
    scenario = None if record.verdict in FAILURES else scenario_of(case, store)
    if scenario is not None:
        still = Persistence(ref, dtype, device, record.verdict)
        if still(scenario):  # otherwise it takes more than the calls
            small = shrink(scenario, still, BUDGET)
            terms = needed(small, still)
            return Repro(record, script_of(ref, small, dtype, device, record, terms), needed=terms)
    return Repro(record, _through_adapter(ref, case.id, None, dtype, device, record, ()))


def _record(ref: AdapterRef, case: Case, store: Store, dtype: str, device: str) -> Record:
    """What comes of the case now."""
    record = run_case(Bench(adapter(ref), store, dtype, device), case)
    explained(record, case, Diagnosis(store, dtype))
    differences.apply(
        record, case, dtype, differences.load(ref.folder, ref.name, adapter(ref).describe(), device)
    )
    return record


@dataclass(frozen=True)
class Persistence:
    """Whether a scenario still shows a verdict on an adapter."""

    ref: AdapterRef
    dtype: str
    device: str
    verdict: str

    def __call__(self, candidate: Scenario) -> bool:
        try:
            case, memory = candidate.to_case()
        except NoOracle:
            return False
        bench = Bench(adapter(self.ref), memory, self.dtype, self.device)
        return self.dtype in case.dtypes and run_case(bench, case).verdict == self.verdict


def rerun(name: str, target: str, case_id: str, dtype: str, device: str, data: Path = DATA) -> Record:
    """Run one case of the golden data on an adapter."""
    store = Store(data, check=False)
    case = next(c for c in store.cases() if c.id == case_id)
    return run_case(Bench(adapter(AdapterRef(name, target)), store, dtype, device), case)


def rerun_scenario(name: str, target: str, scenario: Scenario, dtype: str, device: str) -> Record:
    """Run a scenario on an adapter."""
    case, memory = scenario.to_case()
    return run_case(Bench(adapter(AdapterRef(name, target)), memory, dtype, device), case)


def _doc(text: object) -> str:
    """Text from outside within a docstring: it stays text."""
    return " ".join(clean(text).split()).replace("\\", "\\\\").replace('"', '\\"')


def _environment(folder: Path | None) -> Environment:
    own = [] if folder is None else [FileSystemLoader(folder)]
    shared = [PackageLoader("rnn_conformance", place) for place in ("explaining/templates", "adapters")]
    made = Environment(
        loader=ChoiceLoader([*own, *shared]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Python, not HTML
    )
    made.filters |= {"doc": _doc, "literal": lambda text: repr(str(text))}
    return made


def _rendered(template: str, folder: Path | None = None, **values: Any) -> str:
    text = _environment(folder).get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).replace('"""\n\nimport', '"""\n\nimport').lstrip()


def _lines(case_id: str, record: Record, terms: Sequence[str]) -> list[str]:
    lines = [f"Found by the case {case_id}", f"of rnn-conformance, as {record.verdict}."]
    if terms:
        lines.append(f"It takes: {', '.join(terms)}.")
    if record.agrees_with and has_variant(record.agrees_with[0]):
        variant = variant_of(record.agrees_with[0])
        lines.append(f"The results are those of an implementation that {variant.summary}.")
        lines.append(_titled(variant.clause))
    elif record.clause:
        lines.append(_titled(record.clause))
    return lines


def _titled(clause: str) -> str:
    known = clauses().get(clause)  # results of another version may name others
    return f"{clause}: {known['title']}." if known else f"{clause}."


def _through_adapter(
    ref: AdapterRef,
    case_id: str,
    scenario: Scenario | None,
    dtype: str,
    device: str,
    record: Record,
    terms: Sequence[str],
) -> str:
    """A script that runs a case of the golden data, or a scenario, through the adapter."""
    return _rendered(
        "adapter.py.j2",
        title=f"{ref.name}: {record.verdict} in {case_id}",
        lines=[*_lines(case_id, record, terms), record.message],
        adapter=ref.name,
        target=ref.target,
        case=case_id,
        scenario=None if scenario is None else _spelled(scenario),
        dtype=dtype,
        device=device,
    )


def _spelled(scenario: Scenario) -> dict[str, Any]:
    """The fields of a scenario as a script writes them."""

    def exact(array: np.ndarray | None) -> str:
        return (
            "None" if array is None else literal(array if array.dtype == bool else array.astype(np.float64))
        )

    return {
        "layer": scenario.layer,
        "arguments": dict(scenario.arguments),
        "weights": {name: exact(array) for name, array in scenario.weights.items()},
        "calls": [
            {name: exact(getattr(c, name)) for name in ("inputs", "mask", "initial_state")}
            | {"reset": c.reset}
            for c in scenario.calls
        ],
        "cotangents": {name: exact(array) for name, array in scenario.cotangents.items()},
    }


def literal(array: np.ndarray, dtype: str = "") -> str:
    """An array as a script writes it."""

    def written(item: Any) -> str:
        if isinstance(item, list):
            return f"[{', '.join(written(i) for i in item)}]"
        if isinstance(item, bool) or np.isfinite(item):
            return repr(item)
        return {"nan": "np.nan", "inf": "np.inf"}.get(str(item), "-np.inf")

    if array.size == 0:
        return f"np.zeros({array.shape}{', ' + dtype if dtype else ''})"
    kind = "bool" if array.dtype == bool else ""
    suffix = ", " + (dtype or kind) if dtype or kind else ""
    return f"np.array({written(array.tolist())}{suffix})"


def _equations(scenario: Scenario) -> list[str]:
    """The recurrence that the expected values follow, in comments."""
    row = scenario.row
    phi, sigma = (str(row[name]) for name in ("activation", "recurrent_activation"))
    bias = " + b" if "bias" in scenario.weights else ""
    if scenario.layer == "LSTM":
        found = [
            f"z = x W + h R{bias}; i, f, g, o are its four blocks, in this order (WEIGHT-2)",
            f"c = {sigma}(f) c + {sigma}(i) {phi}(g); h = {sigma}(o) {phi}(c)",
        ]
    else:
        two = " + b[0]" if bias and row["reset_after"] else bias
        second = " + b[1]" if bias and row["reset_after"] else ""
        state = f"r (h R_h{' + b[1]_h' if second else ''})" if row["reset_after"] else "(r h) R_h"
        found = [
            f"p = x W{two}; z and r are {sigma} of the first two blocks of p + h R{second} (WEIGHT-3)",
            f"h = z h + (1 - z) {phi}(p_h + {state})",
        ]
    if any(c.mask is not None for c in scenario.calls):
        masked = "zeros" if row["zero_output_for_mask"] else "the output before"
        found.append(
            f"Where the mask is false, states stay as they are and the output is {masked} (MASK-2, MASK-3)"
        )
    if row["go_backwards"]:
        found.append(
            "go_backwards: steps are taken from the last to the first; outputs stay in that order (DIR-2)"
        )
    return [*found, f"h{' and c' if scenario.layer == 'LSTM' else ''} start from zeros where not given"]


def script_of(
    ref: AdapterRef, scenario: Scenario, dtype: str, device: str, record: Record, terms: Sequence[str]
) -> str:
    """The script of a scenario: the framework alone, or through the adapter where that has no template for it."""
    script = stand_alone(ref, scenario, dtype, device, record, terms)
    return script or _through_adapter(ref, scenario.about, scenario, dtype, device, record, terms)


def stand_alone(
    ref: AdapterRef, scenario: Scenario, dtype: str, device: str, record: Record, terms: Sequence[str]
) -> str | None:
    """The script of a scenario through the adapter's template; None when it has none for it."""
    case, memory = scenario.to_case()
    spec = layer_spec(case, dtype, device)
    weights = {name: array.astype(np.float64) for name, array in scenario.weights.items()}
    # The template and its values are Python, as the adapter is, which has run here.
    has_template = ref.folder is not None and (ref.folder / TEMPLATE).is_file()
    script: Script | None = adapter(ref).script(spec, weights) if has_template and device == "cpu" else None
    if script is None or (scenario.cotangents and not script.gradients):
        return None
    what = adapter(ref).describe()
    kind = "np.float64" if dtype == "float64" else "np.float32"
    data: dict[str, str] = {}
    for name, array in script.arrays.items():
        data[name.replace(".", "_")] = literal(np.asarray(array, np.float64), kind)
    for name, array in scenario.cotangents.items():
        swap = name == "output" and scenario.row["time_major"] and array.ndim == 3
        data[f"cotangent_{name}"] = literal(
            (array.swapaxes(0, 1) if swap else array).astype(np.float64), kind
        )
    calls = []
    for number, call in enumerate(scenario.calls, start=1):
        suffix = "" if len(scenario.calls) == 1 else f"_{number}"
        data[f"x{suffix}"] = literal(call.inputs.astype(np.float64), kind)
        if call.mask is not None:
            data[f"mask{suffix}_given"] = literal(call.mask)
        states = []
        for name, state in zip(
            state_names(scenario.layer),
            () if call.initial_state is None else call.initial_state,
            strict=False,
        ):
            data[f"{name}{suffix}"] = literal(state.astype(np.float64), kind)
            states.append(f"{name}{suffix}")
        calls.append(
            {
                "inputs": f"x{suffix}",
                "mask": f"mask{suffix}_given" if call.mask is not None else None,
                "states": states,
                "reset": call.reset,
            }
        )
    row = scenario.row
    return _rendered(
        TEMPLATE,
        ref.folder,
        title=f"{what.framework} {what.version}, {scenario.layer} in {dtype}: {_problem(record)}.",
        lines=_lines(scenario.about, record, terms),
        equations=_equations(scenario),
        data=data,
        expected=_expected(case, memory, dtype),
        framework=what.framework,
        version=f"{what.framework}.__version__" if what.framework.isidentifier() else repr(what.version),
        layer=scenario.layer,
        units=scenario.size.U,
        dtype=dtype,
        weights=[name.replace(".", "_") for name in script.arrays],
        cotangents=[f"cotangent_{name}" for name in scenario.cotangents],
        gradients=bool(scenario.cotangents),
        losses=any(name == "losses" for call in case.calls for name in call.expected),
        calls=calls,
        any_mask=any(c.mask is not None for c in scenario.calls),
        any_state=any(c.initial_state is not None for c in scenario.calls) or len(calls) > 1,
        use_bias="bias" in scenario.weights,
        stateful=bool(row.get("stateful", False)),
        **{name: bool(row[name]) for name in FLAGS},
        **{name: getattr(scenario.size, name) for name in "TBF"},
        **script.values,
    )


def _problem(record: Record) -> str:
    return {
        "value": "wrong values",
        "shape": "wrong shapes",
        "dtype": "a wrong dtype",
        "refused": "an error where it should work",
        "nondeterministic": "other values at every call",
    }.get(record.verdict, record.verdict)


def _expected(case: Case, memory: Arrays, dtype: str) -> list[tuple[str, str, str]]:
    """Name, value and allowance of everything that the calls return, as a script writes them."""
    found = []
    for number, call in enumerate(case.calls, start=1):
        for name, ref in call.expected.items():
            golden = memory.expected(ref)
            s = np.nan_to_num(golden.sensitivity.astype(np.float64))
            allowed = np.where(s > 0, LIMIT * (UNIT[dtype] * s + smallest_normal(dtype)), 0.0)
            short = np.vectorize(lambda x: float(f"{x * 1.005:.2e}"), otypes=[float])(allowed)
            label = name if len(case.calls) == 1 else f"call {number} {name}"
            found.append((label, literal(golden.value), literal(short)))
    return found
