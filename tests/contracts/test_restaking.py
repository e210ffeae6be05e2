"""Restaking: deposits, pools, magnitudes, bonds, withdrawals, slashes, rewards.

Hostile tokens are those of `contracts/mocks`.
"""

from __future__ import annotations

from copy import copy

import pytest
from ape import chain
from eth_abi import encode
from eth_utils import keccak

from tests.contracts.reverts import reverts_with
from tests.contracts.staking import (
    CLOSING,
    DEAD,
    GUARDIAN_DELAY,
    RESOLUTION_DELAY,
    WAD,
    WITHDRAWAL_DELAY,
    ZERO_ADDRESS,
    deploy_staking,
    fund,
    go_to_block,
    name32,
)

#: What a miss of an operator with two tickets takes.
BOND_SLASH, STAKE_SLASH, FEE = 8 * WAD, 40 * WAD, WAD
MAX_ASSETS = 2**104 - 1


@pytest.fixture(scope="module", autouse=True)
def deployed(project, accounts, stranger, owner, auditor, restakers, operators):
    """Return the contracts, with a shard and three registered operators."""
    staking = deploy_staking(project, accounts)
    for operator in operators[:3]:
        staking.register(operator)
    return staking


@pytest.fixture
def staking(deployed):
    """Return a copy, whose shard a test may replace."""
    return copy(deployed)


@pytest.fixture
def restaking(staking):
    """Return Restaking."""
    return staking.restaking


@pytest.fixture
def alpha(staking):
    """Return the first collateral."""
    return staking.alpha


@pytest.fixture
def shard(staking):
    """Return the shard's id."""
    return staking.shard


@pytest.fixture
def rostered(staking, operator):
    """Return the contracts with a roster that counts the operator's own 200 alpha and 20 bond: two tickets."""
    staking.enroll(operator)
    staking.snapshot()
    return staking


@pytest.fixture
def make_token(project, staking):
    """Return what deploys a token of a kind and lists it."""

    def _make_token(kind, listed=True):
        token = staking.governor.deploy(getattr(project, kind))
        if listed:
            staking.restaking.listCollateral(token, sender=staking.governor)
        return token

    return _make_token


def free_block(staking, roster=1):
    """First block in which a roster that nothing replaced no longer binds."""
    end = staking.shards.rosterHead(staking.shard, roster).endEpoch
    return staking.seed_block(end - 1) + CLOSING + 1


def position(staking, restaker, operator, token=None):
    """Return a restaker's shares."""
    return staking.restaking.sharesOf(restaker, operator, token or staking.alpha)


class TestListCollateral:
    def test_only_the_governor(self, restaking, stranger, alpha):
        """A stranger lists nothing."""
        with reverts_with(restaking.NotGovernor, caller=stranger):
            restaking.listCollateral(alpha, sender=stranger)

    def test_once(self, staking, restaking, alpha):
        """A token is listed once."""
        with reverts_with(restaking.CollateralAlreadyListed, token=alpha):
            restaking.listCollateral(alpha, sender=staking.governor)

    def test_needs_code(self, staking, restaking, stranger):
        """What has no code is no token."""
        with reverts_with(restaking.CollateralUnknown, token=stranger):
            restaking.listCollateral(stranger, sender=staking.governor)

    def test_limit(self, staking, restaking, make_token):
        """32 tokens in all."""
        for _ in range(30):
            make_token("Caller")
        with reverts_with(restaking.TooManyCollaterals, limit=32):
            make_token("Caller")

    def test_lists(self, staking, restaking, make_token):
        """A listed token is collateral, another isn't."""
        token = make_token("MintableToken", listed=False)
        assert not restaking.isCollateral(token)
        receipt = restaking.listCollateral(token, sender=staking.governor)
        assert receipt.events == [restaking.CollateralListed(token=token)]
        assert restaking.isCollateral(token)


class TestDeposit:
    def test_only_collateral(self, restaking, make_token, restaker):
        """A token that isn't listed is refused."""
        token = make_token("MintableToken", listed=False)
        with reverts_with(restaking.CollateralUnknown, token=token):
            restaking.deposit(token, 1, sender=restaker)

    def test_not_nothing(self, restaking, alpha, restaker):
        """Nothing can't be deposited."""
        with reverts_with(restaking.ZeroAmount):
            restaking.deposit(alpha, 0, sender=restaker)

    def test_nothing_arrives(self, restaking, make_token, restaker):
        """A transfer of which nothing arrives is refused."""
        token = make_token("FeeToken")
        fund(token, restaker, 1, restaking)
        with reverts_with(restaking.ZeroAmount):
            restaking.deposit(token, 1, sender=restaker)

    def test_limit(self, staking, restaking, alpha, restaker):
        """All of a token stays below 2^104 units."""
        fund(alpha, restaker, MAX_ASSETS + 1, restaking)
        with reverts_with(restaking.AmountTooLarge, amount=MAX_ASSETS + 1, limit=MAX_ASSETS):
            restaking.deposit(alpha, MAX_ASSETS + 1, sender=restaker)
        restaking.deposit(alpha, MAX_ASSETS, sender=restaker)
        with reverts_with(restaking.AmountTooLarge, amount=MAX_ASSETS + 1, limit=MAX_ASSETS):
            restaking.deposit(alpha, 1, sender=restaker)

    def test_deposits(self, restaking, alpha, restaker):
        """What is deposited is free balance, recorded."""
        fund(alpha, restaker, 70, restaking)
        receipt = restaking.deposit(alpha, 70, sender=restaker)
        assert receipt.events[-1] == restaking.Deposited(restaker=restaker, collateral=alpha, amount=70)
        assert restaking.freeBalance(restaker, alpha) == 70
        assert restaking.recorded(alpha) == 70

    def test_what_arrived_counts(self, restaking, make_token, restaker):
        """Of a token that keeps a fee, what arrived counts."""
        token = make_token("FeeToken")
        fund(token, restaker, 1_000, restaking)
        restaking.deposit(token, 1_000, sender=restaker)
        assert restaking.freeBalance(restaker, token) == 990 == token.balanceOf(restaking)
        assert restaking.recorded(token) == 990

    def test_a_donation_changes_nothing(self, staking, restaking, alpha, restaker, stranger):
        """Tokens sent here belong to nobody, and nothing stops."""
        alpha.mint(restaking, 1, sender=stranger)
        staking.deposit(restaker, 10)
        assert restaking.freeBalance(restaker, alpha) == 10 == restaking.recorded(alpha)
        restaking.withdraw(alpha, 10, sender=restaker)
        assert restaking.recorded(alpha) == 0
        assert alpha.balanceOf(restaking) == 1

    def test_shrinking_balances_take_no_deposits(self, restaking, make_token, restakers):
        """Where less is here than is owed, a deposit would pay those who came before."""
        first, second = restakers[:2]
        token = make_token("RebasingToken")
        for restaker in (first, second):
            fund(token, restaker, 1_000, restaking)
        restaking.deposit(token, 100, sender=first)
        token.rebase(99, sender=first)
        with reverts_with(restaking.BalanceShort, token=token, held=99, owed=100):
            restaking.deposit(token, 100, sender=second)
        token.rebase(100, sender=first)
        restaking.deposit(token, 100, sender=second)
        assert restaking.recorded(token) == 200

    def test_growing_balances_belong_to_nobody(self, restaking, make_token, restaker):
        """What a token adds by itself is a surplus: what is owed stays what was deposited."""
        token = make_token("RebasingToken")
        fund(token, restaker, 1_000, restaking)
        restaking.deposit(token, 100, sender=restaker)
        token.rebase(300, sender=restaker)
        assert (token.balanceOf(restaking), restaking.recorded(token)) == (300, 100)
        assert restaking.freeBalance(restaker, token) == 100
        restaking.withdraw(token, 100, sender=restaker)
        assert restaking.recorded(token) == 0

    def test_a_token_that_only_says_so(self, restaking, make_token, restaker):
        """A transfer that succeeds and moves nothing is no deposit."""
        token = make_token("SilentToken")
        fund(token, restaker, 1_000, restaking)
        token.silence(True, sender=restaker)
        with reverts_with(restaking.ZeroAmount):
            restaking.deposit(token, 100, sender=restaker)

    def test_a_token_that_says_no(self, restaking, make_token, restaker):
        """A transfer that returns false is no deposit."""
        token = make_token("RefusingToken")
        fund(token, restaker, 1_000, restaking)
        token.setManner(1, sender=restaker)
        token.refuseAll(True, sender=restaker)
        with reverts_with(restaking.SafeERC20FailedOperation, token=token):
            restaking.deposit(token, 100, sender=restaker)

    def test_no_deposit_within_a_deposit(self, restaking, make_token, restaker):
        """A token that deposits again in the middle of a deposit would be counted twice: it is refused."""
        token = make_token("ReenteringToken")
        fund(token, restaker, 100, restaking)
        token.mint(token, 100, sender=restaker)
        token.act(token, token.approve.encode_input(restaking, 100), sender=restaker)
        token.arm(restaking, restaking.deposit.encode_input(token, 50), True, True, sender=restaker)
        with reverts_with(restaking.ReentrancyGuardReentrantCall):
            restaking.deposit(token, 100, sender=restaker)


