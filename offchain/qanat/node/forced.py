"""Forced releases: what a licensee demanded on chain is answered in time, and settled.

A holder that is asked by ``Keys.force`` and does not answer within the window is slashed. So this looks for demands of
keys whose shares are here, answers each that has no answer from the own place, at a higher fee the later it gets, and
goes on looking until the answer is final: what a reorganisation drops is sent again. Nothing is remembered on disk; a
start looks back over the longest window that could be open, and so does a key that was not here before.

Anyone can demand as much as it pays for, so demands don't wait for each other: many answers are on their way at a time,
those with the earliest deadlines first. A demand is answered once its block is final, as a request off chain is: one
that a reorganisation takes back, with the license that was paid for before it, must not have opened anything. Where a
third of the window has passed it is answered all the same, since silence is slashed.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import structlog
from eth_utils.crypto import keccak

from qanat.chain.logs import logs_between
from qanat.chain.sender import Sender
from qanat.chain.signer import Signer
from qanat.chain.views import ForcedRelease, Views
from qanat.errors import ChainError, QanatError, TransactionReverted
from qanat.node.alarms import Alarms
from qanat.node.config import NodeConfig
from qanat.node.follower import Follower
from qanat.node.metrics import Metrics
from qanat.node.shareholder import ShareHolder
from qanat.node.state import HeldDealing, NodeState

__all__ = ["ForcedReleases"]

_LONGEST_PAUSE = 20.0
#: An answer that is first sent towards the deadline starts with a fee raised up to so many times (a quarter each).
_MOST_STEPS = 6
#: Demands attended to at a time. A block takes some 180 answers of all holders together.
_AT_A_TIME = 32
log = structlog.get_logger("qanat.node.forced")


@dataclass(frozen=True)
class _Demand:
    """A forced release of a key whose share is here; ``block``: where it was demanded."""

    identity: bytes
    asset_id: int
    key_epoch: int
    license_id: int
    point: bytes
    block: int
    deadline: int
    kept: HeldDealing

    @property
    def names(self) -> tuple[int, int, int, bytes]:
        """What the contract knows it by."""
        return self.asset_id, self.key_epoch, self.license_id, bytes(keccak(self.point))


class ForcedReleases(threading.Thread):
    """Runs until :meth:`stop`, one round per poll interval."""

    def __init__(
        self,
        config: NodeConfig,
        views: Views,
        state: NodeState,
        follower: Follower,
        share_holder: ShareHolder,
        signer: Signer,
        metrics: Metrics,
        alarms: Alarms,
    ) -> None:
        super().__init__(name="forced", daemon=True)
        self.config = config
        self.views = views
        self.state = state
        self.follower = follower
        self.share_holder = share_holder
        self.metrics = metrics
        self.alarms = alarms
        self._sender = Sender(views.chain, signer, timeout=90.0, resend_after=15.0, fee_ceiling=config.max_fee)
        self._ended = threading.Event()
        self._seen = ""
        #: last block whose demands are known for good, of each Keys contract
        self._heard: dict[str, int] = {}
        #: keys whose demands were heard of since their windows began, likewise
        self._known: dict[str, set[tuple[int, int]]] = {}
        self._demands: dict[bytes, _Demand] = {}
        self._again_at: dict[bytes, float] = {}
        self._going: dict[bytes, Future[None]] = {}
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="forced")

    def stop(self) -> None:
        """Ask the loop to end; it finishes what it is sending."""
        self._ended.set()

    def run(self) -> None:
        """See the class."""
        failures = 0
        while not self._ended.is_set():
            pause = self.config.poll_seconds
            try:
                self.round()
                failures = 0
            except Exception as error:  # the outermost loop: silence costs stake, so nothing may end it
                failures += 1
                pause = min(_LONGEST_PAUSE, pause * 2 ** min(failures, 6))
                if isinstance(error, ChainError):
                    log.warning("chain failed", error=error.message)
                else:
                    log.exception("round failed")
            self._ended.wait(pause)
        self._pool.shutdown(cancel_futures=True)

    def round(self) -> None:
        """Look at the chain once: forget dead dealings, hear of demands, answer and settle what is due.

        What takes longer than a poll interval goes on, and the next round doesn't wait for it.
        """
        self._take_in(0.0)
        heads = self.follower.refresh_if_older(self.config.poll_seconds / 2)
        if heads.latest == 0 or (heads.hash == self._seen and not self._again_at and not self._going):
            return
        self._seen = ""
        self.share_holder.forget_dead_dealings(heads.finalized)
        self._hear(heads.latest, heads.finalized)
        passed_over = set(self._going) & set(self._demands)
        for demand in sorted(self._demands.values(), key=lambda item: item.deadline):
            if demand.identity not in self._going:
                self._going[demand.identity] = self._pool.submit(self._attend, demand)
        self._take_in(self.config.poll_seconds)
        # what was being attended to when the round began may not have seen this block
        if not passed_over:
            self._seen = heads.hash

    def _take_in(self, seconds: float) -> None:
        """Forget what comes to its end within so many seconds. What failed is attended to again, and raised."""
        done, _ = wait(self._going.values(), timeout=seconds)
        self._going = {identity: future for identity, future in self._going.items() if future not in done}
        failed = [error for error in (future.exception() for future in done) if error is not None]
        if failed:
            self._seen = ""
            raise failed[0]

    # ---- hearing

    def _hear(self, latest: int, finalized: int) -> None:
        """Find demands in blocks that are new, or not final yet, of keys whose dealing here is the one in force."""
        held = self.state.dealings()
        for contract in {kept.contract for kept in held.values()}:
            mine = {
                (asset_id, key_epoch): (root, kept)
                for (asset_id, key_epoch, root), kept in held.items()
                if kept.contract == contract and self.share_holder.is_in_force(asset_id, key_epoch, root, kept)
            }
            if not mine:
                continue
            if contract in self._heard and mine.keys() <= self._known[contract]:
                first = self._heard[contract] + 1
            else:
                first = latest - self._longest_window(list(mine), contract) + 1
            event = self.views.keys(contract).events.ReleaseForced
            for found in logs_between(event, max(0, first), latest):
                said = found["args"]
                key = int(said["assetId"]), int(said["epoch"])
                if key in mine:
                    self._demands[bytes(said["id"])] = _Demand(
                        bytes(said["id"]),
                        *key,
                        int(said["licenseId"]),
                        bytes(said["point"]),
                        int(found["blockNumber"]),
                        int(said["deadline"]),
                        mine[key][1],
                    )
            self._heard[contract], self._known[contract] = finalized, set(mine)

    def _longest_window(self, keys: list[tuple[int, int]], contract: str) -> int:
        shards = {self.views.key(*key, keys=contract).shard for key in keys}
        return max(self.views.shard_parameters(shard).window for shard in shards)

    # ---- answering

    def _attend(self, demand: _Demand) -> None:
        """Answer a demand that this place has not answered; settle one that is over; forget it when that is final."""
        if self._ended.is_set():
            return
        contract = demand.kept.contract
        heads = self.follower.refresh_if_older(self.config.poll_seconds / 2)
        latest, finalized = heads.latest, heads.finalized
        try:
            release = self.views.forced_release(demand.identity, keys=contract)
        except TransactionReverted:
            # a reorganisation dropped it; one that is final an endpoint that lags behind doesn't know yet
            if demand.block > finalized:
                self._forget(demand)
            return
        bit = 1 << demand.kept.place
        if not release.answered & bit and latest < release.deadline:
            self._answer(demand, release, latest, finalized)
        elif not release.answered & bit and finalized > release.deadline:
            log.error("forced release missed", asset=demand.asset_id, license=demand.license_id)
            self.alarms.raise_("missed", ("forced missed", demand.identity), asset=demand.asset_id)
            self._forget(demand)
        elif release.answered & bit and (release.settled or not self.config.settle):
            if finalized > release.deadline:
                self._forget(demand)
        elif release.answered & bit and self._is_to_settle(demand, release, latest):
            self._send(demand, "settle")

    def _answer(self, demand: _Demand, release: ForcedRelease, latest: int, finalized: int) -> None:
        if time.monotonic() < self._again_at.get(demand.identity, 0.0):
            return
        shard = self.views.key(demand.asset_id, demand.key_epoch, keys=demand.kept.contract).shard
        window, left = self.views.shard_parameters(shard).window, release.deadline - latest
        if demand.block > finalized and 3 * left > 2 * window:
            return
        if 2 * left <= window:
            self.alarms.raise_("answer_late", ("forced late", demand.identity), asset=demand.asset_id, blocks_left=left)
        place, witness = self.share_holder.answer_forced(demand.asset_id, demand.key_epoch, demand.kept, demand.point)
        steps = max(0, _MOST_STEPS * (window - left) // max(1, window))
        if self._send(demand, "answer", place, witness, steps=steps):
            self.metrics.count("qanat_forced_releases_answered_total")
            log.info("forced release answered", asset=demand.asset_id, license=demand.license_id, place=place)

    def _is_to_settle(self, demand: _Demand, release: ForcedRelease, latest: int) -> bool:
        """Whether it is over, and this one's to settle: of those who answered, the first place does, later anyone."""
        if latest <= release.deadline and release.answered != (1 << len(demand.kept.holders)) - 1:
            return False
        is_first = release.answered & ((1 << demand.kept.place) - 1) == 0
        return is_first or latest > release.deadline + self.follower.parameters.finality

    def _send(self, demand: _Demand, function: str, *arguments: object, steps: int = 0) -> bool:
        call = getattr(self.views.keys(demand.kept.contract).functions, function)(*demand.names, *arguments)
        try:
            self._sender.send(call, steps=steps)
        except TransactionReverted as error:
            self._again(demand)
            if error.error_name not in ("AlreadyAnswered", "AlreadySettled"):
                log.warning("refused", what=function, asset=demand.asset_id, error=error.message)
            return False
        except QanatError:
            self._again(demand)
            raise
        self._again_at.pop(demand.identity, None)
        return True

    def _again(self, demand: _Demand) -> None:
        """Look at it again in two rounds, whether or not there is a new block by then."""
        self._again_at[demand.identity] = time.monotonic() + 2 * self.config.poll_seconds

    def _forget(self, demand: _Demand) -> None:
        self._demands.pop(demand.identity, None)
        self._again_at.pop(demand.identity, None)
