"""An epoch's answers and misses in any order and at any time, against a model: I-A1, I-A2 and I-A5 of Audits."""

from __future__ import annotations

import pytest
from ape import chain
from ape.exceptions import ContractLogicError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.system import deploy_system, make_data

NONE, ANSWERED, MISSED = 0, 1, 2
SEATS = 4

ACTIONS = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, SEATS - 1)),
    st.tuples(st.just("answer many"), st.integers(1, 2**SEATS - 1)),
    st.tuples(st.just("report"), st.integers(0, SEATS - 1)),
    st.tuples(st.just("report many"), st.integers(1, 2**SEATS - 1)),
    st.tuples(st.just("wait"), st.integers(1, 4)),
)


@pytest.fixture(scope="module")
def system(project, accounts):
    """Four operators with a ticket each, an object, and an epoch that is about to be sealed."""
    made = deploy_system(project, accounts[0], accounts[5])
    made.enroll(accounts[9:13])
    made.take_roster()
    object_id = made.store(accounts[1], make_data(n=4, k=2, matrices=4))
    made.asked = made.objects.record(object_id).firstEpoch
    made.go_to_epoch(made.asked)
    return made


def tried(transaction, *arguments, sender) -> bool:
    """Send; tell whether it was accepted. Either way it takes a block."""
    try:
        transaction(*arguments, sender=sender)
    except ContractLogicError:
        return False
    return True


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, min_size=10, max_size=18))
def test_statuses_are_the_models(system, accounts, actions):
    """Answers count up to the deadline, reports from there to the end of reporting, and whatever was first stays."""
    with chain.isolate():
        audits, epoch, anybody = system.audits, system.asked, accounts[4]
        seed_block = system.shards.seedBlockOf(1, epoch)
        sealed = system.seal(epoch).block_number
        members = [item.account for item in system.members_of(1)]
        responses = [system.response(item, epoch).as_tuple() for item in members]
        deadline, limit = sealed + system.parameters["window"], sealed + system.parameters["window"] + 10
        assert system.parameters["reporting"] == 10
        # I-A1
        assert seed_block < sealed <= seed_block + system.parameters["sealingLimit"]
        assert tuple(audits.seedOf(1, epoch))[1:] == (sealed, deadline)

        statuses = [NONE] * SEATS
        for kind, value in actions:
            chosen = [seat for seat in range(SEATS) if value >> seat & 1]
            if kind == "wait":
                chain.mine(value)
                continue
            if kind == "answer":
                accepted = tried(audits.respond, responses[value], sender=anybody)
            elif kind == "answer many":
                accepted = tried(audits.respondMany, [responses[seat] for seat in chosen], sender=anybody)
            elif kind == "report":
                accepted = tried(audits.reportMiss, 1, epoch, members[value], sender=anybody)
            else:
                accepted = tried(audits.reportMisses, 1, epoch, 1, [value], sender=anybody)

            block = chain.blocks.height
            touched = chosen if kind.endswith("many") else [value]
            new = ANSWERED if kind.startswith("answer") else MISSED
            in_time = block <= deadline if new == ANSWERED else deadline < block <= limit
            assert accepted == (in_time and (kind.endswith("many") or statuses[value] == NONE))
            # I-A2
            for seat in touched if accepted else ():
                statuses[seat] = statuses[seat] or new
            assert [audits.statusOf(1, epoch, item) for item in members] == statuses
            assert [audits.answeredCount(item) for item in members] == [status == ANSWERED for status in statuses]
            # I-A5
            assert [system.restaking.pendingSlashes(item) for item in members] == [
                status == MISSED for status in statuses
            ]
