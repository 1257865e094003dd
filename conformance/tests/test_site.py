"""The site: whole, without a way out, in its place at once; what changed from night to night; exports."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from commands import cli
from nights import night
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.reporting import exports, site
from rnn_conformance.reporting.changes import Changes, History
from rnn_conformance.reporting.headline import headline
from rnn_conformance.reporting.packed import code_of_z, safe_name
from rnn_conformance.reporting.prose import rendered
from rnn_conformance.results.database import Results
from rnn_fixtures.case import Case
from rnn_fixtures.locations import SPEC
from rnn_fixtures.store import Store, select_tier

HOSTILE = (
    "<script>alert(1)</script>]]><![CDATA[ \x1b[31mred \u202eltr \ud800 \x00 \"'`</style>{{ 7 * 7 }} "
    + "x" * 5000
)


@pytest.fixture(scope="module")
def few() -> list[Case]:
    smoke = [c for c in select_tier(Store(check=False).cases(), "smoke") if "float32" in c.dtypes]
    return [c for c in smoke if c.family in ("forward", "rejects")][:40]


class _Page(HTMLParser):
    """Elements that stay open, links, anchors, and scripts with a text of their own."""

    VOID = frozenset("meta link input br hr img".split())

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.links += [str(given[name]) for name in ("href", "src") if given.get(name)]
        self.inline |= tag == "script" and "src" not in given
        assert not any(name.startswith("on") for name in given), "no script in attributes"

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag


def pages(folder: Path) -> dict[str, _Page]:
    return {str(p.relative_to(folder)): _Page(p) for p in sorted(folder.rglob("*.html"))}


def chunk(folder: Path, name: str) -> Any:
    match = re.fullmatch(r'rnn\.take\("(.+)","(.+)"\)\n', (folder / f"data/{name}.js").read_text())
    assert match is not None
    assert match[1] == name
    return json.loads(gzip.decompress(base64.b64decode(match[2])))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, few: Sequence[Case]) -> Path:
    """A site of two implementations, whose texts are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    faults = {
        few[0].id: {"verdict": "value", "message": HOSTILE, "z": float("inf")},
        few[1].id: {"verdict": "unsupported", "message": HOSTILE},
        few[2].id: {"verdict": "crash", "message": "died"},
    }
    night(folder / "r", few, 1, version=HOSTILE[:200], framework=HOSTILE[:60], faults=faults)
    night(folder / "r", few, 1, adapter="../../x'\"&<b>:Class", dtype="float64")
    site.build([folder / "r"], folder / "site")
    return folder / "site"


def test_every_page_is_whole_and_every_link_leads_somewhere(built: Path) -> None:
    found = pages(built)
    assert {"index.html", "findings.html", "history.html", "spec/masks.html", "clauses/MASK-3.html"} <= set(
        found
    )
    for name, page in found.items():
        assert page.open == [], name
        assert len(set(page.ids)) == len(page.ids), name
        for link in page.links:
            if link.startswith(("https://", "data:,")):
                continue
            path, _, anchor = link.partition("#")
            target = (built / name).parent.joinpath(unquote(path)).resolve() if path else built / name
            assert target.is_file(), (name, link)
            if anchor and target.suffix == ".html" and target.name != "case.html" and "=" not in anchor:
                assert anchor in found[str(target.relative_to(built.resolve()))].ids, (name, link)
    # Only spec and findings link out, and nothing is loaded from elsewhere.
    text = "".join((built / name).read_text("utf-8") for name in found)
    assert not re.search(r'(?:src|<link[^>]*href)="(?:https?:)?//', text)


def test_hostile_texts_are_texts(built: Path) -> None:
    for path in built.rglob("*.html"):
        text = path.read_text("utf-8")
        assert "<script>alert" not in text, path
        assert "49" not in re.findall(r"style>(.{4})", text)
        assert "<b>:Class" not in text
    assert {name for name, page in pages(built).items() if page.inline} == {
        "shapes.html",
        "shapes-alone.html",
    }
    assert all(path.resolve().is_relative_to(built.resolve()) for path in built.rglob("*"))
    ElementTree.parse(built / "feed.xml")
    names = {entry["slug"] for entry in chunk(built, "implementations")}
    assert len(names) == 2
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9._+-]+", name)
        chunk(built, f"results-{name}")


