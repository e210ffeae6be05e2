"""Slices at rest: one protocol, and the stores behind it.

:class:`SliceStore` says what a store must do, :func:`qanat.store.conformance.check_store` tests any implementation.
:mod:`qanat.store.fsspec_store` and :mod:`qanat.store.tiered` are imported where they are used: they bring a lot along.
"""

from __future__ import annotations

from qanat.store.lmdb_store import LmdbStore
from qanat.store.memory import MemoryStore
from qanat.store.protocol import SliceStore, Usage

__all__ = ["LmdbStore", "MemoryStore", "SliceStore", "Usage"]
