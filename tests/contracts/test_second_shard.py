"""A second shard opens while the first certifies and audits: nothing there waits, and no epoch is missed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ape import chain

from tests.contracts.system import WAD, WITHDRAWAL_DELAY, System, deploy_system, fund, make_data

ANSWERED = 1
#: Epochs of the first shard over which everything is counted.
EPOCHS = 10


@pytest.fixture(scope="module")
def people(operators):
    return operators[:3]


@pytest.fixture(scope="module")
def system(project, deployer, guardian, people):
    """Three operators with stake for two tickets, half of it behind the first shard."""
    made = deploy_system(project, deployer, guardian)
    made.enroll(people, magnitude=WAD // 2)
    made.take_roster()
    return made


@pytest.fixture(scope="module")
def rich(system, owner):
    fund(system.payment_token, owner, 2**100, system.payments)
    return owner


def opening_of(second: System, people, rich) -> Iterator[str]:
    """All that it takes to open another shard, one transaction a step; a step that must wait yields "wait"."""
    for person in people:
        bond = second.parameters["bondPerTicket"]
        second.bond_token.mint(person, bond, sender=person)
        yield "minted"
        second.restaking.postBond(second.shard, bond, sender=person)
        yield "bonded"
        for token in second.collaterals:
            second.restaking.allocate(second.shard, token, WAD // 2, sender=person)
            yield "allocation announced"
    ready = chain.blocks.height + WITHDRAWAL_DELAY
    while chain.blocks.height < ready:
        yield "wait"
    for person in people:
        for token in second.collaterals:
            second.restaking.completeAllocation(person, second.shard, token, sender=rich)
            yield "allocated"
        second.members.join(second.shard, sender=person)
        yield "joined"
    second.members.snapshot(second.shard, sender=rich)
    yield "snapshotted"
    while second.shards.activeRoster(second.shard) == 0:
        yield "wait"
    data = make_data(seed=99)
    object_id = second.open(rich, data, epochs=3)
    yield "opened"
    second.certify(object_id)
    yield "certified"


def duty_of(system: System, people) -> bool:
    """Do what an epoch of the shard asks for next, one transaction; return whether there was anything."""
    epoch = system.epoch
    if epoch == 0:
        return False
    if system.audits.seedOf(system.shard, epoch).sealedBlock == 0:
        if chain.blocks.height == system.shards.seedBlockOf(system.shard, epoch) - 1:
            return False
        system.seal(epoch)
        return True
    for person in people:
        held = system.audits.heldRows(system.shard, epoch, person)
        if held and system.audits.statusOf(system.shard, epoch, person) != ANSWERED:
            system.answer(person, epoch)
            return True
    return False


def test_opens_while_the_first_runs(system, rich, people):
    """Ten epochs, each with a certificate of the first shard and answers of all of its operators.

    Meanwhile the second is created, bonded, given stake by delayed allocations, snapshotted; it certifies and audits.
    """
    first_epoch = system.epoch
    terms = [tuple(system.shards.slashTerms(system.shard, 1, person)) for person in people]
    entries = system.shards.rosterEntries(system.shard, 1, 0, 9)
    second = system.with_shard()
    steps = opening_of(second, people, rich)
    done: list[str] = []
    stored: dict[int, bytes] = {}

    while system.epoch < first_epoch + EPOCHS:
        if duty_of(system, people) or duty_of(second, people):
            continue
        epoch = system.epoch
        left = system.shards.seedBlockOf(system.shard, epoch + 1) - chain.blocks.height
        if epoch not in stored and left > 3:
            stored[epoch] = system.store(rich, make_data(seed=epoch), epochs=2)
        elif left > 2 and done[-1:] != ["certified"]:
            done.append(next(steps))
            if done[-1] == "wait":
                chain.mine(1)
        else:
            chain.mine(1)

    # the second shard went all the way, and was audited
    assert done[-1] == "certified"
    audited = [
        epoch
        for epoch in range(1, second.epoch)
        for person in people
        if second.audits.statusOf(second.shard, epoch, person) == ANSWERED
    ]
    assert audited
    assert len(audited) % len(people) == 0
    # the first never waited: a certificate in each epoch, each epoch sealed, every duty answered
    assert sorted(stored) == list(range(first_epoch, first_epoch + EPOCHS))
    duties = 0
    for epoch in range(first_epoch + 1, first_epoch + EPOCHS):
        assert system.audits.seedOf(system.shard, epoch).sealedBlock > 0
        for person in people:
            if system.audits.heldRows(system.shard, epoch, person):
                duties += 1
                assert system.audits.statusOf(system.shard, epoch, person) == ANSWERED
    assert duties >= len(people) * (EPOCHS - 2)
    # and nothing of what binds the first shard's operators moved
    assert system.shards.rosterEntries(system.shard, 1, 0, 9) == entries
    assert [tuple(system.shards.slashTerms(system.shard, 1, person)) for person in people] == terms
