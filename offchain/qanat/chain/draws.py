"""What an operator is asked in an epoch, computed without a chain: the formulas of ``IAudits``.

::

    draw = Draw.of(context, snapshot, samples)     # samples: the shard's q
    reads = follow(draw, epoch, non_signers_of)    # every position that must be read, in order
    live = [read for read in reads if read.void is None]
    bound = transcript_hash((read.object_id, read.slice, point_of(read)) for read in live)
    z, gammas = opening_point(context, bound), fold_weights(context, bound, len(live))

Everything here is a function of its arguments. :mod:`qanat.chain.snapshots` reads the snapshot from a chain,
:mod:`qanat.node.answer` makes the response.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from qanat.errors import BadParameters

__all__ = [
    "BUCKETS",
    "READS_PER_SAMPLE",
    "SCALAR_MODULUS",
    "Bucket",
    "Draw",
    "ListedObject",
    "Place",
    "Read",
    "Snapshot",
    "Spot",
    "Void",
    "draw_context",
    "fold_weights",
    "follow",
    "locate",
    "non_signers_hash",
    "opening_point",
    "position_of",
    "row_of_ticket",
    "slice_at",
    "transcript_hash",
]

#: Order of the groups of BLS12-381: modulus of z and the weights.
SCALAR_MODULUS = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001

#: Lists of objects per roster, by end epoch.
BUCKETS = 8

#: Positions that are read at most, as a multiple of the samples asked for.
READS_PER_SAMPLE = 4

CHALLENGE_TAG = bytes(keccak(text="qanat/v1/challenge"))

_STRATUM, _POINT, _WEIGHT, _REPLACEMENT = 0, 1, 2, 3


class Void(Enum):
    """Why a drawn position opens nothing."""

    EXPIRED = "expired"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a bucket, as it counts in one epoch; ``start … end - 1``: its positions in each ticket's part of it.

    ``index`` counts from 0 in the bucket's list; ``end_epoch`` is the first epoch in which it is void there: it has
    ended, or stands in a later bucket.
    """

    index: int
    object_id: bytes
    start: int
    end: int
    end_epoch: int
    n: int
    matrices: int
    manifest_root: bytes
    non_signers_hash: bytes


@dataclass(frozen=True)
class Bucket:
    """One list of a roster as of B_e: positions of each ticket in it, and its objects in order (later ones follow)."""

    rows: int
    objects: Sequence[ListedObject]

    def at(self, offset: int) -> ListedObject:
        """Return the object that holds a position below ``rows``."""
        found = self.find(offset)
        if found < 0 or not 0 <= offset < self.rows:
            raise BadParameters(f"Position {offset} is not below the bucket's {self.rows}.", offset=offset)
        return self.objects[found]

    def find(self, offset: int) -> int:
        """Return the index of the last object that begins at or before an offset; -1: none."""
        return bisect_right(self.objects, offset, key=lambda item: item.start) - 1


@dataclass(frozen=True)
class Place:
    """An operator's place in one roster as of B_e.

    ``index``: of its entry; ``roster_tickets``: T; ``held``: live signed rows of all its tickets.
    """

    roster: int
    roster_tickets: int
    index: int
    first_ticket: int
    tickets: int
    held: int
    buckets: tuple[Bucket, ...]

    @property
    def rows_per_ticket(self) -> int:
        """Positions of one ticket, over all buckets."""
        return sum(bucket.rows for bucket in self.buckets)

    @property
    def rows(self) -> int:
        """Positions of the place."""
        return self.tickets * self.rows_per_ticket


@dataclass(frozen=True)
class Snapshot:
    """All of an operator's places in an epoch, rosters ascending."""

    places: tuple[Place, ...]

    @property
    def rows(self) -> int:
        """S, the number of positions."""
        return sum(place.rows for place in self.places)

    @property
    def held(self) -> int:
        """Live signed rows; 0: no duty."""
        return sum(place.held for place in self.places)


@dataclass(frozen=True)
class Spot:
    """Where a position lies: place, ticket, bucket, and the offset in the ticket's part of the bucket."""

    place: Place
    ticket: int
    bucket: int
    offset: int


@dataclass(frozen=True)
class Read:
    """One position that a draw names. ``void``: why there is nothing to open, None for a live row."""

    number: int
    position: int
    spot: Spot
    listed: ListedObject
    slice: int
    void: Void | None
    non_signers: tuple[int, ...]

    @property
    def object_id(self) -> bytes:
        """The object's id."""
        return self.listed.object_id


@dataclass(frozen=True)
class Draw:
    """A draw: its context, the snapshot, and q' = min(q, held)."""

    context: bytes
    snapshot: Snapshot
    samples: int

    @classmethod
    def of(cls, context: bytes, snapshot: Snapshot, samples: int) -> Draw:
        """Return the draw of a shard that asks for ``samples`` rows."""
        return cls(context, snapshot, min(samples, snapshot.held))

    @property
    def most(self) -> int:
        """Positions that are read at most: 4q'."""
        return READS_PER_SAMPLE * self.samples

    def positions(self) -> Iterator[int]:
        """Yield the position of each read, all 4q' of them."""
        rows = self.snapshot.rows
        for number in range(self.most):
            yield position_of(self.context, rows, self.samples, number)


