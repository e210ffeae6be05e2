"""Payments' books against the exact model, in any order of all that a license's life does to them, at any time.

A module does here what Licenses does: sales with a part for the first key release, renewals ahead, releases,
revocations with and without refund, freezes, refunds of what was never released, handovers of the asset that are booked
late, late payments, settlements that stop on the way; persons claim. `qanat.licensing.streams` computes each stream by
itself, with integers; the contract must agree to the unit, and less than a unit from the rational result.
"""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from eth_utils import keccak
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from qanat.licensing.streams import DAY_S, Book, Stream, pour

KEY = keccak(text="an asset")
LATE = keccak(text="late")
NOBODY = bytes(32)
EVERY_DAY = 10**6
FEE_BPS = 137


def person(account) -> bytes:
    """Return a person's account."""
    return bytes(12) + bytes.fromhex(account.address[2:])


class World:
    """Contracts and people, made once, spoken to without Ape: its bookkeeping takes most of a transaction's time."""

    def __init__(self, project, accounts):
        deployer = accounts[0]
        directory = deployer.deploy(project.DirectoryDouble)
        payments = deployer.deploy(project.Payments, directory)
        token = deployer.deploy(project.MintableToken)
        self.module, self.people, self.treasury = accounts[1], [accounts[number] for number in range(2, 6)], accounts[6]
        directory.set(b"licenses".ljust(32, b"\0"), self.module, sender=deployer)
        payments.announceProtocolFee(FEE_BPS, self.treasury, sender=deployer)
        for each in self.people:
            token.mint(each, 2**120, sender=each)
            token.approve(payments, 2**256 - 1, sender=each)
        self.web3 = accounts.provider.web3
        self.payments, self.token = (
            self.web3.eth.contract(
                address=contract.address, abi=[item.model_dump(by_alias=True) for item in contract.contract_type.abi]
            )
            for contract in (payments, token)
        )
        self.account = payments.moduleAccount(self.module, KEY)
        # the fee has begun, and the days are some old ones' ends apart
        self.now = (self.web3.eth.get_block("latest")["timestamp"] // DAY_S + 40) * DAY_S
        self.send(self.payments.functions.protocolFee(), deployer, self.now)

    def send(self, function, sender, at: int) -> bool:
        """Run a call in the next block, stamped `at`; returns whether it succeeded."""
        self.rpc("evm_setNextBlockTimestamp", at)
        data = function._encode_transaction_data()
        request = {"from": sender.address, "to": function.address, "data": data, "gas": hex(4_000_000)}
        transaction = self.rpc("eth_sendTransaction", request)
        self.now = at
        while (receipt := self.rpc("eth_getTransactionReceipt", transaction)) is None:
            time.sleep(0.002)
        return int(receipt["status"], 16) == 1

    def rpc(self, method: str, *parameters):
        answer = self.web3.provider.make_request(method, list(parameters))
        assert "error" not in answer, answer
        return answer["result"]


class Money(RuleBasedStateMachine):
    """Rules do what the chain should do, and now and then what it should refuse."""

    world: World

    def __init__(self):
        super().__init__()
        self.snapshot = self.world.rpc("evm_snapshot")
        self.start_time = self.now = self.world.now
        self.book = Book()
        self.held = 0
        self.era = 0
        self.owner = 0
        self.handed_over: list[tuple[int, int]] = []  # (when, from whom), not booked yet
        self.owed = [0] * len(self.world.people)
        self.late = [0] * len(self.world.people)
        self.upstream = self.fees = 0
        self.looked_at = list(self.owed)

    def teardown(self):
        try:
            # everything that was ever earned reaches somebody: all is over, all handovers are booked
            self.now += 500 * DAY_S
            self.book_handovers()
            self.settle(days=EVERY_DAY, bps=0, seconds=1)
            # I-M12; and I-M16, since settlements divided the time at random
            assert self.book.balance == self.held
            self.looked_at = [-1] * len(self.owed)
            self.every_unit_is_accounted_for()
            call, token = self.world.payments.functions, self.world.token
            assert call.balanceOf(token.address, b"\1" * 32).call() == self.upstream
            assert call.claimable(token.address, self.world.treasury.address).call() == self.fees
            recorded = call.recorded(token.address).call()
            assert recorded == token.functions.balanceOf(self.world.payments.address).call()
        finally:
            self.world.rpc("evm_revert", self.snapshot)
            self.world.now = self.start_time

    # ---- help

    def do(self, name, *arguments, seconds=1, sender=None, succeeds=True):
        self.now += seconds
        function = getattr(self.world.payments.functions, name)(self.world.token.address, *arguments)
        assert self.world.send(function, sender or self.world.module, self.now) is succeeds, (name, arguments)

    def touched(self):
        """What an empty book is given begins when it is given."""
        if self.book.balance == 0:
            self.book.settled_to = self.now

    def book_handovers(self):
        while self.handed_over:
            when, seller = self.handed_over[0]
            self.settle(until=when, to=seller, era=self.era + 1, days=EVERY_DAY, bps=0, seconds=1)
            self.era += 1
            self.handed_over.pop(0)

    def settle(self, *, days, bps, seconds, until=None, to=None, era=None):
        era = self.era if era is None else era
        to = self.owner if to is None else to
        account = person(self.world.people[to])
        upstream = b"\1" * 32
        self.do("settleStreams", KEY, until or 0, era, account, upstream, bps, days, seconds=seconds)
        until = self.now if until is None else until
        if self.book.balance == 0:
            self.book.settled_to = max(until, self.book.settled_to) if until < self.now else self.now
            return
        divided = pour(self.book.settle(until, days), FEE_BPS, bps)
        self.fees += divided.fee
        self.upstream += divided.upstream
        self.owed[to] += divided.beneficiary

    def live(self, number):
        going = [index for index, item in enumerate(self.book.streams) if item.stopped is None and self.now < item.end]
        return going[number % len(going)] if going else None

    # ---- rules

    @rule(
        buyer=st.integers(0, 3),
        held=st.one_of(st.just(0), st.integers(0, 10**20)),
        amount=st.one_of(st.integers(1, 50), st.integers(1, 10**24), st.just(2**88)),
        length=st.one_of(st.integers(1_000_000, 60 * DAY_S), st.integers(60_000, 3 * DAY_S)),
        ahead=st.one_of(st.just(0), st.just(0), st.integers(1, 3 * DAY_S)),
        seconds=st.integers(1, DAY_S),
    )
    def sale(self, buyer, held, amount, length, ahead, seconds):
        """A sale, or a renewal ahead."""
        self.book_handovers()
        start = self.now + seconds + ahead
        item = Stream(amount, start, start + length, self.now + seconds)
        arguments = (self.world.people[buyer].address, KEY, self.era, held, amount, item.start, item.end)
        self.do("openStream", *arguments, seconds=seconds)
        self.touched()
        self.book.streams.append(item)
        self.book.paid_in += held + amount
        self.held += held

    @precondition(lambda self: self.held)
    @rule(share=st.integers(0, 100), seconds=st.integers(1, DAY_S))
    def release(self, share, seconds):
        """A first key release: held money is earned."""
        self.book_handovers()
        amount = self.held * share // 100
        self.do("earnHeld", KEY, self.era, amount, seconds=seconds)
        self.held -= amount
        self.book.added += amount

    @precondition(lambda self: self.held)
    @rule(share=st.integers(0, 100), buyer=st.integers(0, 3))
    def refund(self, share, buyer):
        """Held money goes back: no key was released by the end."""
        amount = self.held * share // 100
        self.do("moveHeld", KEY, person(self.world.people[buyer]), amount)
        self.held -= amount
        self.book.returned += amount
        self.owed[buyer] += amount

    @rule(number=st.integers(0, 50), buyer=st.integers(-1, 3), seconds=st.integers(1, DAY_S))
    def revoke(self, number, buyer, seconds):
        """With a refund, or held: the licensee's own breach, a dispute."""
        self.book_handovers()
        index = self.live(number)
        if index is None:
            return
        item = self.book.streams[index]
        to = NOBODY if buyer < 0 else person(self.world.people[buyer])
        self.do("stopStream", KEY, self.era, item.amount, item.start, item.end, item.opened, to, seconds=seconds)
        if self.now >= item.end:
            return
        unearned = item.unearned(self.now)
        passed = Fraction(max(0, self.now - item.start), item.end - item.start)
        assert abs(unearned - item.amount * (1 - passed)) < 1
        self.book.streams[index] = item.stop(self.now)
        if buyer < 0:
            self.held += unearned
        else:
            self.book.returned += unearned
            self.owed[buyer] += unearned

    @precondition(lambda self: self.held)
    @rule(share=st.integers(1, 100), length=st.integers(100_000, 9 * DAY_S), seconds=st.integers(1, DAY_S))
    def thaw(self, share, length, seconds):
        """A dispute is over: what was held flows on."""
        self.book_handovers()
        amount = min(self.held * share // 100, 2**80)
        if amount == 0:
            return
        item = Stream(amount, self.now + seconds, self.now + seconds + length, self.now + seconds)
        self.do("startStream", KEY, self.era, amount, item.start, item.end, seconds=seconds)
        self.book.streams.append(item)
        self.held -= amount

    @rule(
        days=st.sampled_from([0, 1, 7, EVERY_DAY, EVERY_DAY]), bps=st.integers(0, 10_000), seconds=st.integers(1, DAY_S)
    )
    def pay_on(self, days, bps, seconds):
        self.book_handovers()
        self.settle(days=days, bps=bps, seconds=seconds)

    @rule(to=st.integers(0, 3), seconds=st.integers(1, DAY_S))
    def hand_over(self, to, seconds):
        """The asset is sold: nothing is called, what was earned by now stays the seller's."""
        self.now += seconds
        self.handed_over.append((self.now, self.owner))
        self.owner = to

    @rule(days=st.integers(1, 70), at_midnight=st.booleans())
    def wait(self, days, at_midnight):
        self.now += days * DAY_S
        if at_midnight:
            self.now = self.now // DAY_S * DAY_S - 1

    @rule(payer=st.integers(0, 3), amount=st.integers(1, 10**9))
    def pay_late(self, payer, amount):
        self.do("payLate", self.world.people[payer].address, LATE, amount)
        self.late[payer] += amount

    @rule(payer=st.integers(0, 3), takes_back=st.booleans())
    def end_late(self, payer, takes_back):
        amount = self.late[payer]
        if takes_back:
            who = self.world.people[payer]
            self.do("takeBack", self.world.module.address, LATE, sender=who, succeeds=amount > 0)
            self.owed[payer] += amount
        else:
            self.book_handovers()
            self.do("acceptLate", self.world.people[payer].address, LATE, KEY, self.era, amount)
            if amount:
                self.touched()
            self.book.paid_in += amount
            self.held += amount
        self.late[payer] = 0

    @rule(who=st.integers(0, 3))
    def claim(self, who):
        self.do("claim", sender=self.world.people[who], succeeds=self.owed[who] > 0)
        self.owed[who] = 0

    # ---- invariants

    @invariant()
    def every_unit_is_accounted_for(self):
        """What the contract says of the book, of every person, and in all, is the model's, to the unit."""
        call, token = self.world.payments.functions, self.world.token.address
        for index, each in enumerate(self.world.people):
            if self.owed[index] != self.looked_at[index]:
                assert call.claimable(token, each.address).call() == self.owed[index]
        self.looked_at = list(self.owed)
        balance, _, _, era = call.bookOf(token, self.world.account).call()
        assert balance == self.book.balance
        assert balance == 0 or era == self.era
        recorded = call.recorded(token).call()
        assert recorded == balance + sum(self.owed) + sum(self.late) + self.upstream + self.fees


@pytest.fixture(scope="module")
def world(project, accounts):
    return World(project, accounts)


def test_money(world):
    """Runs the machine; `make explore` runs it longer."""

    class Machine(Money):
        pass

    Machine.world = world
    examples = max(5, settings().max_examples // 3) if settings().max_examples > 50 else 5
    run_state_machine_as_test(Machine, settings=settings(max_examples=examples, stateful_step_count=20))
