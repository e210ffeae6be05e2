"""The duty loop and the keeper: what is sealed, answered, settled, reported, deleted, and when; on a double chain."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from web3.exceptions import TransactionNotFound, Web3RPCError

from qanat import bls, kzg
from qanat.chain.draws import Bucket, Draw, ListedObject, Place, Snapshot, non_signers_hash
from qanat.chain.misses import reports
from qanat.chain.views import DutyStatus, ObjectStatus, Seed, Slash
from qanat.errors import (
    BadParameters,
    ChainError,
    ChainUnreachable,
    InsufficientFunds,
    RandomnessUnavailable,
    StoreCorrupted,
    TransactionReverted,
)
from qanat.node import alarms as alarms_module
from qanat.node import duty as duty_module
from qanat.node.alarms import Alarms
from qanat.node.duty import DutyLoop
from qanat.node.follower import EpochView, Watch
from qanat.node.keeper import Keeper
from qanat.node.metrics import Metrics
from qanat.node.state import Duty, DutyState
from qanat.objects import encode
from tests.unit.node_doubles import (
    CONTRACTS,
    PARAMETERS,
    ROSTER,
    SHARD,
    FakeNode,
    FakeViews,
    make_people,
    permit,
    serve_node,
)
from tests.unit.test_node_state import write_version_2

OBJECT = b"\x31" * 32
PUBLISHED = b"\x32" * 32
PEOPLE = make_people(3)
ME, OTHER, THIRD = (person.address for person in PEOPLE)
ENCODED = encode(bytes(2000), k=2, n=3, width=64)
EPOCH = 5  # seed block 100
AUDITS, REPLACING = CONTRACTS["Audits"], "0x" + "a2" * 20


class Sends:
    """A sender that records what it sends, and can change the chain or fail."""

    def __init__(self, loop: Any) -> None:
        self.names: list[str] = []
        self.to: list[str] = []
        self.arguments: list[Any] = []
        self.steps: list[int] = []
        self.receipt: dict[str, Any] = {}
        self.then: dict[str, Any] = {}
        self.loop = loop

    address = "0x" + "77" * 20

    def push(self, transaction_hash: str) -> None:
        self.names.append(f"push {transaction_hash}")
        after = self.then.get("push")
        if after is not None:
            after()

    def send(self, function: Any, value: int = 0, *, steps: int = 0) -> dict[str, Any]:
        self.names.append(function.name)
        self.to.append(function.to)
        self.arguments.append(function.arguments)
        self.steps.append(steps)
        after = self.then.get(function.name)
        if isinstance(after, Exception):
            raise after
        if after is not None:
            after()
        return self.receipt


def quiet(found: FakeViews, people: Any) -> FakeViews:
    """A chain at the seed block of an epoch, all earlier ones answered; a test sets what is owed and answered."""
    found.open_object(OBJECT, ENCODED)
    found.chain.head = 100
    found.statuses = {}
    found.held = {}
    found.duty = lambda _s, epoch, operator, audits: found.statuses.get((epoch, operator), DutyStatus.NONE)
    found.held_rows = lambda _s, epoch, operator, audits: found.held.get((epoch, operator), 4)
    found.is_settled = lambda *_: False
    found.rosters_live_in = lambda *_: [ROSTER]
    found.chain.answers.update(slashId=b"\x01" * 32, intakePerTicket=(0, 0))
    found.seeds.update({epoch: Seed(bytes(32), 20 * epoch + 1, 20 * epoch + 9) for epoch in range(1, EPOCH)})
    found.statuses.update(
        {(epoch, person.address): DutyStatus.ANSWERED for epoch in range(1, EPOCH) for person in people}
    )
    return found


@pytest.fixture
def views() -> FakeViews:
    return quiet(FakeViews(PEOPLE), PEOPLE)


@pytest.fixture
def node(views: FakeViews, tmp_path: Path) -> Iterator[FakeNode]:
    made = FakeNode(views, PEOPLE[0], tmp_path / "n", turn_blocks=0, poll_seconds=0.001)
    yield made
    made.stop()


def loop_of(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> DutyLoop:
    any_views: Any = node.views
    made = DutyLoop(node.config, any_views, node.state, node.follower, node.intake, node.person.signer, node.metrics)
    sends = Sends(made)
    made._sender = made._answers = sends  # type: ignore[assignment]
    made.sends = sends  # type: ignore[attr-defined]
    made.response = lambda epoch, _audits: SimpleNamespace(reads=(), as_tuple=lambda: (epoch,))  # type: ignore[method-assign]
    monkeypatch.setattr(duty_module, "randomness_proof", lambda *_: b"header")
    monkeypatch.setattr(duty_module, "relays_of", lambda _chain: ())
    return made


@pytest.fixture
def loop(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> DutyLoop:
    return loop_of(node, monkeypatch)


def turn(loop: DutyLoop, views: FakeViews, head: int, *, final: int | None = None) -> list[str]:
    """Let the loop do a round at a block; return what it sent in it."""
    views.chain.head, views.chain.safe = head, head - 1
    views.chain.final = head - 2 if final is None else final
    loop.follower.refresh()
    before = len(loop.sends.names)  # type: ignore[attr-defined]
    loop.round()
    return loop.sends.names[before:]  # type: ignore[attr-defined]


def state(loop: DutyLoop, epoch: int = EPOCH) -> DutyState | None:
    """Return what the node remembers of an epoch."""
    found = loop.state.duty(SHARD, epoch, AUDITS)
    return None if found is None else found.state


def seal(views: FakeViews, block: int = 103) -> None:
    views.seeds[EPOCH] = Seed(bytes(32), block, block + PARAMETERS.window)


# ---- sealing


def test_an_epoch_is_sealed_after_its_seed_block_and_within_the_limit(loop: DutyLoop, views: FakeViews) -> None:
    """Not in the seed block itself, not after the last block in which sealing counts."""
    assert turn(loop, views, 100) == []
    assert turn(loop, views, 101) == ["seal"]
    assert turn(loop, views, 119) == ["seal"]
    assert turn(loop, views, 120) == []
    assert state(loop) is DutyState.WAITING


def test_an_epoch_without_own_rows_costs_nothing(loop: DutyLoop, views: FakeViews) -> None:
    """Nothing held: no sealing, no answer."""
    views.held[EPOCH, ME] = 0
    assert turn(loop, views, 101) == []
    assert state(loop) is DutyState.NONE


def test_a_lost_race_is_no_error(loop: DutyLoop, views: FakeViews) -> None:
    """Another operator sealed in the same block."""
    loop.sends.then["seal"] = TransactionReverted("no", error_name="AlreadySealed", arguments={})  # type: ignore[attr-defined]
    assert turn(loop, views, 101) == ["seal"]
    seal(views)
    assert turn(loop, views, 104) == ["respond"]


def test_a_round_that_is_not_signed_yet_is_asked_for_again(
    loop: DutyLoop, views: FakeViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    """drand's round comes a while after its block: the epoch waits, the node's other duties don't."""

    def missing(*_: object) -> bytes:
        raise RandomnessUnavailable("not yet")

    monkeypatch.setattr(duty_module, "randomness_proof", missing)
    assert turn(loop, views, 101) == []
    assert state(loop) is DutyState.WAITING
    monkeypatch.setattr(duty_module, "randomness_proof", lambda *_: b"header")
    time.sleep(0.01)
    assert turn(loop, views, 101) == ["seal"]  # the same block: it waited for time, not for a block


