"""The embedded store: LMDB, one folder, each slice with a checksum, commits gathered and synced.

Puts gather in memory; :meth:`LmdbStore.flush` writes all that gathered in one transaction with one sync, so that
many threads that each put and flush share the price of the disk. A put that is not flushed is lost whole when the
process dies. Nothing but ``flush`` and deleting writes, so a full disk does not stop reads. Deleting writes pages
before it frees others: where LMDB has none left and the file can't grow, it fails until there is a little room.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from qanat.store.environment import Environment, Format, Transaction
from qanat.store.protocol import CHECKSUM_BYTES, Usage, frame, not_found, slice_key, split_key, unframe

__all__ = ["FORMAT", "SLICES", "LmdbStore"]

SLICES = "slices"
_TOTALS = "totals"
_USAGE = b"usage"
#: Bytes that gather before a put commits by itself: bounds the memory, not the durability.
_GATHER_BYTES = 16 << 20


def _count_anew(transaction: Transaction) -> None:
    """Version 1 counted slices without any record of how: version 2 begins with totals that were counted."""
    slices = stored = 0
    for _, framed in transaction.walk(SLICES):
        slices, stored = slices + 1, stored + len(framed) - CHECKSUM_BYTES
    transaction.put(_TOTALS, _USAGE, _pack(Usage(slices, stored)))


#: docs/node.md, "On disk".
FORMAT = Format("slices", 2, {1: _count_anew})


class LmdbStore:
    """A :class:`SliceStore` in the folder ``path``, owned by this process alone.

    Raises :class:`StoreError` if another one runs on it, or if a newer program wrote it.
    """

    def __init__(self, path: Path | str, *, map_bytes: int = 64 << 20) -> None:
        self._environment = Environment(Path(path), (SLICES, _TOTALS), FORMAT, map_bytes=map_bytes)
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
            full = self._gathered_bytes >= _GATHER_BYTES
        if full:
            self.flush()  # before this one is taken: where nothing can be written, nothing more gathers
        with self._lock:
            replaced = self._gathered.get(key)
            self._gathered[key] = framed
            self._gathered_bytes += len(framed) - (len(replaced) if replaced is not None else 0)
            self._puts += 1

    def get(self, object_id: bytes, index: int) -> bytes:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        framed = self._in_memory(key)
        if framed is None:
            framed = self._environment.read(
                lambda transaction: None if (value := transaction.get(SLICES, key)) is None else bytes(value)
            )
        if framed is None:
            framed = self._in_memory(key)  # put between the two looks
        if framed is None:
            raise not_found(object_id, index)
        return unframe(object_id, index, framed)

    def has(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        return self._length(slice_key(object_id, index)) is not None

    def size(self, object_id: bytes, index: int) -> int:
        """See :class:`SliceStore`."""
        length = self._length(slice_key(object_id, index))
        if length is None:
            raise not_found(object_id, index)
        return length - CHECKSUM_BYTES

    def delete(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        return self._remove([slice_key(object_id, index)]) > 0

    def delete_object(self, object_id: bytes) -> int:
        """See :class:`SliceStore`."""
        return self._remove([slice_key(object_id, index) for index in self.indexes(object_id)])

    def indexes(self, object_id: bytes) -> Iterator[int]:
        """See :class:`SliceStore`."""
        slice_key(object_id, 0)
        return iter([split_key(key)[1] for key in self._keys(object_id)])

    def objects(self) -> Iterator[bytes]:
        """See :class:`SliceStore`."""
        return iter(dict.fromkeys(split_key(key)[0] for key in self._keys(b"")))

    def usage(self) -> Usage:
        """See :class:`SliceStore`."""
        with self._commit_lock:  # nothing is on its way to the disk
            with self._lock:
                gathered = {key: len(framed) - CHECKSUM_BYTES for key, framed in self._gathered.items()}
            return self._environment.read(lambda transaction: _with(transaction, gathered))

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
        try:
            self.flush()
        finally:
            self._environment.close()

    def _length(self, key: bytes) -> int | None:
        """Return the length of a slice's frame: the disk is asked between two looks into memory, as in ``get``."""
        framed = self._in_memory(key)
        if framed is None:
            stored = self._environment.read(
                lambda transaction: None if (value := transaction.get(SLICES, key)) is None else len(value)
            )
            if stored is not None:
                return stored
            framed = self._in_memory(key)
        return None if framed is None else len(framed)

    def _in_memory(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._gathered.get(key, self._leaving.get(key))

    def _keys(self, prefix: bytes) -> list[bytes]:
        """Return all keys that begin with the prefix, ascending, also of what only gathered."""
        with self._commit_lock:
            with self._lock:
                gathered = [key for key in self._gathered if key.startswith(prefix)]
            stored = self._environment.read(
                lambda transaction: [key for key, _ in transaction.walk(SLICES, prefix, values=False)]
            )
        return sorted({*gathered, *stored}) if gathered else stored

    def _commit(self, frames: dict[bytes, bytes]) -> None:
        def body(transaction: Transaction) -> None:
            usage = _with(transaction, {key: len(framed) - CHECKSUM_BYTES for key, framed in frames.items()})
            for key in sorted(frames):
                transaction.put(SLICES, key, frames[key])
            transaction.put(_TOTALS, _USAGE, _pack(usage))

        if frames:
            self._environment.write(body)

    def _remove(self, keys: list[bytes]) -> int:
        def body(transaction: Transaction) -> set[bytes]:
            usage = _totals(transaction.get(_TOTALS, _USAGE))
            slices, stored, found = usage.slices, usage.bytes, set()
            for key in keys:
                old = transaction.get(SLICES, key)
                if old is not None:
                    found.add(key)
                    slices, stored = slices - 1, stored - (len(old) - CHECKSUM_BYTES)
                    transaction.delete(SLICES, key)
            if found:
                transaction.put(_TOTALS, _USAGE, _pack(Usage(slices, stored)))
            return found

        with self._commit_lock:
            found = self._environment.write(body)
            with self._lock:
                for key in keys:
                    framed = self._gathered.pop(key, None)
                    if framed is not None:
                        found.add(key)
                        self._gathered_bytes -= len(framed)
        return len(found)


def _with(transaction: Transaction, more: dict[bytes, int]) -> Usage:
    """Return the totals as they are once slices of these lengths are in."""
    usage = _totals(transaction.get(_TOTALS, _USAGE))
    slices, stored = usage.slices, usage.bytes
    for key, length in more.items():
        old = transaction.get(SLICES, key)
        slices += old is None
        stored += length - (0 if old is None else len(old) - CHECKSUM_BYTES)
    return Usage(slices, stored)


def _totals(value: memoryview | None) -> Usage:
    if value is None:
        return Usage(0, 0)
    return Usage(int.from_bytes(value[:8], "big"), int.from_bytes(value[8:16], "big"))


def _pack(usage: Usage) -> bytes:
    return usage.slices.to_bytes(8, "big") + usage.bytes.to_bytes(8, "big")
