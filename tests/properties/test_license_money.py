"""The money of licenses against an exact ghost, in any order of all that can happen to them, at any time.

After every step, for the license that it touched (at the end for all): escrow = price - paidOn - refunded, on chain and
in the ghost; and for all together: what Payments records is what it owes, and what it holds. The ghost computes with
integers, from the rules in ILicenses alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from eth_account import Account
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.contracts.licensing import COMMERCIAL, EVALUATE, INFER, NO_PERMIT, TRAIN, make_market, terms_hash

FAR = 2**40
MAX_PRICE = 2**128 - 1


@dataclass
class Offer:
    asset: int
    price: int
    purposes: int
    duration: int
    bps: int
    publisher: int
    handovers: int
    seats: int = 0
    exclusive: bool = False
    transferable: bool = False


@dataclass
class License:
    """What the ghost knows of a license; persons and assets are indexes."""

    offer: Offer
    #: whose it was from when on, the holder of now last
    holders: list[tuple[int, int]]
    start: int
    seat: int = 0
    released_at: int | None = None
    revoked_at: int | None = None
    paid_on: int = 0
    refunded: int = 0

    @property
    def holder(self) -> int:
        return self.holders[-1][0]

    @property
    def end(self) -> int:
        return self.start + self.offer.duration

    @property
    def purposes_until(self) -> int:
        """Until when its purposes are sold."""
        return self.stop if self.offer.exclusive else self.end

    @property
    def stop(self) -> int:
        return self.end if self.revoked_at is None else self.revoked_at

    @property
    def for_release(self) -> int:
        return self.offer.price * self.offer.bps // 10_000

    @property
    def escrow(self) -> int:
        return self.offer.price - self.paid_on - self.refunded

    def earned(self, now: int) -> int:
        linear = (self.offer.price - self.for_release) * (min(now, self.stop) - self.start) // self.offer.duration
        return linear + (self.for_release if self.released_at is not None else 0)

    def is_running(self, now: int) -> bool:
        return now < self.end and self.revoked_at is None

    def holds(self, who: int, time: int) -> bool:
        """Whether it is in force at a time, and is this person's then."""
        held = [person for person, since in self.holders if since <= time]
        return bool(held) and held[-1] == who and time < self.stop


class World:
    """Contracts and people, made once, spoken to without Ape: its bookkeeping takes most of a transaction's time."""

    def __init__(self, project, accounts):
        self.market = make_market(project, accounts[0])
        self.people = [accounts[number] for number in range(1, 5)]
        self.holder = accounts[5]
        self.market.operators.put(self.holder, self.holder, sender=accounts[0])
        self.assets = [self.market.mint(self.people[owner]) for owner in (0, 1)]
        self.web3 = accounts.provider.web3
        for person in self.people:
            self.market.token.mint(person, 2**200, sender=person)
            self.market.token.approve(self.market.payments, 2**256 - 1, sender=person)
        self.licenses, self.payments, self.token, self.nft = (
            self.web3.eth.contract(
                address=contract.address, abi=[item.model_dump(by_alias=True) for item in contract.contract_type.abi]
            )
            for contract in (self.market.licenses, self.market.payments, self.market.token, self.market.assets)
        )
        self.now = self.web3.eth.get_block("latest")["timestamp"]

    def send(self, function, sender, at: int):
        """Run a call in the next block, stamped `at`; returns whether it succeeded."""
        self.rpc("evm_setNextBlockTimestamp", at)
        data = function._encode_transaction_data()
        request = {"from": sender.address, "to": function.address, "data": data, "gas": hex(1_500_000)}
        transaction = self.rpc("eth_sendTransaction", request)
        self.now = at
        while (receipt := self.rpc("eth_getTransactionReceipt", transaction)) is None:
            time.sleep(0.002)
        return int(receipt["status"], 16) == 1

    def rpc(self, method: str, *parameters):
        answer = self.web3.provider.make_request(method, list(parameters))
        assert "error" not in answer, answer
        return answer["result"]

    def claimable(self, person: int) -> int:
        return self.payments.functions.claimable(self.token.address, self.people[person].address).call()

    def escrow(self, number: int) -> int:
        account = self.payments.functions.moduleAccount(self.licenses.address, number.to_bytes(32, "big")).call()
        return self.payments.functions.balanceOf(self.token.address, account).call()


