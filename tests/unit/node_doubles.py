"""A chain that exists in memory, and nodes over it: for faults that a real chain does not make on request."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvicorn
from eth_utils import keccak, to_checksum_address

from qanat.bls import SecretKey
from qanat.chain.signer import KeySigner
from qanat.chain.views import (
    DutyStatus,
    ForcedRelease,
    KeyRecord,
    LicenseRecord,
    ObjectRecord,
    ObjectStatus,
    OperatorRecord,
    Roster,
    RosterEntry,
    RosterHead,
    Seed,
    ShardParameters,
)
from qanat.errors import TransactionReverted
from qanat.keys.seal import SealingKey
from qanat.node.api import make_app
from qanat.node.certificate import certificate_digest
from qanat.node.config import NodeConfig
from qanat.node.follower import Follower
from qanat.node.intake import Intake
from qanat.node.keyholder import KeyHolder
from qanat.node.metrics import Metrics
from qanat.node.permits import make_permit
from qanat.node.server import settings
from qanat.node.service import Service
from qanat.node.shareholder import ShareHolder
from qanat.node.signing import SigningKeys
from qanat.node.state import NodeState
from qanat.objects import Encoded, slices_of_operator
from qanat.store import LmdbStore

CHAIN_ID = 31337
SHARD, ROSTER = 1, 1
ZERO = "0x" + "00" * 20
CONTRACTS = {
    name: to_checksum_address(keccak(text=name)[:20])
    for name in ("Objects", "Licenses", "Assets", "Audits", "Rewards", "Payments", "Restaking", "Keys")
}
PARAMETERS = ShardParameters(
    epoch_length=20,
    finality=2,
    sealing_limit=20,
    window=8,
    reporting=10,
    term_epochs=16,
    samples=4,
    max_operators=32,
    unproven_to_payer_bps=5000,
    jail_misses=3,
    jail_epochs=14,
    max_rows_per_ticket=10_000,
    bond_token=ZERO,
    payment_token=ZERO,
    ticket_price=1,
    bond_per_ticket=1,
    min_bond=1,
    bond_slash_per_ticket=1,
    stake_slash_per_ticket=1,
    reporter_fee=1,
    price_per_byte_epoch_wad=1,
    intake_price_per_byte_wad=1,
)


#: Who pays for all objects here.
PAYER = KeySigner.from_key(b"\x0b" * 32)


def permit(object_id: bytes, encoded: Encoded, operator: str, *, signer: KeySigner = PAYER, **changes: Any) -> str:
    """The header by which a payer's puts to an operator are known; ``changes``: other words than the right ones."""
    root = changes.pop("root", encoded.manifest.root)
    words = {"chain_id": CHAIN_ID, "objects": CONTRACTS["Objects"], "seconds": 600.0, **changes}
    return make_permit(signer, words["chain_id"], words["objects"], object_id, root, operator, seconds=words["seconds"])


@dataclass(frozen=True)
class Person:
    """An operator of the double: account, BLS key, sealing key."""

    signer: KeySigner
    key: SecretKey
    sealing: SealingKey

    @property
    def address(self) -> str:
        return self.signer.address


def make_people(count: int) -> list[Person]:
    """Return operators with fixed keys."""
    return [
        Person(
            KeySigner.from_key(keccak(text=f"operator {number}")),
            SecretKey(int.from_bytes(keccak(text=f"bls {number}"), "big") >> 2),
            SealingKey.from_bytes(keccak(text=f"sealing {number}")),
        )
        for number in range(count)
    ]


class FakeFunction:
    """A contract's function: records that it was sent, and where to."""

    def __init__(self, name: str, arguments: tuple[Any, ...], to: str) -> None:
        self.name, self.arguments, self.to = name, arguments, to


