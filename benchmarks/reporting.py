"""The site and the exports of many results: how long they take, how much memory, and how soon the site's front page answers.

``python benchmarks/reporting.py [CASES [IMPLEMENTATIONS]]``; 100,000 cases and 10 implementations by default. Cases of the golden data are taken again and
again under other names; nothing is run. With Playwright and Chromium the front page is opened, too.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from measured import peak
from rnn_conformance.results.database import Results
from rnn_conformance.results.record import Record
from rnn_conformance.results.run import new_run
from rnn_fixtures.case import Case
from rnn_fixtures.store import Store

# What is written, and the name of its file or folder.
WRITTEN = {
    "site": "site",
    "json": "results.json",
    "csv": "results.csv",
    "junit": "results.xml",
    "markdown": "summary.md",
    "parquet": "results.parquet",
}
VERDICTS = ("unsupported", *("pass",) * 30, "value")


def many(count: int) -> list[Case]:
    """So many cases, distinct by id."""
    real = list(Store(check=False).cases())
    return [
        replace(real[k % len(real)], id=f"{real[k % len(real)].id},round={k // len(real)}")
        for k in range(count)
    ]


def fill(folder: Path, cases: list[Case], number: int) -> None:
    """Results of one implementation, a few of which are discrepancies."""
    run = new_run(
        fixtures="golden",
        tier="full",
        selection="",
        shard="1/1",
        adapter=f"adapter{number}",
        framework="framework",
        version="1.0",
        device="cpu",
        dtype="float32",
        selected=len(cases),
        environment={},
    )
    spread = {"output": [20.0, 0.5, 0.1, 4.0]}
    with Results(folder, create=True) as results:
        results.start(run)
        records = []
        for k, case in enumerate(cases):
            verdict = VERDICTS[(k * 7 + number) % len(VERDICTS)]
            known = f"difference-{k % 9}" if verdict == "value" else None
            message = "this framework has no such argument" if verdict == "unsupported" else ""
            z = None if verdict == "unsupported" else 30.0 if known else 0.1 + (k % 90) / 100
            records.append(
                Record(
                    case.id,
                    case.family,
                    case.clauses,
                    verdict,
                    "native",
                    known=known,
                    z=z,
                    message=message or (f"output[{k}] differs: z = 30" if known else ""),
                    elements=20,
                    spread=spread,
                    seconds=0.001,
                )
            )
        results.add(run, records)
        results.finish(run)


def opened(index: Path) -> dict[str, float]:
    """Seconds until the front page is there, and until a filter over all results has answered, in Chromium; empty where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if chromium is None:
        return {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        started = time.monotonic()
        page.goto(index.as_uri())
        page.select_option('select[name="dtype"]', "float32")
        there = time.monotonic() - started
        started = time.monotonic()
        page.select_option('select[name="verdict"]', "unexpected")
        page.wait_for_function("/cases/.test(document.getElementById('told').textContent)")
        first = time.monotonic() - started
        started = time.monotonic()
        page.select_option('select[name="verdict"]', "discrepancy")
        page.wait_for_function("/^[1-9]/.test(document.getElementById('told').textContent)")
        again = time.monotonic() - started
        browser.close()
    return {"interactive": there, "first filter": first, "next filter": again}


def main(given: list[str]) -> None:
    """Fill; build the site and every export of one implementation's results and of all; open the site."""
    count, implementations = (int(a) for a in [*given, *("100000", "10")[len(given) :]])
    cases = many(count)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for number in range(implementations):
            fill(Path(folder) / f"r{number}", cases, number)
        filled = time.perf_counter() - started
        print(f"{count:,} cases, {implementations} implementations")
        print(f"  written: {1e6 * filled / count / implementations:.0f} microseconds a result")
        print("  seconds and peak memory, of one implementation's results and of all")
        for kind, name in WRITTEN.items():
            found = []
            for which in ("r0", ""):
                out = Path(folder) / "out" / name
                command = [sys.executable, "-m", "rnn_conformance", "report", str(Path(folder) / which)]
                command += ["--out", str(out), *(["--export", kind] if kind != "site" else [])]
                seconds, memory, said = peak(command)
                assert said, f"{' '.join(command)} failed"
                found.append((seconds, memory))
            (few, least), (many_, most) = found
            size = sum(p.stat().st_size for p in (out.rglob("*") if out.is_dir() else [out]) if p.is_file())
            print(
                f"  {kind:<10}{few:6.1f} s {many_:6.1f} s {least:6.0f} MB {most:6.0f} MB {most / least:6.2f} x the memory; {size / 1e6:.1f} MB on disk"
            )
        for what, seconds in opened(Path(folder) / "out/site/index.html").items():
            print(f"  {what}: {seconds:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
