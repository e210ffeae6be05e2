"""Damage as a disk does it: one byte of one stored slice, changed behind the node's back."""

from __future__ import annotations

import mmap
from pathlib import Path

import lmdb

from qanat.errors import SliceNotFound
from qanat.store.protocol import slice_key

__all__ = ["flip_byte"]

#: The table of `qanat.store.lmdb_store` that holds slices.
_TABLE = b"slices"


def flip_byte(folder: Path, object_id: bytes, index: int) -> int:
    """Flip the lowest bit of a byte in the middle of a stored slice, in the store's file itself.

    :param folder: of the node's LMDB store; the node may run, or be paused.

    Returns the offset in the file. Raises :class:`SliceNotFound` if the store does not hold the slice.
    """
    environment = lmdb.open(str(folder), readonly=True, lock=False, max_dbs=8)
    try:
        with environment.begin(db=environment.open_db(_TABLE, create=False)) as transaction:
            value = transaction.get(slice_key(object_id, index))
    finally:
        environment.close()
    if value is None:
        raise SliceNotFound(f"{folder} holds no slice {index} of object 0x{object_id.hex()}.", index=index)
    with (folder / "data.mdb").open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        # A value longer than a page lies in one piece. Free pages may hold older copies: change them all.
        middle = len(value) // 2
        found = pages.find(value)
        first = found
        while found >= 0:
            pages[found + middle] ^= 1
            found = pages.find(value, found + len(value))
        pages.flush()
    if first < 0:
        raise SliceNotFound(f"Slice {index} lies in pieces in {folder}.", index=index)
    return first + middle