def test_a_refused_sealing_is_tried_again_later(loop: DutyLoop, views: FakeViews) -> None:
    """Another error backs off instead of ending the loop."""
    loop.sends.then["seal"] = TransactionReverted("no", error_name="HeaderMismatch", arguments={})  # type: ignore[attr-defined]
    assert turn(loop, views, 101) == ["seal"]
    loop._wait_until.clear()
    assert turn(loop, views, 102) == ["seal"]


def test_a_void_epoch_is_final_only_with_its_block(loop: DutyLoop, views: FakeViews) -> None:
    """A reorganisation may still seal it."""
    turn(loop, views, 101)
    turn(loop, views, 121, final=120)
    assert state(loop) is DutyState.WAITING
    turn(loop, views, 123, final=121)
    assert state(loop) is DutyState.VOID


# ---- what a reorganisation around B_e (block 98 here) changes


def test_who_owed_nothing_before_a_reorganisation_answers_after_it(loop: DutyLoop, views: FakeViews) -> None:
    """A certificate that a reorganisation moves into the population makes a duty out of none, late finality or not."""
    views.held[EPOCH, ME] = 0
    assert turn(loop, views, 101, final=97) == []
    seal(views)
    assert turn(loop, views, 104, final=97) == []
    assert state(loop) is None
    views.held[EPOCH, ME] = 4
    assert turn(loop, views, 105, final=97) == ["respond"]
    assert state(loop) is DutyState.ANSWERED


def test_who_owed_an_answer_before_a_reorganisation_sends_none_after_it(loop: DutyLoop, views: FakeViews) -> None:
    """The other way: what left the population costs no gas any more."""
    assert turn(loop, views, 101, final=97) == ["seal"]
    views.held[EPOCH, ME] = 0
    assert turn(loop, views, 102, final=97) == []
    assert state(loop) is DutyState.WAITING
    assert turn(loop, views, 103, final=98) == []
    assert state(loop) is DutyState.NONE


@pytest.mark.parametrize("rows", [0, 4])
def test_what_is_owed_is_asked_once_after_b_e_is_final(loop: DutyLoop, views: FakeViews, rows: int) -> None:
    """From then on nothing changes it."""
    asked: list[int] = []

    def held(_s: int, epoch: int, _operator: str, audits: str) -> int:
        asked.append(epoch)
        return rows if epoch == EPOCH else 4

    views.held_rows = held  # type: ignore[attr-defined]
    for head in (101, 102, 103):
        turn(loop, views, head, final=97)
    assert asked.count(EPOCH) == 3
    for head in (104, 105, 106):
        turn(loop, views, head, final=98)
    assert asked.count(EPOCH) == 4
    assert state(loop) is (DutyState.NONE if rows == 0 else DutyState.WAITING)


def test_a_miss_that_a_reorganisation_takes_back_is_answered(loop: DutyLoop, views: FakeViews) -> None:
    """Sealed anew in a later block, the epoch has a later deadline: until the first one is final, nothing is over."""
    seal(views)
    views.statuses[EPOCH, ME] = DutyStatus.MISSED
    assert turn(loop, views, 112, final=99) == []
    assert state(loop) is DutyState.MISSED
    seal(views, 110)
    del views.statuses[EPOCH, ME]
    assert turn(loop, views, 113, final=99) == ["respond"]
    assert state(loop) is DutyState.ANSWERED


# ---- answering


def test_a_challenge_is_answered_once(loop: DutyLoop, views: FakeViews) -> None:
    """Once it stands on chain nothing more is sent."""
    seal(views)

    def stands() -> None:
        views.statuses[EPOCH, ME] = DutyStatus.ANSWERED

    loop.sends.then["respond"] = stands  # type: ignore[attr-defined]
    assert turn(loop, views, 104) == ["respond"]
    assert state(loop) is DutyState.ANSWERED
    for head in (105, 110, 111, 112, 130):
        assert turn(loop, views, head) in ([], ["seal"])
    assert loop.sends.names.count("respond") == 1  # type: ignore[attr-defined]


def test_an_answer_that_a_reorganisation_dropped_is_sent_again(loop: DutyLoop, views: FakeViews) -> None:
    """The chain decides, not the memory."""
    seal(views)
    assert turn(loop, views, 104) == ["respond"]
    assert state(loop) is DutyState.ANSWERED
    assert turn(loop, views, 105) == ["respond"]


def test_after_the_deadline_nothing_is_sent(loop: DutyLoop, views: FakeViews) -> None:
    """The last block in which an answer counts is the deadline; at that head it would come one block late."""
    seal(views)
    assert turn(loop, views, 110) == ["respond"]
    assert turn(loop, views, 111) == []
    assert turn(loop, views, 114, final=112) == []
    assert state(loop) is DutyState.MISSED


def test_a_pending_answer_of_before_a_restart_is_not_sent_twice(loop: DutyLoop, views: FakeViews) -> None:
    """Recorded before the kill, still waiting for a block: seen through, dearer. Dropped by the endpoint: sent anew."""
    seal(views)
    loop.state.record_duty(Duty(SHARD, EPOCH, DutyState.SENT, 111, "0x" + "12" * 32, audits=AUDITS))
    found: dict[str, Any] = {"blockNumber": None}

    def get(_hash: str) -> dict[str, Any]:
        if not found:
            raise TransactionNotFound("gone")
        return found

    views.chain.web3 = SimpleNamespace(eth=SimpleNamespace(get_transaction=get))
    loop.state.record_duty(Duty(SHARD, EPOCH + 1, DutyState.SENT, 131, "0x" + "12" * 32, audits=AUDITS))
    loop.state.record_duty(Duty(SHARD, EPOCH + 2, DutyState.SENT, 151, "0x" + "13" * 32, audits=AUDITS))
    loop.sends.then["push"] = lambda: loop._sent("0xdearer")  # type: ignore[attr-defined]
    assert turn(loop, views, 104) == ["push 0x" + "12" * 32]
    kept = [loop.state.duty(SHARD, epoch, AUDITS) for epoch in (EPOCH, EPOCH + 1, EPOCH + 2)]
    assert [duty and duty.transaction for duty in kept] == ["0xdearer", "0xdearer", "0x" + "13" * 32]
    found.clear()
    assert turn(loop, views, 105) == ["respond"]


def two_sealed(views: FakeViews) -> None:
    """Seal an epoch late, so that its window and the next one's overlap: both are due from block 122 on."""
    views.seeds[EPOCH] = Seed(bytes(32), 118, 126)
    views.seeds[EPOCH + 1] = Seed(bytes(32), 121, 129)


