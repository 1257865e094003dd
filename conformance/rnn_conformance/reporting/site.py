"""The site: static pages that open from disk, built beside the old ones and put into their place when they are whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from rnn_fixtures.domain import domain, written_clauses
from rnn_fixtures.locations import SPEC
from rnn_fixtures.store import Store

from rnn_conformance import __version__
from rnn_conformance.cases import Cases
from rnn_conformance.errors import ConfigurationError
from rnn_conformance.profiles import profiles, standing
from rnn_conformance.reporting import arguments, matrix
from rnn_conformance.reporting.changes import Changes, History
from rnn_conformance.reporting.data import USUAL, data_files
from rnn_conformance.reporting.explainer import knowledge
from rnn_conformance.reporting.headline import headline, sentence, spelled_age
from rnn_conformance.reporting.packed import CODES
from rnn_conformance.reporting.pictures import trend, z_histogram
from rnn_conformance.reporting.prose import rendered
from rnn_conformance.reporting.views import View, grouped
from rnn_conformance.results.run import now

NAVIGATION = (
    ("results", "index.html", "Results"),
    ("findings", "findings.html", "Findings"),
    ("implementations", "implementations.html", "Implementations"),
    ("arguments", "arguments.html", "Arguments"),
    ("spec", "spec/index.html", "Specification"),
    ("guide", "spec/guide.html", "Guide"),
    ("shapes", "shapes.html", "Shapes"),
    ("history", "history.html", "History"),
)
# A site has it, so that no other folder is ever replaced by one.
MARK = "rnn-conformance-site"
# Nights further back than these are listed without what changed in them.
NIGHTS = 7


def build(folders: Sequence[Path], out: Path) -> History:
    """Build the site of some results directories, or folders of such.

    Raises
    ------
    ConfigurationError
        When the target is a folder that is not empty and no site.
    """
    if out.exists() and not (out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir()))):
        raise ConfigurationError(
            f"{out} is no folder that a site was built in before: choose another --out, or remove it"
        )
    history = History(folders)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        site = _Site(history)
        for name, text in site.files():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # Results may hold half of a surrogate pair, which no file can.
            path.write_text(text, "utf-8", errors="replace")
        made.chmod(0o755)
        _put(made, out)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return history


def _put(made: Path, out: Path) -> None:
    """In place of what is there, which goes only when the new one has come."""
    old = None
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
        os.replace(out, old / "site")
    os.replace(made, out)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _state(shown: str) -> str:
    """The class of a verdict's badge."""
    code = CODES[shown]
    return {"p": "good", "c": "good", "u": "unsupported", "k": "known"}.get(code, "bad")


def _coded(counts: Counter[str]) -> str:
    return json.dumps({CODES[shown]: count for shown, count in counts.items()}, separators=(",", ":"))


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return [(shown, counts[shown]) for shown in CODES if counts[shown]]


def _address(case: str) -> str:
    return quote(case.encode("utf-8", "replace"), safe="/=,")


