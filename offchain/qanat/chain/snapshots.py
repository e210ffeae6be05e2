"""An operator's snapshot and draw, read from the chain.

::

    reader = SnapshotReader(views)
    draw = reader.draw(shard, epoch, operator)       # the epoch must be sealed
    draw = reader.draw(shard, epoch, operator, audits=address)   # at an Audits that was replaced

What stands in a roster's lists, and in which order, is followed through the events of Objects, a roster at a time:
where an object begins in its list never changes, so that is asked once; the newest blocks are looked at again each
time, since a reorganisation may still move what they certified. A list is searched by halving, and of what is found the
chain is asked for the epoch: until when it lives there, and who had not signed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from web3.types import BlockIdentifier

from qanat.chain.draws import BUCKETS, Bucket, Draw, ListedObject, Place, Snapshot, draw_context
from qanat.chain.logs import logs_between
from qanat.chain.views import Roster, Views
from qanat.errors import ChainError

__all__ = ["SnapshotReader"]

#: Blocks whose events are asked for at a time, and objects whose words are.
_SPAN, _WORDS = 2000, 500


@dataclass(frozen=True)
class _Entry:
    """An object in one bucket, and where it begins there."""

    object_id: bytes
    bucket: int
    start: int


@dataclass
class _Lists:
    """A roster's lists: what final blocks listed, by bucket and in order, up to a block; and what newer ones did."""

    until: int
    final: list[list[_Entry]] = field(default_factory=lambda: [[] for _ in range(BUCKETS)])
    newest: list[list[_Entry]] = field(default_factory=lambda: [[] for _ in range(BUCKETS)])

    def of(self, bucket: int) -> list[_Entry]:
        return self.final[bucket] + self.newest[bucket]


class _Objects(Sequence[ListedObject]):
    """A bucket's list, each entry read when it is asked for."""

    def __init__(self, reader: SnapshotReader, roster: Roster, entries: Sequence[_Entry], epoch: int) -> None:
        self._reader, self._roster, self._entries, self._epoch = reader, roster, entries, epoch
        self.starts = [entry.start for entry in entries]

    def __len__(self) -> int:
        return len(self._entries)

    def forget(self) -> None:
        """Have the roster's lists read anew."""
        self._reader.forget(self._roster)

    @overload
    def __getitem__(self, index: int) -> ListedObject: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ListedObject]: ...
    def __getitem__(self, index: int | slice) -> ListedObject | Sequence[ListedObject]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._reader.listed(self._roster, self._entries[index], index, self._epoch)


class _Bucket(Bucket):
    """A bucket whose entries are found by their beginnings, so that only the one found is asked for its epoch."""

    def find(self, offset: int) -> int:
        """See :meth:`Bucket.find`."""
        objects = self.objects
        if not isinstance(objects, _Objects):
            return super().find(offset)
        return bisect_right(objects.starts, offset) - 1

    def at(self, offset: int) -> ListedObject:
        """See :meth:`Bucket.at`. Raises :class:`ChainError` where the logs lack what lies there.

        The list is then read anew the next time: a reorganisation deeper than the chain's finality, or an endpoint that
        left events out, may have made it wrong.
        """
        objects = self.objects
        lacking = isinstance(objects, _Objects) and 0 <= offset < self.rows and self.find(offset) < 0
        found = None if lacking else super().at(offset)
        if found is None or not found.start <= offset < found.end:
            if isinstance(objects, _Objects):
                objects.forget()
            raise ChainError(
                f"The chain's logs do not tell which object holds position {offset} of a roster's list.",
                hint="Use an endpoint that has all events of the contract Objects since the roster was taken.",
                offset=offset,
            )
        return found