def test_several_epochs_are_answered_in_one_transaction(loop: DutyLoop, views: FakeViews) -> None:
    """With the fee of the more urgent one; the disk knows of both before its receipt is waited for."""
    two_sealed(views)
    seen: list[Any] = []

    def sent() -> None:
        loop._sent("0xabc")
        seen.extend(loop.state.duty(SHARD, epoch, AUDITS) for epoch in (EPOCH, EPOCH + 1))

    loop.sends.then["respondMany"] = sent  # type: ignore[attr-defined]
    assert turn(loop, views, 122) == ["respondMany"]
    assert loop.sends.arguments == [([(EPOCH,), (EPOCH + 1,)],)]  # type: ignore[attr-defined]
    assert loop.sends.steps == [3]  # type: ignore[attr-defined]
    assert seen == [
        Duty(SHARD, EPOCH, DutyState.SENT, 126, "0xabc", audits=AUDITS),
        Duty(SHARD, EPOCH + 1, DutyState.SENT, 129, "0xabc", audits=AUDITS),
    ]
    assert [state(loop, epoch) for epoch in (EPOCH, EPOCH + 1)] == [DutyState.ANSWERED] * 2


def test_answers_that_are_refused_together_are_sent_one_by_one(loop: DutyLoop, views: FakeViews) -> None:
    """A bad one does not take the good one with it."""
    two_sealed(views)
    refused = TransactionReverted("no", error_name="PathInvalid", arguments={})
    loop.sends.then["respondMany"] = refused  # type: ignore[attr-defined]
    assert turn(loop, views, 122) == ["respondMany", "respond", "respond"]
    assert [state(loop, epoch) for epoch in (EPOCH, EPOCH + 1)] == [DutyState.ANSWERED] * 2


def test_an_epoch_whose_logs_are_missing_holds_up_no_other(loop: DutyLoop, views: FakeViews) -> None:
    """What could not be built is tried again in the next round; what could is sent in this one."""
    two_sealed(views)
    good = loop.response

    def missing(epoch: int, audits: str) -> Any:
        if epoch == EPOCH:
            raise ChainError("no log")
        return good(epoch, audits)

    loop.response = missing  # type: ignore[method-assign]
    with pytest.raises(ChainError, match="no log"):
        turn(loop, views, 122)
    assert loop.sends.names[-1:] == ["respond"]  # type: ignore[attr-defined]
    assert loop.sends.arguments[-1] == ((EPOCH + 1,),)  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [InsufficientFunds("8 are too dear"), ChainError("oversized data")])
def test_answers_that_are_too_much_together_are_sent_one_by_one(
    loop: DutyLoop, views: FakeViews, error: ChainError
) -> None:
    """What the account can't pay, or a transaction can't hold, at once."""
    two_sealed(views)
    loop.sends.then["respondMany"] = error  # type: ignore[attr-defined]
    assert turn(loop, views, 122) == ["respondMany", "respond", "respond"]
    assert [state(loop, epoch) for epoch in (EPOCH, EPOCH + 1)] == [DutyState.ANSWERED] * 2


def test_an_endpoint_that_is_gone_is_not_asked_one_by_one(loop: DutyLoop, views: FakeViews) -> None:
    """Nothing says that the batch did not leave."""
    two_sealed(views)
    loop.sends.then["respondMany"] = ChainUnreachable("gone")  # type: ignore[attr-defined]
    with pytest.raises(ChainUnreachable):
        turn(loop, views, 122)
    assert loop.sends.names == ["respondMany"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ChainError("no log"), BadParameters("no such position"), Web3RPCError("limit")])
def test_whatever_is_wrong_with_one_epoch_holds_up_no_other(loop: DutyLoop, views: FakeViews, error: Exception) -> None:
    """Missing logs, logs that contradict the chain, an endpoint's refusal."""
    two_sealed(views)
    good = loop.response

    def bad(epoch: int, audits: str) -> Any:
        if epoch == EPOCH:
            raise error
        return good(epoch, audits)

    loop.response = bad  # type: ignore[method-assign]
    with pytest.raises(type(error)):
        turn(loop, views, 122)
    assert loop.sends.arguments[-1] == ((EPOCH + 1,),)  # type: ignore[attr-defined]


def test_the_transaction_is_on_disk_before_its_receipt_is_waited_for(loop: DutyLoop, views: FakeViews) -> None:
    """What a kill while waiting leaves behind."""
    seal(views)
    seen: list[Duty | None] = []

    def sent() -> None:
        loop._sent("0xabc")
        seen.append(loop.state.duty(SHARD, EPOCH, AUDITS))

    loop.sends.then["respond"] = sent  # type: ignore[attr-defined]
    turn(loop, views, 104)
    assert seen == [Duty(SHARD, EPOCH, DutyState.SENT, 111, "0xabc", audits=AUDITS)]


def test_nothing_is_answered_from_a_damaged_slice(loop: DutyLoop, views: FakeViews) -> None:
    """Said in status and metrics, tried again in case the slice comes back, and then answered."""
    seal(views)

    def damaged(_epoch: int, _audits: str) -> Any:
        raise StoreCorrupted("Slice 7 of object 0x31 is not what was stored.", object_id=OBJECT, index=7)

    good = loop.response
    loop.response = damaged  # type: ignore[method-assign]
    assert turn(loop, views, 104) == []
    assert state(loop) is DutyState.UNABLE
    found = loop.state.duty(SHARD, EPOCH, AUDITS)
    assert found is not None
    assert "Slice 7" in found.note
    assert loop.metrics.value("qanat_epochs_unanswerable_total") == 1
    loop.response = good  # type: ignore[method-assign]
    loop._wait_until.clear()
    assert turn(loop, views, 105) == ["respond"]


def test_the_fee_rises_towards_the_deadline(loop: DutyLoop, views: FakeViews) -> None:
    """An answer of the first block starts with the chain's fee; each that comes later with a higher one."""
    seal(views)
    for head in range(103, 111):
        assert turn(loop, views, head) == ["respond"]
    assert loop.sends.steps == [0, 0, 1, 2, 3, 3, 4, 5]  # type: ignore[attr-defined]


def alarms_of(loop: DutyLoop, kind: str) -> float:
    return loop.metrics.value("qanat_alarms_total", kind)


def test_the_runner_is_told_once_before_it_is_too_late(loop: DutyLoop, views: FakeViews) -> None:
    """When half of the window is over, and when it was missed."""
    seal(views)
    loop.sends.then["respond"] = ChainUnreachable("no answer")  # type: ignore[attr-defined]
    told = []
    for head in (104, 106, 107, 108, 110):
        with pytest.raises(ChainUnreachable):
            turn(loop, views, head)
        told.append(alarms_of(loop, "answer_late"))
    assert told == [0, 0, 1, 1, 1]
    turn(loop, views, 114, final=112)
    turn(loop, views, 115, final=113)
    assert alarms_of(loop, "missed") == 1


