"""Rewards: who is paid for which epoch, what is returned, and that nothing is left over or paid twice."""

from __future__ import annotations

import pytest
from ape import chain
from eth_abi import encode
from eth_utils import keccak

from qanat.auditor import population
from tests.contracts.reverts import reverts_with
from tests.contracts.system import (
    GUARDIAN_DELAY,
    RESOLUTION_DELAY,
    TIMELOCK,
    WITHDRAWAL_DELAY,
    ZERO_ADDRESS,
    deploy_system,
    fund,
    make_data,
    module_name,
)

COMMISSION_BPS, TO_PAYER_BPS, SEALER_BPS, BPS = 1_234, 6_000, 50, 10_000


@pytest.fixture(scope="module")
def system(project, deployer, guardian, operators, owner, restaker, stranger, auditor):
    """Six operators, seven tickets: the first holds two. One restaker stands behind all of them."""
    made = deploy_system(project, deployer, guardian)
    made.enroll(operators, tickets=[2, 1, 1, 1, 1, 1], commission_bps=COMMISSION_BPS, restaker=restaker)
    made.take_roster()
    return made


@pytest.fixture(scope="module")
def data():
    """Return data of which a ticket holds three rows (n/T = 1, M = 3), all zeros: answers cost nothing."""
    return make_data(n=7, k=2, matrices=3, zeros=True)


@pytest.fixture
def stored(system, owner, data):
    """An object for three epochs that roster index 1 did not sign."""
    object_id = system.store(owner, data, epochs=3, absent=[1])
    return object_id, system.objects.record(object_id)


@pytest.fixture
def sealed(system, stored):
    """Return (object id, record, first epoch): its first epoch is sealed."""
    object_id, record = stored
    system.seal(record.firstEpoch)
    return object_id, record, record.firstEpoch


def member(system, index):
    """Return the account at a roster index."""
    return system.members_of(1)[index].account


def tickets_of(system, account) -> int:
    return system.shards.rosterEntry(1, 1, system.shards.rosterIndexOf(1, 1, account)).tickets


def index_of(system, account) -> int:
    return system.shards.rosterIndexOf(1, 1, account)


def others(system, *indexes):
    """Return the accounts at all roster indexes but these."""
    return [item.account for i, item in enumerate(system.members_of(1)) if i not in indexes]


def restakers_share(system) -> int:
    """What is booked for restakers and not claimed."""
    account = system.payments.moduleAccount(system.restaker_rewards, module_name("booked"))
    return system.payments.balanceOf(system.payment_token, account)


def slash(system, epoch, account, auditor) -> None:
    """Let an operator miss the epoch, and carry out its slash."""
    system.seal(epoch)
    system.end_window(epoch)
    system.audits.reportMiss(1, epoch, account, sender=auditor)
    chain.mine(RESOLUTION_DELAY + GUARDIAN_DELAY)
    system.restaking.executeSlash(system.restaking.slashId(1, epoch, account), sender=auditor)


ID, ONE, WHO = (lambda _: bytes(32)), (lambda _: 1), (lambda stranger: stranger)
#: What Objects calls, with arguments.
BOOKING = {
    "collectOpening": (ID, ONE, WHO, ONE, ONE),
    "collectExtension": (ID, ONE, WHO, ONE),
    "bookReturn": (ID, ONE, WHO, ONE, ONE),
    "bookFailed": (ID, ONE, WHO, ONE, ONE),
}


class TestBooking:
    @pytest.mark.parametrize("call", list(BOOKING))
    def test_refuses_everyone_but_objects(self, system, stranger, call):
        """A stranger could otherwise take from whoever approved Payments, or pay itself."""
        with reverts_with(system.rewards.CallerNotModule, caller=stranger, expected=module_name("objects")):
            system.rewards.invoke_transaction(call, *(given(stranger) for given in BOOKING[call]), sender=stranger)

    def test_an_opening_brings_its_price_and_what_stays_unsigned_goes_back(self, system, owner, data, stranger):
        storage, intake, _ = system.objects.quote(system.request(data, epochs=3))
        object_id = system.open(owner, data, epochs=3)
        assert system.fees_left == storage + intake
        system.certify(object_id, [1])
        row_fee = system.objects.record(object_id).rowFee
        system.go_past_frozen(system.objects.record(object_id).firstEpoch + 1)
        receipt = system.objects.returnUnsigned(object_id, sender=stranger)
        unsigned = row_fee * 3 * 3 * tickets_of(system, member(system, 1))
        assert system.earned(owner) == unsigned
        assert (system.repair_fund, system.fees_left) == (0, storage + intake - unsigned)
        (event,) = receipt.decode_logs(system.rewards.UnsignedReturned)
        assert (bytes(event.objectId), event.payer, event.amount) == (object_id, owner, unsigned)


