"""Attacks that no single contract's tests hold: above all a governor whose change passed the timelock."""

from __future__ import annotations

import pytest
from ape import chain

from tests.contracts.reverts import reverts_with
from tests.contracts.system import TIMELOCK, deploy_system, make_data, module_name

#: Longest life that a roster of the small shard leaves an object, and more than the timelock.
LONG_EPOCHS = 10


@pytest.fixture(scope="module")
def system(project, deployer, guardian, operators, owner, stranger):
    """Six operators of one ticket each, bound by a roster for longer than the timelock."""
    made = deploy_system(project, deployer, guardian)
    made.enroll(operators)
    made.take_roster()
    return made


@pytest.fixture(scope="module")
def data():
    """Return data of which a ticket holds one row."""
    return make_data(n=6, k=2)


@pytest.fixture
def stored(system, owner, data):
    """Return an object that lives longer than the timelock, its first epoch sealed."""
    object_id = system.store(owner, data, epochs=LONG_EPOCHS)
    system.seal(system.objects.record(object_id).firstEpoch)
    return object_id


def replace(system, name, module) -> None:
    """Put a module in force, as a governor can: announced, waited for, applied."""
    system.directory.queueChange(module_name(name), module, sender=system.governor)
    chain.mine(TIMELOCK)
    system.directory.applyChange(module_name(name), sender=system.governor)


class TestBoundStake:
    """What a roster binds can be slashed only through the modules in force at its snapshot (DESIGN 5)."""

    def test_an_opening_verifier_that_came_later_turns_no_answer_into_a_miss(
        self, project, system, stored, deployer, operators
    ):
        replace(system, "openingVerifier", deployer.deploy(project.AnswerDouble, 0))
        epoch = system.epoch + 1
        assert epoch < system.objects.endEpochOf(stored)
        system.seal(epoch)
        system.answer(operators[0], epoch)
        assert system.audits.statusOf(1, epoch, operators[0]) == 1

    def test_a_better_opening_verifier_is_heard_too(self, project, system, stored, deployer, operators):
        """Else nobody could answer after a change of the chain that breaks the first one."""
        replace(system, "openingVerifier", deployer.deploy(project.AnswerDouble, 1))
        epoch = system.epoch + 1
        system.seal(epoch)
        response = list(system.response(operators[0], epoch).as_tuple())
        response[3] += 1
        system.audits.respond(tuple(response), sender=operators[0])

    def test_a_certificate_verifier_that_came_later_gives_nobody_a_duty(
        self, project, system, stored, owner, data, deployer
    ):
        replace(system, "certificateVerifier", deployer.deploy(project.AnswerDouble, 1))
        object_id = system.open(owner, data, epochs=1)
        forged = system.certificate(stored)[0]
        with reverts_with(system.objects.SignatureInvalid, subject=object_id):
            system.objects.certify(object_id, forged, [], sender=deployer)
        system.certify(object_id)

    @pytest.mark.parametrize("name", ["shards", "objects"])
    def test_another_view_of_rosters_or_holdings_changes_no_duty(
        self, project, system, stored, deployer, operators, name
    ):
        epoch = system.epoch + TIMELOCK // 20 + 2
        held = system.audits.heldRows(1, epoch, operators[0])
        replace(system, name, deployer.deploy(project.AnswerDouble, 0))
        assert held == system.audits.heldRows(1, epoch, operators[0]) == 1


class TestReplacedAudits:
    """While rosters of two Audits live, an epoch may be missed at both."""

    def test_who_missed_two_audits_is_slashed_once(self, project, system, stored, deployer, operators, stranger):
        """And holds up no report of the others."""
        newer = deployer.deploy(project.Caller)
        replace(system, "audits", newer)
        system.restaking.acceptSlasher(newer, sender=operators[0])
        epoch = system.epoch + 1
        queue = system.restaking.queueSlash.encode_input(1, 1, operators[0], epoch, deployer)
        newer.run(system.restaking, queue, sender=deployer)
        system.seal(epoch)
        system.answer(operators[1], epoch)
        system.end_window(epoch)
        receipt = system.audits.reportMisses(1, epoch, 1, [2**6 - 1], sender=stranger)
        events = receipt.decode_logs(system.audits.MissReported)
        assert {event.operator for event in events} == {item.address for item in operators[2:]}
        slash_id = system.restaking.slashId(1, epoch, operators[0])
        with reverts_with(system.restaking.SlashExists, id=slash_id):
            system.audits.reportMiss(1, epoch, operators[0], sender=stranger)
        assert [system.restaking.pendingSlashes(item) for item in operators] == [1, 0, 1, 1, 1, 1]


class TestFees:
    """What was paid for storage leaves only as the contracts that took it say."""

    def test_a_later_objects_returns_nothing_that_it_did_not_take(self, project, system, stored, deployer):
        thief = deployer.deploy(project.Caller)
        replace(system, "objects", thief)
        fees = system.fees_left
        assert fees > 0
        steal = system.rewards.bookFailed.encode_input(stored, 1, deployer, fees, 0)
        with reverts_with(system.rewards.CallerNotModule, caller=thief):
            thief.run(system.rewards, steal, sender=deployer)
        assert system.fees_left == fees

    @pytest.mark.parametrize("name", ["shards", "objects"])
    def test_operators_are_paid_by_the_books_they_worked_under(
        self, project, system, stored, deployer, operators, name
    ):
        epoch = system.objects.record(stored).firstEpoch
        system.answer(operators[0], epoch)
        due, to_sealers = system.rewards.earnedIn(1, epoch, operators[0])
        replace(system, name, deployer.deploy(project.AnswerDouble, 0))
        assert to_sealers == due * 50 // 10_000
        assert tuple(system.rewards.earnedIn(1, epoch, operators[0])) == (due, to_sealers)
        receipt = system.rewards.settle(1, epoch, operators[0], sender=deployer)
        assert receipt.decode_logs(system.rewards.EpochSettled)[0].amount == due
