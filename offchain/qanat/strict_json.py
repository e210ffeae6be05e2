"""JSON from strangers: nesting is bounded before the parser sees it.

The parser recurses once per level. ``py_ecc`` raises Python's recursion limit to 100,000 when it is imported, beyond
what the C stack holds, so that a few kilobytes of ``[`` would end the process instead of raising ``RecursionError``.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["MAX_DEPTH", "parse"]

MAX_DEPTH = 64
"""Levels of arrays and objects; nothing of ours has more than six."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def parse(text: str | bytes) -> Any:
    """Return what JSON text says. Raises ``ValueError`` for what is no JSON, or is nested deeper than ``MAX_DEPTH``."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", data)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")
    return json.loads(data)
