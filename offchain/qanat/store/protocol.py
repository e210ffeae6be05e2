"""What a store of slices must do, and the frame in which it keeps each slice."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from qanat.errors import BadParameters, SliceNotFound, StoreCorrupted

__all__ = ["CHECKSUM_BYTES", "SliceStore", "Usage", "frame", "not_found", "slice_key", "split_key", "unframe"]

#: Bytes of the checksum in front of each slice: BLAKE2b over object id, index and bytes, so that exchanged slices
#: are found too.
CHECKSUM_BYTES = 16
_KEY_BYTES = 40


@dataclass(frozen=True)
class Usage:
    """How much a store holds: slices, and their bytes without keys and checksums."""

    slices: int
    bytes: int


@runtime_checkable
class SliceStore(Protocol):
    """Holds slices by (object id of 32 bytes, index). Safe to use from several threads.

    What :meth:`put` took is readable at once, and survives a crash of process or machine from the return of the next
    :meth:`flush` on.
    A put that was never flushed may be lost whole, but never leaves half a slice.
    """

    def put(self, object_id: bytes, index: int, data: bytes) -> None:
        """Keeps a slice, in place of an earlier one. Raises :class:`StoreError` when it cannot (disk full)."""

    def get(self, object_id: bytes, index: int) -> bytes:
        """Returns a slice as it was put.

        Raises :class:`SliceNotFound`, and :class:`StoreCorrupted` when its checksum fails.
        """

    def has(self, object_id: bytes, index: int) -> bool:
        """Whether a slice is held (its bytes are not checked)."""

    def size(self, object_id: bytes, index: int) -> int:
        """Returns the length of a slice (its bytes are not checked). Raises :class:`SliceNotFound`."""

    def delete(self, object_id: bytes, index: int) -> bool:
        """Removes one slice, durably; returns whether there was one."""

    def delete_object(self, object_id: bytes) -> int:
        """Removes all slices of an object, durably; returns how many there were."""

    def indexes(self, object_id: bytes) -> Iterator[int]:
        """Yields the indexes held of an object, ascending, as of the call."""

    def objects(self) -> Iterator[bytes]:
        """Yields the ids of which at least one slice is held, ascending, as of the call."""

    def usage(self) -> Usage:
        """Returns how much is held."""

    def flush(self) -> None:
        """Returns when all that was put before is durable."""

    def close(self) -> None:
        """Flushes and lets go of the store; it cannot be used after."""


def slice_key(object_id: bytes, index: int) -> bytes:
    """Returns the 40-byte key of a slice, ordered by object and index. Raises :class:`BadParameters`."""
    if len(object_id) != 32:
        raise BadParameters(f"An object id has 32 bytes, not {len(object_id)}.")
    if not 0 <= index < 1 << 64:
        raise BadParameters(f"Slice index {index} is out of range.")
    return object_id + index.to_bytes(8, "big")


def split_key(key: bytes) -> tuple[bytes, int]:
    """Returns (object id, index) of a slice's key. Raises :class:`StoreCorrupted`."""
    if len(key) != _KEY_BYTES:
        raise StoreCorrupted(f"A stored key has {len(key)} bytes instead of {_KEY_BYTES}.", key=key)
    return key[:32], int.from_bytes(key[32:], "big")


def not_found(object_id: bytes, index: int) -> SliceNotFound:
    """Returns the error that says that a slice is not here."""
    return SliceNotFound(f"Slice {index} of object 0x{object_id.hex()} is not here.", object_id=object_id, index=index)


def _checksum(key: bytes, data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=CHECKSUM_BYTES, key=key).digest()


def frame(object_id: bytes, index: int, data: bytes) -> bytes:
    """Returns checksum ‖ slice, the form in which a slice rests."""
    return _checksum(slice_key(object_id, index), data) + data


def unframe(object_id: bytes, index: int, framed: bytes | memoryview) -> bytes:
    """Returns the slice of a frame.

    Raises :class:`StoreCorrupted`, which names object and slice, unless the checksum fits.
    """
    view = memoryview(framed)
    if len(view) < CHECKSUM_BYTES or not hmac.compare_digest(
        bytes(view[:CHECKSUM_BYTES]), _checksum(slice_key(object_id, index), view[CHECKSUM_BYTES:])
    ):
        raise StoreCorrupted(
            f"Slice {index} of object 0x{object_id.hex()} is not what was stored.",
            hint="Check the disk; the slice can be rebuilt from other nodes.",
            object_id=object_id,
            index=index,
        )
    return bytes(view[CHECKSUM_BYTES:])
