"""How compiled loops are built and cached: one decorator for all of them.

Numba keeps a compiled function until *its own* file changes. What ours emit and call stands in several files, so the
key of the cache also holds a hash of all of these: a change in any of them compiles anew.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from numba import njit
from numba.core.caching import FunctionCache

from qanat.field.path import kernel_path

PATH = kernel_path()
"""Decided before any loop is compiled."""

_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCES = (
    "field/compiled.py",
    "field/emit.py",
    "field/lanes.py",
    "field/columns.py",
    "field/base.py",
    "field/scalar.py",
    "field/limbs.py",
    "kzg/msm.py",
    "kzg/openings.py",
    "kzg/ladders.py",
)


@cache
def _sources_hash() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((_PACKAGE / name).read_bytes())
    return digest.hexdigest()


class _KeyedCache(FunctionCache):
    """Numba's cache on disk, whose key also names the sources and the path."""

    def _index_key(self, sig, codegen):
        return (*super()._index_key(sig, codegen), PATH, _sources_hash())


def compiled(function):
    """Compile a loop when it is first called; it releases the GIL, and stays in the cache for the next process."""
    dispatcher = njit(cache=True, nogil=True)(function)
    dispatcher._cache = _KeyedCache(function)  # noqa: SLF001
    return dispatcher