def test_the_runner_is_told_of_a_lost_slice(loop: DutyLoop, views: FakeViews) -> None:
    seal(views)

    def damaged(_epoch: int, _audits: str) -> Any:
        raise StoreCorrupted("Slice 7 of object 0x31 is not what was stored.", object_id=OBJECT, index=7)

    loop.response = damaged  # type: ignore[method-assign]
    for head in (104, 105):
        turn(loop, views, head)
    assert alarms_of(loop, "cannot_answer") == 1


@pytest.mark.parametrize(("balance", "left", "told"), [(10**9 * 5_000_000, 10, 0), (10**9 * 4_999_999, 9, 1)])
def test_epochs_of_gas_left_are_shown(loop: DutyLoop, views: FakeViews, balance: int, left: int, told: int) -> None:
    """At what the last answer cost; below ten the runner is told."""
    seal(views)
    loop.sends.receipt = {"gasUsed": 500_000, "effectiveGasPrice": 10**9}  # type: ignore[attr-defined]
    views.chain.web3 = SimpleNamespace(eth=SimpleNamespace(get_balance=lambda _account: balance))  # type: ignore[attr-defined]
    assert turn(loop, views, 104) == ["respond"]
    assert loop.metrics.value("qanat_epochs_of_gas_left") == left
    assert alarms_of(loop, "gas_low") == told


class Hook:
    """A webhook that keeps what it gets, or is gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.got: list[tuple[str, Any]] = []
        self.called = threading.Event()
        monkeypatch.setattr(alarms_module.httpx, "post", self.post)
        self.error = error

    def post(self, url: str, *, json: Any, timeout: float) -> Any:
        assert timeout > 0
        self.got.append((url, json))
        self.called.set()
        if self.error is not None:
            raise self.error
        return SimpleNamespace(raise_for_status=lambda: None)


def test_the_webhook_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = Hook(monkeypatch)
    alarms = Alarms(Metrics(), "https://hook", operator=ME)
    for _ in range(2):
        alarms.raise_("missed", ("missed", 5), epoch=5)
    assert hook.called.wait(5)
    assert hook.got == [("https://hook", {"alarm": "missed", "operator": ME, "epoch": 5})]


def test_a_webhook_that_fails_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And stops nothing."""
    hook = Hook(monkeypatch, httpx.ConnectError("gone"))
    metrics = Metrics()
    Alarms(metrics, "https://hook").raise_("missed", 5, epoch=5)
    assert hook.called.wait(5)
    until = time.monotonic() + 5
    while not metrics.value("qanat_alarms_unsent_total") and time.monotonic() < until:
        time.sleep(0.01)
    assert metrics.value("qanat_alarms_unsent_total") == 1


def test_a_chain_that_fails_is_tried_again(loop: DutyLoop, views: FakeViews) -> None:
    """A round that fails leaves nothing undone: the next one does it."""
    seal(views)
    loop.sends.then["respond"] = ChainUnreachable("no answer")  # type: ignore[attr-defined]
    with pytest.raises(ChainUnreachable):
        turn(loop, views, 104)
    loop.sends.then.clear()  # type: ignore[attr-defined]
    assert turn(loop, views, 105) == ["respond"]


def test_the_thread_survives_whatever_a_round_raises(loop: DutyLoop) -> None:
    """Errors of the chain and bugs alike: it goes on."""
    raised = [ChainUnreachable("no answer"), ZeroDivisionError("a bug")]
    rounds: list[int] = []

    def round_() -> None:
        rounds.append(1)
        if raised:
            raise raised.pop()
        loop.stop()

    loop.round = round_  # type: ignore[method-assign]
    loop.start()
    loop.join(10)
    assert len(rounds) == 3


def test_the_watch_survives_failures(node: FakeNode) -> None:
    """It keeps looking."""
    raised = [ChainUnreachable("no answer"), ZeroDivisionError("a bug")]
    watch = Watch(node.follower)

    def refresh() -> Any:
        if raised:
            raise raised.pop()
        watch.stop()

    node.follower.refresh = refresh  # type: ignore[method-assign]
    watch.start()
    watch.join(10)
    assert not watch.is_alive()
    assert raised == []


def test_without_a_new_block_a_round_is_one_call(loop: DutyLoop, keeper: Keeper, views: FakeViews) -> None:
    """An idle node costs the chain's endpoint one request per round, not one per epoch and operator."""
    views.chain.restless = False
    asked: list[str] = []

    def count(name: str, real: Any) -> Any:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            asked.append(name)
            return real(*arguments, **named)

        return wrapped

    for name in ("seed", "duty", "held_rows", "object"):
        setattr(views, name, count(name, getattr(views, name)))
    seal(views)
    views.statuses.update({(EPOCH, person.address): DutyStatus.ANSWERED for person in PEOPLE})
    views.is_settled = lambda *_: True
    turn(loop, views, 118)
    keep(keeper, views, 118)
    assert asked
    asked.clear()
    assert turn(loop, views, 118) == []
    assert keep(keeper, views, 118) == []
    assert asked == []
    turn(loop, views, 119)
    assert asked


# ---- the two lanes


