"""Bytes of objects for a process beside the node: a training job, say. Mapped, read-only, microseconds.

::

    with open_reader("node/data") as reader:                # a node's folder, while the node runs or not
        chunk = reader.read(object_id, offset, 4096)        # bytes of the object as it was stored

    write_hot("cache", manifest, object_id, store)          # pin an object's data rows: fewer microseconds
    with open_reader("cache") as reader: ...

Rows 0…k−1 of a matrix are the data, 31 bytes in each element of 32: reading unpacks just the elements that it touches.
What is encrypted comes as it was stored; :mod:`qanat.keys.encryption` opens it in chunks. Only rows that lie here can
be read: :class:`SliceNotFound` names the first that doesn't.

**Checksums.** A slice is verified whole when this reader touches it first, and again whenever its stored checksum has
changed; later reads trust the page cache (``verify="first"``). ``"always"`` hashes the slice at every read, ``"never"``
leaves it to the caller. A slice that fails raises :class:`StoreCorrupted`.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import lmdb

from qanat.errors import BadParameters, SliceNotFound, StoreCorrupted, StoreError
from qanat.objects.manifest import Manifest
from qanat.store.lmdb_store import SLICES
from qanat.store.protocol import CHECKSUM_BYTES, SliceStore, frame, not_found, slice_key, unframe

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ObjectReader", "Verify", "open_reader", "write_hot"]

Verify = Literal["first", "always", "never"]

ELEMENT, PAYLOAD = 32, 31
HOT_SUFFIX = ".hot"
_MAGIC = b"QNTH"
_VERSION = 1
#: magic, version, w, k, n, M, size, object id; then zeros to the first page.
_HEAD = struct.Struct(">4sB4IQ32s")
_PAGE = 4096


@dataclass(frozen=True)
class Shape:
    """What of a manifest says where a byte lies."""

    width: int
    k: int
    n: int
    matrices: int
    size: int


class _Source(Protocol):
    """Where frames (checksum ‖ slice) are mapped."""

    shape: Shape

    def frame(self, index: int) -> Any:
        """Context manager that gives a view of a slice's frame. Raises :class:`SliceNotFound`."""


def open_reader(path: Path | str, *, verify: Verify = "first") -> ObjectReader:
    """Return a reader of what is in a folder: a node's ``data``, or hot files. Raises :class:`StoreError`."""
    return ObjectReader(Path(path), verify)


