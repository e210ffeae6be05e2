"""Typed views of the chain: the value types of ``contracts/types/Types.sol`` as dataclasses, read at one block.

::

    views = Views(chain)
    roster = views.roster(shard=1, roster=views.active_roster(1))
    record = views.object(object_id, block=chain.safe_block())
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any, TypeVar

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.contract import Contract
from web3.types import BlockIdentifier

from qanat.chain.connection import Chain
from qanat.errors import BadParameters, ChainError, NotDeployed, TransactionReverted

__all__ = [
    "PURPOSES",
    "CollateralWeight",
    "DutyStatus",
    "ForcedRelease",
    "KeyRecord",
    "LicenseRecord",
    "Magnitudes",
    "MemberState",
    "ObjectRecord",
    "ObjectStatus",
    "OfferTerms",
    "OpenRequest",
    "OperatorRecord",
    "Pool",
    "Roster",
    "RosterEntry",
    "RosterHead",
    "Seed",
    "ShardParameters",
    "Slash",
    "Tally",
    "Views",
    "Withdrawal",
    "purpose_bits",
    "purpose_names",
]

#: Purpose bits of licenses, lowest first (contracts/libraries/Purposes.sol).
PURPOSES = ("train", "fine-tune", "evaluate", "infer", "redistribute", "commercial")

WAD = 10**18
#: Seats of a roster that are read at once.
_SEATS_A_CALL = 256

_T = TypeVar("_T")


def purpose_bits(names: str | list[str] | tuple[str, ...]) -> int:
    """Return the bits of purposes named in a list or a comma-separated text.

    Raises :class:`BadParameters` for an unknown one.
    """
    listed = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    bits = 0
    for name in listed:
        if name not in PURPOSES:
            raise BadParameters(
                f"{name or 'nothing'!r} is no purpose.", hint=f"Purposes: {', '.join(PURPOSES)}.", purpose=name
            )
        bits |= 1 << PURPOSES.index(name)
    return bits


def purpose_names(bits: int) -> list[str]:
    """Return the names of purpose bits; a bit without a name as ``bit<number>``."""
    return [
        PURPOSES[bit] if bit < len(PURPOSES) else f"bit{bit}" for bit in range(bits.bit_length()) if bits >> bit & 1
    ]


class ObjectStatus(IntEnum):
    """Where an object stands."""

    NONE = 0
    OPEN = 1
    CERTIFIED = 2
    FAILED = 3


class DutyStatus(IntEnum):
    """What became of an operator's duty in an epoch."""

    NONE = 0
    ANSWERED = 1
    MISSED = 2


@dataclass(frozen=True)
class CollateralWeight:
    """A collateral token of a shard; ``weight_wad``: weight of one token unit, 1e18-scaled."""

    token: str
    weight_wad: int


@dataclass(frozen=True)
class ShardParameters:
    """All that a shard fixes. Periods count blocks; prices are token units, 1e18-scaled where named ``wad``."""

    epoch_length: int
    finality: int
    sealing_limit: int
    window: int
    reporting: int
    term_epochs: int
    samples: int
    max_operators: int
    unproven_to_payer_bps: int
    jail_misses: int
    jail_epochs: int
    max_rows_per_ticket: int
    bond_token: str
    payment_token: str
    ticket_price: int
    bond_per_ticket: int
    min_bond: int
    bond_slash_per_ticket: int
    stake_slash_per_ticket: int
    reporter_fee: int
    price_per_byte_epoch_wad: int
    intake_price_per_byte_wad: int


@dataclass(frozen=True)
class RosterHead:
    """What is the same for all operators of a roster."""

    snapshot_block: int
    active_from_epoch: int
    end_epoch: int
    tickets: int
    #: that have tickets
    operators: int
    #: empty ones included
    seats: int
    #: most tickets of one operator
    largest: int
    slasher: str


@dataclass(frozen=True)
class RosterEntry:
    """One operator's place, in its seat: tickets ``first_ticket … first_ticket + tickets - 1``."""

    seat: int
    operator: str
    first_ticket: int
    tickets: int
    #: of the key that the roster counts, keccak256 of its 256 bytes
    key_hash: bytes


@dataclass(frozen=True)
class MemberState:
    """What a shard knows of an operator now.

    ``tickets``: as last counted, before any cap; ``marked``: something changed since, the next snapshot counts anew.
    ``misses``: executed slashes in the shard's ``jail_epochs`` epochs from ``miss_epoch`` on. ``jailed_until``: first
    epoch in which it can join again. ``open_since``: block since which its places are open to others; 0: they aren't.
    """

    is_member: bool
    seat: int
    tickets: int
    marked: bool
    misses: int
    miss_epoch: int
    jailed_until: int
    open_since: int


