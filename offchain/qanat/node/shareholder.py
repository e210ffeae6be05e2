"""Shares of threshold keys: taken from the asset's owner, acknowledged, kept, used to answer who is licensed.

A share is acknowledged only if the whole dealing holds (:func:`qanat.keys.holding.accept_share`) and it is durable. It
stays sealed to the operator's sealing key on disk, is opened for one answer, and never leaves: what leaves is
E = [s](R+P), with a receipt signed by the BLS key that the key's roster counts. Who asks has signed for this holder,
license, key and P, and holds a license in force at the newest *and* at the newest final block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from eth_utils.address import to_checksum_address
from eth_utils.conversions import to_bytes

from qanat.chain.views import KeyRecord, LicenseRecord, Views
from qanat.errors import BadParameters, KeyUnavailable, MalformedHex, NodeRefused, NotLicensed, TransactionReverted
from qanat.keys.context import KeyContext, request_hash
from qanat.keys.curve import G1_BYTES
from qanat.keys.holding import HeldShare, Receipt, accept_share, answer_request
from qanat.keys.release import blinded_base, release
from qanat.keys.schnorr import PROOF_BYTES
from qanat.keys.seal import SealingKey
from qanat.keys.sealed_share import SEALED_SHARE_BYTES, open_share
from qanat.keys.shares import Commitments, digest_of
from qanat.node.config import NodeConfig
from qanat.node.keyholder import KeyHolder, hex_field, json_object, number_field
from qanat.node.metrics import Metrics
from qanat.node.requests import Asker
from qanat.node.signing import SigningKeys
from qanat.node.state import HeldDealing, NodeState, PendingRelease

__all__ = ["ShareHolder", "ShareRequest", "read_share_request"]

log = structlog.get_logger("qanat.node.keys")


@dataclass(frozen=True)
class ShareRequest:
    """What a licensee asks of a holder.

    ``recipient``: :func:`qanat.keys.context.request_hash` of key and P, as signed. ``is_first``: whether the holder is
    to record the license's first release on chain, if nobody has.
    """

    license_id: int
    point: bytes
    possession: bytes
    deadline: int
    signature: bytes
    is_first: bool


class ShareHolder:
    """Keeps shares for owners and answers licensees. Safe to use from several threads."""

    def __init__(
        self,
        config: NodeConfig,
        views: Views,
        state: NodeState,
        keys: SigningKeys,
        sealing_key: SealingKey,
        key_holder: KeyHolder,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.views = views
        self.state = state
        self.metrics = metrics
        self._keys = keys
        self._sealing_key = sealing_key
        self._key_holder = key_holder
        self._holder = to_bytes(hexstr=config.operator)
        #: keys in force that no reorganisation can undo
        self._final: dict[tuple[str, int, int], KeyRecord] = {}

    # ---- dealings

    def accept(self, asset_id: int, key_epoch: int, body: bytes, asker: Asker) -> bytes:
        """Check a dealing and the own share of it, keep both, and return the acknowledgement: 128 bytes.

        One that is kept is acknowledged again from what is kept, whatever share comes with it now.

        Raises :class:`NotLicensed` for who does not own the asset, :class:`NodeRefused` where the chain has not drawn
        this operator, or has another dealing in force, and what the checks raise.
        """
        commitments, proof, sealed = _dealing(body)
        owner = self._key_holder.owner_of(asset_id)
        if owner != asker.address:
            raise NotLicensed(
                f"{asker.address} does not own asset {asset_id}.", hint="Only its owner deals its key.", owner=owner
            )
        record, context = self._drawn(asset_id, key_epoch)
        if self.config.operator not in self._holders(context):
            raise NodeRefused(f"This operator was not drawn for key epoch {key_epoch} of asset {asset_id}.", status=403)
        if record.dealt_block and record.root != commitments.root:
            raise NodeRefused(f"Another dealing of key epoch {key_epoch} of asset {asset_id} is in force.", status=409)
        place = context.holders.index(self._holder)
        again = self._acknowledged(asset_id, key_epoch, commitments, context)
        if again is not None:
            return again.acknowledge(self._keys.key(self._key_hash(record)))
        held = accept_share(context, commitments, proof, place, sealed, self._sealing_key, holder=self._holder)
        key = self._keys.key(self._key_hash(record))  # before anything is kept: without it there is no acknowledgement
        kept = HeldDealing(
            contract=to_checksum_address(context.contract),
            dealing=commitments.to_bytes().hex(),
            holders=self._holders(context),
            place=place,
            sealed=sealed.hex(),
        )
        self.state.keep_dealing(asset_id, key_epoch, commitments.root, kept)
        self.metrics.count("qanat_shares_acknowledged_total")
        log.info("share acknowledged", asset=asset_id, key_epoch=key_epoch, place=place)
        return held.acknowledge(key)

    def _acknowledged(
        self, asset_id: int, key_epoch: int, commitments: Commitments, context: KeyContext
    ) -> HeldShare | None:
        """Return what is kept of this very dealing to these holders: it is acknowledged again as it was, unread."""
        kept = self.state.dealing(asset_id, key_epoch, commitments.root)
        here = to_checksum_address(context.contract), self._holders(context)
        if kept is None or (kept.contract, kept.holders) != here or kept.dealing != commitments.to_bytes().hex():
            return None
        return self._open(asset_id, key_epoch, kept)

    def _drawn(self, asset_id: int, key_epoch: int) -> tuple[KeyRecord, KeyContext]:
        """Return what the chain says of a key whose holders were drawn."""
        record = self._record(self._contract(), asset_id, key_epoch)
        holders = self.views.key_holders(asset_id, key_epoch)
        if not holders:
            raise NodeRefused(
                f"The holders of key epoch {key_epoch} of asset {asset_id} are not drawn yet.",
                status=425,
                retry_after=2,
            )
        return record, self._context(self._contract(), asset_id, key_epoch, holders)

    # ---- releases

    def dealing(self, asset_id: int, key_epoch: int) -> bytes:
        """Return the dealing in force, without shares: who asks holders checks their answers with it.

        Raises :class:`KeyUnavailable` (404) where it is not here.
        """
        return bytes.fromhex(self._kept(self._contract(), asset_id, key_epoch)[1].dealing)

    def release(self, asset_id: int, key_epoch: int, asked: Any) -> tuple[Receipt, bytes]:
        """Return the answer to a licensee's P, as a receipt, and the receipt's signature.

        The same request gives the same answer. Raises :class:`NotLicensed`, :class:`InvalidSignature`,
        :class:`InvalidProof`, :class:`InvalidPoint`, and :class:`KeyUnavailable`: no share here (404), the dealing or
        the license is not final yet, or its first release is not recorded.
        """
        request = read_share_request(asked)
        contract = self._contract()
        record, kept = self._kept(contract, asset_id, key_epoch)
        if (contract, asset_id, key_epoch) not in self._final:
            # A receipt names the key epoch only: were another dealing of it put in this one's place, it would be
            # evidence of a wrong answer.
            raise KeyUnavailable(
                f"The dealing of key epoch {key_epoch} of asset {asset_id} is not final yet.",
                hint="Try again in a few blocks.",
                retry_after=2,
            )
        licensed, block = self._key_holder.licensed(request.license_id, asset_id)
        held = self._open(asset_id, key_epoch, kept)
        recipient = request_hash(held.context.identity, request.point)
        self._key_holder.check_signature(licensed, request.license_id, recipient, request.deadline, request.signature)
        receipt = answer_request(
            held,
            request.license_id,
            to_bytes(hexstr=licensed.licensee),
            request.point,
            request.possession,
            licensed_final=True,
            licensed_now=True,
            block_number=block,
        )
        self._see_recorded(request, licensed, recipient)
        signature = self._keys.key(self._key_hash(record)).sign(
            receipt.digest(held.context.chain_id, held.context.contract)
        )
        self.metrics.count("qanat_key_answers_total")
        log.info("key answered", asset=asset_id, key_epoch=key_epoch, license=request.license_id, block=block)
        return receipt, signature

    def _see_recorded(self, request: ShareRequest, licensed: LicenseRecord, recipient: bytes) -> None:
        """See that the first release is on chain where a part of the price is earned by it."""
        if licensed.released_at or licensed.earned_at_release_bps == 0:
            return
        if not request.is_first:
            raise KeyUnavailable(
                f"The first release of license {request.license_id} is not recorded on chain.",
                hint="Ask one holder to record it.",
                status=409,
            )
        pending = PendingRelease(request.license_id, recipient.hex(), request.deadline, request.signature.hex())
        self._key_holder.record(licensed, pending)

    def answer_forced(self, asset_id: int, key_epoch: int, kept: HeldDealing, point: bytes) -> tuple[int, bytes]:
        """Return (place, witness) with which the chain takes the answer to a P that it has seen proven."""
        held = self._open(asset_id, key_epoch, kept)
        commitments = held.commitments
        answer = release(held.context, held.share, point)
        path = b"".join(commitments.path(held.place))
        return held.place, blinded_base(held.context, point) + answer + commitments.points[held.place] + path

    def is_in_force(self, asset_id: int, key_epoch: int, root: bytes, kept: HeldDealing) -> bool:
        """Whether a dealing that is held is the one on chain."""
        try:
            record = self._in_force(kept.contract, asset_id, key_epoch)
        except NodeRefused:  # a reorganisation dropped even the request for holders
            return False
        return record is not None and record.root == root

    # ---- housekeeping

    def forget_dead_dealings(self, finalized: int) -> None:
        """Forget dealings that lost against another one, a newer key, or a newer roster, in the final block."""
        decided: dict[tuple[str, int, int], bytes | None] = {}
        for (asset_id, key_epoch, root), kept in self.state.dealings().items():
            key = kept.contract, asset_id, key_epoch
            if key not in decided:
                decided[key] = self._decided(*key, finalized)
            if decided[key] not in (None, root):
                self.state.forget_dealing(asset_id, key_epoch, root)
                log.info("dealing forgotten", asset=asset_id, key_epoch=key_epoch)

    def _decided(self, contract: str, asset_id: int, key_epoch: int, finalized: int) -> bytes | None:
        """Return the root in force in the final block, nothing where none can come into force, None while one can."""
        known = self._final.get((contract, asset_id, key_epoch))
        if known is not None:
            return known.root
        try:
            record = self.views.key(asset_id, key_epoch, finalized, keys=contract)
            _, dealt, _ = self.views.key_epochs(asset_id, finalized, keys=contract)
            active = self.views.active_roster(record.shard, finalized)
        except TransactionReverted:  # asked for in a block that is not final
            return None
        if record.dealt_block:
            self._final[contract, asset_id, key_epoch] = record
            return record.root
        return b"" if dealt > key_epoch or active != record.roster else None

    def _kept(self, contract: str, asset_id: int, key_epoch: int) -> tuple[KeyRecord, HeldDealing]:
        record = self._in_force(contract, asset_id, key_epoch)
        kept = None if record is None else self.state.dealing(asset_id, key_epoch, record.root)
        if record is None or kept is None or kept.contract != contract:
            raise KeyUnavailable(f"No share of key epoch {key_epoch} of asset {asset_id} is here.", status=404)
        return record, kept

    # ---- what the chain says

    def _contract(self) -> str:
        return str(self.views.keys().address)

    def _record(self, contract: str, asset_id: int, key_epoch: int) -> KeyRecord:
        try:
            return self.views.key(asset_id, key_epoch, keys=contract)
        except TransactionReverted as error:
            raise NodeRefused(f"Asset {asset_id} has no key epoch {key_epoch}.", status=404) from error

    def _in_force(self, contract: str, asset_id: int, key_epoch: int) -> KeyRecord | None:
        """Return a key that was dealt, from memory where that is final; None where it was not."""
        known = self._final.get((contract, asset_id, key_epoch))
        if known is not None:
            return known
        # before the key: what was read on a branch that is dropped meanwhile must not look final
        finalized = self.views.chain.finalized_block()
        record = self._record(contract, asset_id, key_epoch)
        if not record.dealt_block:
            return None
        if record.dealt_block <= finalized:
            self._final[contract, asset_id, key_epoch] = record
        return record

    def _key_hash(self, record: KeyRecord) -> bytes:
        """Return the hash of the key that counts: of the roster from which the holders were drawn."""
        entry = self.views.roster(record.shard, record.roster).entry_of(self.config.operator)
        if entry is None:
            raise NodeRefused(f"Roster {record.roster} does not count this operator.", status=409)
        return entry.key_hash

    def _context(self, contract: str, asset_id: int, key_epoch: int, holders: tuple[str, ...]) -> KeyContext:
        return KeyContext(
            self.views.chain.chain_id,
            to_bytes(hexstr=contract),
            asset_id,
            key_epoch,
            tuple(to_bytes(hexstr=holder) for holder in holders),
        )

    def _holders(self, context: KeyContext) -> tuple[str, ...]:
        return tuple(to_checksum_address(holder) for holder in context.holders)

    def _open(self, asset_id: int, key_epoch: int, kept: HeldDealing) -> HeldShare:
        """Open a share that was checked when it was taken."""
        context = self._context(kept.contract, asset_id, key_epoch, kept.holders)
        commitments = Commitments.from_bytes(bytes.fromhex(kept.dealing))
        digest = digest_of(context, commitments)
        share = open_share(bytes.fromhex(kept.sealed), digest, kept.place, self._holder, self._sealing_key)
        return HeldShare(context, commitments, kept.place, share)


def _dealing(body: bytes) -> tuple[Commitments, bytes, bytes]:
    """Return (commitments, dealer's proof, sealed share) of a dealing's body."""
    given = json_object(body)
    commitments = Commitments.from_bytes(hex_field(given.get("dealing"), "dealing"))
    return (
        commitments,
        _sized(given, "proof", PROOF_BYTES),
        _sized(given, "sealed", SEALED_SHARE_BYTES),
    )


def read_share_request(asked: Any) -> ShareRequest:
    """Read a licensee's request, strictly. Raises :class:`BadParameters`, :class:`MalformedHex`."""
    if not isinstance(asked, dict):
        raise BadParameters("The body is no JSON object.")
    first = asked.get("record", False)
    if not isinstance(first, bool):
        raise BadParameters("record is neither true nor false.", field="record")
    signature = hex_field(asked.get("signature"), "signature")
    if not 65 <= len(signature) <= 4096:
        raise MalformedHex(f"signature has {len(signature)} bytes, which is none.")
    return ShareRequest(
        license_id=number_field(asked, "licenseId"),
        point=_sized(asked, "point", G1_BYTES),
        possession=_sized(asked, "possession", PROOF_BYTES),
        deadline=number_field(asked, "deadline"),
        signature=signature,
        is_first=first,
    )


def _sized(given: dict[str, Any], name: str, size: int) -> bytes:
    value = hex_field(given.get(name), name)
    if len(value) != size:
        raise MalformedHex(f"{name} has {len(value)} bytes instead of {size}.")
    return value