class TestWithdraw:
    def test_not_nothing(self, restaking, alpha, restaker):
        """Nothing can't be withdrawn."""
        with reverts_with(restaking.ZeroAmount):
            restaking.withdraw(alpha, 0, sender=restaker)

    def test_not_more_than_free(self, staking, restaking, alpha, restaker, operator):
        """Delegated stake isn't free."""
        staking.deposit(restaker, 10)
        staking.delegate(restaker, operator, 4)
        with reverts_with(restaking.FreeBalanceTooLow, collateral=alpha, balance=6, asked=7):
            restaking.withdraw(alpha, 7, sender=restaker)

    def test_withdraws(self, staking, restaking, alpha, restaker):
        """Free balance is paid out to its owner."""
        staking.deposit(restaker, 10)
        receipt = restaking.withdraw(alpha, 4, sender=restaker)
        assert restaking.Withdrawn(restaker=restaker, collateral=alpha, amount=4) in receipt.events
        assert alpha.balanceOf(restaker) == 4
        assert restaking.freeBalance(restaker, alpha) == 6 == restaking.recorded(alpha)

    def test_a_token_that_returns_nothing(self, restaking, make_token, restaker):
        """Tokens whose transfers return nothing work."""
        token = make_token("NoReturnToken")
        fund(token, restaker, 50, restaking)
        restaking.deposit(token, 50, sender=restaker)
        restaking.withdraw(token, 20, sender=restaker)
        assert token.balanceOf(restaker) == 20

    def test_a_token_that_refuses_blocks_only_itself(self, staking, restaking, make_token, restaker):
        """A refusing token's balances stay recorded; others are paid."""
        token = make_token("RefusingToken")
        fund(token, restaker, 50, restaking)
        restaking.deposit(token, 50, sender=restaker)
        staking.deposit(restaker, 10)
        token.refuseAll(True, sender=staking.governor)
        with reverts_with(token.Refused, to=restaker):
            restaking.withdraw(token, 20, sender=restaker)
        restaking.withdraw(staking.alpha, 10, sender=restaker)
        assert restaking.freeBalance(restaker, token) == 50 == restaking.recorded(token)


class TestDelegate:
    def test_not_nothing(self, staking, restaking, restaker, operator):
        """Nothing can't be delegated."""
        with reverts_with(restaking.ZeroAmount):
            staking.delegate(restaker, operator, 0)

    def test_only_to_operators(self, staking, restaking, restaker, stranger):
        """Only a registered operator takes stake."""
        staking.deposit(restaker, 5)
        with reverts_with(restaking.OperatorUnknown, operator=stranger):
            staking.delegate(restaker, stranger, 5)

    def test_only_collateral(self, staking, restaking, rostered, operator, restaker):
        """A bond token is no stake, even when free."""
        token = staking.bond_token
        with reverts_with(restaking.CollateralUnknown, token=token):
            staking.delegate(restaker, operator, 1, token)

    def test_not_more_than_free(self, staking, restaking, alpha, restaker, operator):
        """What isn't there can't be delegated."""
        staking.deposit(restaker, 5)
        with reverts_with(restaking.FreeBalanceTooLow, collateral=alpha, balance=5, asked=6):
            staking.delegate(restaker, operator, 6)

    def test_at_once_where_no_roster_counts_the_operator(self, staking, restaking, alpha, restaker, operator):
        """Nothing could be slashed for: the stake counts at once, one share for one unit."""
        staking.deposit(restaker, 50)
        receipt = staking.delegate(restaker, operator, 50)
        block = receipt.block_number
        assert receipt.events == [
            restaking.RestakerRewardsPinned(rewards=staking.restaker_rewards),
            restaking.Delegated(
                restaker=restaker, operator=operator, collateral=alpha, amount=50, maturesAtBlock=block, shares=50
            ),
        ]
        assert tuple(restaking.pool(operator, alpha)) == (50, 50, 0)
        assert tuple(restaking.positionOf(restaker, operator, alpha)) == (50, 0, block)
        assert tuple(restaking.pendingOf(restaker, operator, alpha)) == (0, 0)
        assert restaking.recorded(alpha) == 50

    def test_waits_where_a_roster_counts_the_operator(self, rostered, restaking, alpha, restaker, operator):
        """It isn't counted before the withdrawal delay is over."""
        rostered.deposit(restaker, 50)
        receipt = rostered.delegate(restaker, operator, 50)
        matures = receipt.block_number + WITHDRAWAL_DELAY
        assert [event.event_name for event in receipt.events] == ["Delegated"]
        assert tuple(restaking.pendingOf(restaker, operator, alpha)) == (50, matures)
        assert position(rostered, restaker, operator) == 0
        assert restaking.stakeOf(operator, rostered.shard, alpha) == 200 * WAD

    def test_topping_up_starts_the_wait_anew(self, rostered, restaking, alpha, restaker, operator):
        """All of it waits for the last part."""
        rostered.deposit(restaker, 50)
        rostered.delegate(restaker, operator, 20)
        chain.mine(30)
        block = rostered.delegate(restaker, operator, 30).block_number
        assert tuple(restaking.pendingOf(restaker, operator, alpha)) == (50, block + WITHDRAWAL_DELAY)

    def test_what_bound_once_is_not_asked_again(self, rostered, restaking, alpha, restaker, operator):
        """Where a vacancy releases the operator early, a delegation still waits until the block found before."""
        end = free_block(rostered)
        rostered.stake(restaker, operator, 50)
        vacated = rostered.slash(operator).block_number
        go_to_block(vacated + 2 + CLOSING)
        assert rostered.shards.boundUntil(operator, 0, chain.blocks.height) == 0
        assert chain.blocks.height < end - 5
        rostered.deposit(restaker, 50)
        block = rostered.delegate(restaker, operator, 50).block_number
        assert tuple(restaking.pendingOf(restaker, operator, alpha)) == (100, block + WITHDRAWAL_DELAY)

    def test_waits_while_a_slash_is_pending(self, rostered, restaking, alpha, restaker, operator):
        """Even where no roster binds any more, a reported miss keeps new stake out."""
        go_to_block(free_block(rostered) - 3)
        rostered.miss(operator)
        rostered.deposit(restaker, 50)
        chain.mine(4)
        assert rostered.shards.boundUntil(operator, 0, chain.blocks.height) == 0
        rostered.delegate(restaker, operator, 50)
        assert position(rostered, restaker, operator) == 0


class TestDepositAndDelegate:
    def test_refuses_what_either_refuses(self, staking, restaking, make_token, restaker, operator, stranger):
        """A token that isn't listed, nothing at all, and who is no operator."""
        token = make_token("MintableToken", listed=False)
        with reverts_with(restaking.CollateralUnknown, token=token):
            restaking.depositAndDelegate(operator, token, 1, sender=restaker)
        with reverts_with(restaking.ZeroAmount):
            restaking.depositAndDelegate(operator, staking.alpha, 0, sender=restaker)
        fund(staking.alpha, restaker, 5, restaking)
        with reverts_with(restaking.OperatorUnknown, operator=stranger):
            restaking.depositAndDelegate(stranger, staking.alpha, 5, sender=restaker)

    def test_what_arrived_is_delegated(self, restaking, make_token, restaker, operator):
        """Of a token that keeps a fee, what arrived; nothing stays free."""
        token = make_token("FeeToken")
        fund(token, restaker, 1_000, restaking)
        receipt = restaking.depositAndDelegate(operator, token, 1_000, sender=restaker)
        assert restaking.Deposited(restaker=restaker, collateral=token, amount=990) in receipt.events
        assert restaking.sharesOf(restaker, operator, token) == 990 == restaking.recorded(token)
        assert restaking.freeBalance(restaker, token) == 0

    def test_not_within_itself(self, restaking, make_token, restaker, operator):
        """A token that calls back finds the door shut."""
        token = make_token("ReenteringToken")
        fund(token, restaker, 100, restaking)
        call = restaking.depositAndDelegate.encode_input(operator, token, 50)
        token.arm(restaking, call, True, True, sender=restaker)
        with reverts_with(restaking.ReentrancyGuardReentrantCall):
            restaking.depositAndDelegate(operator, token, 100, sender=restaker)


class TestCancelDelegation:
    def test_nothing(self, restaking, alpha, restaker, operator):
        """There must be something waiting."""
        with reverts_with(restaking.NothingToMature, restaker=restaker, operator=operator, collateral=alpha):
            restaking.cancelDelegation(operator, alpha, sender=restaker)

    def test_at_any_time(self, rostered, restaking, alpha, restaker, operator):
        """Before its wait is over, and while a miss is pending: it stands behind nothing yet."""
        rostered.stake(restaker, operator, 50)
        rostered.miss(operator)
        receipt = restaking.cancelDelegation(operator, alpha, sender=restaker)
        assert receipt.events == [
            restaking.DelegationCancelled(restaker=restaker, operator=operator, collateral=alpha, amount=50)
        ]
        assert restaking.freeBalance(restaker, alpha) == 50
        assert tuple(restaking.pendingOf(restaker, operator, alpha)) == (0, 0)
        with reverts_with(restaking.NothingToMature):
            restaking.mature(restaker, operator, alpha, sender=restaker)


