"""RestakerRewards: what the shares of a pool earn, to the unit, and that only what has come is booked."""

from __future__ import annotations

from copy import copy

import pytest

from tests.contracts.reverts import reverts_with
from tests.contracts.staking import WAD, deploy_staking, go_to_block, name32
from tests.contracts.test_restaking import free_block, position


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
def rewards(staking):
    """Return RestakerRewards."""
    return staking.restaker_rewards


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
    """Return what deploys a token of a kind."""

    def _make_token(kind):
        return staking.governor.deploy(getattr(project, kind))

    return _make_token


class TestNoteShares:
    def test_only_restaking(self, rewards, alpha, operator, restaker, stranger):
        """Who could note shares could make itself earn."""
        with reverts_with(rewards.CallerNotRestaking, caller=stranger):
            rewards.noteShares(restaker, operator, alpha, 1, 0, 1, 0, sender=stranger)

    def test_the_first_share_pins_the_books(self, staking, rewards, restaking, operator, restaker, project):
        """Shares and their books stay together, whatever the directory names later."""
        assert restaking.restakerRewards() == rewards
        staking.deposit(restaker, 10)
        receipt = staking.delegate(restaker, operator, 5)
        assert restaking.RestakerRewardsPinned(rewards=rewards) in receipt.events
        other = staking.governor.deploy(project.RestakerRewards, staking.directory, restaking, staking.payments)
        staking.directory.set(name32("restakerRewards"), other, sender=staking.governor)
        assert restaking.restakerRewards() == rewards
        staking.delegate(restaker, operator, 5)
        assert position(staking, restaker, operator) == 10

    def test_books_of_another_restaking_take_no_shares(self, staking, rewards, operator, restaker, project):
        """A directory that names books of another Restaking stops delegations, and nothing is booked wrongly."""
        other = staking.governor.deploy(project.RestakerRewards, staking.directory, restaker, staking.payments)
        staking.directory.set(name32("restakerRewards"), other, sender=staking.governor)
        staking.deposit(restaker, 10)
        with reverts_with(other.CallerNotRestaking, caller=staking.restaking):
            staking.delegate(restaker, operator, 5)


