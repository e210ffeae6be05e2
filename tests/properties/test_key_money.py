"""The money of forced releases against an exact ghost, beside all else that happens to the licenses they are for.

The machine of `test_license_money.py` (sales, keys released, renewals, revocations, refunds, transfers, expiry, time)
goes on here over a whole system whose Keys has three keys of two assets. Licensees force releases, or try to; holders
answer, in time or not, rightly or not; anybody settles; persons, one of whom is a holder and a licensee, claim.

After every step, to the unit: what each person and each holder may claim; what lies in Keys' account in Payments, which
is what was prepaid for the releases that are not settled (I-K4); and all together is what is recorded (I-M2) and lies
there (I-M1). Of each release that is settled what the holders got and what went back is what was prepaid (I-K5). At the
end of a run everything is settled, and nothing is left in Keys' account. The ghost goes by what docs/contracts/keys.md
says: from contracts it has only who holds which place, and when the term ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cache

import pytest
from eth_abi import encode
from eth_utils import keccak, to_bytes
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from qanat.keys.release import LicenseeKey
from tests.contracts.keyholders import KeyWorld
from tests.contracts.licensing import EVALUATE, TRAIN, Market
from tests.contracts.system import ANSWER_FEE, SHARD, deploy_system, make_data
from tests.properties.test_license_money import DAY, FAR, License, LicenseMoney, World

#: Holders have time for more than one person's doings; the sum of both is the shard's.
WINDOW, SEALING_LIMIT = 20, SHARD["sealingLimit"] + SHARD["window"] - 20
#: (asset, places, threshold) of each key; the first two are key epochs of one asset. With a threshold of 1 all shares
#: would be the same, and one holder's answer another's.
KEYS = ((0, 4, 2), (0, 2, 2), (1, 3, 2))
#: What licensees ask with: x of P. The last is never forced.
SECRETS = (5, 7, 11, 13)
NEVER = len(SECRETS) - 1
SETTLED = keccak(text="ReleaseSettled(bytes32,uint256,uint256)").hex()
G1_BYTES = 96
PERSON = st.integers(0, 3)
#: Holders, too.
ANYBODY = st.integers(0, 6)
PLACES = st.sets(st.integers(0, 3))
NUMBER = st.integers(0, 100)
BRIEFLY = st.integers(1, 600)


@dataclass(frozen=True)
class Key:
    """A key in force; its asset is an index."""

    made: KeyWorld
    asset: int
    #: the account at each place
    holders: tuple[str, ...]

    @property
    def prepaid(self) -> int:
        return ANSWER_FEE * len(self.holders)


@dataclass
class Demand:
    """What the ghost knows of a forced release."""

    key: int
    license: int
    point: int
    #: who forced it, whoever has the license later
    payer: int
    #: the last block in which an answer counts
    deadline: int
    answered: set[int] = field(default_factory=set)
    settled: bool = False


class KeyMoneyWorld(World):
    """A whole system, an asset of each of two persons, three keys; the fourth person holds shares of them, too."""

    def __init__(self, project, accounts):
        token = accounts[0].deploy(project.MintableToken)
        periods = {"window": WINDOW, "sealingLimit": SEALING_LIMIT}
        system = deploy_system(project, accounts[0], accounts[8], paymentToken=token.address, **periods)
        system.payment_token = token
        operators = [*accounts[9:12], accounts[4]]
        self.people = [*accounts[1:5], *operators[:3]]
        system.enroll(operators, restaker=accounts[6])
        system.take_roster()
        for operator in operators:
            system.restaking.acceptSlasher(system.keys, sender=operator)
        self.holder = operators[0]
        parts = (system.directory, system.objects, system.operators, system.payments, system.assets, system.licenses)
        self.market = Market(*parts, token, accounts[0])

        self.web3 = accounts.provider.web3
        contracts = (system.licenses, system.payments, token, system.assets, system.keys)
        self.licenses, self.payments, self.token, self.nft, self.keys_contract = map(self.of, contracts)
        for person in self.people:
            token.mint(person, 2**200, sender=person)
            token.approve(system.payments, 2**256 - 1, sender=person)
        self.assets = [self.mint(system, number) for number in range(2)]
        #: what storage is paid with lies there, untouched
        self.fees = int(system.fees_left)
        self.make_secrets()
        self.keys = [self.make_key(system, *each) for each in KEYS]
        #: from this block on the roster's term ends in an epoch or less
        self.ends_at = self.end_of_forcing(system)
        self.account = keccak(
            encode(["address", "bytes32"], [system.keys.address, b"forced releases".ljust(32, b"\0")])
        )
        self.look()

    def of(self, contract):
        """Return web3's contract."""
        abi = [item.model_dump(by_alias=True) for item in contract.contract_type.abi]
        return self.web3.eth.contract(address=contract.address, abi=abi)

    def mint(self, system, number: int) -> int:
        """Store an object of a person's, and mint an asset of it."""
        stored = system.store(self.people[number], make_data(n=8, k=2, zeros=True, seed=number))
        system.assets.mint([stored], bytes(32), "ipfs://description", sender=self.people[number])
        return int(system.assets.count())

    def make_secrets(self) -> None:
        """What licensees ask with."""
        self.secrets = [LicenseeKey(scalar) for scalar in SECRETS]
        self.point_hashes = [keccak(secret.point) for secret in self.secrets]

    def end_of_forcing(self, system) -> int:
        """Return the first block in which nothing can be forced any more: what serves the keys ends soon."""
        (end,) = {key.made.record.endEpoch for key in self.keys}
        return int(system.shards.seedBlockOf(system.shard, end - 1))

    def make_key(self, system, asset: int, places: int, threshold: int) -> Key:
        made = KeyWorld(system, self.market, self.people[asset], None, self.assets[asset], 0, 0)
        made.put_in_force(places, threshold)
        return Key(made, asset, tuple(made.holders()))

    def mine(self, blocks: int, at: int) -> None:
        """Mine blocks, the last of them stamped `at`."""
        if blocks > 1:
            self.rpc("anvil_mine", hex(blocks - 1), "0x0")
        self.rpc("evm_setNextBlockTimestamp", at)
        self.rpc("evm_mine")
        self.now, self.block = at, self.block + blocks

    def names(self, key: int, license_id: int, point: int) -> tuple[int, int, int, bytes]:
        """Return what names a forced release."""
        made = self.keys[key].made
        return made.asset, made.epoch, license_id, self.point_hashes[point]

    @cache  # noqa: B019 - as long as the module
    def possession(self, point: int, person: int) -> tuple[bytes, int, int]:
        """Return P, and a person's proof that it is its own."""
        made = self.keys[0].made
        account = to_bytes(hexstr=self.people[person].address)
        proof = self.secrets[point].prove(self.web3.eth.chain_id, made.contract, account)
        return self.secrets[point].point, int.from_bytes(proof[:32], "big"), int.from_bytes(proof[32:], "big")

    @cache  # noqa: B019 - as long as the module
    def witness(self, key: int, place: int, point: int) -> bytes:
        """Return an honest holder's answer."""
        return self.keys[key].made.witness(place, self.secrets[point])

    def bad_witness(self, key: int, place: int, point: int, manner: str) -> bytes:
        """Return an answer that should not count: to another P, of another holder, with another one's E."""
        other = (place + 1) % len(self.keys[key].holders)
        if manner == "point":
            return self.witness(key, place, (point + 1) % len(SECRETS))
        if manner == "holder":
            return self.witness(key, other, point)
        right, foreign = self.witness(key, place, point), self.witness(key, other, point)
        return right[:G1_BYTES] + foreign[G1_BYTES : 2 * G1_BYTES] + right[2 * G1_BYTES :]


