"""Taking objects in: the checklist of DESIGN §5.2, from the manifest to the one signature.

An operator signs only for an object that is open and paid at a safe block, whose manifest equals the chain's record
field by field, whose commitments are canonical points of the subgroup and an encoding in every matrix, and whose own
slices it holds, has verified against their commitments, and has made durable. It never signs another root for the
same object, whatever becomes of the chain.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from qanat.bls import SecretKey
from qanat.chain.views import ObjectRecord, ObjectStatus, RosterEntry, Views
from qanat.errors import NodeRefused, SliceMismatch, SliceNotFound, StoreCorrupted, StoreError
from qanat.node.certificate import certificate_digest
from qanat.node.checks import check_canonical, check_equal, verify_batch
from qanat.node.config import NodeConfig
from qanat.node.metrics import Metrics
from qanat.node.signing import SigningKeys
from qanat.node.state import HeldObject, NodeState, Signed
from qanat.objects.assignment import slices_of_operator
from qanat.objects.manifest import Manifest
from qanat.store.locks import KeyedLocks
from qanat.store.protocol import SliceStore

__all__ = ["Intake", "Known"]

#: Slices that are verified against their commitments in one batch: bounds the memory (4096 elements: 128 KiB each).
BATCH = 64
#: Manifests kept parsed.
_CACHED = 16
_MANIFEST_HEAD_BYTES = 4 + 1 + 4 * 4 + 8 + 32 + 4
_HEADER_LIMIT_BYTES = 64 << 10
_SAFE_WAIT_SECONDS = 2

log = structlog.get_logger("qanat.node.intake")


@dataclass(frozen=True)
class Known:
    """An object whose manifest is at hand: what is held, parsed, and the indexes of the operator's own slices."""

    held: HeldObject
    manifest: Manifest
    own: frozenset[int]


