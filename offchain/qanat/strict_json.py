"""JSON from strangers: nesting is bounded before the parser sees it, and every number is finite.

The parser recurses once per level. ``py_ecc`` raises Python's recursion limit to 100,000 when it is imported, beyond
what the C stack holds, so that a few kilobytes of ``[`` would end the process instead of raising ``RecursionError``.
Only UTF-8 is read, since brackets are counted in its bytes: in UTF-16 a letter can hold the byte of a quote.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

__all__ = ["MAX_DEPTH", "parse"]

MAX_DEPTH = 64
"""Levels of arrays and objects; nothing of ours has more than six."""

# A string that doesn't end goes to the end of the text, where the parser stops too: so every byte is looked at once.
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def parse(text: str | bytes) -> Any:
    """Return what JSON text says; bytes are UTF-8, with or without a byte order mark.

    Raises ``ValueError`` for what is no JSON, is nested deeper than ``MAX_DEPTH``, or names a number beyond a float's.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", data)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")
    return json.loads(data.decode("utf-8-sig", "surrogatepass"), parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    """Python reads ``1e400`` and ``Infinity`` as infinite: no integer, and no JSON either."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value
