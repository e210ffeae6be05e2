"""A bundle: many signed records as one file, hence one object, one certificate. Format: docs/format.md, "Bundles".

::

    head, 81 bytes │ ends: uint32 × count │ records, ordered by (sender, nonce)
    "QNTB" | u8 version=1 | 32 stream | u32 count | u64 records' bytes | 32 tree root

Record i stands from ends[i−1] (0 for the first) to ends[i] of the records' bytes: found by its position in one step,
by its sender and nonce in log₂ count. The order is strict, so that one set of records is one bundle, none is in it
twice, and two neighbours prove that what would stand between them isn't there.

The head begins the stored bytes *and* the manifest's header, which the root on chain commits: from that root alone
anybody can check that a record is in the object (:mod:`qanat.records.proof`).
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from qanat.errors import BadParameters, FileUnreadable, MalformedBundle, RecordNotFound
from qanat.objects.tree import depth_of
from qanat.records.record import HEAD_BYTES as RECORD_HEAD_BYTES
from qanat.records.record import MAX_RECORD_BYTES, Record
from qanat.records.tree import RecordTree

__all__ = [
    "HEAD_BYTES",
    "Bundle",
    "BundleHead",
    "BundleReader",
    "head_of_file",
    "make_bundle",
    "split_header",
]

MAGIC = b"QNTB"
VERSION = 1
MAX_RECORDS = (1 << 32) - 1
#: Ends are 32 bits wide.
MAX_RECORDS_BYTES = (1 << 32) - 1
END_BYTES = 4

_LAYOUT = struct.Struct(">4sB32sIQ32s")
HEAD_BYTES = _LAYOUT.size


@dataclass(frozen=True)
class BundleHead:
    """What a bundle is: its stream, number and bytes of records, and the root of the tree over them.

    Values that contradict each other raise :class:`MalformedBundle`.
    """

    stream: bytes
    count: int
    records_bytes: int
    tree_root: bytes

    def __post_init__(self) -> None:
        if len(self.stream) != 32 or len(self.tree_root) != 32:
            raise MalformedBundle("A bundle's stream and root have 32 bytes.")
        if not 1 <= self.count <= MAX_RECORDS:
            raise MalformedBundle(f"A bundle has 1 to {MAX_RECORDS} records, not {self.count}.", count=self.count)
        low, high = self.count * RECORD_HEAD_BYTES, min(MAX_RECORDS_BYTES, self.count * MAX_RECORD_BYTES)
        if not low <= self.records_bytes <= high:
            raise MalformedBundle(f"{self.count} records have {low} to {high} bytes, not {self.records_bytes}.")

    @property
    def depth(self) -> int:
        """Height of the tree."""
        return depth_of(self.count)

    @property
    def records_start(self) -> int:
        """Where the first record stands in the file."""
        return HEAD_BYTES + END_BYTES * self.count

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.records_start + self.records_bytes

    def to_bytes(self) -> bytes:
        """Write the head."""
        return _LAYOUT.pack(MAGIC, VERSION, self.stream, self.count, self.records_bytes, self.tree_root)

    @classmethod
    def from_bytes(cls, data: bytes) -> BundleHead:
        """Read a head strictly: another length, magic or version raises :class:`MalformedBundle`."""
        if len(data) != HEAD_BYTES:
            raise MalformedBundle(f"A bundle's head has {HEAD_BYTES} bytes, not {len(data)}.")
        magic, version, stream, count, size, root = _LAYOUT.unpack(data)
        if magic != MAGIC:
            raise MalformedBundle("These bytes are no bundle: they don't begin with QNTB.")
        if version != VERSION:
            raise MalformedBundle(f"A bundle of version {version}: this program reads version {VERSION}.")
        return cls(stream, count, size, root)


def split_header(header: bytes) -> tuple[BundleHead | None, bytes]:
    """Split a manifest's header into a bundle's head, if it is a bundle's, and what follows: an encryption's, or none.

    Raises :class:`MalformedBundle` for a header that begins like a bundle's and is none.
    """
    if not header.startswith(MAGIC):
        return None, header
    return BundleHead.from_bytes(header[:HEAD_BYTES]), header[HEAD_BYTES:]


def head_of_file(path: str | Path) -> bytes:
    """Return the head that begins a bundle's file, b"" for a file of another kind.

    Raises :class:`MalformedBundle` for one that begins like a bundle but can't be one, :class:`FileUnreadable`.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
    except OSError as error:
        raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error
    if not data.startswith(MAGIC):
        return b""
    head = BundleHead.from_bytes(data)
    if head.size != size:
        raise MalformedBundle(f"The bundle {path} should have {head.size} bytes and has {size}.", path=str(path))
    return data


