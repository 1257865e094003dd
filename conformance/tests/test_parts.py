"""Selections, known differences, results on disk, composition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from packaging.specifiers import SpecifierSet
from rnn_conformance.contract.adapter import Description
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.explaining.reproductions import shows
from rnn_conformance.judging import differences
from rnn_conformance.judging.verdict import FAULTY
from rnn_conformance.results.record import Record
from rnn_conformance.running.composition import pack
from rnn_conformance.running.registry import installed, resolve
from rnn_conformance.selection import compile_selection, may_match
from rnn_fixtures import selection
from rnn_fixtures.case import Case
from rnn_fixtures.domain import clauses
from rnn_fixtures.store import Store


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(Store().cases())


@pytest.mark.parametrize(
    ("expression", "test"),
    [
        ("lstm", lambda c: c.layer == "LSTM"),
        ("layer=GRU and reset_after=false", lambda c: c.argument("reset_after") is False),
        ("mask=right or mask=left", lambda c: c.argument("mask") in ("right", "left")),
        ("not unroll=true", lambda c: not c.argument("unroll")),
        ("activation=hard_*", lambda c: c.argument("activation").startswith("hard_")),
        ("MASK-4", lambda c: "MASK-4" in c.clauses),
        ("clause=MASK-4 and (tier=smoke)", lambda c: "MASK-4" in c.clauses and c.tier == "smoke"),
        ("claim=reset_after", lambda c: "reset_after" in c.claims),
        ("dtype=float32", lambda c: True),
        ("dtype=float16", lambda c: False),
        ("reset_after=true and lstm", lambda c: False),
    ],
)
def test_selection(cases: list[Case], expression: str, test: Any) -> None:
    matches = compile_selection(expression)
    assert [c.id for c in cases if matches(c, "float32")] == [c.id for c in cases if test(c)]


@pytest.mark.parametrize(
    "expression",
    [
        "lstm and",
        "(mask=right",
        "a b",
        "not",
        "not activaton=relu",
        "(" * 5000 + "lstm" + ")" * 5000,
        "not " * 5000 + "lstm",
    ],
)
def test_bad_selection(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="the selection"):
        compile_selection(expression)


# -- known differences ---------------------------------------------------------------------------


PLUGINS = Path(__file__).parents[2] / "plugins"
DECLARING = {
    **{n: ref.folder for n, ref in installed().items() if n != "numpy" and ref.folder},
    **{f"plugins/{path.relative_to(PLUGINS).parts[0]}": path.parent for path in PLUGINS.rglob("known.toml")},
}


@pytest.mark.parametrize("name", DECLARING)
def test_declarations_are_complete(name: str, cases: list[Case]) -> None:
    folder = DECLARING[name]
    entries = differences.declarations(folder)
    assert entries
    assert len({e.id for e in entries}) == len(entries)
    for entry in entries:
        assert entry.clause in clauses()
        assert entry.verdict in FAULTY
        assert entry.reason
        SpecifierSet(entry.versions)
        assert any(entry.applies(c, d) for c in cases for d in c.dtypes), f"{entry.id} matches no case"
        repro = differences.kept_script(folder, entry.id)
        assert repro is not None, f"{entry.id} has no script"
        text = repro.read_text("utf-8")
        assert "rnn_" not in text, "a reproduction stands alone"
        assert ("process.exit(" if repro.suffix == ".mjs" else "sys.exit(") in text
    assert {path.stem for path in (folder / differences.REPROS).glob("*.*")} <= {e.id for e in entries}


@pytest.mark.parametrize("name", sorted(path.name for path in PLUGINS.iterdir() if path.is_dir()))
def test_a_plugin_is_a_package_of_its_own(name: str) -> None:
    folder = PLUGINS / name
    for file in ("README.md", "tox.ini", "tests/test_smoke.py"):
        assert (folder / file).is_file(), f"plugins/{name} has no {file}"
    assert f"[{name}]({name}/)" in (PLUGINS / "README.md").read_text("utf-8")
    assert (folder / "pyproject.toml").is_file() or (folder / "package.json").is_file()


@pytest.mark.parametrize("adapter", [n for n in installed() if n != "numpy"])
def test_the_page_of_findings_has_every_declaration(adapter: str) -> None:
    """docs/findings.md is written by ``report --export findings``, after runs of all tiers that a declaration needs."""
    text = (Path(__file__).parents[2] / "docs/findings.md").read_text("utf-8")
    own = text.partition(f"\n## {adapter}\n")[2].partition("\n## ")[0]
    declared = [e.id for e in differences.declarations(installed()[adapter].folder)]
    assert [name for name in declared if f"\n### {name}\n" not in own] == []


def entry(**fields: str) -> differences.Known:
    return differences.Known(
        **{"id": "k", "select": "mask=right", "verdict": "value", "clause": "MASK-3", "reason": "r"} | fields
    )


def test_known_stale_and_unexpected(cases: list[Case]) -> None:
    case = next(c for c in cases if c.argument("mask") == "right")
    other = next(c for c in cases if c.argument("mask") == "left")
    for verdict, which, expected, unexpected in (
        ("value", case, ("value", "k"), False),
        ("value", other, ("value", None), True),
        ("shape", case, ("shape", None), True),
        ("pass", case, ("stale", "k"), True),
        ("pass", other, ("pass", None), False),
        ("unsupported", case, ("unsupported", None), False),
    ):
        record = Record.failure(which, verdict, "")
        differences.apply(record, which, "float32", [entry()])
        assert (record.verdict, record.known) == expected
        assert differences.is_unexpected(record.verdict, record.known) is unexpected


def test_a_difference_below_the_resolution_may_pass(cases: list[Case]) -> None:
    case = next(c for c in cases if c.argument("mask") == "right")
    for dtype, expected in (("bfloat16", "pass"), ("float32", "stale")):
        record = Record.failure(case, "pass", "")
        differences.apply(record, case, dtype, [entry(may_pass="dtype=bfloat16")])
        assert record.verdict == expected


def test_declarations_hold_for_versions(tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text(
        '[[known]]\nid="k"\nselect="lstm"\nverdict="value"\nclause="MASK-3"\nreason="r"\nversions="<3.16"\n'
    )
    assert len(differences.load(tmp_path, "x", described("3.15.1"), "cpu")) == 1
    assert differences.load(tmp_path, "x", described("3.16.0"), "cpu") == []
    assert differences.load(tmp_path / "absent", "x", described("1"), "cpu") == []
    assert differences.load(None, "x", described("1"), "cpu") == []


def described(version: str, **packages: str) -> Description:
    return Description("f", version, ["cpu", "cuda:0"], {}, packages)


def test_declarations_hold_for_devices_and_packages() -> None:
    cuda = entry(devices="cuda*")
    assert cuda.concerns(described("1"), "cuda:0")
    assert not cuda.concerns(described("1"), "cpu")
    newer = differences.Known("k", "lstm", "value", "MASK-3", "r", packages={"jax": ">=0.11"})
    assert newer.concerns(described("1", jax="0.11.2"), "cpu")
    assert not newer.concerns(described("1", jax="0.10.2"), "cpu")
    assert not newer.concerns(described("1"), "cpu")
    assert newer.concerns(described("1", jax="built here"), "cpu")


# -- composition and registry --------------------------------------------------------------------


@given(hnp.arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 6))), st.booleans())
def test_unpacking_a_running_count(mask: np.ndarray, zero: bool) -> None:
    """The k-th valid step of a row outputs k: masked steps repeat or are zero (MASK-3 to MASK-5)."""
    steps = np.broadcast_to(np.arange(mask.shape[1])[None, :, None], (*mask.shape, 1))
    packed = pack(steps, mask)
    counted = np.broadcast_to(np.arange(1, mask.shape[1] + 1)[None, :, None], (*mask.shape, 1))
    inside = np.arange(mask.shape[1])[None, :] < packed.lengths[:, None]
    framework = np.where(inside[..., None], counted, 0)  # frameworks pad with zeros
    outputs = packed.unpack(framework, zero_output_for_mask=zero)[..., 0]
    for row in range(len(mask)):
        assert packed.inputs[row, : packed.lengths[row], 0].tolist() == np.flatnonzero(mask[row]).tolist()
        expected = np.cumsum(mask[row])
        assert outputs[row].tolist() == (expected * mask[row] if zero else expected).tolist()


def test_registry() -> None:
    assert {"numpy", "keras", "tf-keras", "torch", "jax", "onnxruntime"} <= set(installed())
    assert resolve("my.module:Class").target == "my.module:Class"
    assert resolve("folder/my.py:Class").target == "folder/my.py:Class"
    assert resolve("cmd:program -x").target == "cmd:program -x"
    for bad in ("pytorch", "cmd:", ":x", "x:"):
        with pytest.raises(ConfigurationError):
            resolve(bad)


# -- programs ------------------------------------------------------------------------------------


def test_a_program_has_a_name_and_a_folder(tmp_path: Path) -> None:
    script = tmp_path / "my program.mjs"
    script.touch()
    ref = resolve(f"mine=cmd:node '{script}' --fast")
    assert (ref.name, ref.target) == ("mine", f"cmd:node '{script}' --fast")
    assert ref.folder is None  # nothing is declared there
    (tmp_path / "known.toml").touch()
    assert ref.folder == tmp_path
    assert resolve(f"cmd:python -c '{'x' * 5000}'").folder is None
    for wrong, told in (
        ("cmd:python it's", "No closing quotation"),
        ("numpy=cmd:./mine", "is declared here already"),
        ("mine=cmd:", "needs a program"),
        ("mine=nothing", "unknown adapter"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            resolve(wrong)


def test_scripts_in_any_language(tmp_path: Path) -> None:
    folder = tmp_path / "repros"
    folder.mkdir()
    (folder / "late.md").write_text("no script")
    (folder / "late.sh").write_text("ls adapter.sh && exit 1")
    (folder / "broken.py").write_text("import nothing_of_this_name")
    (tmp_path / "adapter.sh").touch()
    kept = differences.kept_script(tmp_path, "late")
    assert kept == folder / "late.sh"
    assert shows(kept, tmp_path)[0]
    assert shows(folder / "broken.py") == (
        False,
        shows(folder / "broken.py")[1],
    )  # it never came to its point
    assert differences.kept_script(tmp_path, "absent") is None


@given(st.data())
def test_what_may_not_match_does_not(data: st.DataObject) -> None:
    terms = st.sampled_from(["layer=LSTM", "mask=right", "unroll=true", "mask=*t", "gru", "clause=MASK-1"])
    expression = data.draw(
        st.recursive(
            terms,
            lambda inner: st.one_of(
                inner.map(lambda a: f"not ({a})"),
                st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
                    lambda t: f"({t[0]}) {t[1]} ({t[2]})"
                ),
            ),
            max_leaves=6,
        )
    )
    values = {
        "layer": data.draw(st.sampled_from(["LSTM", "GRU"])),
        "mask": data.draw(st.sampled_from(["right", "left", "none"])),
        "unroll": data.draw(st.sampled_from(["true", "false"])),
        "clause": data.draw(st.sampled_from(["MASK-1", "MASK-2"])),
    }
    parsed = selection.parse(expression)
    holds = parsed.holds(lambda key: (values[key],), lambda word: word in values["layer"].lower())
    known = {name: values[name] for name in data.draw(st.sets(st.sampled_from(sorted(values))))}
    may = may_match(expression, known)
    assert may or not holds
    if known == values and "gru" not in expression:
        assert may == holds