class LicenseMoney(RuleBasedStateMachine):
    """Rules try what the chain should do and what it should refuse; the ghost says which it is."""

    world: World

    def __init__(self):
        super().__init__()
        self.snapshot = self.world.rpc("evm_snapshot")
        self.start_time = self.world.now
        self.now = self.world.now
        self.owners, self.handovers = [0, 1], [0, 0]
        self.offers: list[Offer] = []
        self.licenses: list[License] = []
        self.balances = [0] * len(self.world.people)
        self.touched: tuple[int, License] | None = None

    def teardown(self):
        try:
            self.check(enumerate(self.licenses, start=1))
        finally:
            self.undo()

    def undo(self):
        self.world.rpc("evm_revert", self.snapshot)
        self.world.now = self.start_time

    # ---- help

    def do(self, function, person, seconds: int, *, succeeds) -> bool:
        """Send a call `seconds` later than the last; whether it succeeds must be what the ghost says of that time."""
        self.now += seconds
        sender = person if not isinstance(person, int) else self.world.people[person]
        expected = succeeds() if callable(succeeds) else succeeds
        assert self.world.send(function, sender, self.now) is expected
        return expected

    def pick(self, number: int) -> tuple[int, License]:
        index = number % len(self.licenses)
        self.touched = index + 1, self.licenses[index]
        return self.touched

    # ---- rules

    @initialize()
    def first_offer(self):
        self.publish(asset=0, price=1_000_003, purposes=TRAIN, duration=1_000, bps=2_500, seconds=1)

    @rule(
        asset=st.integers(0, 1),
        price=st.one_of(st.integers(0, 30), st.integers(0, 10**9), st.just(MAX_PRICE)),
        purposes=st.sampled_from([TRAIN, TRAIN | EVALUATE, INFER | COMMERCIAL, COMMERCIAL]),
        duration=st.integers(1, 2_000),
        bps=st.one_of(st.sampled_from([0, 1, 9_999, 10_000]), st.integers(0, 10_000)),
        seconds=st.integers(1, 50),
        seats=st.sampled_from([0, 0, 1, 2]),
        exclusive=st.sampled_from([False, False, True]),
        transferable=st.booleans(),
    )
    def publish(self, asset, price, purposes, duration, bps, seconds, seats=0, exclusive=False, transferable=False):
        offer = Offer(
            asset,
            price,
            purposes,
            duration,
            bps,
            self.owners[asset],
            self.handovers[asset],
            seats,
            exclusive,
            transferable,
        )
        call = self.world.licenses.functions.publishOffer(tuple(self.terms(offer).values()))
        if self.do(call, offer.publisher, seconds, succeeds=not exclusive or purposes != COMMERCIAL):
            self.offers.append(offer)

    def terms(self, offer):
        return self.world.market.terms(
            self.world.assets[offer.asset],
            price=offer.price,
            purposes=offer.purposes,
            duration=offer.duration,
            earnedAtReleaseBps=offer.bps,
            seats=offer.seats,
            exclusive=offer.exclusive,
            transferable=offer.transferable,
        )

    @rule(number=st.integers(0, 100), buyer=st.integers(0, 3), seat=st.integers(0, 3), seconds=st.integers(1, 50))
    def buy(self, number, buyer, seat, seconds):
        index = number % len(self.offers)
        offer = self.offers[index]
        functions = self.world.licenses.functions
        digest = terms_hash(self.terms(offer))
        if not offer.seats and seat < 3:
            seat, call = 0, functions.buy(index + 1, digest, offer.price)
        else:
            call = functions.buyWith(index + 1, digest, offer.price, seat, NO_PERMIT)
        if self.do(call, buyer, seconds, succeeds=lambda: self.is_for_sale(offer, seat)):
            self.licenses.append(License(offer, [(buyer, self.now)], self.now, seat))
            self.touched = len(self.licenses), self.licenses[-1]

    def is_for_sale(self, offer: Offer, seat: int) -> bool:
        if offer.handovers != self.handovers[offer.asset]:
            return False
        if (seat > 0) is not (offer.seats > 0) or seat > offer.seats:
            return False
        if any(
            item.offer is offer and item.seat == seat and item.is_running(self.now) for item in self.licenses if seat
        ):
            return False
        return not any(
            item.offer.asset == offer.asset
            and item.offer.purposes & offer.purposes & ~COMMERCIAL
            and (offer.exclusive or item.offer.exclusive)
            and item.purposes_until > self.now
            for item in self.licenses
        )

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100), to=st.integers(0, 3), seconds=st.integers(1, 600))
    def pass_on(self, number, to, seconds):
        """A license goes to somebody, or to who has it already."""
        license_id, item = self.pick(number)
        people = self.world.people
        call = self.world.licenses.functions.transferFrom(people[item.holder].address, people[to].address, license_id)
        can = lambda: item.offer.transferable and item.is_running(self.now)  # noqa: E731
        if self.do(call, item.holder, seconds, succeeds=can):
            item.holders.append((to, self.now))

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100), seconds=st.integers(1, 600))
    def release(self, number, seconds):
        license_id, item = self.pick(number)
        licenses = self.world.licenses
        key = bytes(31) + b"\1"
        digest = licenses.functions.keyRequestDigest(license_id, self.world.holder.address, key, FAR).call()
        signature = Account.unsafe_sign_hash(digest, self.world.people[item.holder].private_key).signature
        call = licenses.functions.recordRelease(license_id, self.world.holder.address, key, FAR, bytes(signature))
        recorded = self.do(call, self.world.holder, seconds, succeeds=lambda: item.is_running(self.now))
        if recorded and item.released_at is None:
            item.released_at = self.now

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100), caller=st.integers(0, 3), seconds=st.integers(1, 600))
    def pay_on(self, number, caller, seconds):
        license_id, item = self.pick(number)
        call = self.world.licenses.functions.payOn(license_id)
        if self.do(call, caller, seconds, succeeds=lambda: item.earned(self.now) > item.paid_on):
            amount = item.earned(self.now) - item.paid_on
            item.paid_on += amount
            self.balances[self.owners[item.offer.asset]] += amount

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100), seconds=st.integers(1, 600), by_owner=st.sampled_from([True, True, True, False]))
    def revoke(self, number, seconds, by_owner):
        license_id, item = self.pick(number)
        owner = self.owners[item.offer.asset]
        call = self.world.licenses.functions.revoke(license_id, bytes(32), bytes(32))
        caller = owner if by_owner else (owner + 1) % 4
        if self.do(call, caller, seconds, succeeds=lambda: by_owner and item.is_running(self.now)):
            refund = item.offer.price - item.earned(self.now)
            item.revoked_at = self.now
            item.refunded += refund
            self.balances[item.holder] += refund

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100), caller=st.integers(0, 3), seconds=st.integers(1, 600))
    def refund(self, number, caller, seconds):
        license_id, item = self.pick(number)

        def is_due() -> bool:
            unreleased = item.released_at is None and item.revoked_at is None and item.refunded == 0
            return self.now >= item.end and unreleased and item.for_release > 0

        if self.do(self.world.licenses.functions.refundUnreleased(license_id), caller, seconds, succeeds=is_due):
            item.refunded += item.for_release
            self.balances[item.holder] += item.for_release

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100))
    def wait_for_an_end(self, number):
        """Let the next transaction's second be the one before a license ends, or the end itself."""
        _, item = self.pick(number)
        self.now = max(self.now, item.end - 2)

    @rule(asset=st.integers(0, 1), to=st.integers(0, 3), seconds=st.integers(1, 50))
    def transfer(self, asset, to, seconds):
        owner = self.owners[asset]
        people = self.world.people
        call = self.world.nft.functions.transferFrom(
            people[owner].address, people[to].address, self.world.assets[asset]
        )
        self.do(call, owner, seconds, succeeds=True)
        self.owners[asset], self.handovers[asset] = to, self.handovers[asset] + 1

    @rule(person=st.integers(0, 3), seconds=st.integers(1, 50))
    def claim(self, person, seconds):
        before = self.world.token.functions.balanceOf(self.world.people[person].address).call()
        call = self.world.payments.functions.claim(self.world.token.address)
        if self.do(call, person, seconds, succeeds=self.balances[person] > 0):
            after = self.world.token.functions.balanceOf(self.world.people[person].address).call()
            assert after - before == self.balances[person]
            self.balances[person] = 0

    @rule(amount=st.integers(1, 1_000), seconds=st.integers(1, 50))
    def donate(self, amount, seconds):
        """Send tokens to the ledger that nobody asked for."""
        self.do(self.world.token.functions.mint(self.world.payments.address, amount), 0, seconds, succeeds=True)

    # ---- invariants

    @invariant()
    def every_unit_is_accounted_for(self):
        """I-L1 for the license that was touched, I-P1 for all together, every person's claim to the unit."""
        self.check([self.touched] if self.touched else [])
        self.touched = None

    def check(self, licenses):
        for number, item in licenses:
            record = self.world.licenses.functions.license(number).call()
            paid_on, refunded = record[-2:]
            assert (paid_on, refunded) == (item.paid_on, item.refunded)
            assert self.world.escrow(number) == item.escrow == item.offer.price - paid_on - refunded
            assert 0 <= item.paid_on <= item.earned(self.now) <= item.offer.price - item.refunded
        for person, balance in enumerate(self.balances):
            assert self.world.claimable(person) == balance
        recorded = self.world.payments.functions.recorded(self.world.token.address).call()
        held = self.world.token.functions.balanceOf(self.world.payments.address).call()
        assert recorded == sum(item.escrow for item in self.licenses) + sum(self.balances) <= held

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100), purpose=st.sampled_from([TRAIN, TRAIN | EVALUATE, INFER]), who=st.integers(0, 3))
    def ask(self, number, purpose, who):
        """I-L4 for one person and asset, at the times that matter, of the past above all."""
        _, sample = self.pick(number)
        passed = [since for _, since in sample.holders]
        for time_asked in {self.now, sample.start - 1, *passed, sample.stop - 1, sample.stop}:
            expected = any(
                item.holds(who, time_asked)
                and item.offer.asset == sample.offer.asset
                and item.offer.purposes & purpose == purpose
                for item in self.licenses
            )
            call = self.world.licenses.functions.isLicensedAt(
                self.world.people[who].address, self.world.assets[sample.offer.asset], purpose, time_asked
            )
            assert call.call() is expected


@pytest.fixture(scope="module")
def world(project, accounts):
    return World(project, accounts)


def test_license_money(world):
    """Runs the machine; `make fuzz` runs it longer."""

    class Machine(LicenseMoney):
        pass

    Machine.world = world
    examples = max(15, settings().max_examples // 3) if settings().max_examples > 50 else 15
    run_state_machine_as_test(Machine, settings=settings(max_examples=examples, stateful_step_count=30))
