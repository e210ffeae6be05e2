"""Rereads what the node holds, and mends what it lost from other nodes' rows (DESIGN §5.4).

Every own slice of every signed object is read in turn, no faster than ``scrubBytesPerSecond``; where the pass is, is
kept, so that a restart goes on from there. A slice that is missing or fails its checksum is rebuilt from any k rows of
its matrix, own ones first, verified against their commitments before and after. Mending waits while the object's
challenges are open, or while the chain is not seen; a node that says "later" is asked later.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator

import structlog

from qanat.chain.views import Views
from qanat.client.nodes import NodeClient, connections
from qanat.errors import ChainError, NodeError, NotEnoughSlices, QanatError, SliceNotFound, StoreCorrupted, StoreError
from qanat.node.config import NodeConfig
from qanat.node.follower import Follower
from qanat.node.intake import Intake, Known
from qanat.node.metrics import Metrics
from qanat.node.requests import TextSigner
from qanat.node.state import NodeState
from qanat.objects.assignment import ticket_of_row
from qanat.objects.decoder import rebuild_slices, wrong_slices
from qanat.store.protocol import SliceStore, slice_key

__all__ = ["Scrubber"]

_CURSOR, _PASSES = "scrub cursor", "scrub passes"
#: Slices between two writings of where the pass is.
_STEP = 64
_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_SLICE_SECONDS = 20.0
#: Rows asked for at once.
_AT_ONCE = 8
log = structlog.get_logger("qanat.node.scrubber")


class Scrubber(threading.Thread):
    """Runs until :meth:`stop`. ``signer``: signs the reads of other nodes."""

    def __init__(
        self,
        config: NodeConfig,
        views: Views,
        store: SliceStore,
        state: NodeState,
        follower: Follower,
        intake: Intake,
        signer: TextSigner,
        metrics: Metrics,
    ) -> None:
        super().__init__(name="scrubber", daemon=True)
        self.config = config
        self.views = views
        self.store = store
        self.state = state
        self.follower = follower
        self.intake = intake
        self.metrics = metrics
        self._signer = signer
        self._ended = threading.Event()
        #: lost slices by object, and when the object may be tried again
        self.lost: dict[bytes, set[int]] = {}
        self._not_before: dict[bytes, tuple[float, float]] = {}

    def stop(self) -> None:
        """Ask it to end."""
        self._ended.set()

    def run(self) -> None:
        """See the class."""
        pause = _PAUSE
        while not self._ended.wait(pause):
            pause = _PAUSE
            try:
                self.scrub_pass()
            except QanatError as error:
                log.warning("scrubbing failed", error=error.message)
            except Exception:  # the outermost loop of its thread
                pause = _LONGEST_PAUSE
                log.exception("scrubbing failed")

    # ---- reading

    def scrub_pass(self) -> int:
        """Read everything from where the last pass stopped to the end; returns how many slices were read.

        Mends on the way what may be mended.
        """
        cursor = self.state.number(_CURSOR).to_bytes(40, "big")
        read = 0
        for object_id, index in self._own_from(cursor):
            if self._ended.is_set():
                break
            if read % _STEP == 0:
                self._keep_place(slice_key(object_id, index))
                self.mend_what_may_be()
            self._read(object_id, index)
            read += 1
        else:
            self.state.set_number(_CURSOR, 0)
            self.state.set_number(_PASSES, self.state.number(_PASSES) + 1)
            self.metrics.count("qanat_scrub_passes_total")
            self.mend_what_may_be()
        return read

    def _keep_place(self, place: bytes) -> None:
        """Keep where the pass is, or the first slice that is lost: a restart finds it again."""
        lost = [slice_key(object_id, min(indexes)) for object_id, indexes in self.lost.items() if indexes]
        self.state.set_number(_CURSOR, int.from_bytes(min([place, *lost]), "big"))

    def _own_from(self, cursor: bytes) -> Iterator[tuple[bytes, int]]:
        signed = self.state.signed_objects()
        for object_id in sorted(self.state.objects()):
            if object_id < cursor[:32] or object_id not in signed:
                continue
            try:
                own = sorted(self.intake.known(object_id).own)
            except SliceNotFound:
                continue  # deleted meanwhile
            for index in own:
                if slice_key(object_id, index) >= cursor:
                    yield object_id, index

    def _read(self, object_id: bytes, index: int) -> None:
        started = time.monotonic()
        try:
            length = len(self.store.get(object_id, index))
        except (SliceNotFound, StoreCorrupted) as error:
            if self.state.object(object_id) is None:
                return
            log.error("slice lost", object=object_id.hex(), slice=index, error=error.message)  # noqa: TRY400
            self.metrics.count("qanat_slices_lost_total")
            self.lost.setdefault(object_id, set()).add(index)
            return
        self.metrics.count("qanat_scrubbed_bytes_total", length)
        wait = length / max(1, self.config.scrub_bytes_per_second) - (time.monotonic() - started)
        if wait > 0:
            self._ended.wait(wait)

    # ---- mending

    def mend_what_may_be(self) -> int:
        """Mend the lost slices of objects that have no challenge open; returns how many were mended."""
        mended = 0
        for object_id in list(self.lost):
            not_before, pause = self._not_before.get(object_id, (0.0, _PAUSE))
            if time.monotonic() < not_before or not self._may_mend(object_id):
                continue
            try:
                mended += self._mend_object(object_id)
            except (QanatError, OSError) as error:
                self.metrics.count("qanat_mends_failed_total")
                log.warning("not mended", object=object_id.hex(), error=str(error))
            if self.lost.get(object_id):
                self._not_before[object_id] = (time.monotonic() + pause, min(_LONGEST_PAUSE, 2 * pause))
            else:
                self.lost.pop(object_id, None)
                self._not_before.pop(object_id, None)
        return mended

    def _may_mend(self, object_id: bytes) -> bool:
        try:
            return self.follower.is_fresh and not self.follower.window_epochs_of(object_id)
        except ChainError:
            return False

    def _mend_object(self, object_id: bytes) -> int:
        if self.state.object(object_id) is None:
            self.lost.pop(object_id, None)
            return 0
        known = self.intake.known(object_id)
        mended = 0
        for matrix in sorted({index // known.held.n for index in self.lost[object_id]}):
            if self._ended.is_set() or not self._may_mend(object_id):
                break
            wanted = [index for index in sorted(self.lost[object_id]) if index // known.held.n == matrix]
            rows = asyncio.run(self._rows(object_id, known, matrix))
            for index, data in rebuild_slices(known.manifest, rows, wanted).items():
                # checked against its commitment once more, and nothing intact is replaced
                self.intake.accept_slice(object_id, index, data)
                self.lost[object_id].discard(index)
                self.metrics.count("qanat_slices_mended_total")
                log.info("slice mended", object=object_id.hex(), slice=index)
                mended += 1
        return mended

    def _own_rows(self, object_id: bytes, known: Known, matrix: int) -> dict[int, bytes]:
        """Return at most k own slices of a matrix that are intact."""
        good: dict[int, bytes] = {}
        for index in range(matrix * known.held.n, (matrix + 1) * known.held.n):
            if index in known.own and index not in self.lost[object_id] and len(good) < known.held.k:
                try:
                    good[index] = self.store.get(object_id, index)
                except StoreError:
                    self.lost[object_id].add(index)
        return good

    async def _rows(self, object_id: bytes, known: Known, matrix: int) -> dict[int, bytes]:
        """Return k verified slices of a matrix, own ones first. Raises :class:`NotEnoughSlices`."""
        held, manifest = known.held, known.manifest
        indexes = range(matrix * held.n, (matrix + 1) * held.n)
        good = self._own_rows(object_id, known, matrix)
        roster = self.views.roster(held.shard, held.roster)
        holders = {
            index: roster.holder_of(ticket_of_row(object_id, held.tickets, index % held.n)).operator
            for index in indexes
            if index not in known.own
        }
        # in no order: what each of them serves in a window is little, and a fault of one shall not cost every matrix
        waiting = random.sample(sorted(holders), len(holders))
        refused: set[str] = set()
        async with connections(len(roster.entries)) as http:
            clients = {
                operator: NodeClient(
                    http, operator, self.views.operator(operator).endpoints, self.views.chain.chain_id, self._signer
                )
                for operator in set(holders.values())
            }

            async def ask(index: int) -> tuple[int, bytes | None]:
                operator = holders[index]
                if operator in refused:
                    return index, None
                try:
                    return index, await clients[operator].get_slice(
                        object_id, index, manifest.slice_bytes, seconds=_SLICE_SECONDS
                    )
                except NodeError as error:
                    if error.data.get("status") != 404:  # down, or says "later": not asked again this time
                        refused.add(operator)
                    return index, None

            while len(good) < held.k and waiting:
                asked = waiting[: min(_AT_ONCE, held.k - len(good))]
                del waiting[: len(asked)]
                answers = await asyncio.gather(*[ask(index) for index in asked])
                got = {index: data for index, data in answers if data is not None}
                bad = set(await asyncio.to_thread(wrong_slices, manifest, got))
                for index in bad:
                    refused.add(holders[index])
                    log.warning("false slice", object=object_id.hex(), slice=index, operator=holders[index])
                good.update({index: data for index, data in got.items() if index not in bad})
        if len(good) < held.k:
            raise NotEnoughSlices(
                f"{len(good)} rows of matrix {matrix} of object 0x{object_id.hex()} could be had; {held.k} are needed.",
                have=len(good),
                need=held.k,
            )
        return good
