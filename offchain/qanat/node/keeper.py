"""What a node does without hurry: settling rewards, reporting misses, carrying out slashes, deleting what is over.

Deleting obeys one rule (DESIGN §5.2): nothing goes before the last epoch whose population saw it is closed, nor, once
signed, before the certification deadline plus finality. Everything is judged by the final block.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog

from qanat.chain.misses import reports
from qanat.chain.sender import Sender
from qanat.chain.signer import Signer
from qanat.chain.views import DutyStatus, ObjectStatus, Views
from qanat.errors import ChainError, TransactionReverted
from qanat.node.config import NodeConfig
from qanat.node.follower import EpochView, Follower, Heads
from qanat.node.intake import Intake
from qanat.node.keyholder import KeyHolder
from qanat.node.metrics import Metrics
from qanat.node.state import DutyState, HeldObject, NodeState, moved
from qanat.node.turns import Turns

__all__ = ["Keeper"]

log = structlog.get_logger("qanat.node.keeper")
_LONGEST_PAUSE = 60.0
_MOST_KNOWN = 1024


class Keeper(threading.Thread):
    """Runs until :meth:`stop`, one round every other poll interval."""

    def __init__(
        self,
        config: NodeConfig,
        views: Views,
        state: NodeState,
        follower: Follower,
        intake: Intake,
        key_holder: KeyHolder,
        signer: Signer,
        metrics: Metrics,
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self.config = config
        self.views = views
        self.state = state
        self.follower = follower
        self.intake = intake
        self.key_holder = key_holder
        self.metrics = metrics
        self._sender = Sender(views.chain, signer, timeout=90.0, fee_ceiling=config.max_fee)
        self._ended = threading.Event()
        # of (epoch, Audits, operator) each; in `_closed` is of what nothing more can come, whatever is reorganised
        self._closed: set[tuple[int, str, str]] = set()
        #: whose slash may be to be carried out
        self._missed: set[tuple[int, str, str]] = set()
        self._turns = Turns(config.operator, blocks=config.turn_blocks, seconds=config.turn_seconds)
        #: of (epoch, Audits): when a report that was refused is tried again
        self._report_at: dict[tuple[int, str], float] = {}
        #: end epoch of objects that the final block shows as certified, as it stood in block `_heard`
        self._ends: dict[bytes, int] = {}
        self._heard = 0
        #: block at which all was done that can be, and when
        self._seen, self._looked = "", 0.0
        self._failures = 0

    def stop(self) -> None:
        """Ask the keeper to end."""
        self._ended.set()

    def run(self) -> None:
        """See the class."""
        while not self._ended.is_set():
            pause = 2 * self.config.poll_seconds
            try:
                self.round()
                self._failures = 0
            except ChainError as error:
                self._failures += 1
                pause = min(_LONGEST_PAUSE, pause * 2 ** min(self._failures, 6))
                log.warning("chain failed", error=error.message)
            except Exception:  # the outermost loop of its thread
                self._failures += 1
                pause = min(_LONGEST_PAUSE, pause * 2 ** min(self._failures, 6))
                log.exception("round failed")
            self._ended.wait(pause)

    def round(self) -> None:
        """Do once what is due."""
        heads = self.follower.heads
        now = time.monotonic()
        is_due = any(self._looked < at <= now for at in self._report_at.values())
        is_due = is_due or self._turns.is_due(self._looked, now)
        if heads.latest == 0 or (heads.hash == self._seen and not is_due):
            return
        self._seen, self._looked = "", now
        self.key_holder.settle_releases(heads.finalized)
        # a miss can be reported for some blocks only, what was earned can be settled at any time
        if self.config.report:
            self._report(heads.latest, heads.finalized)
        if self.config.settle:
            self._settle(heads)
        self.delete_what_is_over(heads.finalized)
        self._seen = heads.hash

    # ---- money

    def _settle(self, heads: Heads) -> None:
        """Settle what was answered. Until that is final a reorganisation may drop it, whoever sent it."""
        rewards = self.views.chain.contract("Rewards")
        for duty in self.state.duties(self.config.shard, last=64):
            if self._ended.is_set():
                return
            if duty.state is not DutyState.ANSWERED or min(heads.latest, heads.safe) <= duty.deadline:
                continue
            which = (duty.shard, duty.epoch, self.config.operator)
            if self.views.duty(*which, audits=duty.audits) is not DutyStatus.ANSWERED:
                continue  # a reorganisation: the duty loop sees to it
            if not self.views.is_settled(*which):
                try:
                    self._sender.send(rewards.functions.settle(*which))
                    self.metrics.count("qanat_epochs_settled_total")
                except TransactionReverted as error:
                    if error.error_name not in ("AlreadySettled", "NothingToSettle"):
                        log.warning("cannot settle", epoch=duty.epoch, error=error.message)
            elif self.views.is_settled(*which, heads.finalized):
                self.state.record_duty(moved(duty, DutyState.SETTLED))
                log.info("settled", epoch=duty.epoch)
        self._claim_intake(heads.finalized)

    def _claim_intake(self, finalized: int) -> None:
        """Claim what signing earned, for each change of a roster's count until the claim is final."""
        rosters = {held.roster for held in self.state.objects().values()}
        objects, rewards = self.views.chain.contract("Objects"), self.views.chain.contract("Rewards")
        for roster in sorted(rosters):
            arguments = (self.config.shard, roster, self.config.operator)
            count = objects.functions.intakePerTicket(*arguments)
            claim = rewards.functions.claimIntake(*arguments)
            due = _difference(self.views.chain.call(count))
            name = f"intake {roster}"
            if due == self.state.number(name):
                continue
            try:
                self._sender.send(claim)  # not sent where its estimate is refused
            except TransactionReverted as error:
                if error.error_name != "NothingToClaim":
                    log.warning("cannot claim intake", roster=roster, error=error.message)
                elif self._is_claimed(count, claim, due, finalized):
                    self.state.set_number(name, due)

    def _is_claimed(self, count: Any, claim: Any, due: int, finalized: int) -> bool:
        """Whether nothing of a roster's count is left to claim in a block that no reorganisation can drop."""
        chain = self.views.chain
        try:
            if _difference(chain.call(count, block=finalized)) != due:
                return False
            chain.call(claim, block=finalized)
        except TransactionReverted as error:
            return error.error_name == "NothingToClaim"
        return False

    # ---- others' misses

    def _report(self, latest: int, finalized: int) -> None:
        for view in self.follower.epochs():
            if view.deadline == 0 or latest <= view.deadline:
                continue
            everybody = self.follower.population(view.epoch)
            missed = [name for name in everybody if self._looks_missed(view, name, latest, finalized)]
            if self._ended.is_set():
                return
            if not missed or not self._is_to_report(view, set(everybody) - set(missed), latest):
                continue
            for call, operators in reports(self.views, self.config.shard, view.epoch, missed, audits=view.audits):
                self._report_some(view, call, operators)
        self._execute_known(latest, finalized)

    def _looks_missed(self, view: EpochView, operator: str, latest: int, finalized: int) -> bool:
        """Whether an operator's miss is to be reported; where it was, its slash is carried out."""
        which = (view.epoch, view.audits, operator)
        if operator == self.config.operator or which in self._closed or self._ended.is_set():
            return False
        status = self.views.duty(self.config.shard, view.epoch, operator, audits=view.audits)
        if status is DutyStatus.ANSWERED and finalized > view.deadline:
            self._closed.add(which)
        if status is DutyStatus.NONE and latest < view.deadline + self.follower.parameters.reporting:
            return self._owed(view, operator, finalized)
        if status is DutyStatus.MISSED:
            self._execute(*which, latest, finalized)
        return False

    def _is_to_report(self, view: EpochView, others: set[str], latest: int) -> bool:
        """Whether it is this node's turn: one for all misses of an epoch. Those that missed are no ones to wait for."""
        if time.monotonic() < self._report_at.get((view.epoch, view.audits), 0.0):
            return False
        last = view.deadline + self.follower.parameters.reporting
        what = f"report {view.epoch} {view.audits}"
        return self._turns.has_come(what, others, latest=latest, first=view.deadline + 2, last=last)

    def _owed(self, view: EpochView, operator: str, finalized: int) -> bool:
        """Whether it owed an answer that no slash is queued for."""
        epoch, audits = view.epoch, view.audits
        which = (epoch, audits, operator)
        if self.views.held_rows(self.config.shard, epoch, operator, audits=audits) == 0:
            # before B_e is final a reorganisation may put rows of it into the population
            if finalized >= self.follower.frozen_block(view):
                self._closed.add(which)
            return False
        if len(self.views.audits_in(self.config.shard, epoch)) > 1 and self._is_slashed(epoch, operator):
            return False  # missed at another Audits too: an epoch is slashed once
        self._missed.add(which)
        return True

    def _is_slashed(self, epoch: int, operator: str) -> bool:
        try:
            self.views.slash(self._slash_id(epoch, operator))
        except TransactionReverted as error:
            if error.error_name != "SlashUnknown":
                raise
            return False
        return True

    def _slash_id(self, epoch: int, operator: str) -> bytes:
        restaking = self.views.chain.contract("Restaking")
        return bytes(self.views.chain.call(restaking.functions.slashId(self.config.shard, epoch, operator)))

    def _report_some(self, view: EpochView, call: Any, operators: list[str]) -> None:
        epoch = view.epoch
        try:
            self._sender.send(call)
        except TransactionReverted as error:
            log.info("miss not reported", epoch=epoch, operators=operators, error=error.message)
            self._report_at[epoch, view.audits] = time.monotonic() + 30
            while len(self._report_at) > _MOST_KNOWN:
                del self._report_at[min(self._report_at)]
            return
        for operator in operators:
            self.metrics.count("qanat_misses_reported_total")
            log.warning("miss reported", epoch=epoch, operator=operator)

    def _execute_known(self, latest: int, finalized: int) -> None:
        """Slashes become due after their epoch has left the follower's range."""
        for epoch, audits, operator in list(self._missed):
            if latest > self.follower.first_block + (epoch + 1) * self.follower.parameters.epoch_length and (
                self.views.duty(self.config.shard, epoch, operator, audits=audits) is DutyStatus.MISSED
            ):
                self._execute(epoch, audits, operator, latest, finalized)

    def _execute(self, epoch: int, audits: str, operator: str, latest: int, finalized: int) -> None:
        restaking = self.views.chain.contract("Restaking")
        slash_id = self._slash_id(epoch, operator)
        slash = self.views.slash(slash_id)
        if slash.executed and self.views.slash(slash_id, finalized).executed:
            self._missed.discard((epoch, audits, operator))
            self._closed.add((epoch, audits, operator))
            return
        # until that is final a reorganisation may drop it, whoever sent it
        self._missed.add((epoch, audits, operator))
        if slash.executed or latest < slash.ready_block:
            return
        others = set(self.follower.population(epoch)) - {operator}
        what = f"slash {epoch} {operator}"
        if not self._turns.has_come(what, others, latest=latest, first=slash.ready_block + 1):
            return
        try:
            self._sender.send(restaking.functions.executeSlash(slash_id))
        except TransactionReverted as error:
            log.info("slash not executed", epoch=epoch, operator=operator, error=error.message)
            return
        self.metrics.count("qanat_slashes_executed_total")
        log.warning("slash executed", epoch=epoch, operator=operator)

    # ---- deleting

    def delete_what_is_over(self, finalized: int) -> None:
        """Delete the objects that nobody can ask for any more; of certified ones the manifest stays, for auditors."""
        self._hear_of_ends(finalized)
        for object_id, held in self.state.objects().items():
            if self._ended.is_set():
                return
            if self._is_over(object_id, held, finalized):
                self.intake.forget(object_id, keep_manifest=object_id in self._ends)
                self._ends.pop(object_id, None)
                self.metrics.count("qanat_objects_deleted_total")
                log.info("deleted", object=object_id.hex())

    def _hear_of_ends(self, finalized: int) -> None:
        """Forget the ends that were extended or terminated since the last look: they are asked for again."""
        if self._ends and finalized > self._heard:
            for object_id in self.views.moved_ends(self._heard + 1, finalized):
                self._ends.pop(object_id, None)
        self._heard = max(self._heard, finalized)

    def _is_over(self, object_id: bytes, held: HeldObject, finalized: int) -> bool:
        parameters = self.follower.parameters
        if finalized <= held.certification_deadline + parameters.finality:
            return False
        if object_id not in self._ends:
            record = self.views.object(object_id, finalized)
            if record.status is not ObjectStatus.CERTIFIED:
                return True  # never certified, and no block that could still change can certify it
            self._ends[object_id] = record.end_epoch
        first_after = self.follower.first_block + self._ends[object_id] * parameters.epoch_length
        if finalized <= first_after:
            return False
        audits = self.views.roster(held.shard, held.roster).head.slasher
        last = self.views.seed(held.shard, self._ends[object_id] - 1, finalized, audits=audits)
        if last.is_sealed:
            over = finalized > last.deadline + parameters.finality
        else:
            closed = first_after - parameters.epoch_length + parameters.sealing_limit
            over = finalized > closed + parameters.finality
        if over:
            # an endpoint may have left out the event of an extension: nothing is deleted by what was remembered
            end = self.views.object(object_id, finalized).end_epoch
            over, self._ends[object_id] = end == self._ends[object_id], end
        return over


def _difference(counts: tuple[int, int]) -> int:
    every, excluded = counts
    return int(every) - int(excluded)
