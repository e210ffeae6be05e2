"""The whole system on a local chain, with small parameters, for tests of every contract that needs the others.

::

    system = deploy_system(project, accounts)            # everything deployed, wired, sealed; one shard
    system.enroll(operators)                             # registered, bonded, staked, joined
    roster = system.take_roster()                        # snapshotted, and its first epoch begun
    data = make_data(n=6, k=2)                           # slices, commitments, Merkle tree
    object_id = system.open(owner, data, epochs=3)
    system.certify(object_id, absent=[2])
    system.go_to_epoch(system.objects.record(object_id).firstEpoch); system.seal(epoch)
    system.answer(operators[0], epoch)

Commitments, Merkle trees and signatures are made here from the documented rules with ckzg and arkworks, not by the
package's own kernels: what the contracts accept is judged by code that they and the package don't share.
"""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations
from typing import Any

import ckzg
import requests
from ape import chain
from eth_abi import encode
from eth_abi.packed import encode_packed
from eth_utils import keccak
from py_arkworks_bls12381 import G1Point, Scalar

from qanat.chain import draws
from qanat.chain.header import encode_header
from qanat.node.answer import Response, build_response
from tests.contracts import curve_points as cp

WAD = 10**18
ZERO_ADDRESS = "0x" + "00" * 20

#: Blocks of a withdrawal, of a slash's resolution, of the guardian's delay, of a change in the directory.
WITHDRAWAL_DELAY, RESOLUTION_DELAY, GUARDIAN_DELAY, TIMELOCK = 66, 3, 3, 90

#: What a forced release pays for an answer.
ANSWER_FEE = 10**15

#: Periods of the local set (DESIGN §5's inequalities hold) and small prices. `create_shard` fills in the tokens.
SHARD = {
    "epochLength": 20,
    "finality": 2,
    "sealingLimit": 20,
    "window": 8,
    "reporting": 10,
    "termEpochs": 16,
    "samples": 4,
    "maxOperators": 32,
    "unprovenToPayerBps": 6_000,
    "jailMisses": 100,
    "jailEpochs": 10,
    "maxRowsPerTicket": 10_000,
    "bondToken": ZERO_ADDRESS,
    "paymentToken": ZERO_ADDRESS,
    "ticketPrice": 100 * WAD,
    "bondPerTicket": 10 * WAD,
    "minBond": 10 * WAD,
    "bondSlashPerTicket": 2 * WAD,
    "stakeSlashPerTicket": 5 * WAD,
    "reporterFee": WAD // 2,
    "pricePerByteEpochWad": 3 * 10**16,
    "intakePricePerByteWad": 7 * 10**15,
}

#: Contracts that stand in the directory, in the order of their deployment, with the name of each.
MODULES = {
    "operators": "Operators",
    "shards": "Shards",
    "objects": "Objects",
    "audits": "Audits",
    "rewards": "Rewards",
    "payments": "Payments",
    "assets": "Assets",
}
STATELESS = {
    "randomness": "RandaoBeacon",
    "certificateVerifier": "BlsCertificateVerifier",
    "openingVerifier": "KzgOpeningVerifier",
    "pricing": "FlatPricing",
}


def module_name(name: str) -> bytes:
    """Return a directory's name as bytes32."""
    return name.encode().ljust(32, b"\0")


# ---- data ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """An object's slices with their commitments and tree: a manifest as far as the chain sees one.

    `slices` and `commitments` (48 bytes) by slice index = matrix·n + row.
    """

    width: int
    k: int
    n: int
    matrices: int
    size: int
    content_hash: bytes
    header_hash: bytes
    slices: tuple[bytes, ...] = field(repr=False)
    commitments: tuple[bytes, ...] = field(repr=False)

    @cached_property
    def points(self) -> tuple[bytes, ...]:
        """Raw 96-byte commitments."""
        return tuple(_raw(commitment) for commitment in self.commitments)

    @cached_property
    def levels(self) -> list[list[bytes]]:
        """The tree's levels from the leaves up; padding leaves are zero."""
        leaves = [keccak(b"\0" + index.to_bytes(8, "big") + point) for index, point in enumerate(self.points)]
        depth = (len(leaves) - 1).bit_length()
        leaves += [bytes(32)] * (2**depth - len(leaves))
        levels = [leaves]
        while len(levels[-1]) > 1:
            below = levels[-1]
            levels.append([keccak(b"\x01" + below[i] + below[i + 1]) for i in range(0, len(below), 2)])
        return levels

    @property
    def tree_root(self) -> bytes:
        return self.levels[-1][0]

    @property
    def params_hash(self) -> bytes:
        kinds = ["uint32"] * 4 + ["uint64", "bytes32", "bytes32"]
        values = [self.width, self.k, self.n, self.matrices, self.size, self.content_hash, self.header_hash]
        return keccak(encode_packed(kinds, values))

    @property
    def root(self) -> bytes:
        return keccak(b"\x02" + self.tree_root + self.params_hash)

    def merkle_path(self, index: int) -> list[bytes]:
        path = []
        for level in self.levels[:-1]:
            path.append(level[index ^ 1])
            index >>= 1
        return path


