"""One certificate for several opened objects of a roster: their nodes sign a list, ``certifyMany`` brings it.

The objects' slices have been sent: a node signs a list only if it signs each of its objects, so who is missing for one
of them is missing for all. What such a list saves is gas: one pairing, one list of non-signers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from qanat import bls
from qanat.chain.sender import Sender
from qanat.chain.views import ObjectRecord, ObjectStatus, Roster, Views
from qanat.client.nodes import NodeClient, connections
from qanat.client.reasons import lines_of
from qanat.errors import (
    BadParameters,
    InvalidPoint,
    InvalidSignature,
    MalformedHex,
    NodeRefused,
    NodeUnreachable,
    QuorumNotReached,
)
from qanat.node.certificate import certificate_digest, certificate_list_digest
from qanat.objects import needed_tickets

__all__ = ["CertifiedList", "certify_list", "gather_list"]

#: Answers after which asking again makes sense.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_PAUSE = 0.5


@dataclass(frozen=True)
class CertifiedList:
    """What came of it. ``failures``: operators that did not sign the list, with the reason."""

    object_ids: tuple[bytes, ...]
    signatures: dict[str, bytes]
    failures: dict[str, str]
    transaction: str = ""


def certify_list(
    views: Views, sender: Sender, object_ids: Sequence[bytes], *, seconds: float = 120.0, grace_seconds: float = 5.0
) -> CertifiedList:
    """Gather a list's signatures and bring its certificate.

    Raises :class:`BadParameters` for objects of several rosters or that need none, :class:`QuorumNotReached` with each
    operator's reason, :class:`TransactionReverted`.
    """
    records = _open_records(views, object_ids)
    roster = views.roster(records[0].shard, records[0].roster)
    gathered = gather_list(views, roster, object_ids, records, seconds=seconds, grace_seconds=grace_seconds)
    # a place may have fallen vacant since it signed
    signers = gathered.signatures.keys() - views.vacant_operators(roster)
    absent = [entry.seat for entry in roster.entries if entry.operator not in signers]
    ordered = [gathered.signatures[entry.operator] for entry in roster.entries if entry.operator in signers]
    function = views.chain.contract("Objects").functions.certifyMany(list(object_ids), bls.aggregate(ordered), absent)
    receipt = sender.send(function)
    return CertifiedList(
        tuple(object_ids),
        gathered.signatures,
        gathered.failures,
        "0x" + bytes(receipt["transactionHash"]).hex(),
    )


def gather_list(
    views: Views,
    roster: Roster,
    object_ids: Sequence[bytes],
    records: Sequence[ObjectRecord],
    *,
    seconds: float,
    grace_seconds: float,
) -> CertifiedList:
    """Gather verified signatures of a list, at least as many as a certificate of every object in it needs.

    Once there are enough, the rest has ``grace_seconds``. Raises :class:`QuorumNotReached`.
    """
    chain = views.chain
    contract = chain.contract("Objects").address
    digests = [
        certificate_digest(chain.chain_id, contract, object_id, record)
        for object_id, record in zip(object_ids, records, strict=True)
    ]
    digest = certificate_list_digest(chain.chain_id, contract, roster.shard, roster.number, digests)
    needed = max(needed_tickets(roster.tickets, record.k, record.n) for record in records)
    keys = views.roster_keys(roster, [entry.seat for entry in roster.entries])
    vacant = views.vacant_operators(roster)
    signers = [
        _Signer(entry.operator, views.operator(entry.operator).endpoints, keys[at : at + 256], entry.tickets)
        for at, entry in zip(range(0, len(keys), 256), roster.entries, strict=True)
        if entry.operator not in vacant
    ]
    work = _Gathering(object_ids, digest, chain.chain_id, needed, signers, time.monotonic() + seconds, grace_seconds)
    work.failures.update(dict.fromkeys(vacant, "its place is vacant"))
    asyncio.run(work.run())
    if not work.is_enough:
        raise QuorumNotReached(
            f"{work.tickets} of {roster.tickets} tickets signed a list of {len(object_ids)} objects; {needed} are "
            f"needed.{lines_of(work.failures)}",
            hint="Certify them one by one: who refuses one object may sign the others.",
            signed_tickets=work.tickets,
            needed_tickets=needed,
            reasons=work.failures,
        )
    return CertifiedList(tuple(object_ids), work.signatures, work.failures)


@dataclass(frozen=True)
class _Signer:
    operator: str
    endpoints: tuple[str, ...]
    key: bytes
    tickets: int


@dataclass
class _Gathering:
    object_ids: Sequence[bytes]
    digest: bytes
    chain_id: int
    needed: int
    signers: Sequence[_Signer]
    until: float
    grace_seconds: float
    signatures: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def tickets(self) -> int:
        return sum(signer.tickets for signer in self.signers if signer.operator in self.signatures)

    @property
    def is_enough(self) -> bool:
        return self.tickets >= self.needed

    async def run(self) -> None:
        """Ask all at once, until all have signed, or enough have and the grace time is over."""
        async with connections(len(self.signers)) as http:
            tasks = {asyncio.ensure_future(self._ask(http, signer)) for signer in self.signers}
            try:
                while tasks and (left := self.until - time.monotonic()) > 0:
                    done, tasks = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                    if self.is_enough:
                        self.until = min(self.until, time.monotonic() + self.grace_seconds)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        for signer in self.signers:
            if signer.operator not in self.signatures:
                self.failures.setdefault(signer.operator, "did not sign in time")

    async def _ask(self, http: httpx.AsyncClient, signer: _Signer) -> None:
        node = NodeClient(http, signer.operator, signer.endpoints, self.chain_id)
        while True:
            try:
                signature = await node.sign_list(self.object_ids, seconds=max(1.0, self.until - time.monotonic()))
                await asyncio.to_thread(self._check, signer, signature)
            except (NodeUnreachable, NodeRefused, MalformedHex, InvalidPoint, InvalidSignature) as error:
                self.failures[signer.operator] = error.message
                passes = isinstance(error, NodeUnreachable) or error.data.get("status") in _PASSING
                if not passes or time.monotonic() + _PAUSE > self.until:
                    return
                await asyncio.sleep(_PAUSE)
            else:
                self.signatures[signer.operator] = signature
                self.failures.pop(signer.operator, None)
                return

    def _check(self, signer: _Signer, signature: bytes) -> None:
        if not bls.verify(signer.key, self.digest, signature):
            raise InvalidSignature(f"The node of {signer.operator} sent a false signature.", operator=signer.operator)


def _open_records(views: Views, object_ids: Sequence[bytes]) -> list[ObjectRecord]:
    if not object_ids or len(set(object_ids)) != len(object_ids):
        raise BadParameters("A list has at least one object, and each once.")
    records = [views.object(object_id) for object_id in object_ids]
    for object_id, record in zip(object_ids, records, strict=True):
        if record.status is not ObjectStatus.OPEN:
            raise BadParameters(f"Object 0x{object_id.hex()} is {record.status.name.lower()}: it needs no certificate.")
        if (record.shard, record.roster) != (records[0].shard, records[0].roster):
            raise BadParameters("The objects are not all of one shard and roster.", hint="Make a list for each.")
    return records
