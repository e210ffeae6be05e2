"""The money of licenses against an exact ghost, in any order of all that can happen to them, at any time.

After every step, for the license that it touched (at the end for all): what was refunded and earned, on chain and in
the ghost; for each asset's book: its balance, what it counts, its era; and for all together: what Payments records is
what it owes, and what it holds. The ghost computes each stream by itself (`qanat.licensing.streams`), and knows of each
tenure of an asset whose it was and until when: whatever the order of handovers and settlements, each unit goes to who
owned the asset when it was earned.
"""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

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

from qanat.licensing.streams import FRACTION_BITS, Book, Stream
from tests.contracts.licensing import (
    COMMERCIAL,
    EVALUATE,
    INFER,
    NO_PERMIT,
    TRAIN,
    make_market,
    name,
    object_id,
    terms_hash,
)

FAR = 2**40
ZERO = "0x" + "00" * 20
MAX_PRICE = 2**96 - 1
#: Of prices that are bought: several streams together stay within a book's slots.
HIGH_PRICE = 2**88
DAY = 86_400
DISPUTE_SECONDS, DECISION_SECONDS = 14 * DAY, 60 * DAY
MAX_DAYS = 400
#: The first epochs without the object of each asset, of which the world begins in one before.
FIRST_EPOCH, END_EPOCHS = 7, (8, 9)
BY_OWNER = st.sampled_from([True, True, True, False])
#: From a transaction to the next.
SOON = st.one_of(st.integers(1, 600), st.integers(1, 600), st.integers(1, 2 * DAY))


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
    arbiter: int | None = None
    withdrawn: bool = False


@dataclass
class Contest:
    amount: int
    until: int
    #: who ended the license, and earns what is earned of it
    claimant: int
    disputed: bool = False


@dataclass
class License:
    """What the ghost knows of a license; persons and assets are indexes."""

    offer: Offer
    #: whose it was from when on, the holder of now last
    holders: list[tuple[int, int]]
    start: int
    #: each period's stream, by its place in the asset's book; None if it streams nothing
    periods: list[tuple[int, int, int | None]]
    #: since its sale, or since it was reinstated
    since: int
    seat: int = 0
    released_at: int | None = None
    revoked_at: int | None = None
    refunded: int = 0
    contest: Contest | None = None
    #: of what a breach had frozen
    decided: int = 0

    @property
    def holder(self) -> int:
        return self.holders[-1][0]

    @property
    def end(self) -> int:
        return self.periods[-1][1]

    @property
    def stop(self) -> int:
        return self.end if self.revoked_at is None else self.revoked_at

    def in_gap(self, time: int) -> bool:
        """Whether a time lies between two of its periods."""
        return any(end <= time < start for (_, end, _), (start, _, _) in itertools.pairwise(self.periods))

    @property
    def purposes_until(self) -> int:
        """Until when its purposes are sold."""
        return self.stop if self.offer.exclusive else self.end

    @property
    def for_release(self) -> int:
        return self.offer.price * self.offer.bps // 10_000

    def is_running(self, now: int) -> bool:
        return now < self.end and self.revoked_at is None

    def holds(self, who: int, time: int) -> bool:
        """Whether it is in force at a time, and is this person's then."""
        held = [person for person, since in self.holders if since <= time]
        return bool(held) and held[-1] == who and time < self.stop and not self.in_gap(time)


@dataclass
class AssetBook:
    """All money of an asset's licenses, and who owned the asset until when."""

    owner: int
    book: Book
    tenures: list[tuple[int, int]]
    era: int = 0

    def begin(self, now: int) -> None:
        """One without money takes the era of now."""
        if self.book.balance == 0:
            self.era, self.book.settled_to = len(self.tenures), now

    def pay(self, until: int, max_days: int) -> tuple[int, bool]:
        """Settle, and say how much that gave, and whether it got as far."""
        if self.book.balance == 0:
            self.book.settled_to = until
        amount = self.book.settle(until, max_days)
        return amount, self.book.settled_to >= until