@cache
def _raw(commitment: bytes) -> bytes:
    return (
        cp.IDENTITY_RAW if commitment == cp.IDENTITY_COMPRESSED else cp.raw(G1Point.from_compressed_bytes(commitment))
    )


@cache
def _base(width: int, number: int) -> tuple[list[int], G1Point]:
    """Return a slice's elements and its commitment, made by ckzg."""
    choose = random.Random(f"base {width} {number}")
    elements = [choose.randrange(cp.R) for _ in range(width)]
    commitment = bytes(ckzg.blob_to_kzg_commitment(cp.blob_of(elements), cp.trusted_setup()))
    return elements, G1Point.from_compressed_bytes(commitment)


def _slice(width: int, choose: random.Random) -> tuple[bytes, bytes]:
    """Return a slice and its commitment: a random combination of two bases, whose commitments combine alike."""
    scalars = [choose.randrange(cp.R) for _ in range(2)]
    bases = [_base(width, number) for number in range(2)]
    elements = [
        sum(scalar * base[i] for scalar, (base, _) in zip(scalars, bases, strict=True)) % cp.R for i in range(width)
    ]
    points = [point * Scalar(scalar) for scalar, (_, point) in zip(scalars, bases, strict=True)]
    return cp.words(elements), bytes(cp.sum_of(points).to_compressed_bytes())


@cache
def make_data(
    *,
    n: int = 6,
    k: int = 2,
    width: int = 64,
    matrices: int = 1,
    size: int | None = None,
    seed: int = 0,
    zeros: bool = False,
) -> Data:
    """Return an object's data: random slices from `seed`, or all zeros (identity commitments, nothing to compute)."""
    choose = random.Random(f"{seed} {n} {k} {width} {matrices}")
    count = n * matrices
    if zeros:
        slices = (bytes(32 * width),) * count
        commitments = (cp.IDENTITY_COMPRESSED,) * count
    else:
        made = [_slice(width, choose) for _ in range(count)]
        slices, commitments = tuple(part for part, _ in made), tuple(point for _, point in made)
    return Data(
        width=width,
        k=k,
        n=n,
        matrices=matrices,
        size=31 * width * k * matrices if size is None else size,
        content_hash=keccak(text=f"content {seed}"),
        header_hash=keccak(b""),
        slices=slices,
        commitments=commitments,
    )


# ---- the system ------------------------------------------------------------------------------------------------------


@dataclass
class Operator:
    """A registered operator: its account and its BLS key."""

    account: Any
    secret: Any

    @property
    def address(self) -> str:
        return self.account.address

    @property
    def key(self) -> bytes:
        """256-byte EIP-2537 key."""
        return cp.g2(cp.key_of(self.secret))