def test_columns_hold_every_result(built: Path, few: Sequence[Case]) -> None:
    cases = chunk(built, "cases")
    ids = cases["ids"].split("\n")
    assert ids == sorted(c.id for c in few)
    by_id = {c.id: c for c in few}
    for k, case in enumerate(ids):
        assert [cases["clauses"][c] for c in cases["sets"][cases["set"][k]]] == list(by_id[case].clauses)
        assert cases["families"][cases["family"][k]] == by_id[case].family
        facts = chunk(built, f"case-{cases['buckets'][2 * k : 2 * k + 2]}")[case]
        assert facts["case"]["arguments"] == dict(by_id[case].arguments)
    first = chunk(built, f"results-{chunk(built, 'implementations')[1]['slug']}")
    place = ids.index(few[0].id)
    assert (first["codes"][place], first["z"][place]) == ("V", "~")
    assert first["details"][str(place)]["message"].startswith("<script>alert(1)</script>")
    assert first["codes"].count("u") == len(first["reason"]) == 1
    assert first["codes"].count("p") == len(ids) - 3


def test_a_site_replaces_a_site_and_nothing_else(
    tmp_path: Path, few: Sequence[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    night(tmp_path / "r", few, 1)
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years")
    with pytest.raises(ConfigurationError, match="no folder that a site was built in"):
        site.build([tmp_path / "r"], other)
    assert (other / "thesis.txt").read_text() == "years"
    out = tmp_path / "site"
    site.build([tmp_path / "r"], out)
    before = (out / "index.html").read_text("utf-8")
    monkeypatch.setattr(site._Site, "_data", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        site.build([tmp_path / "r"], out)
    assert (out / "index.html").read_text("utf-8") == before  # the old one is whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "r", "site"]


def test_three_nights(tmp_path: Path, few: Sequence[Case]) -> None:
    """A framework upgraded, one discrepancy planted, one mended, one value drifted, one backend missing."""
    folder = tmp_path / "history"
    broken = {few[3].id: {"verdict": "value", "message": "off", "z": 99.0}}
    planted = {few[5].id: {"verdict": "value", "message": "new", "z": 50.0}, few[7].id: {"z": 3.0}}
    for day, version, faults in ((1, "2.13.0", broken), (2, "2.13.0", broken), (3, "2.14.0", planted)):
        night(folder, few, day, version=version, faults=faults)
        night(folder, few, day, adapter="keras", version="3.15.1")
        if day < 3:
            night(folder, few, day, adapter="jax", version="0.12.8")
    history = History([folder])
    told = headline(history)
    assert told.text == (
        "Since 2026-03-02: 1 regressed (torch float32); 1 fixed (torch float32); torch went from 2.13.0 to 2.14.0."
    )
    assert told.notes == [
        "1 value drifted within the limit (torch float32).",
        "No data from jax float32 on cpu this time: its last results, 1 day old, are shown.",
    ]
    assert told.state == "bad"
    assert [view.run.version for view in history.current] == ["0.12.8", "3.15.1", "2.14.0"]
    (change,) = [c for c in history.changes if c.new.run.adapter == "torch"]
    assert [e.case for e in change.regressed] == [few[5].id]
    assert [e.case for e in change.fixed] == [few[3].id]
    assert [e.case for e in change.drifted] == [few[7].id]
    assert change.packages == {"torch": ("2.13.0", "2.14.0")}
    site.build([folder], tmp_path / "site")
    feed = ElementTree.parse(tmp_path / "site/feed.xml").getroot()
    titles = [e.findtext("{*}title") for e in feed.iterfind("{*}entry")]
    assert titles == [f"2026-03-03: {told.text[18:-1]}", "2026-03-02: no verdict changed"]
    page = (tmp_path / "site/history.html").read_text("utf-8")
    assert few[5].id in page
    assert page.count("<tr><td>2026-03-") == 8  # all nights of all
    column = chunk(tmp_path / "site", "results-torch-2.14.0-cpu-float32")
    assert sorted(column["changed"].values()) == ["V", "p"]


def test_another_revision_of_the_golden_data_is_not_compared(tmp_path: Path, few: Sequence[Case]) -> None:
    night(tmp_path, few, 1, fixtures="old", faults={few[0].id: {"verdict": "value"}})
    night(tmp_path, few, 2, fixtures="new")
    history = History([tmp_path])
    (change,) = history.changes
    assert not change.comparable
    assert not change
    assert headline(history).notes == ["The golden data changed: results of torch are not compared."]


def test_changes_of_every_kind(tmp_path: Path, few: Sequence[Case]) -> None:
    a, b, c, d, e, f = (case.id for case in few[:6])
    old = {
        b: {"verdict": "value"},
        c: {"verdict": "value", "known": "k"},
        d: {"verdict": "value"},
        e: {"verdict": "crash"},
    }
    new = {
        a: {"verdict": "unsupported"},
        c: {"verdict": "refused"},
        d: {"verdict": "value", "known": "k"},
        e: {"verdict": "timeout"},
    }
    night(tmp_path / "o", few[:10], 1, faults=old)
    night(tmp_path / "n", [*few[1:11], few[0]], 2, faults=new)
    (before,), (after,) = (History([tmp_path / k]).current for k in "on")
    change = Changes(before, after)
    assert {x.case for x in change.regressed} == {a, c}
    assert {x.case for x in change.fixed} == {b, d}
    assert {x.case for x in change.moved} == {e}
    assert f not in {x.case for x in (*change.regressed, *change.fixed, *change.moved)}
    assert {x.case for x in change.new_cases} == {few[10].id}
    assert change.gone == []


@pytest.mark.parametrize("nothing", ["no runs", "nothing run", "one night, all pass"])
def test_empty_states(tmp_path: Path, few: Sequence[Case], nothing: str) -> None:
    folder = tmp_path / "r"
    if nothing == "no runs":
        Results(folder, create=True).close()
    else:
        night(folder, few if "all" in nothing else [], 1)
    site.build([folder], tmp_path / "site")
    found = pages(tmp_path / "site")
    assert all(page.open == [] for page in found.values())
    text = (tmp_path / "site/index.html").read_text("utf-8")
    told = {
        "no runs": "No results yet.",
        "nothing run": "0 results of 1 implementation",
        "one night, all pass": "every discrepancy is declared",
    }
    assert told[nothing] in text
    assert "exports" not in exports.badge(History([folder]))["message"]


def test_exports(tmp_path: Path, few: Sequence[Case]) -> None:
    faults = {
        few[0].id: {"verdict": "value", "message": HOSTILE, "z": 1e9},
        few[1].id: {"verdict": "value", "known": "declared", "message": "k"},
        few[2].id: {"verdict": "unsupported", "message": "cannot"},
    }
    night(tmp_path, few, 1, faults=faults)
    history = History([tmp_path])
    data = json.loads("".join(exports.text_of(history, "json")))
    schema = json.loads((SPEC / "schemas/results.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(data)
    assert len(data["results"]) == len(few)

    suite = ElementTree.fromstring("".join(exports.text_of(history, "junit")))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (str(len(few)), "1", "2")
    assert len(suite.findall("testcase/failure")) == 1
    assert {e.get("message") for e in suite.findall("testcase/skipped")} == {"known: declared", "cannot"}

    rows = list(csv.DictReader(io.StringIO("".join(exports.text_of(history, "csv")))))
    assert [row["case"] for row in rows] == sorted(c.id for c in few)
    assert sum(row["verdict"] == "pass" for row in rows) == len(few) - 3

    text = "".join(exports.text_of(history, "markdown"))
    assert f"| {len(few) - 3} of {len(few) - 1} | 1 | 1 | 0 | 1 |" in text
    assert "<script>" not in text
    assert len(text) < 3000

    told = json.loads("".join(exports.text_of(history, "badge")))
    assert told["message"] == f"{len(few) - 3} of {len(few) - 1} pass, 1 unexpected"
    ElementTree.fromstring("".join(exports.text_of(history, "badge", "badge.svg")))


def test_parquet(tmp_path: Path, few: Sequence[Case]) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    night(tmp_path, few, 1, faults={few[0].id: {"verdict": "value", "z": float("inf"), "message": HOSTILE}})
    exports.write_parquet(History([tmp_path]), tmp_path / "r.parquet")
    table = pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert len(table) == len(few)
    assert {row["z"] for row in table} == {0.5, float("inf")}


def test_the_specification_is_rendered() -> None:
    html = rendered(
        "### X-1: a title\nas $x_t$ and MASK-3 in [masks](masks.md#MASK-3)", ["masks"], "../", {"MASK-3"}
    )
    assert '<h3 id="X-1" class="clause">' in html
    assert "<math" in html
    assert '<a href="../clauses/MASK-3.html">MASK-3</a>' in html
    assert '<a href="../spec/masks.html#MASK-3">masks</a>' in html
    assert "<script>" not in rendered("<script>alert(1)</script> `<b>`")


def test_names_of_files_are_distinct_and_safe() -> None:
    names = [
        "torch-2.13.0+cpu-cpu-float32",
        "../x",
        "..",
        "a/b",
        "a_b",
        "a b",
        "é",
        "x" * 300,
        "x" * 301,
        "",
        ".",
    ]
    made = [safe_name(name) for name in names]
    assert made[0] == names[0]
    assert len(set(made)) == len(made)
    assert all(
        re.fullmatch(r"[A-Za-z0-9._+-]+", name) and ".." not in name and len(name) < 100 for name in made
    )


def test_z_keeps_its_order() -> None:
    zs = [None, 0.0, 1e-9, 0.01, 0.5, 1.0, 7.0, 9.0, 1e3, 1e30, float("inf")]
    codes = [code_of_z(z) for z in zs]
    assert codes == sorted(codes)
    assert len(set(codes[2:9])) == 7


def test_earlier_nights_are_not_read(
    tmp_path: Path, few: Sequence[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year of nights costs what the last two do."""
    for day in range(1, 29):
        night(tmp_path, few[:5], day)
    read: list[str] = []
    records = Results.records
    monkeypatch.setattr(
        Results,
        "records",
        lambda self, run, where="": read.append(run.started[8:10]) or records(self, run, where),
    )
    site.build([tmp_path], tmp_path / "site")
    assert set(read) == {f"{day:02}" for day in range(28 - site.NIGHTS, 29)}
    page = (tmp_path / "site/history.html").read_text("utf-8")
    assert page.count("<td>2026-03-") == 28


def test_diff(tmp_path: Path, few: Sequence[Case]) -> None:
    bad = {few[2].id: {"verdict": "value", "message": "off", "z": 20.0}}
    night(tmp_path / "a", few, 1)
    night(tmp_path / "b", few, 2, version="2.14.0", faults=bad)
    night(tmp_path / "b", few, 2, adapter="keras")
    schema = json.loads((SPEC / "schemas/diff.schema.json").read_text("utf-8"))

    def diff(old: str, new: str, style: str = "json") -> subprocess.CompletedProcess[str]:
        return cli("diff", str(tmp_path / old), str(tmp_path / new), "--format", style)

    done = diff("a", "b")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schema).validate(found)
    assert found["summary"] == "1 regressed (torch float32); torch went from 2.13.0 to 2.14.0"
    assert found["only_in_new"] == ["keras cpu float32"]
    assert [c["case"] for c in found["implementations"][0]["regressed"]] == [few[2].id]
    assert diff("b", "a").returncode == 0
    assert f"regressed: {few[2].id}: pass -> value" in diff("a", "b", "pretty").stdout
    night(tmp_path / "c", few, 1, adapter="other")
    done = diff("a", "c")
    assert done.returncode == 2
    assert "no adapter, device, dtype and settings in common" in done.stderr
