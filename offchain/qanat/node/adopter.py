"""Taking over, late, the rows of objects that were certified without this operator (DESIGN §5.2, adoption).

Until the second epoch of an object is frozen, who is missing from its certificate may still join with its own
signature. The adopter hears of such certificates, takes what rows it lacks from the other nodes, as any reader, and
rebuilds its own from them; then the same checklist as ever, the same signature, and the contract's ``adopt``. A node
that was down, slow or cut off while an object was sent is so paid for it from the next epoch on, without its owner.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import structlog

from qanat.chain.sender import Sender
from qanat.chain.signer import Signer
from qanat.chain.views import ObjectRecord, RosterEntry, Views
from qanat.client.download import Downloader
from qanat.client.location import Location
from qanat.errors import ChainError, QanatError
from qanat.node.config import NodeConfig
from qanat.node.duty import non_signers_of
from qanat.node.follower import Follower
from qanat.node.intake import Intake
from qanat.node.metrics import Metrics
from qanat.objects.decoder import rebuild_slices

__all__ = ["Adopter"]

log = structlog.get_logger("qanat.node.adopter")
#: Blocks whose certificates are asked for at a time.
_SPAN = 2000
#: Of tries of one object. What hinders it, as a full disk, may end any time, and adoption lasts for an epoch only.
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 15.0
_FETCH_SECONDS = 900.0
_EVER = (1 << 63) - 1


@dataclass
class _Try:
    """When an object is tried next."""

    not_before: float = 0.0
    pause: float = _FIRST_PAUSE


class Adopter(threading.Thread):
    """Runs until :meth:`stop`, one round every other poll interval."""

    def __init__(
        self, config: NodeConfig, views: Views, follower: Follower, intake: Intake, signer: Signer, metrics: Metrics
    ) -> None:
        super().__init__(name="adopter", daemon=True)
        self.config = config
        self.views = views
        self.follower = follower
        self.intake = intake
        self.signer = signer
        self.metrics = metrics
        self._sender = Sender(views.chain, signer, timeout=90.0)
        self._ended = threading.Event()
        self._heard = -1
        #: objects that were certified without this operator, as far as is known
        self._open: dict[bytes, _Try] = {}

    def stop(self) -> None:
        """Ask the adopter to end."""
        self._ended.set()

    def run(self) -> None:
        """See the class."""
        while not self._ended.wait(2 * self.config.poll_seconds):
            try:
                self.round()
            except ChainError as error:
                log.warning("chain failed", error=error.message)
            except Exception:  # the outermost loop of its thread
                log.exception("round failed")

    def round(self) -> None:
        """Hear of certificates, and adopt what can be adopted."""
        latest = self.follower.heads.latest
        if latest:
            self._hear(latest)
        for object_id in list(self._open):
            if self._ended.is_set():
                return
            tried = self._open[object_id]
            if time.monotonic() < tried.not_before:
                continue
            try:
                self._adopt(object_id)
            except QanatError as error:
                # rows may be had, or the chain be there, a little later
                log.info("not adopted yet", object=object_id.hex(), error=error.message)
                tried.not_before = time.monotonic() + tried.pause
                tried.pause = min(_LONGEST_PAUSE, 2 * tried.pause)

    def _hear(self, latest: int) -> None:
        terms = self.follower.parameters
        # the newest blocks again: a reorganisation may have put other certificates there
        first = max(0, self._heard + 1 - terms.finality, latest - 3 * terms.epoch_length)
        last = min(latest, first + _SPAN - 1)
        if last <= self._heard:
            return
        for object_id, absent in self.views.incomplete_certificates(first, last):
            if object_id in self._open:
                continue
            entry = self._entry(self.views.object(object_id))
            if entry is not None and entry.seat in absent:
                self._open[object_id] = _Try()
        self._heard = last

    def _entry(self, record: ObjectRecord) -> RosterEntry | None:
        if record.shard != self.config.shard:
            return None
        return self.views.roster(record.shard, record.roster).entry_of(self.config.operator)

    def _adopt(self, object_id: bytes) -> None:
        record = self.views.object(object_id)
        entry = self._entry(record)
        epoch = self.views.first_epoch_after(self.config.shard, self.views.chain.latest() + 1)
        if entry is None or not record.is_adoptable(epoch):
            del self._open[object_id]
            return
        absent = non_signers_of(self.views, object_id, _EVER)
        roster = self.views.roster(record.shard, record.roster)
        if entry.seat not in absent or self.config.operator in self.views.vacant_operators(roster):
            del self._open[object_id]
            return
        self._fill(object_id)
        signature = self.intake.sign(object_id)
        key = self.views.roster_keys(roster, [entry.seat])
        adopt = self.views.chain.contract("Objects").functions.adopt
        # it stays open until the chain shows it as signed: a reorganisation may drop what was sent
        self._sender.send(adopt(object_id, entry.seat, signature, key, list(absent)))
        self.metrics.count("qanat_objects_adopted_total")
        log.info("adopted", object=object_id.hex())

    # ---- rows

    def _fill(self, object_id: bytes) -> None:
        """Take the manifest and rebuild the own rows that are missing. Raises :class:`QanatError`."""
        if self.intake.state.signed(object_id) is not None:
            return
        location = Location.of(self.views, object_id)
        if self.intake.state.manifest(object_id) is None:
            found = location.find_manifest(self.views.chain.chain_id)
            self.intake.accept_manifest(object_id, found.to_bytes())
        known = self.intake.known(object_id)
        n = known.manifest.n
        missing: dict[int, list[int]] = {}
        for index in sorted(known.own):
            if not self.intake.store.has(object_id, index):
                missing.setdefault(index // n, []).append(index)
        if not missing:
            return
        with Downloader(
            object_id,
            known.manifest,
            location.holders,
            location.endpoints,
            chain_id=self.views.chain.chain_id,
            signer=self.signer,
            seconds=_FETCH_SECONDS,
        ) as downloader:
            for matrix, wanted in missing.items():
                if self._ended.is_set():
                    return
                rows = {matrix * n + row: data for row, data in downloader.rows(matrix).items()}
                rows |= rebuild_slices(known.manifest, rows, [index for index in wanted if index not in rows])
                for index in wanted:
                    self.intake.accept_slice(object_id, index, rows[index])
