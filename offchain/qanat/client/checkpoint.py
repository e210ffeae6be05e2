"""Which matrices of an interrupted encoding need not be computed again.

A file of records, one per matrix, in order::

    32 SHA-256 of the matrix's bytes | n * 48 commitments | 32 SHA-256 of what stands before

A record is written only when the matrix's slices have been synced, so whatever stands in the file can be relied on: the
rest of an interrupted write is cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from qanat.errors import FileChanged, FileUnreadable
from qanat.objects import Shape
from qanat.objects.manifest import COMMITMENT_BYTES

__all__ = ["Checkpoint", "write_at"]

SYNC_BYTES = 8 << 20
"""Slices of this many bytes are synced together: a few seconds of work, at most, are done twice."""

_HASH_BYTES = 32


class Checkpoint:
    """The records of one encoding; implements ``qanat.objects.Memory``."""

    def __init__(self, path: Path, descriptor: int, slices: int, shape: Shape) -> None:
        self._path, self._slices, self._shape = path, slices, shape
        self._descriptor = descriptor
        self._record = _HASH_BYTES + shape.n * COMMITMENT_BYTES + _HASH_BYTES
        self._pending: list[bytes] = []
        self._known = self._read()
        self._next = self._known
        os.ftruncate(descriptor, self._known * self._record)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path, slices: int, shape: Shape) -> Iterator[Checkpoint]:
        """Give the records of a file, made if missing; ``slices``: the open slices' file, synced before any record.

        Raises :class:`FileUnreadable`.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileUnreadable(f"{path} can't be written: {error.strerror}.", path=str(path)) from error
        try:
            memory = cls(path, descriptor, slices, shape)
            try:
                yield memory
            finally:
                memory.sync()
        finally:
            os.close(descriptor)

    @property
    def known(self) -> int:
        """How many matrices an earlier try left."""
        return self._known

    def recall(self, matrix: int, digest: bytes) -> Sequence[bytes] | None:
        """Return a matrix's commitments; other bytes than at the earlier try raise :class:`FileChanged`."""
        if matrix >= self._known:
            return None
        record = os.pread(self._descriptor, self._record, matrix * self._record)
        if record[:_HASH_BYTES] != digest:
            raise FileChanged(
                "The file changed since its encoding was interrupted.", hint="Run again: it is encoded anew."
            )
        body = record[_HASH_BYTES:-_HASH_BYTES]
        return [body[at : at + COMMITMENT_BYTES] for at in range(0, len(body), COMMITMENT_BYTES)]

    def keep(self, matrix: int, digest: bytes, commitments: Sequence[bytes]) -> None:
        """Note a matrix; matrices come in order."""
        if matrix != self._next:
            raise ValueError(f"matrix {matrix} after {self._next - 1}")
        self._next += 1
        body = digest + b"".join(commitments)
        self._pending.append(body + hashlib.sha256(body).digest())
        if len(self._pending) * self._shape.n * self._shape.slice_bytes >= SYNC_BYTES:
            self.sync()

    def sync(self) -> None:
        """Sync the slices, then write and sync the records of their matrices."""
        try:
            os.fsync(self._slices)
            first = self._next - len(self._pending)
            write_at(self._descriptor, b"".join(self._pending), first * self._record)
            os.fsync(self._descriptor)
        except OSError as error:
            raise FileUnreadable(f"{self._path} can't be written: {error.strerror}.", path=str(self._path)) from error
        self._pending.clear()

    def _read(self) -> int:
        """Return how many whole records there are, and whose slices the slices' file has."""
        size = os.fstat(self._descriptor).st_size
        matrix_bytes = self._shape.n * self._shape.slice_bytes
        count = min(size // self._record, os.fstat(self._slices).st_size // matrix_bytes)
        for matrix in range(count):
            record = os.pread(self._descriptor, self._record, matrix * self._record)
            if hashlib.sha256(record[:-_HASH_BYTES]).digest() != record[-_HASH_BYTES:]:
                return matrix
        return count


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of the bytes at a place in a file; the system may take them in parts. Raises :class:`OSError`."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
