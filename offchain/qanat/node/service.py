"""What the node's API serves, in one place: status, reads under the window's budget, who asks."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from qanat.chain.views import Views
from qanat.errors import ChainError, NodeRefused, SliceNotFound, StoreError
from qanat.field import ELEMENT_BYTES
from qanat.node.adoptions import Adoptions
from qanat.node.budget import Meter, ServingBudget, rows_in_window
from qanat.node.config import NodeConfig
from qanat.node.follower import Follower
from qanat.node.intake import Intake
from qanat.node.keyholder import KeyHolder
from qanat.node.metrics import Metrics
from qanat.node.paid import FILE, PaidReads, VoucherBook, load_price
from qanat.node.permits import Permits, contract_accepts
from qanat.node.policy import load_policy
from qanat.node.requests import Asker, verify_authorization
from qanat.node.shareholder import ShareHolder
from qanat.node.state import NodeState
from qanat.store.protocol import SliceStore

__all__ = ["Service"]

_DUTIES_SHOWN = 32
log = structlog.get_logger("qanat.node")


class Service:
    """The parts of a running node and the calls that need several of them. Safe to use from several threads."""

    def __init__(
        self,
        config: NodeConfig,
        views: Views,
        store: SliceStore,
        state: NodeState,
        follower: Follower,
        intake: Intake,
        key_holder: KeyHolder,
        share_holder: ShareHolder,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.views = views
        self.store = store
        self.state = state
        self.follower = follower
        self.intake = intake
        self.key_holder = key_holder
        self.share_holder = share_holder
        self.metrics = metrics
        #: What was served before this start is forgotten: nothing more is served in windows that are open now.
        self.budget = ServingBudget(follower.open_epochs())
        self.adoptions = Adoptions(views, follower)
        self.permits = Permits(views.chain, config.operator)
        self.policy = load_policy(config.policy)
        price = load_price(config.paid_reads)
        self.paid = (
            None if price is None else PaidReads(views.chain, config.operator, price, VoucherBook(config.data / FILE))
        )
        self.requests = Meter(config.requests_per_second)
        self.read_bytes = Meter(config.read_bytes_per_second)
        self.workers = ThreadPoolExecutor(12, "api")
        self.verifiers = ThreadPoolExecutor(2, "verify")
        self.releasers = ThreadPoolExecutor(4, "release")

    def close(self) -> None:
        """Wait for the work under way."""
        for pool in (self.workers, self.verifiers, self.releasers):
            pool.shutdown(wait=True, cancel_futures=True)
        if self.paid is not None:
            self.paid.book.close()

    # ---- who may

    def charge(self, asker: str, cost: float) -> None:
        """Count a request. Raises :class:`NodeRefused` (429) for an asker that had its share."""
        self._charge(self.requests, asker, cost)

    def _charge(self, meter: Meter, asker: str, amount: float) -> None:
        wait = meter.take(asker, amount)
        if wait:
            raise self._limited(wait)

    def _limited(self, wait: float, **data: Any) -> NodeRefused:
        self.metrics.count("qanat_requests_limited_total")
        return NodeRefused(
            "You have had your share for now.", hint="Ask more slowly.", status=429, retry_after=math.ceil(wait), **data
        )

    def admit(self, object_id: bytes, permit: str | None) -> None:
        """Let a put in whose permit was not seen before: the payer's, of an object that is open and that we take.

        Raises :class:`InvalidSignature`, :class:`NodeRefused`.
        """
        allow = None if self.policy is None else self.policy.check
        self.permits.check(object_id, permit, self.intake.open_record, allow)

    # ---- reads

    def manifest(self, object_id: bytes) -> bytes:
        """Return an object's manifest as it was taken in."""
        found = self.state.manifest(object_id)
        if found is None:
            raise SliceNotFound(f"The manifest of object 0x{object_id.hex()} is not here.", object_id=object_id)
        return found

    def read_slice(
        self,
        object_id: bytes,
        index: int,
        authorization: str | None,
        path: str,
        asker: str,
        voucher: str | None = None,
    ) -> tuple[bytes, int | None]:
        """Return a slice to whoever signed the request for it, and, if it was paid for, what all such cost so far.

        ``asker``: where the request comes from. ``voucher``: what pays when that had its share of bytes, which is free.
        Raises :class:`NodeRefused` (429 with what reads cost here, 402) when it had, and nothing pays; and as
        :meth:`serve_slice`.
        """
        reader = self.authorize(authorization, "GET", path).address
        wait = self.read_bytes.take(asker, 0)  # a debt is told before the disk is asked
        if not wait:
            data = self.serve_slice(object_id, index, reader)
            self.read_bytes.take(asker, len(data))
            return data, None
        if self.paid is None:
            raise self._limited(wait)
        if voucher is None:
            raise self._limited(wait, **self.paid.price.to_json())
        held = self.state.object(object_id)
        if held is None:
            raise SliceNotFound(f"Nothing of object 0x{object_id.hex()} is here.", object_id=object_id)
        size = ELEMENT_BYTES * held.width
        spent = self.paid.pay(voucher, size, reader)
        try:
            data = self.serve_slice(object_id, index, reader)
        except BaseException:
            self.paid.give_back(reader, size)
            raise
        self.metrics.count("qanat_bytes_paid_total", len(data))
        return data, spent

    def serve_slice(self, object_id: bytes, index: int, reader: str) -> bytes:
        """Return a slice unless the response window's budget is used up. Raises :class:`NodeRefused` (429) then.

        ``reader``: who signed the request; who may adopt rows of the object takes nothing of the budget.
        """
        held = self.state.object(object_id)
        if held is None:
            raise SliceNotFound(f"Nothing of object 0x{object_id.hex()} is here.", object_id=object_id)
        matrix, row = divmod(index, held.n)
        data = self.intake.read_verified(object_id, index)
        if not self.follower.is_fresh:
            raise NodeRefused(
                "The node does not see the chain now, and so not whether challenges are open.",
                hint="Ask another node.",
                status=503,
                retry_after=5,
            )
        windows = self.follower.window_epochs_of(object_id)
        if windows and not self.adoptions.is_adopter(object_id, reader):
            limit = rows_in_window(held.k, held.operators)
            if not self.budget.take(object_id, matrix, row, limit, windows):
                self.metrics.count("qanat_slices_withheld_total")
                raise NodeRefused(
                    f"Challenges of epoch {windows[0]} are open; until they close {limit} rows of a matrix are served.",
                    hint="Ask again after the deadline.",
                    status=429,
                    retry_after=max(1, round(self.follower.poll_seconds)),
                    epochs=windows,
                )
        self.metrics.count("qanat_slices_served_total")
        self.metrics.count("qanat_bytes_served_total", len(data))
        return data

    def authorize(self, header: str | None, method: str, path: str, body: bytes = b"") -> Asker:
        """Return who signed a request. Raises :class:`InvalidSignature`."""
        return verify_authorization(header, self.views.chain.chain_id, self.config.operator, method, path, body)

    def authorize_account(self, header: str | None, method: str, path: str, body: bytes = b"") -> Asker:
        """Return who signed a request; accounts with code answer for themselves (ERC-1271), which asks the chain.

        Raises :class:`InvalidSignature`.
        """
        chain = self.views.chain

        def accepts(account: str, digest: bytes, signature: bytes) -> bool:
            return contract_accepts(chain, account, digest, signature)

        return verify_authorization(header, chain.chain_id, self.config.operator, method, path, body, accepts=accepts)

    # ---- what the node says of itself

    def problems(self) -> list[str]:
        """Return what keeps the node from its work; empty when nothing does."""
        found = []
        try:
            self.views.chain.latest()
        except ChainError as error:
            found.append(error.message)
        try:
            self.state.set_number("health", int(time.time()))
        except StoreError as error:
            found.append(error.message)
        return found

    def status(self) -> dict[str, Any]:
        """Return operator, places, holdings, duties, as JSON values."""
        usage = self.store.usage()
        heads = self.follower.heads
        places = {}
        objects = self.state.objects()
        for held in objects.values():
            places[held.roster] = {
                "roster": held.roster,
                "firstTicket": held.first_ticket,
                "tickets": held.own_tickets,
                "of": held.tickets,
            }
        return {
            "operator": self.config.operator,
            "shard": self.config.shard,
            "chainId": self.views.chain.chain_id,
            "places": [places[roster] for roster in sorted(places)],
            "objects": len(objects),
            "signed": self.state.signed_count(),
            "slices": usage.slices,
            "bytes": usage.bytes,
            "block": heads.latest,
            "safeBlock": heads.safe,
            "openEpochs": self.follower.open_epochs(),
            "paidReads": None if self.paid is None else self.paid.price.to_json(),
            "duties": [
                {
                    "epoch": duty.epoch,
                    "audits": duty.audits,
                    "state": duty.state.value,
                    "deadline": duty.deadline,
                    "note": duty.note,
                }
                for duty in self.state.duties(self.config.shard, last=_DUTIES_SHOWN)
            ],
        }

    def metrics_text(self) -> str:
        """Return the metrics, holdings included."""
        usage = self.store.usage()
        self.metrics.gauge("qanat_slices", usage.slices)
        self.metrics.gauge("qanat_bytes", usage.bytes)
        self.metrics.gauge("qanat_block", self.follower.heads.latest)
        return self.metrics.text()