class TestMature:
    def test_nothing(self, restaking, alpha, restaker, operator):
        """There must be something waiting."""
        with reverts_with(restaking.NothingToMature, restaker=restaker, operator=operator, collateral=alpha):
            restaking.mature(restaker, operator, alpha, sender=restaker)

    def test_waits_to_the_block(self, rostered, restaking, alpha, restaker, operator, stranger):
        """Refused one block early, done by anyone in its block."""
        rostered.deposit(restaker, 50)
        matures = rostered.delegate(restaker, operator, 50).block_number + WITHDRAWAL_DELAY
        go_to_block(matures - 2)
        with reverts_with(restaking.NotMature, maturesAtBlock=matures, blockNumber=matures - 1):
            restaking.mature(restaker, operator, alpha, sender=stranger)
        go_to_block(matures - 1)
        restaking.mature(restaker, operator, alpha, sender=stranger)
        assert tuple(restaking.positionOf(restaker, operator, alpha)) == (50, 0, matures)

    def test_not_while_a_slash_is_pending(self, rostered, restaking, alpha, restaker, operator):
        """I-R6: a deposit waits until misses reported before it matured are settled, and loses nothing to them."""
        rostered.deposit(restaker, 50 * WAD)
        matures = rostered.delegate(restaker, operator, 50 * WAD).block_number + WITHDRAWAL_DELAY
        go_to_block(matures - 2)
        slash = rostered.miss(operator, epoch=3)
        with reverts_with(restaking.SlashPending, operator=operator, pending=1):
            restaking.mature(restaker, operator, alpha, sender=restaker)
        chain.mine(RESOLUTION_DELAY)
        restaking.executeSlash(slash, sender=restaker)
        restaking.mature(restaker, operator, alpha, sender=restaker)
        # rounded down
        assert restaking.stakeValueOf(restaker, operator, alpha) == 50 * WAD - 1
        assert restaking.stakeValueOf(operator, operator, alpha) == 160 * WAD

    def test_not_before_all_that_was_earned_is_settled(self, rostered, restaking, alpha, restaker, operator):
        """A late deposit earns nothing of the past: an answered epoch must be paid to those who were there."""
        rostered.deposit(restaker, 50)
        matures = rostered.delegate(restaker, operator, 50).block_number + WITHDRAWAL_DELAY
        rostered.set_answered(operator, 2)
        rostered.set_settled(operator, 1)
        go_to_block(matures)
        with reverts_with(restaking.EpochsUnsettled, operator=operator):
            restaking.mature(restaker, operator, alpha, sender=restaker)
        rostered.set_settled(operator, 2)
        restaking.mature(restaker, operator, alpha, sender=restaker)
        assert position(rostered, restaker, operator) == 50

    def test_nor_at_once(self, rostered, restaking, alpha, restaker, operator):
        """Where no roster binds any more but something is still to be settled, it waits for that alone."""
        rostered.set_answered(operator, 1)
        go_to_block(free_block(rostered))
        rostered.deposit(restaker, 50)
        block = rostered.delegate(restaker, operator, 50).block_number
        assert tuple(restaking.pendingOf(restaker, operator, alpha)) == (50, block)
        rostered.set_settled(operator, 1)
        restaking.mature(restaker, operator, alpha, sender=restaker)
        assert position(rostered, restaker, operator) == 50

    def test_counts_every_audits(self, rostered, restaking, alpha, restaker, operator, owner):
        """What a former Audits was answered counts as well, by the Rewards of its time."""
        members, governor = rostered.members, rostered.governor
        assert list(members.slashers()) == [rostered.audits]
        rostered.set_answered(operator, 1)
        rostered.deposit(restaker, 50)
        rostered.delegate(restaker, operator, 50)
        chain.mine(WITHDRAWAL_DELAY)
        with reverts_with(restaking.EpochsUnsettled, operator=operator):
            restaking.mature(restaker, operator, alpha, sender=restaker)
        rostered.set_settled(operator, 1)
        restaking.mature(restaker, operator, alpha, sender=restaker)

        # a new Audits with a new Rewards: what the old Rewards settled stands
        rostered.let_count(owner)
        for name in ("audits", "rewards"):
            rostered.directory.set(name32(name), owner, sender=governor)
        restaking.acceptSlasher(owner, sender=operator)
        rostered.next_snapshot()
        assert list(members.slashers()) == [rostered.audits, owner]
        rostered.set_answered(operator, 2)
        rostered.deposit(restaker, 50)
        rostered.delegate(restaker, operator, 50)
        chain.mine(WITHDRAWAL_DELAY)
        with reverts_with(restaking.EpochsUnsettled, operator=operator):
            restaking.mature(restaker, operator, alpha, sender=restaker)
        rostered.set_settled(operator, 2)
        restaking.mature(restaker, operator, alpha, sender=restaker)
        assert position(rostered, restaker, operator) == 100

    def test_shares_at_the_pools_price(self, rostered, restaking, alpha, restaker, operator):
        """After a slash of a fifth a unit buys a quarter more shares than before."""
        rostered.slash(operator)
        go_to_block(free_block(rostered))
        rostered.stake(restaker, operator, 160 * WAD)
        # (200e18 + 1) / (160e18 + 1), rounded down
        expected = 160 * WAD * (200 * WAD + 1) // (160 * WAD + 1)
        assert position(rostered, restaker, operator) == expected
        assert restaking.stakeValueOf(restaker, operator, alpha) in (160 * WAD, 160 * WAD - 1)

    def test_nobody_loses_to_dust(self, staking, restaking, alpha, restakers, operator):
        """A first depositor who leaves one share behind and donates doesn't make others' deposits worthless."""
        attacker, victim = restakers[:2]
        staking.stake(attacker, operator, 1)
        alpha.mint(restaking, 10**24, sender=attacker)
        staking.stake(victim, operator, 10**18)
        assert restaking.stakeValueOf(victim, operator, alpha) == 10**18


class TestUndelegate:
    def test_not_nothing(self, restaking, alpha, restaker, operator):
        """Nothing can't be queued."""
        with reverts_with(restaking.ZeroAmount):
            restaking.undelegate(operator, alpha, 0, sender=restaker)

    def test_not_more_than_there_is(self, staking, restaking, alpha, restaker, operator):
        """Queued shares can't be queued again."""
        staking.stake(restaker, operator, 50)
        restaking.undelegate(operator, alpha, 30, sender=restaker)
        with reverts_with(restaking.SharesTooLow, shares=20, asked=21):
            restaking.undelegate(operator, alpha, 21, sender=restaker)

    def test_queues(self, rostered, restaking, alpha, operator):
        """Queued shares stay in the pool; the stake counted falls at once; the date of release is known."""
        receipt = restaking.undelegate(operator, alpha, 50 * WAD, sender=operator)
        block = receipt.block_number
        assert receipt.events == [
            restaking.WithdrawalQueued(
                id=1,
                restaker=operator,
                operator=operator,
                collateral=alpha,
                shares=50 * WAD,
                readyBlock=block + WITHDRAWAL_DELAY,
            )
        ]
        assert tuple(restaking.pool(operator, alpha)) == (200 * WAD, 200 * WAD, 50 * WAD)
        assert restaking.stakeOf(operator, rostered.shard, alpha) == 150 * WAD
        expected = (operator, operator, alpha, 50 * WAD, block, free_block(rostered), False, ZERO_ADDRESS)
        assert tuple(restaking.withdrawal(1)) == expected

    def test_free_from_the_delay_where_nothing_binds(self, staking, restaking, alpha, restaker, operator):
        """Without a roster the delay alone counts."""
        staking.stake(restaker, operator, 50)
        block = restaking.undelegate(operator, alpha, 50, sender=restaker).block_number
        assert restaking.withdrawal(1).freeFromBlock == block + WITHDRAWAL_DELAY


class TestRedelegate:
    @pytest.fixture
    def moved(self, staking, restaking, alpha, restaker, operators):
        """A restaker moves 30 of 50 shares from the first to the second operator. Returns the block."""
        staking.stake(restaker, operators[0], 50)
        return restaking.redelegate(operators[0], alpha, 30, operators[1], sender=restaker).block_number

    def test_only_to_operators(self, staking, restaking, alpha, restaker, operator, stranger):
        """Nor what isn't there."""
        staking.stake(restaker, operator, 50)
        with reverts_with(restaking.OperatorUnknown, operator=stranger):
            restaking.redelegate(operator, alpha, 50, stranger, sender=restaker)
        with reverts_with(restaking.SharesTooLow, shares=50, asked=51):
            restaking.redelegate(operator, alpha, 51, operator, sender=restaker)
        with reverts_with(restaking.ZeroAmount):
            restaking.redelegate(operator, alpha, 0, operator, sender=restaker)

    def test_waits_as_a_withdrawal(self, restaking, alpha, moved, restaker, operators, stranger):
        """The same delay to the block; then anyone hands it on, and nothing was free in between."""
        ready = moved + WITHDRAWAL_DELAY
        assert restaking.withdrawal(1).toOperator == operators[1]
        assert tuple(restaking.pool(operators[0], alpha)) == (50, 50, 30)
        go_to_block(ready - 2)
        with reverts_with(restaking.WithdrawalNotReady, readyBlock=ready, blockNumber=ready - 1):
            restaking.completeWithdrawal(1, sender=stranger)
        go_to_block(ready - 1)
        receipt = restaking.completeWithdrawal(1, sender=stranger)
        assert [event.event_name for event in receipt.events] == ["WithdrawalCompleted", "Delegated"]
        assert restaking.sharesOf(restaker, operators[1], alpha) == 30
        assert restaking.sharesOf(restaker, operators[0], alpha) == 20
        assert restaking.freeBalance(restaker, alpha) == 0

    def test_says_where_it_goes(self, staking, restaking, alpha, restaker, operators):
        """An event names the new operator."""
        staking.stake(restaker, operators[0], 50)
        receipt = restaking.redelegate(operators[0], alpha, 50, operators[1], sender=restaker)
        assert restaking.RedelegationQueued(id=1, toOperator=operators[1]) in receipt.events

    def test_is_slashed_meanwhile(self, rostered, restaking, alpha, operators):
        """What is on its way still stands behind the operator that it leaves."""
        operator = operators[0]
        restaking.redelegate(operator, alpha, 200 * WAD, operators[1], sender=operator)
        rostered.slash(operator)
        go_to_block(free_block(rostered))
        restaking.completeWithdrawal(1, sender=operator)
        assert restaking.stakeValueOf(operator, operators[1], alpha) == 200 * WAD - STAKE_SLASH

    def test_matures_there_as_any_delegation(self, rostered, restaking, alpha, restaker, operators):
        """Where a roster counts the new operator, it waits once more."""
        rostered.stake(restaker, operators[1], 50)
        ready = restaking.redelegate(operators[1], alpha, 50, operators[0], sender=restaker).block_number
        ready += WITHDRAWAL_DELAY
        go_to_block(ready - 1)
        restaking.completeWithdrawal(1, sender=restaker)
        assert tuple(restaking.pendingOf(restaker, operators[0], alpha)) == (50, ready + WITHDRAWAL_DELAY)

    def test_nothing_is_left(self, staking, restaking, alpha, restaker, operators):
        """Shares that slashes made worthless complete, and delegate nothing."""
        staking.create_shard(stakeSlashPerTicket=100 * WAD, minBond=WAD, bondSlashPerTicket=1)
        staking.enroll(operators[0], restaker=restaker)
        staking.snapshot()
        restaking.redelegate(operators[0], alpha, 200 * WAD, operators[1], sender=restaker)
        staking.slash(operators[0])
        go_to_block(free_block(staking))
        receipt = restaking.completeWithdrawal(1, sender=restaker)
        assert [event.event_name for event in receipt.events] == ["WithdrawalCompleted"]
        assert restaking.pendingOf(restaker, operators[1], alpha).amount == 0


