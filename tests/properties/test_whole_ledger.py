"""All who book in one Payments against an exact ghost: licenses, storage fees, lists, paid reads, forced releases.

The machine of `test_license_money.py` (sales, keys released, renewals, revocations, refunds, transfers, expiry, time)
goes on here beside lists (open, fund, propose, contest, finalise, claim in parts), deposits for reads (vouchers in
batches, withdrawals after their notice), storage fees (objects opened, failed, settled, returned) and forced releases
of a key (prepaid, answered, settled), all in one ledger and between the same persons, whose claims are one sum.
Objects, Audits, Rewards, RestakerRewards, Licenses, Assets, ClaimLists, Keys and Payments are the real ones.

The token of licenses, storage and releases changes its mood: it lies, refuses, keeps a part, calls back; lists and
deposits are in it and in an honest one. The ghost says of each call whether that stops it. After every step, in both
tokens: what each person, list, deposit, fee account and Keys has is the ghost's to the unit, and all together is what
is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from qanat.payments.claims import ClaimList
from qanat.payments.vouchers import Voucher, voucher_request
from tests.contracts.licensing import Market
from tests.contracts.system import ANSWER_FEE, SHARD, deploy_system, make_data
from tests.properties.test_key_money import NEVER, Demand, KeyMoneyWorld
from tests.properties.test_license_money import DAY, EVALUATE, SOON, ZERO, LicenseMoney

NOTICE = 7 * DAY
HOUR = 3_600
FAULTY, HONEST = 0, 1
GOOD, SILENT, RETURNS_FALSE, REVERTS, KEEPS_FEE, CALLS_BACK = range(6)
#: Calls that take tokens from somebody; what isn't good or calls back makes each of them fail.
TAKES = {"buy", "buyWith", "renew", "payIn", "depositForReads", "open", "force"}
TO_PAYER_BPS, COMMISSION_BPS, BPS = 6_000, 1_000, 10_000
TOKEN = st.sampled_from([FAULTY, HONEST])
PERSON = st.integers(0, 3)
#: Of the one key: its holders, and how many of them open it.
PLACES, THRESHOLD = 3, 2
#: Blocks that a run may take when it no longer waits for deadlines.
SPARE_BLOCKS = 100
#: Holders that answer, in their order.
ANSWERS = st.sampled_from([(), (0,), (1, 0), (2, 0, 1), (2, 1, 0)])


@dataclass
class Root:
    """A list of one round, with the total that was proposed with it."""

    made: ClaimList
    total: int
    accepted_at: int

    def amount_of(self, address: str) -> int | None:
        return dict(self.made.entries).get(address)


@dataclass
class Claims:
    """What the ghost knows of a list; persons are indexes."""

    token: int
    opener: int
    proposer: int
    arbiter: int | None
    window: int
    bond: int
    roots: list[Root] = field(default_factory=list)
    funds: int = 0
    bonded: int = 0
    claimed: dict[str, int] = field(default_factory=dict)

    @property
    def claimed_in_all(self) -> int:
        return sum(self.claimed.values())

    def pending(self, now: int) -> bool:
        return bool(self.roots) and now < self.roots[-1].accepted_at

    def surplus(self) -> int:
        promised = self.roots[-1].total if self.roots else 0
        return max(0, self.funds - max(0, promised - self.claimed_in_all))


@dataclass
class Deposit:
    deposited: int = 0
    redeemed: int = 0
    withdrawable_at: int = 0


@dataclass
class Duty:
    """A call that books storage fees, once: what leaves the shard's fee account, and who gets how much of it.

    ``to``: by account; None where Rewards' division isn't this test's business.
    """

    function: Any
    amount: int
    to: dict[str, int] | None = None


class WholeWorld(KeyMoneyWorld):
    """A whole system, an asset of each of two persons, an epoch that was answered in part, a key of the first asset."""

    def __init__(self, project, accounts):
        token = accounts[0].deploy(project.MoodyToken)
        system = deploy_system(project, accounts[0], accounts[8], paymentToken=token.address)
        system.payment_token = token
        self.people = [accounts[number] for number in range(1, 5)]
        operators = accounts[9:12]
        # a restaker of its own: what it is paid isn't what people have
        system.enroll(operators, tickets=1, commission_bps=COMMISSION_BPS, restaker=accounts[6])
        system.take_roster()
        self.holder = operators[0]
        self.market = Market(
            system.directory,
            system.objects,
            system.operators,
            system.payments,
            system.assets,
            system.licenses,
            token,
            accounts[0],
        )
        honest = accounts[0].deploy(project.MintableToken)
        lists = accounts[0].deploy(project.ClaimLists, system.payments)
        self.web3 = accounts.provider.web3
        contracts = (system.licenses, system.payments, token, system.assets, system.keys)
        self.licenses, self.payments, self.token, self.nft, self.keys_contract = map(self.of, contracts)
        self.honest, self.lists, self.rewards, self.objects = map(
            self.of, (honest, lists, system.rewards, system.objects)
        )
        self.tokens = [self.token, self.honest]
        for person in self.people:
            for each in (token, honest):
                each.mint(person, 2**200, sender=person)
                each.approve(system.payments, 2**256 - 1, sender=person)

        self.chain_id = self.web3.eth.chain_id
        self.store(system, operators)
        for operator in operators:
            system.restaking.acceptSlasher(system.keys, sender=operator)
        self.make_secrets()
        self.keys = [self.make_key(system, 0, PLACES, THRESHOLD)]
        self.ends_at = self.end_of_forcing(system)
        self.request = tuple(system.request(make_data(n=6, k=2, zeros=True), epochs=1).values())
        storage, intake, _ = system.objects.quote(self.request)
        self.opening = int(storage + intake)
        self.look()

    def store(self, system, operators):
        """Store an object for each of two assets, which two operators of three answer for, and let one more fail."""
        owners = self.people[:2]
        data = [make_data(n=6, k=2, seed=number) for number in range(3)]
        ids = [system.store(owner, item) for owner, item in zip(owners, data, strict=False)]
        failing = system.open(owners[1], data[2])
        self.assets = []
        for owner, object_id in zip(owners, ids, strict=True):
            system.assets.mint([object_id], keccak(text="content"), "ipfs://description", sender=owner)
            self.assets.append(int(system.assets.count()))
        epoch = system.objects.record(ids[0]).firstEpoch
        system.seal(epoch)
        for operator in operators[:2]:
            system.answer(operator, epoch)
        system.end_window(epoch)

        records = [system.objects.record(object_id) for object_id in (*ids, failing)]
        # two rows of six for each of three tickets
        fees = [2 * record.rowFee for record in records]
        storage, intake = (int(value) for value in system.objects.quote(system.request(data[2]))[:2])
        paid = 3 * (storage + intake)
        rewards, objects = self.rewards.functions, self.objects.functions
        signed = [person.address for person in owners]
        self.duties = [Duty(rewards.settle(1, epoch, each.address), fees[0] + fees[1]) for each in operators[:2]]
        self.duties.append(Duty(objects.fail(failing), storage + intake, {signed[1]: storage, "repair": intake}))
        for object_id, owner, fee in zip(ids, signed, fees, strict=False):
            back = fee * TO_PAYER_BPS // BPS
            call = rewards.returnUnproven(object_id, epoch, operators[2].address, [])
            self.duties.append(Duty(call, fee, {owner: back, "repair": fee - back}))
        intakes = sum(record.intakeFee // 3 for record in records[:2])
        for each in operators:
            call = rewards.claimIntake(1, 1, each.address)
            self.duties.append(Duty(call, intakes, {each.address: intakes}))
        #: what dividing them leaves for the repair fund
        self.rest = sum(record.intakeFee % 3 for record in records[:2])

        payments, restakers = system.payments, system.restaker_rewards
        named = {
            "fees": system.rewards.feeAccount(1),
            "repair": system.rewards.repairAccount(1),
            "booked": payments.moduleAccount(restakers, b"booked".ljust(32, b"\0")),
            "inbox": payments.moduleAccount(restakers, b"inbox".ljust(32, b"\0")),
            "keys": payments.moduleAccount(system.keys, b"forced releases".ljust(32, b"\0")),
        }
        self.named = {name: bytes(account) for name, account in named.items()}
        assert payments.balanceOf(system.payment_token, named["fees"]) == paid
        self.fees = paid

    def voucher(self, token: int, operator: int, payer: int, cumulative: int) -> tuple[int, bytes, bytes]:
        """Return what a payer signed."""
        place = (self.payments.address, self.people[operator].address, self.tokens[token].address)
        signable = encode_typed_data(*voucher_request(self.chain_id, *place, cumulative))
        signed = Account.sign_message(signable, self.people[payer].private_key)
        return Voucher(cumulative, bytes(signed.signature)).as_tuple()


class WholeLedger(LicenseMoney):
    """Rules of licenses, and of all else that books in the same Payments."""

    world: WholeWorld

    def __init__(self):
        super().__init__()
        self.mood = GOOD
        self.lists: list[Claims] = []
        self.deposits: dict[tuple[int, int, int], Deposit] = {}
        self.honest = [0] * len(self.world.people)
        #: accounts of contracts and of operators, in the hostile token
        self.plain = dict.fromkeys(self.world.named.values(), 0)
        self.plain[self.world.named["fees"]] = self.world.fees
        self.duties_done: set[int] = set()
        self.rest_taken = False
        self.demands: list[Demand] = []

    # ---- help

    def do(self, function, person, seconds, *, succeeds):
        """Also say whether the token's mood stops it."""

        def will() -> bool:
            return (succeeds() if callable(succeeds) else succeeds) and not self.is_stopped(function)

        return super().do(function, person, seconds, succeeds=will)

    def is_stopped(self, function) -> bool:
        name, arguments = function.fn_name, function.args
        if name == "claim" and arguments == (self.world.token.address,):
            return self.mood in {RETURNS_FALSE, REVERTS}
        if name not in TAKES or self.mood in {GOOD, CALLS_BACK}:
            return False
        if name in {"payIn", "depositForReads"}:
            return arguments[0] == self.world.token.address
        if name == "renew":
            return self.licenses[arguments[0] - 1].offer.price > 0
        if name == "force":
            return True
        if name == "open":
            return function.address == self.world.objects.address
        return self.offers[arguments[0] - 1].price > 0

    def money(self, token: int) -> list[int]:
        return self.balances if token == FAULTY else self.honest

    def account(self, person: int) -> str:
        return self.world.people[person].address

    def token_of(self, token: int) -> str:
        return self.world.tokens[token].address

    # ---- the hostile token

    @rule(
        mood=st.sampled_from([GOOD, GOOD, SILENT, RETURNS_FALSE, REVERTS, KEEPS_FEE, CALLS_BACK]),
        what=st.integers(0, 3),
    )
    def change_mood(self, mood, what):
        """I-M24: it may call back whatever takes or sends tokens."""
        payments, token = self.world.payments, self.world.token.address
        calls = [
            payments.functions.claim(token),
            payments.functions.payIn(token, b"\1" * 32, 5),
            payments.functions.depositForReads(token, token, [token], [5]),
            payments.functions.claimMany([token, self.world.honest.address]),
        ]
        data = calls[what]._encode_transaction_data()
        self.do(self.world.token.functions.setMood(mood, payments.address, data), 0, 1, succeeds=True)
        self.mood = mood

    @rule(person=PERSON, seconds=st.integers(1, 50))
    def claim(self, person, seconds):
        """What a token that moves nothing, or keeps a part, was told to send is gone from the ledger all the same."""
        before = self.balance_of(FAULTY, person)
        amount = self.balances[person]
        call = self.world.payments.functions.claim(self.world.token.address)
        if self.do(call, person, seconds, succeeds=amount > 0):
            assert self.balance_of(FAULTY, person) - before == self.arrives(amount)
            self.balances[person] = 0

    def arrives(self, amount: int) -> int:
        if self.mood == SILENT:
            return 0
        return amount - (amount + 99) // 100 if self.mood == KEEPS_FEE else amount

    def balance_of(self, token: int, person: int) -> int:
        ((units,),) = self.world.ask([self.world.view(self.world.tokens[token], "balanceOf", self.account(person))])
        return units

    @rule(person=PERSON, seconds=st.integers(1, 50))
    def claim_all(self, person, seconds):
        """I-M23: the hostile token, whatever its mood, keeps nobody from the honest one."""
        before = [self.balance_of(token, person) for token in (FAULTY, HONEST)]
        call = self.world.payments.functions.claimMany([self.token_of(FAULTY), self.token_of(HONEST)])
        self.do(call, person, seconds, succeeds=True)
        after = [self.balance_of(token, person) for token in (FAULTY, HONEST)]
        assert after[HONEST] - before[HONEST] == self.honest[person]
        self.honest[person] = 0
        if self.mood in {RETURNS_FALSE, REVERTS}:
            assert after[FAULTY] == before[FAULTY]
            return
        assert after[FAULTY] - before[FAULTY] == self.arrives(self.balances[person])
        self.balances[person] = 0

    # ---- storage fees

    @rule(number=st.integers(0, 100), caller=PERSON, seconds=st.integers(1, 50))
    def book_storage(self, number, caller, seconds):
        """A settlement, a return, a failed opening, a claim of intake fees: once each."""
        place = number % len(self.world.duties)
        duty = self.world.duties[place]
        if not self.do(duty.function, caller, seconds, succeeds=place not in self.duties_done):
            return
        self.duties_done.add(place)
        moved = self.moved()
        expected = duty.amount
        if duty.to is not None:
            to = dict(duty.to)
            # what dividing the intake fees left goes with whoever claims first
            if duty.function.fn_name == "claimIntake" and self.rest_left():
                to["repair"] = self.world.rest
                expected += self.world.rest
                self.rest_taken = True
            assert {account: units for account, units in moved.items() if units > 0} == {
                self.key_of(who): units for who, units in to.items() if units
            }
        assert -moved[self.world.named["fees"]] == expected

    def rest_left(self) -> bool:
        return not self.rest_taken and self.world.rest > 0

    def key_of(self, who: str) -> bytes:
        return self.world.named.get(who) or bytes.fromhex(who[2:]).rjust(32, b"\0")

    def moved(self) -> dict[bytes, int]:
        """Take over what the last call moved between accounts, as it says; return each account's change."""
        changes: dict[bytes, int] = {}
        topic = keccak(text="Moved(address,bytes32,bytes32,uint256)").hex()
        persons = {self.key_of(person.address): number for number, person in enumerate(self.world.people)}
        for log in self.world.receipt["logs"]:
            if log["address"].lower() != self.world.payments.address.lower() or log["topics"][0][2:] != topic:
                continue
            source, target = (bytes.fromhex(topic[2:]) for topic in log["topics"][2:4])
            for account, units in ((source, -int(log["data"], 16)), (target, int(log["data"], 16))):
                changes[account] = changes.get(account, 0) + units
        for account, units in changes.items():
            if account in persons:
                self.balances[persons[account]] += units
            else:
                self.plain[account] = self.plain.get(account, 0) + units
        return changes

    @rule(person=PERSON, number=st.integers(0, 2**32), seconds=st.integers(1, 50))
    def open_object(self, person, number, seconds):
        """Somebody pays for storage."""
        request = list(self.world.request)
        request[8] = keccak(number.to_bytes(32, "big"))
        if self.do(self.world.objects.functions.open(tuple(request)), person, seconds, succeeds=True):
            self.plain[self.world.named["fees"]] += self.world.opening

    # ---- forced releases

    @initialize(answers=st.tuples(ANSWERS, ANSWERS))
    def first_offer(self, answers):
        """And a license whose releases need no record, and two that are forced."""
        super().first_offer()
        self.publish(asset=0, price=50_021, purposes=EVALUATE, duration=300 * DAY, bps=0, seconds=1, transferable=True)
        self.buy(1, 2, 0, 1)
        for places in answers:
            self.force(0, places, 1)

    def forcible(self) -> list[tuple[int, int]]:
        """Return (license, point) of what may be forced now."""
        known = {(demand.license, demand.point) for demand in self.demands}
        return [
            (license_id, point)
            for license_id, item in enumerate(self.licenses, start=1)
            for point in range(NEVER)
            if (license_id, point) not in known and self.may_force(license_id)
        ]

    def may_force(self, license_id: int) -> bool:
        item = self.licenses[license_id - 1]
        recorded = item.released_at is not None or item.offer.bps == 0
        in_force = recorded and item.offer.asset == 0 and item.holds(item.holder, self.now)
        return in_force and self.world.block + 1 < self.world.ends_at

    @precondition(lambda self: self.forcible())
    @rule(number=st.integers(0, 1_000), places=ANSWERS, seconds=st.integers(1, 50))
    def force(self, number, places, seconds):
        """Prepaid, by who has a license; some holders answer at once."""
        candidates = self.forcible()
        license_id, point = candidates[number % len(candidates)]
        payer = self.licenses[license_id - 1].holder
        key = self.world.keys[0]
        arguments = (license_id, *self.world.possession(point, payer))
        call = self.world.keys_contract.functions.force(key.made.asset, key.made.epoch, *arguments)
        if self.do(call, payer, seconds, succeeds=lambda: self.may_force(license_id)):
            self.plain[self.world.named["keys"]] += key.prepaid
            self.demands.append(Demand(0, license_id, point, payer, self.world.block + SHARD["window"]))
            self.answer(self.demands[-1], places, payer)

    def answer(self, demand: Demand, places: tuple[int, ...], caller: int) -> None:
        """What comes in time, and first of its place, counts."""
        names = self.world.names(0, demand.license, demand.point)
        for place in places:
            witness = self.world.witness(0, place, demand.point)
            call = self.world.keys_contract.functions.answer(*names, place, witness)
            counts = self.is_in_time(demand) and place not in demand.answered
            if self.do(call, caller, 1, succeeds=counts):
                demand.answered.add(place)

    @precondition(lambda self: self.demands)
    @rule(
        number=st.integers(0, 100),
        places=ANSWERS,
        settles=st.sampled_from(["no", "at once", "late", "late"]),
        caller=PERSON,
    )
    def answer_and_settle(self, number, places, settles, caller):
        """Who answered in time is paid, and the rest goes back to who forced it, whoever is licensed now; once."""
        chosen = [demand for demand in self.demands if not demand.settled] or self.demands
        demand = chosen[number % len(chosen)]
        key = self.world.keys[0]
        settle = self.world.keys_contract.functions.settle(*self.world.names(0, demand.license, demand.point))
        self.answer(demand, places, caller)
        missing = demand.deadline - self.world.block
        if settles == "late" and missing > 0 and self.world.block + missing < self.world.ends_at - SPARE_BLOCKS:
            self.now += 12 * missing
            self.world.mine(missing, self.now)
        is_over = not self.is_in_time(demand) or len(demand.answered) == PLACES
        can = is_over and not demand.settled
        if settles == "no" or not self.do(settle, caller, 1, succeeds=can):
            return
        demand.settled = True
        expected = {self.key_of(key.holders[place]): ANSWER_FEE for place in demand.answered}
        payer = self.key_of(self.account(demand.payer))
        rest = key.prepaid - ANSWER_FEE * len(demand.answered)
        expected |= {payer: rest} if rest else {}
        assert self.moved() == {**expected, self.world.named["keys"]: -key.prepaid}
        self.do(settle, caller, 1, succeeds=False)

    def is_in_time(self, demand: Demand) -> bool:
        """Whether an answer in the next block counts."""
        return self.world.block < demand.deadline

    # ---- lists

    @initialize(
        manner=st.sampled_from(["honest", "takes", "omits", "mixes"]),
        growth=st.lists(st.integers(1, 1_000), min_size=4, max_size=4),
    )
    def first_lists(self, manner, growth):
        """In each token a list with a root that is accepted and one that isn't yet, and a deposit."""
        for token in (FAULTY, HONEST):
            self.open_list(token, token, 2, 3, window=5 * DAY, bond=11, seconds=1)
            self.fund_list(token, 0, 10_000, of_bond=False, seconds=1)
            self.fund_list(token, 1, 40, of_bond=True, seconds=1)
            self.propose(token, "honest", growth, by_proposer=True, seconds=1)
            self.deposit(token, token, 1, (900, 5), seconds=1)
        for token, seconds in ((FAULTY, 5 * DAY), (HONEST, 1)):
            self.propose(token, manner, growth, by_proposer=True, seconds=seconds)

    @rule(
        token=TOKEN,
        opener=PERSON,
        proposer=PERSON,
        arbiter=st.sampled_from([None, 3]),
        window=st.sampled_from([HOUR, 5 * DAY, HOUR - 1]),
        bond=st.sampled_from([1, 2, 11]),
        seconds=SOON,
    )
    def open_list(self, token, opener, proposer, arbiter, window, bond, seconds):
        if len(self.lists) == 4:
            return
        arbiter_address = ZERO if arbiter is None else self.account(arbiter)
        terms = (self.token_of(token), self.account(proposer), arbiter_address, window, bond)
        call = self.world.lists.functions.open(terms)
        if self.do(call, opener, seconds, succeeds=window >= HOUR and bond >= 2):
            self.lists.append(Claims(token, opener, proposer, arbiter, window, bond))

    @rule(
        number=st.integers(0, 100),
        payer=PERSON,
        amount=st.integers(1, 3_000),
        of_bond=st.booleans(),
        seconds=SOON,
    )
    def fund_list(self, number, payer, amount, of_bond, seconds):
        place = number % len(self.lists)
        item = self.lists[place]
        account = self.list_account(place, of_bond=of_bond)
        call = self.world.payments.functions.payIn(self.token_of(item.token), account, amount)
        if self.do(call, payer, seconds, succeeds=True):
            item.bonded += amount * of_bond
            item.funds += amount * (not of_bond)

    def list_account(self, place: int, *, of_bond: bool) -> bytes:
        key = keccak(self.abi("bond" if of_bond else "funds", place + 1))
        return keccak(bytes.fromhex(self.world.lists.address[2:]).rjust(32, b"\0") + key)

    @staticmethod
    def abi(text: str, number: int) -> bytes:
        words = (64).to_bytes(32, "big") + number.to_bytes(32, "big") + len(text).to_bytes(32, "big")
        return words + text.encode().ljust(32, b"\0")

    @rule(
        number=st.integers(0, 100),
        manner=st.sampled_from(["honest", "honest", "takes", "omits", "mixes", "overstates", "falls"]),
        growth=st.lists(st.integers(0, 1_500), min_size=4, max_size=4),
        by_proposer=st.sampled_from([True, True, True, False]),
        seconds=SOON,
    )
    def propose(self, number, manner, growth, by_proposer, seconds):
        """The next root, or one that wrongs somebody."""
        place = number % len(self.lists)
        item = self.lists[place]
        made, total = self.make_list(place, manner, growth)
        caller = item.proposer if by_proposer else (item.proposer + 1) % 4
        call = self.world.lists.functions.propose(place + 1, made.node, total, made.count)

        def can() -> bool:
            funded = item.funds + item.claimed_in_all
            before = item.roots[-1].total if item.roots else 0
            fits = before <= total <= funded and item.bonded >= item.bond
            return by_proposer and not item.pending(self.now) and fits

        if self.do(call, caller, seconds, succeeds=can):
            item.roots.append(Root(made, total, self.now + item.window))

    def make_list(self, place: int, manner: str, growth: list[int]) -> tuple[ClaimList, int]:
        item = self.lists[place]
        before = dict(item.roots[-1].made.entries) if item.roots else {}
        amounts = {person.address: before.get(person.address, 0) for person in self.world.people}
        for who, units in zip(amounts, growth, strict=True):
            amounts[who] += units
        who, other = sorted(amounts, key=lambda each: int(each, 16))[:2]
        if manner in {"takes", "omits"}:
            lost = amounts[who] if manner == "omits" else amounts[who] - before.get(who, 0) // 2
            amounts[who] -= lost
            amounts[other] += lost
        if manner == "omits":
            del amounts[who]
        made = ClaimList.of(self.world.chain_id, self.world.lists.address, place + 1, amounts)
        if manner == "mixes":
            object.__setattr__(made, "entries", made.entries[::-1])
        return made, made.total + {"overstates": 1, "falls": -1}.get(manner, 0)

    @rule(number=st.integers(0, 100), caller=PERSON, place=st.integers(0, 2), seconds=st.integers(1, HOUR))
    def contest_order(self, number, caller, place, seconds):
        """Show two neighbours."""
        list_, item = self.pick_list(number)
        root = item.roots[-1] if item.roots else None
        if root is None or place + 1 >= root.made.count:
            return
        leaves = [root.made.leaf_at(index).as_tuple() for index in (place, place + 1)]

        def can() -> bool:
            shown = root.total == root.made.total
            return item.pending(self.now) and shown and int(leaves[1][1], 16) <= int(leaves[0][1], 16)

        call = self.world.lists.functions.challengeOrder(list_ + 1, *leaves)
        if self.do(call, caller, seconds, succeeds=can):
            self.falls(item, caller)

    @rule(
        number=st.integers(0, 100),
        caller=PERSON,
        who=PERSON,
        seconds=st.integers(1, HOUR),
        honest_count=st.booleans(),
    )
    def contest_loss(self, number, caller, who, seconds, honest_count):
        """Show what somebody had, and what it has now, or between whom it is missing."""
        list_, item = self.pick_list(number)
        if len(item.roots) < 2:
            return
        before, root = item.roots[-2:]
        address = self.account(who)
        had, has = before.amount_of(address), root.amount_of(address)
        if had is None:
            return
        order = [int(entry[0], 16) for entry in root.made.entries]
        if has is None:
            # of the four persons one is missing: it stands before the first, behind the last, or between two
            after = next((index for index, other in enumerate(order) if other > int(address, 16)), len(order))
            places = [index for index in (after - 1, after) if 0 <= index < len(order)]
        else:
            places = [order.index(int(address, 16))]
        if not honest_count:
            places = places[:1]
        leaves = [root.made.leaf_at(index).as_tuple() for index in places]

        def can() -> bool:
            shown = root.total == root.made.total and before.total == before.made.total
            return item.pending(self.now) and shown and self.shows_loss(address, had, root, places)

        call = self.world.lists.functions.challengeLoss(list_ + 1, before.made.leaf(address).as_tuple(), leaves)
        if self.do(call, caller, seconds, succeeds=can):
            self.falls(item, caller)

    @staticmethod
    def shows_loss(address: str, had: int, root: Root, places: list[int]) -> bool:
        """Whether leaves prove, by the rules of the interface, that an account got less."""
        entries = root.made.entries
        number = int(address, 16)
        shown = [(int(entries[place][0], 16), entries[place][1]) for place in places]
        if len(shown) == 2:
            return places[1] == places[0] + 1 and shown[0][0] < number < shown[1][0]
        other, units = shown[0]
        if other == number:
            return units < had
        return places[0] == 0 if number < other else places[0] == len(entries) - 1

    def falls(self, item: Claims, caller: int) -> None:
        item.roots.pop()
        item.bonded -= item.bond
        self.money(item.token)[caller] += item.bond // 2
        item.funds += item.bond - item.bond // 2

    @rule(number=st.integers(0, 100), by_arbiter=st.booleans(), seconds=st.integers(1, HOUR))
    def reject_root(self, number, by_arbiter, seconds):
        place, item = self.pick_list(number)
        caller = item.arbiter if by_arbiter and item.arbiter is not None else 0
        call = self.world.lists.functions.reject(place + 1, bytes(32))
        can = lambda: item.pending(self.now) and caller == item.arbiter  # noqa: E731
        if self.do(call, caller, seconds, succeeds=can):
            item.roots.pop()
            item.bonded -= item.bond
            item.funds += item.bond

    @precondition(lambda self: any(item.roots for item in self.lists))
    @rule(number=st.integers(0, 100))
    def wait_for_acceptance(self, number):
        """Let the next transaction's second be the last of a window, or the first after it."""
        _, item = self.pick_list(number)
        if item.roots:
            self.now = max(self.now, item.roots[-1].accepted_at - 2)

    def pick_list(self, number: int) -> tuple[int, Claims]:
        """Return a list, of those that have roots if there are any."""
        chosen = [place for place, item in enumerate(self.lists) if item.roots] or list(range(len(self.lists)))
        place = chosen[number % len(chosen)]
        return place, self.lists[place]

    @precondition(lambda self: any(item.roots for item in self.lists))
    @rule(
        number=st.integers(0, 100),
        round_=st.integers(0, 5),
        who=PERSON,
        caller=PERSON,
        part=st.sampled_from([0, 0, 1, 2, 3, 4]),
        twice=st.booleans(),
        seconds=SOON,
    )
    def claim_list(self, number, round_, who, caller, part, twice, seconds):
        """All, or thirds (the fourth is too much) of what is left, under any root; the same again is worth nothing."""
        place, item = self.pick_list(number)
        index = round_ % len(item.roots)
        root = item.roots[index]
        address = self.account(who)
        cumulative = root.amount_of(address)
        if cumulative is None:
            return
        left = max(0, cumulative - item.claimed.get(address, 0))
        asked = left * part // 3
        amount = min(left, asked or left)
        claim = (place + 1, index + 1, asked, root.made.leaf(address).as_tuple())
        functions = self.world.lists.functions
        call = functions.claimMany([claim, (*claim[:2], 0, claim[3])]) if twice else functions.claim(claim)
        if twice:
            amount = left

        def can() -> bool:
            shown = root.total == root.made.total and self.now >= root.accepted_at
            return shown and asked <= left and amount <= item.funds and (left > 0 or twice)

        if self.do(call, caller, seconds, succeeds=can):
            item.claimed[address] = item.claimed.get(address, 0) + amount
            item.funds -= amount
            self.money(item.token)[who] += amount

    @rule(number=st.integers(0, 100), caller=PERSON, surplus=st.booleans(), seconds=SOON)
    def take_from_list(self, number, caller, surplus, seconds):
        """The bond, for its proposer, by anyone; the surplus, by the opener."""
        place, item = self.pick_list(number)
        functions = self.world.lists.functions
        call = functions.takeSurplus(place + 1) if surplus else functions.takeBond(place + 1)
        can = lambda: not item.pending(self.now) and (caller == item.opener or not surplus)  # noqa: E731
        if not self.do(call, caller, seconds, succeeds=can):
            return
        if surplus:
            amount = item.surplus()
            item.funds -= amount
            self.money(item.token)[item.opener] += amount
        else:
            self.money(item.token)[item.proposer] += item.bonded
            item.bonded = 0

    # ---- reads

    @rule(
        token=TOKEN,
        payer=PERSON,
        sender=PERSON,
        amounts=st.tuples(st.integers(1, 1_000), st.integers(0, 5)),
        seconds=SOON,
    )
    def deposit(self, token, payer, sender, amounts, seconds):
        """For two operators at once, by anyone."""
        operators = [self.account(2), self.account(3)]
        call = self.world.payments.functions.depositForReads(
            self.token_of(token), self.account(payer), operators, list(amounts)
        )
        if self.do(call, sender, seconds, succeeds=True):
            for operator, amount in zip((2, 3), amounts, strict=True):
                self.deposits.setdefault((token, operator, payer), Deposit()).deposited += amount

    @precondition(lambda self: self.deposits)
    @rule(
        number=st.integers(0, 100),
        asked=st.lists(st.tuples(PERSON, st.integers(-3, 300)), min_size=1, max_size=3),
        caller=PERSON,
        seconds=SOON,
    )
    def redeem(self, number, asked, caller, seconds):
        """Newer and older vouchers of several payers, in any order: each is worth what it names beyond `redeemed`."""
        token, operator, _ = sorted(self.deposits)[number % len(self.deposits)]
        vouchers, paid, redeemed = [], 0, {}
        for payer, beyond in asked:
            held = self.deposits.get((token, operator, payer), Deposit())
            done = redeemed.get(payer, held.redeemed)
            cumulative = max(0, done + beyond)
            vouchers.append(self.world.voucher(token, operator, payer, cumulative))
            amount = max(0, min(cumulative, held.deposited) - done)
            redeemed[payer] = done + amount
            paid += amount
        call = self.world.payments.functions.redeem(self.token_of(token), self.account(operator), vouchers)
        if self.do(call, caller, seconds, succeeds=paid > 0):
            for payer, done in redeemed.items():
                if done:
                    self.deposits[token, operator, payer].redeemed = done
            self.money(token)[operator] += paid

    @precondition(lambda self: self.deposits)
    @rule(
        number=st.integers(0, 100),
        what=st.sampled_from(["announce", "announce", "cancel", "withdraw", "withdraw", "wait"]),
        seconds=SOON,
    )
    def withdraw_deposit(self, number, what, seconds):
        token, operator, payer = sorted(self.deposits)[number % len(self.deposits)]
        held = self.deposits[token, operator, payer]
        place = (self.token_of(token), self.account(operator))
        functions = self.world.payments.functions
        if what == "wait":
            self.now = max(self.now, held.withdrawable_at - 2)
        elif what == "announce":
            self.do(functions.announceWithdrawal(*place), payer, seconds, succeeds=True)
            held.withdrawable_at = self.now + NOTICE
        elif what == "cancel":
            self.do(functions.cancelWithdrawal(*place), payer, seconds, succeeds=True)
            held.withdrawable_at = 0
        else:
            can = lambda: 0 < held.withdrawable_at <= self.now  # noqa: E731
            if self.do(functions.withdrawDeposit(*place), payer, seconds, succeeds=can):
                self.money(token)[payer] += held.deposited - held.redeemed
                held.deposited, held.withdrawable_at = held.redeemed, 0

    # ---- invariants

    def owed_to_others(self, token: int) -> int:
        """Return what lists, deposits and contracts have of a token."""
        lists = sum(item.funds + item.bonded for item in self.lists if item.token == token)
        deposits = sum(item.deposited - item.redeemed for (each, *_), item in self.deposits.items() if each == token)
        return lists + deposits + (sum(self.plain.values()) if token == FAULTY else 0)

    def owed(self) -> int:
        return super().owed() + self.owed_to_others(FAULTY)

    @invariant()
    def every_account_is_the_ghosts(self):
        """I-M1, I-M2, I-C1, I-C2, I-Q1, in both tokens."""
        view, payments = self.world.view, self.world.payments
        honest = self.token_of(HONEST)
        expected: list[tuple[Any, ...]] = [
            (view(payments, "claimable", honest, self.account(person)), units)
            for person, units in enumerate(self.honest)
        ]
        for account, units in self.plain.items():
            expected.append((view(payments, "balanceOf", self.token_of(FAULTY), account), units))
        for place, item in enumerate(self.lists):
            for of_bond, units in ((False, item.funds), (True, item.bonded)):
                account = self.list_account(place, of_bond=of_bond)
                expected.append((view(payments, "balanceOf", self.token_of(item.token), account), units))
            for address, units in item.claimed.items():
                expected.append((view(self.world.lists, "claimed", place + 1, address), units))
        for (token, operator, payer), held in self.deposits.items():
            place = (self.token_of(token), self.account(operator), self.account(payer))
            expected.append((view(payments, "depositOf", *place), held.deposited, held.redeemed, held.withdrawable_at))
        all_honest = sum(self.honest) + self.owed_to_others(HONEST)
        expected.append((view(payments, "recorded", honest), all_honest))
        expected.append((view(self.world.honest, "balanceOf", payments.address), all_honest))
        said = self.world.ask([asked for asked, *_ in expected])
        for (asked, *words), found in zip(expected, said, strict=True):
            assert list(found) == words, asked


@pytest.fixture(scope="module")
def world(project, accounts):
    return WholeWorld(project, accounts)


def test_whole_ledger(world):
    """Runs the machine; `make explore` runs it longer."""

    class Machine(WholeLedger):
        pass

    Machine.world = world
    examples = settings().max_examples // 3 if settings().max_examples > 50 else 30
    run_state_machine_as_test(Machine, settings=settings(max_examples=examples, stateful_step_count=50))
