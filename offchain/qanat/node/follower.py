"""Where the chain is: heads, open epochs, records of objects; asked once per round, read by everyone else."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

import structlog

from qanat.chain.views import ObjectRecord, ObjectStatus, Seed, Views
from qanat.errors import ChainError

__all__ = ["EpochView", "Follower", "Heads", "Watch"]

_LONGEST_PAUSE = 20.0
_EPOCHS_KNOWN = 1024
log = structlog.get_logger("qanat.node.follower")


@dataclass(frozen=True)
class Heads:
    """Numbers of the newest, newest safe and newest final block.

    ``hash``: of the newest, hex; ``seen``: monotonic seconds of the look.
    """

    latest: int = 0
    safe: int = 0
    finalized: int = 0
    seen: float = 0.0
    hash: str = ""


@dataclass(frozen=True)
class EpochView:
    """One epoch at one Audits as of the last round.

    ``deadline``: last block in which an answer counts, 0 while it is not sealed. ``audits``: its address; rosters that
    were snapshotted before Audits was replaced go on answering to the one of then, so an epoch may be seen at several.
    """

    epoch: int
    seed_block: int
    sealing_end: int
    deadline: int
    audits: str = ""

    def is_window(self, latest: int) -> bool:
        """Whether its challenge is known, or could be in the next block, and may still be answered."""
        if latest + 1 < self.seed_block:
            return False
        if self.deadline:
            return latest <= self.deadline
        return latest <= self.sealing_end

    def is_void(self, latest: int) -> bool:
        """Whether it can no longer be sealed."""
        return self.deadline == 0 and latest > self.sealing_end


class Follower:
    """Looks at one shard's chain when :meth:`refresh` is called; the rest reads what that saw."""

    def __init__(self, views: Views, shard: int, poll_seconds: float) -> None:
        self.views = views
        self.shard = shard
        self.poll_seconds = poll_seconds
        self.parameters = views.shard_parameters(shard)
        self.first_block = views.first_block(shard)
        self._heads = Heads()
        self._epochs: list[EpochView] = []
        #: Audits and operators of the rosters live in an epoch, once no reorganisation can change them
        self._audits: dict[int, tuple[str, ...]] = {}
        self._populations: dict[int, tuple[str, ...]] = {}
        self._records: dict[bytes, tuple[float, ObjectRecord]] = {}
        self._lock = threading.Lock()
        self._looking = threading.Lock()

    @property
    def heads(self) -> Heads:
        """What the last round saw."""
        return self._heads

    @property
    def is_fresh(self) -> bool:
        """Whether the last look is recent enough to judge windows by."""
        return self._heads.latest > 0 and time.monotonic() - self._heads.seen < 10 + 5 * self.poll_seconds

    def refresh(self) -> Heads:
        """Look at the chain: one call when there is no new block. Raises :class:`ChainError`."""
        with self._looking:  # so that no older look replaces a newer one
            return self._refresh()

    def _refresh(self) -> Heads:
        chain = self.views.chain
        seen = time.monotonic()
        newest = chain.block("latest")
        latest, hash_ = int(newest["number"], 16), str(newest["hash"])
        if hash_ == self._heads.hash:
            # nothing on chain has changed; what the chain calls safe and final changes with a block
            self._heads = replace(self._heads, seen=seen)
            return self._heads
        heads = Heads(latest, min(latest, chain.safe_block()), min(latest, chain.finalized_block()), seen, hash_)
        chain.follow_modules(latest)
        epochs = [view for epoch in self.epochs_of_interest(latest) for view in self._look(epoch, heads.finalized)]
        with self._lock:
            self._heads, self._epochs = heads, epochs
        return heads

    def refresh_if_older(self, seconds: float) -> Heads:
        """Look at the chain unless somebody did within the last ``seconds``. Raises :class:`ChainError`."""
        heads = self._heads
        return heads if heads.latest and time.monotonic() - heads.seen < seconds else self.refresh()

    def epochs_of_interest(self, latest: int) -> list[int]:
        """Epochs whose challenge may still be sealed, answered or reported, ascending; epoch 0 is never audited."""
        parameters = self.parameters
        length = parameters.epoch_length
        span = parameters.sealing_limit + parameters.window + parameters.reporting + 2 * parameters.finality
        newest = (latest + 1 - self.first_block) // length
        oldest = max(1, -((self.first_block + span - latest) // length))
        return list(range(oldest, newest + 1))

    def frozen_block(self, view: EpochView) -> int:
        """The epoch's B_e. Until it is final a reorganisation may still change who owes an answer in the epoch."""
        return view.seed_block - self.parameters.finality

    def population(self, epoch: int) -> tuple[str, ...]:
        """Everyone with a place in a roster that may have live objects in the epoch. Raises :class:`ChainError`."""
        known = self._populations.get(epoch)
        if known is None:
            final = self._heads.finalized
            rosters = self.views.rosters_live_in(self.shard, epoch)
            names = [name for number in rosters for name in self.views.roster(self.shard, number).operators]
            known = tuple(dict.fromkeys(names))
            if final > self.first_block + epoch * self.parameters.epoch_length:
                with self._lock:
                    self._populations[epoch] = known
                    if len(self._populations) > _EPOCHS_KNOWN:
                        del self._populations[min(self._populations)]
        return known

    def epochs(self) -> list[EpochView]:
        """The epochs that the last round looked at, ascending, each at all Audits that its live rosters answer to."""
        with self._lock:
            return list(self._epochs)

    def open_epochs(self) -> list[int]:
        """Epochs whose response window is open, at whichever Audits."""
        latest = self._heads.latest
        return sorted({view.epoch for view in self.epochs() if view.is_window(latest)})

    def record(self, object_id: bytes) -> ObjectRecord:
        """Return an object's record at the newest block, at most one round old. Raises :class:`ChainError`."""
        now = time.monotonic()
        with self._lock:
            known = self._records.get(object_id)
        if known is not None and now - known[0] < max(1.0, self.poll_seconds):
            return known[1]
        record = self.views.object(object_id)
        with self._lock:
            if len(self._records) > 4096:
                self._records.clear()
            self._records[object_id] = (now, record)
        return record

    def window_epochs_of(self, object_id: bytes) -> list[int]:
        """Open epochs in which an object can be drawn. Raises :class:`ChainError`."""
        latest = self._heads.latest
        views = [view for view in self.epochs() if view.is_window(latest)]
        if not views:
            return []
        record = self.record(object_id)
        if record.status is not ObjectStatus.CERTIFIED:
            return []
        audits = self.views.roster(record.shard, record.roster).head.slasher
        return [
            view.epoch
            for view in views
            if view.audits == audits and record.first_epoch <= view.epoch < record.end_epoch
        ]

    def _look(self, epoch: int, finalized: int) -> list[EpochView]:
        seed_block = self.first_block + epoch * self.parameters.epoch_length
        end = seed_block + self.parameters.sealing_limit
        found = []
        for audits in self._audits_of(epoch, seed_block, finalized):
            seed = self.views.seed(self.shard, epoch, audits=audits)
            sealed = seed if seed.is_sealed else Seed(b"", 0, 0)
            found.append(EpochView(epoch, seed_block, end, sealed.deadline, audits))
        return found

    def _audits_of(self, epoch: int, seed_block: int, finalized: int) -> tuple[str, ...]:
        """Return where the epoch is answered. Later rosters can't be live in it once its seed block has passed."""
        known = self._audits.get(epoch)
        if known is None:
            known = self.views.audits_in(self.shard, epoch)
            if finalized > seed_block:
                self._audits[epoch] = known
                if len(self._audits) > _EPOCHS_KNOWN:
                    del self._audits[min(self._audits)]
        return known


class Watch(threading.Thread):
    """Keeps a follower fresh until :meth:`stop`, also while the duty loop waits for a transaction."""

    def __init__(self, follower: Follower) -> None:
        super().__init__(name="watch", daemon=True)
        self.follower = follower
        self._ended = threading.Event()

    def stop(self) -> None:
        """Ask it to end."""
        self._ended.set()

    def run(self) -> None:
        """See the class."""
        pause = self.follower.poll_seconds
        while not self._ended.wait(pause):
            try:
                self.follower.refresh()
                pause = self.follower.poll_seconds
            except ChainError as error:
                pause = min(_LONGEST_PAUSE, 2 * pause)
                log.warning("chain failed", error=error.message)
            except Exception:  # the outermost loop of its thread
                pause = min(_LONGEST_PAUSE, 2 * pause)
                log.exception("look failed")
