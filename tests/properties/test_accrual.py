"""Difference arrays against a model that knows every slice: what is held, listed, earned, returned, to the unit.

A life is a few epochs, in each of which objects are opened, certified with some signatures missing or left to fail,
rows are adopted, objects extended and terminated, the epoch is sealed or not, some answer and some don't, and everybody
settles (I-M26, I-M27). The model keeps one entry per slice and epoch, with its holder, and knows none of the
contracts' sums.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest
from ape import chain
from eth_utils import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.reverts import reverts_with
from tests.contracts.system import deploy_system, make_data

COMMISSION_BPS, TO_PAYER_BPS, SEALER_BPS, BPS = 2_500, 6_000, 50, 10_000
#: Somebody whom all sealings name, and nothing else pays.
SEALER = "0x00000000000000000000000000000000005ea1e4"
#: (n, k, matrices) of objects; tickets of the six operators by roster index are only known from the chain: 7 in all.
SHAPES = [(7, 2, 1), (7, 3, 3), (14, 4, 2)]


@pytest.fixture(scope="module")
def system(project, accounts):
    """Six operators, seven tickets."""
    made = deploy_system(project, accounts[0], accounts[5])
    made.enroll(accounts[9:15], tickets=[2, 1, 1, 1, 1, 1], commission_bps=COMMISSION_BPS, restaker=accounts[6])
    made.take_roster()
    return made


@pytest.fixture(scope="module")
def owner(accounts):
    """Return who stores."""
    return accounts[1]


@dataclass
class Model:
    """Slices by (object, epoch, holder), and what everyone is owed."""

    tickets: dict[str, int]
    #: (object id, epoch, operator) → slices that it signed for and holds then
    slices: dict[tuple[bytes, int, str], int] = field(default_factory=lambda: defaultdict(int))
    #: the same of those that nobody signed for: paid, and going back
    unsigned: dict[tuple[bytes, int, str], int] = field(default_factory=lambda: defaultdict(int))
    row_fee: dict[bytes, int] = field(default_factory=dict)
    #: first epoch and first one after the last
    lives: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    absent: dict[bytes, set[str]] = field(default_factory=dict)
    #: nobody adopts any more; ended early
    settled: set[bytes] = field(default_factory=set)
    terminated: set[bytes] = field(default_factory=set)
    paid: int = 0
    owner: int = 0
    repair: int = 0
    sealer: int = 0
    earned: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def holder_of(self, object_id: bytes, row: int) -> str:
        """Return who holds a row: the tickets lie one after the other, as the roster lists its operators."""
        total = sum(self.tickets.values())
        ticket = (int.from_bytes(keccak(object_id), "big") + row) % total
        for operator, count in self.tickets.items():
            if ticket < count:
                return operator
            ticket -= count
        raise LookupError(row)

    def certify(self, object_id, data, first, epochs, absent, row_fee, intake) -> None:
        self.row_fee[object_id] = row_fee
        self.lives[object_id] = (first, first + epochs)
        self.absent[object_id] = set(absent)
        for index in range(data.n * data.matrices):
            holder = self.holder_of(object_id, index % data.n)
            for epoch in range(first, first + epochs):
                (self.unsigned if holder in absent else self.slices)[object_id, epoch, holder] += 1
        signed = sum(count for operator, count in self.tickets.items() if operator not in absent)
        for operator, count in self.tickets.items():
            if operator not in absent:
                self.earned[operator] += intake // signed * count
        self.repair += intake % signed

    def is_adoptable(self, object_id: bytes, epoch: int) -> bool:
        """Whether who did not sign may still take its rows, from this epoch on."""
        first, end = self.lives[object_id]
        return object_id not in self.settled and bool(self.absent[object_id]) and epoch <= first + 1 and epoch < end

    def adopt(self, object_id: bytes, epoch: int, operator: str) -> None:
        self.absent[object_id].remove(operator)
        for name, when, who in list(self.unsigned):
            if (name, who) == (object_id, operator) and when >= epoch:
                self.slices[name, when, who] = self.unsigned.pop((name, when, who))

    def extend(self, object_id: bytes, epochs: int) -> None:
        self.settled.add(object_id)
        first, end = self.lives[object_id]
        for (name, when, who), count in list(self.slices.items()):
            if (name, when) == (object_id, end - 1):
                for later in range(end, end + epochs):
                    self.slices[name, later, who] = count
                    self.paid += count * self.row_fee[name]
        self.lives[object_id] = (first, end + epochs)

    def terminate(self, object_id: bytes, end: int) -> None:
        self.settled.add(object_id)
        self.terminated.add(object_id)
        for name, when, who in list(self.slices):
            if name == object_id and when >= end:
                self.owner += self.slices.pop((name, when, who)) * self.row_fee[name]
        self.lives[object_id] = (self.lives[object_id][0], end)

    def held(self, epoch: int, operator: str) -> int:
        return sum(count for (_, when, who), count in self.slices.items() if (when, who) == (epoch, operator))

    def fee(self, epoch: int, operator: str) -> int:
        return sum(
            count * self.row_fee[name]
            for (name, when, who), count in self.slices.items()
            if (when, who) == (epoch, operator)
        )

    def objects_in(self, epoch: int) -> set[bytes]:
        return {name for name, when, _ in self.slices if when == epoch}


stores = st.fixed_dictionaries(
    {
        "shape": st.sampled_from(SHAPES),
        "epochs": st.integers(1, 3),
        "absent": st.sets(st.integers(0, 5), max_size=2),
        "fails": st.booleans(),
        "wait": st.integers(0, 12),
    }
)
changes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["adopt", "adopt", "extend", "terminate"]),
        "object": st.integers(0, 3),
        "epochs": st.integers(1, 4),
        "wait": st.sampled_from([0, 0, 9, 18]),
    }
)
rounds = st.fixed_dictionaries(
    {
        "stores": st.lists(stores, max_size=2),
        "changes": st.lists(changes, max_size=3),
        "sealed": st.sampled_from([True, True, False]),
        "quiet": st.sets(st.integers(0, 5), max_size=3),
        "rolls": st.booleans(),
    }
)


class Life:
    """Plays rounds on the chain and in the model."""

    def __init__(self, system, owner) -> None:
        self.system, self.owner = system, owner
        self.members = [item.account for item in system.members_of(1)]
        tickets = {item.address: system.shards.rosterEntry(1, 1, i).tickets for i, item in enumerate(self.members)}
        self.model = Model(tickets)
        self.failing: list[bytes] = []
        self.certified: list[bytes] = []
        self.open_epochs: list[tuple[int, dict]] = []
        self.next = system.epoch + 1

    def store(self, plan) -> None:
        n, k, matrices = plan["shape"]
        data = make_data(n=n, k=k, matrices=matrices, zeros=True)
        chosen = sorted(plan["absent"])
        while sum(self.model.tickets[self.members[i].address] for i in chosen) > 2:
            chosen.pop()
        storage, intake, _ = self.system.objects.quote(self.system.request(data, epochs=plan["epochs"]))
        object_id = self.system.open(self.owner, data, epochs=plan["epochs"])
        self.model.paid += storage + intake
        if plan["fails"]:
            self.failing.append(object_id)
            self.model.owner += storage
            self.model.repair += intake
            return
        if plan["wait"]:
            chain.mine(plan["wait"])
        self.system.certify(object_id, chosen)
        self.certified.append(object_id)
        record = self.system.objects.record(object_id)
        absent = {self.members[i].address for i in chosen}
        self.model.certify(object_id, data, record.firstEpoch, plan["epochs"], absent, record.rowFee, record.intakeFee)

    def change(self, plan) -> None:
        """Change an object, or see that it is refused, as the model says."""
        if not self.certified:
            return
        if plan["wait"]:
            chain.mine(plan["wait"])
        system, model = self.system, self.model
        object_id = self.certified[plan["object"] % len(self.certified)]
        first, end = model.lives[object_id]
        epoch = system.shards.firstEpochAfter(1, chain.blocks.height + 1)
        adoptable = model.is_adoptable(object_id, epoch)
        if plan["kind"] == "adopt":
            if not model.absent[object_id]:
                return
            seat = system.absent_in(object_id, 2**32)[-1]
            with nullcontext() if adoptable else reverts_with(system.objects.AdoptionOver, objectId=object_id):
                system.adopt(object_id, seat)
            if adoptable:
                model.adopt(object_id, epoch, self.members[seat].address)
        elif plan["kind"] == "extend":
            if adoptable:
                with reverts_with(system.objects.AdoptionOpen, objectId=object_id):
                    system.extend(object_id, plan["epochs"], self.owner)
                return
            over = object_id in model.terminated or epoch > end
            with reverts_with(system.objects.ObjectOver, objectId=object_id) if over else nullcontext():
                system.extend(object_id, min(plan["epochs"], system.head(1).endEpoch - end), self.owner)
            if not over:
                model.extend(object_id, min(plan["epochs"], system.head(1).endEpoch - end))
        else:
            until = max(epoch, first + 1)
            over = until >= end
            with reverts_with(system.objects.ObjectOver, objectId=object_id) if over else nullcontext():
                system.terminate(object_id, self.owner)
            if not over:
                model.terminate(object_id, until)

    @property
    def lives(self) -> bool:
        """Whether something lives in an epoch not played yet."""
        return any(when >= self.next for _, when, _ in self.model.slices)

    def play(self, plan) -> None:
        """Go to the next epoch, seal it or not, and answer. Epochs that went by while storing are void."""
        system = self.system
        epoch = max(self.next, system.epoch + 1)
        self.open_epochs += [(skipped, {"sealed": False}) for skipped in range(self.next, epoch)]
        self.next = epoch + 1
        system.go_to_epoch(epoch)
        if plan["sealed"]:
            system.seal(epoch, sealer=SEALER)
            for index, account in enumerate(self.members):
                if index not in plan["quiet"] and self.model.held(epoch, account.address):
                    system.answer(account, epoch)
        if plan["rolls"]:
            system.objects.roll(1, 1, self.members[0], epoch, 3, sender=self.owner)
        self.check_epoch(epoch)
        self.open_epochs.append((epoch, plan))

    def check_epoch(self, epoch: int) -> None:
        """Compare held rows and fees of the epoch and of the next four."""
        system, model = self.system, self.model
        for when in range(epoch, epoch + 4):
            tally = system.objects.tally(1, 1, when)
            for account in self.members:
                name = account.address
                excluded = system.objects.excludedTally(1, 1, account, when)
                own = model.tickets[name]
                assert own * (tally.rows - excluded.rows) == model.held(when, name)
                assert own * (tally.fee - excluded.fee) == model.fee(when, name)
                assert system.audits.heldRows(1, when, account) == model.held(when, name)

    def close(self) -> None:
        """Settle or return every epoch played, and fail what was never certified."""
        for epoch, plan in self.open_epochs:
            for index, account in enumerate(self.members):
                if not self.model.held(epoch, account.address):
                    continue
                if plan["sealed"] and index not in plan["quiet"]:
                    self.settle(epoch, account)
                elif plan["sealed"]:
                    self.return_unproven(epoch, account)
            if not plan["sealed"]:
                self.return_void(epoch)
        self.close_objects()
        for account in self.members:
            all_fees, excluded = self.system.objects.intakePerTicket(1, 1, account)
            if all_fees != excluded:
                self.system.rewards.claimIntake(1, 1, account, sender=self.owner)

    def close_objects(self) -> None:
        """Fail what was never certified, and return what nobody signed."""
        for object_id in self.failing:
            self.system.objects.fail(object_id, sender=self.owner)
        for object_id in self.certified:
            if self.model.absent[object_id] and object_id not in self.model.settled:
                self.system.objects.returnUnsigned(object_id, sender=self.owner)
        self.model.owner += sum(count * self.model.row_fee[name] for (name, _, _), count in self.model.unsigned.items())

    def settle(self, epoch, account) -> None:
        amount = self.model.fee(epoch, account.address)
        to_sealer = amount * SEALER_BPS // BPS
        assert tuple(self.system.rewards.earnedIn(1, epoch, account)) == (amount, to_sealer)
        receipt = self.system.rewards.settle(1, epoch, account, sender=self.owner)
        (event,) = receipt.decode_logs(self.system.rewards.EpochSettled)
        own = (amount - to_sealer) * COMMISSION_BPS // BPS
        assert (event.amount, event.toSealers, event.toOperator) == (amount, to_sealer, own)
        self.model.earned[account.address] += amount - to_sealer
        self.model.sealer += to_sealer

    def return_unproven(self, epoch, account) -> None:
        for object_id in self.model.objects_in(epoch):
            fee = self.model.slices.get((object_id, epoch, account.address), 0) * self.model.row_fee[object_id]
            if fee:
                absent = self.system.absent_in(object_id, epoch)
                self.system.rewards.returnUnproven(object_id, epoch, account, absent, sender=self.owner)
                self.model.owner += fee * TO_PAYER_BPS // BPS
                self.model.repair += fee - fee * TO_PAYER_BPS // BPS

    def return_void(self, epoch) -> None:
        for object_id in self.model.objects_in(epoch):
            self.system.rewards.returnVoid(object_id, epoch, self.system.absent_in(object_id, epoch), sender=self.owner)
            self.model.owner += sum(
                count * self.model.row_fee[object_id]
                for (name, when, _), count in self.model.slices.items()
                if (name, when) == (object_id, epoch)
            )

    def check_money(self) -> None:
        """Every unit is where the model says, and none is left in the fee account."""
        system, model = self.system, self.model
        assert system.earned(self.owner) == model.owner
        assert system.repair_fund == model.repair
        assert system.earned(SEALER) == model.sealer
        restakers = system.payments.balanceOf(
            system.payment_token,
            system.payments.moduleAccount(system.restaker_rewards, b"booked".ljust(32, b"\0")),
        )
        own = sum(system.earned(account) for account in self.members)
        assert own + restakers == sum(model.earned.values())
        assert system.fees_left == 0
        assert model.owner + model.repair + model.sealer + sum(model.earned.values()) == model.paid
        assert system.payments.recorded(system.payment_token) == model.paid


@given(plan=st.lists(rounds, min_size=1, max_size=3))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_sums_equal_what_every_slice_adds_up_to(system, owner, plan):
    """Rows, fees and payments of whole lives equal the model's, to the unit; nothing is left over."""
    with chain.isolate():
        life = Life(system, owner)
        for part in plan:
            for one in part["stores"]:
                life.store(one)
            for one in part["changes"]:
                life.change(one)
            life.play(part)
        # what still lives is proven by all, to its end
        while life.lives:
            life.play({"sealed": True, "quiet": set(), "rolls": False})
        chain.mine(60)
        life.close()
        life.check_money()