def draw_context(chain_id: int, audits: str, shard: int, epoch: int, seed: bytes, operator: str) -> bytes:
    """Return ctx = keccak(abi.encode(tag, chain id, Audits, shard, epoch, seed, operator)), 32 bytes."""
    kinds = ["bytes32", "uint256", "address", "uint32", "uint64", "bytes32", "address"]
    return bytes(keccak(encode(kinds, [CHALLENGE_TAG, chain_id, audits, shard, epoch, seed, operator])))


def position_of(context: bytes, rows: int, samples: int, number: int) -> int:
    """Return the position of read ``number`` among ``rows``.

    The first ``samples`` lie one in each stratum, all later ones anywhere (a void that were replaced within its stratum
    would break the detection claim). Raises :class:`BadParameters` where nothing is drawn.
    """
    if not 0 < samples <= rows:
        raise BadParameters(f"Nothing can be drawn: {samples} samples of {rows} rows.", samples=samples, rows=rows)
    if number >= samples:
        return _number(context, _REPLACEMENT, number - samples) % rows
    begin, end = number * rows // samples, (number + 1) * rows // samples
    return begin + _number(context, _STRATUM, number) % (end - begin)


def locate(snapshot: Snapshot, position: int) -> Spot:
    """Resolve a position of the snapshot to roster, ticket, bucket and offset.

    Raises :class:`BadParameters` for a position outside the snapshot.
    """
    rest = position
    for place in snapshot.places:
        if rest >= place.rows:
            rest -= place.rows
            continue
        if rest < 0:
            break
        ticket, rest = divmod(rest, place.rows_per_ticket)
        for number, bucket in enumerate(place.buckets):
            if rest < bucket.rows:
                return Spot(place, place.first_ticket + ticket, number, rest)
            rest -= bucket.rows
    raise BadParameters(f"Position {position} lies outside the snapshot's {snapshot.rows}.", position=position)


def row_of_ticket(object_id: bytes, tickets: int, ticket: int, turn: int) -> int:
    """Return the ``turn``-th row (from 0) of every matrix that a ticket holds: ((ticket − offset) mod T) + turn·T."""
    offset = int.from_bytes(keccak(object_id), "big") % tickets
    return (ticket - offset) % tickets + turn * tickets


def slice_at(listed: ListedObject, tickets: int, ticket: int, offset: int) -> int:
    """Return the slice index matrix·n + row at a position of a ticket's part of the object's bucket."""
    matrix, turn = divmod(offset - listed.start, listed.n // tickets)
    return matrix * listed.n + row_of_ticket(listed.object_id, tickets, ticket, turn)


def follow(draw: Draw, epoch: int, non_signers_of: Callable[[ListedObject], Sequence[int]]) -> list[Read]:
    """Return every position that a response must show, in order: up to q' live rows or 4q' positions.

    ``non_signers_of`` gives the roster indexes of those that did not sign an object; it is asked for incomplete objects
    only. Raises :class:`BadParameters` when its answer does not fit the object's hash.
    """
    reads: list[Read] = []
    live = 0
    for number, position in enumerate(draw.positions()):
        if live == draw.samples:
            break
        spot = locate(draw.snapshot, position)
        listed = spot.place.buckets[spot.bucket].at(spot.offset)
        index = slice_at(listed, spot.place.roster_tickets, spot.ticket, spot.offset)
        void, absent = _void(listed, spot.place.index, epoch, non_signers_of)
        reads.append(Read(number, position, spot, listed, index, void, absent))
        live += void is None
    return reads


def _void(
    listed: ListedObject, index: int, epoch: int, non_signers_of: Callable[[ListedObject], Sequence[int]]
) -> tuple[Void | None, tuple[int, ...]]:
    if epoch >= listed.end_epoch:
        return Void.EXPIRED, ()
    absent = () if listed.non_signers_hash == non_signers_hash(()) else tuple(non_signers_of(listed))
    if non_signers_hash(absent) != listed.non_signers_hash:
        raise BadParameters(
            f"The list of those who did not sign object 0x{listed.object_id.hex()} does not fit its hash.",
            hint="Read it from the object's ObjectCertified and ObjectAdopted events.",
            object_id=listed.object_id,
        )
    return (Void.UNSIGNED if index in absent else None), absent


def non_signers_hash(indexes: Sequence[int]) -> bytes:
    """Return keccak of the roster indexes, ascending, two bytes each."""
    return bytes(keccak(b"".join(index.to_bytes(2, "big") for index in indexes)))


def transcript_hash(entries: Iterable[tuple[bytes, int, bytes]]) -> bytes:
    """Return L: keccak of (object id, slice index as uint64, raw 96-byte commitment) of every live row, in order."""
    return bytes(keccak(b"".join(name + index.to_bytes(8, "big") + point for name, index, point in entries)))


def opening_point(context: bytes, bound: bytes) -> int:
    """Return z = H(ctx, 1, L) mod r."""
    return _number(context, _POINT, int.from_bytes(bound, "big")) % SCALAR_MODULUS


def fold_weights(context: bytes, bound: bytes, count: int) -> list[int]:
    """Return γ_0 = 1 and γ_j = H(ctx, 2, L, j) mod r for j below ``count``."""
    head = context + _word(_WEIGHT) + bound
    return [1 if j == 0 else int.from_bytes(keccak(head + _word(j)), "big") % SCALAR_MODULUS for j in range(count)]


def _number(context: bytes, purpose: int, value: int) -> int:
    # abi.encode of words is the words: writing them here takes a fifth of the time
    return int.from_bytes(keccak(context + _word(purpose) + _word(value)), "big")


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