class World:
    """Contracts and people, made once, spoken to without Ape: its bookkeeping takes most of a transaction's time."""

    #: stands in for Shards and Randomness, where assets' objects come to their ends
    epochs: Any = None

    def __init__(self, project, accounts):
        self.market = make_market(project, accounts[0])
        self.people = [accounts[number] for number in range(1, 5)]
        self.holder = accounts[5]
        self.market.operators.put(self.holder, self.holder, sender=accounts[0])
        self.assets = [self.market.mint(self.people[owner]) for owner in (0, 1)]
        double = accounts[0].deploy(project.EpochDouble)
        double.setEpoch(FIRST_EPOCH, sender=accounts[0])
        self.market.objects.setShards(double, sender=accounts[0])
        self.market.directory.set(name("randomness"), double, sender=accounts[0])
        for asset, end in zip(self.assets, END_EPOCHS, strict=True):
            self.market.objects.put(object_id(asset), self.people[0], end, sender=accounts[0])
        self.web3 = accounts.provider.web3
        for person in self.people:
            self.market.token.mint(person, 2**200, sender=person)
            self.market.token.approve(self.market.payments, 2**256 - 1, sender=person)
        self.licenses, self.payments, self.token, self.nft, self.epochs = (
            self.web3.eth.contract(
                address=contract.address, abi=[item.model_dump(by_alias=True) for item in contract.contract_type.abi]
            )
            for contract in (
                *(self.market.licenses, self.market.payments, self.market.token, self.market.assets, double),
            )
        )
        self.look()

    def look(self) -> None:
        """Begin at the chain's newest block."""
        latest = self.web3.eth.get_block("latest")
        self.now, self.block = latest["timestamp"], latest["number"]
        #: of the last call that was sent
        self.receipt: dict[str, Any] = {}

    def send(self, function, sender, at: int):
        """Run a call in the next block, stamped `at`; returns whether it succeeded."""
        self.rpc("evm_setNextBlockTimestamp", at)
        data = function._encode_transaction_data()
        request = {"from": sender.address, "to": function.address, "data": data, "gas": hex(1_500_000)}
        transaction = self.rpc("eth_sendTransaction", request)
        self.now = at
        while (receipt := self.rpc("eth_getTransactionReceipt", transaction)) is None:
            time.sleep(0.002)
        self.receipt, self.block = receipt, int(receipt["blockNumber"], 16)
        return int(receipt["status"], 16) == 1

    def rpc(self, method: str, *parameters):
        answer = self.web3.provider.make_request(method, list(parameters))
        assert "error" not in answer, answer
        return answer["result"]

    @cache  # noqa: B019 - as long as the module
    def view(self, contract, name: str, *arguments) -> tuple[str, str]:
        """Return a view's call for `ask`."""
        return contract.address, contract.functions[name](*arguments)._encode_transaction_data()

    def ask(self, views) -> list[tuple[int, ...]]:
        """Return the words that each view says, all in one request: one by one they are most of a step's time."""
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": "eth_call", "params": [{"to": to, "data": data}, "latest"]}
            for number, (to, data) in enumerate(views)
        ]
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.web3.provider.endpoint_uri, json.dumps(calls).encode(), headers)
        with urllib.request.urlopen(request, timeout=300) as answer:  # the test's own Anvil
            said = {item["id"]: bytes.fromhex(item["result"][2:]) for item in json.load(answer)}
        return [
            tuple(int.from_bytes(said[number][at : at + 32], "big") for at in range(0, len(said[number]), 32))
            for number in range(len(calls))
        ]

    @cached_property
    def accounts(self) -> list[tuple[str, str]]:
        """Return the views of assets' books, persons' claims, what is recorded and what lies there."""
        token, views = self.token.address, []
        for asset in self.assets:
            key = asset.to_bytes(32, "big")
            account = self.payments.functions.moduleAccount(self.licenses.address, key).call()
            views.append(self.view(self.payments, "bookOf", token, account))
        views += [self.view(self.payments, "claimable", token, person.address) for person in self.people]
        views.append(self.view(self.payments, "recorded", token))
        return [*views, self.view(self.token, "balanceOf", self.payments.address)]