class KeyMoney(LicenseMoney):
    """Rules of licenses, and of the releases that are forced with them."""

    world: KeyMoneyWorld
    #: rules of licenses that change nothing about who may force what: `test_whole_ledger.py` has them
    withdraw = end_late = contest = donate = ask = None

    def __init__(self):
        super().__init__()
        self.demands: list[Demand] = []

    def teardown(self):
        try:
            self.settle_everything()
            self.check(enumerate(self.licenses, start=1))
        finally:
            self.undo()

    # ---- help

    @property
    def next_block(self) -> int:
        """The block of the next call."""
        return self.world.block + 1

    def mine(self, blocks: int) -> None:
        if blocks > 0:
            self.now = max(self.now, self.world.now) + 12 * blocks
            self.world.mine(blocks, self.now)

    def open_demands(self) -> list[Demand]:
        return [item for item in self.demands if not item.settled]

    def pick_demand(self, number: int, *, in_time: bool = False) -> Demand:
        """Return a demand, mostly one that is not settled, and may still be answered."""
        chosen = self.open_demands()
        if in_time:
            chosen = [item for item in chosen if self.next_block <= item.deadline] or chosen
        if not chosen or number % 5 == 0:
            chosen = self.demands
        return chosen[number % len(chosen)]

    def names(self, demand: Demand) -> tuple[int, int, int, bytes]:
        return self.world.names(demand.key, demand.license, demand.point)

    def release_id(self, demand: Demand) -> bytes:
        return keccak(encode(["uint256", "uint32", "uint256", "bytes32"], self.names(demand)))

    def entitles(self, item: License, caller: int, key: int) -> bool:
        """Whether a license is in force, of the key's asset, the caller's, and its release was recorded."""
        recorded = item.released_at is not None or item.offer.bps == 0
        return item.holds(caller, self.now) and recorded and item.offer.asset == self.world.keys[key].asset

    def may_force(self, license_id: int, caller: int, key: int, point: int) -> bool:
        known = any((each.key, each.license, each.point) == (key, license_id, point) for each in self.demands)
        item = self.licenses[license_id - 1]
        return self.entitles(item, caller, key) and not known and self.next_block < self.world.ends_at

    def demand(
        self, key: int, license_id: int, point: int, caller: int, seconds: int, *, proven=True, funded=True, answers=()
    ) -> None:
        """Force a release, or try to; holders answer what was forced."""
        epoch = self.world.keys[key].made.epoch
        prover = caller if proven else (caller + 1) % 4
        arguments = (license_id, *self.world.possession(point, prover))
        call = self.world.keys_contract.functions.force(self.world.keys[key].made.asset, epoch, *arguments)
        can = lambda: proven and funded and self.may_force(license_id, caller, key, point)  # noqa: E731
        if self.do(call, caller, seconds, succeeds=can):
            self.demands.append(Demand(key, license_id, point, caller, self.world.block + WINDOW))
            for place in sorted(answers):
                self.bring(self.demands[-1], place, caller, 1)

    # ---- forced releases

    def publish(self, **terms):
        """No rule here: three offers are enough."""
        super().publish(**terms)

    @initialize(answers=st.tuples(PLACES, PLACES, PLACES))
    def first_offer(self, answers):
        """A license of each asset, the first one's with a release that is recorded, and one more; three demands."""
        super().first_offer()
        self.publish(asset=1, price=50_021, purposes=EVALUATE, duration=300 * DAY, bps=0, seconds=1, transferable=True)
        self.publish(asset=0, price=0, purposes=TRAIN, duration=300 * DAY, bps=0, seconds=1, transferable=True)
        for number, buyer in enumerate((2, 3, 2)):
            self.buy(number, buyer, 0, 1)
        self.release(0, 1)
        for (key, license_id, caller), places in zip(((0, 1, 2), (2, 2, 3), (1, 3, 2)), answers, strict=True):
            self.demand(key, license_id, 0, caller, 1, answers=places)

    def candidates(self) -> list[tuple[int, int, int, int]]:
        """Return (key, license, point, licensee) of what may be forced now."""
        return [
            (key, license_id, point, item.holder)
            for license_id, item in enumerate(self.licenses, start=1)
            for key, point in itertools.product(range(len(KEYS)), range(NEVER))
            if self.may_force(license_id, item.holder, key, point)
        ]

    @precondition(lambda self: self.candidates())
    @rule(number=st.integers(0, 1_000), answers=PLACES, seconds=BRIEFLY)
    def force(self, number, answers, seconds):
        """As one may; holders answer at once, or don't."""
        candidates = self.candidates()
        self.demand(*candidates[number % len(candidates)], seconds, answers=answers)

    @precondition(lambda self: self.candidates())
    @rule(number=st.integers(0, 1_000), other=NUMBER, what=st.integers(0, 6), seconds=BRIEFLY)
    def force_wrongly(self, number, other, what, seconds):
        """As one may, but for one thing: who, with whose proof or which license, of what, again, without allowance."""
        candidates = self.candidates()
        key, license_id, point, holder = candidates[number % len(candidates)]
        if what == 0:
            self.demand(key, license_id, point, (holder + 1) % 4, seconds)
        elif what == 1:
            self.demand(key, license_id, point, holder, seconds, proven=False)
        elif what == 2:
            license_id = 1 + other % len(self.licenses)
            self.demand(key, license_id, point, self.licenses[license_id - 1].holder, seconds)
        elif what == 3:
            self.demand(other % len(KEYS), license_id, point, holder, seconds)
        elif what == 4:
            again = self.demands[other % len(self.demands)]
            holder = self.licenses[again.license - 1].holder
            self.demand(again.key, again.license, again.point, holder, seconds)
        else:
            payments = self.world.payments.address
            for allowance in (self.world.keys[key].prepaid - 1, 2**256 - 1):
                self.do(self.world.token.functions.approve(payments, allowance), holder, 1, succeeds=True)
                self.demand(key, license_id, point, holder, seconds, funded=allowance == 2**256 - 1)

    @precondition(lambda self: self.open_demands())
    @rule(number=NUMBER, to=st.integers(0, 4))
    def lose_the_license(self, number, to):
        """A license goes to somebody, or is revoked, after a release was forced with it: what was prepaid stays."""
        place = self.pick_demand(number).license - 1
        if to in range(4):
            self.pass_on(place, to, 1)
        else:
            self.revoke(place, 1, by_owner=True, breach=False)

    @precondition(lambda self: self.licenses)
    @rule(number=NUMBER, by_holder=st.booleans(), seconds=BRIEFLY)
    def release_for_oneself(self, number, by_holder, seconds):
        """A licensee records its release itself, as nobody else can without its signature."""
        license_id, item = self.pick(number)
        caller = item.holder if by_holder else (item.holder + 1) % 4
        arguments = (license_id, self.world.people[caller].address, bytes(32), FAR, b"")
        call = self.world.licenses.functions.recordRelease(*arguments)
        if self.do(call, caller, seconds, succeeds=lambda: by_holder and item.is_running(self.now)):
            self.release_now(item)

    @rule(
        number=NUMBER,
        place=st.integers(0, 4),
        manner=st.sampled_from(["", "", "", "point", "holder", "answer"]),
        caller=ANYBODY,
        seconds=BRIEFLY,
    )
    def answer(self, number, place, manner, caller, seconds):
        """Right or wrong, by whoever brings it, at a place that there is or is not."""
        self.bring(self.pick_demand(number, in_time=True), place, caller, seconds, manner)

    @precondition(lambda self: self.open_demands())
    @rule(
        number=NUMBER,
        first=st.integers(0, 3),
        but=st.sampled_from([0, 0, 0, 1, 2]),
        caller=ANYBODY,
        settles=st.sampled_from([True, True, False]),
    )
    def answer_many(self, number, first, but, caller, settles):
        """All that are missing, or some less, from one place on; settled at once, or not."""
        demand = self.pick_demand(number, in_time=True)
        places = len(self.world.keys[demand.key].holders)
        missing = [place % places for place in range(first, first + places) if place % places not in demand.answered]
        for place in missing[but:]:
            self.bring(demand, place, caller, 1)
        if settles:
            self.pay_out(demand, caller, 1)

    def bring(self, demand: Demand, place: int, caller: int, seconds: int, manner: str = "") -> None:
        """Bring an answer; it counts if it is right, and the first of its place, and in time."""
        places = len(self.world.keys[demand.key].holders)
        at = (demand.key, place % places, demand.point)
        witness = self.world.bad_witness(*at, manner) if manner else self.world.witness(*at)
        call = self.world.keys_contract.functions.answer(*self.names(demand), place, witness)

        def counts() -> bool:
            in_time = self.next_block <= demand.deadline
            return not manner and in_time and place < places and place not in demand.answered

        if self.do(call, caller, seconds, succeeds=counts):
            demand.answered.add(place)

    @rule(number=NUMBER, caller=ANYBODY, seconds=BRIEFLY, twice=st.booleans())
    def settle_release(self, number, caller, seconds, twice):
        """By anybody, too early or not, once."""
        demand = self.pick_demand(number)
        for _ in range(1 + twice):
            self.pay_out(demand, caller, seconds)

    def pay_out(self, demand: Demand, caller: int, seconds: int) -> None:
        """Settle: `answerFee` to the holder of each place that answered, the rest to who forced it."""
        key = self.world.keys[demand.key]
        call = self.world.keys_contract.functions.settle(*self.names(demand))

        def is_over() -> bool:
            return self.next_block > demand.deadline or len(demand.answered) == len(key.holders)

        if not self.do(call, caller, seconds, succeeds=lambda: not demand.settled and is_over()):
            return
        demand.settled = True
        accounts = [person.address for person in self.world.people]
        for place in demand.answered:
            self.balances[accounts.index(key.holders[place])] += ANSWER_FEE
        paid = ANSWER_FEE * len(demand.answered)
        self.balances[demand.payer] += key.prepaid - paid
        assert self.said_settled() == (self.release_id(demand), paid, key.prepaid - paid)

    def said_settled(self) -> tuple[bytes, int, int]:
        """Return what the last call logged of a settlement."""
        (log,) = (each for each in self.world.receipt["logs"] if each["topics"][0][2:] == SETTLED)
        data = bytes.fromhex(log["data"][2:])
        return bytes.fromhex(log["topics"][1][2:]), int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")

    @rule(license_id=st.integers(1, 40), key=st.integers(0, 2), answers=st.booleans(), caller=ANYBODY)
    def act_on_what_nobody_forced(self, license_id, key, answers, caller):
        functions, names = self.world.keys_contract.functions, self.world.names(key, license_id, NEVER)
        call = functions.answer(*names, 0, self.world.witness(key, 0, NEVER)) if answers else functions.settle(*names)
        self.do(call, caller, 1, succeeds=False)

    # ---- time

    @rule(blocks=st.sampled_from([1, 2, WINDOW, 2 * WINDOW]))
    def let_blocks_pass(self, blocks):
        self.mine(blocks)

    @precondition(lambda self: self.open_demands())
    @rule(number=NUMBER, late=st.booleans())
    def wait_for_a_deadline(self, number, late):
        """Let the next call's block be the last in which an answer counts, or the first after it."""
        self.mine(self.pick_demand(number).deadline + late - self.next_block)

    @precondition(lambda self: len(self.demands) > 3)
    @rule(rarely=st.integers(0, 3), before=st.integers(1, 3))
    def wait_for_the_terms_end(self, rarely, before):
        """Let one of the next calls be the first that comes too late to force anything."""
        if not rarely:
            self.mine(self.world.ends_at - before - self.next_block)

    # ---- claims

    @rule(person=ANYBODY, seconds=st.integers(1, 50), owed=st.sampled_from([True, True, True, False]))
    def claim(self, person, seconds, owed):
        """Holders, too; mostly somebody who is owed something."""
        creditors = [number for number, units in enumerate(self.balances) if units]
        if owed and creditors:
            person = creditors[person % len(creditors)]
        super().claim(person, seconds)

    # ---- invariants

    def in_keys(self) -> int:
        """Return what was prepaid for what is not settled."""
        return sum(self.world.keys[item.key].prepaid for item in self.open_demands())

    def owed(self) -> int:
        return super().owed() + self.world.fees + self.in_keys()

    @invariant()
    def what_is_prepaid_lies_there(self):
        """I-K4; and of the newest demands what the chain knows of them."""
        self.check_demands(self.demands[-2:])

    def check_demands(self, demands: list[Demand]) -> None:
        view, keys = self.world.view, self.world.keys_contract
        views = [view(self.world.payments, "balanceOf", self.world.token.address, self.world.account)]
        views += [view(keys, "releaseOf", self.release_id(item)) for item in demands]
        (held,), *records = self.world.ask(views)
        assert held == self.in_keys()
        for item, (payer, fee, deadline, _, answered, _, settled, _) in zip(demands, records, strict=True):
            assert payer == int(self.world.people[item.payer].address, 16)
            assert (fee, deadline) == (ANSWER_FEE, item.deadline)
            assert (answered, settled) == (sum(1 << place for place in item.answered), item.settled)

    def settle_everything(self) -> None:
        """When every deadline is past all that was prepaid goes to somebody: I-K5, nothing is left behind."""
        self.mine(max((item.deadline for item in self.open_demands()), default=0) - self.world.block)
        for demand in self.open_demands():
            self.pay_out(demand, 0, 1)
        self.check_demands(self.demands)
        assert self.in_keys() == 0


@pytest.fixture(scope="module")
def world(project, accounts):
    return KeyMoneyWorld(project, accounts)


def test_key_money(world):
    """Runs the machine; `make explore` runs it longer."""

    class Machine(KeyMoney):
        pass

    Machine.world = world
    examples = settings().max_examples // 3 if settings().max_examples > 50 else 15
    run_state_machine_as_test(Machine, settings=settings(max_examples=examples, stateful_step_count=50))
