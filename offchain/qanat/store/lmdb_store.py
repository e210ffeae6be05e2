"""The embedded store: LMDB, one folder, each slice with a checksum, commits gathered and synced.

Puts gather in memory; :meth:`LmdbStore.flush` writes all that gathered in one transaction with one sync, so that
many threads that each
put and flush share the price of the disk. A put that is not flushed is lost whole when the process dies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from qanat.errors import SliceNotFound
from qanat.store.environment import Environment, Transaction
from qanat.store.protocol import CHECKSUM_BYTES, Usage, frame, slice_key, split_key, unframe

__all__ = ["LmdbStore"]

_TABLE = "slices"
_TOTALS = "totals"
#: Bytes that gather before a put commits by itself: bounds the memory, not the durability.
_GATHER_BYTES = 16 << 20


class LmdbStore:
    """A :class:`SliceStore` in the folder ``path``, owned by this process alone.

    Raises :class:`StoreError` if another one runs on it.
    """

    def __init__(self, path: Path | str, *, map_bytes: int = 64 << 20) -> None:
        self._environment = Environment(Path(path), (_TABLE, _TOTALS), map_bytes=map_bytes)
        self._lock = threading.Lock()
        self._gathered: dict[bytes, bytes] = {}
        self._leaving: dict[bytes, bytes] = {}
        self._gathered_bytes = 0
        self._commit_lock = threading.Lock()
        self._puts = 0
        self._durable = 0

    def put(self, object_id: bytes, index: int, data: bytes) -> None:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        framed = frame(object_id, index, data)
        with self._lock:
            replaced = self._gathered.get(key)
            self._gathered[key] = framed
            self._gathered_bytes += len(framed) - (len(replaced) if replaced is not None else 0)
            self._puts += 1
            full = self._gathered_bytes >= _GATHER_BYTES
        if full:
            self.flush()

    def get(self, object_id: bytes, index: int) -> bytes:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        framed = self._in_memory(key)
        if framed is None:
            framed = self._environment.read(
                lambda transaction: None if (value := transaction.get(_TABLE, key)) is None else bytes(value)
            )
        if framed is None:
            framed = self._in_memory(key)  # committed between the two looks, or put just now
        if framed is None:
            raise SliceNotFound(
                f"Slice {index} of object 0x{object_id.hex()} is not here.", object_id=object_id, index=index
            )
        return unframe(object_id, index, framed)

    def has(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        return (
            self._in_memory(key) is not None
            or self._environment.read(lambda transaction: transaction.get(_TABLE, key) is not None)
            or self._in_memory(key) is not None
        )

    def delete(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        return self._remove([slice_key(object_id, index)]) > 0

    def delete_object(self, object_id: bytes) -> int:
        """See :class:`SliceStore`."""
        self.flush()
        return self._remove([slice_key(object_id, index) for index in self.indexes(object_id)])

    def indexes(self, object_id: bytes) -> Iterator[int]:
        """See :class:`SliceStore`."""
        slice_key(object_id, 0)
        self.flush()
        keys = self._environment.read(
            lambda transaction: [key for key, _ in transaction.walk(_TABLE, object_id, values=False)]
        )
        return iter([split_key(key)[1] for key in keys])

    def objects(self) -> Iterator[bytes]:
        """See :class:`SliceStore`."""
        self.flush()
        keys = self._environment.read(
            lambda transaction: [split_key(key)[0] for key, _ in transaction.walk(_TABLE, values=False)]
        )
        return iter(dict.fromkeys(keys))

    def usage(self) -> Usage:
        """See :class:`SliceStore`."""
        self.flush()
        return self._environment.read(lambda transaction: _totals(transaction.get(_TOTALS, b"usage")))

    def flush(self) -> None:
        """See :class:`SliceStore`."""
        with self._lock:
            wanted = self._puts
        with self._commit_lock:
            if self._durable >= wanted:
                return
            with self._lock:
                self._leaving, self._gathered, self._gathered_bytes = self._gathered, {}, 0
                reached = self._puts
            try:
                self._commit(self._leaving)
            except BaseException:
                with self._lock:  # nothing was written: what came later stands above what should have left
                    self._gathered = {**self._leaving, **self._gathered}
                    self._gathered_bytes = sum(len(framed) for framed in self._gathered.values())
                    self._leaving = {}
                raise
            with self._lock:
                self._leaving = {}
            self._durable = reached

    def close(self) -> None:
        """See :class:`SliceStore`."""
        self.flush()
        self._environment.close()

    def _in_memory(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._gathered.get(key, self._leaving.get(key))

    def _commit(self, frames: dict[bytes, bytes]) -> None:
        def body(transaction: Transaction) -> None:
            usage = _totals(transaction.get(_TOTALS, b"usage"))
            slices, stored = usage.slices, usage.bytes
            for key in sorted(frames):
                old = transaction.get(_TABLE, key)
                slices += old is None
                stored += len(frames[key]) - CHECKSUM_BYTES - (0 if old is None else len(old) - CHECKSUM_BYTES)
                transaction.put(_TABLE, key, frames[key])
            transaction.put(_TOTALS, b"usage", _pack(Usage(slices, stored)))

        if frames:
            self._environment.write(body)

    def _remove(self, keys: list[bytes]) -> int:
        self.flush()

        def body(transaction: Transaction) -> int:
            usage = _totals(transaction.get(_TOTALS, b"usage"))
            slices, stored, found = usage.slices, usage.bytes, 0
            for key in keys:
                old = transaction.get(_TABLE, key)
                if old is not None:
                    found, slices, stored = found + 1, slices - 1, stored - (len(old) - CHECKSUM_BYTES)
                    transaction.delete(_TABLE, key)
            transaction.put(_TOTALS, b"usage", _pack(Usage(slices, stored)))
            return found

        with self._commit_lock:
            return self._environment.write(body)


def _totals(value: memoryview | None) -> Usage:
    if value is None:
        return Usage(0, 0)
    return Usage(int.from_bytes(value[:8], "big"), int.from_bytes(value[8:16], "big"))


def _pack(usage: Usage) -> bytes:
    return usage.slices.to_bytes(8, "big") + usage.bytes.to_bytes(8, "big")
