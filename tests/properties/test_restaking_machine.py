"""Restaking and RestakerRewards beside the exact model, in any order of what people can do; misses may take anything.

After every step the model's and the chain's totals are compared, at the end everything. Checked on the way:

- I-R1, I-R2: what is recorded of each token is the sum of all that is owed, and no more than is held;
- I-R3: allocations, reserved ones too, add up to at most the whole; I-R5: shares add up;
- I-R4: a slash takes at most what stood behind its shard, and lowers what stands behind no other;
- I-R6: nothing matures, and no allocation is completed, between a miss's report and its slash;
- I-R7: the rewards that lie in Payments are those booked and not claimed, to the unit; each restaker's part is exact;
- I-R8, I-R9: the reporter gets at most half of the bond's part; one slash for a shard, an epoch and an operator.

Two of the four collaterals are hostile: each says that it moved and did not, returns false, reverts, keeps a fee, or
calls back, by what is open to anyone (a slash, too) or by what is guarded. As long as one is, pools and free balances
of the honest two are compared after every step: no hostile token changes anything of another.
Shards is a double that binds stake until any block and lets a miss take any amount: the real one is tested in
tests/contracts/test_shards.py.
"""

from __future__ import annotations

import sys
import time

import pytest
from eth_utils import keccak
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

from tests.properties.restaking_model import WHOLE, Model

DELAY, RESOLUTION, GUARDIAN_DELAY = 6, 2, 2
WEIGHTS = (10**18, 2 * 10**18, 3 * 10**18, 10**17)
MIN_BOND = 1
SHARDS = (1, 2)
COLLATERALS, HOSTILE, BOND, PAYMENT = range(4), (1, 3), 4, 5
HELD = (*COLLATERALS, BOND)
HONEST, SILENT, RETURNS_FALSE, REVERTS, KEEPS_FEE, CALLS_BACK = range(6)