class System:
    """All contracts of a deployment, and what people do with them. Every call mines a block: mind the periods."""

    def __init__(self, project: Any, contracts: dict[str, Any], tokens: dict[str, Any], people: dict[str, Any]) -> None:
        self.project = project
        self.contracts = contracts
        self.directory, self.restaking = contracts["directory"], contracts["restaking"]
        self.operators, self.shards, self.members = contracts["operators"], contracts["shards"], contracts["members"]
        self.objects, self.audits = contracts["objects"], contracts["audits"]
        self.rewards, self.payments = contracts["rewards"], contracts["payments"]
        self.restaker_rewards = contracts["restakerRewards"]
        self.assets, self.licenses, self.keys = contracts["assets"], contracts["licenses"], contracts["keys"]
        self.beacon = contracts["randomness"]
        self.payment_token, self.bond_token = tokens["payment"], tokens["bond"]
        self.collaterals = tokens["collaterals"]
        self.governor, self.guardian = people["governor"], people["guardian"]
        self.shard = 0
        self.parameters: dict[str, Any] = {}
        self.enrolled: list[Operator] = []
        self.data: dict[bytes, Data] = {}
        self.absent: dict[bytes, list[int]] = {}
        self.snapshots: dict[Any, draws.Snapshot] = {}

    # -- set-up

    def with_shard(self, **overrides: Any) -> System:
        """Create a shard with the small parameters and return the system that speaks of it."""
        tokens = {"bondToken": self.bond_token.address, "paymentToken": self.payment_token.address}
        weights = [{"token": token.address, "weightWad": WAD} for token in self.collaterals]
        made = copy.copy(self)
        made.parameters = {**SHARD, **tokens, **overrides}
        self.shards.create(made.parameters, weights, sender=self.governor)
        made.shard = self.shards.count()
        return made

    def enroll(
        self,
        accounts: Sequence[Any],
        *,
        tickets: int | Sequence[int] = 1,
        commission_bps: int = 1_000,
        restaker: Any = None,
        magnitude: int = WAD,
    ) -> list[Operator]:
        """Register operators where needed, and give each bond and stake for so many tickets of the shard; they join it.

        The stake is split between both collaterals; `restaker` delegates it (each operator its own, if None). The part
        of it for which `magnitude` stands is behind the shard, the rest behind none.
        """
        counts = [tickets] * len(accounts) if isinstance(tickets, int) else list(tickets)
        return [
            self._enroll(account, count, commission_bps, restaker or account, magnitude)
            for account, count in zip(accounts, counts, strict=True)
        ]

    def _enroll(self, account: Any, tickets: int, commission_bps: int, restaker: Any, magnitude: int) -> Operator:
        operator = self.register(account, commission_bps=commission_bps)
        stake = -(-tickets * self.parameters["ticketPrice"] * WAD // magnitude)
        parts = [stake // 4, stake - stake // 4]
        for token, amount in zip(self.collaterals, parts, strict=True):
            # at once, as long as nobody's stake is there
            self.restaking.allocate(self.shard, token, magnitude, sender=account)
            fund(token, restaker, amount, self.restaking)
            self.restaking.depositAndDelegate(account, token, amount, sender=restaker)
        bond = max(tickets * self.parameters["bondPerTicket"], self.parameters["minBond"])
        fund(self.bond_token, account, bond, self.restaking)
        self.restaking.postBond(self.shard, bond, sender=account)
        self.members.join(self.shard, sender=account)
        return operator

    def register(self, account: Any, *, commission_bps: int = 1_000) -> Operator:
        """Register an operator with a key of its own, once."""
        operator = Operator(account, cp.secret(int(account.address, 16) % 2**64))
        if all(item.address != operator.address for item in self.enrolled):
            self.enrolled.append(operator)
        if self.operators.isRegistered(account):
            return operator
        digest = self.operators.possessionDigest(account, operator.key)
        possession = cp.g1(cp.sign(operator.secret, bytes(digest), cp.POSSESSION_TAG))
        endpoint = f"http://127.0.0.1/{account.address}"
        self.operators.register(
            operator.key, possession, keccak(text=account.address), endpoint, commission_bps, account, sender=account
        )
        self.operators.publishKey(operator.key, sender=account)
        return operator

    def take_roster(self) -> int:
        """Take a snapshot as soon as it may be, and begin the first epoch in which objects can be opened under it."""
        taken = self.shards.rosterCount(self.shard)
        if taken:
            term = self.parameters["termEpochs"] * self.parameters["epochLength"]
            self.go_to_block(max(chain.blocks.height, self.head(taken).snapshotBlock - (-term // 7) - 1))
        self.members.snapshot(self.shard, sender=self.governor)
        roster = self.shards.rosterCount(self.shard)
        self.go_to_epoch(self.head(roster).activeFromEpoch)
        return roster

    # -- time

    def head(self, roster: int) -> Any:
        return self.shards.rosterHead(self.shard, roster)

    @property
    def epoch(self) -> int:
        """The epoch that the latest block lies in."""
        return self.shards.epochAt(self.shard, chain.blocks.height)

    def go_to_block(self, number: int) -> None:
        """Mine until the chain's height is `number`."""
        behind = number - chain.blocks.height
        if behind < 0:
            raise ValueError(f"block {number} is past: the chain is at {chain.blocks.height}")
        if behind:
            chain.mine(behind)

    def go_to_epoch(self, epoch: int) -> None:
        """Mine up to the epoch's seed block, unless it is past. (Calls see the latest block, not the next.)"""
        first = self.shards.seedBlockOf(self.shard, epoch)
        if chain.blocks.height < first:
            self.go_to_block(first)

    def go_past_frozen(self, epoch: int) -> None:
        """Mine until what is done next counts only from the epoch after this one on."""
        frozen = self.shards.frozenBlockOf(self.shard, epoch)
        if chain.blocks.height < frozen:
            self.go_to_block(frozen)

    # -- objects

    def request(self, data: Data, *, epochs: int = 3, **overrides: Any) -> dict[str, Any]:
        """Return what `Objects.open` takes for `data`."""
        return {
            "shard": self.shard,
            "roster": self.shards.activeRoster(self.shard),
            "width": data.width,
            "k": data.k,
            "n": data.n,
            "matrices": data.matrices,
            "size": data.size,
            "epochs": epochs,
            "treeRoot": data.tree_root,
            "contentHash": data.content_hash,
            "headerHash": data.header_hash,
            "maxPayment": 2**255,
            **overrides,
        }

    def open(self, owner: Any, data: Data, *, epochs: int = 3, **overrides: Any) -> bytes:
        """Open and pay for an object; return its id."""
        request = self.request(data, epochs=epochs, **overrides)
        storage, intake, _ = self.objects.quote(request)
        fund(self.payment_token, owner, storage + intake, self.payments)
        object_id = self.id_of(owner, self.objects.nonceOf(owner), data.root)
        self.objects.open(request, sender=owner)
        self.data[object_id] = data
        return object_id

    def id_of(self, owner: Any, nonce: int, root: bytes) -> bytes:
        """Return the id of an owner's object (docs/protocol.md)."""
        kinds = ["bytes32", "uint256", "address", "address", "uint256", "bytes32"]
        tag = keccak(text="qanat/v1/object")
        return keccak(encode(kinds, [tag, chain.chain_id, self.objects.address, owner.address, nonce, root]))

    def members_of(self, roster: int) -> list[Operator]:
        """Return a roster's operators in the order of their indexes."""
        by_address = {item.address: item for item in self.enrolled}
        found = self.shards.rosterEntries(self.shard, roster, 0, 2**16)
        return [by_address[entry.operator] for entry in found if entry.tickets]

    def certificate(self, object_id: bytes, absent: Sequence[int] = ()) -> tuple[bytes, list[int]]:
        """Return (signature, non-signers): what all but the roster indexes `absent` sign."""
        digest = bytes(self.objects.certificateDigest(object_id))
        return self._signed(self.objects.record(object_id).roster, digest, absent)

    def _signed(self, roster: int, digest: bytes, absent: Sequence[int]) -> tuple[bytes, list[int]]:
        members = self.members_of(roster)
        signatures = [cp.sign(item.secret, digest) for i, item in enumerate(members) if i not in absent]
        return cp.g1(cp.sum_of(signatures, G1Point.identity())), list(absent)

    def certify(self, object_id: bytes, absent: Sequence[int] = (), sender: Any = None) -> Any:
        """Certify an object with the signatures of all but `absent`."""
        receipt = self.objects.certify(object_id, *self.certificate(object_id, absent), sender=sender or self.governor)
        self.absent[object_id] = list(absent)
        return receipt

    def absent_in(self, object_id: bytes, epoch: int) -> list[int]:
        """Return the roster indexes of those that had not signed an object as it counts in an epoch.

        Which of those that its certificate left out are left tells the hash.
        """
        record = self.objects.record(object_id)
        wanted = bytes(record.firstNonSignersHash if epoch == record.firstEpoch else record.nonSignersHash)
        absent = self.absent[object_id]
        for count in range(len(absent), -1, -1):
            for chosen in combinations(absent, count):
                if draws.non_signers_hash(chosen) == wanted:
                    return list(chosen)
        raise LookupError(object_id)

    def adoption(self, object_id: bytes, seat: int) -> tuple[int, bytes, bytes, list[int]]:
        """Return what `adopt` takes: seat, signature of the seat's operator alone, its key, the list as it stands."""
        member = self.members_of(self.objects.record(object_id).roster)[seat]
        signature = cp.g1(cp.sign(member.secret, bytes(self.objects.certificateDigest(object_id))))
        return seat, signature, member.key, self.absent_in(object_id, 2**32)

    def adopt(self, object_id: bytes, seat: int, sender: Any = None) -> Any:
        """Let a seat's operator take over its rows."""
        return self.objects.adopt(object_id, *self.adoption(object_id, seat), sender=sender or self.governor)

    def certify_many(self, object_ids: Sequence[bytes], absent: Sequence[int] = (), sender: Any = None) -> Any:
        """Certify a list of objects under one signature of all but `absent`."""
        certificate = self.list_certificate(object_ids, absent)
        receipt = self.objects.certifyMany(list(object_ids), *certificate, sender=sender or self.governor)
        self.absent.update({object_id: list(absent) for object_id in object_ids})
        return receipt

    def list_certificate(self, object_ids: Sequence[bytes], absent: Sequence[int] = ()) -> tuple[bytes, list[int]]:
        """Return (signature, non-signers) over a list."""
        digest = bytes(self.objects.certificateListDigest(list(object_ids)))
        return self._signed(self.objects.record(object_ids[0]).roster, digest, absent)

    def extend(self, object_id: bytes, epochs: int, payer: Any) -> Any:
        """Add epochs to an object, paid by `payer`."""
        record = self.objects.record(object_id)
        signed = self.head(record.roster).tickets - record.unsignedTickets
        payment = signed * record.n // self.head(record.roster).tickets * record.matrices * record.rowFee * epochs
        fund(self.payment_token, payer, payment, self.payments)
        return self.objects.extend(object_id, epochs, payment, self.absent_in(object_id, 2**32), sender=payer)

    def terminate(self, object_id: bytes, owner: Any) -> Any:
        """End an object early."""
        return self.objects.terminate(object_id, self.absent_in(object_id, 2**32), sender=owner)

    def store(self, owner: Any, data: Data, *, epochs: int = 3, absent: Sequence[int] = ()) -> bytes:
        """Open and certify an object; return its id."""
        object_id = self.open(owner, data, epochs=epochs)
        self.certify(object_id, absent)
        return object_id

    # -- audits

    def header(self, number: int) -> bytes:
        """Return a block's header in RLP: what the beacon takes."""
        return encode_header(chain.provider.web3.eth.get_block(number))

    def block_value(self, number: int) -> bytes:
        """Return what the beacon gives for a block: its mix, the lowest 40 bits replaced by its time."""
        block = chain.provider.web3.eth.get_block(number)
        return bytes(block["mixHash"])[:27] + block["timestamp"].to_bytes(5, "big")

    def seal(self, epoch: int, sender: Any = None, sealer: Any = None) -> Any:
        """Go to the epoch and seal it. ``sealer`` is to be paid for it: by default the sender, who is the governor."""
        self.go_to_epoch(epoch)
        seed_block = self.shards.seedBlockOf(self.shard, epoch)
        sender = sender or self.governor
        return self.audits.seal(self.shard, epoch, self.header(seed_block), sealer or sender, sender=sender)

    def vacate(self, operator: Any, epoch: int) -> int:
        """Let an operator miss an epoch and be slashed below the least bond. Return the block of its vacancy."""
        self.seal(epoch)
        self.end_window(epoch)
        self.audits.reportMiss(self.shard, epoch, operator, sender=self.governor)
        chain.mine(RESOLUTION_DELAY + GUARDIAN_DELAY)
        slash_id = self.restaking.slashId(self.shard, epoch, operator)
        return self.restaking.executeSlash(slash_id, sender=self.governor).block_number

    def snapshot_of(self, operator: Any, epoch: int) -> draws.Snapshot:
        """Return an operator's snapshot as `qanat.chain.draws` takes it, read from the views.

        It is a function of the state at B_e, so it is kept under that block's hash.
        """
        frozen = self.shards.frozenBlockOf(self.shard, epoch)
        key = (self.shard, epoch, _address(operator), chain.blocks[frozen].hash)
        if key not in self.snapshots:
            self.snapshots[key] = self._snapshot_of(operator, epoch, frozen)
        return self.snapshots[key]

    def _snapshot_of(self, operator: Any, epoch: int, frozen: int) -> draws.Snapshot:
        first, last = self.shards.rostersLiveIn(self.shard, epoch)
        places = []
        for roster in range(first, last + 1):
            if not self.shards.isInRoster(self.shard, roster, operator):
                continue
            head = self.head(roster)
            vacated = self.shards.vacatedAt(self.shard, roster, operator)
            if head.slasher != self.audits.address or 0 < vacated <= frozen:
                continue
            index = self.shards.rosterIndexOf(self.shard, roster, operator)
            entry = self.shards.rosterEntry(self.shard, roster, index)
            rows = self.objects.tally(self.shard, roster, epoch).rows
            rows -= self.objects.excludedTally(self.shard, roster, operator, epoch).rows
            listed = self.objects.listedRows(self.shard, roster, epoch)
            buckets = tuple(
                draws.Bucket(count, self.listings(roster, bucket, epoch) if count else [])
                for bucket, count in enumerate(listed)
            )
            places.append(
                draws.Place(
                    roster, head.tickets, index, entry.firstTicket, entry.tickets, entry.tickets * rows, buckets
                )
            )
        return draws.Snapshot(tuple(places))

    def listings(self, roster: int, bucket: int, epoch: int) -> list[draws.ListedObject]:
        """Return a bucket's list as it counts in an epoch: of objects opened here, those that it has there."""
        tickets, found = self.head(roster).tickets, []
        for object_id in self.data:
            record = self.objects.record(object_id)
            if (record.shard, record.roster, record.firstEpoch != 0) != (self.shard, roster, True):
                continue
            word = int.from_bytes(self.objects.wordsOf([object_id])[0], "big")
            start, end_epoch = word >> 208, record.endEpoch
            left = self.objects.leftOf(self.shard, roster, bucket, object_id)
            if left.until:
                start, end_epoch = left.start, left.until
            elif word >> 141 & 7 != bucket:
                continue
            absent = self.objects.nonSignersHashOf(object_id, epoch)
            rows = record.n // tickets * record.matrices
            place = (start, start + rows, end_epoch, record.n, record.matrices)
            found.append((object_id, *place, bytes(record.manifestRoot), bytes(absent)))
        found.sort(key=lambda item: item[1])
        return [draws.ListedObject(index, *item) for index, item in enumerate(found)]

    def draw(self, operator: Any, epoch: int) -> draws.Draw:
        """Return an operator's draw in a sealed epoch, computed off chain."""
        seed = bytes(self.audits.seedOf(self.shard, epoch).seed)
        context = draws.draw_context(chain.chain_id, self.audits.address, self.shard, epoch, seed, _address(operator))
        return draws.Draw.of(context, self.snapshot_of(operator, epoch), self.parameters["samples"])

    def reads(self, operator: Any, epoch: int, draw: draws.Draw | None = None) -> list[draws.Read]:
        """Return the positions that an operator must show, following its own draw unless told another."""
        chosen = draw or self.draw(operator, epoch)
        return draws.follow(chosen, epoch, lambda listed: self.absent_in(listed.object_id, epoch))

    def response(self, operator: Any, epoch: int, draw: draws.Draw | None = None) -> Response:
        """Return an operator's honest answer (or, to another draw, one that isn't)."""
        chosen = draw or self.draw(operator, epoch)
        return build_response(
            self.shard,
            epoch,
            _address(operator),
            self.reads(operator, epoch, chosen),
            chosen.context,
            manifest_of=self.data.__getitem__,
            slice_of=lambda object_id, index: self.data[object_id].slices[index],
        )

    def answer(self, operator: Any, epoch: int, sender: Any = None) -> Any:
        """Answer for an operator."""
        return self.audits.respond(self.response(operator, epoch).as_tuple(), sender=sender or self.governor)

    def answer_all(self, epoch: int, operators: Sequence[Any] | None = None) -> None:
        """Answer for every enrolled operator that has a duty, or for those given."""
        chosen = [item.account for item in self.enrolled] if operators is None else operators
        for operator in chosen:
            if self.audits.heldRows(self.shard, epoch, operator):
                self.answer(operator, epoch)

    def end_window(self, epoch: int) -> None:
        """Go to the last block in which an answer counts: what is done next comes too late."""
        deadline = self.audits.seedOf(self.shard, epoch).deadline
        if chain.blocks.height < deadline:
            self.go_to_block(deadline)

    # -- money

    def earned(self, person: Any, token: Any = None) -> int:
        """Return what Payments owes a person."""
        return self.payments.claimable(token or self.payment_token, person)

    @property
    def fees_left(self) -> int:
        """What lies in the shard's fee account."""
        return self.payments.balanceOf(self.payment_token, self.rewards.feeAccount(self.shard))

    @property
    def repair_fund(self) -> int:
        """What lies in the shard's repair fund."""
        return self.payments.balanceOf(self.payment_token, self.rewards.repairAccount(self.shard))


def _address(account: Any) -> str:
    return getattr(account, "address", account)


def fund(token: Any, account: Any, amount: int, spender: Any) -> None:
    """Mint tokens to an account and let `spender` take any number of them."""
    if amount:
        token.mint(account, amount, sender=account)
    if token.allowance(account, spender) < amount:
        token.approve(spender, 2**256 - 1, sender=account)


def warm_up() -> None:
    """Have Anvil load its KZG set-up, which its first point evaluation waits for: seconds, on a busy machine many."""
    zero = cp.opening(cp.blob_of([0]), 0)[0]
    versioned = b"\x01" + hashlib.sha256(cp.IDENTITY_COMPRESSED).digest()[1:]
    data = versioned + bytes(64) + cp.IDENTITY_COMPRESSED + zero
    call = {"to": "0x" + "00" * 19 + "0a", "data": "0x" + data.hex()}
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
    answer = requests.post(chain.provider.http_uri, json=body, timeout=300).json()
    if "result" not in answer:
        raise LookupError(f"the chain has no point evaluation: {answer}")


def deploy_contracts(project: Any, governor: Any, guardian: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Deploy and wire everything but a shard; the directory isn't sealed. Returns contracts and tokens."""
    directory = governor.deploy(project.Directory, governor, guardian, TIMELOCK)
    restaking = governor.deploy(project.Restaking, directory, WITHDRAWAL_DELAY, RESOLUTION_DELAY, GUARDIAN_DELAY)
    contracts = {"directory": directory, "restaking": restaking, "stakeSource": restaking}
    changes = governor.deploy(project.ObjectChanges, directory)
    for name, kind in MODULES.items():
        more = (changes,) if name == "objects" else ()
        contracts[name] = governor.deploy(getattr(project, kind), directory, *more)
    for name, kind in STATELESS.items():
        contracts[name] = governor.deploy(getattr(project, kind))
    contracts["restakerRewards"] = governor.deploy(project.RestakerRewards, directory, restaking, contracts["payments"])
    contracts["licenses"] = governor.deploy(project.Licenses, directory, contracts["assets"], contracts["payments"])
    proofs = governor.deploy(project.KeyProofs)
    keys = (directory, contracts["assets"], contracts["payments"], contracts["licenses"], proofs, ANSWER_FEE)
    contracts["keys"] = governor.deploy(project.Keys, *keys)
    contracts["members"] = project.Members.at(contracts["shards"].members())
    for name, contract in contracts.items():
        if name not in ("directory", "members"):
            directory.set(module_name(name), contract, sender=governor)

    def token(name: str) -> Any:
        return governor.deploy(project.FaucetToken, name, name[:4].upper(), 18, 2**128)

    collaterals = [token("Alpha"), token("Beta")]
    for collateral in collaterals:
        restaking.listCollateral(collateral, sender=governor)
    return contracts, {"payment": token("Payment"), "bond": token("Bond"), "collaterals": collaterals}


def deploy_system(project: Any, governor: Any, guardian: Any, **shard: Any) -> System:
    """Deploy everything, create a shard with the small parameters (`shard` overrides them), seal the directory."""
    contracts, tokens = deploy_contracts(project, governor, guardian)
    contracts["directory"].seal(sender=governor)
    warm_up()
    system = System(project, contracts, tokens, {"governor": governor, "guardian": guardian})
    return system.with_shard(**shard)
