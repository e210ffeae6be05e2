"""Shards: parameters, members, rosters, what binds stake, places fallen vacant."""

from __future__ import annotations

from copy import copy

import pytest
from ape import chain
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts import curve_points as cp
from tests.contracts.reverts import reverts_with
from tests.contracts.staking import (
    CLOSING,
    EPOCH,
    SHARD,
    TIMELOCK,
    WAD,
    WITHDRAWAL_DELAY,
    ZERO_ADDRESS,
    deploy_staking,
    go_to_block,
    key_of,
    name32,
    secret_of,
)

#: Spacing of snapshots, and half of the term, in blocks, for the shard of `SHARD`: D is 7 epochs of 20.
SPACING, HALF_TERM = 20, 70
#: What a miss takes, as kept in code behind the bond token (MissTerms).
MISS_TERMS = ("bondSlashPerTicket", "stakeSlashPerTicket", "reporterFee")


@pytest.fixture(scope="module")
def math_harness(project, deployer):
    """Return TicketMath."""
    return deployer.deploy(project.TicketMathHarness)


@pytest.fixture(scope="module", autouse=True)
def deployed(project, accounts, stranger, owner, restakers, operators, math_harness):
    """Return the contracts, with a shard and six registered operators."""
    staking = deploy_staking(project, accounts)
    for operator in operators:
        staking.register(operator)
    return staking


@pytest.fixture
def staking(deployed):
    """Return a copy, whose shard a test may replace."""
    return copy(deployed)


@pytest.fixture
def shards(staking):
    """Return Shards."""
    return staking.shards


@pytest.fixture
def members(staking):
    """Return Members."""
    return staking.members


@pytest.fixture
def shard(staking):
    """Return the shard's id."""
    return staking.shard


@pytest.fixture
def another_token(project, deployer):
    """Return a token that isn't listed."""
    return deployer.deploy(project.MintableToken)


def tickets_of(staking, roster):
    """Return a roster's tickets by address."""
    return {operator: entry.tickets for operator, entry in staking.entries(roster).items()}


def by_address(accounts, values):
    """Return values by the addresses of accounts."""
    return {account.address: value for account, value in zip(accounts, values, strict=True)}


