"""Stores that fail or dawdle as disks and networks do, around one that works."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from qanat.errors import StoreError
from qanat.store.protocol import SliceStore, Usage


class Slow:
    """Every call takes a while longer; counts how many run at once."""

    def __init__(self, inner: SliceStore, seconds: float) -> None:
        self.inner, self.seconds = inner, seconds

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.inner, name)

        def slow(*arguments: Any) -> Any:
            time.sleep(self.seconds)
            return call(*arguments)

        return slow


class Failing:
    """Fails every call of the methods named in ``broken``, which a test may change at any time."""

    def __init__(self, inner: SliceStore, *broken: str) -> None:
        self.inner, self.broken = inner, set(broken)
        self.calls: list[str] = []
        self.lock = threading.Lock()

    def _call(self, name: str, *arguments: Any) -> Any:
        with self.lock:
            self.calls.append(name)
        if name in self.broken:
            raise StoreError("The disk is on strike.")
        return getattr(self.inner, name)(*arguments)

    def put(self, object_id: bytes, index: int, data: bytes) -> None:
        self._call("put", object_id, index, data)

    def get(self, object_id: bytes, index: int) -> bytes:
        return bytes(self._call("get", object_id, index))

    def has(self, object_id: bytes, index: int) -> bool:
        return bool(self._call("has", object_id, index))

    def size(self, object_id: bytes, index: int) -> int:
        return int(self._call("size", object_id, index))

    def delete(self, object_id: bytes, index: int) -> bool:
        return bool(self._call("delete", object_id, index))

    def delete_object(self, object_id: bytes) -> int:
        return int(self._call("delete_object", object_id))

    def indexes(self, object_id: bytes) -> Iterator[int]:
        return iter(list(self._call("indexes", object_id)))

    def objects(self) -> Iterator[bytes]:
        return iter(list(self._call("objects")))

    def usage(self) -> Usage:
        found: Usage = self._call("usage")
        return found

    def flush(self) -> None:
        self._call("flush")

    def close(self) -> None:
        self._call("close")