class FakeContract:
    """A contract that only has an address and functions by any name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.functions = self

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: FakeFunction(name, arguments, self.address)


@dataclass
class FakeChain:
    """Heads that a test sets."""

    head: int = 100
    safe: int = 99
    final: int = 98
    chain_id: int = CHAIN_ID
    now: int = field(default_factory=lambda: int(time.time()))
    answers: dict[str, Any] = field(default_factory=dict)
    looks: int = 0
    #: whether every look sees another block
    restless: bool = True

    def latest(self) -> int:
        return self.head

    def block(self, _tag: Any) -> dict[str, Any]:
        self.looks += 1
        shown = f"{self.head} {self.looks if self.restless else 0}"
        return {"number": hex(self.head), "hash": shown, "timestamp": hex(self.now)}

    def heads(self) -> tuple[dict[str, Any], int]:
        return self.block("latest"), self.finalized_block()

    def safe_block(self) -> int:
        return self.safe

    def finalized_block(self) -> int:
        return self.final

    def follow_modules(self, latest: int) -> None:
        assert latest == self.head

    def timestamp(self, _block: Any = "latest") -> int:
        return self.now

    def contract(self, name: str) -> FakeContract:
        return FakeContract(CONTRACTS[name])

    def has_code(self, _address: str) -> bool:
        return False

    def call(self, function: FakeFunction, **_: Any) -> Any:
        return self.answers[function.name]


@dataclass
class FakeSender:
    """Sends into a list."""

    sent: list[FakeFunction] = field(default_factory=list)
    fails: Exception | None = None

    def send(self, function: FakeFunction, value: int = 0, *, steps: int = 0) -> dict[str, Any]:
        if self.fails is not None:
            raise self.fails
        self.sent.append(function)
        return {}


class FakeViews:
    """What `Views` answers, out of dictionaries. `records[id]` is (block from which it is so, record)."""

    def __init__(self, people: list[Person], tickets: list[int] | None = None) -> None:
        self.chain = FakeChain()
        self.people = people
        self.tickets = tickets or [1] * len(people)
        self.records: dict[bytes, list[tuple[int, ObjectRecord]]] = {}
        self.seeds: dict[int, Seed] = {}
        self.licenses: dict[int, LicenseRecord] = {}
        self.owners: dict[int, str] = {}
        #: (asset, key epoch) → record and holders
        self.drawn: dict[tuple[int, int], tuple[KeyRecord, tuple[str, ...]]] = {}
        self.forced: dict[bytes, ForcedRelease] = {}
        self.active = ROSTER
        self.endpoints: dict[str, str] = {}
        #: who did not sign an object
        self.absent: dict[bytes, tuple[int, ...]] = {}
        #: (roster, operator) → hash of the key that counts there, if it isn't the person's
        self.key_hashes: dict[tuple[int, str], bytes] = {}

    # -- shards

    def shard_parameters(self, _shard: int) -> ShardParameters:
        return PARAMETERS

    def first_block(self, _shard: int) -> int:
        return 0

    def active_roster(self, _shard: int, block: Any = "latest") -> int:
        return self.active

    def roster(self, shard: int, roster: int) -> Roster:
        entries, first = [], 0
        for person, tickets in zip(self.people, self.tickets, strict=True):
            key_hash = self.key_hashes.get((roster, person.address), bytes(keccak(person.key.public_key)))
            entries.append(RosterEntry(len(entries), person.address, first, tickets, key_hash))
            first += tickets
        head = RosterHead(
            1, 0, 30, first, len(entries), len(entries), max(entry.tickets for entry in entries), CONTRACTS["Audits"]
        )
        return Roster(shard, roster, head, tuple(entries), b"")

    def operator(self, address: str) -> OperatorRecord:
        person = next(person for person in self.people if person.address == address)
        return OperatorRecord(
            address, person.key.public_key, person.sealing.public, self.endpoints.get(address, ""), 0, address
        )

    # -- objects

    def open_object(self, object_id: bytes, encoded: Encoded, *, block: int = 50, **overrides: Any) -> ObjectRecord:
        """Put an opened object on the chain."""
        manifest = encoded.manifest
        record = ObjectRecord(
            owner=PAYER.address,
            status=ObjectStatus.OPEN,
            shard=SHARD,
            roster=ROSTER,
            width=manifest.width,
            k=manifest.k,
            n=manifest.n,
            matrices=manifest.matrices,
            size=manifest.size,
            epochs=3,
            opened_block=block,
            first_epoch=0,
            end_epoch=0,
            manifest_root=manifest.root,
            non_signers_hash=bytes(32),
            first_non_signers_hash=bytes(32),
            unsigned_tickets=0,
            unsigned_returned=False,
            terminated=False,
            row_fee=1,
            intake_fee=1,
        )
        record = replace(record, **overrides)
        self.records.setdefault(object_id, []).append((block, record))
        return record

    def change_object(self, object_id: bytes, *, block: int, **changes: Any) -> None:
        """Change an object's record from a block on."""
        changed = replace(self.records[object_id][-1][1], **changes)
        if "first_epoch" in changes and "end_epoch" not in changes:
            changed = replace(changed, end_epoch=changed.first_epoch + changed.epochs)
        self.records[object_id].append((block, changed))

    def object(self, object_id: bytes, block: int | str = "latest") -> ObjectRecord:
        at = self.chain.head if block == "latest" else int(block)
        found = [record for since, record in self.records.get(object_id, []) if since <= at]
        if found:
            return found[-1]
        return ObjectRecord(ZERO, ObjectStatus.NONE, *[0] * 11, *[bytes(32)] * 3, 0, False, False, 0, 0)

    def moved_ends(self, first: int, last: int) -> set[bytes]:
        """Objects whose end changed in these blocks after they were certified."""
        return {
            object_id
            for object_id, versions in self.records.items()
            for (_, before), (since, after) in pairwise(versions)
            if first <= since <= last and before.end_epoch and after.end_epoch != before.end_epoch
        }

    def incomplete_certificates(self, first: int, last: int) -> list[tuple[bytes, tuple[int, ...]]]:
        """Objects that were certified in these blocks without all."""
        return [
            (object_id, self.absent[object_id])
            for object_id, versions in self.records.items()
            for since, record in versions
            if first <= since <= last and record.status is ObjectStatus.CERTIFIED and self.absent.get(object_id)
        ]

    def vacant_operators(self, _roster: Roster) -> frozenset[str]:
        return frozenset()

    def roster_keys(self, _roster: Roster, seats: list[int]) -> bytes:
        return b"".join(self.people[seat].key.public_key for seat in seats)

    def epoch_at(self, _shard: int, block: int) -> int:
        """Epoch in which a block lies."""
        return (block - self.first_block(SHARD)) // self.shard_parameters(SHARD).epoch_length

    def first_epoch_after(self, _shard: int, block: int) -> int:
        """First epoch whose B_e is at or after a block."""
        parameters = self.shard_parameters(SHARD)
        return max(1, -(-(block + parameters.finality - self.first_block(SHARD)) // parameters.epoch_length))

    def digest(self, object_id: bytes) -> bytes:
        """What is signed for an object."""
        return certificate_digest(CHAIN_ID, CONTRACTS["Objects"], object_id, self.object(object_id))

    # -- audits, licenses

    def audits(self, address: str = "") -> FakeContract:
        return FakeContract(address or CONTRACTS["Audits"])

    def audits_in(self, _shard: int, _epoch: int) -> tuple[str, ...]:
        return (CONTRACTS["Audits"],)

    def seed(self, _shard: int, epoch: int, block: Any = "latest", *, audits: str = "") -> Seed:
        return self.seeds.get(epoch, Seed(bytes(32), 0, 0))

    def duty(self, _shard: int, _epoch: int, _operator: str, *, audits: str = "") -> DutyStatus:
        return DutyStatus.NONE

    def license(self, license_id: int, block: Any = "latest") -> LicenseRecord:
        if license_id not in self.licenses:
            raise TransactionReverted("license() failed.", error_name="LicenseUnknown", arguments={})
        return self.licenses[license_id]

    def license_twice(self, license_id: int, finalized: int) -> tuple[Any, Any]:
        def look(block: Any) -> Any:
            try:
                return self.license(license_id, block)
            except TransactionReverted as error:
                return error

        return look("latest"), look(finalized)

    # -- keys

    def keys(self, address: str = "") -> FakeContract:
        return FakeContract(address or CONTRACTS["Keys"])

    def key(self, asset_id: int, key_epoch: int, block: Any = "latest", *, keys: str = "") -> KeyRecord:
        if (asset_id, key_epoch) not in self.drawn:
            raise TransactionReverted("keyOf() failed.", error_name="KeyUnknown", arguments={})
        return self.drawn[asset_id, key_epoch][0]

    def key_holders(self, asset_id: int, key_epoch: int, block: Any = "latest", *, keys: str = "") -> tuple[str, ...]:
        return self.drawn[asset_id, key_epoch][1]

    def key_epochs(self, asset_id: int, block: Any = "latest", *, keys: str = "") -> tuple[int, int, bool]:
        epochs = [epoch for asset, epoch in self.drawn if asset == asset_id]
        dealt = [epoch for epoch in epochs if self.drawn[asset_id, epoch][0].dealt_block]
        return max(epochs, default=0), max(dealt, default=0), False

    def forced_release(self, release: bytes, block: Any = "latest", *, keys: str = "") -> ForcedRelease:
        if release not in self.forced:
            raise TransactionReverted("no", error_name="ReleaseUnknown", arguments={})
        return self.forced[release]

    def asset_owner(self, asset_id: int) -> str:
        if asset_id not in self.owners:
            raise TransactionReverted("ownerOf() failed.", error_name="ERC721NonexistentToken", arguments={})
        return self.owners[asset_id]


class FakeNode:
    """A node's parts over the doubles, with a real store and real memory in a folder."""

    def __init__(self, views: FakeViews, person: Person, folder: Path, **settings: Any) -> None:
        self.views, self.person, self.folder = views, person, folder
        self.config = NodeConfig(
            operator=person.address,
            shard=SHARD,
            rpc="",
            deployment=folder,
            data=folder,
            host="127.0.0.1",
            port=1,
            bls_keys=(folder,),
            sealing_key=folder,
            responder_key=folder,
            **{"poll_seconds": 0.05, "request_seconds": 2.0, **settings},
        )
        self.sender = FakeSender()
        self.signing = SigningKeys.of(person.key)
        self.start()

    def start(self) -> None:
        self.state = NodeState(self.folder / "state")
        self.store = LmdbStore(self.folder / "slices")
        self.metrics = Metrics()
        views: Any = self.views
        self.follower = Follower(views, SHARD, self.config.poll_seconds)
        self.follower.refresh()
        self.intake = Intake(self.config, views, self.store, self.state, self.signing, self.metrics)
        sender: Any = self.sender
        self.keys = KeyHolder(self.config, views, self.state, self.person.sealing, sender, self.metrics)
        self.shares = ShareHolder(
            self.config, views, self.state, self.signing, self.person.sealing, self.keys, self.metrics
        )
        self.service = Service(
            self.config,
            views,
            self.store,
            self.state,
            self.follower,
            self.intake,
            self.keys,
            self.shares,
            self.metrics,
        )

    def stop(self) -> None:
        self.service.close()
        self.store.close()
        self.state.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def own(self, object_id: bytes, encoded: Encoded) -> list[int]:
        """The slices of an object that are this operator's."""
        roster = self.views.roster(SHARD, ROSTER)
        entry = roster.entry_of(self.person.address)
        manifest = encoded.manifest
        return slices_of_operator(
            object_id, roster.tickets, entry.first_ticket, entry.tickets, manifest.n, manifest.matrices
        )

    def take_all(self, object_id: bytes, encoded: Encoded) -> None:
        """Take in the manifest and all own slices, without HTTP."""
        self.intake.accept_manifest(object_id, encoded.manifest.to_bytes())
        for index in self.own(object_id, encoded):
            self.intake.accept_slice(object_id, index, encoded.slices[index])


class Served:
    """An application served by a thread on a free port."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = uvicorn.Server(settings(app, **options))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.server.started and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.socket.close()


def serve_node(node: FakeNode) -> Served:
    """Serve a node's API."""
    served = Served(make_app(node.service))
    node.views.endpoints[node.person.address] = served.url
    return served
