"""LMDB with a map that grows, errors of this package, and one owner at a time.

LMDB wants the size of its map beforehand and refuses writes beyond it. :class:`Environment` doubles the map when a
write does not fit, for which
no transaction of this process may be open: readers share a gate that growth closes.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from qanat.errors import StoreCorrupted, StoreError

__all__ = ["Environment", "Transaction"]

T = TypeVar("T")
_FIRST_MAP_BYTES = 64 << 20


class Environment:
    """An LMDB environment in one folder, with named tables, owned by this process alone.

    ``path``: folder, made if missing. ``tables``: names of all sub-databases. Raises :class:`StoreError` when the
    folder cannot be used or
    belongs to a running process, :class:`StoreCorrupted` when LMDB cannot read it.
    """

    def __init__(self, path: Path, tables: tuple[str, ...], *, map_bytes: int = _FIRST_MAP_BYTES) -> None:
        self.path = path
        self._gate = threading.Condition()
        self._inside = 0
        self._growing = False
        self._closed = False
        self._write_lock = threading.Lock()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._owner = os.open(path / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"The store's folder {path} cannot be used: {error}.", path=str(path)) from error
        try:
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._owner)
            raise StoreError(
                f"The store {path} belongs to a process that runs.", hint="Stop it first.", path=str(path)
            ) from error
        try:
            data = path / "data.mdb"
            held = data.stat().st_size if data.exists() else 0
            self._env = lmdb.open(
                str(path),
                map_size=max(map_bytes, 2 * held),
                max_dbs=len(tables),
                subdir=True,
                sync=True,
                metasync=True,
                max_readers=512,
            )
            self._tables = {name: self._env.open_db(name.encode()) for name in tables}
        except (lmdb.Error, OSError) as error:
            os.close(self._owner)
            raise _translated(error, path) from error

    def read(self, body: Callable[[Transaction], T]) -> T:
        """Runs ``body`` in a read transaction and returns what it returns; nothing of the transaction may leave it."""
        with self._open_gate():
            try:
                with self._env.begin(buffers=True) as raw:
                    return body(Transaction(raw, self._tables))
            except lmdb.Error as error:
                raise _translated(error, self.path) from error

    def write(self, body: Callable[[Transaction], T]) -> T:
        """Runs ``body`` in a write transaction, durable when this returns.

        It runs again, from nothing, when the map had to grow.
        """
        with self._write_lock:
            while True:
                try:
                    with self._open_gate(), self._env.begin(write=True, buffers=True) as raw:
                        return body(Transaction(raw, self._tables))
                except lmdb.MapFullError:
                    self._grow()
                except lmdb.Error as error:
                    raise _translated(error, self.path) from error

    def close(self) -> None:
        """Closes the environment once nothing is inside, and gives its folder up."""
        with self._write_lock, self._gate:
            if self._closed:
                return
            self._closed = True
            self._gate.wait_for(lambda: self._inside == 0)
            self._env.close()
            os.close(self._owner)

    @contextmanager
    def _open_gate(self) -> Iterator[None]:
        with self._gate:
            self._gate.wait_for(lambda: not self._growing)
            if self._closed:
                raise StoreError(f"The store {self.path} is closed.")
            self._inside += 1
        try:
            yield
        finally:
            with self._gate:
                self._inside -= 1
                self._gate.notify_all()

    def _grow(self) -> None:
        with self._gate:
            self._growing = True
            try:
                self._gate.wait_for(lambda: self._inside == 0)
                self._env.set_mapsize(2 * int(self._env.info()["map_size"]))
            except lmdb.Error as error:
                raise _translated(error, self.path) from error
            finally:
                self._growing = False
                self._gate.notify_all()


class Transaction:
    """What a body may do: get, put, delete, walk, all by table name.

    Values read are views that die with the transaction.
    """

    def __init__(self, raw: Any, tables: dict[str, Any]) -> None:
        self._raw = raw
        self._tables = tables

    def get(self, table: str, key: bytes) -> memoryview | None:
        """Returns the value of a key, or nothing."""
        value = self._raw.get(key, db=self._tables[table])
        return None if value is None else memoryview(value)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Sets the value of a key."""
        self._raw.put(key, value, db=self._tables[table])

    def delete(self, table: str, key: bytes) -> bool:
        """Removes a key; returns whether it was there."""
        return bool(self._raw.delete(key, db=self._tables[table]))

    def walk(self, table: str, prefix: bytes = b"", *, values: bool = True) -> Iterator[tuple[bytes, memoryview]]:
        """Yields (key, value) of all keys that begin with ``prefix``, ascending; with ``values=False`` empty values."""
        with self._raw.cursor(db=self._tables[table]) as cursor:
            if not cursor.set_range(prefix):
                return
            for item in cursor.iternext(keys=True, values=values):
                key = bytes(item[0] if values else item)
                if not key.startswith(prefix):
                    return
                yield key, memoryview(item[1]) if values else memoryview(b"")

    def count(self, table: str) -> int:
        """Returns the number of keys of a table."""
        return int(self._raw.stat(self._tables[table])["entries"])


def _translated(error: Exception, path: Path) -> StoreError:
    if isinstance(
        error,
        (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.PanicError, lmdb.VersionMismatchError),
    ):
        return StoreCorrupted(f"The store {path} cannot be read: {error}.", hint="Check the disk.", path=str(path))
    return StoreError(f"The store {path} failed: {error}.", hint="Check the disk and its free space.", path=str(path))
