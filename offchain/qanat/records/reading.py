"""Single records of an object in the network: only the slices that they touch are fetched, and each of them once."""

from __future__ import annotations

from functools import lru_cache

from qanat.client.reader import ObjectReader
from qanat.errors import MalformedBundle
from qanat.records.bundle import BundleReader, split_header

__all__ = ["open_bundle"]

#: Slices of an ordinary object that are kept: 8 MiB.
_KEPT = 64


def open_bundle(reader: ObjectReader) -> BundleReader:
    """Return a reader of an object's records. Raises :class:`MalformedBundle` where the object is no bundle.

    Every byte that it reads opens to the commitments under the object's root on chain (and, where the object is
    encrypted, its chunks' tags): what it returns is what stands at that place of the object's data. What the head says
    of the records, their order and their root, holds if whoever stored the object told the truth; so :meth:`find` says
    that a record isn't there only as truly as they are in order.
    """
    head, _ = split_header(reader.manifest.header)
    if head is None:
        raise MalformedBundle("The object is no bundle.")
    if head.size != reader.size:
        raise MalformedBundle(f"The bundle should have {head.size} bytes, the object has {reader.size}.")
    step = reader.manifest.shape.row_payload

    @lru_cache(maxsize=_KEPT)
    def piece(number: int) -> bytes:
        return reader.read(number * step, min((number + 1) * step, head.size))

    def read(start: int, length: int) -> bytes:
        first, last = start // step, (start + length - 1) // step
        joined = b"".join(piece(number) for number in range(first, last + 1))
        return joined[start - first * step : start - first * step + length]

    return BundleReader(head, read)
