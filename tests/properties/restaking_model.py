"""All stake and money of Restaking and RestakerRewards, computed exactly: what the contracts are compared with.

Shares, magnitudes and rewards are fractions; wherever a contract rounds, ``floor`` says so, and nothing else rounds.
The rules are those of IRestaking, IRestakerRewards and docs/contracts. A method that stands for a transaction returns
whether it succeeds, and changes something only if it does. Persons, operators, tokens and shards are whatever can be a
key.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

WHOLE = 10**18
SCALE = 10**27
MAX_ASSETS = 2**104 - 1
#: A share worth less than one part in this of a unit ends its pool's generation.
PRICE_FLOOR = 2**20


@dataclass
class Pool:
    """Shares of one (operator, token), in one generation."""

    assets: int = 0
    shares: int = 0
    queued: int = 0
    whole: int = 0
    allocated: int = 0

    @property
    def price(self) -> Fraction:
        """Units that a share is worth: one virtual share owns one virtual unit."""
        return Fraction(self.assets + 1, self.shares + 1)

    def value(self, shares: int) -> int:
        """Units that shares are worth, rounded down."""
        return floor(shares * self.price)

    @property
    def unqueued(self) -> int:
        """Shares that are counted and earn."""
        return self.shares - self.queued

    def part(self, amount: int, magnitude: int) -> int:
        """Return the part of an amount that a magnitude stands for, rounded down."""
        return floor(Fraction(amount * magnitude, self.whole)) if magnitude else 0

    def add(self, amount: int) -> int:
        """Take units in; return the shares for them, rounded down."""
        shares = floor(amount / self.price)
        self.assets += amount
        self.shares += shares
        return shares

    def remove(self, shares: int) -> int:
        """Take shares out; return the units for them, rounded down."""
        amount = self.value(shares)
        self.assets -= amount
        self.shares -= shares
        return amount


@dataclass
class Allocation:
    """Of one pool, to one shard."""

    magnitude: int = 0
    queued: int = 0
    queued_block: int = 0
    waiting: int = 0
    waiting_block: int = 0


@dataclass
class Position:
    """A restaker's shares of one pool, and what it has earned of each reward token."""

    shares: int = 0
    generation: int = 0
    paid: dict[Any, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    owed: dict[Any, Fraction] = field(default_factory=lambda: defaultdict(Fraction))


@dataclass
class Withdrawal:
    """Shares on their way out, to a free balance or to another operator."""

    person: Any
    operator: Any
    token: Any
    shares: int
    generation: int
    block: int
    to: Any = None
    completed: bool = False


@dataclass
class Bond:
    """An operator's own bond behind one shard."""

    amount: int = 0
    queued: int = 0
    block: int = 0


@dataclass
class Slash:
    """A reported miss."""

    operator: Any
    shard: Any
    epoch: int
    reporter: Any
    ready: int
    delayed: bool = False
    executed: bool = False
    # what it took: of the bond, and of each token
    taken: dict[Any, int] = field(default_factory=dict)


class Model:
    """Everything that Restaking and RestakerRewards know.

    `delay`, `resolution` and `guardian_delay` count blocks; `weights` maps collateral tokens to what a unit weighs
    (every shard's); `bond_token` and `minimum` are every shard's. What other contracts say is set from outside: `bound`
    (operator → block until which a roster binds it), `unsettled` (operators with answered epochs not settled).
    """

    def __init__(
        self,
        *,
        delay: int,
        resolution: int,
        guardian_delay: int,
        weights: dict[Any, int],
        bond_token: Any,
        minimum: int,
    ) -> None:
        self.delay, self.resolution, self.guardian_delay = delay, resolution, guardian_delay
        self.weights, self.bond_token, self.minimum = weights, bond_token, minimum
        self.bound: dict[Any, int] = defaultdict(int)
        self.unsettled: set[Any] = set()
        self.free: dict[Any, int] = defaultdict(int)
        # (amount, block from which on it can mature)
        self.pending: dict[Any, tuple[int, int]] = {}
        self.pools: dict[Any, list[Pool]] = defaultdict(lambda: [Pool()])
        self.allocations: dict[Any, Allocation] = defaultdict(Allocation)
        self.positions: dict[Any, Position] = defaultdict(Position)
        self.withdrawals: list[Withdrawal] = []
        self.bonds: dict[Any, Bond] = defaultdict(Bond)
        self.slashes: list[Slash] = []
        self.burnable: dict[Any, int] = defaultdict(int)
        self.recorded: dict[Any, int] = defaultdict(int)
        self.vacancies = 0
        # operators that ever let something stand behind a shard: of others a slash could take nothing
        self.behind: set[Any] = set()
        # block until which a roster bound an operator when that was last asked
        self._found: dict[Any, int] = defaultdict(int)
        # (operator, token, generation, reward token) → units per share; without the generation → units left over
        self.per_share: dict[Any, Fraction] = defaultdict(Fraction)
        self.carried: dict[Any, Fraction] = defaultdict(Fraction)
        self.reward_tokens: dict[Any, list[Any]] = defaultdict(list)
        self.booked: dict[Any, int] = defaultdict(int)
        self.claimed: dict[Any, int] = defaultdict(int)

    # -- what can be seen

    def pool(self, operator: Any, token: Any) -> Pool:
        """Return the current generation of a pool."""
        return self.pools[operator, token][-1]

    def allocation(self, operator: Any, token: Any, shard: Any) -> Allocation:
        """Return what of a pool's current generation is allocated to a shard."""
        return self.allocations[operator, token, len(self.pools[operator, token]), shard]

    def stake_of(self, operator: Any, shard: Any, token: Any) -> int:
        """Return the units that a snapshot would count."""
        pool, item = self.pool(operator, token), self.allocation(operator, token, shard)
        return pool.part(pool.value(pool.unqueued), item.magnitude - item.queued)

    def slashable_of(self, operator: Any, shard: Any, token: Any) -> int:
        """Return the units that a slash could take."""
        pool = self.pool(operator, token)
        return pool.part(pool.assets, self.allocation(operator, token, shard).magnitude)

    def earning_of(self, operator: Any, shard: Any, token: Any) -> int:
        """Return the units whose shares earn for a shard."""
        pool = self.pool(operator, token)
        return pool.part(pool.value(pool.unqueued), self.allocation(operator, token, shard).magnitude)

    def stake_value(self, person: Any, operator: Any, token: Any) -> int:
        """Return what a restaker's unqueued shares are worth."""
        position = self.positions[person, operator, token]
        return self.pools[operator, token][position.generation].value(position.shares)

    def earned(self, person: Any, operator: Any, token: Any, reward: Any) -> Fraction:
        """Return what a restaker has earned and not claimed, with the part of a unit that can't be paid yet."""
        position = self.positions[person, operator, token]
        now = self.per_share[operator, token, position.generation, reward]
        return position.owed[reward] + position.shares * (now - position.paid[reward])

    def pending_slashes(self, operator: Any) -> int:
        """Return how many reported misses are not carried out."""
        return sum(not item.executed for item in self.slashes if item.operator == operator)

    def owed_in(self, token: Any) -> int:
        """Return the sum of all that is owed in a token: what I-R1 says is recorded."""
        total = self.burnable[token]
        total += sum(amount for (_, kind), amount in self.free.items() if kind == token)
        total += sum(amount for (_, _, kind), (amount, _) in self.pending.items() if kind == token)
        total += sum(pool.assets for (_, kind), pools in self.pools.items() if kind == token for pool in pools)
        if token == self.bond_token:
            total += sum(bond.amount for bond in self.bonds.values())
        return total

    # -- restakers

    def receive(self, token: Any, received: int, held: int) -> bool:
        """Take tokens in: `received` arrive where `held` lay before."""
        if held < self.recorded[token] or received <= 0 or self.recorded[token] + received > MAX_ASSETS:
            return False
        self.recorded[token] += received
        return True

    def deposit(self, person: Any, token: Any, received: int, held: int) -> bool:
        """Take a deposit."""
        if token not in self.weights or not self.receive(token, received, held):
            return False
        self.free[person, token] += received
        return True

    def withdraw(self, person: Any, token: Any, amount: int) -> bool:
        """Pay free balance out."""
        if not 0 < amount <= self.free[person, token]:
            return False
        self.free[person, token] -= amount
        self.recorded[token] -= amount
        return True

    def delegate(self, person: Any, operator: Any, token: Any, amount: int, block: int) -> bool:
        """Delegate free balance."""
        if token not in self.weights or not 0 < amount <= self.free[person, token]:
            return False
        self.free[person, token] -= amount
        self._delegate(person, operator, token, amount, block)
        return True

    def deposit_and_delegate(
        self, person: Any, operator: Any, token: Any, received: int, held: int, block: int
    ) -> bool:
        """Take a deposit and delegate it."""
        if token not in self.weights or not self.receive(token, received, held):
            return False
        self._delegate(person, operator, token, received, block)
        return True

    def _delegate(self, person: Any, operator: Any, token: Any, amount: int, block: int) -> None:
        key = (person, operator, token)
        amount += self.pending.pop(key, (0, 0))[0]
        waits = self.pending_slashes(operator) != 0 or self._is_bound(operator, block)
        if waits or operator in self.unsettled:
            self.pending[key] = (amount, block + (self.delay if waits else 0))
        else:
            self._mature(person, operator, token, amount)

    def _is_bound(self, operator: Any, block: int) -> bool:
        """Tell whether a roster binds the operator; what was found once stands until its block."""
        if operator not in self.behind:
            return False
        if block < self._found[operator]:
            return True
        if block < self.bound[operator]:
            self._found[operator] = self.bound[operator]
            return True
        return False

    def cancel_delegation(self, person: Any, operator: Any, token: Any) -> bool:
        """Take back what has not matured."""
        if (person, operator, token) not in self.pending:
            return False
        self.free[person, token] += self.pending.pop((person, operator, token))[0]
        return True

    def mature(self, person: Any, operator: Any, token: Any, block: int) -> bool:
        """Turn a delegation into shares."""
        amount, matures = self.pending.get((person, operator, token), (0, 0))
        if not amount or block < matures or self.pending_slashes(operator) or operator in self.unsettled:
            return False
        del self.pending[person, operator, token]
        self._mature(person, operator, token, amount)
        return True

    def _mature(self, person: Any, operator: Any, token: Any, amount: int) -> None:
        position, pools = self.positions[person, operator, token], self.pools[operator, token]
        newest = len(pools) - 1
        self._note_shares(person, operator, token, newest)
        if position.generation != newest:
            if position.shares:
                self.free[person, token] += pools[position.generation].remove(position.shares)
            position.shares, position.generation = 0, newest
        position.shares += pools[newest].add(amount)

    def undelegate(self, person: Any, operator: Any, token: Any, shares: int, block: int, to: Any = None) -> bool:
        """Queue shares for withdrawal, or, with `to`, for redelegation."""
        position = self.positions[person, operator, token]
        if not 0 < shares <= position.shares:
            return False
        self._note_shares(person, operator, token, position.generation)
        position.shares -= shares
        self.pools[operator, token][position.generation].queued += shares
        self.withdrawals.append(Withdrawal(person, operator, token, shares, position.generation, block, to))
        return True

    def complete_withdrawal(self, number: int, block: int) -> bool:
        """Credit a queued withdrawal, or delegate it again; numbers begin at 1."""
        if not 0 < number <= len(self.withdrawals):
            return False
        item = self.withdrawals[number - 1]
        if item.completed or not self._is_released(item.operator, item.block, block):
            return False
        item.completed = True
        pool = self.pools[item.operator, item.token][item.generation]
        pool.queued -= item.shares
        amount = pool.remove(item.shares)
        if item.to is not None and amount:
            self._delegate(item.person, item.to, item.token, amount, block)
        else:
            self.free[item.person, item.token] += amount
        return True

    def _is_released(self, operator: Any, queued_block: int, block: int) -> bool:
        waited = block >= queued_block + self.delay
        return waited and not self.pending_slashes(operator) and self.bound[operator] <= block

    # -- operators

    def allocate(self, operator: Any, shard: Any, token: Any, magnitude: int, block: int) -> bool:
        """Reserve magnitude; at once behind the shard where the pool is empty."""
        pool, item = self.pool(operator, token), self.allocation(operator, token, shard)
        whole = pool.whole if pool.allocated else WHOLE
        if not 0 < magnitude <= whole - pool.allocated:
            return False
        self.behind.add(operator)
        pool.whole = whole
        pool.allocated += magnitude
        if pool.assets == 0:
            item.magnitude += magnitude
        else:
            item.waiting += magnitude
            item.waiting_block = block
        return True

    def complete_allocation(self, operator: Any, shard: Any, token: Any, block: int) -> bool:
        """Put what is reserved behind the shard."""
        item = self.allocation(operator, token, shard)
        if not item.waiting or block < item.waiting_block + self.delay or self.pending_slashes(operator):
            return False
        item.magnitude += item.waiting
        item.waiting = 0
        return True

    def deallocate(self, operator: Any, shard: Any, token: Any, magnitude: int, block: int) -> bool:
        """Queue magnitude for removal."""
        item = self.allocation(operator, token, shard)
        if not 0 < magnitude <= item.magnitude - item.queued:
            return False
        item.queued += magnitude
        item.queued_block = block
        return True

    def complete_deallocation(self, operator: Any, shard: Any, token: Any, block: int) -> bool:
        """Give queued magnitude back to the pool."""
        item = self.allocation(operator, token, shard)
        if not item.queued or not self._is_released(operator, item.queued_block, block):
            return False
        self.pool(operator, token).allocated -= item.queued
        item.magnitude -= item.queued
        item.queued = 0
        return True

    def post_bond(self, operator: Any, shard: Any, received: int, held: int) -> bool:
        """Take bond."""
        if not self.receive(self.bond_token, received, held):
            return False
        self.behind.add(operator)
        self.bonds[operator, shard].amount += received
        return True

    def queue_bond(self, operator: Any, shard: Any, amount: int, block: int) -> bool:
        """Queue bond for withdrawal."""
        bond = self.bonds[operator, shard]
        if not 0 < amount <= bond.amount - bond.queued:
            return False
        bond.queued += amount
        bond.block = block
        return True

    def complete_bond(self, operator: Any, shard: Any, block: int) -> bool:
        """Credit queued bond to its operator."""
        bond = self.bonds[operator, shard]
        if not bond.queued or not self._is_released(operator, bond.block, block):
            return False
        self.free[operator, self.bond_token] += bond.queued
        bond.amount -= bond.queued
        bond.queued = 0
        return True

    # -- slashes

    def queue_slash(self, operator: Any, shard: Any, epoch: int, reporter: Any, block: int) -> bool:
        """Report a miss: one per (shard, epoch, operator)."""
        if any((item.operator, item.shard, item.epoch) == (operator, shard, epoch) for item in self.slashes):
            return False
        self.slashes.append(Slash(operator, shard, epoch, reporter, block + self.resolution))
        return True

    def delay_slash(self, item: Slash) -> bool:
        """Let the guardian delay a slash."""
        if item.delayed or item.executed:
            return False
        item.delayed = True
        item.ready += self.guardian_delay
        return True

    def execute_slash(self, item: Slash, bond_slash: int, fee: int, amounts: dict[Any, int], block: int) -> bool:
        """Carry a slash out that takes so much of the bond, of which `fee` goes to the reporter, and of each token."""
        if item.executed or block < item.ready:
            return False
        bond = self.bonds[item.operator, item.shard]
        taken = min(bond_slash, bond.amount)
        reward = min(fee, taken // 2)
        bond.amount -= taken
        bond.queued = min(bond.queued, bond.amount)
        self.free[item.reporter, self.bond_token] += reward
        self.burnable[self.bond_token] += taken - reward
        item.taken = {"bond": taken}
        for token, amount in amounts.items():
            item.taken[token] = self._slash_pool(item.operator, token, item.shard, amount)
        self.vacancies += bond.amount < self.minimum
        item.executed = True
        return True

    def _slash_pool(self, operator: Any, token: Any, shard: Any, amount: int) -> int:
        pool, item = self.pool(operator, token), self.allocation(operator, token, shard)
        taken = min(amount, self.slashable_of(operator, shard, token))
        if not taken:
            return 0
        left = floor(Fraction(pool.whole * (pool.assets - taken), pool.assets))
        lost = pool.whole - left
        pool.assets -= taken
        pool.whole = left
        pool.allocated -= lost
        item.magnitude -= lost
        item.queued = min(item.queued, item.magnitude)
        self.burnable[token] += taken
        if pool.shares and Fraction(pool.assets, pool.shares) < Fraction(1, PRICE_FLOOR):
            self.pools[operator, token].append(Pool())
        return taken

    def burn(self, token: Any) -> bool:
        """Send away what is to be burned."""
        if not self.burnable[token]:
            return False
        self.recorded[token] -= self.burnable[token]
        self.burnable[token] = 0
        return True

    # -- rewards

    def _note_shares(self, person: Any, operator: Any, token: Any, generation: int) -> None:
        position = self.positions[person, operator, token]
        for reward in self.reward_tokens[operator, token]:
            position.owed[reward] = self.earned(person, operator, token, reward)
            position.paid[reward] = self.per_share[operator, token, generation, reward]

    def book(self, operator: Any, shard: Any, reward: Any, amount: int) -> int:
        """Share a reward; return what could not be shared."""
        weights = {token: self.earning_of(operator, shard, token) * weight for token, weight in self.weights.items()}
        unshared = amount
        for token, weight in weights.items():
            if not weight:
                continue
            part = floor(Fraction(amount * weight, sum(weights.values())))
            listed = self.reward_tokens[operator, token]
            if not part or (reward not in listed and len(listed) == 4):
                continue
            if reward not in listed:
                listed.append(reward)
            shares = self.pool(operator, token).unqueued
            whole = part + self.carried[operator, token, reward]
            each = Fraction(floor(whole / shares * SCALE), SCALE)
            self.per_share[operator, token, len(self.pools[operator, token]) - 1, reward] += each
            self.carried[operator, token, reward] = whole - each * shares
            unshared -= part
        self.booked[reward] += amount - unshared
        return unshared

    def claim(self, person: Any, operator: Any, token: Any, reward: Any) -> int:
        """Pay the whole units that a restaker has earned; returns how many (none: refused)."""
        owed = self.earned(person, operator, token, reward)
        if floor(owed) == 0:
            return 0
        position = self.positions[person, operator, token]
        position.paid[reward] = self.per_share[operator, token, position.generation, reward]
        position.owed[reward] = owed - floor(owed)
        self.claimed[reward] += floor(owed)
        return floor(owed)

    # -- invariants

    def check(self) -> None:
        """Check I-R1, I-R3, I-R5, I-R7 (with remainders: booked = claimed + earned + carried) and I-R9."""
        for token in {*self.recorded, *self.weights, self.bond_token}:
            assert self.recorded[token] == self.owed_in(token)
        reserved: dict[Any, int] = defaultdict(int)
        for (operator, token, generation, _), item in self.allocations.items():
            if generation == len(self.pools[operator, token]):
                reserved[operator, token] += item.magnitude + item.waiting
            assert 0 <= item.queued <= item.magnitude
        shares: dict[Any, int] = defaultdict(int)
        queued: dict[Any, int] = defaultdict(int)
        for (_, operator, token), position in self.positions.items():
            shares[operator, token, position.generation] += position.shares
        for withdrawal in self.withdrawals:
            if not withdrawal.completed:
                queued[withdrawal.operator, withdrawal.token, withdrawal.generation] += withdrawal.shares
        for (operator, token), pools in self.pools.items():
            assert reserved[operator, token] == pools[-1].allocated <= pools[-1].whole <= WHOLE
            for generation, pool in enumerate(pools):
                key = (operator, token, generation)
                assert (pool.queued, pool.shares) == (queued[key], shares[key] + queued[key])
        for reward, booked in self.booked.items():
            earned = sum(self.earned(*key, reward) for key in list(self.positions))
            carried = sum(amount for (_, _, kind), amount in self.carried.items() if kind == reward)
            assert booked == self.claimed[reward] + earned + carried
        keys = [(item.operator, item.shard, item.epoch) for item in self.slashes]
        assert len(keys) == len(set(keys))