class BundleReader:
    """Reads single records through a function that reads bytes: of a file, or of an object in the network.

    :param head: what the records are checked against by their proofs.
    :param read: takes (start, length), returns exactly that part of the bundle's bytes.

    What it returns is well formed; that it is *true* is for a proof, or :meth:`Bundle.check`, to say.
    """

    def __init__(self, head: BundleHead, read: Callable[[int, int], bytes]) -> None:
        self.head = head
        self._read = read

    def __len__(self) -> int:
        return self.head.count

    def record_bytes(self, position: int) -> bytes:
        """Return a whole record. Raises :class:`RecordNotFound` beyond the last, :class:`MalformedBundle`."""
        if not 0 <= position < self.head.count:
            raise RecordNotFound(f"There is no record {position}: the bundle has {self.head.count}.", position=position)
        first = max(0, position - 1)
        ends = self._read(HEAD_BYTES + END_BYTES * first, END_BYTES * (position + 1 - first))
        stop = int.from_bytes(ends[-END_BYTES:], "big")
        start = int.from_bytes(ends[:END_BYTES], "big") if position else 0
        if not start + RECORD_HEAD_BYTES <= stop <= self.head.records_bytes or stop - start > MAX_RECORD_BYTES:
            raise MalformedBundle(f"The index says that record {position} is from {start} to {stop}.")
        return self._read(self.head.records_start + start, stop - start)

    def record(self, position: int) -> Record:
        """Return a record. Raises as :meth:`record_bytes`, and :class:`MalformedRecord`."""
        return Record.from_bytes(self.record_bytes(position))

    def find(self, sender: bytes, nonce: int) -> int:
        """Return the position of a sender's record. Raises :class:`RecordNotFound`."""
        wanted = (sender, nonce)
        position = bisect_left(range(self.head.count), wanted, key=lambda at: self.record(at).key)
        if position == self.head.count or self.record(position).key != wanted:
            raise RecordNotFound(
                f"The bundle has no record {nonce} of 0x{sender.hex()}.", sender=sender, nonce=nonce, position=position
            )
        return position


class Bundle(BundleReader):
    """A bundle whose bytes are all at hand."""

    def __init__(self, data: bytes) -> None:
        """Read a bundle's bytes; a head that doesn't fit them raises :class:`MalformedBundle`."""
        head = BundleHead.from_bytes(data[:HEAD_BYTES])
        if head.size != len(data):
            raise MalformedBundle(f"This bundle should have {head.size} bytes and has {len(data)}.")
        super().__init__(head, lambda start, length: data[start : start + length])
        self.data = data

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read a bundle's file. Raises :class:`FileUnreadable`, :class:`MalformedBundle`."""
        try:
            return cls(Path(path).read_bytes())
        except OSError as error:
            raise FileUnreadable(f"{path} can't be read: {error.strerror}.", path=str(path)) from error

    def __iter__(self) -> Iterator[Record]:
        return map(Record.from_bytes, self.records)

    @cached_property
    def records(self) -> list[bytes]:
        """All records, whole. Raises :class:`MalformedBundle` unless the index is in order and covers all bytes."""
        ends = np.frombuffer(self.data, dtype=">u4", count=self.head.count, offset=HEAD_BYTES).astype(np.int64)
        steps = np.diff(ends, prepend=0)
        low, high = int(steps.min()), int(steps.max())
        if low < RECORD_HEAD_BYTES or high > MAX_RECORD_BYTES or int(ends[-1]) != self.head.records_bytes:
            raise MalformedBundle("The bundle's index doesn't divide its bytes into records.")
        begin = self.head.records_start
        starts = (ends - steps + begin).tolist()
        return [self.data[start:stop] for start, stop in zip(starts, (ends + begin).tolist(), strict=True)]

    @cached_property
    def tree(self) -> RecordTree:
        """The tree over the records."""
        return RecordTree(self.records)

    def check(self) -> None:
        """Raise :class:`MalformedBundle` or :class:`MalformedRecord` unless every byte is as the head says.

        The records are well formed and strictly ordered, and have the head's root; signatures apart.
        """
        last: tuple[bytes, int] | None = None
        for record in self:
            if last is not None and record.key <= last:
                raise MalformedBundle(
                    f"Record {record.nonce} of 0x{record.sender.hex()} is out of order, or there twice."
                )
            last = record.key
        if self.tree.root != self.head.tree_root:
            raise MalformedBundle(
                "The bundle's records don't have the root that its head names.",
                expected=self.head.tree_root,
                got=self.tree.root,
            )


def make_bundle(stream: bytes, records: Sequence[bytes]) -> Bundle:
    """Make the bundle of whole records, in any order. Two of one sender and nonce, or none, raise BadParameters."""
    if not records:
        raise BadParameters("A bundle has at least one record.")
    # the first 28 bytes are sender and nonce
    ordered = sorted(records, key=lambda record: record[:28])
    for one, other in pairwise(ordered):
        if one[:28] == other[:28]:
            raise BadParameters(
                f"Two records of 0x{one[:20].hex()} have the nonce {int.from_bytes(one[20:28], 'big')}."
            )
    tree = RecordTree(ordered)
    ends = np.cumsum(np.fromiter(map(len, ordered), dtype=np.int64, count=len(ordered)))
    head = BundleHead(stream, len(ordered), int(ends[-1]), tree.root)
    bundle = Bundle(b"".join([head.to_bytes(), ends.astype(">u4").tobytes(), *ordered]))
    # known already: nobody has to make them again
    bundle.__dict__.update(records=ordered, tree=tree)
    return bundle