class ObjectReader:
    """Reads bytes of objects by offset; for one thread. A context manager: leaving it gives the maps up.

    Raises :class:`StoreError` if the folder holds neither slices nor hot files.
    """

    def __init__(self, folder: Path, verify: Verify = "first") -> None:
        if verify not in ("first", "always", "never"):
            raise BadParameters(f"verify is first, always or never, not {verify!r}.")
        self.folder = folder
        self._verify = verify
        self._sources: dict[bytes, _Source] = {}
        #: checksum of each slice as it was when it was verified
        self._verified: dict[bytes, bytes] = {}
        self._node: _NodeFolder | None = None
        if (folder / "slices" / "data.mdb").exists():
            self._node = _NodeFolder(folder)
        elif not any(folder.glob(f"*{HOT_SUFFIX}")):
            raise StoreError(
                f"{folder} holds neither a node's slices nor hot files.",
                hint="Name the folder that node.json calls data, or one that write_hot wrote to.",
                path=str(folder),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the maps up."""
        for source in self._sources.values():
            if isinstance(source, _HotFile):
                source.close()
        self._sources.clear()
        if self._node is not None:
            self._node.close()

    def size(self, object_id: bytes) -> int:
        """Return the bytes of an object as stored. Raises :class:`SliceNotFound` for one that isn't here."""
        return self._source(object_id).shape.size

    def read(self, object_id: bytes, offset: int, length: int) -> bytes:
        """Return bytes of an object; fewer at its end.

        Raises :class:`SliceNotFound` for an object or a row that isn't here, :class:`StoreCorrupted` for a slice whose
        checksum fails, :class:`BadParameters` for a negative offset or length.
        """
        source = self._sources.get(object_id) or self._source(object_id)
        shape = source.shape
        if offset < 0 or length < 0:
            raise BadParameters("Offset and length can't be negative.")
        row_payload = PAYLOAD * shape.width
        end = min(offset + length, shape.size)
        row, at = divmod(offset, row_payload)
        if end - offset <= row_payload - at:
            return self._piece(object_id, source, row, at, end - offset) if end > offset else b""
        parts = []
        while offset < end:
            row, at = divmod(offset, row_payload)
            take = min(end - offset, row_payload - at)
            parts.append(self._piece(object_id, source, row, at, take))
            offset += take
        return b"".join(parts)

    def _piece(self, object_id: bytes, source: _Source, data_row: int, at: int, length: int) -> bytes:
        """Return payload bytes of one data row, counted over all matrices."""
        shape = source.shape
        matrix, row = divmod(data_row, shape.k)
        index = matrix * shape.n + row
        first, skip = divmod(at, PAYLOAD)
        last = (at + length - 1) // PAYLOAD
        with source.frame(index) as view:
            if self._verify != "never":
                self._check(object_id, index, view)
            elements = bytearray(view[CHECKSUM_BYTES + ELEMENT * first : CHECKSUM_BYTES + ELEMENT * (last + 1)])
        if len(elements) != ELEMENT * (last + 1 - first):
            raise _damaged(object_id, index)
        del elements[::ELEMENT]  # the zero byte in front of each payload
        return bytes(elements[skip : skip + length])

    def _check(self, object_id: bytes, index: int, view: memoryview) -> None:
        key = object_id + index.to_bytes(8, "big")
        checksum = bytes(view[:CHECKSUM_BYTES])
        if self._verify == "first" and self._verified.get(key) == checksum:
            return
        unframe(object_id, index, view)
        self._verified[key] = checksum

    def _source(self, object_id: bytes) -> _Source:
        found = self._sources.get(object_id)
        if found is None:
            hot = self.folder / f"{object_id.hex()}{HOT_SUFFIX}"
            if hot.exists():
                found = _HotFile(hot, object_id)
            elif self._node is not None:
                found = self._node.source(object_id)
            else:
                raise SliceNotFound(f"Nothing of object 0x{object_id.hex()} is here.", object_id=object_id)
            self._sources[object_id] = found
        return found


# ---- a node's folder


class _NodeFolder:
    """The LMDB environments of a node, opened as a second process may: read-only, among their readers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slices, self._table = _open(folder / "slices", SLICES)

    def close(self) -> None:
        self.slices.close()

    def source(self, object_id: bytes) -> _Source:
        state, table = _open(self.folder / "state", "manifests")
        try:
            with state.begin(db=table) as transaction:
                body = transaction.get(object_id)
        finally:
            state.close()
        if body is None:
            raise SliceNotFound(f"The manifest of object 0x{object_id.hex()} is not here.", object_id=object_id)
        return _LmdbSource(self, self._table, object_id, _shape(Manifest.from_bytes(body)))


class _LmdbSource:
    """One object's frames in a node's LMDB."""

    def __init__(self, folder: _NodeFolder, table: Any, object_id: bytes, shape: Shape) -> None:
        self.shape = shape
        self._environment, self._table, self._object_id = folder.slices, table, object_id

    @contextmanager
    def frame(self, index: int) -> Iterator[memoryview]:
        try:
            transaction = self._environment.begin(db=self._table, buffers=True)
        except lmdb.MapResizedError:
            self._environment.set_mapsize(0)  # the node's map has grown: take its size
            transaction = self._environment.begin(db=self._table, buffers=True)
        # a transaction of its own for each read: a long one would keep the node from reusing its free pages
        with transaction:
            view = transaction.get(self._object_id + index.to_bytes(8, "big"))
            if view is None:
                raise not_found(self._object_id, index)
            yield view


def _open(path: Path, table: str) -> tuple[Any, Any]:
    try:
        environment = lmdb.open(str(path), readonly=True, max_dbs=16, create=False)
        return environment, environment.open_db(table.encode(), create=False)
    except lmdb.Error as error:
        raise StoreError(f"{path} can't be read beside its node: {error}.", path=str(path)) from error


def _shape(manifest: Manifest) -> Shape:
    return Shape(manifest.width, manifest.k, manifest.n, manifest.matrices, manifest.size)


# ---- hot files


class _HotFile:
    """One object's data rows in a file of their own (docs/format.md, "Hot file")."""

    def __init__(self, path: Path, object_id: bytes) -> None:
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise StoreError(f"The hot file {path} can't be mapped: {error}.", path=str(path)) from error
        if len(self._map) < _PAGE:
            raise StoreCorrupted(f"{path} is no hot file.", path=str(path))
        magic, version, width, k, n, matrices, size, named = _HEAD.unpack_from(self._map)
        self.shape = Shape(width, k, n, matrices, size)
        self._step = CHECKSUM_BYTES + ELEMENT * width
        if version != _VERSION and magic == _MAGIC:
            raise StoreError(
                f"{path} has version {version}; this program knows {_VERSION}.", hint="Write it anew.", path=str(path)
            )
        if magic != _MAGIC or named != object_id or len(self._map) != _PAGE + k * matrices * self._step:
            raise StoreCorrupted(f"{path} is no hot file of object 0x{object_id.hex()}.", path=str(path))
        self._view = memoryview(self._map)

    def close(self) -> None:
        # who still holds a view, an error's traceback say, holds the map
        with suppress(BufferError):
            self._view.release()
            self._map.close()

    @contextmanager
    def frame(self, index: int) -> Iterator[memoryview]:
        matrix, row = divmod(index, self.shape.n)
        start = _PAGE + (matrix * self.shape.k + row) * self._step
        yield self._view[start : start + self._step]


def write_hot(folder: Path | str, manifest: Manifest, object_id: bytes, store: SliceStore) -> Path:
    """Write an object's data rows into a hot file, whole or not at all; return its path.

    ``store`` must hold rows 0…k−1 of every matrix (:class:`SliceNotFound`, :class:`StoreCorrupted`).
    """
    slice_key(object_id, 0)
    target = Path(folder) / f"{object_id.hex()}{HOT_SUFFIX}"
    partial = target.with_name(f".{secrets.token_hex(8)}.partial")
    head = _HEAD.pack(
        _MAGIC, _VERSION, manifest.width, manifest.k, manifest.n, manifest.matrices, manifest.size, object_id
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(head.ljust(_PAGE, b"\0"))
            for matrix in range(manifest.matrices):
                for row in range(manifest.k):
                    index = matrix * manifest.n + row
                    file.write(frame(object_id, index, store.get(object_id, index)))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise StoreError(f"The hot file {target} can't be written: {error}.", path=str(target)) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _damaged(object_id: bytes, index: int) -> StoreCorrupted:
    return StoreCorrupted(
        f"Slice {index} of object 0x{object_id.hex()} has another length than its manifest says.",
        object_id=object_id,
        index=index,
    )
