"""An operator's snapshot and draw, read from the chain.

::

    reader = SnapshotReader(views)
    draw = reader.draw(shard, epoch, operator)       # the epoch must be sealed

Where an object begins in its list never changes once the B_e has passed that counted it first, so that is kept after
the first look (what was listed later is not: a reorganisation may still move it). A list is searched by halving: a draw
costs O(q log n) calls at most, and one for each object that it names where the beginnings are known. Until when the
object lives there and who had not signed is asked for the epoch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, overload

from web3.types import BlockIdentifier

from qanat.chain.draws import BUCKETS, Bucket, Draw, ListedObject, Place, Snapshot, draw_context
from qanat.chain.views import Views
from qanat.errors import ChainError

__all__ = ["SnapshotReader"]


class _Objects(Sequence[ListedObject]):
    """A bucket's list, each entry read when it is asked for."""

    def __init__(
        self, reader: SnapshotReader, place: tuple[int, int, int], count: int, frozen_rows: int, epoch: int
    ) -> None:
        self._reader, self._place, self._count, self._frozen_rows = reader, place, count, frozen_rows
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ListedObject: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ListedObject]: ...
    def __getitem__(self, index: int | slice) -> ListedObject | Sequence[ListedObject]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._reader.listed(*self._place, index, self._epoch)

    def start_of(self, index: int) -> int:
        """Return where an entry's positions begin."""
        return self._reader.start_of(*self._place, index, self._epoch, frozen_rows=self._frozen_rows)


class _Bucket(Bucket):
    """A bucket whose entries are found by their beginnings, so that only the one found is asked for its epoch."""

    def find(self, offset: int) -> int:
        """See :meth:`Bucket.find`."""
        objects = self.objects
        if not isinstance(objects, _Objects):
            return super().find(offset)
        return bisect_right(range(len(objects)), offset, key=objects.start_of) - 1


class SnapshotReader:
    """Reads snapshots through typed views. Raises :class:`ChainError` and its leaves."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self._starts: dict[tuple[int, int, int, int], int] = {}

    def listed(self, shard: int, roster: int, bucket: int, index: int, epoch: int) -> ListedObject:
        """Return a listed object as it counts in an epoch."""
        found = self._ask("Objects", "listed", shard, roster, bucket, index, epoch)
        given = found if isinstance(found, dict) else dict(zip(_LISTED_FIELDS, found, strict=True))
        return ListedObject(
            index=index,
            object_id=bytes(given["objectId"]),
            start=int(given["start"]),
            end=int(given["end"]),
            end_epoch=int(given["endEpoch"]),
            n=int(given["n"]),
            matrices=int(given["matrices"]),
            manifest_root=bytes(given["manifestRoot"]),
            non_signers_hash=bytes(given["nonSignersHash"]),
        )

    def start_of(self, shard: int, roster: int, bucket: int, index: int, epoch: int, *, frozen_rows: int = 0) -> int:
        """Return where a listed object begins. One that begins below ``frozen_rows`` is final and asked for once."""
        key = (shard, roster, bucket, index)
        if key in self._starts:
            return self._starts[key]
        start = self.listed(shard, roster, bucket, index, epoch).start
        if start < frozen_rows:
            self._starts[key] = start
        return start

    def snapshot(self, shard: int, epoch: int, operator: str, block: BlockIdentifier = "latest") -> Snapshot:
        """Return the operator's places as of the epoch's B_e, which must have passed at ``block``."""
        frozen = self.views.frozen_block(shard, epoch)
        audits = self.views.chain.contract("Audits").address.lower()
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
                    buckets=self._buckets(shard, number, epoch, block),
                )
            )
        return Snapshot(tuple(places))

    def draw(self, shard: int, epoch: int, operator: str, block: BlockIdentifier = "latest") -> Draw:
        """Return the operator's draw in a sealed epoch. Raises :class:`ChainError` for one that is not sealed."""
        seed = self.views.seed(shard, epoch, block)
        if not seed.is_sealed:
            raise ChainError(f"Epoch {epoch} of shard {shard} is not sealed.", hint="Seal it first.", epoch=epoch)
        chain = self.views.chain
        context = draw_context(chain.chain_id, chain.contract("Audits").address, shard, epoch, seed.seed, operator)
        samples = self.views.shard_parameters(shard).samples
        return Draw.of(context, self.snapshot(shard, epoch, operator, block), samples)

    def _live_rows(self, shard: int, roster: int, operator: str, epoch: int, block: BlockIdentifier) -> int:
        rows = self.views.tally(shard, roster, epoch, block).rows
        return rows - self.views.excluded_tally(shard, roster, operator, epoch, block).rows if rows else 0

    def _buckets(self, shard: int, roster: int, epoch: int, block: BlockIdentifier) -> tuple[Bucket, ...]:
        rows = self.views.listed_rows(shard, roster, epoch, block)
        counts = [
            int(self._ask("Objects", "listingCount", shard, roster, bucket, block=block)) if rows[bucket] else 0
            for bucket in range(BUCKETS)
        ]
        return tuple(
            _Bucket(rows[bucket], _Objects(self, (shard, roster, bucket), counts[bucket], rows[bucket], epoch))
            for bucket in range(BUCKETS)
        )

    def _ask(self, contract: str, function: str, *arguments: Any, block: BlockIdentifier = "latest") -> Any:
        bound = getattr(self.views.chain.contract(contract).functions, function)(*arguments)
        return self.views.chain.call(bound, block=block)


_LISTED_FIELDS = ("objectId", "start", "end", "endEpoch", "n", "matrices", "manifestRoot", "nonSignersHash")