@dataclass(frozen=True)
class Roster:
    """A roster with all its entries and the 256-byte EIP-2537 sum of its keys. Immutable, as on chain.

    Operators sit in numbered seats; empty ones have no entry. Certificates, draws and transactions name seats.
    """

    shard: int
    number: int
    head: RosterHead
    entries: tuple[RosterEntry, ...]
    aggregate_key: bytes

    @property
    def tickets(self) -> int:
        """T, the number of tickets."""
        return self.head.tickets

    @property
    def operators(self) -> list[str]:
        """Addresses in the order of their seats."""
        return [entry.operator for entry in self.entries]

    def index_of(self, operator: str) -> int | None:
        """An operator's seat, None if it has none."""
        entry = self.entry_of(operator)
        return None if entry is None else entry.seat

    def entry_of(self, operator: str) -> RosterEntry | None:
        """An operator's entry, None if it has none."""
        wanted = operator.lower()
        return next((entry for entry in self.entries if entry.operator.lower() == wanted), None)

    def at(self, seat: int) -> RosterEntry | None:
        """Entry of a seat, None if nobody sits there."""
        return next((entry for entry in self.entries if entry.seat == seat), None)

    def holder_of(self, ticket: int) -> RosterEntry:
        """Entry that holds a ticket. Raises :class:`BadParameters` for one that does not exist."""
        for entry in self.entries:
            if entry.first_ticket <= ticket < entry.first_ticket + entry.tickets:
                return entry
        raise BadParameters(f"Roster {self.number} has no ticket {ticket}; it has {self.tickets}.", ticket=ticket)


@dataclass(frozen=True)
class ObjectRecord:
    """An object as the chain knows it.

    ``epochs``: the term that was opened and signed for; ``end_epoch``: first epoch after its last as it stands, 0
    before certification. ``first_non_signers_hash``: of those that had not signed as ``first_epoch`` alone counts it.
    """

    owner: str
    status: ObjectStatus
    shard: int
    roster: int
    width: int
    k: int
    n: int
    matrices: int
    size: int
    epochs: int
    opened_block: int
    first_epoch: int
    end_epoch: int
    manifest_root: bytes
    non_signers_hash: bytes
    first_non_signers_hash: bytes
    #: of those that have not signed; whether the fees of their rows went back: then nobody adopts any more
    unsigned_tickets: int
    unsigned_returned: bool
    terminated: bool
    row_fee: int
    intake_fee: int

    @property
    def slices(self) -> int:
        """Number of slices: n·M."""
        return self.n * self.matrices

    def is_adoptable(self, epoch: int) -> bool:
        """Whether who did not sign may still adopt its rows, ``epoch`` being the next that is not frozen."""
        return (
            self.status is ObjectStatus.CERTIFIED
            and self.unsigned_tickets > 0
            and not self.unsigned_returned
            and epoch <= self.first_epoch + 1
            and epoch < self.end_epoch
        )


@dataclass(frozen=True)
class OpenRequest:
    """What an owner asks for when opening an object; :meth:`as_tuple` is what the contract takes."""

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
    max_payment: int

    def as_tuple(self) -> tuple[Any, ...]:
        """The values in the order of the contract's struct."""
        return tuple(getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True)
class Tally:
    """Rows and fees of one ticket in one epoch."""

    rows: int
    fee: int


@dataclass(frozen=True)
class OfferTerms:
    """Terms of an offer. ``price`` in units of ``token``, ``duration`` in seconds; ``seats``, ``uses``: 0 for any."""

    asset_id: int
    token: str
    price: int
    purposes: int
    duration: int
    uses: int
    earned_at_release_bps: int
    text_hash: bytes
    seats: int = 0
    exclusive: bool = False
    transferable: bool = False
    arbiter: str = "0x" + "00" * 20

    def as_tuple(self) -> tuple[Any, ...]:
        """The values in the order of the contract's struct."""
        return tuple(getattr(self, item.name) for item in fields(self))

    @property
    def hash(self) -> bytes:
        """What a buyer names in ``buy``: keccak256(abi.encode(terms))."""
        kinds = "(uint256,address,uint256,uint32,uint64,uint32,uint16,bytes32,uint32,bool,bool,address)"
        return bytes(keccak(encode([kinds], [self.as_tuple()])))


@dataclass(frozen=True)
class LicenseRecord:
    """A license, with its holder of now and its end as renewed. ``price`` of each period, in units of ``token``.

    Times are seconds since 1970; ``revoked_at``, ``released_at``: 0 if it did not happen.
    """

    asset_id: int
    offer_id: int
    licensee: str
    purposes: int
    start: int
    end: int
    revoked_at: int
    released_at: int
    uses: int
    earned_at_release_bps: int
    token: str
    price: int
    refunded: int