class TestCompleteWithdrawal:
    def test_unknown(self, restaking, restaker):
        """Ids begin at 1."""
        for unknown in (0, 1):
            with reverts_with(restaking.WithdrawalUnknown, id=unknown):
                restaking.completeWithdrawal(unknown, sender=restaker)
            with reverts_with(restaking.WithdrawalUnknown, id=unknown):
                restaking.withdrawal(unknown)

    def test_delay(self, staking, restaking, alpha, restaker, operator, stranger):
        """Refused one block early, done by anyone in its block, once."""
        staking.stake(restaker, operator, 50)
        ready = restaking.undelegate(operator, alpha, 50, sender=restaker).block_number + WITHDRAWAL_DELAY
        go_to_block(ready - 2)
        with reverts_with(restaking.WithdrawalNotReady, readyBlock=ready, blockNumber=ready - 1):
            restaking.completeWithdrawal(1, sender=stranger)
        go_to_block(ready - 1)
        receipt = restaking.completeWithdrawal(1, sender=stranger)
        assert receipt.events == [restaking.WithdrawalCompleted(id=1, restaker=restaker, collateral=alpha, amount=50)]
        assert restaking.freeBalance(restaker, alpha) == 50 == restaking.recorded(alpha)
        assert tuple(restaking.pool(operator, alpha)) == (0, 0, 0)
        assert restaking.withdrawal(1).completed
        with reverts_with(restaking.WithdrawalAlreadyCompleted, id=1):
            restaking.completeWithdrawal(1, sender=stranger)

    def test_bound_by_a_roster(self, rostered, restaking, alpha, operator):
        """Stake that a roster counted stays until the date known beforehand, to the block."""
        restaking.undelegate(operator, alpha, 50 * WAD, sender=operator)
        free = restaking.withdrawal(1).freeFromBlock
        assert free == free_block(rostered) > chain.blocks.height + WITHDRAWAL_DELAY
        go_to_block(free - 2)
        with reverts_with(restaking.StakeBound, operator=operator, untilBlock=free):
            restaking.completeWithdrawal(1, sender=operator)
        go_to_block(free - 1)
        restaking.completeWithdrawal(1, sender=operator)

    def test_stake_that_came_after_the_snapshot_is_not_bound_by_it(
        self, rostered, restaking, alpha, restaker, operator
    ):
        """Who matured after a snapshot leaves after the delay, though the roster lives on."""
        rostered.deposit(restaker, 50)
        rostered.delegate(restaker, operator, 50)
        chain.mine(WITHDRAWAL_DELAY)
        restaking.mature(restaker, operator, alpha, sender=restaker)
        block = restaking.undelegate(operator, alpha, 50, sender=restaker).block_number
        go_to_block(block + WITHDRAWAL_DELAY - 1)
        assert rostered.shards.boundUntil(operator, 0, chain.blocks.height) > chain.blocks.height
        restaking.completeWithdrawal(1, sender=restaker)

    def test_a_later_snapshot_does_not_bind_queued_stake(self, rostered, restaking, alpha, operator):
        """What was queued before a snapshot isn't counted by it, nor bound."""
        restaking.undelegate(operator, alpha, 50 * WAD, sender=operator)
        free = restaking.withdrawal(1).freeFromBlock
        rostered.next_snapshot()
        assert restaking.withdrawal(1).freeFromBlock <= free
        go_to_block(free - 1)
        restaking.completeWithdrawal(1, sender=operator)

    def test_not_while_a_slash_is_pending(self, rostered, restaking, alpha, operator):
        """Stake under a reported miss stays, however long it takes, and is slashed."""
        restaking.undelegate(operator, alpha, 200 * WAD, sender=operator)
        free = restaking.withdrawal(1).freeFromBlock
        go_to_block(free - 2)
        slash = rostered.miss(operator)
        with reverts_with(restaking.SlashPending, operator=operator, pending=1):
            restaking.completeWithdrawal(1, sender=operator)
        chain.mine(RESOLUTION_DELAY)
        restaking.executeSlash(slash, sender=operator)
        restaking.completeWithdrawal(1, sender=operator)
        assert restaking.freeBalance(operator, alpha) == 160 * WAD

    def test_two_withdrawals_one_price(self, staking, restaking, alpha, restakers, operator):
        """The order in which two leave changes what they get by no more than rounding."""
        first, second = restakers[:2]
        staking.stake(first, operator, 10 * WAD + 1)
        staking.stake(second, operator, 3 * WAD + 2)
        for restaker, shares in ((first, 10 * WAD + 1), (second, 3 * WAD + 2)):
            restaking.undelegate(operator, alpha, shares, sender=restaker)
        chain.mine(WITHDRAWAL_DELAY)
        for number in (2, 1):
            restaking.completeWithdrawal(number, sender=first)
        assert restaking.freeBalance(first, alpha) == 10 * WAD + 1
        assert restaking.freeBalance(second, alpha) == 3 * WAD + 2