class SnapshotReader:
    """Reads snapshots through typed views. Raises :class:`ChainError` and its leaves."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self._lists: dict[tuple[int, int], _Lists] = {}

    # ---- lists

    def forget(self, roster: Roster) -> None:
        """Read a roster's lists anew from its snapshot on, the next time."""
        self._lists.pop((roster.shard, roster.number), None)

    def listed(self, roster: Roster, entry: _Entry, index: int, epoch: int) -> ListedObject:
        """Return a listed object as it counts in an epoch."""
        word, root = self._words([entry.object_id])[0]
        start, end = word.start, word.end
        if word.is_moved:
            left, until = self._left(roster, entry.bucket, entry.object_id)
            start, end = (left, until) if until else (start, end)
        return ListedObject(
            index=index,
            object_id=entry.object_id,
            start=start,
            end=start + word.n // roster.tickets * word.matrices,
            end_epoch=end,
            n=word.n,
            matrices=word.matrices,
            manifest_root=root,
            non_signers_hash=bytes(self._ask("Objects", "nonSignersHashOf", entry.object_id, epoch)),
        )

    def _followed(self, roster: Roster, last: int) -> _Lists:
        """Return a roster's lists as of a block, having looked at the blocks that may have changed them."""
        key = (roster.shard, roster.number)
        lists = self._lists.setdefault(key, _Lists(until=roster.head.snapshot_block))
        final = max(lists.until, last - self.views.shard_parameters(roster.shard).finality)
        for first in range(lists.until + 1, final + 1, _SPAN):
            upto = min(first + _SPAN - 1, final)
            _merge(lists.final, self._entries(roster, first, upto))
            lists.until = upto
        lists.newest = [[] for _ in range(BUCKETS)]
        if lists.until < last:
            _merge(lists.newest, self._entries(roster, lists.until + 1, last))
        return lists

    def _entries(self, roster: Roster, first: int, last: int) -> list[_Entry]:
        """Return what blocks ``first`` to ``last`` listed in a roster."""
        events = self.views.chain.contract("Objects").events
        said = [(log["args"], False) for log in logs_between(events.ObjectCertified, first, last)]
        said += [(log["args"], True) for log in logs_between(events.ObjectExtended, first, last)]
        # an extension that stayed in its bucket listed nothing
        said = [(args, moved) for args, moved in said if not moved or args["listedFrom"]]
        words = [word for word, _ in self._words([bytes(args["objectId"]) for args, _ in said])]
        found = []
        for (args, _), word in zip(said, words, strict=True):
            if (word.shard, word.roster) != (roster.shard, roster.number):
                continue
            object_id, bucket = bytes(args["objectId"]), bucket_of(roster, int(args["endEpoch"]))
            start, until = self._left(roster, bucket, object_id) if word.is_moved else (0, 0)
            found.append(_Entry(object_id, bucket, start if until else word.start))
        return found

    def _words(self, object_ids: Sequence[bytes]) -> list[tuple[_Word, bytes]]:
        found: list[bytes] = []
        for at in range(0, len(object_ids), _WORDS):
            asked = list(object_ids[at : at + _WORDS])
            found += [bytes(item) for item in self._ask("Objects", "wordsOf", asked)]
        return [(_Word(int.from_bytes(found[at], "big")), found[at + 1]) for at in range(0, len(found), 2)]

    def _left(self, roster: Roster, bucket: int, object_id: bytes) -> tuple[int, int]:
        start, until = self._ask("Objects", "leftOf", roster.shard, roster.number, bucket, object_id)
        return int(start), int(until)

    # ---- snapshots

    def snapshot(
        self, shard: int, epoch: int, operator: str, block: BlockIdentifier = "latest", *, audits: str = ""
    ) -> Snapshot:
        """Return the operator's places as of the epoch's B_e, which must have passed at ``block``.

        ``audits``: address of the Audits whose rosters count, that in force if none is given.
        """
        frozen = self.views.frozen_block(shard, epoch)
        audits = self.views.audits(audits).address.lower()
        places = []
        for number in self.views.rosters_live_in(shard, epoch, block):
            roster = self.views.roster(shard, number, block)
            index = roster.index_of(operator)
            vacated = 0 if index is None else self.views.vacated_at(shard, number, operator, block)
            if index is None or roster.head.slasher.lower() != audits or 0 < vacated <= frozen:
                continue
            entry = roster.entry_of(operator)
            assert entry is not None  # noqa: S101 (it has an index)
            places.append(
                Place(
                    roster=number,
                    roster_tickets=roster.tickets,
                    index=index,
                    first_ticket=entry.first_ticket,
                    tickets=entry.tickets,
                    held=entry.tickets * self._live_rows(shard, number, operator, epoch, block),
                    buckets=self._buckets(roster, epoch, block),
                )
            )
        return Snapshot(tuple(places))

    def draw(
        self, shard: int, epoch: int, operator: str, block: BlockIdentifier = "latest", *, audits: str = ""
    ) -> Draw:
        """Return the operator's draw in a sealed epoch, at the Audits given as in :meth:`snapshot`.

        Raises :class:`ChainError` for one that is not sealed.
        """
        seed = self.views.seed(shard, epoch, block, audits=audits)
        if not seed.is_sealed:
            raise ChainError(f"Epoch {epoch} of shard {shard} is not sealed.", hint="Seal it first.", epoch=epoch)
        audits = self.views.audits(audits).address
        context = draw_context(self.views.chain.chain_id, audits, shard, epoch, seed.seed, operator)
        samples = self.views.shard_parameters(shard).samples
        return Draw.of(context, self.snapshot(shard, epoch, operator, block, audits=audits), samples)

    def _live_rows(self, shard: int, roster: int, operator: str, epoch: int, block: BlockIdentifier) -> int:
        rows = self.views.tally(shard, roster, epoch, block).rows
        return rows - self.views.excluded_tally(shard, roster, operator, epoch, block).rows if rows else 0

    def _buckets(self, roster: Roster, epoch: int, block: BlockIdentifier) -> tuple[Bucket, ...]:
        rows = self.views.listed_rows(roster.shard, roster.number, epoch, block)
        last = block if isinstance(block, int) else self.views.chain.latest()
        if not any(rows):
            return tuple(Bucket(0, []) for _ in range(BUCKETS))
        lists = self._followed(roster, last)
        return tuple(
            _Bucket(rows[bucket], _Objects(self, roster, lists.of(bucket), epoch)) for bucket in range(BUCKETS)
        )

    def _ask(self, contract: str, function: str, *arguments: Any, block: BlockIdentifier = "latest") -> Any:
        bound = getattr(self.views.chain.contract(contract).functions, function)(*arguments)
        return self.views.chain.call(bound, block=block)