PEOPLE = st.integers(0, 2)
OPERATORS = st.integers(0, 1)
TOKENS = st.sampled_from(COLLATERALS)
SHARD = st.sampled_from(SHARDS)
AMOUNTS = st.one_of(st.integers(0, 20), st.integers(0, 10**6), st.integers(0, 2**90))
STAKES = st.one_of(st.integers(1, 20), st.integers(1, 10**6), st.integers(1, 2**90))
#: Of what stands behind a shard: eighths, and units left over.
PARTS = st.tuples(
    *[st.tuples(st.sampled_from([0, 1, 3, 8, 8, 8, 9]), st.sampled_from([0, 0, 1, 5]))] * len(COLLATERALS)
)
NUMBERS = st.integers(0, 100)
MOSTLY = st.sampled_from([True, True, True, False])
RARELY = st.sampled_from([0, 0, 0, 1])
MAGNITUDES = st.one_of(st.just(WHOLE), st.just(WHOLE // 2), st.integers(0, 10), st.integers(0, WHOLE))
BAD_MOODS = st.sampled_from([SILENT, RETURNS_FALSE, REVERTS, KEEPS_FEE, CALLS_BACK, CALLS_BACK])
MOODS = st.sampled_from([HONEST] * 6 + [SILENT, RETURNS_FALSE, REVERTS, KEEPS_FEE, CALLS_BACK, CALLS_BACK])


def name32(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


class World:
    """Contracts and people, made once, spoken to without Ape: its bookkeeping takes most of a transaction's time."""

    def __init__(self, project, accounts):
        governor = accounts[0]
        self.people = [account.address for account in accounts[1:4]]
        self.operators = [account.address for account in accounts[4:6]]
        self.audits, self.rewards, self.reporter, self.guardian = (account.address for account in accounts[6:10])
        self.web3 = accounts.provider.web3
        names = ("recorded(address)", "balanceOf(address)", "pool(address,address)", "freeBalance(address,address)")
        self.selectors = {name.split("(")[0]: "0x" + keccak(text=name)[:4].hex() for name in names}

        def plain(contract, address=None):
            abi = [item.model_dump(by_alias=True) for item in contract.contract_type.abi]
            return self.web3.eth.contract(address=address or contract.address, abi=abi)

        def deploy(name, *arguments):
            return plain(governor.deploy(getattr(project, name), *arguments))

        kinds = ["MoodyToken" if number in HOSTILE else "MintableToken" for number in (*HELD, PAYMENT)]
        self.tokens = [deploy(name) for name in kinds]
        self.directory = deploy("Directory", governor, self.guardian, 100)
        at = self.directory.address
        self.restaking = deploy("Restaking", at, DELAY, RESOLUTION, GUARDIAN_DELAY)
        self.payments = deploy("Payments", at)
        self.restaker_rewards = deploy("RestakerRewards", at, self.restaking.address, self.payments.address)
        operators = deploy("OperatorsDouble")
        weights = [
            {"token": token.address, "weightWad": weight} for token, weight in zip(self.tokens, WEIGHTS, strict=False)
        ]
        self.shards = deploy("ShardsDouble", len(SHARDS), self.audits, self.tokens[BOND].address, weights)
        # the accounts that stand for Audits and Rewards count, and still send transactions (EIP-7702)
        counts = governor.deploy(project.CountsDouble)
        for account in (self.audits, self.rewards):
            self.rpc("anvil_setCode", account, "0xef0100" + counts.address[2:])
        self.answered, self.settled = plain(counts, self.audits), plain(counts, self.rewards)
        modules = {
            "operators": operators.address,
            "shards": self.shards.address,
            "payments": self.payments.address,
            "restakerRewards": self.restaker_rewards.address,
            "rewards": self.rewards,
            "audits": self.audits,
            "keys": self.payments.address,  # no key holder slashes here
        }
        self.governor = governor.address
        for name, module in modules.items():
            self.do(self.directory.functions.set(name32(name), module), self.governor)
        for token in self.tokens[: len(COLLATERALS)]:
            self.do(self.restaking.functions.listCollateral(token.address), self.governor)
        for operator in self.operators:
            self.do(operators.functions.put(operator, operator), self.governor)
        for token in self.tokens:
            for person in (*self.people, *self.operators, self.rewards):
                self.do(token.functions.mint(person, 2**200), self.governor)
                self.do(token.functions.approve(self.restaking.address, 2**256 - 1), person)
                self.do(token.functions.approve(self.payments.address, 2**256 - 1), person)
        account = self.payments.functions.moduleAccount
        self.inbox = account(self.restaker_rewards.address, name32("inbox")).call()
        self.booked = account(self.restaker_rewards.address, name32("booked")).call()

    def rpc(self, method, *parameters):
        answer = self.web3.provider.make_request(method, list(parameters))
        assert "error" not in answer, answer
        return answer["result"]

    def send(self, function, sender) -> bool:
        """Run a call in the next block; returns whether it succeeded."""
        data = function._encode_transaction_data()
        request = {"from": sender, "to": function.address, "data": data, "gas": hex(2_000_000)}
        transaction = self.rpc("eth_sendTransaction", request)
        while (receipt := self.rpc("eth_getTransactionReceipt", transaction)) is None:
            time.sleep(0.002)
        return int(receipt["status"], 16) == 1

    def do(self, function, sender) -> None:
        """Run a call that succeeds."""
        assert self.send(function, sender), function

    def recorded_and_held(self, token: int) -> tuple[int, int]:
        """Return what Restaking records and holds of a token, by raw calls: they are made after every step."""
        at, who = self.restaking.address, self.tokens[token].address
        return self.words(at, "recorded", who)[0], self.words(who, "balanceOf", at)[0]

    def words(self, at: str, name: str, *addresses: str) -> list[int]:
        """Return what a function answers, as numbers."""
        data = self.selectors[name] + "".join(address[2:].rjust(64, "0") for address in addresses)
        answer = self.rpc("eth_call", {"to": at, "data": data}, "latest")[2:]
        return [int(answer[start : start + 64], 16) for start in range(0, len(answer), 64)]

    @property
    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)


class Restaking(RuleBasedStateMachine):
    """Rules try what the chain should do and what it should refuse; the model says which it is."""

    world: World

    def __init__(self):
        super().__init__()
        # what is being handled around this run, if anything: Hypothesis repeats runs
        self.handled = sys.exc_info()[1]
        self.snapshot = self.world.rpc("evm_snapshot")
        self.model = Model(
            delay=DELAY,
            resolution=RESOLUTION,
            guardian_delay=GUARDIAN_DELAY,
            weights=dict(enumerate(WEIGHTS)),
            bond_token=BOND,
            minimum=MIN_BOND,
        )
        self.moods = dict.fromkeys(HOSTILE, HONEST)
        # token → what its calling back comes to in the model
        self.callbacks = dict.fromkeys(HOSTILE)
        # shard → (bond, fee, amounts) that a miss takes
        self.terms = {}
        # token → units here; operator → epochs answered, all but some of them settled
        self.held = dict.fromkeys(HELD, 0)
        self.epochs = dict.fromkeys(range(2), 0)

    def teardown(self):
        """Compare everything, unless a rule or an invariant failed: what that left would fail elsewhere again."""
        try:
            if sys.exc_info()[1] is self.handled:
                self.check_everything()
        finally:
            self.world.rpc("evm_revert", self.snapshot)

    # -- help

    @property
    def block(self):
        """The block of the transaction that comes next."""
        return self.world.height + 1

    def person(self, number):
        """Restakers are two people and the first operator."""
        return self.world.people[number] if number < 2 else self.world.operators[0]

    def who(self, key):
        """Return a model's key of a person as an address: operators are indexes there."""
        return self.world.operators[key] if isinstance(key, int) else key

    def key(self, number):
        """Return the model's key of a restaker."""
        return self.world.people[number] if number < 2 else 0

    def expect(self, good, name, *arguments, sender):
        """Call Restaking; success must be as the model says."""
        function = getattr(self.world.restaking.functions, name)(*arguments)
        assert self.world.send(function, self.who(sender)) is bool(good), (name, arguments, good)
        return good

    def token(self, number):
        return self.world.tokens[number].address

    def wait_until(self, block):
        """Mine so that the next transaction lies in `block`, if it doesn't yet lie there or later."""
        if self.block < block:
            self.world.rpc("anvil_mine", hex(block - self.block))

    @staticmethod
    def choose(found, number):
        """Return one of several; None if there is none."""
        found = list(found)
        return found[number % len(found)] if found else None

    def positions(self):
        """Keys of positions that have shares."""
        return [key for key, item in self.model.positions.items() if item.shares]

    def allocated(self, what="magnitude"):
        """(operator, token, shard) of allocations that stand for something, or wait."""
        keys = [(operator, token, shard) for operator in (0, 1) for token in COLLATERALS for shard in SHARDS]
        return [key for key in keys if getattr(self.model.allocation(*key), what)]

    def mood(self, token):
        return self.moods.get(token, HONEST)

    def arrives(self, token, amount):
        """Return what of a transfer to Restaking arrives there; None if the transfer fails."""
        mood = self.mood(token)
        if mood in (RETURNS_FALSE, REVERTS):
            return None
        if mood == SILENT:
            return 0
        return amount - (amount + 99) // 100 if mood == KEEPS_FEE else amount

    def leaves(self, token, amount):
        """Return what of a transfer from Restaking leaves it; None if the transfer fails."""
        mood = self.mood(token)
        if mood in (RETURNS_FALSE, REVERTS):
            return None
        return 0 if mood == SILENT else amount

    def call_back(self, token):
        """Let the model do what a token does in the middle of its transfer."""
        if self.mood(token) == CALLS_BACK and self.callbacks[token]:
            self.callbacks[token]()

    def bring(self, token, amount, take):
        """Let tokens come in: `take` tells the model of what arrives. Returns whether all of it succeeds.

        A token calls back in the middle, so what it does comes first, and counts only if the rest succeeds.
        """
        received = self.arrives(token, amount) if amount else None
        if received is None:
            return False
        self.call_back(token)
        if not take(received, self.held[token]):
            return False
        self.held[token] += received
        return True

    # -- the hostile tokens

    @rule(token=st.sampled_from(HOSTILE), mood=MOODS, number=NUMBERS)
    def change_mood(self, token, mood, number):
        """Say how the next transfers go. It calls back what is open to anyone, or what is guarded."""
        target, callback = self.guarded(number), None
        if mood == CALLS_BACK and number % 4:
            target, callback = self.open_to_anyone(number) or (target, None)
        data = target._encode_transaction_data()
        w = self.world
        w.do(w.tokens[token].functions.setMood(mood, w.restaking.address, data), w.governor)
        self.moods[token], self.callbacks[token] = mood, callback

    def guarded(self, number):
        """Return a call that no transfer may lead to, of another token."""
        view, honest = self.world.restaking.functions, self.token(0)
        calls = (
            view.burn(honest),
            view.deposit(honest, 1),
            view.withdraw(honest, 1),
            view.depositAndDelegate(self.world.operators[0], honest, 1),
            view.postBond(SHARDS[0], 1),
        )
        return calls[number % len(calls)]

    def open_to_anyone(self, number):
        """Return a call that anyone may make, of any token, and what the model makes of it; None if there is none."""
        m, w = self.model, self.world
        view, found = w.restaking.functions, []
        if m.pending:
            key = self.choose(m.pending, number)
            person, operator, token = key
            call = view.mature(self.who(person), w.operators[operator], self.token(token))
            found.append((call, lambda: m.mature(*key, self.block)))
        if m.withdrawals:
            item = number % len(m.withdrawals) + 1
            found.append((view.completeWithdrawal(item), lambda: m.complete_withdrawal(item, self.block)))
        due = [item for item in m.slashes if not item.executed]
        if due:
            slash = self.choose(due, number)
            found.append((view.executeSlash(self.slash_id(slash)), lambda: self.execute_in_model(slash)))
        return self.choose(found, number)

    def calm(self):
        """Let all tokens be honest."""
        for token in HOSTILE:
            if self.moods[token] != HONEST:
                self.change_mood(token, HONEST, 0)

    # -- restakers

    @initialize(stakes=st.lists(st.tuples(PEOPLE, OPERATORS, TOKENS, STAKES), min_size=2, max_size=5))
    def begin(self, stakes):
        """Some stake and bond, allocated somewhere."""
        for person, operator, token, amount in stakes:
            self.allocate(operator, token, SHARDS[amount % 2], WHOLE if amount % 3 else WHOLE // 3)
            self.deposit(person, token, amount)
            self.delegate(person, operator, token, -1)
            self.post_bond(operator, SHARDS[amount % 2], amount)

    def is_safe(self, token):
        """A callback in a call that fails would be undone: leave that to tests of single calls."""
        return self.mood(token) != CALLS_BACK or self.model.recorded[token] < 2**100

    @rule(person=PEOPLE, token=st.sampled_from(HELD), amount=AMOUNTS)
    def deposit(self, person, token, amount):
        m, who = self.model, self.key(person)
        if not self.is_safe(token):
            return
        good = token != BOND and self.bring(token, amount, lambda got, held: m.deposit(who, token, got, held))
        self.expect(good, "deposit", self.token(token), amount, sender=who)

    @rule(person=PEOPLE, operator=OPERATORS, token=TOKENS, amount=AMOUNTS)
    def deposit_and_delegate(self, person, operator, token, amount):
        m, who, block = self.model, self.key(person), self.block
        if not self.is_safe(token):
            return
        good = self.bring(
            token, amount, lambda got, held: m.deposit_and_delegate(who, operator, token, got, held, block)
        )
        name = self.world.operators[operator]
        self.expect(good, "depositAndDelegate", name, self.token(token), amount, sender=who)

    @precondition(lambda self: any(self.model.free.values()))
    @rule(number=NUMBERS, part=st.integers(1, 4), more=RARELY)
    def withdraw(self, number, part, more):
        m = self.model
        who, token = self.choose((key for key, amount in m.free.items() if amount), number)
        amount = m.free[who, token] * part // 4 + more
        left = self.leaves(token, amount)
        good = left is not None and m.withdraw(who, token, amount)
        if good:
            self.held[token] -= left
            # in the middle of its own withdrawal a token finds the withdrawal made
            self.call_back(token)
        self.expect(good, "withdraw", self.token(token), amount, sender=who)

    @rule(person=PEOPLE, operator=OPERATORS, token=TOKENS, amount=st.one_of(AMOUNTS, st.just(-1)))
    def delegate(self, person, operator, token, amount):
        m, who = self.model, self.key(person)
        free = m.free[who, token]
        if amount < 0:
            amount = free
        elif amount > free > 0 and amount % 5:
            amount %= free
        good = m.delegate(who, operator, token, amount, self.block)
        self.expect(good, "delegate", self.world.operators[operator], self.token(token), amount, sender=who)

    @precondition(lambda self: self.model.pending)
    @rule(number=NUMBERS, patient=MOSTLY)
    def mature(self, number, patient):
        m = self.model
        who, operator, token = self.choose(m.pending, number)
        if patient:
            self.wait_until(m.pending[who, operator, token][1])
        good = m.mature(who, operator, token, self.block)
        name = self.world.operators[operator]
        self.expect(good, "mature", self.who(who), name, self.token(token), sender=self.world.reporter)

    @rule(number=NUMBERS, person=PEOPLE, operator=OPERATORS, token=TOKENS)
    def cancel(self, number, person, operator, token):
        m = self.model
        who, operator, token = self.choose(m.pending, number) or (self.key(person), operator, token)
        good = m.cancel_delegation(who, operator, token)
        self.expect(good, "cancelDelegation", self.world.operators[operator], self.token(token), sender=who)

    @precondition(lambda self: self.positions())
    @rule(number=NUMBERS, part=st.integers(1, 4), more=RARELY, to=st.sampled_from([None, None, 0, 1]))
    def undelegate(self, number, part, more, to=None):
        """To a free balance, or to another operator."""
        m = self.model
        who, operator, token = self.choose(self.positions(), number)
        shares = m.positions[who, operator, token].shares * part // 4 + more
        good = m.undelegate(who, operator, token, shares, self.block, to)
        arguments = [self.world.operators[operator], self.token(token), shares]
        name = "undelegate"
        if to is not None:
            name = "redelegate"
            arguments.append(self.world.operators[to])
        self.expect(good, name, *arguments, sender=who)

    @precondition(lambda self: self.model.withdrawals)
    @rule(number=NUMBERS, patient=MOSTLY)
    def complete(self, number, patient):
        m = self.model
        number = number % (len(m.withdrawals) + 1) + 1
        if number <= len(m.withdrawals) and patient:
            item = m.withdrawals[number - 1]
            self.wait_until(max(item.block + DELAY, m.bound[item.operator]))
        good = m.complete_withdrawal(number, self.block)
        self.expect(good, "completeWithdrawal", number, sender=self.world.reporter)

    # -- operators

    @rule(operator=OPERATORS, token=TOKENS, shard=SHARD, magnitude=MAGNITUDES)
    def allocate(self, operator, token, shard, magnitude):
        good = self.model.allocate(operator, shard, token, magnitude, self.block)
        self.expect(good, "allocate", shard, self.token(token), magnitude, sender=operator)

    @precondition(lambda self: self.allocated("waiting"))
    @rule(number=NUMBERS, patient=MOSTLY)
    def complete_allocation(self, number, patient):
        operator, token, shard = self.choose(self.allocated("waiting"), number)
        if patient:
            self.wait_until(self.model.allocation(operator, token, shard).waiting_block + DELAY)
        good = self.model.complete_allocation(operator, shard, token, self.block)
        name = self.world.operators[operator]
        self.expect(good, "completeAllocation", name, shard, self.token(token), sender=self.world.reporter)

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, part=st.integers(1, 4), more=RARELY)
    def deallocate(self, number, part, more):
        m = self.model
        operator, token, shard = self.choose(self.allocated(), number)
        item = m.allocation(operator, token, shard)
        magnitude = (item.magnitude - item.queued) * part // 4 + more
        good = m.deallocate(operator, shard, token, magnitude, self.block)
        self.expect(good, "deallocate", shard, self.token(token), magnitude, sender=operator)

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, patient=MOSTLY)
    def complete_deallocation(self, number, patient):
        m = self.model
        operator, token, shard = self.choose(self.allocated("queued") or self.allocated(), number)
        if patient:
            self.wait_until(max(m.allocation(operator, token, shard).queued_block + DELAY, m.bound[operator]))
        good = m.complete_deallocation(operator, shard, token, self.block)
        name = self.world.operators[operator]
        self.expect(good, "completeDeallocation", name, shard, self.token(token), sender=self.world.reporter)

    @rule(operator=OPERATORS, shard=SHARD, amount=AMOUNTS)
    def post_bond(self, operator, shard, amount):
        good = self.bring(BOND, amount, lambda got, held: self.model.post_bond(operator, shard, got, held))
        self.expect(good, "postBond", shard, amount, sender=operator)

    @precondition(lambda self: self.model.bonds)
    @rule(number=NUMBERS, part=st.integers(1, 4), more=RARELY)
    def queue_bond(self, number, part, more):
        m = self.model
        operator, shard = self.choose(m.bonds, number)
        bond = m.bonds[operator, shard]
        amount = (bond.amount - bond.queued) * part // 4 + more
        good = m.queue_bond(operator, shard, amount, self.block)
        self.expect(good, "queueBondWithdrawal", shard, amount, sender=operator)

    @precondition(lambda self: self.model.bonds)
    @rule(number=NUMBERS, patient=MOSTLY)
    def complete_bond(self, number, patient):
        m = self.model
        queued = [key for key, bond in m.bonds.items() if bond.queued]
        operator, shard = self.choose(queued or m.bonds, number)
        if patient:
            self.wait_until(max(m.bonds[operator, shard].block + DELAY, m.bound[operator]))
        good = m.complete_bond(operator, shard, self.block)
        name = self.world.operators[operator]
        self.expect(good, "completeBondWithdrawal", name, shard, sender=self.world.reporter)

    # -- what Shards, Audits and Rewards say

    @rule(operator=OPERATORS, blocks=st.integers(0, 12))
    def bind(self, operator, blocks):
        """A roster binds the operator for some blocks."""
        until = self.block + blocks
        self.world.do(self.world.shards.functions.setBound(self.world.operators[operator], until), self.world.governor)
        self.model.bound[operator] = until

    @rule(operator=OPERATORS)
    def answer(self, operator):
        """The operator answers in another epoch, which is not settled yet."""
        w = self.world
        self.epochs[operator] += 1
        w.do(w.answered.functions.setAnswered(w.operators[operator], self.epochs[operator]), w.governor)
        self.model.unsettled.add(operator)

    @precondition(lambda self: self.model.unsettled)
    @rule()
    def settle(self):
        """All that was answered is settled."""
        w = self.world
        for operator in list(self.model.unsettled):
            call = w.settled.functions.setSettled(w.audits, w.operators[operator], self.epochs[operator])
            w.do(call, w.governor)
        self.model.unsettled.clear()

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, epoch=st.integers(1, 9), parts=PARTS, bond=st.integers(0, 3), fee=AMOUNTS)
    def miss(self, number, epoch, parts, bond, fee):
        """Report a miss that takes none, some, all, all but dust, or more than all of what stands behind the shard."""
        m, w = self.model, self.world
        operator, _, shard = self.choose(self.allocated(), number)
        amounts = tuple(
            max(m.slashable_of(operator, shard, token) * share // 8 - dust, 0)
            for token, (share, dust) in enumerate(parts)
        )
        self.terms[shard] = (m.bonds[operator, shard].amount * bond // 2, fee, amounts)
        w.do(w.shards.functions.setTerms(shard, *self.terms[shard][:2], list(amounts)), w.governor)
        code = w.shards.functions.missTermsCode(shard).call()
        w.rpc("anvil_setCode", w.shards.functions.missTermsOf(shard).call(), "0x" + code.hex())
        good = m.queue_slash(operator, shard, epoch, w.reporter, self.block)
        arguments = (shard, 1, w.operators[operator], epoch, w.reporter)
        self.expect(good, "queueSlash", *arguments, sender=w.audits)

    def slash_id(self, item):
        return self.world.restaking.functions.slashId(
            item.shard, item.epoch, self.world.operators[item.operator]
        ).call()

    @precondition(lambda self: self.model.slashes)
    @rule(number=NUMBERS)
    def delay(self, number):
        item = self.choose(self.model.slashes, number)
        self.expect(self.model.delay_slash(item), "delaySlash", self.slash_id(item), sender=self.world.guardian)

    def execute_in_model(self, item):
        bond_slash, fee, amounts = self.terms[item.shard]
        return self.model.execute_slash(item, bond_slash, fee, dict(enumerate(amounts)), self.block)

    @precondition(lambda self: self.model.slashes)
    @rule(number=NUMBERS, patient=MOSTLY)
    def execute(self, number, patient):
        m = self.model
        due = [item for item in m.slashes if not item.executed]
        item = self.choose(due if patient and due else m.slashes, number)
        if patient:
            self.wait_until(item.ready)
        keys = [(token, shard) for token in COLLATERALS for shard in SHARDS]
        before = {(token, shard): m.slashable_of(item.operator, shard, token) for token, shard in keys}
        pools = {token: len(m.pools[item.operator, token]) for token in COLLATERALS}
        bond_slash, _, amounts = self.terms[item.shard]
        free = m.free[self.world.reporter, BOND]
        good = self.execute_in_model(item)
        if not self.expect(good, "executeSlash", self.slash_id(item), sender=self.world.reporter):
            return
        # I-R8
        assert 2 * (m.free[self.world.reporter, BOND] - free) <= item.taken["bond"] <= bond_slash
        for token, shard in keys:
            if shard == item.shard:
                assert item.taken[token] <= min(before[token, shard], amounts[token])
            elif len(m.pools[item.operator, token]) == pools[token]:
                # I-R4; a pool that ends takes its allocations along, but then next to nothing was left for anyone
                assert m.slashable_of(item.operator, shard, token) >= before[token, shard]

    # -- rewards, burning

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, amount=AMOUNTS)
    def book(self, number, amount):
        """Rewards moves tokens into the inbox of RestakerRewards and books them."""
        w = self.world
        operator, _, shard = self.choose(self.allocated(), number)
        if amount:
            key, token = name32("any"), self.token(PAYMENT)
            w.do(w.payments.functions.collect(token, w.rewards, key, amount), w.rewards)
            w.do(w.payments.functions.move(token, key, w.inbox, amount), w.rewards)
        call = w.restaker_rewards.functions.book(w.operators[operator], shard, self.token(PAYMENT), amount)
        w.do(call, w.rewards)
        self.model.book(operator, shard, PAYMENT, amount)

    @precondition(lambda self: self.model.positions)
    @rule(number=NUMBERS, patient=MOSTLY)
    def claim(self, number, patient):
        m, w = self.model, self.world
        due = [key for key in list(m.positions) if m.earned(*key, PAYMENT) >= 1]
        who, operator, token = self.choose(due if patient and due else m.positions, number)
        amount = m.claim(who, operator, token, PAYMENT)
        call = w.restaker_rewards.functions.claim(w.operators[operator], self.token(token), self.token(PAYMENT))
        assert w.send(call, self.who(who)) is bool(amount)

    @precondition(lambda self: any(self.model.burnable.values()))
    @rule(token=st.sampled_from(HELD))
    def burn(self, token):
        m = self.model
        amount = m.burnable[token]
        left = self.leaves(token, amount)
        good = left is not None and m.burn(token)
        if good:
            self.held[token] -= left
            self.call_back(token)
        self.expect(good, "burn", self.token(token), sender=self.world.reporter)

    # -- what usually comes one after the other

    @rule(token=st.sampled_from(HOSTILE), mood=BAD_MOODS, number=NUMBERS, person=PEOPLE, amount=STAKES)
    def betray(self, token, mood, number, person, amount):
        """A token turns hostile, and is staked, delegated or taken back at once."""
        self.change_mood(token, mood, number)
        if number % 3:
            self.deposit(person, token, amount)
        else:
            self.deposit_and_delegate(person, number % 2, token, amount)
        if any(self.model.free.values()):
            self.withdraw(number, 2, 0)

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, epoch=st.integers(1, 9), parts=PARTS, bond=st.integers(0, 3), fee=AMOUNTS)
    def slash(self, number, epoch, parts, bond, fee):
        """A miss is reported and carried out."""
        self.miss(number, epoch, parts, bond, fee)
        due = [item for item in self.model.slashes if not item.executed]
        if due:
            self.execute(len(due) - 1, patient=True)

    @rule(
        person=PEOPLE, operator=OPERATORS, token=TOKENS, amount=STAKES, blocks=st.integers(2, 9), missed=st.booleans()
    )
    def enter(self, person, operator, token, amount, blocks, missed):
        """Stake comes while a roster binds the operator, and matures, before or after a miss is settled."""
        self.calm()
        self.bind(operator, blocks)
        self.deposit(person, token, amount)
        self.delegate(person, operator, token, -1)
        if missed and self.allocated():
            self.miss(operator, amount % 9 + 1, ((8, 1), (3, 0), (1, 0), (9, 5)), 1, 5)
        if self.model.pending:
            self.mature(len(self.model.pending) - 1, patient=True)

    @precondition(lambda self: self.positions())
    @rule(number=NUMBERS, part=st.integers(1, 4), to=st.sampled_from([None, 0, 1]))
    def leave(self, number, part, to):
        """Stake is queued, and completed once it may be."""
        self.undelegate(number, part, 0, to)
        if self.model.withdrawals:
            self.complete(len(self.model.withdrawals) - 1, patient=True)

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, amount=AMOUNTS)
    def earn(self, number, amount):
        """A reward is booked, and claimed by two."""
        self.book(number, amount)
        if self.model.positions:
            self.claim(number, patient=True)
            self.claim(number + 1, patient=True)

    # -- strangers and time

    @rule(token=st.sampled_from(HELD))
    def donate(self, token):
        """A unit sent here changes nothing."""
        self.calm()
        call = self.world.tokens[token].functions.transfer(self.world.restaking.address, 1)
        self.world.do(call, self.world.people[0])
        self.held[token] += 1

    @rule(blocks=st.integers(1, 8))
    def wait(self, blocks):
        self.world.rpc("anvil_mine", hex(blocks))

    # -- invariants

    @invariant()
    def totals(self):
        """I-R1 and I-R2 on the chain; all sums in the model that the chain equals."""
        for number in HELD:
            recorded, held = self.world.recorded_and_held(number)
            assert (recorded, held) == (self.model.recorded[number], self.held[number])
            assert recorded <= held
        self.model.check()

    @invariant()
    def others(self):
        """While a token is hostile, all that is kept of the honest ones is what the model says."""
        if set(self.moods.values()) == {HONEST}:
            return
        m, w = self.model, self.world
        at = w.restaking.address
        for token in set(COLLATERALS) - set(HOSTILE):
            for operator, name in enumerate(w.operators):
                pool = m.pool(operator, token)
                assert w.words(at, "pool", name, self.token(token)) == [pool.assets, pool.shares, pool.queued]
            for number in range(3):
                key = self.key(number)
                assert w.words(at, "freeBalance", self.who(key), self.token(token)) == [m.free[key, token]]

    def check_everything(self):
        """All of the chain's views equal the model's."""
        m, w = self.model, self.world
        view = w.restaking.functions
        for token in HELD:
            address = self.token(token)
            for key in (*w.people, 0, 1, w.reporter):
                assert view.freeBalance(self.who(key), address).call() == m.free[key, token]
            assert view.burnable(address).call() == m.burnable[token]
        for operator, name in enumerate(w.operators):
            assert view.pendingSlashes(name).call() == m.pending_slashes(operator)
            for shard in SHARDS:
                bond = m.bonds[operator, shard]
                assert view.bondState(name, shard).call()[:2] == [bond.amount, bond.queued]
                assert view.bondOf(name, shard).call() == bond.amount - bond.queued
            for token in COLLATERALS:
                self.check_pool(operator, token)
        for number, item in enumerate(m.withdrawals, start=1):
            found = view.withdrawal(number).call()
            to = "0x" + "00" * 20 if item.to is None else w.operators[item.to]
            assert (found[0], found[3], found[6], found[7]) == (self.who(item.person), item.shares, item.completed, to)
        rewards = w.payments.functions.balanceOf(self.token(PAYMENT), w.booked).call()
        assert rewards == m.booked[PAYMENT] - m.claimed[PAYMENT]
        assert w.payments.functions.balanceOf(self.token(PAYMENT), w.inbox).call() == 0
        assert w.shards.functions.vacancies().call() == m.vacancies

    def check_pool(self, operator, token):
        m, view, name, address = self.model, self.world.restaking.functions, self.world.operators[operator], None
        address = self.token(token)
        pool = m.pool(operator, token)
        assert view.pool(name, address).call() == [pool.assets, pool.shares, pool.queued]
        for shard in SHARDS:
            item = m.allocation(operator, token, shard)
            whole = pool.whole if pool.allocated else WHOLE
            expected = [item.magnitude, item.queued, pool.allocated, whole]
            assert view.magnitudes(name, shard, address).call() == expected
            assert view.waitingAllocation(name, shard, address).call()[0] == item.waiting
            assert view.stakeOf(name, shard, address).call() == m.stake_of(operator, shard, token)
            assert view.slashableOf(name, shard, address).call() == [m.slashable_of(operator, shard, token)] * 2
        for number in range(3):
            self.check_person(self.key(number), operator, token)

    def check_person(self, key, operator, token):
        m, view, who = self.model, self.world.restaking.functions, self.who(key)
        name, address = self.world.operators[operator], self.token(token)
        position = m.positions[key, operator, token]
        assert view.positionOf(who, name, address).call()[:2] == [position.shares, position.generation]
        waiting = list(m.pending.get((key, operator, token), (0, 0)))
        assert view.pendingOf(who, name, address).call() == waiting
        assert view.stakeValueOf(who, name, address).call() == m.stake_value(key, operator, token)
        claimable = self.world.restaker_rewards.functions.claimable(who, name, address, self.token(PAYMENT)).call()
        assert claimable == int(m.earned(key, operator, token, PAYMENT))


@pytest.fixture(scope="module")
def world(project, accounts):
    return World(project, accounts)


@pytest.mark.slow
def test_restaking(world):
    """Any sequence of actions leaves chain and model equal."""

    class Machine(Restaking):
        pass

    Machine.world = world
    examples = settings().max_examples // 3 if settings().max_examples > 50 else 12
    # the first failure is made short and told; searching others, each shortened too, takes minutes
    chosen = settings(max_examples=examples, stateful_step_count=40, report_multiple_bugs=False)
    run_state_machine_as_test(Machine, settings=chosen)