class LicenseMoney(RuleBasedStateMachine):
    """Rules try what the chain should do and what it should refuse; the ghost says which it is."""

    world: World

    def __init__(self):
        super().__init__()
        self.snapshot = self.world.rpc("evm_snapshot")
        self.start_time, self.start_block = self.world.now, self.world.block
        self.now = self.world.now
        self.books = [AssetBook(owner, Book(), []) for owner in (0, 1)]
        self.offers: list[Offer] = []
        self.licenses: list[License] = []
        self.balances = [0] * len(self.world.people)
        # (license, payer) → what it paid when the license was over
        self.late: dict[tuple[int, int], int] = {}
        #: epoch of now, and when those began whose first block somebody revealed
        self.epoch, self.began = FIRST_EPOCH, dict[int, int]()
        self.touched: tuple[int, License] | None = None

    def teardown(self):
        try:
            self.check(enumerate(self.licenses, start=1))
        finally:
            self.undo()

    def undo(self):
        self.world.rpc("evm_revert", self.snapshot)
        self.world.now, self.world.block = self.start_time, self.start_block

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
        self.publish(
            asset=0,
            price=1_000_003,
            purposes=TRAIN,
            duration=9 * DAY,
            bps=2_500,
            seconds=1,
            transferable=True,
            arbiter=3,
        )

    @rule(
        asset=st.integers(0, 1),
        price=st.one_of(
            st.integers(0, 30), st.integers(0, 10**9), st.sampled_from([HIGH_PRICE, MAX_PRICE, MAX_PRICE + 1])
        ),
        purposes=st.sampled_from([TRAIN, TRAIN | EVALUATE, INFER | COMMERCIAL, COMMERCIAL]),
        duration=st.one_of(st.integers(1, 2_000), st.integers(1, 9 * DAY)),
        bps=st.one_of(st.sampled_from([0, 1, 9_999, 10_000]), st.integers(0, 10_000)),
        seconds=st.integers(1, 50),
        seats=st.sampled_from([0, 0, 1, 2]),
        exclusive=st.sampled_from([False, False, True]),
        transferable=st.booleans(),
        arbiter=st.sampled_from([None, 3]),
    )
    def publish(
        self, asset, price, purposes, duration, bps, seconds, seats=0, exclusive=False, transferable=False, arbiter=None
    ):
        offer = Offer(
            asset,
            price,
            purposes,
            duration,
            bps,
            self.books[asset].owner,
            len(self.books[asset].tenures),
            seats,
            exclusive,
            transferable,
            arbiter,
        )
        call = self.world.licenses.functions.publishOffer(tuple(self.terms(offer).values()))
        fits = price <= MAX_PRICE and (price << FRACTION_BITS) // duration < 2**119
        if self.do(call, offer.publisher, seconds, succeeds=fits and not (exclusive and purposes == COMMERCIAL)):
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
            arbiter=ZERO if offer.arbiter is None else self.world.people[offer.arbiter].address,
        )

    @rule(number=st.integers(0, 100), seconds=SOON, by=st.integers(0, 3))
    def withdraw(self, number, seconds, by):
        index = number % len(self.offers)
        offer = self.offers[index]
        call = self.world.licenses.functions.withdrawOffer(index + 1)
        # seldom: most purchases should find an offer
        if number % 5 == 0 and self.do(call, by, seconds, succeeds=by == offer.publisher and not offer.withdrawn):
            offer.withdrawn = True

    @rule(number=st.integers(0, 100), buyer=st.integers(0, 3), seat=st.integers(0, 3), seconds=SOON)
    def buy(self, number, buyer, seat, seconds):
        index = number % len(self.offers)
        offer = self.offers[index]
        if offer.price > HIGH_PRICE:
            return
        functions = self.world.licenses.functions
        digest = terms_hash(self.terms(offer))
        if not offer.seats and seat < 3:
            seat, call = 0, functions.buy(index + 1, digest, offer.price)
        else:
            call = functions.buyWith(index + 1, digest, offer.price, seat, NO_PERMIT)
        if self.do(call, buyer, seconds, succeeds=lambda: self.is_for_sale(offer, seat)):
            for_release = offer.price * offer.bps // 10_000
            period = self.open(offer.asset, offer.price - for_release, self.now, self.now + offer.duration, for_release)
            self.licenses.append(License(offer, [(buyer, self.now)], self.now, [period], self.now, seat))
            self.touched = len(self.licenses), self.licenses[-1]

    def open(self, asset: int, amount: int, start: int, end: int, held: int = 0) -> tuple[int, int, int | None]:
        """Take money into an asset's book, and stream `amount` of it."""
        self.hand_over(asset)
        if amount + held == 0:
            return start, end, None
        self.books[asset].begin(self.now)
        book = self.books[asset].book
        book.paid_in += amount + held
        if amount == 0:
            return start, end, None
        book.streams.append(Stream(amount, start, end, self.now))
        return start, end, len(book.streams) - 1

    def hand_over(self, asset: int, max_days: int = MAX_DAYS) -> bool:
        """Pay former owners; False if that isn't done within so many days each."""
        item = self.books[asset]
        if item.book.balance == 0:
            return True
        while item.era < len(item.tenures):
            owner, until = item.tenures[item.era]
            amount, arrived = item.pay(until, max_days)
            self.balances[owner] += amount
            if not arrived:
                return False
            item.era += 1
        return True

    def stop(self, item: License) -> int:
        """End a license's streams now, and return what they leave."""
        self.hand_over(item.offer.asset)
        book = self.books[item.offer.asset].book
        left = 0
        for _, end, place in item.periods:
            if place is not None and self.now < end:
                left += book.streams[place].unearned(self.now)
                book.streams[place] = book.streams[place].stop(self.now)
        return left + (item.for_release if item.released_at is None else 0)

    def refund_now(self, item: License, amount: int) -> None:
        item.refunded += amount
        self.books[item.offer.asset].book.returned += amount
        self.balances[item.holder] += amount

    def earned(self, item: License) -> int:
        book = self.books[item.offer.asset].book
        # a view sees the time of the last block
        until = self.world.now if item.revoked_at is None else item.revoked_at
        streams = [book.streams[place] for _, _, place in item.periods if place is not None]
        linear = sum(stream.amount - (stream.unearned(until) if until < stream.end else 0) for stream in streams)
        return linear + (item.for_release if item.released_at is not None else 0) + item.decided

    def is_offered(self, offer: Offer) -> bool:
        return not offer.withdrawn and offer.handovers == len(self.books[offer.asset].tenures)

    def is_for_sale(self, offer: Offer, seat: int) -> bool:
        if not self.is_offered(offer):
            return False
        if (seat > 0) is not (offer.seats > 0) or seat > offer.seats:
            return False
        seated = [item for item in self.licenses if seat and item.offer is offer and item.seat == seat]
        if any(item.is_running(self.now) for item in seated):
            return False
        return not any(
            item.offer.asset == offer.asset
            and item.offer.purposes & offer.purposes & ~COMMERCIAL
            and (offer.exclusive or item.offer.exclusive)
            and item.purposes_until > self.now
            for item in self.licenses
        )

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100), payer=st.integers(0, 3), seconds=SOON)
    def renew(self, number, payer, seconds):
        """One more period, at most one ahead, by anybody."""
        license_id, item = self.pick(number)
        call = self.world.licenses.functions.renew(license_id, terms_hash(self.terms(item.offer)))

        def can() -> bool:
            if not item.is_running(self.now):
                return self.can_go_on(item) and self.is_offered(item.offer) and not self.late.get((license_id, payer))
            ahead = len(item.periods) > 1 and self.now < item.periods[-1][0]
            may = payer == item.holder or item.released_at is not None or item.for_release == 0
            return may and self.is_offered(item.offer) and not ahead

        if not self.do(call, payer, seconds, succeeds=can):
            return
        if item.is_running(self.now):
            item.periods.append(self.open(item.offer.asset, item.offer.price, item.end, item.end + item.offer.duration))
        else:
            self.late[license_id, payer] = item.offer.price

    def can_go_on(self, item: License) -> bool:
        """Whether a license that is over may be reinstated."""
        return item.revoked_at is None and (item.released_at is not None or item.for_release == 0)

    @precondition(lambda self: self.late)
    @rule(number=st.integers(0, 100), seconds=SOON, takes_back=st.sampled_from([False, False, True]), by=BY_OWNER)
    def end_late(self, number, seconds, takes_back, by):
        """Late money goes back, or its license goes on from now: the gap stays one."""
        (license_id, payer), amount = sorted(self.late.items())[number % len(self.late)]
        _, item = self.pick(license_id - 1)
        functions = self.world.licenses.functions
        if takes_back:
            call = self.world.payments.functions.takeBack(
                self.world.token.address, self.world.licenses.address, license_id.to_bytes(32, "big")
            )
            if self.do(call, payer, seconds, succeeds=amount > 0):
                self.balances[payer] += amount
                del self.late[license_id, payer]
            return
        owner = self.books[item.offer.asset].owner
        call = functions.reinstate(license_id, self.world.people[payer].address, item.seat)

        def can() -> bool:
            seated = [each for each in self.licenses if item.seat and each.offer is item.offer]
            taken = [each for each in seated if each.seat == item.seat]
            clashes = any(
                other is not item
                and other.offer.asset == item.offer.asset
                and other.offer.purposes & item.offer.purposes & ~COMMERCIAL
                and (other.offer.exclusive or item.offer.exclusive)
                and other.purposes_until > self.now
                for other in self.licenses
            )
            kept = not taken or taken[-1] is item
            return by and not item.is_running(self.now) and self.can_go_on(item) and kept and not clashes

        if self.do(call, owner if by else (owner + 1) % 4, seconds, succeeds=can):
            period = (self.now, self.now + item.offer.duration, None)
            # what costs nothing touches no book
            item.periods.append(self.open(item.offer.asset, amount, *period[:2]) if amount else period)
            item.since = self.now
            del self.late[license_id, payer]

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
    @rule(number=st.integers(0, 100), seconds=SOON)
    def release(self, number, seconds):
        license_id, item = self.pick(number)
        licenses = self.world.licenses
        key = bytes(31) + b"\1"
        digest = licenses.functions.keyRequestDigest(license_id, self.world.holder.address, key, FAR).call()
        signature = Account.unsafe_sign_hash(digest, self.world.people[item.holder].private_key).signature
        call = licenses.functions.recordRelease(license_id, self.world.holder.address, key, FAR, bytes(signature))
        if self.do(call, self.world.holder, seconds, succeeds=lambda: item.is_running(self.now)):
            self.release_now(item)

    def release_now(self, item: License) -> None:
        """The first release is kept, and its part is earned."""
        if item.released_at is None:
            item.released_at = self.now
            if item.for_release:
                self.hand_over(item.offer.asset)
                self.books[item.offer.asset].book.added += item.for_release

    @rule(asset=st.integers(0, 1), caller=st.integers(0, 3), seconds=SOON, max_days=st.sampled_from([0, 1, 2, 9, 400]))
    def settle(self, asset, caller, seconds, max_days):
        """Anybody has paid what is earned, as far as it goes."""
        call = self.world.licenses.functions.settle(self.world.assets[asset], self.world.token.address, max_days)
        self.do(call, caller, seconds, succeeds=True)
        item = self.books[asset]
        if self.hand_over(asset, max_days):
            amount, _ = item.pay(self.now, max_days)
            self.balances[item.owner] += amount
            if item.book.settled_to >= self.now:
                item.era = len(item.tenures)

    @precondition(lambda self: self.licenses)
    @rule(
        number=st.integers(0, 100),
        seconds=SOON,
        by_owner=st.sampled_from([True, True, True, False]),
        breach=st.booleans(),
    )
    def revoke(self, number, seconds, by_owner, breach):
        """With its unearned part going back, or frozen for the arbiter."""
        license_id, item = self.pick(number)
        functions = self.world.licenses.functions
        owner = self.books[item.offer.asset].owner
        call = (functions.revokeForBreach if breach else functions.revoke)(license_id, bytes(32), bytes(32))
        caller = owner if by_owner else (owner + 1) % 4

        def can() -> bool:
            return by_owner and item.is_running(self.now) and not (breach and item.offer.arbiter is None)

        if self.do(call, caller, seconds, succeeds=can):
            left = self.stop(item)
            item.revoked_at = self.now
            if breach:
                item.contest = Contest(left, self.now + DISPUTE_SECONDS, owner)
            else:
                self.refund_now(item, left)

    @precondition(lambda self: any(item.contest for item in self.licenses))
    @rule(
        number=st.integers(0, 100),
        seconds=st.sampled_from([1, DAY, DISPUTE_SECONDS, DISPUTE_SECONDS + 1, DECISION_SECONDS + 1]),
        what=st.sampled_from(["dispute", "dispute", "decide", "conclude"]),
        caller=st.integers(0, 3),
        part=st.integers(0, 4),
    )
    def contest(self, number, seconds, what, caller, part):
        """The holder disputes, the arbiter decides, the owner gives in, or time does."""
        contested = [place for place, item in enumerate(self.licenses) if item.contest]
        license_id, item = self.pick(contested[number % len(contested)])
        contest = item.contest
        assert contest is not None
        functions = self.world.licenses.functions
        if what == "dispute":

            def can_dispute() -> bool:
                return caller == item.holder and not contest.disputed and self.now <= contest.until

            if self.do(functions.dispute(license_id), caller, seconds, succeeds=can_dispute):
                contest.disputed, contest.until = True, self.now + DECISION_SECONDS
            return
        if what == "decide":
            refund = contest.amount * part // 3

            def can_decide() -> bool:
                in_time = contest.disputed and self.now <= contest.until
                return caller == item.offer.arbiter and in_time and refund <= contest.amount

            if not self.do(functions.decide(license_id, refund), caller, seconds, succeeds=can_decide):
                return
        else:

            def can_conclude() -> bool:
                return self.now > contest.until or caller == contest.claimant

            if not self.do(functions.conclude(license_id), caller, seconds, succeeds=can_conclude):
                return
            refund = contest.amount if self.now <= contest.until or contest.disputed else 0
        item.decided = contest.amount - refund
        self.books[item.offer.asset].book.returned += item.decided
        self.balances[contest.claimant] += item.decided
        self.refund_now(item, refund)
        item.contest = None

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100), caller=st.integers(0, 3), seconds=SOON)
    def refund(self, number, caller, seconds):
        license_id, item = self.pick(number)

        def is_due() -> bool:
            unreleased = item.released_at is None and item.revoked_at is None and item.refunded == 0
            return self.now >= item.end and unreleased and item.for_release > 0

        if self.do(self.world.licenses.functions.refundUnreleased(license_id), caller, seconds, succeeds=is_due):
            self.refund_now(item, item.for_release)

    @precondition(lambda self: self.world.epochs is not None and self.epoch < END_EPOCHS[-1] + 1)
    @rule(seconds=st.integers(2, 3_000), is_revealed=st.sampled_from([True, True, False]))
    def begin_an_epoch(self, seconds, is_revealed):
        """The last block before the next transaction is an epoch's first; somebody reveals it, or nobody ever."""
        self.epoch += 1
        functions = self.world.epochs.functions
        self.do(functions.setEpoch(self.epoch), 0, seconds, succeeds=True)
        if is_revealed:
            self.began[self.epoch] = self.now
            self.do(functions.reveal(self.epoch, self.now), 0, 1, succeeds=True)

    @precondition(lambda self: self.world.epochs is not None and self.licenses)
    @rule(number=st.integers(0, 100), back=st.sampled_from([0, 0, 0, 1, -1]), by_holder=BY_OWNER, seconds=SOON)
    def lose(self, number, back, by_holder, seconds):
        """An asset's object is over: who was licensed before that gets back what is unearned."""
        running = [place for place, item in enumerate(self.licenses) if item.is_running(self.now)]
        license_id, item = self.pick(running[number % len(running)] if running else number)
        asset = item.offer.asset
        end = END_EPOCHS[asset]
        epoch = end - back
        call = self.world.licenses.functions.refundLost(license_id, object_id(self.world.assets[asset]), epoch)

        def can() -> bool:
            is_over, is_before = self.epoch >= end, epoch <= end
            is_older = item.since < self.began.get(epoch, 0)
            return by_holder and item.is_running(self.now) and is_over and is_before and is_older

        caller = item.holder if by_holder else (item.holder + 1) % 4
        if self.do(call, caller, seconds, succeeds=can):
            left = self.stop(item)
            item.revoked_at = self.now
            self.refund_now(item, left)

    @precondition(lambda self: self.licenses)
    @rule(number=st.integers(0, 100))
    def wait_for_an_end(self, number):
        """Let the next transaction's second be the one before a license ends, or the end itself."""
        _, item = self.pick(number)
        self.now = max(self.now, item.end - 2)

    @rule(asset=st.integers(0, 1), to=st.integers(0, 3), seconds=st.integers(1, 50))
    def transfer(self, asset, to, seconds):
        owner = self.books[asset].owner
        people = self.world.people
        call = self.world.nft.functions.transferFrom(
            people[owner].address, people[to].address, self.world.assets[asset]
        )
        self.do(call, owner, seconds, succeeds=True)
        # to oneself: no new tenure, and the offers stand
        if to != owner:
            self.books[asset].owner = to
            self.books[asset].tenures.append((owner, self.now))

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
        licenses = list(licenses)
        views = [
            self.world.view(self.world.licenses, name, number)
            for name in ("license", "earned")
            for number, _ in licenses
        ]
        said = self.world.ask([*self.world.accounts, *views])
        accounts, views = said[: len(self.world.accounts)], said[len(self.world.accounts) :]
        records, earnings = views[: len(licenses)], views[len(licenses) :]
        for (_, item), record, (earned,) in zip(licenses, records, earnings, strict=True):
            assert (record[5], record[-1]) == (item.end, item.refunded)
            assert earned == self.earned(item)
        books, rest = accounts[: len(self.books)], accounts[len(self.books) :]
        for item, (balance, counted, settled_to, era) in zip(self.books, books, strict=True):
            assert balance == item.book.balance >= 0
            if balance:
                assert (settled_to, era) == (item.book.settled_to, item.era)
                assert counted == max(0, item.book.due(self.world.now))
        *claimable, recorded, held = (units for (units,) in rest)
        assert claimable == self.balances
        assert recorded == self.owed() <= held

    def owed(self) -> int:
        """Return what the ledger owes in all."""
        return sum(item.book.balance for item in self.books) + sum(self.balances) + sum(self.late.values())

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
