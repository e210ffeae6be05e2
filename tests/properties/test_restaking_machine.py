"""Restaking against an exact ghost, in any order of all that people can do, with misses that may take anything.

The ghost computes with Python's integers from the rules in IRestaking and docs/contracts/restaking.md. Checked:

- I-R1, I-R2: what is recorded of each token is the sum of all that is owed, and no more than is held;
- I-R3: allocations add up to at most the whole; I-R5: shares add up;
- I-R4: a slash takes at most what stood behind its shard, and lowers what stands behind no other;
- I-R6: nothing matures between a miss's report and its slash;
- I-R7: the rewards that lie in Payments are those booked and not claimed, to the unit; each restaker's part is exact.

Shards is a double that binds stake until any block and lets a miss take any amount: the real one is tested in
tests/contracts/test_shards.py.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field

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

DELAY, RESOLUTION, GUARDIAN_DELAY = 6, 2, 2
WHOLE = 10**18
SCALE = 10**27
PRICE_FLOOR = 2**20
MAX_ASSETS = 2**104 - 1
WEIGHTS = (10**18, 2 * 10**18)
MIN_BOND = 1
SHARDS = (1, 2)

PEOPLE = st.integers(0, 2)
OPERATORS = st.integers(0, 1)
TOKENS = st.integers(0, 1)
SHARD = st.sampled_from(SHARDS)
AMOUNTS = st.one_of(st.integers(0, 20), st.integers(0, 10**6), st.integers(0, 2**90))
STAKES = st.one_of(st.integers(1, 20), st.integers(1, 10**6), st.integers(1, 2**90))
#: Of what stands behind a shard: eighths, and units left over.
PARTS = st.tuples(*[st.tuples(st.sampled_from([0, 1, 3, 8, 8, 8, 9]), st.sampled_from([0, 0, 1, 5]))] * 2)
NUMBERS = st.integers(0, 100)
MOSTLY = st.sampled_from([True, True, True, False])
RARELY = st.sampled_from([0, 0, 0, 1])
MAGNITUDES = st.one_of(st.just(WHOLE), st.just(WHOLE // 2), st.integers(0, 10), st.integers(0, WHOLE))


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
        names = ("recorded", "balanceOf")
        self.selectors = {name: "0x" + keccak(text=f"{name}(address)")[:4].hex() for name in names}

        def plain(contract):
            abi = [item.model_dump(by_alias=True) for item in contract.contract_type.abi]
            return self.web3.eth.contract(address=contract.address, abi=abi)

        def deploy(name, *arguments):
            return plain(governor.deploy(getattr(project, name), *arguments))

        # alpha, beta, bond token, payment token
        self.tokens = [deploy("MintableToken") for _ in range(4)]
        self.directory = deploy("Directory", governor, self.guardian, 100)
        at = self.directory.address
        self.restaking = deploy("Restaking", at, DELAY, RESOLUTION, GUARDIAN_DELAY)
        self.payments = deploy("Payments", at)
        self.restaker_rewards = deploy("RestakerRewards", at, self.restaking.address, self.payments.address)
        operators = deploy("OperatorsDouble")
        weights = [
            {"token": token.address, "weightWad": weight} for token, weight in zip(self.tokens, WEIGHTS, strict=False)
        ]
        self.shards = deploy("ShardsDouble", len(SHARDS), self.audits, self.tokens[2].address, weights)
        modules = {
            "operators": operators.address,
            "shards": self.shards.address,
            "payments": self.payments.address,
            "restakerRewards": self.restaker_rewards.address,
            "rewards": self.rewards,
            "audits": self.audits,
        }
        self.governor = governor.address
        for name, module in modules.items():
            self.do(self.directory.functions.set(name32(name), module), self.governor)
        for token in self.tokens[:2]:
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
        recorded = {"to": at, "data": self.selectors["recorded"] + who[2:].rjust(64, "0")}
        held = {"to": who, "data": self.selectors["balanceOf"] + at[2:].rjust(64, "0")}
        return int(self.rpc("eth_call", recorded, "latest"), 16), int(self.rpc("eth_call", held, "latest"), 16)

    @property
    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)


@dataclass
class Pool:
    assets: int = 0
    shares: int = 0
    queued: int = 0
    whole: int = 0
    allocated: int = 0
    generation: int = 0

    def value(self, shares):
        return shares * (self.assets + 1) // (self.shares + 1)

    @property
    def counted(self):
        return self.value(self.shares - self.queued)

    def part(self, amount, magnitude):
        return amount * magnitude // self.whole if magnitude else 0


@dataclass
class Allocation:
    magnitude: int = 0
    queued: int = 0
    block: int = 0
    generation: int = 0


@dataclass
class Position:
    shares: int = 0
    generation: int = 0


@dataclass
class Withdrawal:
    person: str
    operator: int
    token: int
    shares: int
    generation: int
    block: int
    completed: bool = False


@dataclass
class Bond:
    amount: int = 0
    queued: int = 0
    block: int = 0


@dataclass
class Slash:
    operator: int
    shard: int
    epoch: int
    ready: int
    # shares of the operator's restakers when it was reported
    matured: int
    delayed: bool = False
    executed: bool = False


@dataclass
class Ghost:
    """All that Restaking should know. Keys: person (address), operator and token (indexes)."""

    free: dict = field(default_factory=lambda: defaultdict(int))
    pending: dict = field(default_factory=dict)
    pools: dict = field(default_factory=lambda: defaultdict(Pool))
    ended: dict = field(default_factory=dict)
    allocations: dict = field(default_factory=lambda: defaultdict(Allocation))
    positions: dict = field(default_factory=lambda: defaultdict(Position))
    withdrawals: list = field(default_factory=list)
    bonds: dict = field(default_factory=lambda: defaultdict(Bond))
    bound: dict = field(default_factory=lambda: defaultdict(int))
    found: dict = field(default_factory=lambda: defaultdict(int))
    terms: dict = field(default_factory=lambda: defaultdict(lambda: (0, 0, (0, 0))))
    slashes: list = field(default_factory=list)
    burnable: dict = field(default_factory=lambda: defaultdict(int))
    vacancies: int = 0
    # rewards, in 1/SCALE units
    per_share: dict = field(default_factory=lambda: defaultdict(int))
    carried: dict = field(default_factory=lambda: defaultdict(int))
    paid: dict = field(default_factory=lambda: defaultdict(int))
    owed: dict = field(default_factory=lambda: defaultdict(int))
    booked: int = 0
    claimed: int = 0

    def pool(self, operator, token, generation):
        current = self.pools[operator, token]
        return current if generation == current.generation else self.ended[operator, token, generation]

    def allocation(self, operator, token, shard):
        item = self.allocations[operator, token, shard]
        generation = self.pools[operator, token].generation
        if item.generation != generation:
            item = self.allocations[operator, token, shard] = Allocation(block=item.block, generation=generation)
        return item

    def behind(self, operator, token, shard, with_queued=False):
        item, pool = self.allocation(operator, token, shard), self.pools[operator, token]
        return pool.part(pool.counted, item.magnitude - (0 if with_queued else item.queued))

    def is_bound(self, operator, block):
        """Whether a roster binds the operator, as Restaking keeps it: what was found once stands until its block."""
        if block < self.found[operator]:
            return True
        if block < self.bound[operator]:
            self.found[operator] = self.bound[operator]
            return True
        return False

    def pending_slashes(self, operator):
        return sum(not item.executed for item in self.slashes if item.operator == operator)

    def recorded(self, token):
        """Sum of all that is owed in a token."""
        total = self.burnable[token]
        total += sum(amount for (_, kind), amount in self.free.items() if kind == token)
        total += sum(amount for (_, _, kind), (amount, _) in self.pending.items() if kind == token)
        total += sum(pool.assets for (_, kind), pool in self.pools.items() if kind == token)
        total += sum(pool.assets for (_, kind, _), pool in self.ended.items() if kind == token)
        if token == 2:
            total += sum(bond.amount for bond in self.bonds.values())
        return total

    def checkpoint(self, person, operator, token, generation):
        position = self.positions[person, operator, token]
        key = (person, operator, token)
        now = self.per_share[operator, token, position.generation]
        self.owed[key] += position.shares * (now - self.paid[key])
        self.paid[key] = self.per_share[operator, token, generation]

    def mature(self, person, operator, token):
        amount, _ = self.pending.pop((person, operator, token))
        pool = self.pools[operator, token]
        position = self.positions[person, operator, token]
        self.checkpoint(person, operator, token, pool.generation)
        if position.generation != pool.generation:
            if position.shares:
                old = self.ended[operator, token, position.generation]
                value = old.value(position.shares)
                old.assets -= value
                old.shares -= position.shares
                self.free[person, token] += value
            position.shares, position.generation = 0, pool.generation
        shares = amount * (pool.shares + 1) // (pool.assets + 1)
        pool.assets += amount
        pool.shares += shares
        position.shares += shares

    def slash_pool(self, operator, token, shard, amount):
        pool, item = self.pools[operator, token], self.allocation(operator, token, shard)
        taken = min(amount, pool.part(pool.assets, item.magnitude))
        if not taken:
            return 0
        left = pool.whole * (pool.assets - taken) // pool.assets
        lost = pool.whole - left
        pool.assets -= taken
        pool.whole = left
        pool.allocated -= lost
        item.magnitude -= lost
        item.queued = min(item.queued, item.magnitude)
        self.burnable[token] += taken
        if pool.assets * PRICE_FLOOR < pool.shares:
            self.ended[operator, token, pool.generation] = Pool(pool.assets, pool.shares, pool.queued)
            self.pools[operator, token] = Pool(generation=pool.generation + 1)
        return taken


class Restaking(RuleBasedStateMachine):
    """Rules try what the chain should do and what it should refuse; the ghost says which it is."""

    world: World

    def __init__(self):
        super().__init__()
        self.snapshot = self.world.rpc("evm_snapshot")
        self.ghost = Ghost()

    def teardown(self):
        try:
            self.check_everything()
        finally:
            self.world.rpc("evm_revert", self.snapshot)

    @property
    def block(self):
        """The block of the transaction that comes next."""
        return self.world.height + 1

    def person(self, number):
        """Restakers are two people and the first operator."""
        return self.world.people[number] if number < 2 else self.world.operators[0]

    def expect(self, good, name, *arguments, sender):
        """Call Restaking; success must be as the ghost says."""
        function = getattr(self.world.restaking.functions, name)(*arguments)
        assert self.world.send(function, sender) is bool(good), (name, arguments, good)
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

    # -- restakers

    @initialize(stakes=st.lists(st.tuples(PEOPLE, OPERATORS, TOKENS, STAKES), min_size=2, max_size=5))
    def begin(self, stakes):
        """Some stake and bond, allocated somewhere."""
        for person, operator, token, amount in stakes:
            self.deposit(person, token, amount)
            self.delegate(person, operator, token, -1)
            self.allocate(operator, token, SHARDS[amount % 2], WHOLE if amount % 3 else WHOLE // 3)
            self.post_bond(operator, SHARDS[amount % 2], amount)

    @rule(person=PEOPLE, token=st.integers(0, 2), amount=AMOUNTS)
    def deposit(self, person, token, amount):
        g, who = self.ghost, self.person(person)
        good = token < 2 and amount and g.recorded(token) + amount <= MAX_ASSETS
        if self.expect(good, "deposit", self.token(token), amount, sender=who):
            g.free[who, token] += amount

    @precondition(lambda self: any(self.ghost.free.values()))
    @rule(number=NUMBERS, part=st.integers(1, 4), more=RARELY)
    def withdraw(self, number, part, more):
        g = self.ghost
        who, token = self.choose((key for key, amount in g.free.items() if amount), number)
        amount = g.free[who, token] * part // 4 + more
        good = amount and amount <= g.free[who, token]
        if self.expect(good, "withdraw", self.token(token), amount, sender=who):
            g.free[who, token] -= amount

    @rule(person=PEOPLE, operator=OPERATORS, token=TOKENS, amount=st.one_of(AMOUNTS, st.just(-1)))
    def delegate(self, person, operator, token, amount):
        g, who, block = self.ghost, self.person(person), self.block
        if amount < 0:
            amount = g.free[who, token]
        elif amount > g.free[who, token] > 0 and amount % 5:
            amount %= g.free[who, token]
        good = amount and amount <= g.free[who, token]
        name = self.world.operators[operator]
        if not self.expect(good, "delegate", name, self.token(token), amount, sender=who):
            return
        g.free[who, token] -= amount
        waiting, _ = g.pending.get((who, operator, token), (0, 0))
        at_once = g.pending_slashes(operator) == 0 and not g.is_bound(operator, block)
        g.pending[who, operator, token] = (waiting + amount, block + (0 if at_once else DELAY))
        if at_once:
            g.mature(who, operator, token)

    @precondition(lambda self: self.ghost.pending)
    @rule(number=NUMBERS, patient=MOSTLY)
    def mature(self, number, patient):
        g = self.ghost
        who, operator, token = self.choose(g.pending, number)
        amount, matures = g.pending[who, operator, token]
        if patient:
            self.wait_until(matures)
        good = amount and self.block >= matures and g.pending_slashes(operator) == 0
        name = self.world.operators[operator]
        if self.expect(good, "mature", who, name, self.token(token), sender=self.world.reporter):
            g.mature(who, operator, token)

    @precondition(lambda self: any(item.shares for item in self.ghost.positions.values()))
    @rule(number=NUMBERS, part=st.integers(1, 4), more=RARELY)
    def undelegate(self, number, part, more):
        g, block = self.ghost, self.block
        who, operator, token = self.choose((key for key, item in g.positions.items() if item.shares), number)
        position = g.positions[who, operator, token]
        shares = position.shares * part // 4 + more
        good = shares and shares <= position.shares
        name = self.world.operators[operator]
        if not self.expect(good, "undelegate", name, self.token(token), shares, sender=who):
            return
        g.checkpoint(who, operator, token, position.generation)
        position.shares -= shares
        g.pool(operator, token, position.generation).queued += shares
        g.withdrawals.append(Withdrawal(who, operator, token, shares, position.generation, block))

    @precondition(lambda self: self.ghost.withdrawals)
    @rule(number=NUMBERS, patient=MOSTLY)
    def complete(self, number, patient):
        g = self.ghost
        number %= len(g.withdrawals) + 1
        good = number < len(g.withdrawals)
        if good:
            item = g.withdrawals[number]
            if patient:
                self.wait_until(max(item.block + DELAY, g.bound[item.operator]))
            block = self.block
            good = not item.completed and block >= item.block + DELAY and self.is_released(item.operator, block)
        if not self.expect(good, "completeWithdrawal", number + 1, sender=self.world.reporter):
            return
        item.completed = True
        pool = g.pool(item.operator, item.token, item.generation)
        amount = pool.value(item.shares)
        assert amount <= pool.assets
        pool.queued -= item.shares
        pool.shares -= item.shares
        pool.assets -= amount
        g.free[item.person, item.token] += amount

    def is_released(self, operator, block):
        return self.ghost.pending_slashes(operator) == 0 and self.ghost.bound[operator] <= block

    # -- operators

    @rule(operator=OPERATORS, token=TOKENS, shard=SHARD, magnitude=MAGNITUDES)
    def allocate(self, operator, token, shard, magnitude):
        g = self.ghost
        pool, item = g.pools[operator, token], g.allocation(operator, token, shard)
        whole = pool.whole if pool.allocated else WHOLE
        good = magnitude and magnitude <= whole - pool.allocated
        sender = self.world.operators[operator]
        if self.expect(good, "allocate", shard, self.token(token), magnitude, sender=sender):
            pool.whole = whole
            pool.allocated += magnitude
            item.magnitude += magnitude

    def allocated(self):
        """Keys of allocations that stand for something."""
        g = self.ghost
        return [key for key in list(g.allocations) if g.allocation(*key).magnitude]

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, part=st.integers(1, 4), more=RARELY)
    def deallocate(self, number, part, more):
        g, block = self.ghost, self.block
        operator, token, shard = self.choose(self.allocated(), number)
        item = g.allocation(operator, token, shard)
        magnitude = (item.magnitude - item.queued) * part // 4 + more
        good = magnitude and magnitude <= item.magnitude - item.queued
        sender = self.world.operators[operator]
        if self.expect(good, "deallocate", shard, self.token(token), magnitude, sender=sender):
            item.queued += magnitude
            item.block = block

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, patient=MOSTLY)
    def complete_deallocation(self, number, patient):
        g = self.ghost
        key = self.choose([k for k in self.allocated() if g.allocation(*k).queued], number)
        operator, token, shard = key or self.choose(self.allocated(), number)
        item = g.allocation(operator, token, shard)
        if patient:
            self.wait_until(max(item.block + DELAY, g.bound[operator]))
        good = item.queued and self.block >= item.block + DELAY and self.is_released(operator, self.block)
        name, sender = self.world.operators[operator], self.world.reporter
        if self.expect(good, "completeDeallocation", name, shard, self.token(token), sender=sender):
            g.pools[operator, token].allocated -= item.queued
            item.magnitude -= item.queued
            item.queued = 0

    @rule(operator=OPERATORS, shard=SHARD, amount=AMOUNTS)
    def post_bond(self, operator, shard, amount):
        g = self.ghost
        good = amount and g.recorded(2) + amount <= MAX_ASSETS
        if self.expect(good, "postBond", shard, amount, sender=self.world.operators[operator]):
            g.bonds[operator, shard].amount += amount

    @precondition(lambda self: self.ghost.bonds)
    @rule(number=NUMBERS, part=st.integers(1, 4), more=RARELY)
    def queue_bond(self, number, part, more):
        g, block = self.ghost, self.block
        operator, shard = self.choose(g.bonds, number)
        bond = g.bonds[operator, shard]
        amount = (bond.amount - bond.queued) * part // 4 + more
        good = amount and amount <= bond.amount - bond.queued
        if self.expect(good, "queueBondWithdrawal", shard, amount, sender=self.world.operators[operator]):
            bond.queued += amount
            bond.block = block

    @precondition(lambda self: self.ghost.bonds)
    @rule(number=NUMBERS, patient=MOSTLY)
    def complete_bond(self, number, patient):
        g = self.ghost
        key = self.choose([key for key, bond in g.bonds.items() if bond.queued], number)
        operator, shard = key or self.choose(g.bonds, number)
        bond = g.bonds[operator, shard]
        if patient:
            self.wait_until(max(bond.block + DELAY, g.bound[operator]))
        good = bond.queued and self.block >= bond.block + DELAY and self.is_released(operator, self.block)
        name = self.world.operators[operator]
        if self.expect(good, "completeBondWithdrawal", name, shard, sender=self.world.reporter):
            g.free[name, 2] += bond.queued
            bond.amount -= bond.queued
            bond.queued = 0

    # -- what Shards and Audits say

    @rule(operator=OPERATORS, blocks=st.integers(0, 12))
    def bind(self, operator, blocks):
        """A roster binds the operator for some blocks."""
        until = self.block + blocks
        self.world.do(self.world.shards.functions.setBound(self.world.operators[operator], until), self.world.governor)
        self.ghost.bound[operator] = until

    def set_terms(self, shard, bond, fee, amounts):
        """What a miss takes from now on."""
        call = self.world.shards.functions.setTerms(shard, bond, fee, list(amounts))
        self.world.do(call, self.world.governor)
        self.ghost.terms[shard] = (bond, fee, amounts)

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, epoch=st.integers(1, 9), parts=PARTS, bond=st.integers(0, 3), fee=AMOUNTS)
    def miss(self, number, epoch, parts, bond, fee):
        """Report a miss that takes none, some, all, all but dust, or more than all of what stands behind the shard."""
        g = self.ghost
        operator, _, shard = self.choose(self.allocated(), number)
        amounts = tuple(
            max(g.behind(operator, token, shard, with_queued=True) * share // 8 - dust, 0)
            for token, (share, dust) in enumerate(parts)
        )
        self.set_terms(shard, g.bonds[operator, shard].amount * bond // 2, fee, amounts)
        good = all((item.operator, item.shard, item.epoch) != (operator, shard, epoch) for item in g.slashes)
        sender, block = self.world.audits, self.block
        arguments = (shard, 1, self.world.operators[operator], epoch, self.world.reporter)
        if self.expect(good, "queueSlash", *arguments, sender=sender):
            matured = sum(p.shares for (_, o, _), p in g.positions.items() if o == operator)
            g.slashes.append(Slash(operator, shard, epoch, block + RESOLUTION, matured))

    def slash_id(self, item):
        return self.world.restaking.functions.slashId(
            item.shard, item.epoch, self.world.operators[item.operator]
        ).call()

    @precondition(lambda self: self.ghost.slashes)
    @rule(number=NUMBERS)
    def delay(self, number):
        item = self.choose(self.ghost.slashes, number)
        good = not item.delayed and not item.executed
        if self.expect(good, "delaySlash", self.slash_id(item), sender=self.world.guardian):
            item.delayed = True
            item.ready += GUARDIAN_DELAY

    @precondition(lambda self: self.ghost.slashes)
    @rule(number=NUMBERS, patient=MOSTLY)
    def execute(self, number, patient):
        due = [item for item in self.ghost.slashes if not item.executed]
        item = self.choose(due if patient and due else self.ghost.slashes, number)
        if patient:
            self.wait_until(item.ready)
        good = not item.executed and self.block >= item.ready
        before = {
            (token, shard): self.ghost.behind(item.operator, token, shard, with_queued=True)
            for token in (0, 1)
            for shard in SHARDS
        }
        waiting = dict(self.ghost.pending)
        if not self.expect(good, "executeSlash", self.slash_id(item), sender=self.world.reporter):
            return
        self.apply(item)
        for token in (0, 1):
            for shard in SHARDS:
                if shard != item.shard and before[token, shard]:
                    # I-R4; a pool that ends takes its allocations along, but then nothing was left for anyone
                    after = self.ghost.behind(item.operator, token, shard, with_queued=True)
                    ended = self.ghost.pools[item.operator, token].shares == 0
                    assert after >= before[token, shard] - 1 or ended
        assert waiting == self.ghost.pending

    def apply(self, item):
        g = self.ghost
        bond_slash, fee, amounts = g.terms[item.shard]
        bond = g.bonds[item.operator, item.shard]
        taken = min(bond_slash, bond.amount)
        reward = min(fee, taken // 2)
        bond.amount -= taken
        bond.queued = min(bond.queued, bond.amount)
        g.free[self.world.reporter, 2] += reward
        g.burnable[2] += taken - reward
        for token, amount in enumerate(amounts):
            pool = g.pools[item.operator, token]
            limit = pool.part(pool.assets, g.allocation(item.operator, token, item.shard).magnitude)
            assert g.slash_pool(item.operator, token, item.shard, amount) <= min(amount, limit)
        g.vacancies += bond.amount < MIN_BOND
        item.executed = True
        # I-R6: no more shares of the operator than when it was reported (they only leave meanwhile)
        matured = sum(p.shares for (_, o, _), p in g.positions.items() if o == item.operator)
        assert matured <= item.matured

    # -- rewards, burning

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, amount=AMOUNTS)
    def book(self, number, amount):
        """Rewards moves tokens into Restaking's account and books them."""
        g, w = self.ghost, self.world
        operator, _, shard = self.choose(self.allocated(), number)
        if amount:
            key = name32("any")
            token = self.token(3)
            w.do(w.payments.functions.collect(token, w.rewards, key, amount), w.rewards)
            w.do(w.payments.functions.move(token, key, w.inbox, amount), w.rewards)
        weights = [g.behind(operator, token, shard, with_queued=True) * WEIGHTS[token] for token in (0, 1)]
        name = w.operators[operator]
        w.do(w.restaker_rewards.functions.book(name, shard, self.token(3), amount), w.rewards)
        for token in (0, 1):
            if not weights[token]:
                continue
            part = amount * weights[token] // sum(weights)
            if not part:
                continue
            pool = g.pools[operator, token]
            shares = pool.shares - pool.queued
            scaled = part * SCALE + g.carried[operator, token]
            g.per_share[operator, token, pool.generation] += scaled // shares
            g.carried[operator, token] = scaled % shares
            g.booked += part

    def owed(self, key):
        """What a position has earned, in 1/SCALE units."""
        g = self.ghost
        _, operator, token = key
        position = g.positions[key]
        now = g.per_share[operator, token, position.generation]
        return g.owed[key] + position.shares * (now - g.paid[key])

    @precondition(lambda self: self.ghost.positions)
    @rule(number=NUMBERS, patient=MOSTLY)
    def claim(self, number, patient):
        g = self.ghost
        due = [key for key in list(g.positions) if self.owed(key) >= SCALE]
        key = self.choose(due if patient and due else g.positions, number)
        who, operator, token = key
        owed = self.owed(key)
        now = g.per_share[operator, token, g.positions[key].generation]
        name, sender = self.world.operators[operator], who
        call = self.world.restaker_rewards.functions.claim(name, self.token(token), self.token(3))
        claimed = self.world.send(call, sender)
        assert claimed is (owed >= SCALE)
        if claimed:
            g.paid[key] = now
            g.owed[key] = owed % SCALE
            g.claimed += owed // SCALE

    @precondition(lambda self: any(self.ghost.burnable.values()))
    @rule(token=st.integers(0, 2))
    def burn(self, token):
        if self.expect(self.ghost.burnable[token], "burn", self.token(token), sender=self.world.reporter):
            self.ghost.burnable[token] = 0

    # -- what usually comes one after the other

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, epoch=st.integers(1, 9), parts=PARTS, bond=st.integers(0, 3), fee=AMOUNTS)
    def slash(self, number, epoch, parts, bond, fee):
        """A miss is reported and carried out."""
        self.miss(number, epoch, parts, bond, fee)
        due = [item for item in self.ghost.slashes if not item.executed]
        if due:
            self.execute(len(due) - 1, patient=True)

    @rule(
        person=PEOPLE, operator=OPERATORS, token=TOKENS, amount=STAKES, blocks=st.integers(2, 9), missed=st.booleans()
    )
    def enter(self, person, operator, token, amount, blocks, missed):
        """Stake comes while a roster binds the operator, and matures, before or after a miss is settled."""
        self.bind(operator, blocks)
        self.deposit(person, token, amount)
        self.delegate(person, operator, token, -1)
        if missed and self.allocated():
            self.miss(operator, amount % 9 + 1, ((8, 1), (3, 0)), 1, 5)
        if self.ghost.pending:
            self.mature(len(self.ghost.pending) - 1, patient=True)

    @precondition(lambda self: any(item.shares for item in self.ghost.positions.values()))
    @rule(number=NUMBERS, part=st.integers(1, 4))
    def leave(self, number, part):
        """Stake is queued, and completed once it may be."""
        self.undelegate(number, part, 0)
        if self.ghost.withdrawals:
            self.complete(len(self.ghost.withdrawals) - 1, patient=True)

    @precondition(lambda self: self.allocated())
    @rule(number=NUMBERS, amount=AMOUNTS)
    def earn(self, number, amount):
        """A reward is booked, and claimed by two."""
        self.book(number, amount)
        if self.ghost.positions:
            self.claim(number, patient=True)
            self.claim(number + 1, patient=True)

    # -- strangers and time

    @rule(token=st.integers(0, 2))
    def donate(self, token):
        """A unit sent here changes nothing."""
        call = self.world.tokens[token].functions.transfer(self.world.restaking.address, 1)
        self.world.do(call, self.world.people[0])

    @rule(blocks=st.integers(1, 8))
    def wait(self, blocks):
        self.world.rpc("anvil_mine", hex(blocks))

    # -- invariants

    @invariant()
    def recorded_is_owed(self):
        """I-R1, I-R2."""
        for number in range(3):
            recorded, held = self.world.recorded_and_held(number)
            assert recorded == self.ghost.recorded(number) <= held

    @invariant()
    def sums(self):
        """I-R3, I-R5 and the conservation of rewards, in the ghost that the chain equals."""
        g = self.ghost
        for (operator, token), pool in g.pools.items():
            assert sum(g.allocation(operator, token, shard).magnitude for shard in SHARDS) == pool.allocated
            assert pool.allocated <= pool.whole <= WHOLE
            for generation in range(pool.generation + 1):
                queued = sum(
                    w.shares
                    for w in g.withdrawals
                    if (w.operator, w.token, w.generation) == (operator, token, generation) and not w.completed
                )
                shares = sum(
                    p.shares
                    for (_, o, t), p in g.positions.items()
                    if (o, t, p.generation) == (operator, token, generation)
                )
                found = g.pool(operator, token, generation)
                assert (found.shares, found.queued) == (shares + queued, queued)
        owed = sum(g.owed.values()) + sum(g.carried.values())
        owed += sum(
            p.shares * (g.per_share[o, t, p.generation] - g.paid[who, o, t]) for (who, o, t), p in g.positions.items()
        )
        assert owed == (g.booked - g.claimed) * SCALE

    def check_everything(self):
        """All of the chain's views equal the ghost's."""
        g, w = self.ghost, self.world
        view = w.restaking.functions
        everyone = [*w.people, *w.operators, w.reporter]
        for token in range(3):
            address = self.token(token)
            for person in everyone:
                assert view.freeBalance(person, address).call() == g.free[person, token]
            assert view.burnable(address).call() == g.burnable[token]
        for operator, name in enumerate(w.operators):
            assert view.pendingSlashes(name).call() == g.pending_slashes(operator)
            for shard in SHARDS:
                bond = g.bonds[operator, shard]
                assert view.bondState(name, shard).call()[:2] == [bond.amount, bond.queued]
                assert view.bondOf(name, shard).call() == bond.amount - bond.queued
            for token in range(2):
                address = self.token(token)
                pool = g.pools[operator, token]
                assert view.pool(name, address).call() == [pool.assets, pool.shares, pool.queued]
                for shard in SHARDS:
                    item = g.allocation(operator, token, shard)
                    whole = pool.whole if pool.allocated else WHOLE
                    expected = [item.magnitude, item.queued, pool.allocated, whole]
                    assert view.magnitudes(name, shard, address).call() == expected
                    assert view.stakeOf(name, shard, address).call() == g.behind(operator, token, shard)
                for number in range(3):
                    self.check_person(self.person(number), operator, token)
        rewards = w.payments.functions.balanceOf(self.token(3), w.booked).call()
        assert rewards == g.booked - g.claimed
        assert w.shards.functions.vacancies().call() == g.vacancies

    def check_person(self, who, operator, token):
        g, view = self.ghost, self.world.restaking.functions
        name, address = self.world.operators[operator], self.token(token)
        position = g.positions[who, operator, token]
        assert view.positionOf(who, name, address).call()[:2] == [position.shares, position.generation]
        assert view.pendingOf(who, name, address).call()[0] == g.pending.get((who, operator, token), (0, 0))[0]
        value = g.pool(operator, token, position.generation).value(position.shares)
        assert view.stakeValueOf(who, name, address).call() == value
        owed = self.owed((who, operator, token))
        claimable = self.world.restaker_rewards.functions.claimable
        assert claimable(who, name, address, self.token(3)).call() == owed // SCALE


@pytest.fixture(scope="module")
def world(project, accounts):
    return World(project, accounts)


@pytest.mark.slow
def test_restaking(world):
    """Any sequence of actions leaves chain and ghost equal."""

    class Machine(Restaking):
        pass

    Machine.world = world
    examples = settings().max_examples // 3 if settings().max_examples > 50 else 12
    run_state_machine_as_test(Machine, settings=settings(max_examples=examples, stateful_step_count=40))