class Gate:
    """Stops the one thread that it is for, inside whatever is wrapped, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None

    def before(self, real: Any) -> Any:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is self.thread:
                self.reached.set()
                assert self.opened.wait(120)
            return real(*arguments, **named)

        return wrapped


@pytest.mark.parametrize("where", ["looking", "reading", "folding", "sending"])
def test_no_publishing_call_waits_for_an_audit(
    loop: DutyLoop, node: FakeNode, views: FakeViews, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """An answer that hangs, wherever: a manifest, its slices and a signature are taken and given all the same.

    While the loop looks at the chain, reads a slice of an object, folds and opens it, or waits for its transaction's
    block; what is published shares store, memory and keys with it. A call that waited would run into the client's time.
    """
    node.take_all(OBJECT, ENCODED)
    node.intake.sign(OBJECT)
    rows = len(node.own(OBJECT, ENCODED))
    listed = ListedObject(0, OBJECT, 0, rows, 20, 3, 1, ENCODED.manifest.root, non_signers_hash(()))
    place = Place(ROSTER, 3, 0, 0, 1, rows, (Bucket(rows, [listed]),))
    draw = Draw.of(b"\x07" * 32, Snapshot((place,)), PARAMETERS.samples)
    loop.reader = SimpleNamespace(draw=lambda *_, **__: draw)  # type: ignore[assignment]
    del loop.response  # type: ignore[attr-defined]  # the double of it
    monkeypatch.setattr(duty_module, "non_signers_of", lambda *_: ())
    gate = Gate()
    if where == "looking":
        monkeypatch.setattr(views, "seed", gate.before(views.seed))
    elif where == "reading":
        monkeypatch.setattr(node.store, "get", gate.before(node.store.get))
    elif where == "folding":
        monkeypatch.setattr(kzg, "open_at", gate.before(kzg.open_at))
    else:
        monkeypatch.setattr(loop._sender, "send", gate.before(loop._sender.send))
    seal(views)
    views.chain.head = 104
    sent: Any = loop.sends  # type: ignore[attr-defined]
    served = serve_node(node)
    gate.thread = threading.Thread(target=loop.round)
    try:
        gate.thread.start()
        assert gate.reached.wait(60)
        views.open_object(PUBLISHED, ENCODED)
        name, own = f"0x{PUBLISHED.hex()}", node.own(PUBLISHED, ENCODED)
        header = {"Qanat-Put": permit(PUBLISHED, ENCODED, ME)}
        with httpx.Client(base_url=served.url, timeout=40, trust_env=False, headers=header) as http:
            body = ENCODED.manifest.to_bytes()
            assert http.put(f"/objects/{name}/manifest", content=body).status_code == 204
            for index in own:
                put = http.put(f"/objects/{name}/slices/{index}", content=ENCODED.slices[index])
                assert put.status_code == 204
            answer = http.post(f"/objects/{name}/signature").json()
        assert bls.verify(PEOPLE[0].key.public_key, views.digest(PUBLISHED), bytes.fromhex(answer["signature"][2:]))
        assert not gate.opened.is_set()
        assert (sent.names, gate.thread.is_alive()) == ([], True)
    finally:
        gate.opened.set()
        gate.thread.join(60)
        served.stop()
    assert sent.names == ["respond"]


# ---- Audits that was replaced


@pytest.fixture
def replaced(views: FakeViews) -> FakeViews:
    """Audits was replaced: from this epoch on a newer roster answers to the new one, the older one as before."""
    seeds = {AUDITS: views.seeds, REPLACING: {}}
    statuses = {AUDITS: views.statuses, REPLACING: {}}
    views.audits_in = lambda _s, epoch: (AUDITS, REPLACING) if epoch >= EPOCH else (AUDITS,)  # type: ignore[method-assign]
    views.seed = lambda _s, epoch, block="latest", audits="": seeds[audits].get(epoch, Seed(bytes(32), 0, 0))  # type: ignore[method-assign]
    views.duty = lambda _s, epoch, who, audits: statuses[audits].get((epoch, who), DutyStatus.NONE)  # type: ignore[method-assign]
    views.held_rows = lambda _s, epoch, who, audits: views.held.get((epoch, who, audits), 4)  # type: ignore[attr-defined]
    views.of = SimpleNamespace(seeds=seeds, statuses=statuses)  # type: ignore[attr-defined]
    return views


def sent_to(sends: Any) -> list[tuple[str, str]]:
    """Return and forget what was sent, and where."""
    found = list(zip(sends.names, sends.to, strict=True))
    sends.names.clear()
    sends.to.clear()
    return found


def test_an_epoch_is_sealed_and_answered_at_each_audits(loop: DutyLoop, replaced: FakeViews) -> None:
    """Also at the one that was replaced: its rosters' stake is slashed there."""
    sends: Any = loop.sends  # type: ignore[attr-defined]
    turn(loop, replaced, 101)
    assert sent_to(sends) == [("seal", AUDITS), ("seal", REPLACING)]
    of: Any = replaced.of  # type: ignore[attr-defined]
    of.seeds[AUDITS][EPOCH] = Seed(bytes(32), 102, 110)
    turn(loop, replaced, 103)
    assert sent_to(sends) == [("seal", REPLACING), ("respond", AUDITS)]
    of.statuses[AUDITS][EPOCH, ME] = DutyStatus.ANSWERED
    of.seeds[REPLACING][EPOCH] = Seed(bytes(32), 104, 112)
    turn(loop, replaced, 105)
    assert sent_to(sends) == [("respond", REPLACING)]
    kept = [loop.state.duty(SHARD, EPOCH, audits) for audits in (AUDITS, REPLACING)]
    assert [duty and (duty.state, duty.deadline) for duty in kept] == [(DutyState.ANSWERED, at) for at in (110, 112)]


def test_answers_to_different_audits_never_share_a_transaction(loop: DutyLoop, replaced: FakeViews) -> None:
    of: Any = replaced.of  # type: ignore[attr-defined]
    for audits in (AUDITS, REPLACING):
        of.seeds[audits].update({EPOCH: Seed(bytes(32), 118, 126), EPOCH + 1: Seed(bytes(32), 121, 129)})
    turn(loop, replaced, 122)
    assert sent_to(loop.sends) == [("respondMany", AUDITS), ("respondMany", REPLACING)]  # type: ignore[attr-defined]


def test_who_holds_nothing_at_one_audits_still_answers_the_other(loop: DutyLoop, replaced: FakeViews) -> None:
    """Either way: nothing is held under the newer roster yet, or no longer under the older one."""
    of: Any = replaced.of  # type: ignore[attr-defined]
    for audits in (AUDITS, REPLACING):
        of.seeds[audits].update({EPOCH: Seed(bytes(32), 118, 126), EPOCH + 1: Seed(bytes(32), 121, 129)})
    replaced.held.update({(EPOCH, ME, REPLACING): 0, (EPOCH + 1, ME, AUDITS): 0})  # type: ignore[attr-defined]
    turn(loop, replaced, 122)
    assert sent_to(loop.sends) == [("respond", AUDITS), ("respond", REPLACING)]  # type: ignore[attr-defined]


def test_misses_are_reported_where_they_were_made_and_once(keeper: Keeper, replaced: FakeViews) -> None:
    """An epoch is slashed once: who is reported at one Audits is not at the other."""
    of: Any = replaced.of  # type: ignore[attr-defined]
    for audits in (AUDITS, REPLACING):
        of.seeds[audits][EPOCH] = Seed(bytes(32), 103, 111)
    of.statuses[AUDITS].update({(EPOCH, who): DutyStatus.ANSWERED for who in (ME, THIRD)})
    slashed: set[str] = set()
    replaced.chain.call = lambda function, **_: function.arguments[-1].encode()  # type: ignore[method-assign]

    def slash(name: bytes, *_: Any) -> Slash:
        if name.decode() not in slashed:
            raise TransactionReverted("no", error_name="SlashUnknown", arguments={})
        return Slash(OTHER, SHARD, ROSTER, EPOCH, ME, 116, False, False)

    replaced.slash = slash  # type: ignore[attr-defined]

    def booked() -> None:
        slashed.add(OTHER)
        of.statuses[AUDITS][EPOCH, OTHER] = DutyStatus.MISSED

    sends: Any = keeper._sender
    sends.then["reportMiss"] = booked
    keep(keeper, replaced, 112)
    assert sent_to(sends) == [("reportMiss", AUDITS), ("reportMiss", REPLACING)]
    assert [arguments[-1] for arguments in sends.arguments] == [OTHER, THIRD]


def test_an_object_goes_by_the_windows_of_its_roster(node: FakeNode, replaced: FakeViews) -> None:
    """An Audits under which it isn't drawn does not keep it from being served."""
    replaced.change_object(OBJECT, block=60, status=ObjectStatus.CERTIFIED, first_epoch=EPOCH)
    of: Any = replaced.of  # type: ignore[attr-defined]
    of.seeds[AUDITS][EPOCH] = Seed(bytes(32), 101, 109)
    replaced.chain.head = 110
    node.follower.refresh()
    assert node.follower.open_epochs() == [EPOCH]
    assert node.follower.window_epochs_of(OBJECT) == []
    of.seeds[AUDITS][EPOCH] = Seed(bytes(32), 102, 110)
    node.follower.refresh()
    assert node.follower.window_epochs_of(OBJECT) == [EPOCH]