class TestAllocate:
    def test_not_nothing(self, restaking, alpha, shard, operator):
        """Nothing can't be allocated."""
        with reverts_with(restaking.ZeroAmount):
            restaking.allocate(shard, alpha, 0, sender=operator)

    def test_only_operators(self, restaking, alpha, shard, stranger):
        """Who isn't registered has nothing to divide."""
        with reverts_with(restaking.OperatorUnknown, operator=stranger):
            restaking.allocate(shard, alpha, 1, sender=stranger)

    def test_only_collateral(self, staking, restaking, shard, operator):
        """A bond token is no stake."""
        with reverts_with(restaking.CollateralUnknown, token=staking.bond_token):
            restaking.allocate(shard, staking.bond_token, 1, sender=operator)

    @pytest.mark.parametrize("unknown", [0, 2])
    def test_only_known_shards(self, restaking, alpha, operator, unknown):
        """Stake stands behind shards that exist."""
        with reverts_with(restaking.ShardUnknown, shard=unknown):
            restaking.allocate(unknown, alpha, 1, sender=operator)

    def test_no_more_than_the_whole(self, staking, restaking, alpha, shard, operator):
        """I-R3: magnitudes add up to 1e18 at most, over all shards."""
        second = staking.create_shard()
        restaking.allocate(shard, alpha, WAD // 4, sender=operator)
        with reverts_with(restaking.MagnitudeTooLarge, magnitude=3 * WAD // 4 + 1, available=3 * WAD // 4):
            restaking.allocate(second, alpha, 3 * WAD // 4 + 1, sender=operator)
        restaking.allocate(second, alpha, 3 * WAD // 4, sender=operator)
        with reverts_with(restaking.MagnitudeTooLarge, magnitude=1, available=0):
            restaking.allocate(shard, alpha, 1, sender=operator)
        assert tuple(restaking.magnitudes(operator, shard, alpha)) == (WAD // 4, 0, WAD, WAD)

    def test_divides_the_stake(self, staking, restaking, alpha, shard, restaker, operator):
        """Each shard counts its part, rounded down; each collateral is divided for itself."""
        second = staking.create_shard()
        receipt = restaking.allocate(shard, alpha, WAD // 2, sender=operator)
        restaking.allocate(second, alpha, WAD // 10, sender=operator)
        staking.stake(restaker, operator, 101)
        assert (
            restaking.Allocated(operator=operator, shard=shard, collateral=alpha, magnitude=WAD // 2) in receipt.events
        )
        assert restaking.stakeOf(operator, shard, alpha) == 50
        assert restaking.stakeOf(operator, second, alpha) == 10
        assert restaking.stakeOf(operator, shard, staking.beta) == 0
        assert tuple(restaking.magnitudes(operator, shard, staking.beta)) == (0, 0, 0, WAD)

    def test_a_new_shard_needs_no_exit(self, rostered, restaking, alpha, operator):
        """Magnitude that stands behind no shard moves to a newly opened one at once."""
        first = rostered.shard
        restaking.allocate(first, rostered.beta, WAD // 2, sender=operator)
        rostered.stake(operator, operator, 300 * WAD, rostered.beta)
        second = rostered.create_shard()
        restaking.allocate(second, rostered.beta, WAD // 2, sender=operator)
        go_to_block(free_block_of(rostered, first))
        restaking.mature(operator, operator, rostered.beta, sender=operator)
        assert restaking.stakeOf(operator, second, rostered.beta) == 150 * WAD

    def test_pins_the_shards(self, staking, restaking, alpha, shard, operator, project):
        """What binds the stake can't be replaced by another Shards later."""
        receipt = restaking.allocate(shard, alpha, 1, sender=operator)
        assert restaking.ShardsPinned(shards=staking.shards) in receipt.events
        other = staking.governor.deploy(project.Shards, staking.directory)
        staking.directory.set(name32("shards"), other, sender=staking.governor)
        restaking.allocate(shard, alpha, 1, sender=operator)
        assert restaking.magnitudes(operator, shard, alpha).allocated == 2


class TestCompleteAllocation:
    def test_unknown(self, restaking, alpha, shard, operator):
        """There must be something reserved; what stands behind the shard at once isn't."""
        with reverts_with(restaking.AllocationUnknown, operator=operator, shard=shard, collateral=alpha):
            restaking.completeAllocation(operator, shard, alpha, sender=operator)
        restaking.allocate(shard, alpha, WAD, sender=operator)
        with reverts_with(restaking.AllocationUnknown):
            restaking.completeAllocation(operator, shard, alpha, sender=operator)

    def test_delay(self, staking, restaking, alpha, shard, operator, restaker, stranger):
        """With stake in the pool it waits; refused one block early, done by anyone in its block, once."""
        staking.stake(restaker, operator, 100)
        receipt = restaking.allocate(shard, alpha, WAD // 2, sender=operator)
        ready = receipt.block_number + WITHDRAWAL_DELAY
        assert (
            restaking.AllocationQueued(
                operator=operator, shard=shard, collateral=alpha, magnitude=WAD // 2, readyBlock=ready
            )
            in receipt.events
        )
        assert tuple(restaking.waitingAllocation(operator, shard, alpha)) == (WAD // 2, ready)
        # reserved: others can't have it; but it stands behind nothing
        assert tuple(restaking.magnitudes(operator, shard, alpha)) == (0, 0, WAD // 2, WAD)
        assert restaking.stakeOf(operator, shard, alpha) == 0
        assert tuple(restaking.slashableOf(operator, shard, alpha)) == (0, 0)
        go_to_block(ready - 2)
        with reverts_with(restaking.AllocationNotReady, readyBlock=ready, blockNumber=ready - 1):
            restaking.completeAllocation(operator, shard, alpha, sender=stranger)
        go_to_block(ready - 1)
        receipt = restaking.completeAllocation(operator, shard, alpha, sender=stranger)
        assert (
            restaking.Allocated(operator=operator, shard=shard, collateral=alpha, magnitude=WAD // 2) in receipt.events
        )
        assert restaking.stakeOf(operator, shard, alpha) == 50
        assert tuple(restaking.waitingAllocation(operator, shard, alpha)) == (0, 0)
        with reverts_with(restaking.AllocationUnknown):
            restaking.completeAllocation(operator, shard, alpha, sender=stranger)

    def test_reserving_more_starts_the_wait_anew(self, staking, restaking, alpha, shard, operator, restaker):
        """All of it waits for the last part; no more than the whole is reserved."""
        staking.stake(restaker, operator, 100)
        restaking.allocate(shard, alpha, WAD // 2, sender=operator)
        chain.mine(30)
        block = restaking.allocate(shard, alpha, WAD // 4, sender=operator).block_number
        waiting = (3 * WAD // 4, block + WITHDRAWAL_DELAY)
        assert tuple(restaking.waitingAllocation(operator, shard, alpha)) == waiting
        with reverts_with(restaking.MagnitudeTooLarge, magnitude=WAD // 4 + 1, available=WAD // 4):
            restaking.allocate(shard, alpha, WAD // 4 + 1, sender=operator)

    def test_who_leaves_at_once_is_out_before(self, staking, restaking, alpha, shard, operator, restaker):
        """A withdrawal queued in the block of the announcement can be completed before the allocation stands."""
        staking.stake(restaker, operator, 100)
        queued = restaking.allocate(shard, alpha, WAD, sender=operator).block_number
        left = restaking.undelegate(operator, alpha, 100, sender=restaker).block_number
        assert left == queued + 1
        go_to_block(left + WITHDRAWAL_DELAY - 1)
        restaking.completeWithdrawal(1, sender=restaker)
        restaking.completeAllocation(operator, shard, alpha, sender=operator)
        assert restaking.freeBalance(restaker, alpha) == 100

    def test_not_while_a_slash_is_pending(self, rostered, restaking, operator, restaker):
        """I-R6: what comes behind a shard after a miss doesn't pay for it."""
        beta, shard = rostered.beta, rostered.shard
        rostered.stake(restaker, operator, 300 * WAD, beta)
        chain.mine(WITHDRAWAL_DELAY)
        restaking.mature(restaker, operator, beta, sender=restaker)
        restaking.allocate(shard, beta, WAD, sender=operator)
        chain.mine(WITHDRAWAL_DELAY)
        slash = rostered.miss(operator, epoch=6)
        with reverts_with(restaking.SlashPending, operator=operator, pending=1):
            restaking.completeAllocation(operator, shard, beta, sender=operator)
        chain.mine(RESOLUTION_DELAY)
        restaking.executeSlash(slash, sender=operator)
        assert restaking.pool(operator, beta).assets == 300 * WAD
        restaking.completeAllocation(operator, shard, beta, sender=operator)
        assert restaking.stakeOf(operator, shard, beta) == 300 * WAD

    def test_ends_with_its_generation(self, staking, restaking, alpha, operator, restaker):
        """What was reserved of a pool that slashes emptied stands for nothing."""
        first = staking.create_shard(stakeSlashPerTicket=100 * WAD, minBond=WAD, bondSlashPerTicket=1)
        second = staking.create_shard()
        staking.shard = first
        staking.post_bond(operator, 20 * WAD)
        staking.allocate(operator, WAD - 1)
        staking.stake(restaker, operator, 200 * WAD)
        staking.members.join(first, sender=operator)
        staking.allocate(operator, 1, shard=second)
        staking.snapshot()
        staking.slash(operator)
        staking.slash(operator, epoch=2)
        assert restaking.pool(operator, alpha).shares == 0
        assert restaking.waitingAllocation(operator, second, alpha).magnitude == 0
        chain.mine(WITHDRAWAL_DELAY)
        with reverts_with(restaking.AllocationUnknown):
            restaking.completeAllocation(operator, second, alpha, sender=operator)


def free_block_of(staking, shard, roster=1):
    """As `free_block`, of any shard."""
    end = staking.shards.rosterHead(shard, roster).endEpoch
    return staking.shards.seedBlockOf(shard, end - 1) + CLOSING + 1


class TestDeallocate:
    def test_not_nothing(self, restaking, alpha, shard, operator):
        """Nothing can't be queued."""
        with reverts_with(restaking.ZeroAmount):
            restaking.deallocate(shard, alpha, 0, sender=operator)

    def test_not_more_than_allocated(self, restaking, alpha, shard, operator):
        """Queued magnitude can't be queued again."""
        restaking.allocate(shard, alpha, 100, sender=operator)
        restaking.deallocate(shard, alpha, 60, sender=operator)
        with reverts_with(restaking.MagnitudeTooLarge, magnitude=41, available=40):
            restaking.deallocate(shard, alpha, 41, sender=operator)

    def test_queues(self, rostered, restaking, alpha, shard, operator):
        """Snapshots stop counting it at once; it stays allocated."""
        receipt = restaking.deallocate(shard, alpha, WAD // 4, sender=operator)
        ready = receipt.block_number + WITHDRAWAL_DELAY
        assert receipt.events == [
            restaking.DeallocationQueued(
                operator=operator, shard=shard, collateral=alpha, magnitude=WAD // 4, readyBlock=ready
            )
        ]
        assert restaking.stakeOf(operator, shard, alpha) == 150 * WAD
        assert tuple(restaking.magnitudes(operator, shard, alpha)) == (WAD, WAD // 4, WAD, WAD)


class TestCompleteDeallocation:
    def test_unknown(self, restaking, alpha, shard, operator):
        """There must be something queued."""
        with reverts_with(restaking.DeallocationUnknown, operator=operator, shard=shard, collateral=alpha):
            restaking.completeDeallocation(operator, shard, alpha, sender=operator)

    def test_delay(self, restaking, alpha, shard, operator, stranger):
        """Refused one block early, done by anyone in its block; then other shards can have it."""
        restaking.allocate(shard, alpha, WAD, sender=operator)
        ready = restaking.deallocate(shard, alpha, WAD // 4, sender=operator).block_number + WITHDRAWAL_DELAY
        go_to_block(ready - 2)
        with reverts_with(restaking.WithdrawalNotReady, readyBlock=ready, blockNumber=ready - 1):
            restaking.completeDeallocation(operator, shard, alpha, sender=stranger)
        go_to_block(ready - 1)
        receipt = restaking.completeDeallocation(operator, shard, alpha, sender=stranger)
        assert receipt.events == [
            restaking.Deallocated(operator=operator, shard=shard, collateral=alpha, magnitude=WAD // 4)
        ]
        assert tuple(restaking.magnitudes(operator, shard, alpha)) == (3 * WAD // 4, 0, 3 * WAD // 4, WAD)
        with reverts_with(restaking.DeallocationUnknown):
            restaking.completeDeallocation(operator, shard, alpha, sender=stranger)

    def test_bound_by_a_roster(self, rostered, restaking, alpha, shard, operator):
        """Magnitude that a roster counted stays until the roster has released it."""
        restaking.deallocate(shard, alpha, WAD, sender=operator)
        free = free_block(rostered)
        go_to_block(free - 2)
        with reverts_with(restaking.StakeBound, operator=operator, untilBlock=free):
            restaking.completeDeallocation(operator, shard, alpha, sender=operator)
        go_to_block(free - 1)
        restaking.completeDeallocation(operator, shard, alpha, sender=operator)

    def test_another_shards_roster_does_not_bind(self, rostered, restaking, operator):
        """Each shard binds what is allocated to it."""
        second = rostered.create_shard()
        restaking.allocate(second, rostered.beta, WAD, sender=operator)
        restaking.deallocate(second, rostered.beta, WAD, sender=operator)
        chain.mine(WITHDRAWAL_DELAY)
        restaking.completeDeallocation(operator, second, rostered.beta, sender=operator)

    def test_not_while_a_slash_is_pending(self, rostered, restaking, alpha, shard, operator):
        """Stake under a reported miss can't slip into another shard; what is queued is slashed."""
        restaking.deallocate(shard, alpha, WAD, sender=operator)
        go_to_block(free_block(rostered))
        slash = rostered.miss(operator)
        with reverts_with(restaking.SlashPending, operator=operator, pending=1):
            restaking.completeDeallocation(operator, shard, alpha, sender=operator)
        chain.mine(RESOLUTION_DELAY)
        restaking.executeSlash(slash, sender=operator)
        assert restaking.pool(operator, alpha).assets == 160 * WAD


class TestPostBond:
    def test_only_operators(self, restaking, shard, stranger):
        """Who isn't registered posts no bond."""
        with reverts_with(restaking.OperatorUnknown, operator=stranger):
            restaking.postBond(shard, 1, sender=stranger)

    def test_only_known_shards(self, restaking, operator):
        """A bond stands behind a shard that exists."""
        with reverts_with(restaking.ShardUnknown, shard=9):
            restaking.postBond(9, 1, sender=operator)

    def test_not_nothing(self, restaking, shard, operator):
        """Nothing is no bond."""
        with reverts_with(restaking.ZeroAmount):
            restaking.postBond(shard, 0, sender=operator)

    def test_limit(self, staking, restaking, shard, operator):
        """The limit of a token's total holds for bonds."""
        fund(staking.bond_token, operator, 2**104, restaking)
        with reverts_with(restaking.AmountTooLarge, amount=2**104, limit=MAX_ASSETS):
            restaking.postBond(shard, 2**104, sender=operator)

    def test_posts(self, staking, restaking, shard, operator):
        """Bonds add up, per shard."""
        staking.post_bond(operator, 7)
        fund(staking.bond_token, operator, 5, restaking)
        receipt = restaking.postBond(shard, 5, sender=operator)
        assert restaking.BondPosted(operator=operator, shard=shard, amount=5) in receipt.events
        assert restaking.bondOf(operator, shard) == 12 == restaking.recorded(staking.bond_token)
        assert restaking.bondOf(operator, shard + 1) == 0


class TestQueueBondWithdrawal:
    def test_not_nothing(self, restaking, shard, operator):
        """Nothing can't be queued."""
        with reverts_with(restaking.ZeroAmount):
            restaking.queueBondWithdrawal(shard, 0, sender=operator)

    def test_not_more_than_there_is(self, staking, restaking, shard, operator):
        """Queued bond can't be queued again."""
        staking.post_bond(operator, 10)
        restaking.queueBondWithdrawal(shard, 4, sender=operator)
        with reverts_with(restaking.BondTooLow, bond=6, asked=7):
            restaking.queueBondWithdrawal(shard, 7, sender=operator)

    def test_queues(self, staking, restaking, shard, operator):
        """What is queued isn't counted; queueing more starts the wait anew."""
        staking.post_bond(operator, 10)
        restaking.queueBondWithdrawal(shard, 4, sender=operator)
        receipt = restaking.queueBondWithdrawal(shard, 1, sender=operator)
        block = receipt.block_number
        assert receipt.events == [
            restaking.BondWithdrawalQueued(
                operator=operator, shard=shard, amount=1, readyBlock=block + WITHDRAWAL_DELAY
            )
        ]
        assert restaking.bondOf(operator, shard) == 5
        assert tuple(restaking.bondState(operator, shard)) == (10, 5, block)


class TestCompleteBondWithdrawal:
    def test_unknown(self, restaking, shard, operator):
        """There must be something queued."""
        with reverts_with(restaking.BondWithdrawalUnknown, operator=operator, shard=shard):
            restaking.completeBondWithdrawal(operator, shard, sender=operator)

    def test_delay(self, staking, restaking, shard, operator, stranger):
        """Refused one block early; done by anyone, into the operator's free balance, though bonds aren't collateral."""
        staking.post_bond(operator, 10)
        ready = restaking.queueBondWithdrawal(shard, 4, sender=operator).block_number + WITHDRAWAL_DELAY
        go_to_block(ready - 2)
        with reverts_with(restaking.WithdrawalNotReady, readyBlock=ready, blockNumber=ready - 1):
            restaking.completeBondWithdrawal(operator, shard, sender=stranger)
        go_to_block(ready - 1)
        receipt = restaking.completeBondWithdrawal(operator, shard, sender=stranger)
        assert receipt.events == [restaking.BondWithdrawn(operator=operator, shard=shard, amount=4)]
        assert restaking.bondOf(operator, shard) == 6
        restaking.withdraw(staking.bond_token, 4, sender=operator)
        assert staking.bond_token.balanceOf(operator) == 4
        assert restaking.recorded(staking.bond_token) == 6

    def test_bound_by_a_roster(self, rostered, restaking, shard, operator):
        """A bond that a roster counted stays until the roster has released it."""
        restaking.queueBondWithdrawal(shard, 20 * WAD, sender=operator)
        free = free_block(rostered)
        go_to_block(free - 2)
        with reverts_with(restaking.StakeBound, operator=operator, untilBlock=free):
            restaking.completeBondWithdrawal(operator, shard, sender=operator)
        go_to_block(free - 1)
        restaking.completeBondWithdrawal(operator, shard, sender=operator)

    def test_not_while_a_slash_is_pending(self, rostered, restaking, shard, operator):
        """A bond under a reported miss stays, and a slash reaches what is queued."""
        restaking.queueBondWithdrawal(shard, 20 * WAD, sender=operator)
        go_to_block(free_block(rostered))
        slash = rostered.miss(operator)
        with reverts_with(restaking.SlashPending, operator=operator, pending=1):
            restaking.completeBondWithdrawal(operator, shard, sender=operator)
        chain.mine(RESOLUTION_DELAY)
        restaking.executeSlash(slash, sender=operator)
        restaking.completeBondWithdrawal(operator, shard, sender=operator)
        assert restaking.freeBalance(operator, rostered.bond_token) == 20 * WAD - BOND_SLASH


class TestQueueSlash:
    def test_only_the_rosters_slasher(self, rostered, restaking, shard, operator, stranger):
        """Nobody but the Audits of the snapshot books a miss."""
        for caller in (stranger, rostered.governor, rostered.guardian):
            with reverts_with(restaking.NotSlasher, caller=caller, slasher=rostered.audits):
                restaking.queueSlash(shard, 1, operator, 1, stranger, sender=caller)

    def test_a_new_audits_needs_the_operators_consent(self, rostered, restaking, shard, operator, owner, stranger):
        """A newer module slashes what a roster binds only if the operator accepted it, and while it is in force."""
        rostered.directory.set(name32("audits"), owner, sender=rostered.governor)
        with reverts_with(restaking.NotSlasher, caller=owner, slasher=rostered.audits):
            restaking.queueSlash(shard, 1, operator, 1, stranger, sender=owner)
        receipt = restaking.acceptSlasher(owner, sender=operator)
        assert receipt.events == [restaking.SlasherAccepted(operator=operator, slasher=owner)]
        restaking.queueSlash(shard, 1, operator, 1, stranger, sender=owner)
        # the old one still may
        restaking.queueSlash(shard, 1, operator, 2, stranger, sender=rostered.audits)
        rostered.directory.set(name32("audits"), rostered.audits, sender=rostered.governor)
        with reverts_with(restaking.NotSlasher, caller=owner):
            restaking.queueSlash(shard, 1, operator, 3, stranger, sender=owner)

    def test_a_new_audits_reaches_no_stake_that_an_older_roster_binds(
        self, rostered, restaking, shard, alpha, operator, operators, owner, restaker
    ):
        """A slash takes from all shares: whom an older roster binds gets no tickets under a newer slasher unasked."""
        rostered.enroll(operators[1])
        rostered.let_count(owner)
        rostered.directory.set(name32("audits"), owner, sender=rostered.governor)
        newer = rostered.next_snapshot()
        assert list(rostered.entries(newer)) == [operators[1]]
        assert rostered.shards.rosterHead(shard, newer).slasher == owner
        # what the operator's restakers queued is as safe as before
        with reverts_with(rostered.shards.OperatorNotInRoster, operator=operator):
            restaking.queueSlash(shard, newer, operator, 99, owner, sender=owner)

        restaking.acceptSlasher(owner, sender=operator)
        assert restaking.accepted(operator, owner)
        assert not restaking.accepted(operators[1], owner)
        # the second operator is bound by the newest roster alone, and that one has the same slasher
        assert set(rostered.entries(rostered.next_snapshot())) == {operator.address, operators[1].address}

    def test_nobody_accepted_makes_no_roster(self, rostered, restaking, shard, operator, owner):
        """Until the old roster's last miss can't be reported any more; then no consent is needed."""
        rostered.directory.set(name32("audits"), owner, sender=rostered.governor)
        with reverts_with(rostered.members.NoTickets, shard=shard):
            rostered.next_snapshot()
        go_to_block(free_block(rostered) - 1)
        rostered.snapshot()
        assert list(rostered.entries(2)) == [operator]

    def test_an_accepted_stranger_is_no_slasher(self, rostered, restaking, shard, operator, stranger):
        """Consent alone makes nobody a slasher."""
        restaking.acceptSlasher(stranger, sender=operator)
        with reverts_with(restaking.NotSlasher, caller=stranger):
            restaking.queueSlash(shard, 1, operator, 1, stranger, sender=stranger)

    def test_only_known_rosters(self, rostered, restaking, shard, operator, stranger):
        """A slash is for a roster that exists, of a shard that exists."""
        with reverts_with(rostered.shards.RosterUnknown, shard=shard, roster=2):
            restaking.queueSlash(shard, 2, operator, 1, stranger, sender=rostered.audits)
        with reverts_with(rostered.shards.ShardUnknown, shard=7):
            restaking.queueSlash(7, 1, operator, 1, stranger, sender=rostered.audits)

    def test_only_its_operators(self, rostered, restaking, shard, operators, stranger):
        """Who isn't in the roster can't be slashed under it."""
        with reverts_with(rostered.shards.OperatorNotInRoster, shard=shard, roster=1, operator=operators[1]):
            restaking.queueSlash(shard, 1, operators[1], 1, stranger, sender=rostered.audits)

    def test_once(self, rostered, restaking, shard, operator, stranger):
        """One slash for an epoch, executed or not."""
        slash = rostered.miss(operator)
        for _ in range(2):
            with reverts_with(restaking.SlashExists, id=slash):
                restaking.queueSlash(shard, 1, operator, 1, stranger, sender=rostered.audits)
            chain.mine(RESOLUTION_DELAY)
            if not restaking.slashOf(slash).executed:
                restaking.executeSlash(slash, sender=stranger)

    def test_queues(self, rostered, restaking, shard, operator, stranger):
        """A queued slash waits the resolution delay; its id binds chain, contract, shard, epoch, operator."""
        receipt = restaking.queueSlash(shard, 1, operator, 4, stranger, sender=rostered.audits)
        ready = receipt.block_number + RESOLUTION_DELAY
        kinds = ["bytes32", "uint256", "address", "uint32", "uint64", "address"]
        values = [keccak(text="qanat/v1/slash"), chain.chain_id, restaking.address, shard, 4, operator.address]
        slash = keccak(encode(kinds, values))
        assert restaking.slashId(shard, 4, operator) == slash
        assert receipt.events == [
            restaking.SlashQueued(
                id=slash,
                shard=shard,
                operator=operator,
                epoch=4,
                roster=1,
                reporter=stranger,
                readyBlock=ready,
            )
        ]
        assert tuple(restaking.slashOf(slash)) == (operator, shard, 1, 4, stranger, ready, False, False)
        assert restaking.pendingSlashes(operator) == 1


class TestDelaySlash:
    def test_only_the_guardian(self, rostered, restaking, operator):
        """Nobody else delays; not the governor either."""
        slash = rostered.miss(operator)
        for caller in (rostered.governor, operator):
            with reverts_with(restaking.NotGuardian, caller=caller):
                restaking.delaySlash(slash, sender=caller)

    def test_unknown(self, staking, restaking):
        """There must be a slash."""
        unknown = keccak(b"")
        with reverts_with(restaking.SlashUnknown, id=unknown):
            restaking.delaySlash(unknown, sender=staking.guardian)
        with reverts_with(restaking.SlashUnknown, id=unknown):
            restaking.slashOf(unknown)

    def test_once(self, rostered, restaking, operator):
        """A slash is delayed once, for a fixed time."""
        slash = rostered.miss(operator)
        ready = restaking.slashOf(slash).readyBlock
        receipt = restaking.delaySlash(slash, sender=rostered.guardian)
        assert receipt.events == [restaking.SlashDelayed(id=slash, readyBlock=ready + GUARDIAN_DELAY)]
        assert restaking.slashOf(slash).readyBlock == ready + GUARDIAN_DELAY
        with reverts_with(restaking.SlashAlreadyDelayed, id=slash):
            restaking.delaySlash(slash, sender=rostered.guardian)

    def test_not_after_execution(self, rostered, restaking, operator):
        """What is done can't be delayed."""
        slash = rostered.miss(operator)
        chain.mine(RESOLUTION_DELAY)
        restaking.executeSlash(slash, sender=operator)
        with reverts_with(restaking.SlashAlreadyExecuted, id=slash):
            restaking.delaySlash(slash, sender=rostered.guardian)


class TestExecuteSlash:
    def test_unknown(self, restaking, stranger):
        """There must be a slash."""
        with reverts_with(restaking.SlashUnknown, id=bytes(32)):
            restaking.executeSlash(bytes(32), sender=stranger)

    def test_resolution_delay(self, rostered, restaking, operator, stranger):
        """Refused one block early, done by anyone in its block, once; the guardian's delay counts."""
        slash = rostered.miss(operator)
        restaking.delaySlash(slash, sender=rostered.guardian)
        ready = restaking.slashOf(slash).readyBlock
        go_to_block(ready - 2)
        with reverts_with(restaking.SlashNotReady, id=slash, readyBlock=ready, blockNumber=ready - 1):
            restaking.executeSlash(slash, sender=stranger)
        go_to_block(ready - 1)
        restaking.executeSlash(slash, sender=stranger)
        with reverts_with(restaking.SlashAlreadyExecuted, id=slash):
            restaking.executeSlash(slash, sender=stranger)

    def test_takes_what_the_roster_fixed(self, rostered, restaking, alpha, operator, auditor):
        """The reporter gets its fee from the bond; the rest of the bond's part and all of the stake's is burnable."""
        slash = rostered.miss(operator, reporter=auditor)
        chain.mine(RESOLUTION_DELAY)
        receipt = restaking.executeSlash(slash, sender=operator)
        assert (
            restaking.SlashExecuted(id=slash, operator=operator, bondTaken=BOND_SLASH, reporterReward=FEE)
            in receipt.events
        )
        assert (
            restaking.StakeSlashed(id=slash, operator=operator, collateral=alpha, amount=STAKE_SLASH) in receipt.events
        )
        assert restaking.bondOf(operator, rostered.shard) == 20 * WAD - BOND_SLASH
        assert restaking.freeBalance(auditor, rostered.bond_token) == FEE
        assert restaking.burnable(rostered.bond_token) == BOND_SLASH - FEE
        assert restaking.pool(operator, alpha).assets == 200 * WAD - STAKE_SLASH
        assert restaking.burnable(alpha) == STAKE_SLASH
        assert restaking.pendingSlashes(operator) == 0
        # what is owed is as much as before
        assert restaking.recorded(rostered.bond_token) == 20 * WAD
        assert restaking.recorded(alpha) == 200 * WAD

    def test_reporter_gets_at_most_half(self, staking, restaking, operator, auditor):
        """I-R8: a fee above half of what the bond lost is cut to half of it."""
        staking.create_shard(reporterFee=100 * WAD, bondSlashPerTicket=WAD + 1)
        staking.enroll(operator)
        staking.snapshot()
        staking.slash(operator, reporter=auditor)
        taken = 2 * WAD + 2
        assert restaking.freeBalance(auditor, staking.bond_token) == taken // 2
        assert restaking.burnable(staking.bond_token) == taken - taken // 2

    def test_queued_shares_are_slashed_alike(self, rostered, restaking, alpha, operator):
        """Who queued before the slash loses the same part as who stayed."""
        restaking.undelegate(operator, alpha, 50 * WAD, sender=operator)
        rostered.slash(operator)
        assert tuple(restaking.pool(operator, alpha)) == (160 * WAD, 200 * WAD, 50 * WAD)
        assert restaking.stakeValueOf(operator, operator, alpha) == 120 * WAD
        go_to_block(restaking.withdrawal(1).freeFromBlock - 1)
        restaking.completeWithdrawal(1, sender=operator)
        assert restaking.freeBalance(operator, alpha) == 40 * WAD

    def test_another_shards_part_is_untouched(self, staking, restaking, alpha, operator, restaker):
        """I-R4: what stands behind another shard neither falls nor can be reached."""
        first = staking.shard
        staking.post_bond(operator, 20 * WAD)
        restaking.allocate(first, alpha, 2 * WAD // 5, sender=operator)
        staking.stake(restaker, operator, 500 * WAD + 7)
        second = staking.create_shard()
        restaking.allocate(second, alpha, WAD // 2, sender=operator)
        before = restaking.stakeOf(operator, second, alpha)
        staking.shard = first
        staking.members.join(first, sender=operator)
        staking.snapshot()
        behind = restaking.stakeOf(operator, first, alpha)
        # 40 each time, until nothing stands behind the first shard
        for epoch in range(1, 8):
            staking.slash(operator, epoch=epoch)
            # a unit of magnitude stands for 500 units
            assert 0 <= restaking.stakeOf(operator, second, alpha) - before <= 500 * epoch
        assert restaking.stakeOf(operator, first, alpha) == 0
        assert restaking.magnitudes(operator, first, alpha).allocated == 0
        burned = restaking.burnable(alpha)
        assert behind - 500 * 7 <= burned <= behind
        assert restaking.pool(operator, alpha).assets == 500 * WAD + 7 - burned

    def test_a_bond_that_is_gone_is_not_taken_again(self, rostered, restaking, shard, operator):
        """A slash takes what is there."""
        for epoch in range(1, 4):
            rostered.slash(operator, epoch=epoch)
        assert restaking.bondOf(operator, shard) == 0
        # 8, 8, 4: of each at most half to the reporter
        assert restaking.freeBalance(rostered.governor, rostered.bond_token) == 3 * WAD
        assert restaking.burnable(rostered.bond_token) == 17 * WAD
        receipt = rostered.slash(operator, epoch=4)
        assert restaking.freeBalance(rostered.governor, rostered.bond_token) == 3 * WAD
        assert receipt.events[0].bondTaken == 0

    def test_below_the_least_bond_the_place_falls_vacant(self, rostered, restaking, shard, operator):
        """20 - 8 is less than 15: the duty ends."""
        receipt = rostered.slash(operator)
        assert rostered.shards.vacatedAt(shard, 1, operator) == receipt.block_number

    def test_queued_bond_counts_for_the_place(self, rostered, restaking, shard, operator):
        """Who queues its whole bond and misses doesn't get out of its duty by that."""
        rostered.post_bond(operator, 10 * WAD)
        restaking.queueBondWithdrawal(shard, 30 * WAD, sender=operator)
        rostered.slash(operator)
        assert tuple(restaking.bondState(operator, shard))[:2] == (22 * WAD, 22 * WAD)
        assert rostered.shards.vacatedAt(shard, 1, operator) == 0

    def test_sends_no_token(self, staking, restaking, operator, make_token):
        """A collateral whose transfers fail can't stop a slash."""
        token = make_token("RefusingToken")
        weights = [{"token": token.address, "weightWad": WAD}]
        shard = staking.create_shard(weights)
        staking.post_bond(operator, 20 * WAD)
        restaking.allocate(shard, token, WAD, sender=operator)
        staking.stake(operator, operator, 200 * WAD, token)
        staking.members.join(shard, sender=operator)
        staking.snapshot()
        token.refuseAll(True, sender=staking.governor)
        staking.slash(operator)
        assert restaking.burnable(token) == STAKE_SLASH

    def test_takes_at_most_once_and_what_is_fixed(self, rostered, restaking, shard, alpha, operator, stranger):
        """I-R9: for one shard and epoch an operator loses what its roster fixed, once, whatever stands behind it."""
        rostered.stake(stranger, operator, 10**6 * WAD)
        rostered.post_bond(operator, 10**6 * WAD)
        slash = rostered.miss(operator, epoch=3)
        with reverts_with(restaking.SlashExists, id=slash):
            rostered.miss(operator, epoch=3)
        chain.mine(RESOLUTION_DELAY)
        restaking.executeSlash(slash, sender=stranger)
        assert restaking.burnable(alpha) == STAKE_SLASH
        assert restaking.burnable(rostered.bond_token) == BOND_SLASH - FEE
        with reverts_with(restaking.SlashAlreadyExecuted, id=slash):
            restaking.executeSlash(slash, sender=stranger)
        with reverts_with(restaking.SlashExists, id=slash):
            rostered.miss(operator, epoch=3)
        # another epoch is another miss
        rostered.slash(operator, epoch=4)
        assert restaking.burnable(alpha) == 2 * STAKE_SLASH


class TestSlashableOf:
    def test_queued_shares_and_magnitude_count(self, rostered, restaking, shard, alpha, operator):
        """What could be taken is what stands behind the shard, though snapshots count only what stays."""
        restaking.undelegate(operator, alpha, 50 * WAD, sender=operator)
        restaking.deallocate(shard, alpha, WAD // 2, sender=operator)
        assert tuple(restaking.slashableOf(operator, shard, alpha)) == (200 * WAD, 200 * WAD)
        assert restaking.stakeOf(operator, shard, alpha) == 75 * WAD
        assert tuple(restaking.slashableOf(operator, shard, rostered.beta)) == (0, 0)


class TestGenerations:
    """Pools that slashes emptied, or nearly."""

    @pytest.fixture
    def wiped(self, staking, operator, restakers):
        """Return the contracts, a slash away from an empty pool: a miss takes all that makes the tickets."""
        staking.create_shard(stakeSlashPerTicket=100 * WAD, minBond=WAD, bondSlashPerTicket=1)
        staking.enroll(operator, tickets=2, restaker=restakers[0])
        staking.snapshot()
        return staking

    def test_a_wiped_pool_begins_anew(self, wiped, restaking, alpha, operator, restakers):
        """Old shares are worth nothing; new deposits begin at one to one; the operator allocates anew."""
        first, second = restakers[:2]
        receipt = wiped.slash(operator)
        assert (
            restaking.GenerationEnded(operator=operator, collateral=alpha, generation=0, assetsLeft=0) in receipt.events
        )
        assert tuple(restaking.pool(operator, alpha)) == (0, 0, 0)
        assert restaking.stakeValueOf(first, operator, alpha) == 0
        assert tuple(restaking.magnitudes(operator, wiped.shard, alpha)) == (0, 0, 0, WAD)

        go_to_block(free_block(wiped))
        assert restaking.stakeOf(operator, wiped.shard, alpha) == 0
        restaking.allocate(wiped.shard, alpha, WAD, sender=operator)
        wiped.stake(second, operator, 70)
        assert restaking.stakeOf(operator, wiped.shard, alpha) == 70
        assert tuple(restaking.positionOf(second, operator, alpha))[:2] == (70, 1)

    def test_old_shares_leave_with_nothing(self, wiped, restaking, alpha, operator, restakers):
        """Undelegating worthless shares works and pays nothing; who stakes again begins anew."""
        restaker = restakers[0]
        wiped.slash(operator)
        restaking.undelegate(operator, alpha, 100 * WAD, sender=restaker)
        go_to_block(free_block(wiped))
        restaking.completeWithdrawal(1, sender=restaker)
        assert restaking.freeBalance(restaker, alpha) == 0
        wiped.stake(restaker, operator, 5)
        assert tuple(restaking.positionOf(restaker, operator, alpha))[:2] == (5, 1)

    def test_many_wipes(self, staking, restaking, alpha, operator, restaker):
        """Wipe after wipe, nothing overflows and every deposit begins at one to one."""
        staking.create_shard(stakeSlashPerTicket=100 * WAD, minBond=WAD, bondSlashPerTicket=1, termEpochs=7)
        staking.enroll(operator)
        staking.snapshot()
        for epoch in range(1, 6):
            staking.slash(operator, epoch=epoch)
            assert tuple(restaking.pool(operator, alpha)) == (0, 0, 0)
            restaking.allocate(staking.shard, alpha, WAD, sender=operator)
            staking.deposit(restaker, 150 * WAD)
            staking.delegate(restaker, operator, 150 * WAD)
            if restaking.pendingOf(restaker, operator, alpha).amount:
                chain.mine(WITHDRAWAL_DELAY)
                restaking.mature(restaker, operator, alpha, sender=restaker)
            assert tuple(restaking.pool(operator, alpha)) == (150 * WAD, 150 * WAD, 0)
        assert restaking.positionOf(restaker, operator, alpha).generation == 5
        assert restaking.recorded(alpha) == alpha.balanceOf(restaking)

    def test_dust_of_an_ended_generation(self, staking, restaking, alpha, operator, restakers):
        """A slash that leaves less than a millionth ends the generation; what is left belongs to the old shares."""
        old, new = restakers[:2]
        unit = 2**30
        staking.create_shard(ticketPrice=unit, stakeSlashPerTicket=unit, minBond=WAD, bondSlashPerTicket=1)
        staking.post_bond(operator, 10 * WAD)
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        staking.stake(old, operator, unit)
        staking.stake(new, operator, 1000)
        staking.members.join(staking.shard, sender=operator)
        staking.snapshot()
        receipt = staking.slash(operator)
        # 1000 of 2^30 + 1000 is less than 2^-20 of the shares
        assert (
            restaking.GenerationEnded(operator=operator, collateral=alpha, generation=0, assetsLeft=1000)
            in receipt.events
        )
        assert restaking.stakeOf(operator, staking.shard, alpha) == 0

        go_to_block(free_block(staking))
        staking.stake(old, operator, 5)
        assert restaking.freeBalance(old, alpha) == unit * 1001 // (unit + 1001)
        assert tuple(restaking.positionOf(old, operator, alpha))[:2] == (5, 1)
        restaking.undelegate(operator, alpha, 1000, sender=new)
        chain.mine(WITHDRAWAL_DELAY)
        restaking.completeWithdrawal(1, sender=new)
        assert restaking.recorded(alpha) == unit + 1005


class TestBurn:
    def test_nothing(self, restaking, alpha, stranger):
        """There must be something to burn."""
        with reverts_with(restaking.NothingToBurn, token=alpha):
            restaking.burn(alpha, sender=stranger)

    def test_burns(self, rostered, restaking, alpha, operator, stranger):
        """Slashed stake goes where nobody can spend it, sent by anyone."""
        rostered.slash(operator)
        receipt = restaking.burn(alpha, sender=stranger)
        assert restaking.Burned(token=alpha, amount=STAKE_SLASH) in receipt.events
        assert alpha.balanceOf(DEAD) == STAKE_SLASH
        assert restaking.burnable(alpha) == 0
        assert restaking.recorded(alpha) == 160 * WAD == alpha.balanceOf(restaking)
        restaking.burn(rostered.bond_token, sender=stranger)
        assert rostered.bond_token.balanceOf(DEAD) == BOND_SLASH - FEE
