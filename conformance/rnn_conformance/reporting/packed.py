"""Data for the pages' scripts: JSON and bytes, compressed, in script files, which a page opened from disk may load where it may not fetch.

A chunk is a file ``data/NAME.js`` of one call, ``rnn.take(NAME, BASE64)``; what it holds is compressed by gzip.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
import zlib
from collections.abc import Sequence
from typing import Any

# One letter per verdict, as the pages show it; upper case is what needs a reader's eye.
CODES = {
    "pass": "p",
    "pass (composed)": "c",
    "unsupported": "u",
    "known": "k",
    "value": "V",
    "shape": "S",
    "dtype": "D",
    "accepted": "A",
    "refused": "R",
    "nondeterministic": "N",
    "crash": "C",
    "timeout": "T",
    "protocol": "P",
    "unproved": "U",
    "stale": "X",
}
MISSING = "-"
# Cases and what is seen of them lie in so many files; a page of a case loads one of each.
BUCKETS = 64
# z on a logarithmic scale: 0 is none, 1 is exact, then four steps for each factor of two from 2^-10 up.
_STEPS, _LEAST = 4, -10


def chunk(name: str, data: Any) -> str:
    """The text of a script that hands over data: an object as JSON."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
    packed = gzip.compress(text, compresslevel=6, mtime=0)
    return f'rnn.take("{name}","{base64.b64encode(packed).decode()}")\n'


def code_of_z(z: float | None) -> str:
    """z as one character, of the 95 that ASCII prints, from ``!`` for none."""
    if z is None:
        return "!"
    if z == 0:
        return '"'
    if not math.isfinite(z):
        return "~"
    return chr(min(125, 35 + max(0, round((math.log2(z) - _LEAST) * _STEPS))))


def bucket(case: str) -> str:
    """The number of the file in which a case is, two hexadecimal digits."""
    return f"{zlib.crc32(case.encode('utf-8', 'replace')) % BUCKETS:02x}"


def safe_name(*parts: str) -> str:
    """A file name from texts of any kind, distinct for distinct texts."""
    text = "-".join(parts)
    usual = text.replace(":", "")  # cuda:0
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", usual).strip("._")
    if plain == usual and 0 < len(plain) <= 80:
        return plain
    return f"{plain[:80]}-{zlib.crc32(text.encode('utf-8', 'replace')):08x}"


def indices(names: Sequence[str]) -> dict[str, int]:
    """Names to their places."""
    return {name: place for place, name in enumerate(names)}
