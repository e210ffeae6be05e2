"""Slices in any file system that fsspec speaks to: ``s3://bucket/prefix``, ``gs://…``, ``sftp://…``, ``file:///…``.

One file per slice, ``<object id>/<index, 16 hex digits>``, holding checksum ‖ slice. A file is never seen half-written:
object stores show an upload when it is whole, elsewhere it is written under another name and moved. Whatever a server
does all the same, the checksum finds.

One process owns a prefix. What is there is listed once, at the first call; afterwards it is known without asking.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from qanat.errors import BadParameters, StoreCorrupted, StoreError
from qanat.store.protocol import CHECKSUM_BYTES, Usage, frame, not_found, slice_key, unframe

__all__ = ["FsspecStore"]

T = TypeVar("T")
_VERSION = 1
_MARKER = "qanat-store.json"
_PARTIAL = ".partial"
_NAME = re.compile(r"([0-9a-f]{64})/([0-9a-f]{16})\Z")
#: Uploads that are visible only when whole; elsewhere files are written beside and moved.
_WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "r2", "memory"}
_LOCAL = {"file", "local"}
_GATHER_BYTES = 16 << 20
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class FsspecStore:
    """A :class:`SliceStore` under a URL.

    :param url: what ``fsspec.core.url_to_fs`` takes; the path names a folder or prefix that is this store's alone.
    :param options: for the file system (``endpoint_url``, ``anon``, …). Secrets are better left where its library finds
        them by itself: environment, profile, instance role.
    :param attempts: how often a call is tried before its error is told, with growing pauses between.
    :param threads: calls at once.

    Puts gather; ``flush`` returns when the file system has confirmed them all. Raises :class:`StoreError` for whatever
    the file system fails at, :class:`BadParameters` for a URL that fsspec can't use.
    """

    def __init__(
        self, url: str, *, options: dict[str, Any] | None = None, attempts: int = 5, threads: int = 16
    ) -> None:
        self.url = url
        self._attempts = max(1, attempts)
        try:
            self._fs, path = fsspec.core.url_to_fs(
                url, **{"use_listings_cache": False, "skip_instance_cache": True, **(options or {})}
            )
        except (ValueError, ImportError, TypeError) as error:
            raise BadParameters(f"The store's URL {url!r} can't be used: {error}.", field="url") from error
        self._root = path.rstrip("/")
        self._kind = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
        self._pool = ThreadPoolExecutor(threads, "cold")
        self._lock = threading.Lock()
        self._gathered: dict[bytes, bytes] = {}
        self._gathered_bytes = 0
        self._flush_lock = threading.Lock()
        self._sizes: dict[bytes, dict[int, int]] | None = None
        self._closed = False
        try:
            self._check_version()
        except BaseException:
            self._pool.shutdown()
            raise

    # ---- SliceStore

    def put(self, object_id: bytes, index: int, data: bytes) -> None:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        framed = frame(object_id, index, data)
        with self._lock:
            self._check_open()
            full = self._gathered_bytes >= _GATHER_BYTES
        if full:
            self.flush()  # before this one is taken: where nothing can be written, nothing more gathers
        with self._lock:
            self._gathered_bytes += len(framed) - len(self._gathered.get(key, b""))
            self._gathered[key] = framed

    def get(self, object_id: bytes, index: int) -> bytes:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        with self._lock:
            self._check_open()
            framed = self._gathered.get(key)
        if framed is None and index not in self._known().get(object_id, {}):
            with self._lock:
                framed = self._gathered.get(key)
            if framed is None:
                raise not_found(object_id, index)
        if framed is not None:
            return unframe(object_id, index, framed)
        try:
            return unframe(object_id, index, self._read(object_id, index))
        except StoreCorrupted:
            return unframe(object_id, index, self._read(object_id, index))  # it may have been the way, not the disk

    def has(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        known = self._known()
        with self._lock:
            self._check_open()
            return key in self._gathered or index in known.get(object_id, {})

    def size(self, object_id: bytes, index: int) -> int:
        """See :class:`SliceStore`."""
        key = slice_key(object_id, index)
        known = self._known()
        with self._lock:
            self._check_open()
            if key in self._gathered:
                return len(self._gathered[key]) - CHECKSUM_BYTES
            found = known.get(object_id, {}).get(index)
        if found is None:
            raise not_found(object_id, index)
        return found

    def delete(self, object_id: bytes, index: int) -> bool:
        """See :class:`SliceStore`."""
        return self._remove(object_id, [slice_key(object_id, index)]) > 0

    def delete_object(self, object_id: bytes) -> int:
        """See :class:`SliceStore`."""
        return self._remove(object_id, [slice_key(object_id, index) for index in self.indexes(object_id)])

    def indexes(self, object_id: bytes) -> Iterator[int]:
        """See :class:`SliceStore`."""
        slice_key(object_id, 0)
        known = self._known()
        with self._lock:
            self._check_open()
            gathered = {int.from_bytes(key[32:], "big") for key in self._gathered if key[:32] == object_id}
            return iter(sorted(gathered.union(known.get(object_id, {}))))

    def objects(self) -> Iterator[bytes]:
        """See :class:`SliceStore`."""
        known = self._known()
        with self._lock:
            self._check_open()
            return iter(sorted({key[:32] for key in self._gathered}.union(known)))

    def usage(self) -> Usage:
        """See :class:`SliceStore`."""
        known = self._known()
        with self._lock:
            self._check_open()
            slices = sum(len(sizes) for sizes in known.values())
            stored = sum(sum(sizes.values()) for sizes in known.values())
            for key, framed in self._gathered.items():
                old = known.get(key[:32], {}).get(int.from_bytes(key[32:], "big"))
                slices += old is None
                stored += len(framed) - CHECKSUM_BYTES - (old or 0)
        return Usage(slices, stored)

    def flush(self) -> None:
        """See :class:`SliceStore`."""
        known = self._known()
        with self._flush_lock:
            with self._lock:
                leaving = dict(self._gathered)
            failures: list[StoreError] = []
            for (key, framed), error in zip(
                leaving.items(), self._pool.map(self._upload, leaving.items()), strict=True
            ):
                if error is not None:
                    failures.append(error)
                    continue
                with self._lock:
                    known.setdefault(key[:32], {})[int.from_bytes(key[32:], "big")] = len(framed) - CHECKSUM_BYTES
                    if self._gathered.get(key) is framed:
                        del self._gathered[key]
                        self._gathered_bytes -= len(framed)
            if failures:
                raise failures[0]

    def close(self) -> None:
        """See :class:`SliceStore`."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._pool.shutdown()

    # ---- files

    def _path(self, object_id: bytes, index: int) -> str:
        return f"{self._root}/{object_id.hex()}/{index:016x}"

    def _upload(self, item: tuple[bytes, bytes]) -> StoreError | None:
        key, framed = item
        try:
            self._write(self._path(key[:32], int.from_bytes(key[32:], "big")), framed)
        except StoreError as error:
            return error
        return None

    def _write(self, path: str, body: bytes) -> None:
        """Write a file so that it is there whole or not at all."""
        if self._kind & _LOCAL:
            self._try(f"write {path}", lambda: _write_synced(Path(path), Path(self._root) / _PARTIAL, body))
        elif self._kind & _WHOLE:
            self._try(f"write {path}", lambda: self._fs.pipe_file(path, body))
        else:
            beside = f"{self._root}/{_PARTIAL}/{secrets.token_hex(16)}"

            def write() -> None:
                self._fs.makedirs(f"{self._root}/{_PARTIAL}", exist_ok=True)
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(beside, body)
                self._fs.mv(beside, path)

            self._try(f"write {path}", write)

    def _read(self, object_id: bytes, index: int) -> bytes:
        path = self._path(object_id, index)
        try:
            return bytes(self._try(f"read {path}", lambda: self._fs.cat_file(path)))
        except FileNotFoundError as error:
            with self._lock:
                if self._sizes is not None:
                    self._sizes.get(object_id, {}).pop(index, None)
            raise not_found(object_id, index) from error

    def _remove(self, object_id: bytes, keys: list[bytes]) -> int:
        known = self._known()
        with self._flush_lock:
            with self._lock:
                self._check_open()
                found = {key for key in keys if key in self._gathered}
                for key in found:
                    self._gathered_bytes -= len(self._gathered.pop(key))
                indexes = [int.from_bytes(key[32:], "big") for key in keys]
                stored = [index for index in indexes if index in known.get(object_id, {})]

            def remove(index: int) -> None:
                path = self._path(object_id, index)
                try:
                    self._try(f"delete {path}", lambda: self._fs.rm_file(path))
                except FileNotFoundError:
                    return

            for index, _ in zip(stored, self._pool.map(remove, stored), strict=True):
                found.add(slice_key(object_id, index))
                with self._lock:
                    known[object_id].pop(index, None)
                    if not known[object_id]:
                        del known[object_id]
            return len(found)

    def _known(self) -> dict[bytes, dict[int, int]]:
        """Return the lengths of all slices by object and index, listed once."""
        with self._lock:
            if self._sizes is None:
                found = self._try(f"list {self._root}", self._list)
                self._sizes = {}
                for path, size in found.items():
                    name = _NAME.search(path)
                    if name is not None and f"/{_PARTIAL}/" not in path:
                        sizes = self._sizes.setdefault(bytes.fromhex(name[1]), {})
                        sizes[int(name[2], 16)] = max(0, size - CHECKSUM_BYTES)
            return self._sizes

    def _list(self) -> dict[str, int]:
        try:
            found = self._fs.find(self._root, detail=True)
        except FileNotFoundError:
            return {}
        return {str(path): int(details.get("size") or 0) for path, details in found.items()}

    def _check_version(self) -> None:
        path = f"{self._root}/{_MARKER}"
        try:
            marker = json.loads(self._try(f"read {path}", lambda: self._fs.cat_file(path)))
            version = int(marker["version"])
        except FileNotFoundError:
            self._write(path, json.dumps({"kind": "qanat slices", "version": _VERSION}).encode())
            return
        except (ValueError, KeyError, TypeError) as error:
            raise StoreCorrupted(f"{self.url}: {_MARKER} can't be read: {error}.", path=path) from error
        if version > _VERSION:
            raise StoreError(
                f"The store {self.url} has version {version} of its format; this program knows {_VERSION}.",
                hint="Run the program that wrote it, or a newer one; nothing was changed.",
                version=version,
                known=_VERSION,
            )

    def _try(self, what: str, call: Callable[[], T]) -> T:
        """Call until it works or was tried often enough. A missing file and a forbidden one are told at once."""
        tries, pause = 0, _FIRST_PAUSE
        while True:
            tries += 1
            try:
                return call()
            except FileNotFoundError:
                raise
            except (PermissionError, ValueError, TypeError, NotImplementedError) as error:
                raise self._failed(what, error, "Check URL, options and credentials.") from error
            except Exception as error:  # each file system raises what its library does
                if tries >= self._attempts:
                    raise self._failed(what, error, "Is the file system up and reachable?") from error
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311  (spreads tries; no secret)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _failed(self, what: str, error: Exception, hint: str) -> StoreError:
        return StoreError(
            f"The store {self.url} could not {what}: {type(error).__name__} {error}.", hint=hint, url=self.url
        )

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"The store {self.url} is closed.")


def _write_synced(path: Path, beside: Path, body: bytes) -> None:
    """Write a local file, its bytes and its name durable on return."""
    beside.mkdir(parents=True, exist_ok=True)
    fresh = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = beside / secrets.token_hex(16)
    try:
        with partial.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    for folder in (path.parent, path.parent.parent) if fresh else (path.parent,):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
