"""A store in memory, for tests and for tools that hold slices only while they run."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from qanat.errors import StoreError
from qanat.store.protocol import CHECKSUM_BYTES, Usage, frame, not_found, slice_key, split_key, unframe

__all__ = ["MemoryStore"]


class MemoryStore:
    """Slices in a dictionary; durable for as long as the process lives."""

    def __init__(self) -> None:
        self.frames: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._closed = False

    def put(self, object_id: bytes, index: int, data: bytes) -> None:
        """See :class:`SliceStore`."""
        framed = frame(object_id, index, data)
        with self._lock:
            self._check()
            self.frames[slice_key(object_id, index)] = framed

    def get(self, object_id: bytes, index: int) -> bytes:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()
            framed = self.frames.get(slice_key(object_id, index))
        if framed is None:
            raise not_found(object_id, index)
        return unframe(object_id, index, framed)

    def has(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()
            return slice_key(object_id, index) in self.frames

    def size(self, object_id: bytes, index: int) -> int:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()
            framed = self.frames.get(slice_key(object_id, index))
        if framed is None:
            raise not_found(object_id, index)
        return len(framed) - CHECKSUM_BYTES

    def delete(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()
            return self.frames.pop(slice_key(object_id, index), None) is not None

    def delete_object(self, object_id: bytes) -> int:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()
            found = [key for key in self.frames if key[:32] == object_id]
            for key in found:
                del self.frames[key]
            return len(found)

    def indexes(self, object_id: bytes) -> Iterator[int]:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()
            found = sorted(split_key(key)[1] for key in self.frames if key[:32] == object_id)
        return iter(found)

    def objects(self) -> Iterator[bytes]:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()
            found = sorted({key[:32] for key in self.frames})
        return iter(found)

    def usage(self) -> Usage:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()
            return Usage(len(self.frames), sum(len(framed) - CHECKSUM_BYTES for framed in self.frames.values()))

    def flush(self) -> None:
        """See :class:`SliceStore`."""
        with self._lock:
            self._check()

    def close(self) -> None:
        """See :class:`SliceStore`."""
        with self._lock:
            self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise StoreError("The store is closed.")
