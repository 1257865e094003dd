"""The site in a real browser, opened from disk: Chromium as the system has it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nights import night
from rnn_conformance.guide.messages import explained, messages
from rnn_conformance.guide.shapes import Question, answers
from rnn_conformance.reporting import site
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store, select_tier

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

# One page of each kind; {case} is a case that fails.
PAGES = (
    *("index.html", "findings.html", "implementations.html", "implementations/{slug}.html", "history.html"),
    *("arguments.html", "spec/index.html", "spec/guide.html", "spec/equations.html", "clauses/MASK-3.html"),
    *("case.html#{case}", "case.html", "shapes.html", "shapes-alone.html"),
)
SLUG = "torch-2.14.0-cpu-float32"


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(check=False)


@pytest.fixture(scope="module")
def cases(store: Store) -> list[Case]:
    smoke = [c for c in select_tier(store.cases(), "smoke") if "float32" in c.dtypes]
    return [c for c in smoke if c.family == "forward"][:60]


@pytest.fixture(scope="module")
def failing(cases: Sequence[Case]) -> Case:
    return next(c for c in cases if c.argument("return_sequences") and c.argument("mask") != "none")


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, store: Store, cases: Sequence[Case], failing: Case
) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    returned = [store.expected(ref).value.astype(np.float32) for ref in failing.calls[0].expected.values()]
    returned[0] = returned[0] + np.float32(0.001)
    wrong = {
        "verdict": "value",
        "z": 9000.0,
        "message": "<img src=x onerror=alert(1)> differs",
        "returned": returned,
        "diagnosed": True,
        "agrees_with": ["mask-zeros"],
    }
    other = next(c for c in cases if c.id != failing.id)
    known = {"verdict": "value", "known": "declared", "z": 20.0, "message": "declared one"}
    for day, version in ((1, "2.13.0"), (2, "2.14.0")):
        faults = {other.id: known} | ({failing.id: wrong} if day == 2 else {})
        night(folder / "r", cases, day, version=version, faults=faults)
        night(folder / "r", cases, day, adapter="keras", version="3.15.1")
        night(folder / "r", cases, day, adapter="keras", version="3.15.1", dtype="float64", device="cuda:0")
    site.build([folder / "r"], folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails the test when it complains, or asks for anything that is not on disk."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append("a dialog"))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else complaints.append(r.url),
    )
    yield page
    context.close()
    assert complaints == []


def goto(page: Any, built: Path, where: str) -> None:
    page.goto(f"{built.as_uri()}/{where}")
    page.wait_for_load_state("networkidle")


def test_from_the_front_page_to_a_failing_case_in_two_clicks(page: Any, built: Path, failing: Case) -> None:
    goto(page, built, "index.html")
    assert "1 regressed (torch float32)" in page.inner_text(".news")
    page.click(f'tr[data-clause="MASK-2"] td.cell.bad a[href*="{SLUG}"]')
    page.wait_for_selector("#cases li")
    assert page.inner_text("h1").startswith("MASK-2")
    assert "Rows are independent" in page.inner_text(".prose")
    page.click(f'#cases a:has-text("{failing.id}")')
    page.wait_for_selector("svg.heat rect")
    text = page.inner_text("#case")
    assert "<img src=x onerror=alert(1)> differs" in text
    assert "mask-zeros" in text
    assert f"rnn-conformance repro '{failing.id}' --adapter torch" in text
    rects = page.locator("svg.heat").first.locator("rect")
    assert rects.count() == failing.size.T * failing.size.U
    page.locator(".copying", has_text="--adapter torch").get_by_role("button").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"rnn-conformance repro '{failing.id}' --adapter torch --dtype float32"


def shown(page: Any) -> tuple[int, int, int]:
    """Columns, clauses and cases that are visible."""
    page.wait_for_selector('table[aria-busy="false"]')
    count = page.evaluate(
        """() => ["thead th.imp", "tr[data-clause]", "#cases li"].map(
            (s) => [...document.querySelectorAll(s)].filter((e) => e.offsetParent !== null).length)"""
    )
    return tuple(count)


def test_every_filter(page: Any, built: Path, failing: Case, cases: Sequence[Case]) -> None:
    goto(page, built, "index.html")
    columns, clauses, listed = shown(page)
    assert (columns, listed) == (3, 0)
    for name, value, left in (("framework", "torch", 1), ("dtype", "float64", 1), ("device", "cpu", 2)):
        page.select_option(f'select[name="{name}"]', value)
        assert shown(page)[0] == left
        assert f"{name}={value}" in page.url
        page.click('button[type="reset"]')
        assert shown(page) == (columns, clauses, 0)
    page.select_option('select[name="verdict"]', "unexpected")
    assert shown(page) == (3, len(failing.clauses), 1)
    page.select_option('select[name="verdict"]', "discrepancy")
    assert shown(page)[2] == 2
    page.click('button[type="reset"]')
    page.select_option('select[name="family"]', "forward")
    assert shown(page)[2] == len(cases)
    page.click('button[type="reset"]')
    page.check('input[name="differs"]')
    assert shown(page)[2] == 2
    page.check('input[name="changed"]')
    assert shown(page)[2] == 1
    page.click('button[type="reset"]')
    page.fill('input[name="text"]', "gru MASK-3")
    wanted = [c for c in cases if "gru" in c.id and "MASK-3" in c.clauses]
    assert shown(page)[2] == len(wanted)
    address = page.url
    page.goto("about:blank")
    page.goto(address)  # an address that lasts
    assert shown(page)[2] == len(wanted)
    assert page.input_value('input[name="text"]') == "gru MASK-3"


def test_the_keyboard(page: Any, built: Path) -> None:
    goto(page, built, "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("td.cell a")
    first = page.evaluate("document.activeElement.closest('td').dataset.label")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.closest('td').dataset.label") == first
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/clauses/*")


def test_sorting_brings_what_fails_up(page: Any, built: Path) -> None:
    goto(page, built, "index.html")
    page.click(f'th[data-slug="{SLUG}"] button')
    first = page.locator("tbody:has(tr[data-clause=MASK-2]) tr[data-clause]").first
    assert "bad" in str(first.locator("td.cell").nth(2).get_attribute("class"))


@pytest.mark.parametrize("where", ["nonsense", "%3Cimg%20src=x%20onerror=alert(1)%3E"])
def test_an_address_of_nothing(page: Any, built: Path, where: str) -> None:
    goto(page, built, f"case.html#{where}")
    page.wait_for_selector("h1:has-text('No such case')")


def test_shapes_answers_as_the_reference_does(page: Any, built: Path) -> None:
    goto(page, built, "shapes-alone.html")
    for layer, data, flags in (
        ("LSTM", (32, 10, 4), {}),
        ("LSTM", (None, None, 3), {"return_sequences": True, "return_state": True}),
        ("GRU", (5, 1, 7), {"reset_after": False, "use_bias": False}),
        ("GRU", (6, 2, 9), {"time_major": True, "return_state": True}),
    ):
        page.select_option('select[name="layer"]', layer)
        page.fill('input[name="units"]', "12")
        page.fill('input[name="data"]', f"({', '.join(map(str, data))})")
        for flag in ("use_bias", "reset_after", "return_sequences", "return_state", "time_major"):
            default = flag in ("use_bias", "reset_after")
            if flag != "reset_after" or layer == "GRU":
                page.set_checked(f'input[name="{flag}"]', bool(flags.get(flag, default)))
        wanted = answers(Question.of_data(data, layer=layer, units=12, **flags))
        cards = page.locator("#answer section")
        assert cards.count() == len(wanted)
        for k, answer in enumerate(wanted):
            text = cards.nth(k).inner_text()
            assert text.startswith(answer.framework)
            if answer.reason:
                assert answer.reason in text
                continue
            rows = dict(
                line.split("\t")
                for line in cards.nth(k).locator("table").inner_text().splitlines()
                if "\t" in line
            )
            assert rows.pop("parameters") == f"{answer.parameters:,}"
            assert rows == {name: str(tuple(shape)) for name, shape in answer.shapes.items()}
            assert cards.nth(k).locator("pre").inner_text() == answer.code
    for data, told in (
        ("32, 10", "two dimensions"),
        ("1, 2, 3, 4", "4 dimensions"),
        ("1, 2, None", "must be known"),
        ("x", "numbers with commas"),
    ):
        page.fill('input[name="data"]', data)
        assert told in page.inner_text("#told")
        assert page.locator("#answer section").count() == 0


def test_shapes_explains_messages_as_the_command_does(page: Any, built: Path) -> None:
    goto(page, built, "shapes.html")
    for message in messages():
        page.fill("#error", message.text)
        found = page.locator("#meaning section").evaluate_all("(all) => all.map((e) => e.dataset.id)")
        assert found == [m.id for m in explained(message.text)[:3]], message.id
    page.fill("#error", "something else entirely")
    assert "Nothing is known" in page.inner_text("#meaning")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_on_a_phone_and_for_everyone(
    browser: Any, built: Path, failing: Case, scheme: str
) -> None:
    """No page is wider than a phone, and an audit finds nothing serious."""
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright")
    axe = axe_module.Axe()
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    for where in (
        PAGES if scheme == "light" else ("index.html", "case.html#{case}", "spec/guide.html", "shapes.html")
    ):
        goto(page, built, where.format(case=failing.id, slug=SLUG))
        page.wait_for_timeout(150)
        for details in page.locator("details").all():
            details.evaluate("(d) => { d.open = true; }")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, where
        found = axe.run(page).response["violations"]
        serious = [
            (v["id"], [n["html"][:150] for n in v["nodes"][:3]])
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == [], where
    context.close()