# ---- windows


@pytest.mark.parametrize(
    ("deadline", "latest", "open_"),
    [
        (0, 98, False),
        (0, 99, True),
        (0, 120, True),
        (0, 121, False),
        (111, 99, True),
        (111, 111, True),
        (111, 112, False),
    ],
)
def test_a_window_opens_before_its_seed_is_known(deadline: int, latest: int, open_: bool) -> None:
    """From the block before the seed block to the deadline, or to the sealing limit while unsealed."""
    assert EpochView(EPOCH, 100, 120, deadline).is_window(latest) is open_


def test_overlapping_windows_are_all_seen(node: FakeNode, views: FakeViews) -> None:
    """An epoch sealed late overlaps the next one."""
    views.seeds[EPOCH] = Seed(bytes(32), 118, 126)
    views.chain.head = 121
    node.follower.refresh()
    assert node.follower.open_epochs() == [5, 6]


# ---- settling


def keeper_of(node: FakeNode) -> Keeper:
    any_views: Any = node.views
    made = Keeper(
        replace(node.config, report=True),
        any_views,
        node.state,
        node.follower,
        node.intake,
        node.keys,
        node.person.signer,
        node.metrics,
    )
    made._sender = Sends(made)  # type: ignore[assignment]
    return made


@pytest.fixture
def keeper(node: FakeNode) -> Keeper:
    return keeper_of(node)


def keep(keeper: Keeper, views: FakeViews, head: int, *, final: int | None = None) -> list[str]:
    """Let the keeper do a round at a block; return what it sent."""
    views.chain.head, views.chain.safe = head, head - 1
    views.chain.final = head - 2 if final is None else final
    keeper.follower.refresh()
    before = len(keeper._sender.names)  # type: ignore[attr-defined]
    keeper.round()
    return keeper._sender.names[before:]  # type: ignore[attr-defined]


def test_an_answered_epoch_is_settled_after_its_deadline(keeper: Keeper, views: FakeViews) -> None:
    """Once, when the deadline lies behind the safe block and the chain still says answered."""
    seal(views)
    for person in PEOPLE:
        views.statuses[EPOCH, person.address] = DutyStatus.ANSWERED
    keeper.state.record_duty(Duty(SHARD, EPOCH, DutyState.ANSWERED, 111, audits=AUDITS))
    settled_in: list[int] = []
    views.is_settled = lambda _s, _e, _o, block="latest": any(
        at <= (views.chain.head if block == "latest" else block) for at in settled_in
    )
    keeper._sender.then["settle"] = lambda: settled_in.append(views.chain.head + 1)  # type: ignore[attr-defined]
    assert keep(keeper, views, 112) == []
    assert keep(keeper, views, 113) == ["settle"]
    assert keep(keeper, views, 114) == []
    assert state_of(keeper) is DutyState.ANSWERED  # not final yet
    settled_in.clear()  # a reorganisation
    assert keep(keeper, views, 115) == ["settle"]
    assert keep(keeper, views, 116) == []
    assert keep(keeper, views, 118) == []
    assert state_of(keeper) is DutyState.SETTLED
    settled_in.clear()
    assert keep(keeper, views, 119) == []


def state_of(keeper: Keeper) -> DutyState:
    """Return what the node remembers of the epoch."""
    found = keeper.state.duty(SHARD, EPOCH, AUDITS)
    assert found is not None
    return found.state


class IntakeBooks:
    """Counts and claims of intake fees by block; a reorganisation drops what came since one."""

    def __init__(self, keeper: Keeper, views: FakeViews) -> None:
        self.chain, self.sends = views.chain, keeper._sender
        self.earned, self.claimed = [(0, 0)], [(0, 0)]
        self.refused = TransactionReverted("nothing", error_name="NothingToClaim", arguments={})
        views.chain.call = self.call  # type: ignore[method-assign]
        self.sends.then["claimIntake"] = self.claim  # type: ignore[attr-defined]

    def at(self, amounts: list[tuple[int, int]], block: int | str) -> int:
        until = self.chain.head if isinstance(block, str) else block
        return [amount for since, amount in amounts if since <= until][-1]

    def call(self, function: Any, block: int | str = "latest") -> Any:
        if function.name == "intakePerTicket":
            return 20 + self.at(self.earned, block), 20
        if self.at(self.earned, block) == self.at(self.claimed, block):
            raise self.refused
        return 0

    def claim(self) -> None:
        if self.at(self.earned, "latest") == self.at(self.claimed, "latest"):
            self.sends.names.pop()  # type: ignore[attr-defined]  # its estimate is refused: it is not sent
            raise self.refused
        self.claimed.append((self.chain.head + 1, self.at(self.earned, "latest")))

    def drop(self, since: int) -> None:
        self.claimed = [item for item in self.claimed if item[0] < since]


def test_intake_is_claimed_until_that_is_final(keeper: Keeper, views: FakeViews) -> None:
    """Once for each change of the roster's count, and again when a reorganisation drops the claim."""
    keeper.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    views.change_object(OBJECT, block=60, status=ObjectStatus.CERTIFIED, first_epoch=EPOCH)
    books = IntakeBooks(keeper, views)
    assert keep(keeper, views, 101, final=60) == []
    books.earned.append((102, 30))
    assert keep(keeper, views, 102, final=60) == ["claimIntake"]
    assert keep(keeper, views, 103, final=60) == []
    books.drop(103)
    assert keep(keeper, views, 104, final=60) == ["claimIntake"]
    assert keep(keeper, views, 105, final=104) == []
    assert keeper.state.number("intake 1") == 0  # the claim is not final yet
    assert keep(keeper, views, 106, final=105) == []
    assert keeper.state.number("intake 1") == 30
    del keeper._sender.then["claimIntake"]  # type: ignore[attr-defined]
    assert keep(keeper, views, 107, final=106) == []  # nor is anything asked of it any more


def test_a_memory_of_version_2_is_gone_on_with(
    node: FakeNode, views: FakeViews, request: pytest.FixtureRequest
) -> None:
    """It says nothing of an Audits: what is open is answered at it, what was answered is settled, each once."""
    node.stop()
    shutil.rmtree(node.folder / "state")
    before = {EPOCH - 1: {"state": "answered", "deadline": 91}, EPOCH: {"state": "sent", "transaction": "0x07"}}
    write_version_2(node.folder / "state", before)
    node.start()
    seal(views)
    loop: DutyLoop = request.getfixturevalue("loop")
    keeper: Keeper = request.getfixturevalue("keeper")
    views.chain.answers["intakePerTicket"] = (50, 20)  # claimed before, as the memory says
    settled: set[int] = set()
    views.is_settled = lambda _s, epoch, _o, _block="latest": epoch in settled
    keeper._sender.then["settle"] = lambda: settled.add(keeper._sender.arguments[-1][1])  # type: ignore[attr-defined]
    assert turn(loop, views, 104, final=60) == ["respond"]
    views.statuses.update({(EPOCH, person.address): DutyStatus.ANSWERED for person in PEOPLE})
    assert turn(loop, views, 105, final=60) == []
    assert keep(keeper, views, 106, final=60) == ["settle"]
    assert keep(keeper, views, 113, final=60) == ["settle"]
    assert keep(keeper, views, 114, final=60) == []
    assert settled == {EPOCH - 1, EPOCH}