class TestBook:
    def test_only_rewards(self, staking, rewards, restaking, shard, operator, stranger):
        """Only Rewards books."""
        with reverts_with(rewards.CallerNotModule, caller=stranger, expected=name32("rewards")):
            rewards.book(operator, shard, staking.payment_token, 1, sender=stranger)

    @pytest.mark.parametrize("short", [1, 700])
    def test_refuses_what_nobody_moved_here(self, staking, rewards, restaking, alpha, operator, restaker, short):
        """A Rewards that books more than came would promise one restaker what others have not claimed yet."""
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        staking.stake(restaker, operator, 30)
        staking.book(operator, 1_000)
        token = staking.payment_token
        inbox = staking.payments.moduleAccount(rewards, name32("inbox"))
        with reverts_with(staking.payments.BalanceTooLow, account=inbox, balance=0, asked=short):
            rewards.book(operator, staking.shard, token, short, sender=staking.rewards)

    def test_what_was_claimed_backs_nothing(self, staking, rewards, restaking, alpha, operator, restaker):
        """After a claim the account is empty, and what is booked next must come first."""
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        staking.stake(restaker, operator, 30)
        staking.book(operator, 900)
        token = staking.payment_token
        rewards.claim(operator, alpha, token, sender=restaker)
        with reverts_with(staking.payments.BalanceTooLow, balance=0, asked=1):
            rewards.book(operator, staking.shard, token, 1, sender=staking.rewards)
        staking.book(operator, 90)
        assert rewards.claimable(restaker, operator, alpha, token) == 90

    def test_shares_by_stake(self, staking, rewards, restaking, alpha, operator, restakers):
        """Two restakers of one pool share by their shares, to the unit."""
        first, second = restakers[:2]
        restaking.allocate(staking.shard, alpha, WAD // 2, sender=operator)
        staking.stake(first, operator, 30)
        staking.stake(second, operator, 10)
        receipt = staking.book(operator, 1_000)
        token = staking.payment_token
        assert rewards.RewardBooked(operator=operator, shard=staking.shard, token=token, amount=1_000) in receipt.events
        assert rewards.claimable(first, operator, alpha, token) == 750
        assert rewards.claimable(second, operator, alpha, token) == 250
        assert staking.payments.claimable(token, operator) == 0

    def test_between_collaterals_by_weight(self, staking, rewards, restaking, alpha, operator, restakers):
        """Pools share by amount, part allocated and weight. Remainders go to the operator."""
        staking.create_shard(staking.weights(alpha=3 * WAD, beta=WAD))
        first, second = restakers[:2]
        restaking.allocate(staking.shard, alpha, WAD // 2, sender=operator)
        restaking.allocate(staking.shard, staking.beta, WAD, sender=operator)
        staking.stake(first, operator, 100)
        staking.stake(second, operator, 100, staking.beta)
        # 50·3 : 100·1
        staking.book(operator, 999)
        token = staking.payment_token
        assert rewards.claimable(first, operator, alpha, token) == 999 * 150 // 250
        assert rewards.claimable(second, operator, staking.beta, token) == 999 * 100 // 250
        assert staking.payments.claimable(token, operator) == 999 - 599 - 399 == 1

    def test_nothing_to_share_with(self, staking, rewards, restaking, alpha, operator, restaker):
        """Without stake behind the shard all goes to the operator."""
        staking.stake(restaker, operator, 100)
        receipt = staking.book(operator, 500)
        assert staking.payments.claimable(staking.payment_token, operator) == 500
        assert receipt.events[0].amount == 0

    def test_queued_shares_earn_nothing_more(self, staking, rewards, restaking, alpha, operator, restakers):
        """What is leaving keeps what it earned and earns no more."""
        first, second = restakers[:2]
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        staking.stake(first, operator, 50)
        staking.stake(second, operator, 50)
        staking.book(operator, 100)
        restaking.undelegate(operator, alpha, 50, sender=first)
        staking.book(operator, 100)
        token = staking.payment_token
        assert rewards.claimable(first, operator, alpha, token) == 50
        assert rewards.claimable(second, operator, alpha, token) == 150

    def test_unmatured_delegations_earn_nothing(self, rostered, rewards, restaking, alpha, operator, restaker):
        """What isn't counted doesn't earn."""
        rostered.stake(restaker, operator, 200 * WAD)
        rostered.book(operator, 100)
        assert rewards.claimable(restaker, operator, alpha, rostered.payment_token) == 0
        assert rewards.claimable(operator, operator, alpha, rostered.payment_token) == 100

    def test_deallocating_takes_no_reward_away(self, rostered, rewards, restaking, alpha, shard, operator):
        """Magnitude that is queued for removal, and can still be slashed, still earns for the restakers."""
        restaking.deallocate(shard, alpha, WAD, sender=operator)
        rostered.book(operator, 100)
        assert rewards.claimable(operator, operator, alpha, rostered.payment_token) == 100

    def test_late_stake_earns_nothing_of_before(self, staking, rewards, restaking, alpha, operator, restakers):
        """A booking is shared among the shares of its moment."""
        first, second = restakers[:2]
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        staking.stake(first, operator, 50)
        staking.book(operator, 100)
        staking.stake(second, operator, 50)
        token = staking.payment_token
        assert rewards.claimable(second, operator, alpha, token) == 0
        staking.stake(first, operator, 100)
        assert rewards.claimable(first, operator, alpha, token) == 100
        staking.book(operator, 100)
        assert rewards.claimable(first, operator, alpha, token) == 175
        assert rewards.claimable(second, operator, alpha, token) == 25

    def test_no_unit_is_lost_to_rounding(self, staking, rewards, restaking, alpha, operator, restakers):
        """Bookings that don't divide carry over: three shares get ten bookings of one unit."""
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        for restaker in restakers[:3]:
            staking.stake(restaker, operator, 1)
        for _ in range(9):
            staking.book(operator, 1)
        token = staking.payment_token
        total = sum(rewards.claimable(r, operator, alpha, token) for r in restakers[:3])
        assert total in (9, 8, 7, 6)
        for restaker in restakers[:3]:
            if rewards.claimable(restaker, operator, alpha, token):
                rewards.claim(operator, alpha, token, sender=restaker)
        for _ in range(3):
            staking.book(operator, 1)
        claimed = sum(staking.payments.claimable(token, r) for r in restakers[:3])
        open_ = sum(rewards.claimable(r, operator, alpha, token) for r in restakers[:3])
        assert 12 - 3 < claimed + open_ <= 12

    def test_at_most_four_tokens(self, staking, rewards, restaking, alpha, operator, restaker, make_token):
        """A fifth reward token goes to the operator: nobody makes checkpoints dear."""
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        staking.stake(restaker, operator, 100)
        tokens = [make_token("MintableToken") for _ in range(5)]
        for token in tokens:
            staking.book(operator, 100, token)
        for token in tokens[:4]:
            assert rewards.claimable(restaker, operator, alpha, token) == 100
        assert rewards.claimable(restaker, operator, alpha, tokens[4]) == 0
        assert staking.payments.claimable(tokens[4], operator) == 100


class TestClaim:
    def test_nothing(self, staking, rewards, restaking, alpha, operator, restaker):
        """There must be something to claim."""
        with reverts_with(
            rewards.NothingToClaim,
            restaker=restaker,
            operator=operator,
            collateral=alpha,
            token=staking.payment_token,
        ):
            rewards.claim(operator, alpha, staking.payment_token, sender=restaker)

    def test_claims_once(self, staking, rewards, restaking, alpha, operator, restaker):
        """Claimed rewards lie in the restaker's account in Payments."""
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        staking.stake(restaker, operator, 100)
        staking.book(operator, 70)
        token = staking.payment_token
        receipt = rewards.claim(operator, alpha, token, sender=restaker)
        assert (
            rewards.RewardClaimed(restaker=restaker, operator=operator, collateral=alpha, token=token, amount=70)
            in receipt.events
        )
        assert staking.payments.claimable(token, restaker) == 70
        with reverts_with(rewards.NothingToClaim):
            rewards.claim(operator, alpha, token, sender=restaker)
        staking.payments.claim(token, sender=restaker)
        assert token.balanceOf(restaker) == 70

    def test_rewards_outlive_the_stake(self, staking, rewards, restaking, alpha, operator, restaker):
        """Who has left, or was wiped out, still claims what it earned."""
        staking.create_shard(stakeSlashPerTicket=100 * WAD, minBond=WAD, bondSlashPerTicket=1)
        staking.enroll(operator, restaker=restaker)
        staking.snapshot()
        staking.book(operator, 70)
        staking.slash(operator)
        token = staking.payment_token
        assert rewards.claimable(restaker, operator, alpha, token) == 70
        # a new generation's rewards aren't the old shares'
        go_to_block(free_block(staking))
        restaking.allocate(staking.shard, alpha, WAD, sender=operator)
        staking.stake(operator, operator, 10)
        staking.book(operator, 30)
        assert rewards.claimable(restaker, operator, alpha, token) == 70
        assert rewards.claimable(operator, operator, alpha, token) == 30
        staking.stake(restaker, operator, 10)
        assert rewards.claimable(restaker, operator, alpha, token) == 70
        rewards.claim(operator, alpha, token, sender=restaker)
        assert staking.payments.claimable(token, restaker) == 70
