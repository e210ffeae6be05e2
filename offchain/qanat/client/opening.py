"""Opening an object on chain and paying for it, once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.logs import DISCARD

from qanat.chain.sender import Sender
from qanat.chain.views import ObjectRecord, ObjectStatus, OpenRequest, Views
from qanat.client.job import Job
from qanat.errors import ChainError
from qanat.node.certificate import object_id_of
from qanat.objects import Manifest, Shape

__all__ = ["Opened", "Opener", "open_request"]

_PENDING_SECONDS = 120.0


@dataclass(frozen=True)
class Opened:
    """An opening that a block took; ``payment`` in units of the shard's token."""

    object_id: bytes
    payment: int
    transaction: str


def open_request(job: Job, shape: Shape, size: int, manifest: Manifest | None = None) -> OpenRequest:
    """Return what ``Objects.open`` takes, but for the most to pay; without a manifest it does for what that costs."""
    nothing = bytes(32)
    return OpenRequest(
        shard=job.shard,
        roster=job.roster,
        width=shape.width,
        k=shape.k,
        n=shape.n,
        matrices=shape.matrices(size),
        size=size,
        epochs=job.epochs,
        tree_root=nothing if manifest is None else manifest.tree.root,
        content_hash=nothing if manifest is None else manifest.content_hash,
        header_hash=nothing if manifest is None else bytes(keccak(manifest.header)),
        max_payment=0,
    )


@dataclass(frozen=True)
class Opener:
    """Opens objects of one account."""

    views: Views
    sender: Sender

    @property
    def objects(self) -> Any:
        """The contract."""
        return self.views.chain.contract("Objects")

    def check_affordable(self, request: OpenRequest) -> tuple[int, int, str]:
        """Return storage fee, intake fee and token; :class:`InsufficientFunds` if the account holds less."""
        storage, intake, token = self.views.quote(request)
        self.sender.check_tokens(token, storage + intake)
        return storage, intake, token

    def find(self, job: Job) -> tuple[bytes, ObjectRecord] | None:
        """Return the object that a payment for this job opened, if the chain has one.

        Its id is made of the job's manifest root and a number of the owner's, from that of the first try on:
        another opening of the same account may have come first. What was failed before that is another matter.
        """
        if not job.prepared:
            return None
        root = bytes.fromhex(job.root)
        for nonce in range(job.nonce, self.views.nonce(job.owner)):
            object_id = object_id_of(job.chain_id, job.objects, job.owner, nonce, root)
            record = self.views.object(object_id)
            if record.status is not ObjectStatus.NONE:
                return object_id, record
        return None

    def find_settled(self, job: Job) -> tuple[bytes, ObjectRecord] | None:
        """As :meth:`find`, but only when no transaction of the account is on its way.

        Raises :class:`ChainError` if one stays so for long: it may be the payment.
        """
        found = self.find(job)
        if found is None and job.prepared:
            self._wait_for_pending()
            found = self.find(job)
        return found

    def _wait_for_pending(self) -> None:
        eth = self.views.chain.web3.eth
        account = to_checksum_address(self.sender.address)
        deadline = time.monotonic() + _PENDING_SECONDS
        while eth.get_transaction_count(account, "pending") > eth.get_transaction_count(account, "latest"):
            if time.monotonic() > deadline:
                raise ChainError(
                    f"A transaction of {self.sender.address} still waits for a block; it may be the payment.",
                    hint="Run again when it is through.",
                )
            time.sleep(1.0)

    def pay(self, request: OpenRequest, root: bytes, token: str, prepared: Callable[[int, bytes], None]) -> Opened:
        """Approve, open and pay; ``prepared`` is told the object's number and id before the payment leaves.

        ``root``: of the manifest that the request is made of.

        Whatever :class:`TransactionReverted` there is to expect comes before an allowance is given.
        """
        function = self.objects.functions.open(request.as_tuple())
        self.sender.check_refusal(function)
        payments = self.views.chain.contract("Payments").address
        self.sender.allow(function, token, payments, request.max_payment)
        nonce = self.views.nonce(self.sender.address)
        owner = self.sender.address
        prepared(nonce, object_id_of(self.views.chain.chain_id, self.objects.address, owner, nonce, root))
        receipt = self.sender.send(function)
        opened = self.objects.events.ObjectOpened().process_receipt(receipt, errors=DISCARD)
        return Opened(
            bytes(opened[0]["args"]["objectId"]),
            int(opened[0]["args"]["payment"]),
            "0x" + bytes(receipt["transactionHash"]).hex(),
        )