# ---- reporting


def test_others_misses_are_reported_and_carried_out(keeper: Keeper, views: FakeViews) -> None:
    """After the deadline, within the reporting period, never the node's own; the slash when it is ready."""
    seal(views)
    views.statuses[EPOCH, THIRD] = DutyStatus.ANSWERED
    executed_in: list[int] = []

    def slash(_id: bytes, block: int | str = "latest") -> Slash:
        at = views.chain.head if isinstance(block, str) else block
        return Slash(OTHER, SHARD, ROSTER, EPOCH, ME, 116, False, any(since <= at for since in executed_in))

    views.slash = slash
    assert keep(keeper, views, 111) == []

    def booked() -> None:
        views.statuses[EPOCH, OTHER] = DutyStatus.MISSED

    keeper._sender.then["reportMiss"] = booked  # type: ignore[attr-defined]
    assert keep(keeper, views, 112) == ["reportMiss"]
    assert keep(keeper, views, 115) == []
    assert keep(keeper, views, 116) == ["executeSlash"]
    executed_in.append(117)
    assert keep(keeper, views, 117) == []
    executed_in.clear()  # a reorganisation
    assert keep(keeper, views, 118) == ["executeSlash"]
    executed_in.append(119)
    assert keep(keeper, views, 121) == []
    executed_in.clear()  # deeper than what is final: not followed
    assert keep(keeper, views, 122) == []
    assert views.statuses.get((EPOCH, ME)) is None  # its own miss is for others to report


def test_misses_of_an_epoch_are_reported_together(keeper: Keeper, views: FakeViews) -> None:
    """By the bits of their seats, at one time, though each node waits a time of its own."""
    seal(views)
    assert keep(keeper, views, 112) == ["reportMisses"]
    seats = [entry.seat for entry in views.roster(SHARD, ROSTER).entries if entry.operator != ME]
    assert keeper._sender.arguments == [(SHARD, EPOCH, ROSTER, [sum(1 << seat for seat in seats)])]  # type: ignore[attr-defined]
    assert keeper.metrics.value("qanat_misses_reported_total") == 2