class TestCreate:
    def test_only_the_governor(self, staking, shards, stranger):
        """A stranger can't open a shard."""
        with reverts_with(shards.NotGovernor, caller=stranger):
            shards.create(staking.terms(), staking.weights(), sender=stranger)

    @pytest.mark.parametrize(
        ("field", "value", "limit"),
        [
            ("epochLength", 0, 1),
            ("finality", 0, 1),
            ("finality", EPOCH + 1, EPOCH),
            ("sealingLimit", 0, 1),
            ("sealingLimit", 8192, 8191),
            ("window", 0, 1),
            ("reporting", 0, 1),
            ("termEpochs", 0, 1),
            ("termEpochs", 10**6 + 1, 10**6),
            ("samples", 0, 1),
            ("samples", 65, 64),
            ("maxOperators", 0, 1),
            ("maxOperators", 1001, 1000),
            ("jailMisses", 0, 1),
            ("jailEpochs", 0, 1),
            ("jailEpochs", 10**6 + 1, 10**6),
            ("unprovenToPayerBps", 10_001, 10_000),
            ("maxRowsPerTicket", 0, 1),
            ("bondToken", ZERO_ADDRESS, 1),
            ("paymentToken", ZERO_ADDRESS, 1),
            ("ticketPrice", 0, 1),
            ("ticketPrice", 2**128, 2**128 - 1),
            ("bondPerTicket", 0, 1),
            ("bondPerTicket", 2**128, 2**128 - 1),
            ("minBond", 0, 1),
            ("minBond", 2**128, 2**128 - 1),
            ("bondSlashPerTicket", 0, 1),
            ("bondSlashPerTicket", 10 * WAD + 1, 10 * WAD),
            ("stakeSlashPerTicket", 100 * WAD + 1, 100 * WAD),
        ],
    )
    def test_parameters_out_of_range(self, staking, shards, field, value, limit):
        """Each parameter has its range; the error names the field, the value and the limit passed."""
        number = int(value, 16) if isinstance(value, str) else value
        with reverts_with(shards.ParameterOutOfRange, name=name32(field), value=number, limit=limit):
            shards.create(staking.terms(**{field: value}), staking.weights(), sender=staking.governor)

    def test_closing_longer_than_the_term(self, staking, shards):
        """A shard whose rosters would pile up while they close is refused."""
        with reverts_with(shards.ParameterOutOfRange, name=name32("closing"), value=CLOSING, limit=EPOCH):
            shards.create(staking.terms(termEpochs=1), staking.weights(), sender=staking.governor)

    def test_withdrawal_delay_too_short(self, staking, shards):
        """Delay ≥ epoch + sealing limit + window + reporting + resolution + guardian's delay, to the block."""
        needed = 20 + 20 + 8 + 10 + 3 + 3
        assert needed <= WITHDRAWAL_DELAY
        spare = WITHDRAWAL_DELAY - needed
        with reverts_with(shards.WithdrawalDelayTooShort, delay=WITHDRAWAL_DELAY, needed=WITHDRAWAL_DELAY + 1):
            shards.create(staking.terms(window=8 + spare + 1), staking.weights(), sender=staking.governor)
        shards.create(staking.terms(window=8 + spare), staking.weights(), sender=staking.governor)

    def test_timelock_too_short(self, staking, shards):
        """I-D1: timelock > delay + epoch, to the block."""
        short = {"sealingLimit": 10, "window": 4, "reporting": 5}
        longest = TIMELOCK - WITHDRAWAL_DELAY - 1
        with reverts_with(shards.TimelockTooShort, timelock=TIMELOCK, needed=TIMELOCK + 1):
            shards.create(staking.terms(epochLength=longest + 1, **short), staking.weights(), sender=staking.governor)
        shards.create(staking.terms(epochLength=longest, **short), staking.weights(), sender=staking.governor)

    def test_collateral_unknown(self, staking, shards, another_token):
        """Only what the governor listed counts as stake."""
        weights = [{"token": another_token.address, "weightWad": WAD}]
        with reverts_with(shards.CollateralUnknown, token=another_token):
            shards.create(staking.terms(), weights, sender=staking.governor)

    def test_collateral_repeated(self, staking, shards):
        """A collateral counts once."""
        weights = [*staking.weights(), staking.weights()[0]]
        with reverts_with(shards.CollateralRepeated, token=staking.alpha):
            shards.create(staking.terms(), weights, sender=staking.governor)

    @pytest.mark.parametrize(("weight", "limit"), [(0, 1), (10**24 + 1, 10**24)])
    def test_weight_out_of_range(self, staking, shards, weight, limit):
        """A collateral weighs something, and not absurdly much."""
        with reverts_with(shards.ParameterOutOfRange, name=name32("weightWad"), value=weight, limit=limit):
            shards.create(staking.terms(), staking.weights(alpha=weight), sender=staking.governor)

    @pytest.mark.parametrize(("count", "limit"), [(0, 1), (9, 8)])
    def test_number_of_collaterals(self, staking, shards, count, limit):
        """A shard counts one to eight collaterals."""
        weights = [staking.weights()[0]] * count
        with reverts_with(shards.ParameterOutOfRange, name=name32("collaterals"), value=count, limit=limit):
            shards.create(staking.terms(), weights, sender=staking.governor)

    def test_creates(self, staking, shards):
        """Parameters, collaterals and first block are kept; the other shards run on."""
        before = shards.count()
        weights = staking.weights(alpha=2 * WAD, beta=WAD // 2)
        receipt = shards.create(staking.terms(samples=64), weights, sender=staking.governor)
        shard = shards.count()
        assert shard == before + 1
        assert shards.firstBlockOf(shard) == receipt.block_number
        parameters = shards.parametersOf(shard)
        assert {name: getattr(parameters, name) for name in SHARD} == staking.terms(samples=64)
        kept = [(item.token, item.weightWad) for item in shards.collateralsOf(shard)]
        assert kept == [(staking.alpha, 2 * WAD), (staking.beta, WAD // 2)]
        words = [(staking.bond_token.address, 20), *[(SHARD[name], 16) for name in MISS_TERMS]]
        words += [word for token, weight in kept for word in ((token, 20), (weight, 12))]
        expected = b"\0" + b"".join(int(str(value), 0).to_bytes(size, "big") for value, size in words)
        assert chain.provider.get_code(shards.missTermsOf(shard)) == expected
        assert shards.restakingOf(shard) == staking.restaking
        (event,) = receipt.events
        assert (event.shard, event.firstBlock) == (shard, receipt.block_number)
        assert shards.parametersOf(before).samples == SHARD["samples"]


class TestUnknownShard:
    @pytest.mark.parametrize(
        ("view", "extra"),
        [
            ("firstBlockOf", []),
            ("parametersOf", []),
            ("collateralsOf", []),
            ("missTermsOf", []),
            ("restakingOf", []),
            ("epochAt", [1]),
            ("seedBlockOf", [1]),
            ("frozenBlockOf", [1]),
            ("firstEpochAfter", [1]),
            ("rosterCount", []),
            ("activeRoster", []),
            ("rosterHead", [1]),
            ("rosterEntry", [1, 0]),
            ("rosterEntries", [1, 0, 9]),
            ("rosterKeys", [1, []]),
            ("placesIn", [1, ZERO_ADDRESS]),
            ("vacantTicketsOf", [1]),
            ("rosterIndexOf", [1, ZERO_ADDRESS]),
            ("isInRoster", [1, ZERO_ADDRESS]),
            ("aggregateKeyOf", [1]),
            ("absenceIn", [1, []]),
            ("slashTerms", [1, ZERO_ADDRESS]),
            ("slashPlaceOf", [1, ZERO_ADDRESS]),
            ("sourceOf", [1]),
            ("rostersLiveIn", [1]),
            ("vacatedAt", [1, ZERO_ADDRESS]),
            ("boundIn", [ZERO_ADDRESS, 0, 1]),
        ],
    )
    @pytest.mark.parametrize("unknown", [0, 2])
    def test_views(self, shards, view, extra, unknown):
        """Nothing is said of a shard that doesn't exist."""
        with reverts_with(shards.ShardUnknown, shard=unknown):
            getattr(shards, view)(unknown, *extra)

    def test_calls(self, staking, shards, members, operator):
        """Nothing can be done with it either."""
        for contract, call, sender in [
            (members, lambda **kw: members.join(2, **kw), operator),
            (members, lambda **kw: members.exit(2, **kw), operator),
            (members, lambda **kw: members.drop(2, operator, **kw), operator),
            (members, lambda **kw: members.snapshot(2, **kw), operator),
            (members, lambda **kw: members.refresh(2, 1, **kw), operator),
            (members, lambda **kw: members.refreshOperators(2, [], **kw), operator),
            (members, lambda **kw: members.recordSlash(2, operator, 1, 0, **kw), operator),
            (shards, lambda **kw: shards.recordObject(2, 1, 1, **kw), staking.objects),
        ]:
            with reverts_with(contract.ShardUnknown, shard=2):
                call(sender=sender)
        for view in (members.membersOf, lambda number: members.memberOf(number, operator)):
            with reverts_with(members.ShardUnknown, shard=2):
                view(2)


class TestEpochs:
    def test_blocks_and_epochs(self, shards, shard):
        """Epoch e is the blocks from first + e·length on; before the shard it is 0."""
        first = shards.firstBlockOf(shard)
        for epoch in (0, 1, 7):
            assert shards.seedBlockOf(shard, epoch) == first + epoch * EPOCH
            assert shards.epochAt(shard, first + epoch * EPOCH) == epoch
            assert shards.epochAt(shard, first + epoch * EPOCH + EPOCH - 1) == epoch
        assert shards.epochAt(shard, 0) == 0
        assert shards.frozenBlockOf(shard, 3) == first + 3 * EPOCH - SHARD["finality"]

    def test_first_epoch_after_is_the_least(self, shards, shard):
        """What happened in a block counts from the first audited epoch whose frozen block isn't before it."""
        first = shards.firstBlockOf(shard)
        for block in [0, first, *range(first + EPOCH - 4, first + EPOCH + 2), first + 3 * EPOCH - 2]:
            expected = 1
            while shards.frozenBlockOf(shard, expected) < block:
                expected += 1
            assert shards.firstEpochAfter(shard, block) == expected


class TestJoin:
    def test_only_registered(self, staking, shards, members, shard, stranger):
        """Who has no key can't join."""
        with reverts_with(members.NotRegistered, operator=stranger):
            members.join(shard, sender=stranger)

    def test_bond_below_the_least(self, staking, shards, members, shard, operator):
        """The least bond is asked for, even if less makes a ticket."""
        staking.post_bond(operator, SHARD["minBond"] - 1)
        with reverts_with(members.BondBelowMinimum, bond=SHARD["minBond"] - 1, minimum=SHARD["minBond"]):
            members.join(shard, sender=operator)

    def test_bond_below_a_ticket(self, staking, shards, members, operator):
        """Where a ticket needs more than the least bond, that is asked for."""
        shard = staking.create_shard(minBond=WAD)
        staking.post_bond(operator, 10 * WAD - 1)
        with reverts_with(members.BondBelowMinimum, bond=10 * WAD - 1, minimum=10 * WAD):
            members.join(shard, sender=operator)

    def test_stake_below_a_ticket(self, staking, shards, members, shard, operator, restaker):
        """Weight for one ticket is asked for; unallocated stake weighs nothing."""
        staking.post_bond(operator, 20 * WAD)
        staking.stake(restaker, operator, 200 * WAD, staking.beta)
        staking.allocate(operator, WAD // 2 - 1)
        with reverts_with(members.StakeBelowTicket, weight=0, ticketPrice=100 * WAD):
            members.join(shard, sender=operator)
        staking.stake(restaker, operator, 200 * WAD)
        with reverts_with(members.StakeBelowTicket, ticketPrice=100 * WAD) as caught:
            members.join(shard, sender=operator)
        assert caught.values["weight"] == 100 * WAD - 200

    def test_joins_once(self, staking, shards, members, shard, operator):
        """A member can't join again."""
        staking.enroll(operator)
        with reverts_with(members.AlreadyJoined, shard=shard, operator=operator):
            members.join(shard, sender=operator)

    def test_full(self, staking, shards, members, operators):
        """A shard takes no more operators than its parameters say; a place that is left is open."""
        shard = staking.create_shard(maxOperators=2)
        for operator in operators[:2]:
            staking.enroll(operator)
        third = operators[2]
        with reverts_with(members.ShardFull, shard=shard, limit=2):
            staking.enroll(third)
        members.exit(shard, sender=operators[0])
        members.join(shard, sender=third)
        # in the seat that was left
        assert members.membersOf(shard) == [third, operators[1]]

    def test_joins(self, staking, shards, members, shard, operators):
        """Members are listed, with their shards."""
        staking.enroll(operators[0])
        staking.enroll(operators[1])
        assert members.membersOf(shard) == operators[:2]
        assert members.isMember(shard, operators[0])
        assert not members.isMember(shard, operators[2])
        assert members.shardsOf(operators[0]) == [shard]
        assert tuple(members.standingOf(shard, operators[0])) == (20 * WAD, 200 * WAD, 2)

    def test_at_most_eight_shards(self, staking, shards, members, operator):
        """A ninth shard is refused until one of the eight binds nothing any more."""
        staking.post_bond(operator, 20 * WAD)
        joined = [staking.shard]
        joined += [staking.create_shard() for _ in range(8)]
        for number in joined:
            staking.shard = number
            staking.restaking.allocate(number, staking.alpha, WAD // 9, sender=operator)
            if number != joined[0]:
                staking.post_bond(operator, 20 * WAD)
        staking.stake(operator, operator, 1000 * WAD)
        for number in joined[:8]:
            members.join(number, sender=operator)
        with reverts_with(members.TooManyShards, operator=operator, limit=8):
            members.join(joined[8], sender=operator)

        # one that is left while its roster binds makes no room
        staking.shard = joined[3]
        staking.snapshot()
        members.exit(joined[3], sender=operator)
        with reverts_with(members.TooManyShards, operator=operator, limit=8):
            members.join(joined[8], sender=operator)

        members.exit(joined[5], sender=operator)
        members.join(joined[8], sender=operator)
        assert sorted(members.shardsOf(operator)) == sorted({*joined} - {joined[5]})
        # back in one that it knows: nothing is listed twice
        members.join(joined[3], sender=operator)
        assert len(members.shardsOf(operator)) == 8


class TestLeave:
    def test_only_members(self, shards, members, shard, operator):
        """Who didn't join can't leave."""
        with reverts_with(members.NotJoined, shard=shard, operator=operator):
            members.exit(shard, sender=operator)

    def test_leaves(self, staking, shards, members, shard, operators):
        """Who left isn't in the next roster; its place in the last one stays."""
        for operator in operators[:4]:
            staking.enroll(operator)
        first = staking.snapshot()
        receipt = members.exit(shard, sender=operators[1])
        assert receipt.events == [members.OperatorLeft(shard=shard, operator=operators[1])]
        assert set(members.membersOf(shard)) == {operators[i].address for i in (0, 2, 3)}
        go_to_block(chain.blocks.height + SPACING)
        second = staking.snapshot()
        assert shards.isInRoster(shard, first, operators[1])
        assert not shards.isInRoster(shard, second, operators[1])


class TestDrop:
    def test_only_members(self, shards, members, shard, operator, stranger):
        """Who isn't a member can't be dropped."""
        with reverts_with(members.NotJoined, shard=shard, operator=operator):
            members.drop(shard, operator, sender=stranger)

    def test_not_who_qualifies(self, staking, shards, members, shard, operator, stranger):
        """A member with bond and weight for a ticket stays."""
        staking.enroll(operator)
        with reverts_with(members.StillQualified, shard=shard, operator=operator):
            members.drop(shard, operator, sender=stranger)

    def test_drops_who_holds_a_place_for_nothing(self, staking, shards, members, shard, operator, stranger):
        """A member whose bond is leaving can be dropped by anyone."""
        staking.enroll(operator)
        staking.restaking.queueBondWithdrawal(shard, 6 * WAD, sender=operator)
        members.drop(shard, operator, sender=stranger)
        assert not members.isMember(shard, operator)


class TestSnapshot:
    def test_needs_tickets(self, staking, shards, members, shard, operator):
        """A shard without members, or whose members have no ticket, has no roster."""
        with reverts_with(members.NoTickets, shard=shard):
            staking.snapshot()
        staking.enroll(operator)
        staking.restaking.deallocate(shard, staking.alpha, WAD, sender=operator)
        with reverts_with(members.NoTickets, shard=shard):
            staking.snapshot()

    def test_spacing(self, staking, shards, members, shard, operators):
        """Snapshots lie a seventh of the term apart, to the block, whatever changed."""
        staking.enroll(operators[0])
        staking.snapshot()
        last = chain.blocks.height
        staking.enroll(operators[1])
        go_to_block(last + SPACING - 2)
        with reverts_with(members.SnapshotTooEarly, blockNumber=last + SPACING - 1, earliest=last + SPACING):
            staking.snapshot()
        go_to_block(last + SPACING - 1)
        assert staking.snapshot() == 2

    def test_spacing_is_rounded_up(self, staking, shards, members, operator):
        """A seventh of 8 epochs of 20 blocks is 23 blocks, not 22."""
        staking.create_shard(termEpochs=8)
        staking.enroll(operator)
        staking.snapshot()
        last = chain.blocks.height
        go_to_block(last + 21)
        with reverts_with(members.SnapshotTooEarly, blockNumber=last + 22, earliest=last + 23):
            staking.snapshot()

    def test_needs_a_change(self, staking, members, operators):
        """Less than a twentieth of the tickets changed: no roster; a twentieth: a roster."""
        staking.enroll(operators[0], tickets=20)
        staking.enroll(operators[1], tickets=20)
        staking.snapshot()
        chain.mine(SPACING)
        with reverts_with(members.TicketsUnchanged, changed=0, needed=2):
            staking.snapshot()
        staking.restaking.undelegate(operators[0], staking.alpha, 1, sender=operators[0])
        with reverts_with(members.TicketsUnchanged, changed=1, needed=2):
            staking.snapshot()
        # what leaves and what comes add up
        staking.post_bond(operators[1], 100 * WAD)
        staking.restaking.undelegate(operators[1], staking.alpha, 1, sender=operators[1])
        assert staking.snapshot() == 2
        assert tickets_of(staking, 2) == by_address(operators[:2], (19, 19))

    def test_members_that_come_and_go_are_change(self, staking, shards, members, shard, operators):
        """One out, another of equal weight in: all of both weights changed."""
        staking.enroll(operators[0])
        staking.enroll(operators[1])
        staking.snapshot()
        staking.enroll(operators[2])
        members.exit(shard, sender=operators[0])
        chain.mine(SPACING)
        second = staking.snapshot()
        assert tickets_of(staking, second) == by_address(operators[1:3], (2, 2))

    def test_half_a_term_needs_no_change(self, staking, members, operator):
        """After half of the term a roster may be renewed as it is, to the block."""
        staking.enroll(operator)
        staking.snapshot()
        last = chain.blocks.height
        go_to_block(last + HALF_TERM - 2)
        with reverts_with(members.TicketsUnchanged, changed=0, needed=1):
            staking.snapshot()
        go_to_block(last + HALF_TERM - 1)
        assert staking.snapshot() == 2

    def test_head(self, staking, shards, shard, operators):
        """A roster is active from the next epoch on and ends a term after the epoch of its snapshot."""
        for operator in operators[:3]:
            staking.enroll(operator)
        go_to_block(staking.seed_block(shards.epochAt(shard, chain.blocks.height) + 1) - 1)
        roster = staking.snapshot()
        block = chain.blocks.height
        epoch = shards.epochAt(shard, block)
        assert block == staking.seed_block(epoch)
        head = shards.rosterHead(shard, roster)
        assert (head.snapshotBlock, head.activeFromEpoch, head.endEpoch) == (block, epoch + 1, epoch + 7)
        assert (head.tickets, head.operators, head.slasher) == (6, 3, staking.audits)

    def test_entries(self, staking, shards, shard, operators):
        """Seats in the order of joining, with consecutive tickets and keys; the aggregate key is the keys' sum."""
        for operator, tickets in zip(operators[:4], (2, 3, 4, 5), strict=True):
            staking.enroll(operator, tickets=tickets)
        roster = staking.snapshot()
        first = 0
        many = shards.rosterEntries(shard, roster, 0, 99)
        # five would be more than a third of 2 + 3 + 4 + 5
        for seat, (operator, tickets) in enumerate(zip(operators[:4], (2, 3, 4, 4), strict=True)):
            entry = shards.rosterEntry(shard, roster, seat)
            assert entry == many[seat]
            assert entry.operator == operator
            assert (entry.firstTicket, entry.tickets) == (first, tickets)
            assert entry.keyHash == keccak(key_of(operator))
            assert shards.rosterIndexOf(shard, roster, operator) == seat
            assert shards.slashTerms(shard, roster, operator).bondSlash == tickets * 4 * WAD
            first += tickets
        head = shards.rosterHead(shard, roster)
        assert (head.tickets, head.operators, head.seats, head.largest) == (first, 4, 4, 4)
        assert shards.rosterEntries(shard, roster, 1, 3) == many[1:3]
        assert shards.rosterEntries(shard, roster, 4, 2) == []
        assert shards.rosterKeys(shard, roster, [2, 0]) == key_of(operators[2]) + key_of(operators[0])
        expected = cp.g2(cp.sum_of([cp.key_of(secret_of(operator)) for operator in operators[:4]]))
        assert shards.aggregateKeyOf(shard, roster) == expected

    def test_bond_limits_tickets(self, staking, shards, shard, operators, restaker):
        """Tickets follow what is scarcer: weight or bond."""
        staking.enroll(operators[0], tickets=2)
        staking.stake(restaker, operators[0], 5000 * WAD)
        staking.enroll(operators[1], tickets=2)
        staking.post_bond(operators[1], 500 * WAD)
        assert tickets_of(staking, staking.snapshot()) == by_address(operators[:2], (2, 2))

    def test_who_fell_below_gets_no_entry(self, staking, shards, members, operators):
        """A member without bond has no tickets and no entry; it stays a member."""
        for operator in operators[:2]:
            staking.enroll(operator)
        staking.restaking.queueBondWithdrawal(staking.shard, 6 * WAD, sender=operators[0])
        roster = staking.snapshot()
        assert tickets_of(staking, roster) == {operators[1].address: 2}
        assert members.isMember(staking.shard, operators[0])

    def test_weights_of_collaterals(self, staking, shards, members, operators, restaker):
        """Each collateral counts by its weight, and is slashed in the proportion in which it was counted."""
        shard = staking.create_shard(staking.weights(alpha=2 * WAD, beta=WAD // 2))
        operator = operators[0]
        staking.post_bond(operator, 30 * WAD)
        for token, amount in ((staking.alpha, 100 * WAD), (staking.beta, 300 * WAD)):
            staking.restaking.allocate(shard, token, WAD, sender=operator)
            staking.stake(restaker, operator, amount, token)
        members.join(shard, sender=operator)
        roster = staking.snapshot()
        assert staking.entries(roster)[operator.address].tickets == 3
        assert members.standingOf(shard, operator).weight == 350 * WAD
        bond_slash, fee, tokens, amounts = shards.slashTerms(shard, roster, operator)
        assert (bond_slash, fee) == (12 * WAD, WAD)
        assert tokens == [staking.alpha, staking.beta]
        # 60 of 350 in weight: of each collateral 60/350
        assert amounts == [100 * WAD * 60 // 350, 300 * WAD * 60 // 350]

    def test_above_1024_tickets_prices_rise(self, staking, shards, operators):
        """A shard that would have 4,000 tickets has at most 1,024, in the same proportions."""
        shard = staking.create_shard(ticketPrice=WAD, stakeSlashPerTicket=WAD, bondPerTicket=WAD, minBond=WAD,
                                     bondSlashPerTicket=WAD)  # fmt: skip
        for operator, tickets in zip(operators[:4], (1200, 1200, 1200, 400), strict=True):
            staking.enroll(operator, tickets=tickets)
        roster = staking.snapshot()
        assert tickets_of(staking, roster) == by_address(operators[:4], (307, 307, 307, 102))
        assert shards.rosterHead(shard, roster).tickets == 1023
        assert shards.slashTerms(shard, roster, operators[0]).bondSlash == 307 * WAD

    def test_rosters_do_not_change(self, staking, shards, members, shard, operators):
        """Nothing that happens after a snapshot changes it."""
        for operator in operators[:3]:
            staking.enroll(operator)
        roster = staking.snapshot()
        before = [tuple(shards.rosterEntry(shard, roster, index)) for index in range(3)]
        terms = tuple(shards.slashTerms(shard, roster, operators[0]))
        staking.slash(operators[0])
        staking.restaking.deallocate(shard, staking.alpha, WAD, sender=operators[1])
        members.exit(shard, sender=operators[1])
        chain.mine(SPACING)
        assert tickets_of(staking, staking.snapshot()) == {operators[2].address: 2}
        assert [tuple(shards.rosterEntry(shard, roster, index)) for index in range(3)] == before
        assert tuple(shards.slashTerms(shard, roster, operators[0])) == terms

    def test_another_stake_source(self, staking, shards, shard, operators, project):
        """An adapter takes the vault's place while the shard runs; what it counts, Restaking can't slash."""
        for operator in operators[:2]:
            staking.enroll(operator)
        first = staking.snapshot()
        source = staking.governor.deploy(project.StakeSourceDouble)
        source.setStake(operators[0], shard, staking.alpha, 700 * WAD, sender=staking.governor)
        staking.directory.set(name32("stakeSource"), source, sender=staking.governor)
        chain.mine(SPACING)
        second = staking.snapshot()
        assert tickets_of(staking, second) == {operators[0].address: 2}
        assert shards.slashTerms(shard, second, operators[0]).amounts == [0, 0]
        assert shards.slashTerms(shard, first, operators[0]).amounts == [40 * WAD, 0]

    def test_stake_beyond_words_does_not_stop_snapshots(self, staking, shards, members, shard, operators, project):
        """An adapter that counts absurd amounts blocks nothing."""
        staking.enroll(operators[0])
        source = staking.governor.deploy(project.StakeSourceDouble)
        source.setStake(operators[0], shard, staking.alpha, 2**256 - 1, sender=staking.governor)
        staking.directory.set(name32("stakeSource"), source, sender=staking.governor)
        roster = staking.snapshot()
        assert members.standingOf(shard, operators[0]).weight == 2**104 - 1
        assert tickets_of(staking, roster) == {operators[0].address: 2}

    def test_event(self, staking, shards, members, shard, operator):
        """The event names roster, tickets and aggregate key."""
        staking.enroll(operator)
        receipt = members.snapshot(shard, sender=staking.governor)
        head = shards.rosterHead(shard, 1)
        (event,) = [event for event in receipt.events if event.event_name == "RosterTaken"]
        assert (event.shard, event.roster, event.tickets, event.operators) == (shard, 1, 2, 1)
        assert (event.activeFromEpoch, event.slasher) == (head.activeFromEpoch, staking.audits)
        assert bytes(chain.provider.get_code(event.keySum)) == b"\0" + key_of(operator)


def largest_cap(raw):
    """Return the largest c with c ≤ ⌊Σ min(t, c) / 3⌋, found by trying."""
    c = max(raw)
    while 3 * c > sum(min(t, c) for t in raw):
        c -= 1
    return c


class TestTicketMath:
    @settings(max_examples=60)
    @given(raw=st.lists(st.one_of(st.integers(0, 12), st.integers(0, 340)), min_size=1, max_size=12))
    def test_cap_is_the_largest(self, math_harness, raw):
        """Of three holders or more each keeps at most the largest cap that is a third, and at least one ticket."""
        expected = raw
        if sum(t > 0 for t in raw) >= 3:
            expected = [min(t, largest_cap(raw)) for t in raw]
        if sum(expected) > 1024:
            return
        total, tickets = math_harness.apportion(raw)
        assert (total, tickets) == (sum(expected), expected)
        assert all((t == 0) == (r == 0) for t, r in zip(tickets, raw, strict=True))

    @settings(max_examples=60)
    @given(raw=st.lists(st.one_of(st.just(0), st.integers(0, 2000), st.integers(0, 2**128)), min_size=1, max_size=20))
    def test_bounds(self, math_harness, raw):
        """Never more than 1,024, never more than a third for one of three or more, never more than was paid for."""
        total, tickets = math_harness.apportion(raw)
        holders = sum(t > 0 for t in raw)
        assert total == sum(tickets) <= 1024
        assert all(t <= r for t, r in zip(tickets, raw, strict=True))
        if holders >= 3:
            assert sum(t > 0 for t in tickets) >= 3
            assert 3 * max(tickets) <= total
        if holders:
            assert total > 0

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            ([], []),
            ([0, 0], [0, 0]),
            ([5], [5]),
            ([9, 1], [9, 1]),
            ([9, 1, 1], [1, 1, 1]),
            ([9, 9, 1], [1, 1, 1]),
            ([9, 3, 2], [2, 2, 2]),
            ([9, 2, 2, 2], [3, 2, 2, 2]),
            ([2, 2, 2], [2, 2, 2]),
            ([2048], [1024]),
            ([3000, 1000], [768, 256]),
            # small ones get what the floors left over, in order, until there is none left
            ([10**6, 10**6, 10**6, 1, 1], [341, 341, 341, 1, 0]),
            ([5000, 5000, *[1] * 400], [341, 341, *[1] * 342, *[0] * 58]),
        ],
    )
    def test_examples(self, math_harness, raw, expected):
        """Cases worked out by hand."""
        total, tickets = math_harness.apportion(raw)
        assert (total, tickets) == (sum(expected), expected)


class TestSeats:
    def test_a_seat_goes_to_the_next(self, staking, shards, members, shard, operators):
        """Who left stays in the older roster, in the same seat and under the same key as who came after."""
        for operator in operators[:4]:
            staking.enroll(operator)
        first = staking.snapshot()
        members.exit(shard, sender=operators[1])
        assert members.memberOf(shard, operators[1]).openSince == chain.blocks.height
        staking.enroll(operators[4])
        chain.mine(SPACING)
        second = staking.snapshot()
        assert (
            shards.rosterIndexOf(shard, first, operators[1]) == shards.rosterIndexOf(shard, second, operators[4]) == 1
        )
        for roster, who in ((first, operators[:4]), (second, [operators[0], operators[4], *operators[2:4]])):
            assert [entry.operator for entry in shards.rosterEntries(shard, roster, 0, 9)] == who
            keys = [cp.key_of(secret_of(operator)) for operator in who]
            assert shards.aggregateKeyOf(shard, roster) == cp.g2(cp.sum_of(keys))
            assert shards.rosterKeys(shard, roster, [0, 1, 2, 3]) == b"".join(cp.g2(key) for key in keys)
        assert not shards.isInRoster(shard, first, operators[4])
        assert not shards.isInRoster(shard, second, operators[1])

    def test_empty_seats(self, staking, shards, members, shard, operators):
        """A seat that nobody took has no tickets, no operator and no key; the others' tickets stay consecutive."""
        for operator in operators[:3]:
            staking.enroll(operator)
        members.exit(shard, sender=operators[1])
        roster = staking.snapshot()
        head = shards.rosterHead(shard, roster)
        assert (head.seats, head.operators, head.tickets) == (3, 2, 4)
        entries = shards.rosterEntries(shard, roster, 0, 3)
        assert [(entry.firstTicket, entry.tickets) for entry in entries] == [(0, 2), (2, 0), (2, 2)]
        assert (entries[1].operator, bytes(entries[1].keyHash)) == (ZERO_ADDRESS, bytes(32))
        assert shards.rosterEntry(shard, roster, 1) == entries[1]
        with reverts_with(shards.SeatEmpty, seat=1):
            shards.rosterKeys(shard, roster, [1])

    def test_back_in_another_seat(self, staking, shards, members, shard, operators):
        """An operator that left and came back has its old seat in the old roster and its new one in the new."""
        for operator in operators[:3]:
            staking.enroll(operator)
        first = staking.snapshot()
        members.exit(shard, sender=operators[0])
        staking.enroll(operators[3])
        members.join(shard, sender=operators[0])
        chain.mine(SPACING)
        second = staking.snapshot()
        assert [shards.rosterIndexOf(shard, number, operators[0]) for number in (first, second)] == [0, 3]
        assert tickets_of(staking, second) == by_address(operators[:4], (2, 2, 2, 2))
        keys = [cp.key_of(secret_of(operator)) for operator in operators[:4]]
        assert shards.aggregateKeyOf(shard, second) == cp.g2(cp.sum_of(keys))

    def test_places_in(self, staking, shards, members, shard, operators):
        """All places of an epoch in one call: what the single views say, vacant ones too."""
        for operator in operators[:3]:
            staking.enroll(operator)
        staking.post_bond(operators[0], 3 * WAD)
        first = staking.snapshot()
        staking.post_bond(operators[0], 20 * WAD)
        staking.enroll(operators[3])
        chain.mine(SPACING)
        second = staking.snapshot()
        staking.slash(operators[2])
        epoch = shards.rosterHead(shard, second).activeFromEpoch
        for operator in operators[:5]:
            expected = []
            for roster in (first, second):
                if shards.isInRoster(shard, roster, operator):
                    entry = shards.rosterEntry(shard, roster, shards.rosterIndexOf(shard, roster, operator))
                    head = shards.rosterHead(shard, roster)
                    expected.append((roster, shards.rosterIndexOf(shard, roster, operator), entry.firstTicket,
                                     entry.tickets, head.tickets, shards.vacatedAt(shard, roster, operator),
                                     head.slasher))  # fmt: skip
            assert [tuple(place) for place in shards.placesIn(shard, epoch, operator)] == expected
        assert shards.placesIn(shard, 0, operators[0]) == []


class TestMarks:
    """I-S6: who is counted anew, and who isn't."""

    def state(self, staking, operator):
        state = staking.members.memberOf(staking.shard, operator)
        return state.tickets, state.marked

    def test_only_restaking_and_operators_mark(self, staking, members, operators, stranger):
        """A stranger can't make snapshots dear; nor is it refused, since another shard's Restaking must not be."""
        staking.enroll(operators[0])
        members.refresh(staking.shard, 9, sender=stranger)
        members.noteChange(operators[0], sender=stranger)
        members.noteChange(operators[1], sender=stranger)
        assert self.state(staking, operators[0]) == (2, False)

    def test_every_change_marks(self, staking, members, operators, restaker):
        """Bond and stake, up and down: each marks; counting takes the mark away."""
        operator, restaking, alpha = operators[0], staking.restaking, staking.alpha
        staking.enroll(operator, tickets=4)
        assert self.state(staking, operator) == (0, True)
        members.refresh(staking.shard, 9, sender=restaker)
        assert self.state(staking, operator) == (4, False)
        changes = [
            (lambda: staking.post_bond(operator, 100 * WAD), 4),
            (lambda: staking.stake(restaker, operator, 300 * WAD), 7),
            (lambda: restaking.undelegate(operator, alpha, 100 * WAD, sender=restaker), 6),
            (lambda: restaking.deallocate(staking.shard, alpha, WAD // 2, sender=operator), 3),
            (lambda: restaking.queueBondWithdrawal(staking.shard, 120 * WAD, sender=operator), 2),
            (lambda: restaking.acceptSlasher(staking.governor, sender=operator), 2),
        ]
        for change, tickets in changes:
            before = self.state(staking, operator)[0]
            change()
            assert self.state(staking, operator) == (before, True)
            assert members.standingOf(staking.shard, operator).tickets == tickets
            members.refresh(staking.shard, 9, sender=restaker)
            assert self.state(staking, operator) == (tickets, False)

    def test_a_slash_marks(self, staking, members, operators):
        """What a slash took isn't counted again."""
        staking.enroll(operators[0], tickets=3)
        staking.snapshot()
        assert self.state(staking, operators[0]) == (3, False)
        staking.slash(operators[0])
        assert self.state(staking, operators[0]) == (3, True)
        members.refresh(staking.shard, 1, sender=operators[0])
        assert self.state(staking, operators[0]) == (1, False)

    def test_refresh_in_parts(self, staking, members, operators):
        """As many as asked for, the lowest seats first; a snapshot does the rest."""
        for operator in operators[:3]:
            staking.enroll(operator)
        members.refresh(staking.shard, 2, sender=operators[0])
        assert [self.state(staking, operator) for operator in operators[:3]] == [(2, False), (2, False), (0, True)]
        members.refresh(staking.shard, 0, sender=operators[0])
        assert tickets_of(staking, staking.snapshot()) == by_address(operators[:3], (2, 2, 2))

    def test_a_source_that_changes_by_itself_marks_nobody(self, staking, members, shard, operators, project, stranger):
        """Anyone has its member counted anew; who is no member can't be."""
        source = staking.governor.deploy(project.StakeSourceDouble)
        for operator in operators[:2]:
            staking.enroll(operator)
            source.setStake(operator, shard, staking.alpha, 200 * WAD, sender=stranger)
        staking.directory.set(name32("stakeSource"), source, sender=staking.governor)
        staking.snapshot()
        source.setStake(operators[0], shard, staking.alpha, 100 * WAD, sender=stranger)
        assert self.state(staking, operators[0]) == (2, False)
        with reverts_with(members.NotJoined, shard=shard, operator=stranger):
            members.refreshOperators(shard, [operators[0], stranger], sender=stranger)
        # named twice, counted once
        members.refreshOperators(shard, [operators[0], operators[0]], sender=stranger)
        assert self.state(staking, operators[0]) == (1, False)
        chain.mine(SPACING)
        second = staking.snapshot()
        assert tickets_of(staking, second) == by_address(operators[:2], (1, 2))


class TestCrowd:
    """More operators than marks or tickets fit a slot, with doubles of what is not Shards and Members."""

    PEOPLE = 300

    @pytest.fixture
    def crowd(self, deployed, project, deployer, guardian, operator):
        """Return a shard of 300 operators with a ticket each."""
        staking = copy(deployed)
        directory = deployer.deploy(project.Directory, deployer, guardian, TIMELOCK)
        key = staking.operators.keyAccountOf(operator)
        double = deployer.deploy(project.CrowdDouble, WITHDRAWAL_DELAY, key)
        shards = deployer.deploy(project.Shards, directory)
        names = {"restaking": double, "stakeSource": double, "operators": double, "shards": shards}
        others = ["objects", "audits", "rewards", "randomness", "openingVerifier", "pricing", "payments", "assets"]
        for name in (*others, "licenses"):
            names[name] = deployer
        names["certificateVerifier"] = staking.verifier
        for name, module in names.items():
            directory.set(name32(name), module, sender=deployer)
        terms = staking.terms(ticketPrice=WAD, stakeSlashPerTicket=1, maxOperators=1000)
        shards.create(terms, staking.weights(), sender=deployer)
        members = project.Members.at(shards.members())
        for _ in range(self.PEOPLE // 50):
            double.join(members, 1, 50, sender=deployer)
        return double, shards, members

    def test_many(self, crowd, deployer):
        """Seats, tickets and marks beyond one slot; a thousand tickets among three hundred."""
        double, shards, members = crowd
        assert members.refresh.call(1, 290) == 290
        members.refresh(1, 290, sender=deployer)
        members.snapshot(1, sender=deployer)
        head = shards.rosterHead(1, 1)
        # alpha and beta count for one ticket each
        assert (head.tickets, head.operators, head.seats, head.largest) == (600, 300, 300, 2)
        double.setStake(255, 258, 5 * WAD, members, sender=deployer)
        double.setStake(299, 300, 200 * WAD, members, sender=deployer)
        chain.mine(SPACING)
        members.snapshot(1, sender=deployer)
        raw = [2] * 255 + [10] * 3 + [2] * 41 + [400]
        raw[299] = largest_cap(raw)
        entries = shards.rosterEntries(1, 2, 0, 300)
        assert [entry.tickets for entry in entries] == raw
        assert [entry.firstTicket for entry in entries] == [sum(raw[:seat]) for seat in range(300)]
        assert entries[256].operator == double.crowd(256)
        assert shards.rosterIndexOf(1, 2, double.crowd(256)) == 256
        double.slash(members, 1, 257, 1, True, sender=deployer)
        assert (shards.vacantTicketsOf(1, 1), shards.vacantTicketsOf(1, 2)) == (2, 10)
        assert members.memberOf(1, double.crowd(257)).marked


class TestRosterViews:
    def test_unknown_roster(self, staking, shards, shard, operator):
        """Roster 0 and rosters not taken yet don't exist."""
        staking.enroll(operator)
        staking.snapshot()
        for roster in (0, 2):
            for view, extra in [
                ("rosterHead", []),
                ("rosterEntry", [0]),
                ("rosterIndexOf", [operator]),
                ("isInRoster", [operator]),
                ("aggregateKeyOf", []),
                ("absenceIn", [[]]),
                ("slashTerms", [operator]),
                ("slashPlaceOf", [operator]),
                ("sourceOf", []),
                ("vacatedAt", [operator]),
            ]:
                with reverts_with(shards.RosterUnknown, shard=shard, roster=roster):
                    getattr(shards, view)(shard, roster, *extra)

    def test_entry_out_of_range(self, staking, shards, shard, operator):
        """A roster of one operator has one entry."""
        staking.enroll(operator)
        roster = staking.snapshot()
        with reverts_with(shards.SeatOutOfRange, seat=1, seats=1):
            shards.rosterEntry(shard, roster, 1)
        with reverts_with(shards.SeatEmpty, seat=1):
            shards.rosterKeys(shard, roster, [0, 1])

    def test_operator_not_in_roster(self, staking, shards, shard, operators, stranger):
        """Who has no entry has no index and no terms."""
        for operator in operators[:5]:
            staking.enroll(operator)
        roster = staking.snapshot()
        for absent in (stranger.address, ZERO_ADDRESS, "0x" + "ff" * 20, operators[5].address):
            assert not shards.isInRoster(shard, roster, absent)
            for view in ("rosterIndexOf", "slashTerms", "slashPlaceOf"):
                with reverts_with(shards.OperatorNotInRoster, shard=shard, roster=roster, operator=absent):
                    getattr(shards, view)(shard, roster, absent)

    def test_active_roster(self, staking, shards, shard, operators):
        """A roster is the active one from its first epoch's first block until the next one is."""
        assert shards.activeRoster(shard) == 0
        staking.enroll(operators[0])
        first = staking.snapshot()
        start = staking.seed_block(shards.rosterHead(shard, first).activeFromEpoch)
        go_to_block(start - 1)
        assert shards.activeRoster(shard) == 0
        chain.mine(1)
        assert shards.activeRoster(shard) == first
        staking.enroll(operators[1])
        go_to_block(start + EPOCH + 4)
        second = staking.snapshot()
        assert shards.activeRoster(shard) == first
        go_to_block(staking.seed_block(shards.rosterHead(shard, second).activeFromEpoch))
        assert shards.activeRoster(shard) == second

    def test_rosters_live_in(self, staking, shards, shard, operator):
        """The range holds exactly the rosters with activeFromEpoch ≤ e < endEpoch, and never more than 7."""
        staking.enroll(operator, tickets=100)
        heads = []
        amount = 10_000 * WAD
        for _ in range(10):
            staking.snapshot()
            heads.append(shards.rosterHead(shard, len(heads) + 1))
            # a twentieth leaves each time: a roster at every chance
            leaving = amount // 15
            staking.restaking.undelegate(operator, staking.alpha, leaving, sender=operator)
            amount -= leaving
            go_to_block(heads[-1].snapshotBlock + SPACING - 1)
            if amount < 100 * WAD:
                break
        assert len(heads) == 10
        most = 0
        for epoch in range(heads[-1].endEpoch + 2):
            expected = [i + 1 for i, h in enumerate(heads) if h.activeFromEpoch <= epoch < h.endEpoch]
            first, last = shards.rostersLiveIn(shard, epoch)
            assert list(range(first, last + 1)) == expected
            most = max(most, len(expected))
        assert most == 6 + (SPACING * 7 > 7 * EPOCH)


class TestRecordObject:
    def test_only_objects(self, staking, shards, shard, operator, stranger):
        """Only Objects says how long objects live."""
        staking.enroll(operator)
        roster = staking.snapshot()
        with reverts_with(shards.CallerNotModule, caller=stranger, expected=name32("objects")):
            shards.recordObject(shard, roster, 5, sender=stranger)

    def test_unknown_roster(self, staking, shards, shard):
        """An object lives under a roster that exists."""
        with reverts_with(shards.RosterUnknown, shard=shard, roster=1):
            shards.recordObject(shard, 1, 5, sender=staking.objects)


class TestRecordSlash:
    def test_only_restaking(self, members, shard, operator):
        """Only the shard's Restaking says that somebody was slashed."""
        with reverts_with(members.CallerNotModule, caller=operator, expected=name32("restaking")):
            members.recordSlash(shard, operator, 1, 0, sender=operator)

    @pytest.mark.parametrize(
        ("call", "arguments"),
        [("addRoster", [1, ZERO_ADDRESS]), ("setSeat", [1, 0, ZERO_ADDRESS, True]), ("setKey", [1, 0, ZERO_ADDRESS]),
         ("vacate", [1, ZERO_ADDRESS])],
    )  # fmt: skip
    def test_only_members_write_rosters(self, staking, shards, call, arguments):
        """Not even the governor says who sits where."""
        with reverts_with(shards.NotMembers, caller=staking.governor):
            getattr(shards, call)(*arguments, sender=staking.governor)

    def test_only_shards_opens(self, staking, members):
        """Members learns of shards from Shards alone."""
        with reverts_with(members.CallerNotModule, caller=staking.governor, expected=name32("shards")):
            members.open(7, staking.restaking, staking.terms(), staking.weights(), sender=staking.governor)

    def test_repeated_misses_jail(self, staking, members, operators):
        """The third slash within ten epochs removes the operator for ten epochs, to the epoch."""
        shard = staking.create_shard(jailMisses=3, jailEpochs=10)
        first = operators[0]
        staking.enroll(first, tickets=10)
        staking.post_bond(first, 200 * WAD)
        staking.snapshot()
        staking.slash(first, epoch=1)
        # ten epochs after the first one a new count begins
        staking.slash(first, epoch=11)
        staking.slash(first, epoch=12)
        assert members.isMember(shard, first)
        assert (members.memberOf(shard, first).misses, members.memberOf(shard, first).missEpoch) == (2, 11)
        receipt = staking.slash(first, epoch=20)
        until = staking.shards.epochAt(shard, receipt.block_number) + 10
        assert [e.untilEpoch for e in receipt.events if e.event_name == "OperatorJailed"] == [until]
        assert not members.isMember(shard, first)
        assert members.memberOf(shard, first).openSince == receipt.block_number
        go_to_block(staking.seed_block(until) - 2)
        with reverts_with(members.Jailed, shard=shard, operator=first, untilEpoch=until):
            members.join(shard, sender=first)
        members.join(shard, sender=first)
        state = members.memberOf(shard, first)
        assert (state.isMember, state.openSince, state.misses) == (True, 0, 0)

    def test_who_left_is_jailed_too(self, staking, members, operator):
        """A member that exits before the slash can't come back to escape the jail."""
        shard = staking.create_shard(jailMisses=1)
        staking.enroll(operator)
        staking.snapshot()
        slash = staking.miss(operator)
        members.exit(shard, sender=operator)
        chain.mine(3)
        staking.restaking.executeSlash(slash, sender=staking.governor)
        assert members.memberOf(shard, operator).jailedUntil > 0
        with reverts_with(members.Jailed):
            members.join(shard, sender=operator)

    def test_place_falls_vacant(self, staking, shards, shard, operators):
        """A slash that leaves less than the least bond opens the places of all rosters so far, from its block on."""
        for operator in operators[:2]:
            staking.enroll(operator)
        first = staking.snapshot()
        receipt = staking.slash(operators[0])
        (vacated,) = [event for event in receipt.events if event.event_name == "PlaceVacated"]
        assert vacated == shards.PlaceVacated(shard=shard, operator=operators[0], blockNumber=receipt.block_number)
        assert shards.vacatedAt(shard, first, operators[0]) == receipt.block_number
        assert shards.vacatedAt(shard, first, operators[1]) == 0

    def test_bond_that_is_enough_keeps_the_place(self, staking, shards, shard, operator):
        """A slash that leaves the least bond opens nothing."""
        staking.enroll(operator)
        staking.post_bond(operator, 3 * WAD)
        roster = staking.snapshot()
        staking.slash(operator)
        assert staking.restaking.bondOf(operator, shard) == SHARD["minBond"]
        assert shards.vacatedAt(shard, roster, operator) == 0

    def test_later_rosters_count_it_again(self, staking, shards, shard, operators):
        """Who posts bond again is in the next roster, whose place isn't vacant; that counts as changed weight."""
        for operator in operators[:2]:
            staking.enroll(operator)
        first = staking.snapshot()
        vacated = staking.slash(operators[0]).block_number
        # as much stake as before, less what was slashed
        staking.post_bond(operators[0], 8 * WAD)
        chain.mine(SPACING)
        second = staking.snapshot()
        assert shards.vacatedAt(shard, first, operators[0]) == vacated
        assert shards.vacatedAt(shard, second, operators[0]) == 0
        assert shards.isInRoster(shard, second, operators[0])

    def test_first_vacancy_counts(self, staking, shards, shard, operator):
        """A second slash of the same place doesn't move the vacancy to a later block."""
        staking.enroll(operator)
        roster = staking.snapshot()
        vacated = staking.slash(operator, epoch=1).block_number
        staking.slash(operator, epoch=2)
        assert shards.vacatedAt(shard, roster, operator) == vacated

    def test_vacated_in_the_snapshots_block(self, staking, shards, members, shard, operators, project):
        """A place that fell vacant and was bonded again in the snapshot's own block isn't in that roster."""
        caller = staking.governor.deploy(project.Caller)
        secret = cp.secret(77)
        key = cp.g2(cp.key_of(secret))
        possession = cp.g1(cp.sign(secret, bytes(staking.operators.possessionDigest(caller, key)), cp.POSSESSION_TAG))

        def act(target, call, *arguments):
            caller.run(target, call.encode_input(*arguments), sender=staking.governor)

        act(staking.operators, staking.operators.register, key, possession, bytes(32), "", 0, operators[0])
        act(staking.operators, staking.operators.publishKey, key)
        staking.bond_token.mint(caller, 200 * WAD, sender=staking.governor)
        act(staking.bond_token, staking.bond_token.approve, staking.restaking, 2**255)
        act(staking.restaking, staking.restaking.postBond, shard, 20 * WAD)
        act(staking.restaking, staking.restaking.allocate, shard, staking.alpha, WAD)
        staking.stake(operators[1], caller, 200 * WAD)
        act(staking.members, staking.members.join, shard)
        staking.enroll(operators[1])
        assert caller.address in staking.entries(staking.snapshot())
        slash = staking.miss(caller)
        chain.mine(SPACING)

        calls = [
            (staking.restaking, staking.restaking.executeSlash.encode_input(slash)),
            (staking.restaking, staking.restaking.postBond.encode_input(shard, 100 * WAD)),
            (staking.members, staking.members.snapshot.encode_input(shard)),
        ]
        caller.runMany([call[0] for call in calls], [call[1] for call in calls], sender=staking.governor)
        assert shards.vacatedAt(shard, 1, caller) == chain.blocks.height
        assert list(staking.entries(2)) == [operators[1].address]


class TestBound:
    """What a roster binds. D is 7 epochs of 20 blocks; misses can be reported for 38 blocks after a seed block."""

    def bound(self, staking, operator, since=0, until=None):
        until = chain.blocks.height if until is None else until
        block = staking.shards.boundIn(staking.shard, operator, since, until)
        assert staking.shards.boundUntil(operator, since, until) == block
        return block

    def full_term(self, staking, roster):
        """First block in which no miss of the roster's last possible epoch can be reported."""
        end = staking.shards.rosterHead(staking.shard, roster).endEpoch
        return staking.seed_block(end - 1) + CLOSING + 1

    def test_nothing_binds_who_is_in_no_roster(self, staking, operators):
        """Members that no roster counts are free."""
        staking.enroll(operators[0])
        assert self.bound(staking, operators[0]) == 0
        staking.snapshot()
        staking.enroll(operators[1])
        assert self.bound(staking, operators[1]) == 0

    def test_the_active_roster_binds_for_its_whole_term(self, staking, operator):
        """As long as objects can be opened under it: until misses of its last epoch can't be reported, to the block."""
        staking.enroll(operator)
        roster = staking.snapshot()
        full = self.full_term(staking, roster)
        assert self.bound(staking, operator) == full
        staking.shards.recordObject(staking.shard, roster, 3, sender=staking.objects)
        assert self.bound(staking, operator) == full
        go_to_block(full - 1)
        assert self.bound(staking, operator) == full
        chain.mine(1)
        assert self.bound(staking, operator) == 0

    def test_only_snapshots_in_the_range_bind(self, staking, operator):
        """Stake that came after a snapshot, or left before it, isn't bound by it."""
        staking.enroll(operator)
        roster = staking.snapshot()
        block = chain.blocks.height
        full = self.full_term(staking, roster)
        assert self.bound(staking, operator, since=block, until=block) == full
        assert self.bound(staking, operator, since=block + 1, until=block + 1) == 0
        assert self.bound(staking, operator, since=0, until=block - 1) == 0

    def replaced(self, staking, operators):
        """Return a replaced roster, the one after it, and the block from which nothing is certified under it."""
        staking.enroll(operators[0])
        first = staking.snapshot()
        staking.enroll(operators[1])
        go_to_block(staking.seed_block(4) - 1)
        second = staking.snapshot()
        active = staking.shards.rosterHead(staking.shard, second).activeFromEpoch
        # opened in the last block before, certified at most an epoch length later
        return first, second, staking.seed_block(active) + EPOCH

    def test_a_replaced_roster_without_objects_releases(self, staking, operators):
        """Once nothing can be certified under it any more, a roster without objects binds nobody."""
        first, second, closed = self.replaced(staking, operators)
        range_ = {"since": 0, "until": staking.shards.rosterHead(staking.shard, first).snapshotBlock}
        full = self.full_term(staking, first)
        go_to_block(closed - 1)
        assert self.bound(staking, operators[0], **range_) == full
        chain.mine(1)
        assert self.bound(staking, operators[0], **range_) == 0
        # the newer roster binds on its own account
        assert self.bound(staking, operators[0]) == self.full_term(staking, second)

    def test_a_replaced_roster_binds_for_its_objects(self, staking, operators):
        """With objects, it binds until misses of their last epoch can't be reported."""
        first, _, closed = self.replaced(staking, operators)
        for end in (5, 6, 4):
            staking.shards.recordObject(staking.shard, first, end, sender=staking.objects)
        range_ = {"since": 0, "until": staking.shards.rosterHead(staking.shard, first).snapshotBlock}
        go_to_block(closed)
        free = staking.seed_block(5) + CLOSING + 1
        assert self.bound(staking, operators[0], **range_) == free
        go_to_block(free - 1)
        assert self.bound(staking, operators[0], **range_) == free
        chain.mine(1)
        assert self.bound(staking, operators[0], **range_) == 0

    def test_a_vacated_place_binds_for_its_pending_faults(self, staking, operators):
        """A vacated place has no duty after its vacancy: it binds until the last duty before can't be reported."""
        for operator in operators[:2]:
            staking.enroll(operator)
        staking.snapshot()
        full = self.bound(staking, operators[0])
        vacated = staking.slash(operators[0]).block_number
        free = vacated + SHARD["finality"] + CLOSING
        assert self.bound(staking, operators[0]) == free < full
        assert self.bound(staking, operators[1]) == full
        # the last duty frozen before the vacancy
        epoch = staking.shards.firstEpochAfter(staking.shard, vacated) - 1
        assert staking.seed_block(epoch) + CLOSING < free
        go_to_block(free)
        assert self.bound(staking, operators[0]) == 0

    def test_another_shard_binds_stake_but_not_bonds(self, staking, operator):
        """A bond is bound by its own shard, delegated stake by all."""
        first = staking.shard
        staking.enroll(operator)
        staking.snapshot()
        second = staking.create_shard()
        assert staking.shards.boundIn(second, operator, 0, chain.blocks.height) == 0
        assert staking.shards.boundUntil(operator, 0, chain.blocks.height) > 0
        assert staking.shards.boundIn(first, operator, 0, chain.blocks.height) > 0

    def test_never_rises_without_a_snapshot(self, staking, operators):
        """I-S5: a date once seen holds."""
        self.replaced(staking, operators)
        seen = self.bound(staking, operators[0])
        until = chain.blocks.height
        for end in (7, 5):
            staking.shards.recordObject(staking.shard, 1, end, sender=staking.objects)
            chain.mine(17)
            now = self.bound(staking, operators[0], until=until)
            assert now <= seen
            seen = now