@dataclass(frozen=True)
class OperatorRecord:
    """A registered operator.

    ``key``: its current one, 256-byte EIP-2537 G2 point, empty before one was published; ``sealing_key``: X25519;
    ``endpoint``: the one in force; ``next_endpoint``: the announced one, which comes into force at
    ``next_endpoint_block``, None if there is none.
    """

    address: str
    key: bytes
    sealing_key: bytes
    endpoint: str
    commission_bps: int
    responder: str
    next_endpoint: str | None = None
    next_endpoint_block: int = 0

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where its node may be, in the order in which to ask: a node that has moved is at the announced one."""
        return (self.next_endpoint, self.endpoint) if self.next_endpoint else (self.endpoint,)


@dataclass(frozen=True)
class KeyRecord:
    """An asset's key in a key epoch, as the Keys contract knows it.

    ``threshold``: 0 before it was dealt. ``end_epoch``: first epoch of the shard in which nobody has a duty for it.
    ``root``: over Y_1 … Y_m. Blocks are 0 for what did not happen yet.
    """

    shard: int
    roster: int
    places: int
    threshold: int
    redraws: int
    steps: int
    seed_block: int
    drawn_block: int
    dealt_block: int
    end_epoch: int
    handovers: int
    root: bytes


@dataclass(frozen=True)
class ForcedRelease:
    """A release that a licensee forced. ``answered``, ``reported``: bits by place."""

    licensee: str
    fee: int
    deadline: int
    report_limit: int
    answered: int
    reported: int
    settled: bool
    blinded_hash: bytes


@dataclass(frozen=True)
class Pool:
    """An operator's pool of one collateral: ``assets`` and ``shares`` include what is queued for withdrawal."""

    assets: int
    shares: int
    queued_shares: int

    def worth(self, shares: int) -> int:
        """Token units that shares are worth now, rounded down."""
        return shares * self.assets // self.shares if self.shares else 0


@dataclass(frozen=True)
class Magnitudes:
    """What part of an operator's pool of one collateral stands behind a shard; ``whole`` starts at 1e18."""

    allocated: int
    queued: int
    total: int
    whole: int


@dataclass(frozen=True)
class Withdrawal:
    """A queued withdrawal of shares."""

    restaker: str
    operator: str
    collateral: str
    shares: int
    queued_block: int
    free_from_block: int
    completed: bool
    #: whom it goes to when it is free; the zero address: to its restaker
    to_operator: str


@dataclass(frozen=True)
class Slash:
    """A reported miss on its way to a slash."""

    operator: str
    shard: int
    roster: int
    epoch: int
    reporter: str
    ready_block: int
    delayed: bool
    executed: bool


@dataclass(frozen=True)
class Seed:
    """An epoch's seed, the block of its sealing and the last block in which an answer counts."""

    seed: bytes
    sealed_block: int
    deadline: int

    @property
    def is_sealed(self) -> bool:
        """Whether the epoch has been sealed."""
        return self.sealed_block > 0


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match.group(1).lower()}", name)


def _build(kind: type[_T], components: Any, values: Any) -> _T:
    """Make a dataclass from a contract's struct, by the names of its fields; addresses checksummed."""
    given = {_snake(item["name"]): _value(value) for item, value in zip(components, values, strict=True)}
    wanted = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    missing = [name for name in wanted if name not in given]
    if missing:
        raise NotDeployed(
            f"The contract's {kind.__name__} has no {', '.join(missing)}: it is of another version.",
            hint="Use the version of Qanat that the network was deployed with.",
        )
    return kind(**{name: given[name] for name in wanted})


def _fields_of(outputs: Any, values: Any) -> tuple[Any, Any]:
    """Return names and values of a call's result: of its struct, where it returns one."""
    if len(outputs) == 1 and outputs[0]["type"] == "tuple":
        return outputs[0]["components"], values
    return outputs, values


