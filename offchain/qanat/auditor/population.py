"""Who holds what in an epoch, derived from events: the auditor's own account of `Objects` and `Shards`."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property

from qanat.chain.draws import BUCKETS, Bucket, ListedObject, Place, Snapshot, non_signers_hash
from qanat.chain.views import Roster, ShardParameters, Views
from qanat.errors import AuditFailed
from qanat.index import Index
from qanat.index.records import Certificate, IndexedObject, SealedEpoch

__all__ = ["SEALER_BPS", "CertifiedObject", "Population"]

#: What of an operator's pay is the sealer's: `Rewards.SEALER_BPS`, as a test compares.
SEALER_BPS, _BPS = 50, 10_000

#: Listed objects that are kept, of all rosters and epochs together: some hundred bytes each. An audit goes through the
#: epochs in order, so what it has to keep is what the rosters list in the two or three epochs that overlap.
_MOST_LISTED = 1 << 18


@dataclass(frozen=True)
class CertifiedObject:
    """An object, its certificate, and what one row of it costs for one epoch (payment token units)."""

    opened: IndexedObject
    certificate: Certificate
    row_fee: int

    def rows_per_ticket(self, tickets: int) -> int:
        """Rows that each ticket of its roster holds."""
        return self.opened.n // tickets * self.opened.matrices

    def is_live(self, epoch: int) -> bool:
        """Whether it is drawn from and paid in the epoch."""
        return self.certificate.first_epoch <= epoch < self.certificate.end_epoch


@dataclass
class _Lists:
    """What one roster lists in one epoch. All its seats share that; they differ in what they had not signed.

    ``rows``, ``fee``: of each ticket, live and signed by everybody; ``unsigned``: what of it a seat is without.
    """

    buckets: tuple[Bucket, ...]
    rows: int = 0
    fee: int = 0
    unsigned: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Objects, at least 1: a roster that lists nothing takes memory too."""
        return 1 + sum(len(bucket.objects) for bucket in self.buckets)

    def live(self, seat: int) -> tuple[int, int]:
        """Rows per ticket that a seat signed and that are live, and their fee."""
        rows, fee = self.unsigned.get(seat, (0, 0))
        return self.rows - rows, self.fee - fee