class Intake:
    """Takes manifests and slices in and signs for them."""

    def __init__(
        self,
        config: NodeConfig,
        views: Views,
        store: SliceStore,
        state: NodeState,
        keys: SigningKeys,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.views = views
        self.store = store
        self.state = state
        self.metrics = metrics
        self._keys = keys
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._known_lock = threading.Lock()
        self._locks = KeyedLocks()

    # ---- manifests

    def open_record(self, object_id: bytes) -> ObjectRecord:
        """Return the record of an object that is open and paid. Raises :class:`NodeRefused` for another one."""
        return self._open_record(object_id)

    def manifest_limit(self, object_id: bytes) -> int:
        """Return the most bytes that the object's manifest can have.

        Raises :class:`NodeRefused` unless it is open and paid.
        """
        record = self._open_record(object_id)
        return _MANIFEST_HEAD_BYTES + _HEADER_LIMIT_BYTES + 48 * record.n * record.matrices

    def accept_manifest(self, object_id: bytes, body: bytes) -> None:
        """Keep a manifest that equals the chain's record. Durable on return; its encoding is checked before signing."""
        record = self._open_record(object_id)
        held = self._place(record)
        known = self.state.object(object_id)
        if known == held and self.state.manifest(object_id) == body:
            return
        # before anybody sends slices that could not be signed for
        self._keys.key(self._entry(record).key_hash)
        manifest = Manifest.from_bytes(body)
        check_equal(manifest, record)
        with self._locks.of(object_id):
            self.state.keep_manifest(object_id, held, body)
            self._remember(object_id, held, manifest)
        log.info("manifest taken", object=object_id.hex(), matrices=manifest.matrices, k=manifest.k, n=manifest.n)

    def known(self, object_id: bytes) -> Known:
        """Return an object whose manifest was taken in. Raises :class:`SliceNotFound` for another one."""
        with self._known_lock:
            found = self._known.get(object_id)
            if found is not None:
                self._known.move_to_end(object_id)
                return found
        held = self.state.object(object_id)
        body = self.state.manifest(object_id)
        if held is None or body is None:
            raise SliceNotFound(
                f"The manifest of object 0x{object_id.hex()} is not here.", hint="Send it first.", object_id=object_id
            )
        return self._remember(object_id, held, Manifest.from_bytes(body))

    def forget(self, object_id: bytes, *, keep_manifest: bool = False) -> None:
        """Delete an object: slices first, then what names them.

        ``keep_manifest``: of an object that was certified the manifest stays (48 bytes for each slice), since
        certificate and answers can be verified again only with it.
        """
        with self._locks.of(object_id):
            self.store.delete_object(object_id)
            self.state.forget_object(object_id, keep_manifest=keep_manifest)
            with self._known_lock:
                self._known.pop(object_id, None)

    # ---- slices

    def slice_length(self, object_id: bytes, index: int) -> int:
        """Return the bytes that a slice must have. Raises :class:`NodeRefused` for a slice of somebody else."""
        known = self.known(object_id)
        self._check_own(object_id, known, index)
        return 32 * known.held.width

    def slices_room(self, object_id: bytes) -> tuple[int, int]:
        """Return the bytes of each slice of an object, and how many are the operator's own."""
        known = self.known(object_id)
        return 32 * known.held.width, len(known.own)

    def accept_slice(self, object_id: bytes, index: int, data: bytes) -> None:
        """Keep one of the operator's own slices; see :meth:`accept_slices`."""
        self.accept_slices(object_id, [(index, data)])

    def accept_slices(self, object_id: bytes, slices: Sequence[tuple[int, bytes]]) -> None:
        """Keep some of the operator's own slices, all durable on return, with one sync.

        Before the object is signed it is checked for canonical elements, and against its commitment together with all
        others at signing; afterwards it is checked at once, and replaces only what is missing or damaged. The first
        that can't be taken raises; whether those before it are kept is not said.
        """
        for index, data in slices:
            self._accept(object_id, index, data)
        self.store.flush()
        self.metrics.count("qanat_slices_received_total", len(slices))
        self.metrics.count("qanat_bytes_received_total", sum(len(data) for _, data in slices))

    def _accept(self, object_id: bytes, index: int, data: bytes) -> None:
        known = self.known(object_id)
        self._check_own(object_id, known, index)
        length = 32 * known.held.width
        if len(data) != length:
            raise NodeRefused(f"The slice has {len(data)} bytes instead of {length}.", status=400)
        check_canonical(data, data_row=index % known.held.n < known.held.k)
        with self._locks.of(object_id):
            if self.state.object(object_id) is None:
                raise SliceNotFound(f"Object 0x{object_id.hex()} was deleted meanwhile.", object_id=object_id)
            if self.state.signed(object_id) is not None:
                if self._is_intact(object_id, index):
                    return
                verify_batch([data], [known.manifest.commitments[index]], [index])
            elif self.store.has(object_id, index):
                if self._is_same(object_id, index, data):
                    return
                # nobody may put something false in the place of what is good
                verify_batch([data], [known.manifest.commitments[index]], [index])
            else:
                self._check_capacity(length)
            self.store.put(object_id, index, data)

    # ---- the signature

    def sign(self, object_id: bytes) -> bytes:
        """Run the whole checklist and return the 128-byte signature; the same one at every call.

        Raises :class:`NodeRefused` (not open, not safe, slices missing, another root signed), :class:`DualCheckFailed`,
        :class:`SliceMismatch`, :class:`StoreCorrupted`.
        """
        with self._locks.of(object_id):
            signed = self.state.signed(object_id)
            if signed is not None:
                return bytes.fromhex(signed.signature)
            record = self._open_record(object_id)
            known = self.known(object_id)
            if self._place(record) != known.held:
                raise NodeRefused(
                    f"Object 0x{object_id.hex()} is not what it was when its manifest was sent.",
                    hint="Send the manifest again.",
                    status=409,
                )
            check_equal(known.manifest, record)
            known.manifest.check(record.manifest_root)
            self._verify_own(object_id, known)
            self.store.flush()
            digest = certificate_digest(
                self.views.chain.chain_id, self.views.chain.contract("Objects").address, object_id, record
            )
            signature = self.key_for(record).sign(digest)
            stands = self.state.record_signature(
                object_id, Signed(known.held.root, digest.hex(), bytes(signature).hex())
            )
        self.metrics.count("qanat_objects_signed_total")
        log.info("signed", object=object_id.hex(), slices=len(known.own))
        return bytes.fromhex(stands.signature)

    def key_for(self, record: ObjectRecord) -> SecretKey:
        """Return the key under which an object's roster counts this operator. Raises :class:`NodeRefused`."""
        return self._keys.key(self._entry(record).key_hash)

    def read_verified(self, object_id: bytes, index: int) -> bytes:
        """Return a slice of an object that was signed, hence verified; its checksum is checked.

        Raises :class:`SliceNotFound` for a slice that is not here or was never verified, :class:`StoreCorrupted` for
        a damaged one.
        """
        if self.state.signed(object_id) is None:
            raise SliceNotFound(
                f"Slice {index} of object 0x{object_id.hex()} was not verified here.", object_id=object_id, index=index
            )
        try:
            return self.store.get(object_id, index)
        except StoreCorrupted:
            self.metrics.count("qanat_slices_corrupted_total")
            log.error("slice damaged", object=object_id.hex(), slice=index)  # noqa: TRY400  (an expected kind)
            raise

    # ---- checks

    def _open_record(self, object_id: bytes) -> ObjectRecord:
        chain = self.views.chain
        record = self.views.object(object_id, chain.safe_block())
        if record.status is ObjectStatus.NONE:
            newest = self.views.object(object_id)
            if newest.status is ObjectStatus.NONE:
                raise NodeRefused(f"Nobody opened and paid object 0x{object_id.hex()}.", status=404)
            raise NodeRefused(
                f"Object 0x{object_id.hex()} was opened too recently to be safe.",
                hint="Try again in a few blocks.",
                status=425,
                retry_after=_SAFE_WAIT_SECONDS,
            )
        if record.status is ObjectStatus.FAILED:
            raise NodeRefused(f"Object 0x{object_id.hex()} was not certified in time.", status=410)
        if record.shard != self.config.shard:
            raise NodeRefused(f"Object 0x{object_id.hex()} belongs to shard {record.shard}.", status=409)
        if (
            record.status is ObjectStatus.CERTIFIED
            and self.state.signed(object_id) is None
            and not (record.unsigned_tickets and self._is_adoptable(record))
        ):
            raise NodeRefused(
                f"Object 0x{object_id.hex()} was certified without this operator; it has no rows of it.", status=409
            )
        return record

    def _is_adoptable(self, record: ObjectRecord) -> bool:
        """Whether a certificate that came without this operator can still be joined."""
        return record.is_adoptable(self.views.first_epoch_after(record.shard, self.views.chain.latest() + 1))

    def _entry(self, record: ObjectRecord) -> RosterEntry:
        entry = self.views.roster(record.shard, record.roster).entry_of(self.config.operator)
        if entry is None:
            raise NodeRefused(
                f"Operator {self.config.operator} is not in roster {record.roster} of shard {record.shard}.", status=409
            )
        return entry

    def _place(self, record: ObjectRecord) -> HeldObject:
        roster = self.views.roster(record.shard, record.roster)
        entry = self._entry(record)
        parameters = self.views.shard_parameters(record.shard)
        return HeldObject(
            shard=record.shard,
            roster=record.roster,
            width=record.width,
            k=record.k,
            n=record.n,
            matrices=record.matrices,
            opened_block=record.opened_block,
            certification_deadline=record.opened_block + parameters.epoch_length,
            tickets=roster.tickets,
            first_ticket=entry.first_ticket,
            own_tickets=entry.tickets,
            operators=len(roster.entries),
            root=record.manifest_root.hex(),
        )

    def _remember(self, object_id: bytes, held: HeldObject, manifest: Manifest) -> Known:
        own = slices_of_operator(
            object_id, held.tickets, held.first_ticket, held.own_tickets, manifest.n, manifest.matrices
        )
        known = Known(held, manifest, frozenset(own))
        with self._known_lock:
            self._known[object_id] = known
            while len(self._known) > _CACHED:
                self._known.popitem(last=False)
        return known

    def _check_own(self, object_id: bytes, known: Known, index: int) -> None:
        if index not in known.own:
            raise NodeRefused(
                f"Slice {index} of object 0x{object_id.hex()} is not this operator's.", status=409, index=index
            )

    def _check_capacity(self, more: int) -> None:
        limit = self.config.capacity_bytes
        if limit and self.store.usage().bytes + more > limit:
            raise StoreError(f"The node's capacity of {limit} bytes is used up.", status=507)

    def _is_intact(self, object_id: bytes, index: int) -> bool:
        try:
            self.store.get(object_id, index)
        except (SliceNotFound, StoreCorrupted):
            return False
        return True

    def _is_same(self, object_id: bytes, index: int, data: bytes) -> bool:
        try:
            return self.store.get(object_id, index) == data
        except (SliceNotFound, StoreCorrupted):
            return False

    def _verify_own(self, object_id: bytes, known: Known) -> None:
        own = sorted(known.own)
        missing = [index for index in own if not self.store.has(object_id, index)]
        if missing:
            raise NodeRefused(
                f"{len(missing)} of {len(own)} slices of object 0x{object_id.hex()} are missing.",
                hint="Send them first.",
                status=409,
                missing=missing[:100],
                missing_count=len(missing),
            )
        for start in range(0, len(own), BATCH):
            indexes = own[start : start + BATCH]
            try:
                slices = [self.store.get(object_id, index) for index in indexes]
                verify_batch(slices, [known.manifest.commitments[index] for index in indexes], indexes)
            except (SliceMismatch, StoreCorrupted) as error:
                # what is false or damaged goes, so that it can be sent again
                for index in error.data.get("indexes", [error.data.get("index")]):
                    self.store.delete(object_id, index)
                raise
