"""Directory: names, seal, timelock, governor."""

from __future__ import annotations

import pytest
from ape import chain

from tests.contracts.reverts import reverts_with
from tests.contracts.staking import TIMELOCK, ZERO_ADDRESS, go_to_block, name32

NAMES = [
    "restaking",
    "stakeSource",
    "operators",
    "shards",
    "objects",
    "audits",
    "randomness",
    "certificateVerifier",
    "openingVerifier",
    "pricing",
    "assets",
    "licenses",
    "rewards",
    "payments",
    "restakerRewards",
    "keys",
]
AUDITS = name32("audits")
RESTAKING = name32("restaking")


@pytest.fixture(scope="module")
def directory(project, deployer, guardian):
    """Return an empty directory."""
    return deployer.deploy(project.Directory, deployer, guardian, TIMELOCK)


@pytest.fixture(scope="module")
def make_restaking(project, deployer, directory):
    """Return what deploys a Restaking with a withdrawal delay."""
    return lambda delay: deployer.deploy(project.Restaking, directory, delay, 3, 3)


@pytest.fixture(scope="module")
def restaking(make_restaking):
    """Return a module that fits under any name."""
    return make_restaking(66)


@pytest.fixture(scope="module")
def another(make_restaking):
    """Return another such module."""
    return make_restaking(TIMELOCK - 1)


@pytest.fixture(scope="module")
def filled(project, deployer, guardian, restaking):
    """Return a directory with every name set."""
    directory = deployer.deploy(project.Directory, deployer, guardian, TIMELOCK)
    for name in NAMES:
        directory.set(name32(name), restaking, sender=deployer)
    return directory


@pytest.fixture(scope="module")
def sealed(project, deployer, guardian, restaking):
    """Return a directory with every name set, and sealed."""
    directory = deployer.deploy(project.Directory, deployer, guardian, TIMELOCK)
    for name in NAMES:
        directory.set(name32(name), restaking, sender=deployer)
    directory.seal(sender=deployer)
    return directory


@pytest.fixture(scope="module", autouse=True)
def deployed(owner, stranger, directory, restaking, another, filled, sealed):
    """Deploy all of them before the first test."""


class TestSet:
    def test_only_the_governor(self, directory, restaking, stranger):
        """A stranger can't fill an entry."""
        with reverts_with(directory.NotGovernor, caller=stranger):
            directory.set(AUDITS, restaking, sender=stranger)

    def test_not_the_guardian(self, directory, restaking, guardian):
        """The guardian can't either: it delays, it never redirects."""
        with reverts_with(directory.NotGovernor, caller=guardian):
            directory.set(AUDITS, restaking, sender=guardian)

    def test_not_after_the_seal(self, sealed, another, deployer):
        """Sealed entries don't change at once."""
        with reverts_with(sealed.AlreadySealed, sealedBlock=sealed.sealedBlock()):
            sealed.set(AUDITS, another, sender=deployer)

    def test_not_to_nothing(self, directory, deployer):
        """An entry can't be set to the zero address."""
        with reverts_with(directory.ModuleUnset, name=AUDITS):
            directory.set(AUDITS, ZERO_ADDRESS, sender=deployer)

    def test_sets_and_replaces(self, directory, restaking, another, deployer):
        """Before the seal an entry changes at once, and only who stands somewhere is a module."""
        receipt = directory.set(AUDITS, restaking, sender=deployer)
        assert receipt.events == [directory.ModuleSet(name=AUDITS, module=restaking)]
        assert directory.isModule(restaking)

        directory.set(AUDITS, another, sender=deployer)
        assert directory.module(AUDITS) == another
        assert directory.isModule(another)
        assert not directory.isModule(restaking)

    def test_one_contract_under_two_names(self, directory, restaking, another, deployer):
        """A contract stays a module until it stands under no name."""
        directory.set(AUDITS, restaking, sender=deployer)
        directory.set(RESTAKING, restaking, sender=deployer)
        directory.set(AUDITS, another, sender=deployer)
        assert directory.isModule(restaking)
        directory.set(RESTAKING, another, sender=deployer)
        assert not directory.isModule(restaking)