def test_many_misses_are_split_and_each_operator_named_once(views: FakeViews) -> None:
    """In the oldest roster that has it; a seat beyond the first word goes to the next one."""
    entry = views.roster(SHARD, ROSTER).entries[0]
    names = [f"operator {number}" for number in range(300)]
    places = {1: range(2), 2: range(300), 3: range(5)}
    views.rosters_live_in = lambda *_: list(places)
    views.roster = lambda _shard, number: SimpleNamespace(
        entries=[replace(entry, seat=seat, operator=names[seat]) for seat in places[number]]
    )
    any_views: Any = views
    calls = [(call.name, call.arguments[2:], named) for call, named in reports(any_views, SHARD, EPOCH, names[1:])]
    assert calls[0] == ("reportMiss", (names[1],), names[1:2])
    assert [name for call in calls[1:] for name in call[2]] == names[2:]
    assert all(len(call[2]) <= 64 and call[0] == "reportMisses" and call[1][0] == 2 for call in calls[1:])
    for _, (_, words), named in calls[1:]:
        bits = [seat for seat in range(256 * len(words)) if words[seat // 256] >> seat % 256 & 1]
        assert [names[seat] for seat in bits] == named
    assert list(reports(any_views, SHARD, EPOCH, ["nobody"])) == []


def test_nothing_is_reported_after_the_reporting_period(keeper: Keeper, views: FakeViews) -> None:
    """Too late: the contract would refuse."""
    seal(views)
    assert keep(keeper, views, 121) == []


def test_who_owed_nothing_is_not_reported(keeper: Keeper, views: FakeViews) -> None:
    """No rows, no duty, no miss."""
    seal(views)
    views.held[EPOCH, OTHER] = views.held[EPOCH, THIRD] = 0
    assert keep(keeper, views, 112) == []


def test_who_owed_nothing_before_a_reorganisation_is_reported_after_it(keeper: Keeper, views: FakeViews) -> None:
    """That nothing was owed is kept when B_e, block 98, is final, and not before."""
    seal(views)
    views.statuses[EPOCH, THIRD] = DutyStatus.ANSWERED
    views.held[EPOCH, OTHER] = 0
    assert keep(keeper, views, 112, final=97) == []
    views.held[EPOCH, OTHER] = 4
    assert keep(keeper, views, 113, final=97) == ["reportMiss"]


def test_what_others_owed_is_asked_once_after_b_e_is_final(keeper: Keeper, views: FakeViews) -> None:
    seal(views)
    asked: list[str] = []
    views.held_rows = lambda _s, _e, operator, audits: asked.append(operator) or 0  # type: ignore[attr-defined]
    for head in (112, 113):
        assert keep(keeper, views, head, final=97) == []
    assert asked == [OTHER, THIRD] * 2
    for head in (114, 115):
        assert keep(keeper, views, head, final=98) == []
    assert asked == [OTHER, THIRD] * 3


def test_an_answer_that_a_reorganisation_dropped_is_a_miss(keeper: Keeper, views: FakeViews) -> None:
    """However many blocks lie above the deadline: what the chain does not call final may go."""
    seal(views)
    views.statuses.update({(EPOCH, who): DutyStatus.ANSWERED for who in (OTHER, THIRD)})
    assert keep(keeper, views, 115, final=111) == []
    del views.statuses[EPOCH, OTHER]
    assert keep(keeper, views, 116, final=111) == ["reportMiss"]
    views.statuses[EPOCH, OTHER] = DutyStatus.ANSWERED
    assert keep(keeper, views, 117, final=112) == []
    del views.statuses[EPOCH, OTHER]  # deeper than what is final: not followed
    assert keep(keeper, views, 118, final=112) == []


# ---- many nodes, one block


class Crowd:
    """Nodes of one chain whose blocks come every twelve seconds; they look at it every two, none at the same time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 7) -> None:
        self.people = make_people(count)
        self.views = quiet(FakeViews(self.people), self.people)
        self.views.chain.restless = False
        self.views.shard_parameters = lambda _: replace(PARAMETERS, reporting=200)  # type: ignore[method-assign]
        self.nodes = [FakeNode(self.views, person, folder / person.address) for person in self.people]
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        #: what was sent in each block, by the node's number
        self.sent: dict[int, list[tuple[int, str]]] = {}

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def block(self, head: int, parts: list[Any]) -> list[str]:
        """Let nodes look while a block is the newest, before anything that they send is in one."""
        chain = self.views.chain
        chain.head, chain.safe, chain.final = head, head - 1, head - 2
        sent: list[str] = []
        for _ in range(6):
            for part in parts:
                self.now += 2 / len(parts)
                part.follower.refresh()
                before = len(part._sender.names)
                part.round()
                sent += part._sender.names[before:]
        return sent

    def keepers(self) -> list[Any]:
        return [keeper_of(node) for node in self.nodes]

    def loops(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        return [loop_of(node, monkeypatch) for node in self.nodes]


@pytest.fixture
def crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    made = Crowd(tmp_path, monkeypatch)
    yield made
    made.stop()


def test_one_node_reports_a_miss_and_one_carries_its_slash_out(crowd: Crowd) -> None:
    """The others see it in the next block, and send nothing: a second report would revert, and be paid for."""
    views, lost, executed_in = crowd.views, crowd.people[-1].address, list[int]()
    seal(views)
    views.statuses.update({(EPOCH, person.address): DutyStatus.ANSWERED for person in crowd.people[:-1]})

    def slash(_id: bytes, _block: int | str = "latest") -> Slash:
        return Slash(lost, SHARD, ROSTER, EPOCH, lost, 118, False, bool(executed_in))

    views.slash = slash
    keepers, sent = crowd.keepers()[:-1], []
    for head in range(111, 140):
        new = crowd.block(head, keepers)
        sent += new
        if "reportMiss" in new:
            views.statuses[EPOCH, lost] = DutyStatus.MISSED
        if "executeSlash" in new:
            executed_in.append(head)
    assert sent == ["reportMiss", "executeSlash"]
    assert executed_in == [118]


def test_who_is_silent_is_followed_by_the_next(crowd: Crowd) -> None:
    """Two blocks later, and again nobody else's gas is burnt."""
    seal(crowd.views)
    crowd.views.statuses.update({(EPOCH, person.address): DutyStatus.ANSWERED for person in crowd.people[:-1]})
    keepers, begun = crowd.keepers()[:-1], dict[int, int]()
    for head in range(112, 112 + 2 * len(keepers)):
        for number, keeper in enumerate(keepers):
            # nobody's report gets into a block
            if crowd.block(head, [keeper]) and number not in begun:
                begun[number] = head
    assert sorted(begun.values()) == list(range(112, 112 + 2 * len(keepers), 2))


def test_one_node_seals_an_epoch(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with reports."""
    loops, sent = crowd.loops(monkeypatch), []
    for head in range(100, 119):
        new = crowd.block(head, loops)
        sent += [(head, name) for name in new if name == "seal"]
        if "seal" in new:
            seal(crowd.views, head + 1)
            crowd.views.statuses.update({(EPOCH, person.address): DutyStatus.ANSWERED for person in crowd.people})
    assert sent == [(101, "seal")]


# ---- deleting


def held_object(keeper: Keeper, views: FakeViews, **changes: Any) -> None:
    """Take the object in (opened in block 50, to be certified until 70), sign it, and change its record."""
    node: Any = keeper
    node.intake.accept_manifest(OBJECT, ENCODED.manifest.to_bytes())
    for index in sorted(node.intake.known(OBJECT).own):
        node.intake.accept_slice(OBJECT, index, ENCODED.slices[index])
    node.intake.sign(OBJECT)
    if changes:
        views.change_object(OBJECT, block=60, **changes)


def is_held(keeper: Keeper) -> bool:
    """Whether slices and manifest are there."""
    return keeper.state.object(OBJECT) is not None and next(keeper.intake.store.indexes(OBJECT), None) is not None


def test_an_uncertified_object_stays_until_it_cannot_be_certified(keeper: Keeper, views: FakeViews) -> None:
    """Certification deadline plus finality, by the final block: 70 + 2."""
    held_object(keeper, views)
    for final, there in ((70, True), (72, True), (73, False)):
        keeper.delete_what_is_over(final)
        assert is_held(keeper) is there


def test_a_certified_object_stays_until_its_last_epoch_is_closed(keeper: Keeper, views: FakeViews) -> None:
    """Epochs 4 to 6: until the deadline of epoch 6 plus finality, 126 + 8 + 2 here."""
    held_object(keeper, views, status=ObjectStatus.CERTIFIED, first_epoch=4)
    views.seeds[6] = Seed(bytes(32), 138, 146)
    for final, there in ((73, True), (139, True), (140, True), (146, True), (148, True), (149, False)):
        keeper.delete_what_is_over(final)
        assert is_held(keeper) is there, final


def test_an_extended_object_stays_and_a_terminated_one_goes_when_its_new_last_epoch_is_closed(
    keeper: Keeper, views: FakeViews
) -> None:
    """Its end is looked at again when the chain says that it moved: epoch 6 at first, then 7, then 4."""
    held_object(keeper, views, status=ObjectStatus.CERTIFIED, first_epoch=4)
    for epoch in (4, 6, 7):
        views.seeds[epoch] = Seed(bytes(32), 20 * epoch + 1, 20 * epoch + 9)
    keeper.delete_what_is_over(100)
    views.change_object(OBJECT, block=101, end_epoch=8)
    for final in (102, 147):
        keeper.delete_what_is_over(final)
        assert is_held(keeper), final
    views.change_object(OBJECT, block=148, end_epoch=5)
    keeper.delete_what_is_over(147)
    assert is_held(keeper)
    keeper.delete_what_is_over(148)
    assert not is_held(keeper)


def test_an_extension_that_the_logs_left_out_keeps_the_object(keeper: Keeper, views: FakeViews) -> None:
    """Its end is read once more before anything is deleted."""
    held_object(keeper, views, status=ObjectStatus.CERTIFIED, first_epoch=4)
    for epoch in (4, 6, 8):
        views.seeds[epoch] = Seed(bytes(32), 20 * epoch + 1, 20 * epoch + 9)
    keeper.delete_what_is_over(100)
    views.change_object(OBJECT, block=101, end_epoch=9)
    views.moved_ends = lambda *_: []  # type: ignore[method-assign]
    for final in (147, 170):
        keeper.delete_what_is_over(final)
        assert is_held(keeper), final
    keeper.delete_what_is_over(195)
    assert not is_held(keeper)


def test_a_certified_object_of_a_void_last_epoch_goes_when_it_cannot_be_sealed(
    keeper: Keeper, views: FakeViews
) -> None:
    """Epoch 6 begins at block 120 and could be sealed until 140; plus finality."""
    held_object(keeper, views, status=ObjectStatus.CERTIFIED, first_epoch=4)
    for final, there in ((140, True), (142, True), (143, False)):
        keeper.delete_what_is_over(final)
        assert is_held(keeper) is there, final


def test_certification_is_judged_by_the_final_block(keeper: Keeper, views: FakeViews) -> None:
    """Certified in a block that is not final yet: the final block shows it as open, and it stays."""
    held_object(keeper, views)
    views.change_object(OBJECT, block=69, status=ObjectStatus.CERTIFIED, first_epoch=5)
    keeper.delete_what_is_over(68)
    assert is_held(keeper)
    keeper.delete_what_is_over(90)
    assert is_held(keeper)