def _value(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        return to_checksum_address(value)
    return value


class Views:
    """Reads typed values from the contracts of a chain's deployment. Every method takes the block at which to read."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._rosters: dict[tuple[int, int], Roster] = {}
        self._parameters: dict[int, ShardParameters] = {}
        self._collaterals: dict[int, tuple[CollateralWeight, ...]] = {}
        self._first_blocks: dict[int, int] = {}
        self._lock = threading.Lock()

    def _ask(self, contract: str | Contract, function: str, *arguments: Any, block: BlockIdentifier = "latest") -> Any:
        return self.chain.call(self._bound(contract, function, *arguments), block=block)

    def _struct(
        self,
        kind: type[_T],
        contract: str | Contract,
        function: str,
        *arguments: Any,
        block: BlockIdentifier = "latest",
    ) -> _T:
        """Ask for one struct, or for several named results, as a dataclass."""
        bound = self._bound(contract, function, *arguments)
        return _build(kind, *_fields_of(bound.abi["outputs"], self.chain.call(bound, block=block)))

    def _bound(self, contract: str | Contract, function: str, *arguments: Any) -> Any:
        found = self.chain.contract(contract) if isinstance(contract, str) else contract
        return getattr(found.functions, function)(*arguments)

    # ---- shards

    def shard_count(self, block: BlockIdentifier = "latest") -> int:
        """Number of shards; they are numbered as ``Shards.create`` returned them."""
        return int(self._ask("Shards", "count", block=block))

    def shard_parameters(self, shard: int, block: BlockIdentifier = "latest") -> ShardParameters:
        """A shard's parameters. They never change, so they are asked for once."""
        with self._lock:
            known = self._parameters.get(shard)
        if known is None:
            known = self._struct(ShardParameters, "Shards", "parametersOf", shard, block=block)
            with self._lock:
                self._parameters[shard] = known
        return known

    def collaterals(self, shard: int, block: BlockIdentifier = "latest") -> tuple[CollateralWeight, ...]:
        """A shard's collaterals. They never change, so they are asked for once."""
        with self._lock:
            known = self._collaterals.get(shard)
        if known is None:
            bound = self.chain.contract("Shards").functions.collateralsOf(shard)
            components = bound.abi["outputs"][0]["components"]
            known = tuple(_build(CollateralWeight, components, item) for item in self.chain.call(bound, block=block))
            with self._lock:
                self._collaterals[shard] = known
        return known

    def first_block(self, shard: int) -> int:
        """Block at which a shard's epoch 0 began."""
        with self._lock:
            known = self._first_blocks.get(shard)
        if known is None:
            known = int(self._ask("Shards", "firstBlockOf", shard))
            with self._lock:
                self._first_blocks[shard] = known
        return known

    def epoch_at(self, shard: int, block_number: int) -> int:
        """Epoch in which a block lies."""
        first = self.first_block(shard)
        if block_number < first:
            raise BadParameters(
                f"Block {block_number} lies before shard {shard} began (block {first}).", block=block_number
            )
        return (block_number - first) // self.shard_parameters(shard).epoch_length

    def seed_block(self, shard: int, epoch: int) -> int:
        """Block whose randomness seeds an epoch: its first one."""
        return self.first_block(shard) + epoch * self.shard_parameters(shard).epoch_length

    def frozen_block(self, shard: int, epoch: int) -> int:
        """B_e: the block whose state is what can be asked in an epoch."""
        return self.seed_block(shard, epoch) - self.shard_parameters(shard).finality

    def first_epoch_after(self, shard: int, block_number: int) -> int:
        """First epoch whose population is frozen at or after a block: what happens in it counts from there on."""
        terms = self.shard_parameters(shard)
        return max(0, -(-(block_number + terms.finality - self.first_block(shard)) // terms.epoch_length))

    def members(self, shard: int, block: BlockIdentifier = "latest") -> list[str]:
        """Operators that want to be counted by the next snapshot."""
        return [to_checksum_address(item) for item in self._ask("Members", "membersOf", shard, block=block)]

    def member(self, shard: int, operator: str, block: BlockIdentifier = "latest") -> MemberState:
        """What a shard knows of an operator now, member or not."""
        return self._struct(MemberState, "Members", "memberOf", shard, operator, block=block)

    def roster_count(self, shard: int, block: BlockIdentifier = "latest") -> int:
        """Number of a shard's rosters; they are numbered from 1."""
        return int(self._ask("Shards", "rosterCount", shard, block=block))

    def active_roster(self, shard: int, block: BlockIdentifier = "latest") -> int:
        """Number of the roster under which objects can be opened; 0 if there is none yet."""
        return int(self._ask("Shards", "activeRoster", shard, block=block))

    def roster_head(self, shard: int, roster: int, block: BlockIdentifier = "latest") -> RosterHead:
        """A roster's head."""
        return self._struct(RosterHead, "Shards", "rosterHead", shard, roster, block=block)

    def roster(self, shard: int, roster: int, block: BlockIdentifier = "latest") -> Roster:
        """A whole roster. It is immutable: kept once it has been read at a block that the chain calls safe."""
        key = (shard, roster)
        with self._lock:
            known = self._rosters.get(key)
        if known is not None:
            return known
        head = self.roster_head(shard, roster, block)
        entries = tuple(
            RosterEntry(seat, to_checksum_address(operator), int(first), int(tickets), bytes(key_hash))
            for seat, (operator, first, tickets, key_hash) in enumerate(self._seats(shard, roster, head.seats, block))
            if tickets
        )
        made = Roster(
            shard, roster, head, entries, bytes(self._ask("Shards", "aggregateKeyOf", shard, roster, block=block))
        )
        if head.snapshot_block <= self.chain.safe_block():
            with self._lock:
                self._rosters[key] = made
        return made

    def _seats(self, shard: int, roster: int, seats: int, block: BlockIdentifier) -> Iterator[Any]:
        for start in range(0, seats, _SEATS_A_CALL):
            yield from self._ask("Shards", "rosterEntries", shard, roster, start, start + _SEATS_A_CALL, block=block)

    def roster_keys(self, roster: Roster, seats: Sequence[int], block: BlockIdentifier = "latest") -> bytes:
        """The 256-byte keys that a roster counts for seats, one after the other."""
        return bytes(self._ask("Shards", "rosterKeys", roster.shard, roster.number, list(seats), block=block))

    def rosters_live_in(self, shard: int, epoch: int, block: BlockIdentifier = "latest") -> range:
        """Numbers of the rosters that may have live objects in an epoch."""
        first, last = self._ask("Shards", "rostersLiveIn", shard, epoch, block=block)
        return range(int(first), int(last) + 1)

    def accepted(self, operator: str, slasher: str, shard: int, block: BlockIdentifier = "latest") -> bool:
        """Whether an operator accepted a contract as slasher of its stake behind a shard."""
        restaking = self.chain.contract_at("Restaking", str(self._ask("Shards", "restakingOf", shard, block=block)))
        return bool(self._ask(restaking, "accepted", operator, slasher, block=block))

    def vacated_at(self, shard: int, roster: int, operator: str, block: BlockIdentifier = "latest") -> int:
        """Block at which an operator's place fell vacant; 0: never."""
        return int(self._ask("Shards", "vacatedAt", shard, roster, operator, block=block))

    def vacant_operators(self, roster: Roster, block: BlockIdentifier = "latest") -> frozenset[str]:
        """Operators whose places in a roster fell vacant: no certificate may count on them."""
        if not self._ask("Shards", "vacantTicketsOf", roster.shard, roster.number, block=block):
            return frozenset()
        names = [entry.operator for entry in roster.entries]
        return frozenset(name for name in names if self.vacated_at(roster.shard, roster.number, name, block))

    def bound_until(self, operator: str, since: int, until: int, block: BlockIdentifier = "latest") -> int:
        """Block until which rosters taken in [since, until] bind an operator's stake; 0: nothing binds it."""
        return int(self._ask("Shards", "boundUntil", operator, since, until, block=block))

    def bound_in(self, shard: int, operator: str, since: int, until: int, block: BlockIdentifier = "latest") -> int:
        """:meth:`bound_until` of one shard: what binds the stake allocated to it and the bond behind it."""
        return int(self._ask("Shards", "boundIn", shard, operator, since, until, block=block))

    def standing(self, shard: int, operator: str, block: BlockIdentifier = "latest") -> tuple[int, int, int]:
        """What a snapshot would see now: (own bond, weight, the tickets that they make before any cap)."""
        bond, weight, tickets = self._ask("Members", "standingOf", shard, operator, block=block)
        return int(bond), int(weight), int(tickets)

    def slash_terms(
        self, shard: int, roster: int, operator: str, block: BlockIdentifier = "latest"
    ) -> tuple[int, int, dict[str, int]]:
        """What one miss takes: (of the bond, reporter's fee, of each collateral by token)."""
        bond, fee, tokens, amounts = self._ask("Shards", "slashTerms", shard, roster, operator, block=block)
        return (
            int(bond),
            int(fee),
            {to_checksum_address(token): int(amount) for token, amount in zip(tokens, amounts, strict=True)},
        )

    # ---- operators

    def is_registered(self, operator: str, block: BlockIdentifier = "latest") -> bool:
        """Whether an address is registered as operator."""
        return bool(self._ask("Operators", "isRegistered", operator, block=block))

    def operator(self, operator: str, block: BlockIdentifier = "latest") -> OperatorRecord:
        """A registered operator. Raises :class:`TransactionReverted` (``NotRegistered``) for another address."""

        def ask(function: str) -> Any:
            return self._ask("Operators", function, operator, block=block)

        next_endpoint, next_block = ask("nextEndpointOf")
        return OperatorRecord(
            to_checksum_address(operator),
            self.key_of(operator, block),
            bytes(ask("sealingKeyOf")),
            str(ask("endpointOf")),
            int(ask("commissionOf")),
            to_checksum_address(ask("responderOf")),
            str(next_endpoint) if next_block else None,
            int(next_block),
        )

    def endpoints(
        self, operators: Sequence[str], block: BlockIdentifier = "latest"
    ) -> dict[str, tuple[str, ...] | ChainError]:
        """Where operators' nodes may be (:attr:`OperatorRecord.endpoints`), without asking for the rest of them.

        Of one that the chain does not tell, for example since it is not registered, the error stands in its place.
        """
        names = ("nextEndpointOf", "endpointOf")
        asked = [(self._bound("Operators", name, operator), block) for operator in operators for name in names]
        answers = iter(self.chain.call_together(asked))
        found: dict[str, tuple[str, ...] | ChainError] = {}
        for operator, (announced, in_force) in zip(operators, zip(answers, answers, strict=True), strict=True):
            failed = next((item for item in (announced, in_force) if isinstance(item, ChainError)), None)
            if failed is None:
                where, since = announced
                found[operator] = (str(where), str(in_force)) if since else (str(in_force),)
            else:
                found[operator] = failed
        return found

    def endpoints_of(self, operator: str, block: BlockIdentifier = "latest") -> tuple[str, ...]:
        """Where one operator's node may be. Raises :class:`TransactionReverted` where nobody is registered."""
        found = self.endpoints([operator], block)[operator]
        if isinstance(found, ChainError):
            raise found
        return found

    def key_of(self, operator: str, block: BlockIdentifier = "latest") -> bytes:
        """An operator's current BLS key, 256 bytes; empty as long as none was published."""
        try:
            return bytes(self._ask("Operators", "keyOf", operator, block=block))
        except TransactionReverted as error:
            if error.error_name != "KeyNotPublished":
                raise
            return b""

    def operator_of_key(self, key_hash: bytes, block: BlockIdentifier = "latest") -> str | None:
        """Whose BLS key it is or was, by its keccak256; None for nobody's."""
        found = to_checksum_address(self._ask("Operators", "operatorOfKey", key_hash, block=block))
        return None if int(found, 16) == 0 else found

    # ---- stake

    def free_balance(self, restaker: str, token: str, block: BlockIdentifier = "latest") -> int:
        """Deposited and not delegated, in token units."""
        return int(self._ask("Restaking", "freeBalance", restaker, token, block=block))

    def shares(self, restaker: str, operator: str, token: str, block: BlockIdentifier = "latest") -> int:
        """A restaker's shares of an operator's pool."""
        return int(self._ask("Restaking", "sharesOf", restaker, operator, token, block=block))

    def pending(self, restaker: str, operator: str, token: str, block: BlockIdentifier = "latest") -> tuple[int, int]:
        """A delegation that waits: (amount, block from which it matures)."""
        amount, matures = self._ask("Restaking", "pendingOf", restaker, operator, token, block=block)
        return int(amount), int(matures)

    def pool(self, operator: str, token: str, block: BlockIdentifier = "latest") -> Pool:
        """An operator's pool of one collateral."""
        return self._struct(Pool, "Restaking", "pool", operator, token, block=block)

    def magnitudes(self, operator: str, shard: int, token: str, block: BlockIdentifier = "latest") -> Magnitudes:
        """How an operator's pool of one collateral is allocated."""
        return self._struct(Magnitudes, "Restaking", "magnitudes", operator, shard, token, block=block)

    def waiting_allocation(
        self, operator: str, shard: int, token: str, block: BlockIdentifier = "latest"
    ) -> tuple[int, int]:
        """What of a pool is reserved for a shard and waits: (magnitude, block from which it can be completed)."""
        magnitude, ready = self._ask("Restaking", "waitingAllocation", operator, shard, token, block=block)
        return int(magnitude), int(ready)

    def stake(self, operator: str, shard: int, token: str, block: BlockIdentifier = "latest") -> int:
        """Delegated stake that a snapshot would count now, in token units."""
        return int(self._ask("Restaking", "stakeOf", operator, shard, token, block=block))

    def weight(self, operator: str, shard: int, block: BlockIdentifier = "latest") -> int:
        """Weight that a snapshot would count now."""
        return sum(
            self.stake(operator, shard, item.token, block) * item.weight_wad // WAD
            for item in self.collaterals(shard, block)
        )

    def bond(self, operator: str, shard: int, block: BlockIdentifier = "latest") -> int:
        """Own bond behind a shard, in units of its bond token, without what is queued for withdrawal."""
        return int(self._ask("Restaking", "bondOf", operator, shard, block=block))

    def queued_bond(self, operator: str, shard: int, block: BlockIdentifier = "latest") -> tuple[int, int]:
        """Own bond that is queued for withdrawal: (units of its token, block of the last queueing)."""
        _, queued, since = self._ask("Restaking", "bondState", operator, shard, block=block)
        return int(queued), int(since)

    def withdrawal(self, number: int, block: BlockIdentifier = "latest") -> Withdrawal:
        """A queued withdrawal."""
        return self._struct(Withdrawal, "Restaking", "withdrawal", number, block=block)

    def slash(self, slash_id: bytes, block: BlockIdentifier = "latest") -> Slash:
        """A reported miss on its way to a slash."""
        return self._struct(Slash, "Restaking", "slashOf", slash_id, block=block)

    def pending_slashes(self, operator: str, block: BlockIdentifier = "latest") -> int:
        """Number of an operator's reported misses that have not been carried out."""
        return int(self._ask("Restaking", "pendingSlashes", operator, block=block))

    def withdrawal_delay(self) -> int:
        """Blocks between queueing and completing a withdrawal."""
        return int(self._ask("Restaking", "withdrawalDelay"))

    # ---- objects

    def object(self, object_id: bytes, block: BlockIdentifier = "latest") -> ObjectRecord:
        """An object's record; its status is ``NONE`` where the chain does not know it."""
        record = self._struct(ObjectRecord, "Objects", "record", object_id, block=block)
        return ObjectRecord(**{**_shallow(record), "status": ObjectStatus(record.status)})

    def moved_ends(self, first: int, last: int) -> set[bytes]:
        """Objects that were extended or terminated in blocks ``first`` to ``last``."""
        events = self.chain.contract("Objects").events
        return {
            bytes(log["args"]["objectId"])
            for event in (events.ObjectExtended(), events.ObjectTerminated())
            for log in event.get_logs(from_block=first, to_block=last)
        }

    def incomplete_certificates(self, first: int, last: int) -> list[tuple[bytes, tuple[int, ...]]]:
        """Objects that were certified in blocks ``first`` to ``last`` without all operators, with the absent seats."""
        event = self.chain.contract("Objects").events.ObjectCertified()
        found = [log["args"] for log in event.get_logs(from_block=first, to_block=last)]
        return [
            (bytes(item["objectId"]), tuple(int(seat) for seat in item["nonSigners"]))
            for item in found
            if item["nonSigners"]
        ]

    def quote(self, request: OpenRequest) -> tuple[int, int, str]:
        """What ``open`` would take now: (storage fee, intake fee, token)."""
        storage, intake, token = self._ask("Objects", "quote", request.as_tuple())
        return int(storage), int(intake), to_checksum_address(token)

    def certificate_digest(self, object_id: bytes, block: BlockIdentifier = "latest") -> bytes:
        """What operators sign for an object."""
        return bytes(self._ask("Objects", "certificateDigest", object_id, block=block))

    def certificate_list_digest(self, object_ids: Sequence[bytes], block: BlockIdentifier = "latest") -> bytes:
        """What operators sign for a list of objects of one roster."""
        return bytes(self._ask("Objects", "certificateListDigest", list(object_ids), block=block))

    def certification_deadline(self, object_id: bytes, block: BlockIdentifier = "latest") -> int:
        """Last block in which an open object can be certified."""
        return int(self._ask("Objects", "certificationDeadlineOf", object_id, block=block))

    def nonce(self, owner: str, block: BlockIdentifier = "latest") -> int:
        """Number of objects that an owner has opened: what the next one's id is made of."""
        return int(self._ask("Objects", "nonceOf", owner, block=block))

    def tally(self, shard: int, roster: int, epoch: int, block: BlockIdentifier = "latest") -> Tally:
        """Rows and fee of one ticket of a roster in an epoch, unsigned ones included."""
        return self._struct(Tally, "Objects", "tally", shard, roster, epoch, block=block)

    def excluded_tally(
        self, shard: int, roster: int, operator: str, epoch: int, block: BlockIdentifier = "latest"
    ) -> Tally:
        """The part of :meth:`tally` that an operator did not sign, per ticket."""
        return self._struct(Tally, "Objects", "excludedTally", shard, roster, operator, epoch, block=block)

    def listed_rows(self, shard: int, roster: int, epoch: int, block: BlockIdentifier = "latest") -> list[int]:
        """Rows per ticket of each bucket as frozen for an epoch."""
        return [int(item) for item in self._ask("Objects", "listedRows", shard, roster, epoch, block=block)]

    # ---- audits: a roster's are those that were in force at its snapshot, whatever came later

    def audits(self, address: str = "") -> Contract:
        """The Audits at an address; without one those in force."""
        return self.chain.contract_at("Audits", address) if address else self.chain.contract("Audits")

    def audits_in(self, shard: int, epoch: int, block: BlockIdentifier = "latest") -> tuple[str, ...]:
        """Addresses of the Audits that the epoch's live rosters answer to, each once, the oldest roster's first."""
        numbers = self.rosters_live_in(shard, epoch, block)
        return tuple(dict.fromkeys(self.roster(shard, number, block).head.slasher for number in numbers))

    def all_audits(self, block: BlockIdentifier = "latest") -> tuple[str, ...]:
        """Addresses of every Audits that a roster ever answered to."""
        return tuple(to_checksum_address(item) for item in self._ask("Members", "slashers", block=block))

    def seed(self, shard: int, epoch: int, block: BlockIdentifier = "latest", *, audits: str = "") -> Seed:
        """An epoch's seed; ``is_sealed`` tells whether there is one."""
        return self._struct(Seed, self.audits(audits), "seedOf", shard, epoch, block=block)

    def duty(
        self, shard: int, epoch: int, operator: str, block: BlockIdentifier = "latest", *, audits: str = ""
    ) -> DutyStatus:
        """What became of an operator's duty in an epoch."""
        return DutyStatus(self._ask(self.audits(audits), "statusOf", shard, epoch, operator, block=block))

    def answered_count(self, operator: str, block: BlockIdentifier = "latest", *, audits: str = "") -> int:
        """Number of (shard, epoch)s that an operator ever answered."""
        return int(self._ask(self.audits(audits), "answeredCount", operator, block=block))

    def settled_count(self, operator: str, audits: str, block: BlockIdentifier = "latest") -> int:
        """Number of them, answered at one Audits contract, that were settled."""
        return int(self._ask("Rewards", "settledCount", audits, operator, block=block))

    def held_rows(
        self, shard: int, epoch: int, operator: str, block: BlockIdentifier = "latest", *, audits: str = ""
    ) -> int:
        """Rows that an operator must be able to open in an epoch; 0: no duty."""
        return int(self._ask(self.audits(audits), "heldRows", shard, epoch, operator, block=block))

    def is_void(self, shard: int, epoch: int, block: BlockIdentifier = "latest", *, audits: str = "") -> bool:
        """Whether an epoch was not sealed in time."""
        return bool(self._ask(self.audits(audits), "isVoid", shard, epoch, block=block))

    # ---- assets, licenses, money

    def asset_owner(self, asset_id: int, block: BlockIdentifier = "latest") -> str:
        """Owner of an asset."""
        return to_checksum_address(self._ask("Assets", "ownerOf", asset_id, block=block))

    def asset_objects(self, asset_id: int, block: BlockIdentifier = "latest") -> list[bytes]:
        """Objects of an asset."""
        return [bytes(item) for item in self._ask("Assets", "objectsOf", asset_id, block=block)]

    def asset_of(self, object_id: bytes, block: BlockIdentifier = "latest") -> int:
        """Asset that owns an object; 0: none."""
        return int(self._ask("Assets", "assetOf", object_id, block=block))

    def offer(self, offer_id: int, block: BlockIdentifier = "latest") -> tuple[OfferTerms, bool]:
        """An offer's terms, and whether it was withdrawn."""
        bound = self.chain.contract("Licenses").functions.offer(offer_id)
        terms, withdrawn = self.chain.call(bound, block=block)
        return _build(OfferTerms, bound.abi["outputs"][0]["components"], terms), bool(withdrawn)

    def license(self, license_id: int, block: BlockIdentifier = "latest") -> LicenseRecord:
        """A license's record."""
        return self._struct(LicenseRecord, "Licenses", "license", license_id, block=block)

    def license_twice(
        self, license_id: int, finalized: int
    ) -> tuple[LicenseRecord | ChainError, LicenseRecord | ChainError]:
        """A license's record at the newest block and at a final one, or why there is none."""
        bound = self._bound("Licenses", "license", license_id)
        now, final = self.chain.call_together([(bound, "latest"), (bound, finalized)])

        def built(values: Any) -> LicenseRecord | ChainError:
            if isinstance(values, ChainError):
                return values
            return _build(LicenseRecord, *_fields_of(bound.abi["outputs"], values))

        return built(now), built(final)

    def license_book(self, asset_id: int, token: str, block: BlockIdentifier = "latest") -> tuple[int, int]:
        """All that lies in Payments for an asset's licenses in a token, and what of it is earned and not settled."""
        licenses = self.chain.contract("Licenses").address
        account = self._ask("Payments", "moduleAccount", licenses, asset_id.to_bytes(32, "big"), block=block)
        balance, counted, *_ = self._ask("Payments", "bookOf", token, bytes(account), block=block)
        return int(balance), int(counted)

    def free_seat(self, offer_id: int, first: int, count: int, block: BlockIdentifier = "latest") -> int:
        """The first free seat among ``count`` from ``first`` on, 0 if there is none."""
        return int(self._ask("Licenses", "freeSeat", offer_id, first, count, block=block))

    def is_licensed(self, licensee: str, asset_id: int, purposes: int, block: BlockIdentifier = "latest") -> bool:
        """Whether an account holds a license in force for all the purposes."""
        return bool(self._ask("Licenses", "isLicensed", licensee, asset_id, purposes, block=block))

    # ---- keys: ``keys`` is the contract's address, the one in force by default

    def keys(self, address: str = "") -> Contract:
        """The Keys at an address; without one that in force."""
        return self.chain.contract_at("Keys", address) if address else self.chain.contract("Keys")

    def key(self, asset_id: int, key_epoch: int, block: BlockIdentifier = "latest", *, keys: str = "") -> KeyRecord:
        """An asset's key. Raises :class:`TransactionReverted` (``KeyUnknown``) where no holders were asked for."""
        return self._struct(KeyRecord, self.keys(keys), "keyOf", asset_id, key_epoch, block=block)

    def key_holders(
        self, asset_id: int, key_epoch: int, block: BlockIdentifier = "latest", *, keys: str = ""
    ) -> tuple[str, ...]:
        """Holders of a key in the order of their places; none before they were drawn."""
        found = self._ask(self.keys(keys), "holdersOf", asset_id, key_epoch, block=block)
        return tuple(to_checksum_address(item) for item in found)

    def key_epochs(self, asset_id: int, block: BlockIdentifier = "latest", *, keys: str = "") -> tuple[int, int, bool]:
        """(the newest key epoch asked for, the newest dealt, whether the asset changed hands since); 0: none."""
        newest, dealt, stale = self._ask(self.keys(keys), "epochsOf", asset_id, block=block)
        return int(newest), int(dealt), bool(stale)

    def forced_release(self, release: bytes, block: BlockIdentifier = "latest", *, keys: str = "") -> ForcedRelease:
        """A forced release by its id. Raises :class:`TransactionReverted` (``ReleaseUnknown``)."""
        return self._struct(ForcedRelease, self.keys(keys), "releaseOf", release, block=block)

    # ---- money

    def claimable(self, token: str, account: str, block: BlockIdentifier = "latest") -> int:
        """What an account can claim from Payments, in token units."""
        return int(self._ask("Payments", "claimable", token, account, block=block))

    def earned_in(self, shard: int, epoch: int, operator: str, block: BlockIdentifier = "latest") -> tuple[int, int]:
        """What an operator's rows earn in an epoch and isn't settled, and how much of it is its sealers'.

        In units of the payment token.
        """
        amount, to_sealers = self._ask("Rewards", "earnedIn", shard, epoch, operator, block=block)
        return int(amount), int(to_sealers)

    def is_settled(self, shard: int, epoch: int, operator: str, block: BlockIdentifier = "latest") -> bool:
        """Whether an operator was paid for an epoch."""
        return bool(self._ask("Rewards", "isSettled", shard, epoch, operator, block=block))


def _shallow(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def as_json(value: Any) -> dict[str, Any]:
    """Return a view as JSON values: bytes as ``0x`` hex."""
    return {name: "0x" + item.hex() if isinstance(item, bytes) else item for name, item in asdict(value).items()}