class Population:
    """All rosters and certified objects of one shard: from the index, and roster entries from the chain."""

    def __init__(self, views: Views, index: Index, shard: int) -> None:
        self.views, self.index, self.shard = views, index, shard
        self.parameters: ShardParameters = views.shard_parameters(shard)
        self.first_block = views.first_block(shard)
        #: by roster and epoch, those asked for last at the end
        self._lists: OrderedDict[tuple[int, int], _Lists] = OrderedDict()
        self._listed = 0

    @cached_property
    def rosters(self) -> dict[int, Roster]:
        """Rosters by number."""
        return {item.number: self.views.roster(self.shard, item.number) for item in self.index.rosters(self.shard)}

    @cached_property
    def objects(self) -> list[CertifiedObject]:
        """Certified objects in the order of their certificates."""
        opened = {item.object_id: item for item in self.index.objects(shard=self.shard)}
        return [
            CertifiedObject(opened[item.object_id], item, self.views.object(item.object_id).row_fee)
            for item in self.index.certificates()
            if item.object_id in opened
        ]

    @cached_property
    def by_id(self) -> dict[bytes, CertifiedObject]:
        """Certified objects by id."""
        return {item.opened.object_id: item for item in self.objects}

    @cached_property
    def vacancies(self) -> dict[str, list[int]]:
        """Blocks in which an operator's places fell vacant, by operator."""
        found: dict[str, list[int]] = {}
        for event in self.index.events("PlaceVacated", contract="Shards"):
            if int(str(event.arguments["shard"])) == self.shard:
                found.setdefault(str(event.arguments["operator"]), []).append(event.block)
        return found

    def seed_block(self, epoch: int) -> int:
        """The block whose randomness seeds the epoch."""
        return self.first_block + epoch * self.parameters.epoch_length

    def frozen_block(self, epoch: int) -> int:
        """B_e."""
        return self.seed_block(epoch) - self.parameters.finality

    def first_epoch_after(self, block: int) -> int:
        """First epoch whose B_e is at or after a block."""
        past = block + self.parameters.finality - self.first_block
        return max(1, -(-past // self.parameters.epoch_length))

    def is_vacant(self, roster: Roster, operator: str, epoch: int) -> bool:
        """Whether the operator's place in the roster was vacant at B_e."""
        since, until = roster.head.snapshot_block, self.frozen_block(epoch)
        return any(since <= block <= until for block in self.vacancies.get(operator, ()))

    @cached_property
    def first_audits(self) -> str:
        """Address of the Audits that the shard's first roster answers to."""
        return self.rosters[min(self.rosters)].head.slasher if self.rosters else ""

    def snapshot(self, epoch: int, operator: str, audits: str) -> Snapshot:
        """What an Audits can draw from an operator in an epoch: under the rosters that answer to it."""
        places = []
        for number in sorted(self.rosters):
            roster = self.rosters[number]
            entry = roster.entry_of(operator)
            if entry is None or roster.head.slasher != audits or roster.head.end_epoch <= epoch:
                continue
            if self.is_vacant(roster, operator, epoch):
                continue
            lists = self._lists_of(roster, epoch)
            rows, _ = lists.live(entry.seat)
            places.append(
                Place(
                    roster=number,
                    roster_tickets=roster.tickets,
                    index=entry.seat,
                    first_ticket=entry.first_ticket,
                    tickets=entry.tickets,
                    held=entry.tickets * rows,
                    buckets=lists.buckets,
                )
            )
        return Snapshot(tuple(places))

    def earned(self, epoch: int, operator: str, audits: str) -> int:
        """The fee of all rows that an operator held in an epoch and proved to an Audits, payment token units."""
        total = 0
        for place in self.snapshot(epoch, operator, audits).places:
            _, fee = self._lists_of(self.rosters[place.roster], epoch).live(place.index)
            total += place.tickets * fee
        return total

    def sealers_part(self, seal: SealedEpoch, operator: str) -> int:
        """What of it is whoever sealed the epoch there's, rounded down: nothing, if that is nobody."""
        if int(seal.sealer, 16) == 0:
            return 0
        return self.earned(seal.epoch, operator, seal.audits) * SEALER_BPS // _BPS

    def operators_in(self, epoch: int, audits: str) -> list[str]:
        """Everyone with a place in a roster of an Audits that may have live objects in the epoch."""
        found: dict[str, None] = {}
        for roster in self.rosters.values():
            if roster.head.slasher == audits and roster.head.end_epoch > epoch:
                found.update(dict.fromkeys(roster.operators))
        return list(found)

    @cached_property
    def _by_roster(self) -> dict[int, list[CertifiedObject]]:
        found: dict[int, list[CertifiedObject]] = {}
        for item in self.objects:
            found.setdefault(item.opened.roster, []).append(item)
        return found

    def _lists_of(self, roster: Roster, epoch: int) -> _Lists:
        key = (roster.number, epoch)
        lists = self._lists.get(key)
        if lists is not None:
            self._lists.move_to_end(key)
            return lists
        lists = self._lists[key] = self._derive(roster, epoch)
        self._listed += lists.size
        while self._listed > _MOST_LISTED and len(self._lists) > 1:
            _, oldest = self._lists.popitem(last=False)
            self._listed -= oldest.size
        return lists

    def _derive(self, roster: Roster, epoch: int) -> _Lists:
        lists = _Lists(self._buckets(roster, epoch))
        for item in self._by_roster.get(roster.number, ()):
            if not item.is_live(epoch):
                continue
            rows = item.rows_per_ticket(roster.tickets)
            fee = rows * item.row_fee
            lists.rows += rows
            lists.fee += fee
            for seat in item.certificate.absent_in(epoch):
                before = lists.unsigned.get(seat, (0, 0))
                lists.unsigned[seat] = (before[0] + rows, before[1] + fee)
        return lists

    def _listings(self, roster: Roster) -> list[tuple[CertifiedObject, int, int, int]]:
        """All that a roster ever listed, in order: object, first epoch, first epoch in which it is void there, its end.

        The end is the one that it was listed with, which says in which bucket.
        """
        found = []
        for item in self._by_roster.get(roster.number, ()):
            certificate = item.certificate
            moves = [extension for extension in certificate.extensions if extension.listed_from]
            starts = [certificate.first_epoch, *(move.listed_from for move in moves)]
            ends = [certificate.certified_end, *(move.end_epoch for move in moves)]
            orders = [certificate.order, *(move.order for move in moves)]
            for number, order in enumerate(orders):
                until = starts[number + 1] if number + 1 < len(starts) else certificate.end_epoch
                found.append((order, (item, starts[number], until, ends[number])))
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]

    def _buckets(self, roster: Roster, epoch: int) -> tuple[Bucket, ...]:
        head = roster.head
        span = -(-(head.end_epoch - head.active_from_epoch) // BUCKETS)
        lists: list[list[ListedObject]] = [[] for _ in range(BUCKETS)]
        for item, since, until, end in self._listings(roster):
            if since > epoch:
                continue
            bucket = (end - 1 - head.active_from_epoch) // span
            if not 0 <= bucket < BUCKETS:
                raise AuditFailed(f"Object 0x{item.opened.object_id.hex()} ends outside its roster's term.")
            listed = lists[bucket]
            start = listed[-1].end if listed else 0
            listed.append(
                ListedObject(
                    index=len(listed),
                    object_id=item.opened.object_id,
                    start=start,
                    end=start + item.rows_per_ticket(roster.tickets),
                    end_epoch=until,
                    n=item.opened.n,
                    matrices=item.opened.matrices,
                    manifest_root=item.opened.manifest_root,
                    non_signers_hash=non_signers_hash(item.certificate.absent_in(epoch)),
                )
            )
        return tuple(
            Bucket(listed[-1].end if listed and epoch < head.active_from_epoch + (number + 1) * span else 0, listed)
            for number, listed in enumerate(lists)
        )
