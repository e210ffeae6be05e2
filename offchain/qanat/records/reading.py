"""Single records of an object in the network: only the slices that they touch are fetched, and each of them once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from qanat.client.reader import ObjectReader
from qanat.errors import MalformedBundle, RecordNotFound
from qanat.records.bundle import END_BYTES, HEAD_BYTES, BundleHead, BundleReader, split_header
from qanat.records.record import HEAD_BYTES as RECORD_HEAD_BYTES
from qanat.records.record import MAX_RECORD_BYTES, Record

__all__ = ["open_bundle", "read_records"]

#: Slices of an ordinary object that are kept: 8 MiB.
_KEPT = 64


def open_bundle(reader: ObjectReader) -> BundleReader:
    """Return a reader of an object's records. Raises :class:`MalformedBundle` where the object is no bundle.

    Every byte that it reads opens to the commitments under the object's root on chain (and, where the object is
    encrypted, its chunks' tags): what it returns is what stands at that place of the object's data. What the head says
    of the records, their order and their root, holds if whoever stored the object told the truth; so :meth:`find` says
    that a record isn't there only as truly as they are in order.
    """
    head = _head(reader)
    step = reader.manifest.shape.row_payload

    @lru_cache(maxsize=_KEPT)
    def piece(number: int) -> bytes:
        return reader.read(number * step, min((number + 1) * step, head.size))

    def read(start: int, length: int) -> bytes:
        first, last = start // step, (start + length - 1) // step
        joined = b"".join(piece(number) for number in range(first, last + 1))
        return joined[start - first * step : start - first * step + length]

    return BundleReader(head, read)


def read_records(reader: ObjectReader, first: int, count: int) -> Iterator[Record]:
    """Yield the records of a bundle from one place on, in one read over all slices that they touch.

    What it says is as true as with :func:`open_bundle`. Raises as that, :class:`RecordNotFound` for places beyond the
    last, :class:`MalformedBundle` and :class:`MalformedRecord` for an index or records that can't be, or that are out
    of order.
    """
    head = _head(reader)
    if first + count > head.count:
        raise RecordNotFound(
            f"There are no records {first} to {first + count - 1}: the bundle has {head.count}.", position=first
        )
    before = max(0, first - 1)
    index = reader.read(HEAD_BYTES + END_BYTES * before, HEAD_BYTES + END_BYTES * (first + count))
    ends = [int.from_bytes(index[at : at + END_BYTES], "big") for at in range(0, len(index), END_BYTES)]
    bounds = ends if first else [0, *ends]
    sizes = [stop - start for start, stop in pairwise(bounds)]
    if min(sizes) < RECORD_HEAD_BYTES or max(sizes) > MAX_RECORD_BYTES or bounds[-1] > head.records_bytes:
        raise MalformedBundle(f"The index doesn't say where records {first} to {first + count - 1} are.")
    held, last = bytearray(), None
    chunks = reader.chunks(head.records_start + bounds[0], head.records_start + bounds[-1])
    for size in sizes:
        while len(held) < size:
            held += next(chunks)
        record = Record.from_bytes(bytes(held[:size]))
        del held[:size]
        if last is not None and record.key <= last:
            raise MalformedBundle(f"Record {record.nonce} of 0x{record.sender.hex()} is out of order, or there twice.")
        last = record.key
        yield record


def _head(reader: ObjectReader) -> BundleHead:
    head, _ = split_header(reader.manifest.header)
    if head is None:
        raise MalformedBundle("The object is no bundle.")
    if head.size != reader.size:
        raise MalformedBundle(f"The bundle should have {head.size} bytes, the object has {reader.size}.")
    return head
