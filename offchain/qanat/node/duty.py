"""The duty loop: follows the chain, seals epochs, answers challenges, those of several epochs in one transaction.

It remembers per (shard, epoch, Audits) what it did, but decides by what the chain says: an answer that a reorganisation
dropped is sent again, one that stands is never sent twice. Nothing is answered from a slice whose checksum fails.

An epoch is answered at every Audits that one of its live rosters names: after Audits was replaced, the older rosters'
rows are still drawn, and missed, at the one before.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import structlog
from web3.exceptions import TransactionNotFound, Web3Exception

from qanat.chain.draws import follow, non_signers_hash
from qanat.chain.logs import logs_between
from qanat.chain.randomness import randomness_proof, relays_of
from qanat.chain.sender import Sender
from qanat.chain.signer import Signer
from qanat.chain.snapshots import SnapshotReader
from qanat.chain.views import DutyStatus, Views
from qanat.errors import (
    ChainError,
    ChainUnreachable,
    QanatError,
    RandomnessUnavailable,
    SliceMismatch,
    StoreError,
    TransactionReverted,
)
from qanat.node.alarms import Alarms
from qanat.node.answer import Response, build_response
from qanat.node.config import NodeConfig
from qanat.node.follower import EpochView, Follower
from qanat.node.intake import Intake
from qanat.node.metrics import Metrics
from qanat.node.state import Duty, DutyState, NodeState, moved
from qanat.node.turns import Turns

__all__ = ["DutyLoop", "non_signers_of"]

_LONGEST_PAUSE = 20.0
#: An answer that is first sent towards the deadline starts with a fee raised up to so many times (a quarter each).
_MOST_STEPS = 6
#: Epochs' gas, below which the runner is told.
_LEAST_EPOCHS_OF_GAS = 10
_SEND_SECONDS = 90.0
#: Answers of one transaction: of the dearest kind (16 reads, each of another object) they take 6 million gas.
_MOST_ANSWERS = 8
#: (epoch, address of the Audits)
_Which = tuple[int, str]
log = structlog.get_logger("qanat.node.duty")


def non_signers_of(views: Views, object_id: bytes, epoch: int) -> tuple[int, ...]:
    """Return the roster indexes of those who had not signed an object as it counts in an epoch, from its events.

    Raises :class:`ChainError` when the endpoint has no such log.
    """
    record = views.object(object_id)
    length = views.shard_parameters(record.shard).epoch_length
    events = views.chain.contract("Objects").events
    # certified within an epoch, adopted until the second epoch of the object is frozen
    first, last = record.opened_block, min(views.chain.latest(), record.opened_block + 3 * length)
    logs = logs_between(events.ObjectCertified, first, last, objectId=object_id)
    if not logs:
        raise ChainError(f"The chain's logs do not tell who signed object 0x{object_id.hex()}.", object_id=object_id)
    absent = tuple(int(index) for index in logs[-1]["args"]["nonSigners"])
    if non_signers_hash(absent) == record.non_signers_hash:
        return absent
    adopted = {
        int(log["args"]["seat"])
        for log in logs_between(events.ObjectAdopted, first, last, objectId=object_id)
        if int(log["args"]["fromEpoch"]) <= epoch
    }
    return tuple(index for index in absent if index not in adopted)


@dataclass
class _Due:
    """An answer that is to be sent now, with a fee raised by so many steps."""

    duty: Duty
    steps: int


class DutyLoop(threading.Thread):
    """Runs until :meth:`stop`.

    One round per poll interval; a round that the chain fails is tried again, later and later.
    """

    def __init__(
        self,
        config: NodeConfig,
        views: Views,
        state: NodeState,
        follower: Follower,
        intake: Intake,
        signer: Signer,
        metrics: Metrics,
        alarms: Alarms | None = None,
    ) -> None:
        super().__init__(name="duty", daemon=True)
        self.config = config
        self.views = views
        self.state = state
        self.follower = follower
        self.intake = intake
        self.metrics = metrics
        self.alarms = alarms or Alarms(metrics)
        self.reader = SnapshotReader(views)
        self._sender = Sender(views.chain, signer, timeout=_SEND_SECONDS, resend_after=15.0, fee_ceiling=config.max_fee)
        self._answers = Sender(
            views.chain,
            signer,
            timeout=_SEND_SECONDS,
            resend_after=15.0,
            fee_ceiling=config.max_fee,
            on_sent=lambda _, sent: self._sent(sent),
        )
        self._answering: list[Duty] = []
        # of an epoch at an Audits each; rows that it must be able to open, of final populations
        self._held: dict[_Which, int] = {}
        self._wait_until: dict[_Which, tuple[float, int]] = {}
        self._seal_at: dict[_Which, float] = {}
        self._turns = Turns(config.operator, blocks=config.turn_blocks, seconds=config.turn_seconds)
        #: whose answer no reorganisation can drop any more
        self._confirmed: set[_Which] = set()
        self._ended = threading.Event()
        self._failures = 0
        #: block at which all was done that can be; whether something waits for time instead of a block
        self._seen = ""
        self._timed = False

    def stop(self) -> None:
        """Ask the loop to end; it finishes what it is sending."""
        self._ended.set()

    def run(self) -> None:
        """See the class."""
        while not self._ended.is_set():
            pause = self.config.poll_seconds
            try:
                self.round()
                self._failures = 0
            except ChainError as error:
                self._failures += 1
                self.metrics.count("qanat_chain_errors_total")
                pause = min(_LONGEST_PAUSE, pause * 2 ** min(self._failures, 6))
                log.warning("chain failed", error=error.message, failures=self._failures)
            except Exception:  # the outermost loop: a duty missed costs stake, so nothing may end it
                self._failures += 1
                pause = min(_LONGEST_PAUSE, pause * 2 ** min(self._failures, 6))
                log.exception("round failed")
            self._ended.wait(pause)

    def round(self) -> None:
        """Look at the chain once and do what is due."""
        heads = self.follower.refresh_if_older(self.config.poll_seconds / 2)
        if heads.hash == self._seen and not self._timed:
            return
        self._seen, self._timed = "", False
        due: list[_Due] = []
        for view in self.follower.epochs():
            if self._ended.is_set():
                return
            try:
                due += self._attend(view, heads.latest, heads.finalized)
            except TransactionReverted as error:
                self._refused(_which(view), error)
        self._answer(due)
        # only now: a round that failed is done again
        self._seen = heads.hash

    # ---- one epoch

    def _attend(self, view: EpochView, latest: int, finalized: int) -> list[_Due]:
        """Do what an epoch needs but answering; return the answer that is due, if one is."""
        if latest <= view.seed_block:
            return []
        duty = self._known(view) or Duty(self.config.shard, view.epoch, DutyState.WAITING, audits=view.audits)
        if duty.state in (DutyState.SETTLED, DutyState.VOID, DutyState.NONE):
            return []
        if duty.state is DutyState.MISSED and finalized > duty.deadline:
            return []
        held = self._held_rows(view, finalized)
        if held == 0:
            # before B_e is final a reorganisation may put rows into the population: asked again at each block
            if finalized >= self.follower.frozen_block(view):
                self._move(duty, DutyState.NONE)
        elif view.deadline == 0:
            self._before_sealing(view, duty, latest, finalized)
        else:
            return self._after_sealing(view, duty, latest, finalized)
        return []

    def _known(self, view: EpochView) -> Duty | None:
        return self.state.duty(self.config.shard, view.epoch, view.audits)

    def _held_rows(self, view: EpochView, finalized: int) -> int:
        """Return what the node must be able to open; kept once the epoch's population is final."""
        which = _which(view)
        held = self._held.get(which)
        if held is None:
            shard, operator = self.config.shard, self.config.operator
            held = self.views.held_rows(shard, view.epoch, operator, audits=view.audits)
            if finalized >= self.follower.frozen_block(view):
                self._held[which] = held
                if len(self._held) > 256:
                    del self._held[min(self._held)]
        return held

    def _before_sealing(self, view: EpochView, duty: Duty, latest: int, finalized: int) -> None:
        if latest > view.sealing_end:
            if finalized > view.sealing_end:
                self._move(duty, DutyState.VOID)
            return
        if duty.state is not DutyState.WAITING or self._known(view) is None:
            duty = self._move(duty, DutyState.WAITING, deadline=0)
        if self.config.seal and latest < view.sealing_end:
            self._seal(view, latest)

    def _seal(self, view: EpochView, latest: int) -> None:
        """Seal an epoch that nobody sealed, when it is this node's turn."""
        now, which = time.monotonic(), _which(view)
        everybody, first = self.follower.population(view.epoch), view.seed_block + 2
        what = f"seal {view.epoch} {view.audits}"
        if not self._turns.has_come(what, everybody, latest=latest, first=first, last=view.sealing_end):
            self._timed = self._timed or self._turns.seconds > 0
            return
        if now < self._seal_at.get(which, 0.0) or self._is_waiting(which):
            self._timed = True
            return
        chain = self.views.chain
        try:
            proof = randomness_proof(chain, view.seed_block, self.config.drand_relays or relays_of(chain))
        except RandomnessUnavailable as error:
            # a round of drand is signed a while after its block; the epoch's limit for sealing is far longer
            self._seal_at[which] = now + self.config.poll_seconds
            self._timed = True
            log.warning("no randomness yet", epoch=view.epoch, error=error.message)
            return
        audits = self.views.audits(view.audits)
        try:
            self._sender.send(audits.functions.seal(self.config.shard, view.epoch, proof, self.config.operator))
        except TransactionReverted as error:
            if error.error_name != "AlreadySealed":
                raise
            return
        self.metrics.count("qanat_epochs_sealed_total")
        log.info("sealed", epoch=view.epoch)

    def _after_sealing(self, view: EpochView, duty: Duty, latest: int, finalized: int) -> list[_Due]:
        if _which(view) in self._confirmed:
            return []
        status = self.views.duty(self.config.shard, view.epoch, self.config.operator, audits=view.audits)
        if status is DutyStatus.ANSWERED:
            if duty.state is not DutyState.ANSWERED:
                self.metrics.count("qanat_epochs_answered_total")
                log.info("answered", epoch=view.epoch)
            self._move(duty, DutyState.ANSWERED, deadline=view.deadline, note="")
            if finalized > view.deadline:
                self._confirmed.add(_which(view))
        elif status is DutyStatus.MISSED or finalized > view.deadline:
            if duty.state is not DutyState.MISSED:
                log.error("missed", epoch=view.epoch, before=duty.state.value)
                self.alarms.raise_("missed", ("missed", *_which(view)), epoch=view.epoch)
            self._move(duty, DutyState.MISSED, deadline=view.deadline)
        elif latest < view.deadline:
            self._timed = True
            return self._while_open(view, duty, latest)
        return []

    def _while_open(self, view: EpochView, duty: Duty, latest: int) -> list[_Due]:
        """Tell the runner if it gets late; see an answer through that was sent, or return it as due."""
        window = self.views.shard_parameters(self.config.shard).window
        left = view.deadline - latest
        if 2 * left <= window:
            self.alarms.raise_("answer_late", ("late", *_which(view)), epoch=view.epoch, blocks_left=left)
        if self._is_waiting(_which(view)):
            return []
        if self._is_pending(duty):
            self._push(duty)
            return []
        # of the window's first sixth none, of its last one nearly all
        steps = _MOST_STEPS * (window - left) // window
        return [_Due(self._opened(duty, view.deadline), max(steps, 0))]

    def _opened(self, duty: Duty, deadline: int) -> Duty:
        return duty if duty.state is DutyState.UNABLE else self._move(duty, DutyState.OPEN, deadline=deadline)

    # ---- answering

    def _answer(self, due: list[_Due]) -> None:
        """Answer what is due: several epochs of one Audits in one transaction, unless that is refused."""
        ready: list[tuple[_Due, Response]] = []
        failed: Exception | None = None
        for item in due:
            try:
                response = self._prepared(item.duty)
            except ChainUnreachable:
                raise
            except (QanatError, Web3Exception) as error:
                failed = error  # that one's logs are not to be had, or wrong: the others don't wait for them
                continue
            if response is not None:
                ready.append((item, response))
        for audits in dict.fromkeys(item.duty.audits for item, _ in ready):
            there = [pair for pair in ready if pair[0].duty.audits == audits]
            for start in range(0, len(there), _MOST_ANSWERS):
                failed = self._send_all(there[start : start + _MOST_ANSWERS]) or failed
        if failed is not None:
            raise failed

    def _send_all(self, batch: list[tuple[_Due, Response]]) -> ChainError | None:
        """Send answers together, or else one by one. Return what stood against one of them but was no refusal.

        Together they may cost more than the account holds, or than a transaction may: one by one they need not.
        """
        if len(batch) > 1:
            try:
                self._send(batch)
            except ChainUnreachable:
                raise
            except ChainError as error:
                epochs = [item.duty.epoch for item, _ in batch]
                log.warning("answers refused together, sent one by one", epochs=epochs, error=error.message)
            else:
                return None
        failed: ChainError | None = None
        for single in batch:
            try:
                self._send([single])
            except ChainUnreachable:
                raise
            except TransactionReverted as error:
                self._refused(_which(single[0].duty), error)
            except ChainError as error:
                failed = error
        return failed

    def _prepared(self, duty: Duty) -> Response | None:
        """Build an answer; None, noted and told, if a slice for it is missing or damaged."""
        started = time.monotonic()
        try:
            response = self.response(duty.epoch, duty.audits)
        except (StoreError, SliceMismatch) as error:
            if duty.state is not DutyState.UNABLE:
                self.metrics.count("qanat_epochs_unanswerable_total")
                log.error("cannot answer", epoch=duty.epoch, error=error.message)  # noqa: TRY400  (an expected kind)
                self.alarms.raise_(
                    "cannot_answer",
                    ("unable", *_which(duty)),
                    epoch=duty.epoch,
                    reason=error.message,
                    deadline=duty.deadline,
                )
            self._move(duty, DutyState.UNABLE, note=error.message)
            self._back_off(_which(duty))
            return None
        log.info("answering", epoch=duty.epoch, reads=len(response.reads), seconds=round(time.monotonic() - started, 3))
        return response

    def _send(self, batch: list[tuple[_Due, Response]]) -> None:
        started = time.monotonic()
        audits = self.views.audits(batch[0][0].duty.audits)
        answers = [response.as_tuple() for _, response in batch]
        call = audits.functions.respond(answers[0]) if len(batch) == 1 else audits.functions.respondMany(answers)
        self._answering = [item.duty for item, _ in batch]
        try:
            receipt = self._answers.send(call, steps=max(item.steps for item, _ in batch))
            answered = self._answering
        finally:
            self._answering = []
        for duty in answered:
            self._move(duty, DutyState.ANSWERED, note="")
            self.metrics.count("qanat_epochs_answered_total")
            log.info("answered", epoch=duty.epoch, seconds=round(time.monotonic() - started, 3))
        cost = int(receipt.get("gasUsed", 0)) * int(receipt.get("effectiveGasPrice", 0))
        self._count_gas(batch[-1][0].duty.epoch, cost // len(batch))

    def _push(self, duty: Duty) -> None:
        """See an earlier answer through, at a higher fee. What it did, the next round reads from the chain."""
        self._answering = [
            item
            for item in self.state.duties(duty.shard, last=64)
            if item.state is DutyState.SENT and item.transaction == duty.transaction
        ]
        try:
            self._answers.push(duty.transaction)
        finally:
            self._answering = []

    def _count_gas(self, epoch: int, cost: int) -> None:
        """Show for how many epochs the responder can pay what the last answer cost."""
        if not cost:
            return
        left = int(self.views.chain.web3.eth.get_balance(self._answers.address)) // cost  # type: ignore[arg-type]
        self.metrics.gauge("qanat_epochs_of_gas_left", left)
        if left < _LEAST_EPOCHS_OF_GAS:
            self.alarms.raise_("gas_low", ("gas", epoch), epochs_left=left, account=self._answers.address)

    def response(self, epoch: int, audits: str = "") -> Response:
        """Return the answer to a sealed epoch's challenge at an Audits (those in force), from verified slices only.

        Raises :class:`StoreError` naming the slice that is missing or damaged, :class:`ChainError`.
        """
        draw = self.reader.draw(self.config.shard, epoch, self.config.operator, audits=audits)
        reads = follow(draw, epoch, lambda listed: non_signers_of(self.views, listed.object_id, epoch))
        return build_response(
            self.config.shard,
            epoch,
            self.config.operator,
            reads,
            draw.context,
            manifest_of=lambda object_id: self.intake.known(object_id).manifest,
            slice_of=self.intake.read_verified,
        )

    # ---- memory

    def _move(self, duty: Duty, state: DutyState, **changes: object) -> Duty:
        after = moved(duty, state, **changes)
        if after != duty or self.state.duty(duty.shard, duty.epoch, duty.audits) is None:
            self.state.record_duty(after)
        return after

    def _sent(self, transaction: str) -> None:
        self._answering = [self._move(duty, DutyState.SENT, transaction=transaction) for duty in self._answering]

    def _is_pending(self, duty: Duty) -> bool:
        """Whether an answer of before a restart, or one that was given up waiting for, still waits for a block."""
        if duty.state is not DutyState.SENT or not duty.transaction:
            return False
        try:
            found = self.views.chain.web3.eth.get_transaction(duty.transaction)  # type: ignore[arg-type]
        except TransactionNotFound:
            return False
        return found.get("blockNumber") is None

    def _refused(self, which: _Which, error: TransactionReverted) -> None:
        log.warning("transaction refused", epoch=which[0], audits=which[1], error=error.message)
        self._back_off(which)

    def _back_off(self, which: _Which) -> None:
        _, times = self._wait_until.get(which, (0.0, 0))
        pause = min(_LONGEST_PAUSE, self.config.poll_seconds * 2**times)
        self._wait_until[which] = (time.monotonic() + pause, times + 1)

    def _is_waiting(self, which: _Which) -> bool:
        return time.monotonic() < self._wait_until.get(which, (0.0, 0))[0]


def _which(item: EpochView | Duty) -> _Which:
    return item.epoch, item.audits
