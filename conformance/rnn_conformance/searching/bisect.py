"""The release of a framework in which a verdict changed: every version in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.version import InvalidVersion, Version

from rnn_conformance.errors import ConfigurationError

# Installing a framework may take as long.
INSTALL_SECONDS, RUN_SECONDS = 3600.0, 900.0


@dataclass(frozen=True)
class Changed:
    """Where a verdict changed.

    Attributes
    ----------
    last, first : str
        The last version with the verdict of the first version tried, and the next one, which has another; equal where nothing changed.
    tried : mapping
        Version to its verdict, or to the reason why it could not be tried, which then begins with ``!``.
    """

    last: str
    first: str
    tried: Mapping[str, str] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        return self.last != self.first


def between(known: Sequence[str], first: str, last: str) -> list[str]:
    """The released versions from one to another, both included, oldest first; no pre-releases.

    Raises
    ------
    ConfigurationError
        When an end is no version, or there are fewer than two between them.
    """
    try:
        low, high = Version(first), Version(last)
    except InvalidVersion as error:
        raise ConfigurationError(f"--versions A..B: {error}") from error
    parsed = {}
    for text in known:
        try:
            parsed[Version(text)] = text
        except InvalidVersion:
            continue
    chosen = [parsed[v] for v in sorted(parsed) if low <= v <= high and not v.is_prerelease]
    if len(chosen) < 2:
        near = ", ".join(parsed[v] for v in sorted(parsed)[-8:])
        raise ConfigurationError(
            f"{first}..{last} has fewer than two released versions; the newest are {near}"
        )
    return chosen


def bisect(versions: Sequence[str], verdict: Callable[[str], str]) -> Changed:
    """By halves, the first version whose verdict differs from that of the first one.

    Parameters
    ----------
    verdict : function
        Version to verdict; a text that begins with ``!`` says why there is none, and the version is left out.

    Raises
    ------
    ConfigurationError
        When fewer than two versions could be tried.
    """
    left = list(versions)
    tried: dict[str, str] = {}

    def of(place: int) -> str | None:
        version = left[place]
        if version not in tried:
            tried[version] = verdict(version)
        if tried[version].startswith("!"):
            del left[place]
            return None
        return tried[version]

    while left and of(0) is None:
        pass
    while left and of(-1) is None:
        pass
    if len(left) < 2:
        reasons = "; ".join(f"{v}: {why.removeprefix('!')}" for v, why in tried.items())
        raise ConfigurationError(f"fewer than two versions could be tried: {reasons}")
    old = tried[left[0]]
    if tried[left[-1]] == old:
        return Changed(left[-1], left[-1], tried)
    low, high = 0, len(left) - 1
    while high - low > 1:
        middle = (low + high) // 2
        found = of(middle)
        if found is None:
            high -= 1
        elif found == old:
            low = middle
        else:
            high = middle
    return Changed(left[low], left[high], tried)


def released(package: str, python: str) -> list[str]:
    """The versions that pip finds for a Python.

    Raises
    ------
    ConfigurationError
        When pip finds none.
    """
    command = [python, "-m", "pip", "index", "versions", package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ConfigurationError(f"cannot run {python}: {error}") from error
    for line in done.stdout.splitlines():
        if line.startswith("Available versions:"):
            return [v.strip() for v in line.partition(":")[2].split(",")]
    raise ConfigurationError(f"pip finds no versions of {package}: {done.stderr.strip()[-300:]}")


class Trial:
    """Runs one case with one version of a package, in an environment that is made once and kept."""

    def __init__(self, folder: Path, python: str, adapter: str, package: str, case: str, dtype: str) -> None:
        self._folder, self._python, self._adapter, self._package = folder, python, adapter, package
        self._case, self._dtype = case, dtype

    def __call__(self, version: str) -> str:
        home = self._folder / f"{self._package}-{version}"
        python = home / "bin/python"
        if not (home / "ready").is_file():
            command = [
                *(str(python), "-m", "pip", "install", "-q"),
                *(_suite(self._adapter), f"{self._package}=={version}"),
            ]
            try:
                subprocess.run(
                    [self._python, "-m", "venv", "--clear", str(home)],
                    check=True,
                    capture_output=True,
                    timeout=RUN_SECONDS,
                )
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
                )
            except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
                return f"!could not be installed: {error}"
            if done.returncode:
                return f"!cannot be installed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1][:200]}"
            (home / "ready").touch()
        out = home / "results"
        command = [str(python), "-m", "rnn_conformance", "run", "--adapter", self._adapter, "--select"]
        command += [f"id={self._case}", "--dtype", self._dtype, "--out", str(out), "--format", "json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            return "!the run did not end in time"
        try:
            (run,) = json.loads(done.stdout)["runs"]
            (found,) = run["verdicts"]
        except (ValueError, KeyError):
            return f"!did not run: {(done.stderr.strip().splitlines() or ['no reason given'])[-1][:200]}"
        return str(found).removeprefix("known ").replace("stale", "pass")


def _suite(adapter: str) -> str:
    """What installs this very suite with an adapter's framework: its folder where it was installed from one, otherwise its version."""
    own: Distribution = distribution("rnn-conformance")
    extra = f"[{adapter}]" if adapter in (own.metadata.get_all("Provides-Extra") or []) else ""
    direct = own.read_text("direct_url.json")
    if direct:
        url = json.loads(direct).get("url", "")
        if url.startswith("file://"):
            return f"rnn-conformance{extra} @ {url}"
    return f"rnn-conformance{extra}=={own.version}"