class TestModule:
    def test_unset(self, directory):
        """A name without a module has none to give."""
        with reverts_with(directory.ModuleUnset, name=AUDITS):
            directory.module(AUDITS)


class TestSeal:
    def test_only_the_governor(self, filled, stranger):
        """A stranger can't seal."""
        with reverts_with(filled.NotGovernor, caller=stranger):
            filled.seal(sender=stranger)

    def test_only_once(self, sealed, deployer):
        """A seal is for ever."""
        with reverts_with(sealed.AlreadySealed, sealedBlock=sealed.sealedBlock()):
            sealed.seal(sender=deployer)

    @pytest.mark.parametrize("missing", NAMES)
    def test_every_name_is_needed(self, directory, restaking, deployer, missing):
        """A directory with any name unset can't be sealed."""
        for name in NAMES:
            if name != missing:
                directory.set(name32(name), restaking, sender=deployer)
        with reverts_with(directory.ModuleUnset, name=name32(missing)):
            directory.seal(sender=deployer)

    def test_every_module_has_code(self, filled, stranger, deployer):
        """An account without code can't be a module in force."""
        filled.set(AUDITS, stranger, sender=deployer)
        with reverts_with(filled.ModuleHasNoCode, name=AUDITS, module=stranger):
            filled.seal(sender=deployer)

    def test_timelock_longer_than_withdrawals(self, filled, make_restaking, deployer):
        """I-D1: a timelock that free stake couldn't outrun is refused."""
        filled.set(RESTAKING, make_restaking(TIMELOCK), sender=deployer)
        with reverts_with(filled.TimelockTooShort, timelock=TIMELOCK, needed=TIMELOCK + 1):
            filled.seal(sender=deployer)

    def test_seals(self, filled, deployer):
        """The block of the seal is kept."""
        receipt = filled.seal(sender=deployer)
        assert filled.sealedBlock() == receipt.block_number
        assert receipt.events == [filled.Sealed(blockNumber=receipt.block_number)]


class TestQueueChange:
    def test_only_the_governor(self, sealed, another, stranger):
        """A stranger can't announce a change."""
        with reverts_with(sealed.NotGovernor, caller=stranger):
            sealed.queueChange(AUDITS, another, sender=stranger)

    def test_only_after_the_seal(self, filled, another, deployer):
        """Before the seal there is nothing to wait for."""
        with reverts_with(filled.NotSealed):
            filled.queueChange(AUDITS, another, sender=deployer)

    def test_needs_code(self, sealed, stranger, deployer):
        """An account without code can't be announced."""
        with reverts_with(sealed.ModuleHasNoCode, name=AUDITS, module=stranger):
            sealed.queueChange(AUDITS, stranger, sender=deployer)

    def test_keeps_the_timelock_longer_than_withdrawals(self, sealed, make_restaking, deployer):
        """I-D1 holds for a new Restaking too."""
        with reverts_with(sealed.TimelockTooShort, timelock=TIMELOCK, needed=TIMELOCK + 11):
            sealed.queueChange(RESTAKING, make_restaking(TIMELOCK + 10), sender=deployer)

    def test_announces(self, sealed, another, restaking, deployer):
        """What is announced doesn't act yet."""
        receipt = sealed.queueChange(AUDITS, another, sender=deployer)
        ready = receipt.block_number + TIMELOCK
        assert receipt.events == [sealed.ChangeQueued(name=AUDITS, module=another, readyBlock=ready)]
        assert tuple(sealed.queued(AUDITS)) == (another.address, ready)
        assert sealed.module(AUDITS) == restaking
        assert not sealed.isModule(another)

    def test_announcing_again_starts_anew(self, sealed, another, make_restaking, deployer):
        """A second announcement replaces the first and waits its whole time."""
        sealed.queueChange(AUDITS, another, sender=deployer)
        third = make_restaking(1)
        receipt = sealed.queueChange(AUDITS, third, sender=deployer)
        assert tuple(sealed.queued(AUDITS)) == (third.address, receipt.block_number + TIMELOCK)