class TestSettle:
    def test_refuses_without_an_answer(self, system, sealed):
        _, _, epoch = sealed
        account = member(system, 0)
        for _ in range(2):
            with reverts_with(system.rewards.NotAnswered, shard=1, epoch=epoch, operator=account):
                system.rewards.settle(1, epoch, account, sender=account)
            system.end_window(epoch)

    def test_refuses_after_a_reported_miss(self, system, sealed, auditor):
        _, _, epoch = sealed
        account = member(system, 0)
        system.end_window(epoch)
        system.audits.reportMiss(1, epoch, account, sender=auditor)
        with reverts_with(system.rewards.NotAnswered, operator=account):
            system.rewards.settle(1, epoch, account, sender=account)

    def test_refuses_a_second_time(self, system, sealed, stranger):
        _, _, epoch = sealed
        account = member(system, 0)
        system.answer(account, epoch)
        system.rewards.settle(1, epoch, account, sender=stranger)
        with reverts_with(system.rewards.AlreadySettled, shard=1, epoch=epoch, operator=account):
            system.rewards.settle(1, epoch, account, sender=stranger)

    def test_refuses_whoever_did_not_sign(self, system, sealed):
        _, _, epoch = sealed
        absent = member(system, 1)
        with reverts_with(system.rewards.NotAnswered, operator=absent):
            system.rewards.settle(1, epoch, absent, sender=absent)
        assert tuple(system.rewards.earnedIn(1, epoch, absent)) == (0, 0)

    def test_pays_tickets_times_fee_split_by_the_commission(self, system, sealed, stranger, restaker):
        _, record, epoch = sealed
        for account in others(system, 1):
            system.answer(account, epoch)
        for account in others(system, 1):
            amount = tickets_of(system, account) * 3 * record.rowFee
            to_sealer = amount * SEALER_BPS // BPS
            assert tuple(system.rewards.earnedIn(1, epoch, account)) == (amount, to_sealer)
            assert not system.rewards.isSettled(1, epoch, account)
            before, shared, left = system.earned(account), restakers_share(system), system.fees_left

            receipt = system.rewards.settle(1, epoch, account, sender=stranger)

            own = (amount - to_sealer) * COMMISSION_BPS // BPS
            unshared = amount - to_sealer - own - (restakers_share(system) - shared)
            assert unshared in (0, 1)  # two collaterals: one unit may not be shared
            assert system.earned(account) - before == own + unshared
            assert left - system.fees_left == amount
            assert system.rewards.isSettled(1, epoch, account)
            assert tuple(system.rewards.earnedIn(1, epoch, account)) == (0, 0)
            (event,) = receipt.decode_logs(system.rewards.EpochSettled)
            assert (event.operator, event.amount, event.toOperator) == (account, amount, own)
            assert event.toSealers == to_sealer

    def test_takes_the_commission_in_force(self, system, owner, sealed, data):
        _, record, epoch = sealed
        account = member(system, 2)
        amount = tickets_of(system, account) * 3 * record.rowFee
        amount -= amount * SEALER_BPS // BPS
        system.answer(account, epoch)
        changed = system.operators.setCommission(5_000, sender=account)
        with chain.isolate():
            (event,) = changed.decode_logs(system.operators.CommissionChanged)
            chain.mine(event.fromBlock - chain.blocks.height)
            receipt = system.rewards.settle(1, epoch, account, sender=account)
            assert receipt.decode_logs(system.rewards.EpochSettled)[0].toOperator == amount // 2
        receipt = system.rewards.settle(1, epoch, account, sender=account)
        (event,) = receipt.decode_logs(system.rewards.EpochSettled)
        assert event.toOperator == amount * COMMISSION_BPS // BPS

    def test_pays_epochs_in_any_order_and_long_after(self, system, owner, data):
        object_id = system.store(owner, data, epochs=3)
        first = system.objects.record(object_id).firstEpoch
        account = member(system, 3)
        for epoch in range(first, first + 3):
            system.seal(epoch)
            system.answer(account, epoch)
        chain.mine(100)
        for epoch in (first + 2, first, first + 1):
            assert not system.rewards.isSettled(1, epoch, account)
            system.rewards.settle(1, epoch, account, sender=account)
        assert [system.rewards.isSettled(1, first + i, account) for i in range(-1, 4)] == [False, *[True] * 3, False]

    def test_rewards_can_be_claimed_by_those_who_earned_them(self, system, sealed, restaker):
        _, record, epoch = sealed
        account = member(system, 0)
        system.answer(account, epoch)
        system.rewards.settle(1, epoch, account, sender=account)
        total = tickets_of(system, account) * 3 * record.rowFee
        total -= total * SEALER_BPS // BPS
        claimed = system.payments.claimable(system.payment_token, account)
        system.payments.claim(system.payment_token, sender=account)
        for token in system.collaterals:
            system.restaker_rewards.claim(account, token, system.payment_token, sender=restaker)
        claimed += system.payments.claimable(system.payment_token, restaker)
        # shares are rounded down once per collateral
        assert total - 2 <= claimed <= total


