"""What the index answers: one dataclass for each kind of thing that happened on chain."""

from __future__ import annotations

from dataclasses import dataclass

from qanat.chain.views import OfferTerms

__all__ = [
    "Adoption",
    "Answer",
    "Asset",
    "Certificate",
    "Event",
    "Extension",
    "IndexedObject",
    "IndexedRoster",
    "License",
    "Miss",
    "Offer",
    "SealedEpoch",
    "Settlement",
    "SlashRecord",
]


@dataclass(frozen=True)
class Event:
    """Any event: where it happened, which contract raised it, its arguments by name (bytes as ``0x`` hex)."""

    block: int
    block_hash: bytes
    log_index: int
    transaction: bytes
    contract: str
    address: str
    name: str
    arguments: dict[str, object]


@dataclass(frozen=True)
class IndexedRoster:
    """A roster as it was announced.

    ``key_sum``: the account whose code holds the sum of its keys; ``slasher``: the only Audits that may slash under it.
    """

    shard: int
    number: int
    tickets: int
    operators: int
    active_from_epoch: int
    key_sum: str
    slasher: str
    block: int
    transaction: bytes


@dataclass(frozen=True)
class IndexedObject:
    """An object as it was opened. ``status``: ``open``, ``certified`` or ``failed`` at the index's block."""

    object_id: bytes
    owner: str
    shard: int
    roster: int
    width: int
    k: int
    n: int
    matrices: int
    size: int
    epochs: int
    tree_root: bytes
    content_hash: bytes
    header_hash: bytes
    manifest_root: bytes
    payment: int
    status: str
    block: int
    transaction: bytes


@dataclass(frozen=True)
class Adoption:
    """Who was late and signed its rows after all: it counts as a signer from an epoch on."""

    operator: str
    seat: int
    from_epoch: int
    block: int
    transaction: bytes


@dataclass(frozen=True)
class Extension:
    """Epochs added at an object's end.

    ``listed_from``: first epoch in which it is drawn from the bucket of its new end; 0: it stays in its bucket.
    ``order``: block and number of the log, which put all that is listed in order.
    """

    payer: str
    end_epoch: int
    payment: int
    listed_from: int
    order: tuple[int, int]


@dataclass(frozen=True)
class Certificate:
    """A certificate that the chain accepted, and what changed the object since.

    ``non_signers``: roster indexes, ascending; the signature is in the transaction's data. ``certified_end``: first
    epoch after the term that was signed for; ``terminated_end``: after what a termination left, 0 if there is none.
    """

    object_id: bytes
    first_epoch: int
    certified_end: int
    non_signers: tuple[int, ...]
    block: int
    transaction: bytes
    order: tuple[int, int] = (0, 0)
    adoptions: tuple[Adoption, ...] = ()
    extensions: tuple[Extension, ...] = ()
    terminated_end: int = 0

    @property
    def end_epoch(self) -> int:
        """First epoch after the object's last as it stands."""
        if self.terminated_end:
            return self.terminated_end
        return self.extensions[-1].end_epoch if self.extensions else self.certified_end

    def absent_in(self, epoch: int) -> tuple[int, ...]:
        """Roster indexes of those that had not signed as it counts in an epoch."""
        adopted = {item.seat for item in self.adoptions if item.from_epoch <= epoch}
        return tuple(seat for seat in self.non_signers if seat not in adopted)


@dataclass(frozen=True)
class SealedEpoch:
    """An epoch whose seed is known. ``deadline``: last block in which an answer counts; ``audits``: who says so.

    ``sealer``: who is paid for it, the zero address if nobody is.
    """

    shard: int
    epoch: int
    seed: bytes
    sealed_block: int
    deadline: int
    transaction: bytes
    audits: str
    sealer: str


@dataclass(frozen=True)
class Answer:
    """A response that an Audits accepted; what it showed is in the transaction's data."""

    shard: int
    epoch: int
    operator: str
    live: int
    read: int
    block: int
    transaction: bytes
    audits: str
    log_index: int = 0


@dataclass(frozen=True)
class Miss:
    """A miss that was reported to an Audits."""

    shard: int
    epoch: int
    operator: str
    reporter: str
    slash_id: bytes
    block: int
    transaction: bytes
    audits: str


@dataclass(frozen=True)
class SlashRecord:
    """A queued slash and, once carried out, what it took. ``stake_taken``: units by collateral token."""

    slash_id: bytes
    shard: int
    roster: int
    epoch: int
    operator: str
    reporter: str
    ready_block: int
    executed_block: int | None
    bond_taken: int
    reporter_reward: int
    stake_taken: dict[str, int]
    transaction: bytes


@dataclass(frozen=True)
class Settlement:
    """An operator paid for an epoch: ``amount`` in all, ``to_sealers`` of it, ``to_operator`` its own part."""

    shard: int
    epoch: int
    operator: str
    amount: int
    to_operator: int
    to_sealers: int
    block: int
    transaction: bytes
    log_index: int = 0


@dataclass(frozen=True)
class Asset:
    """An asset as it was minted. ``minter``: its first owner."""

    asset_id: int
    minter: str
    content_hash: bytes
    objects: tuple[bytes, ...]
    metadata: str
    block: int
    transaction: bytes


@dataclass(frozen=True)
class Offer:
    """An offer as it was published, and whether it was withdrawn."""

    offer_id: int
    terms: OfferTerms
    withdrawn: bool
    block: int
    transaction: bytes


@dataclass(frozen=True)
class License:
    """A license as it was sold, with its holder of now; ``revoked`` and ``released`` tell whether either happened."""

    license_id: int
    offer_id: int
    asset_id: int
    licensee: str
    start: int
    end: int
    price: int
    revoked: bool
    released: bool
    block: int
    transaction: bytes