def bucket_of(roster: Roster, end_epoch: int) -> int:
    """Return the bucket of objects that end at an epoch (ObjectBook)."""
    life = roster.head.end_epoch - roster.head.active_from_epoch
    return (end_epoch - 1 - roster.head.active_from_epoch) // -(-life // BUCKETS)


def _merge(buckets: list[list[_Entry]], entries: Sequence[_Entry]) -> None:
    for entry in entries:
        buckets[entry.bucket].append(entry)
    for bucket in buckets:
        bucket.sort(key=lambda entry: entry.start)


@dataclass(frozen=True)
class _Word:
    """An object's first slot (ObjectWord)."""

    word: int

    def _part(self, shift: int, bits: int) -> int:
        return self.word >> shift & ((1 << bits) - 1)

    @property
    def n(self) -> int:
        return self._part(0, 16)

    @property
    def matrices(self) -> int:
        return self._part(32, 32)

    @property
    def end(self) -> int:
        """First epoch after its last."""
        return self._part(64, 32) + self._part(96, 32)

    @property
    def is_moved(self) -> bool:
        """Whether an extension listed it anew in a later bucket."""
        return bool(self._part(136, 5) & 4)

    @property
    def roster(self) -> int:
        return self._part(144, 32)

    @property
    def shard(self) -> int:
        return self._part(176, 32)

    @property
    def start(self) -> int:
        """Where its rows begin in the bucket that it stands in now."""
        return self._part(208, 48)