class TestSealing:
    """Whoever sealed an epoch gets SEALER_BPS of what it pays, rounded down, and of nothing else (I-W4)."""

    def test_the_auditor_takes_the_same_part(self, system):
        assert system.rewards.SEALER_BPS() == population.SEALER_BPS == SEALER_BPS

    def test_its_sealer_gets_its_part_of_each_settlement_and_claims_it(self, system, stored, auditor, stranger):
        """Named by the sealing, whoever sent it and whoever settles; claimed as anything else, by the sealer alone."""
        _, record = stored
        epoch, due = record.firstEpoch, 0
        system.seal(epoch, sender=stranger, sealer=auditor)
        for account in others(system, 1, 3):
            system.answer(account, epoch)
            amount = tickets_of(system, account) * 3 * record.rowFee
            left = system.fees_left
            system.rewards.settle(1, epoch, account, sender=stranger)
            assert left - system.fees_left == amount
            due += amount * SEALER_BPS // BPS
            assert system.earned(auditor) == due > 0
        assert system.earned(stranger) == 0
        before = system.payment_token.balanceOf(auditor)
        system.payments.claim(system.payment_token, sender=auditor)
        assert system.payment_token.balanceOf(auditor) - before == due
        assert system.earned(auditor) == 0

    def test_a_part_below_a_unit_is_the_operators(self, system, owner, stranger, auditor):
        """Each settlement rounds down by itself: 199 units pay nothing, 200 pay one."""
        for amount, part in ((199, 0), (200, 1)):
            assert amount * SEALER_BPS // BPS == part
        data = make_data(n=7, k=2, matrices=1, zeros=True)
        object_id = system.store(owner, data, epochs=1)
        record = system.objects.record(object_id)
        system.seal(record.firstEpoch, sealer=auditor)
        due = 0
        system.answer_all(record.firstEpoch)
        for item in system.members_of(1):
            receipt = system.rewards.settle(1, record.firstEpoch, item.account, sender=stranger)
            (event,) = receipt.decode_logs(system.rewards.EpochSettled)
            assert event.amount == tickets_of(system, item.account) * record.rowFee
            assert event.toSealers == event.amount * SEALER_BPS // BPS
            due += event.toSealers
        # what the divisions left is the operators': less than a unit of each
        assert 7 * record.rowFee * SEALER_BPS // BPS - 6 <= due == system.earned(auditor)

    def test_an_operator_that_seals_is_paid_by_the_others_too(self, system, stored, stranger):
        """Of its own pay it gets its part first, then its commission of the rest."""
        _, record = stored
        me, other = member(system, 0), member(system, 2)
        system.seal(record.firstEpoch, sender=stranger, sealer=me)
        before = system.earned(me)
        for account in (me, other):
            system.answer(account, record.firstEpoch)
            system.rewards.settle(1, record.firstEpoch, account, sender=stranger)
        amounts = [tickets_of(system, account) * 3 * record.rowFee for account in (me, other)]
        parts = [amount * SEALER_BPS // BPS for amount in amounts]
        own = (amounts[0] - parts[0]) * COMMISSION_BPS // BPS
        assert system.earned(me) - before - sum(parts) - own in (0, 1)  # a unit may not be shared

    def test_nobody_named_gets_nothing(self, system, stored, stranger):
        _, record = stored
        account = member(system, 0)
        system.seal(record.firstEpoch, sender=stranger, sealer=ZERO_ADDRESS)
        system.answer(account, record.firstEpoch)
        amount = tickets_of(system, account) * 3 * record.rowFee
        assert tuple(system.rewards.earnedIn(1, record.firstEpoch, account)) == (amount, 0)
        receipt = system.rewards.settle(1, record.firstEpoch, account, sender=stranger)
        (event,) = receipt.decode_logs(system.rewards.EpochSettled)
        assert (event.toSealers, event.toOperator) == (0, amount * COMMISSION_BPS // BPS)
        assert system.earned(ZERO_ADDRESS) == 0

    def test_an_epoch_of_misses_pays_nothing(self, system, stored, auditor, stranger):
        """Nothing that goes back to payer and repair fund is divided, nor what a miss takes."""
        object_id, record = stored
        epoch, account = record.firstEpoch, member(system, 0)
        system.seal(epoch, sealer=auditor)
        system.end_window(epoch)
        system.audits.reportMiss(1, epoch, account, sender=stranger)
        fund = system.repair_fund
        receipt = system.rewards.returnUnproven(object_id, epoch, account, [1], sender=stranger)
        (event,) = receipt.decode_logs(system.rewards.UnprovenReturned)
        assert event.toPayer + event.toRepairFund == tickets_of(system, account) * 3 * record.rowFee
        assert system.repair_fund - fund == event.toRepairFund
        assert system.earned(auditor) == 0

    def test_an_empty_epoch_pays_nothing(self, system, auditor, stranger):
        """Sealing epochs in which nobody holds anything brings nothing: no fund stands behind it."""
        epoch = system.epoch + 40
        system.seal(epoch, sealer=auditor)
        account = member(system, 0)
        with reverts_with(system.rewards.NotAnswered, operator=account):
            system.rewards.settle(1, epoch, account, sender=stranger)
        assert system.earned(auditor) == 0

    def test_what_a_hostile_sealer_is_stops_nobody(self, project, system, stored, deployer, stranger):
        """A contract that refuses every call: its part is booked, nothing is sent, nobody is called."""
        _, record = stored
        refuses = deployer.deploy(project.RevertDouble)
        system.seal(record.firstEpoch, sender=stranger, sealer=refuses)
        account = member(system, 0)
        system.answer(account, record.firstEpoch)
        system.rewards.settle(1, record.firstEpoch, account, sender=stranger)
        assert system.earned(refuses) == tickets_of(system, account) * 3 * record.rowFee * SEALER_BPS // BPS > 0

    def test_each_audits_pays_its_own_sealer(
        self, project, system, owner, data, deployer, accounts, auditor, stranger, monkeypatch
    ):
        """An epoch in which rosters of two Audits live is sealed at each; each pays its own sealer a part."""
        older = system.store(owner, data, epochs=12)
        newer = deployer.deploy(project.Audits, system.directory)
        system.directory.queueChange(module_name("audits"), newer, sender=system.governor)
        chain.mine(TIMELOCK)
        system.directory.applyChange(module_name("audits"), sender=system.governor)
        for item in system.members_of(1):
            system.restaking.acceptSlasher(newer, sender=item.account)
        monkeypatch.setattr(system, "enrolled", list(system.enrolled))
        system.enroll([accounts[15]])
        assert system.take_roster() == 2
        later = system.store(owner, make_data(n=8, k=2, matrices=2, zeros=True), epochs=2)
        record, epoch = system.objects.record(later), system.objects.record(later).firstEpoch
        assert record.roster == 2
        assert epoch < system.objects.endEpochOf(older)

        account = member(system, 0)
        system.seal(epoch, sealer=auditor)
        system.answer(account, epoch)
        first = tickets_of(system, account) * 3 * system.objects.record(older).rowFee
        assert tuple(system.rewards.earnedIn(1, epoch, account)) == (first, first * SEALER_BPS // BPS)
        system.rewards.settle(1, epoch, account, sender=stranger)
        assert system.earned(auditor) == first * SEALER_BPS // BPS

        monkeypatch.setattr(system, "audits", newer)
        monkeypatch.setattr(system, "snapshots", {})
        system.seal(epoch, sender=stranger)
        system.answer(account, epoch)
        second = system.shards.rosterEntry(1, 2, system.shards.rosterIndexOf(1, 2, account)).tickets * 2 * record.rowFee
        receipt = system.rewards.settle(1, epoch, account, sender=stranger)
        (event,) = receipt.decode_logs(system.rewards.EpochSettled)
        assert (event.amount, event.toSealers) == (second, second * SEALER_BPS // BPS)
        assert system.earned(stranger) == second * SEALER_BPS // BPS
        assert system.earned(auditor) == first * SEALER_BPS // BPS


class TestClaimIntake:
    def test_refuses_whoever_did_not_sign(self, system, stored):
        """It may bring what a division left to the repair fund, once, as anybody; to itself it brings nothing."""
        absent, left = member(system, 1), stored[1].intakeFee % (7 - tickets_of(system, member(system, 1)))
        system.rewards.claimIntake(1, 1, absent, sender=absent)
        assert (system.earned(absent), system.repair_fund) == (0, left)
        with reverts_with(system.rewards.NothingToClaim, operator=absent):
            system.rewards.claimIntake(1, 1, absent, sender=absent)

    def test_refuses_who_is_not_in_the_roster(self, system, stored, stranger):
        with reverts_with(system.shards.OperatorNotInRoster, shard=1, roster=1, operator=stranger):
            system.rewards.claimIntake(1, 1, stranger, sender=stranger)

    def test_what_divisions_left_fills_the_repair_fund(self, system, owner, stored, data, stranger):
        """With the next claim, of all certificates since the last one; by whomever it is brought."""
        _, record = stored
        signed = 7 - tickets_of(system, member(system, 1))
        again = system.objects.record(system.store(owner, data))
        left = record.intakeFee % signed + again.intakeFee % 7
        assert (system.repair_fund, left != 0) == (0, True)
        before = system.fees_left
        receipt = system.rewards.claimIntake(1, 1, member(system, 0), sender=stranger)
        (event,) = receipt.decode_logs(system.rewards.IntakeClaimed)
        assert (system.repair_fund, system.fees_left) == (left, before - event.amount - left)
        system.rewards.claimIntake(1, 1, member(system, 2), sender=stranger)
        assert system.repair_fund == left

    def test_pays_each_signer_its_tickets_once(self, system, owner, stored, data, stranger):
        _, record = stored
        signed = 7 - tickets_of(system, member(system, 1))
        each = record.intakeFee // signed
        paid = 0
        for account in others(system, 1):
            receipt = system.rewards.claimIntake(1, 1, account, sender=stranger)
            amount = each * tickets_of(system, account)
            assert system.earned(account) == amount
            (event,) = receipt.decode_logs(system.rewards.IntakeClaimed)
            assert (event.roster, event.operator, event.amount) == (1, account, amount)
            paid += amount
            with reverts_with(system.rewards.NothingToClaim, operator=account):
                system.rewards.claimIntake(1, 1, account, sender=stranger)
        assert paid + system.repair_fund == record.intakeFee
        assert system.repair_fund == record.intakeFee % signed != 0

        again = system.objects.record(system.store(owner, data))
        account = member(system, 0)
        before = system.earned(account)
        system.rewards.claimIntake(1, 1, account, sender=stranger)
        assert system.earned(account) - before == again.intakeFee // 7 * tickets_of(system, account)


class TestReturnUnproven:
    def test_refuses_an_epoch_in_which_the_object_does_not_live(self, system, sealed, stranger):
        object_id, _, epoch = sealed
        account = member(system, 0)
        for wrong in (epoch - 1, epoch + 3):
            with reverts_with(system.rewards.ObjectNotLive, objectId=object_id, epoch=wrong):
                system.rewards.returnUnproven(object_id, wrong, account, [1], sender=stranger)
        unknown = keccak(text="nothing")
        with reverts_with(system.rewards.ObjectNotLive, objectId=unknown):
            system.rewards.returnUnproven(unknown, epoch, account, [], sender=stranger)

    def test_refuses_an_object_that_was_not_certified(self, system, owner, data, stranger):
        object_id = system.open(owner, data)
        with reverts_with(system.rewards.ObjectNotLive, objectId=object_id):
            system.rewards.returnUnproven(object_id, 0, member(system, 0), [], sender=stranger)

    @pytest.mark.parametrize("absent", [[], [0], [0, 1], [1, 1]])
    def test_refuses_a_wrong_list_of_non_signers(self, system, sealed, stranger, absent):
        object_id, _, epoch = sealed
        system.end_window(epoch)
        with reverts_with(system.rewards.NonSignersWrong, objectId=object_id):
            system.rewards.returnUnproven(object_id, epoch, member(system, 0), absent, sender=stranger)

    def test_refuses_whoever_did_not_sign(self, system, sealed, stranger):
        """Its fees went back at certification."""
        object_id, _, epoch = sealed
        system.end_window(epoch)
        absent = member(system, 1)
        with reverts_with(system.rewards.OperatorDidNotSign, objectId=object_id, operator=absent):
            system.rewards.returnUnproven(object_id, epoch, absent, [1], sender=stranger)

    def test_refuses_who_is_not_in_the_roster(self, system, sealed, stranger):
        object_id, _, epoch = sealed
        system.end_window(epoch)
        with reverts_with(system.shards.OperatorNotInRoster, operator=stranger):
            system.rewards.returnUnproven(object_id, epoch, stranger, [1], sender=stranger)

    def test_refuses_while_it_may_still_be_proven_and_after_it_was(self, system, sealed, stranger):
        object_id, _, epoch = sealed
        quiet, honest = member(system, 0), member(system, 2)
        with reverts_with(system.rewards.NotUnproven, shard=1, epoch=epoch + 1, operator=quiet):
            system.rewards.returnUnproven(object_id, epoch + 1, quiet, [1], sender=stranger)
        system.answer(honest, epoch)
        deadline = system.audits.seedOf(1, epoch).deadline
        system.go_to_block(deadline - 1)
        with reverts_with(system.rewards.NotUnproven, shard=1, epoch=epoch, operator=quiet):
            system.rewards.returnUnproven(object_id, epoch, quiet, [1], sender=stranger)
        assert chain.blocks.height == deadline
        system.rewards.returnUnproven(object_id, epoch, quiet, [1], sender=stranger)
        with reverts_with(system.rewards.NotUnproven, operator=honest):
            system.rewards.returnUnproven(object_id, epoch, honest, [1], sender=stranger)

    def test_pays_payer_and_repair_fund_once(self, system, sealed, owner, stranger):
        object_id, record, epoch = sealed
        account = member(system, 0)
        system.end_window(epoch)
        before = (system.earned(owner), system.repair_fund, system.fees_left)
        receipt = system.rewards.returnUnproven(object_id, epoch, account, [1], sender=stranger)
        fee = tickets_of(system, account) * 3 * record.rowFee
        to_payer = fee * TO_PAYER_BPS // BPS
        assert system.earned(owner) - before[0] == to_payer
        assert system.repair_fund - before[1] == fee - to_payer
        assert before[2] - system.fees_left == fee
        (event,) = receipt.decode_logs(system.rewards.UnprovenReturned)
        assert (event.operator, event.toPayer, event.toRepairFund) == (account, to_payer, fee - to_payer)
        with reverts_with(system.rewards.AlreadyReturned, objectId=object_id, epoch=epoch, operator=account):
            system.rewards.returnUnproven(object_id, epoch, account, [1], sender=stranger)
        # another operator's part is another's
        system.rewards.returnUnproven(object_id, epoch, member(system, 2), [1], sender=stranger)

    def test_returns_the_fees_of_a_vacant_place(self, system, owner, data, auditor, stranger):
        """A slash took its bond below the least: it has no duty from then on, and earns nothing."""
        object_id = system.store(owner, data, epochs=6)
        first = system.objects.record(object_id).firstEpoch
        account = member(system, 3)
        slash(system, first, account, auditor)
        epoch = system.shards.firstEpochAfter(1, chain.blocks.height)
        with reverts_with(system.rewards.NotUnproven, epoch=epoch):
            system.rewards.returnUnproven(object_id, epoch, account, [], sender=stranger)
        system.seal(epoch)
        assert system.audits.heldRows(1, epoch, account) == 0
        # nothing to wait for: it can't answer
        system.rewards.returnUnproven(object_id, epoch, account, [], sender=stranger)
        with reverts_with(system.rewards.NotAnswered, operator=account):
            system.rewards.settle(1, epoch, account, sender=account)


class TestSeveralRosters:
    def test_a_place_that_was_vacated_earns_nothing_while_a_newer_one_does(
        self, system, owner, data, restaker, auditor, stranger
    ):
        """Slashed under one roster, bonded anew, counted by the next: one answer, paid for the newer place alone."""
        older = system.store(owner, data, epochs=10)
        first = system.objects.record(older).firstEpoch
        account = member(system, 3)
        slash(system, first, account, auditor)
        fund(system.bond_token, account, 10**19, system.restaking)
        system.restaking.postBond(1, 10**19, sender=account)
        token = system.collaterals[1]
        fund(token, restaker, 10**19, system.restaking)
        system.restaking.deposit(token, 10**19, sender=restaker)
        system.restaking.invoke_transaction("delegate", account, token, 10**19, sender=restaker)
        if system.restaking.pendingOf(restaker, account, token).amount:
            chain.mine(WITHDRAWAL_DELAY)
            system.restaking.mature(restaker, account, token, sender=restaker)
        assert system.take_roster() == 2
        newer = system.store(owner, data, epochs=2)
        epoch = system.objects.record(newer).firstEpoch
        assert epoch < system.objects.endEpochOf(older)
        assert system.shards.isInRoster(1, 2, account)

        system.seal(epoch)
        assert system.audits.heldRows(1, epoch, account) == 3
        system.answer(account, epoch)
        receipt = system.rewards.settle(1, epoch, account, sender=stranger)
        fee = 3 * system.objects.record(newer).rowFee
        assert receipt.decode_logs(system.rewards.EpochSettled)[0].amount == fee
        with reverts_with(system.rewards.AlreadySettled, operator=account):
            system.rewards.settle(1, epoch, account, sender=stranger)
        with reverts_with(system.rewards.NotUnproven, operator=account):
            system.rewards.returnUnproven(newer, epoch, account, [], sender=stranger)
        receipt = system.rewards.returnUnproven(older, epoch, account, [], sender=stranger)
        (event,) = receipt.decode_logs(system.rewards.UnprovenReturned)
        assert event.toPayer + event.toRepairFund == fee


class TestLateStake:
    def test_earns_nothing_of_the_past(self, system, sealed, stranger, restaker):
        """Stake that comes while an answered epoch is unsettled waits for it, and has no part in it."""
        _, _, epoch = sealed
        account, token = member(system, 0), system.collaterals[1]
        system.answer(account, epoch)
        assert system.audits.answeredCount(account) == 1
        fund(token, stranger, 10**21, system.restaking)
        system.restaking.depositAndDelegate(account, token, 10**21, sender=stranger)
        chain.mine(WITHDRAWAL_DELAY)
        with reverts_with(system.restaking.EpochsUnsettled, operator=account):
            system.restaking.mature(stranger, account, token, sender=stranger)

        system.rewards.settle(1, epoch, account, sender=stranger)
        assert system.rewards.settledCount(system.audits, account) == 1
        system.restaking.mature(stranger, account, token, sender=stranger)
        books, money = system.restaker_rewards, system.payment_token
        assert books.claimable(stranger, account, token, money) == 0
        assert books.claimable(restaker, account, token, money) > 0


class TestReturnVoid:
    def test_refuses_what_was_or_may_still_be_sealed(self, system, sealed, stranger):
        object_id, _, epoch = sealed
        for wrong in (epoch, epoch + 1):
            with reverts_with(system.rewards.NotVoid, shard=1, epoch=wrong):
                system.rewards.returnVoid(object_id, wrong, [1], sender=stranger)
        chain.mine(100)
        with reverts_with(system.rewards.NotVoid, shard=1, epoch=epoch):
            system.rewards.returnVoid(object_id, epoch, [1], sender=stranger)

    def test_refuses_dead_objects_and_wrong_lists(self, system, stored, stranger):
        object_id, record = stored
        chain.mine(200)
        with reverts_with(system.rewards.ObjectNotLive, objectId=object_id, epoch=record.firstEpoch + 3):
            system.rewards.returnVoid(object_id, record.firstEpoch + 3, [1], sender=stranger)
        with reverts_with(system.rewards.NonSignersWrong, objectId=object_id):
            system.rewards.returnVoid(object_id, record.firstEpoch, [], sender=stranger)

    def test_pays_the_payer_everything_that_was_signed_once(self, system, stored, owner, stranger):
        object_id, record = stored
        epoch = record.firstEpoch
        system.go_to_block(system.shards.seedBlockOf(1, epoch) + 21)
        before = (system.earned(owner), system.repair_fund, system.fees_left)
        receipt = system.rewards.returnVoid(object_id, epoch, [1], sender=stranger)
        amount = (7 - tickets_of(system, member(system, 1))) * 3 * record.rowFee
        assert system.earned(owner) - before[0] == before[2] - system.fees_left == amount
        assert system.repair_fund == before[1]
        (event,) = receipt.decode_logs(system.rewards.VoidReturned)
        assert (bytes(event.objectId), event.epoch, event.amount) == (object_id, epoch, amount)
        with reverts_with(system.rewards.AlreadyReturned, objectId=object_id, epoch=epoch):
            system.rewards.returnVoid(object_id, epoch, [1], sender=stranger)

    def test_excludes_every_other_way_of_paying_that_epoch(self, system, stored, auditor, stranger):
        """An epoch that nobody sealed in time: no pay, no slash (I-M27, I-W2)."""
        object_id, record = stored
        epoch = record.firstEpoch
        account = member(system, 0)
        system.go_to_block(system.shards.seedBlockOf(1, epoch) + 21)
        with reverts_with(system.rewards.NotAnswered, epoch=epoch):
            system.rewards.settle(1, epoch, account, sender=stranger)
        with reverts_with(system.rewards.NotUnproven, epoch=epoch):
            system.rewards.returnUnproven(object_id, epoch, account, [1], sender=stranger)
        with reverts_with(system.audits.NotSealed, epoch=epoch):
            system.audits.reportMiss(1, epoch, account, sender=auditor)


class TestViews:
    def test_accounts_are_the_contracts_own_and_differ_by_shard(self, system):
        def account(name, shard):
            key = keccak(encode(["string", "uint32"], [name, shard]))
            return keccak(encode(["address", "bytes32"], [system.rewards.address, key]))

        for shard in (1, 2):
            assert bytes(system.rewards.feeAccount(shard)) == account("fees", shard)
            assert bytes(system.rewards.repairAccount(shard)) == account("repair", shard)


class TestWholeLives:
    def test_every_unit_of_a_payment_finds_an_owner(self, system, owner, data, auditor, stranger):
        """Some sign, some answer, one epoch is void, one place falls vacant: paid = earned + returned, to the unit."""
        storage, intake, _ = system.objects.quote(system.request(data, epochs=4))
        object_id = system.store(owner, data, epochs=4, absent=[1])
        first = system.objects.record(object_id).firstEpoch
        lazy = member(system, 3)
        for epoch in range(first, first + 4):
            if epoch == first + 1:
                continue
            system.seal(epoch)
            for account in others(system, 1, 3):
                if system.audits.heldRows(1, epoch, account):
                    system.answer(account, epoch)
            system.end_window(epoch)
            if epoch == first:
                system.audits.reportMiss(1, epoch, lazy, sender=auditor)
        system.restaking.executeSlash(system.restaking.slashId(1, first, lazy), sender=auditor)

        for epoch in range(first, first + 4):
            if epoch == first + 1:
                system.rewards.returnVoid(object_id, epoch, [1], sender=stranger)
                continue
            system.rewards.returnUnproven(object_id, epoch, lazy, [1], sender=stranger)
            for account in others(system, 1, 3):
                system.rewards.settle(1, epoch, account, sender=stranger)
        for account in others(system, 1):
            system.rewards.claimIntake(1, 1, account, sender=stranger)
        system.objects.returnUnsigned(object_id, sender=stranger)

        people = [owner, *(item.account for item in system.members_of(1))]
        people.append(system.governor)  # who seals
        held = sum(system.earned(person) for person in people) + restakers_share(system) + system.repair_fund
        assert system.fees_left == 0
        assert held == storage + intake
        assert system.payments.recorded(system.payment_token) == storage + intake
        assert system.payment_token.balanceOf(system.payments) == storage + intake

    def test_a_donation_of_one_unit_changes_nothing(self, system, owner, data, stranger):
        """One unit sent to every contract that holds tokens, of every token, before each step."""
        tokens = [system.payment_token, system.bond_token, *system.collaterals]

        def donate():
            for token in tokens:
                token.transfer(system.payments, 1, sender=stranger)
                token.transfer(system.restaking, 1, sender=stranger)

        def life(before_each_step):
            storage, intake, _ = system.objects.quote(system.request(data, epochs=1))
            object_id = system.open(owner, data, epochs=1)
            before_each_step()
            system.certify(object_id)
            epoch = system.objects.record(object_id).firstEpoch
            system.go_to_epoch(epoch)
            before_each_step()
            system.seal(epoch)
            system.answer_all(epoch)
            before_each_step()
            for item in system.members_of(1):
                system.rewards.settle(1, epoch, item.account, sender=stranger)
                system.rewards.claimIntake(1, 1, item.account, sender=stranger)
            earned = [system.earned(item.account) for item in system.members_of(1)]
            recorded = [system.payments.recorded(token) for token in tokens]
            recorded += [system.restaking.recorded(token) for token in tokens]
            return storage + intake, earned, restakers_share(system), system.fees_left, recorded

        for token in tokens:
            fund(token, stranger, 100, system.payments)
        with chain.isolate():
            plain = life(lambda: None)
        assert life(donate) == plain