class _Site:
    """All files of a site, from a history."""

    def __init__(self, history: History) -> None:
        self.history, self.views = history, history.current
        # Of this installation: results of other golden data are shown without.
        self._known = Cases(Store(check=False))
        self.cases = self._known.stored
        self._findings = {view.slug: view.findings(self.cases) for view in self.views}
        self._environment = Environment(
            loader=PackageLoader("rnn_conformance", "reporting/templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(state=_state, coded=_coded, ordered=_ordered, address=_address)
        self._clauses = written_clauses()  # those that have a page
        self._made = now()

    def files(self) -> Iterator[tuple[str, str]]:
        """Name and text of every file."""
        yield MARK, f"{__version__} {self._made}\n"
        for entry in _static().iterdir():
            yield f"assets/{entry.name}", entry.read_text("utf-8")
        yield from self._pages()
        yield from self._shape_pages()
        yield from self._clause_pages()
        yield from self._spec_pages()
        yield from self._implementation_pages()
        yield from self._data()

    def _page(self, template: str, here: str, root: str = "", **fields: Any) -> str:
        return self._environment.get_template(template).render(
            here=here, root=root, version=__version__, made=self._made, navigation=NAVIGATION, **fields
        )

    @cached_property
    def _ages(self) -> dict[str, str]:
        return {view.slug: spelled_age(self.history.age(view)) for view in self.views}

    @cached_property
    def _topics(self) -> dict[str, list[matrix.Row]]:
        return matrix.rows(self.views)

    @cached_property
    def _arguments(self) -> list[dict[str, Any]]:
        """The table of arguments, with a cell for each view."""
        rows = []
        for item in arguments.listed(domain(), list(self.cases.values())):
            cells = [arguments.cell(item, v.run.dtype, v.columns) for v in self.views]
            # A reason that an adapter's neighbouring columns have in common is told once; counts are each column's own.
            said = [
                (view.newest.adapter, cell.text, number * cell.is_counted)
                for number, (view, cell) in enumerate(zip(self.views, cells, strict=True))
            ]
            rows.append(
                {
                    "name": item.name,
                    "clauses": item.clauses,
                    "cases": len(item.cases),
                    "cells": cells,
                    "spans": [(text, len([*same])) for (_, text, _), same in groupby(said)],
                }
            )
        return rows

    def _pages(self) -> Iterator[tuple[str, str]]:
        told, runs = headline(self.history), [view.newest for view in self.views]
        choices = [
            (name, sorted({getattr(run, name) for run in runs})) for name in ("framework", "dtype", "device")
        ]
        if any(run.settings for run in runs):
            choices.append(("settings", sorted({run.settings or USUAL for run in runs})))
        choices.append(("family", sorted(set().union(*(v.columns.families for v in self.views)))))
        yield (
            "index.html",
            self._page(
                "index.html",
                "results",
                headline=told,
                views=self.views,
                topics=self._topics,
                ages=self._ages,
                choices=choices,
                usual=USUAL,
                verdicts=list(CODES),
            ),
        )
        yield "case.html", self._page("case.html", "results")
        yield (
            "implementations.html",
            self._page("implementations.html", "implementations", views=self.views, ages=self._ages),
        )
        yield (
            "findings.html",
            self._page("findings.html", "findings", groups=grouped(self._findings.values())),
        )
        yield (
            "arguments.html",
            self._page("arguments.html", "arguments", views=self.views, rows=self._arguments),
        )
        yield (
            "history.html",
            self._page(
                "history.html",
                "history",
                headline=told,
                changes=self.history.changes,
                nights=[
                    _night(view)
                    for view in sorted(
                        (v for own in self.history.nights.values() for v in own),
                        key=lambda v: v.newest.started,
                        reverse=True,
                    )
                ],
            ),
        )
        yield "feed.xml", self._page("feed.xml", "", updated=self._made, entries=self._entries())

    def _entries(self) -> list[dict[str, str]]:
        """One for every night in which something changed, the newest first."""
        nights: dict[str, list[Changes]] = {}
        for own in self.history.nights.values():
            for view in own[-NIGHTS:]:
                old = self.history.previous(view)
                if old is not None:
                    # Views of their own: what they read goes when the entry is written.
                    found = Changes(View(old.parts), View(view.parts))
                    nights.setdefault(view.newest.started[:10], []).append(found)
        entries = []
        for night, changes in sorted(nights.items(), reverse=True)[:NIGHTS]:
            text, notes = sentence(changes)
            updated = max(c.new.newest.started for c in changes)
            entries.append(
                {
                    "id": f"urn:rnn-conformance:night:{night}",
                    "title": f"{night}: {text}",
                    "updated": updated,
                    "text": " ".join([f"{text}.", *notes]),
                }
            )
            changes.clear()
        return entries

    def _shape_pages(self) -> Iterator[tuple[str, str]]:
        """One for the site and one that stands alone; both hold all that they need."""
        # "<" must not end the script element.
        data = Markup(json.dumps(knowledge(), separators=(",", ":")).replace("<", "\\u003c"))
        texts = {
            what: Markup(_static().joinpath(name).read_text("utf-8"))
            for what, name in (("style", "site.css"), ("script", "shapes.js"))
        }
        for name, alone in (("shapes.html", False), ("shapes-alone.html", True)):
            yield name, self._page("shapes.html", "shapes", alone=alone, knowledge=data, **texts)

    def _clause_pages(self) -> Iterator[tuple[str, str]]:
        for name, entry in self._clauses.items():
            page = entry["file"].removesuffix(".md")
            yield (
                f"clauses/{name}.html",
                self._page(
                    "clause.html",
                    "spec",
                    "../",
                    name=name,
                    title=Markup(rendered(entry["title"])[3:-5]),
                    text=Markup(rendered(entry["text"], self._spec, "../", self._clauses)),
                    page=page,
                    topic=matrix.TOPICS.get(page, page),
                    views=self.views,
                    verdicts=list(CODES),
                ),
            )

    @cached_property
    def _spec(self) -> list[str]:
        return sorted(path.stem for path in SPEC.glob("*.md"))

    def _spec_pages(self) -> Iterator[tuple[str, str]]:
        names = [n for n in ("guide", *matrix.TOPICS, "protocol", "hardware") if n in self._spec]
        pages = [("index", "Overview")] + [(n, matrix.TOPICS.get(n, n.capitalize())) for n in names]
        for name in ("README", *names):
            text = (SPEC / f"{name}.md").read_text("utf-8")
            title = text.partition("\n")[0].removeprefix("# ")
            page = "index" if name == "README" else name
            yield (
                f"spec/{page}.html",
                self._page(
                    "spec.html",
                    "guide" if name == "guide" else "spec",
                    "../",
                    title=title,
                    text=Markup(rendered(text, self._spec, "../", self._clauses)),
                    pages=pages,
                    page=page,
                ),
            )

    def _implementation_pages(self) -> Iterator[tuple[str, str]]:
        members = {name: profile.members(self.cases.values()) for name, profile in profiles().items()}
        for place, view in enumerate(self.views):
            nights = [_night(v) for v in self.history.nights[view.line]]
            packages = view.run.environment.get("packages")
            yield (
                f"implementations/{view.slug}.html",
                self._page(
                    "implementation.html",
                    "implementations",
                    "../",
                    view=view,
                    age=self._ages[view.slug],
                    profiles=[
                        standing(profile, members[name], view.columns.shown)
                        for name, profile in profiles().items()
                        if profile.dtype == view.run.dtype
                    ],
                    packages=sorted(packages.items()) if isinstance(packages, dict) else [],
                    findings=self._findings[view.slug],
                    spread=view.spread(self.cases),
                    histogram=Markup(z_histogram(view.columns.passed_z)),
                    nights=nights[::-1],
                    trend=Markup(trend([n["passed"] for n in nights], "passed cases, night by night")),
                    arguments=[row | {"cell": row["cells"][place]} for row in self._arguments],
                ),
            )

    def _data(self) -> Iterator[tuple[str, str]]:
        titles = {name: str(entry["title"]) for name, entry in self._clauses.items()}
        return data_files(self.history, self.views, self._findings, titles, self._known)


def _static() -> Traversable:
    return files("rnn_conformance").joinpath("reporting/static")


def _night(view: View) -> dict[str, Any]:
    newest = view.newest
    when = newest.started[:16].replace("T", " ")
    return {"when": when, "label": newest.label, "version": newest.version, **view.tally}
