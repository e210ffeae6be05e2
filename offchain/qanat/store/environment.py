"""LMDB with a map that grows, a version of its format, errors of this package, and one owner at a time.

LMDB wants the size of its map beforehand and refuses writes beyond it. :class:`Environment` doubles the map when a
write does not fit, for which no transaction of this process may be open: readers share a gate that growth closes.

What an environment holds is written beside it: table ``format``, ``kind`` → text, ``version`` → uint32. An older one is
migrated when it is opened, each step and its new version in one transaction; a newer one is refused untouched.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import resource
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from qanat.errors import StoreCorrupted, StoreError

__all__ = ["FORMAT_TABLE", "Environment", "Format", "Transaction"]

T = TypeVar("T")
_FIRST_MAP_BYTES = 64 << 20
FORMAT_TABLE = "format"
#: The version of an environment that has no record of it: those were written before there was one.
_UNRECORDED = 1
#: Bytes that LMDB writes at once, when it writes many pages: where a write of so many was cut short, no more are free.
_LITTLE_ROOM = 64 * 4096
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Format:
    """What an environment holds.

    ``kind``: so that nobody opens a node's memory as its slices. ``version``: the newest, which this program writes.
    ``steps[v]`` turns version v into v + 1, without a step nothing but the record changes.
    """

    kind: str
    version: int
    steps: Mapping[int, Callable[[Transaction], None]] = field(default_factory=dict)


class Environment:
    """An LMDB environment in one folder, with named tables, owned by this process alone.

    ``path``: folder, made if missing. ``tables``: names of all sub-databases. ``form``: what it holds, migrated if it
    is older. Raises :class:`StoreError` when the folder cannot be used, belongs to a running process, or holds
    something else or newer, :class:`StoreCorrupted` when LMDB cannot read it.
    """

    def __init__(self, path: Path, tables: tuple[str, ...], form: Format, *, map_bytes: int = _FIRST_MAP_BYTES) -> None:
        self.path = path
        tables = (*tables, FORMAT_TABLE)
        self._gate = threading.Condition()
        self._inside = 0
        self._growing = False
        self._closed = False
        self._broken = False
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
        except (lmdb.Error, OSError) as error:
            os.close(self._owner)
            raise _translated(error, path) from error
        try:
            _refuse_newer(self._env, form, path)
            self._tables = {name: self._env.open_db(name.encode()) for name in tables}
            self._migrate(form)
        except (lmdb.Error, OSError) as error:
            self.close()
            raise _translated(error, path) from error
        except BaseException:
            self.close()
            raise

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

    def _migrate(self, form: Format) -> None:
        def body(transaction: Transaction) -> None:
            version = _version(transaction.get(FORMAT_TABLE, b"version"))
            for step in range(version or _UNRECORDED, form.version):
                form.steps.get(step, _nothing_to_do)(transaction)
            if version != form.version:
                transaction.put(FORMAT_TABLE, b"kind", form.kind.encode())
                transaction.put(FORMAT_TABLE, b"version", form.version.to_bytes(4, "big"))

        self.write(body)

    @contextmanager
    def _open_gate(self) -> Iterator[None]:
        with self._gate:
            self._gate.wait_for(lambda: not self._growing)
            if self._closed:
                raise StoreError(f"The store {self.path} is closed.")
            if self._broken:
                raise StoreError(
                    f"The store {self.path} could not map more memory.", hint="Raise the limit and start again."
                )
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
            except (lmdb.Error, OSError, MemoryError) as error:
                # the old map is gone and there is no new one: whatever touched it would end the process
                self._broken = True
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


def _nothing_to_do(_transaction: Transaction) -> None:
    """The step of a version that only its record tells from the one before."""


def _version(value: memoryview | bytes | None) -> int:
    """Return the recorded version, 0 where there is none."""
    return 0 if value is None else int.from_bytes(value, "big")


def _refuse_newer(env: Any, form: Format, path: Path) -> None:
    """Look before anything is written."""
    try:
        table = env.open_db(FORMAT_TABLE.encode(), create=False)
    except lmdb.NotFoundError:
        return
    with env.begin(db=table) as raw:
        kind, version = raw.get(b"kind"), _version(raw.get(b"version"))
    if kind is not None and kind != form.kind.encode():
        raise StoreError(
            f"The folder {path} holds {kind.decode(errors='replace')!r}, not {form.kind!r}.",
            hint="Check the paths in the settings.",
            path=str(path),
        )
    if version > form.version:
        raise StoreError(
            f"The store {path} has version {version} of its format; this program knows {form.version}.",
            hint="Run the program that wrote it, or a newer one; nothing was changed.",
            path=str(path),
            version=version,
            known=form.version,
        )


def _is_for_want_of_room(error: Exception, path: Path) -> bool:
    # LMDB tells the system's errors by their text alone, and a write that was cut short as one of input and output:
    # by the end of the disk, or by the size that this process may give a file (RLIMIT_FSIZE)
    if any(os.strerror(code) in str(error) for code in _NO_SPACE):
        return True
    if os.strerror(errno.EIO) not in str(error):
        return False
    try:
        disk = os.statvfs(path)
        data = path / "data.mdb"
        size = data.stat().st_size if data.exists() else 0
    except OSError:
        return False
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    ends_at = math.inf if most == resource.RLIM_INFINITY else most
    return min(disk.f_bavail * disk.f_frsize, ends_at - size) < _LITTLE_ROOM


def _translated(error: Exception, path: Path) -> StoreError:
    if isinstance(
        error,
        (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.PanicError, lmdb.VersionMismatchError),
    ):
        return StoreCorrupted(f"The store {path} cannot be read: {error}.", hint="Check the disk.", path=str(path))
    full = _is_for_want_of_room(error, path)
    return StoreError(
        f"The store {path} failed: {error}.",
        hint="Free some space: nothing was lost." if full else "Check the disk and its free space.",
        path=str(path),
        **({"status": 507} if full else {}),
    )