class TestCancelChange:
    def test_only_the_governor(self, sealed, another, deployer, stranger):
        """A stranger can't withdraw an announcement."""
        sealed.queueChange(AUDITS, another, sender=deployer)
        with reverts_with(sealed.NotGovernor, caller=stranger):
            sealed.cancelChange(AUDITS, sender=stranger)

    def test_unknown(self, sealed, deployer):
        """There must be something to cancel."""
        with reverts_with(sealed.ChangeUnknown, name=AUDITS):
            sealed.cancelChange(AUDITS, sender=deployer)

    def test_cancels(self, sealed, another, deployer):
        """A cancelled change can't be applied."""
        sealed.queueChange(AUDITS, another, sender=deployer)
        receipt = sealed.cancelChange(AUDITS, sender=deployer)
        assert receipt.events == [sealed.ChangeCancelled(name=AUDITS, module=another)]
        chain.mine(TIMELOCK)
        with reverts_with(sealed.ChangeUnknown, name=AUDITS):
            sealed.applyChange(AUDITS, sender=deployer)


class TestApplyChange:
    def test_unknown(self, sealed, deployer):
        """Nothing was announced."""
        with reverts_with(sealed.ChangeUnknown, name=AUDITS):
            sealed.applyChange(AUDITS, sender=deployer)

    def test_waits_to_the_block(self, sealed, another, deployer, stranger):
        """A change is refused one block early and applied by anyone in its block."""
        ready = sealed.queueChange(AUDITS, another, sender=deployer).block_number + TIMELOCK
        go_to_block(ready - 2)
        with reverts_with(sealed.ChangeNotReady, name=AUDITS, readyBlock=ready, blockNumber=ready - 1):
            sealed.applyChange(AUDITS, sender=stranger)
        go_to_block(ready - 1)
        receipt = sealed.applyChange(AUDITS, sender=stranger)
        assert receipt.block_number == ready
        assert receipt.events == [sealed.ModuleSet(name=AUDITS, module=another)]
        assert sealed.module(AUDITS) == another
        assert tuple(sealed.queued(AUDITS)) == (ZERO_ADDRESS, 0)

    def test_only_once(self, sealed, another, deployer, stranger):
        """An applied change is used up."""
        sealed.queueChange(AUDITS, another, sender=deployer)
        chain.mine(TIMELOCK)
        sealed.applyChange(AUDITS, sender=stranger)
        with reverts_with(sealed.ChangeUnknown, name=AUDITS):
            sealed.applyChange(AUDITS, sender=stranger)


class TestGovernor:
    def test_only_the_governor_proposes(self, directory, stranger):
        """A stranger can't name a governor."""
        with reverts_with(directory.NotGovernor, caller=stranger):
            directory.proposeGovernor(stranger, sender=stranger)

    def test_only_the_proposed_accepts(self, directory, deployer, owner, stranger):
        """Who wasn't proposed can't accept; a hand-over that nobody accepts changes nothing."""
        directory.proposeGovernor(owner, sender=deployer)
        with reverts_with(directory.NotGovernor, caller=stranger):
            directory.acceptGovernor(sender=stranger)
        assert directory.governor() == deployer

    def test_hands_over(self, directory, restaking, deployer, owner):
        """After both steps the new governor rules and the old one doesn't."""
        receipt = directory.proposeGovernor(owner, sender=deployer)
        assert receipt.events == [directory.GovernorProposed(governor=owner)]
        receipt = directory.acceptGovernor(sender=owner)
        assert receipt.events == [directory.GovernorChanged(governor=owner)]
        assert directory.governor() == owner
        assert directory.pendingGovernor() == ZERO_ADDRESS
        with reverts_with(directory.NotGovernor, caller=deployer):
            directory.set(AUDITS, restaking, sender=deployer)
