"""Where records are durable from when they are acknowledged until their bundle is: a file that only grows.

Layout: docs/format.md, "Records journal". An entry is written whole and synced before anybody is told; one that was cut
short by a crash was told to nobody, and is cut off at the next start.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qanat.client.job import sync_folder
from qanat.errors import MalformedRecord, StoreCorrupted, StoreError
from qanat.records.record import split_records

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Journal"]

MAGIC = b"QNTJ\x01"
_HEAD_BYTES = len(MAGIC) + 32
_ENTRY = struct.Struct(">II")
#: More than any one commit holds.
_MAX_ENTRY_BYTES = 1 << 30


class Journal:
    """The journal of one bundle in the making. Not for several threads at once."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path, stream: bytes) -> Self:
        """Begin a journal, durably. Raises :class:`StoreError`."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            made = cls(path, descriptor)
            made._write(MAGIC + stream)
            sync_folder(path.parent)
        except OSError as error:
            raise StoreError(f"{path} can't be made: {error.strerror}.", path=str(path)) from error
        return made

    @classmethod
    def resume(cls, path: Path, stream: bytes) -> tuple[Self, list[bytes]]:
        """Open a journal again and return what it holds, without the end of a write that a crash cut short.

        Raises :class:`StoreError`, and :class:`StoreCorrupted` for one of another stream or kind.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            data = path.read_bytes()
            whole, records = _parse(data, stream, path)
            if whole != len(data):
                os.ftruncate(descriptor, whole)
            os.lseek(descriptor, whole, os.SEEK_SET)
            made = cls(path, descriptor)
            if whole == 0:
                made._write(MAGIC + stream)
            os.fsync(descriptor)
        except OSError as error:
            raise StoreError(f"{path} can't be read: {error.strerror}.", path=str(path)) from error
        return made, records

    def append(self, records: Sequence[bytes]) -> None:
        """Write whole records; durable on return. Raises :class:`StoreError`: nothing more may be written then."""
        body = b"".join(records)
        try:
            self._write(_ENTRY.pack(len(body), zlib.crc32(body)) + body)
        except OSError as error:
            raise StoreError(
                f"{self.path} can't be written: {error.strerror}.", hint="Free some space.", path=str(self.path)
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fdatasync(self._descriptor)


def _parse(data: bytes, stream: bytes, path: Path) -> tuple[int, list[bytes]]:
    """Return how many bytes are whole, and the records in them."""
    head = MAGIC + stream
    if data[:_HEAD_BYTES] != head:
        if head.startswith(data):  # cut short while it was begun
            return 0, []
        raise StoreCorrupted(f"{path} is no journal of this stream.", hint="Choose another folder.", path=str(path))
    records: list[bytes] = []
    at = _HEAD_BYTES
    while at + _ENTRY.size <= len(data):
        length, checksum = _ENTRY.unpack_from(data, at)
        body = data[at + _ENTRY.size : at + _ENTRY.size + length]
        if length > _MAX_ENTRY_BYTES or len(body) != length or zlib.crc32(body) != checksum:
            break
        try:
            records += split_records(body)
        except MalformedRecord as error:
            raise StoreCorrupted(f"{path} holds an entry that is no records.", path=str(path)) from error
        at += _ENTRY.size + length
    return at, records
