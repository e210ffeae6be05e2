// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRestakerRewards} from "../../contracts/interfaces/IRestakerRewards.sol";
import {IRestaking} from "../../contracts/interfaces/IRestaking.sol";
import {FeeToken} from "../../contracts/mocks/FeeToken.sol";
import {MintableToken} from "../../contracts/mocks/MintableToken.sol";
import {RebasingToken} from "../../contracts/mocks/RebasingToken.sol";
import {SilentToken} from "../../contracts/mocks/SilentToken.sol";
import {Restaking} from "../../contracts/restaking/Restaking.sol";
import {World} from "./World.sol";

/// @title RestakingTest
/// @notice Dates, rights and amounts that the invariants don't speak of: who may, from which block on, how much.
contract RestakingTest is World {
    address private _operator;
    address private _restaker;
    address private _token;

    function setUp() external {
        (_operator, _restaker, _token) = (operators[0], people[0], address(collaterals[0]));
        vm.roll(100);
        // before there is stake, an allocation takes effect at once
        vm.prank(_operator);
        restaking.allocate(1, _token, 6e17);
        vm.prank(_operator);
        restaking.allocate(2, _token, 2e17);
        vm.prank(_operator);
        restaking.postBond(1, 100);
        _delegate(1000);
    }

    // ---- free balances and what may be collateral

    function test_onlyTheGovernorLists() external {
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.NotGovernor.selector);
        restaking.listCollateral(address(bondToken));
    }

    function test_whatIsListedHasCodeAndIsListedOnce() external {
        vm.expectPartialRevert(IRestaking.CollateralUnknown.selector);
        restaking.listCollateral(address(0x77));
        vm.expectPartialRevert(IRestaking.CollateralAlreadyListed.selector);
        restaking.listCollateral(_token);
    }

    function test_atMostSoManyAreListed() external {
        for (uint256 i = restaking.collateralCount(); i < restaking.MAX_COLLATERALS(); ++i) {
            restaking.listCollateral(address(new MintableToken()));
        }
        address more = address(new MintableToken());
        vm.expectPartialRevert(IRestaking.TooManyCollaterals.selector);
        restaking.listCollateral(more);
    }

    function test_onlyCollateralIsDeposited() external {
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.CollateralUnknown.selector);
        restaking.deposit(address(bondToken), 1);
    }

    function test_onlyCollateralIsDelegated() external {
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.CollateralUnknown.selector);
        restaking.delegate(_operator, address(bondToken), 1);
    }

    function test_aDepositIsWhatArrived() external {
        vm.prank(_restaker);
        equal(restaking.deposit(_token, 77), 77, "received");
        equal(restaking.freeBalance(_restaker, _token), 77, "free");
        equal(restaking.recorded(_token), 1077, "recorded");
    }

    function test_whatATokenKeepsOfADepositDoesNotCount() external {
        FeeToken token = new FeeToken();
        restaking.listCollateral(address(token));
        token.mint(_restaker, 1000);
        vm.prank(_restaker);
        token.approve(address(restaking), 1000);
        vm.prank(_restaker);
        uint256 received = restaking.deposit(address(token), 1000);
        equal(received, token.balanceOf(address(restaking)), "received");
        yes(received < 1000, "the token kept some");
        equal(restaking.recorded(address(token)), received, "recorded");
    }

    function test_aDepositOfMoreThanPoolsHoldIsRefused() external {
        collaterals[0].mint(_restaker, type(uint104).max);
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.AmountTooLarge.selector);
        restaking.deposit(_token, type(uint104).max);
    }

    function test_nobodyWithdrawsMoreThanIsFree() external {
        vm.prank(_restaker);
        restaking.deposit(_token, 10);
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.FreeBalanceTooLow.selector);
        restaking.withdraw(_token, 11);
        uint256 before = collaterals[0].balanceOf(_restaker);
        vm.prank(_restaker);
        restaking.withdraw(_token, 10);
        equal(collaterals[0].balanceOf(_restaker) - before, 10, "paid");
        equal(restaking.recorded(_token), 1000, "recorded");
    }

    /// Newcomers don't pay out those who came before.
    function test_aBalanceThatShrankTakesNoDeposits() external {
        RebasingToken token = new RebasingToken();
        restaking.listCollateral(address(token));
        _fund(MintableToken(address(token)), _restaker);
        vm.prank(_restaker);
        restaking.deposit(address(token), 100);
        token.rebase(50);
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.BalanceShort.selector);
        restaking.deposit(address(token), 100);
        token.rebase(100);
        vm.prank(_restaker);
        equal(restaking.deposit(address(token), 100), 100, "whole again");
    }

    function test_aTokenThatMovesNothingIsRefused() external {
        SilentToken token = new SilentToken();
        restaking.listCollateral(address(token));
        token.silence(true);
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.ZeroAmount.selector);
        restaking.deposit(address(token), 100);
        equal(restaking.recorded(address(token)), 0, "recorded");
    }

    function test_nothingIsNoAmount() external {
        bytes4 problem = IRestaking.ZeroAmount.selector;
        vm.expectPartialRevert(problem);
        restaking.deposit(_token, 0);
        vm.expectPartialRevert(problem);
        restaking.withdraw(_token, 0);
        vm.expectPartialRevert(problem);
        restaking.delegate(_operator, _token, 0);
        vm.expectPartialRevert(problem);
        restaking.undelegate(_operator, _token, 0);
        vm.expectPartialRevert(problem);
        restaking.allocate(1, _token, 0);
        vm.expectPartialRevert(problem);
        restaking.deallocate(1, _token, 0);
        vm.expectPartialRevert(problem);
        restaking.queueBondWithdrawal(1, 0);
    }

    // ---- what is said of it

    function test_aWithdrawalSaysWhenItIsFree() external {
        uint256 id = _undelegate(300);
        uint256 begun = block.number;
        _checkWithdrawal(id, begun + DELAY, false);
        shards.setBound(_operator, begun + 50);
        _checkWithdrawal(id, begun + 50, false);
        vm.roll(begun + 50);
        restaking.completeWithdrawal(id);
        _checkWithdrawal(id, begun + DELAY, true);
        vm.expectPartialRevert(IRestaking.WithdrawalUnknown.selector);
        restaking.withdrawal(id + 1);
    }

    function _checkWithdrawal(uint256 id, uint256 free, bool done) private view {
        (
            address restaker,
            address operator,
            address collateral,
            uint256 shares,,
            uint256 freeFrom,
            bool completed,
            address to
        ) = restaking.withdrawal(id);
        equal(restaker, _restaker, "restaker");
        equal(operator, _operator, "operator");
        equal(collateral, _token, "collateral");
        equal(shares, 300, "shares");
        equal(freeFrom, free, "free from");
        yes(completed == done, "completed");
        equal(to, address(0), "not delegated again");
    }

    function test_aMissSaysWhenItIsDue() external {
        bytes32 id = _miss(7, 10, 1, 300);
        yes(id == restaking.slashId(1, 7, _operator), "its name");
        (address operator, uint32 shard,, uint64 epoch, address reporter, uint256 ready, bool delayed, bool executed) =
            restaking.slashOf(id);
        equal(operator, _operator, "operator");
        equal(shard, 1, "shard");
        equal(epoch, 7, "epoch");
        equal(reporter, REPORTER, "reporter");
        equal(ready, block.number + RESOLUTION, "due");
        yes(!delayed && !executed, "nothing done yet");
        vm.expectPartialRevert(IRestaking.SlashUnknown.selector);
        restaking.slashOf(bytes32(uint256(1)));
    }

    function test_aReservationSaysWhenItActs() external {
        vm.prank(_operator);
        restaking.allocate(2, _token, 1e17);
        (uint256 magnitude, uint256 ready) = restaking.waitingAllocation(_operator, 2, _token);
        equal(magnitude, 1e17, "waits");
        equal(ready, block.number + DELAY, "until");
        (magnitude, ready) = restaking.waitingAllocation(_operator, 1, _token);
        equal(magnitude + ready, 0, "nothing waits");
    }

    function test_theBooksAreThoseOfTheFirstShare() external {
        equal(address(restaking.restakerRewards()), address(books), "pinned");
        desk.set("restakerRewards", address(0x77));
        equal(address(restaking.restakerRewards()), address(books), "whatever comes");
        Restaking another = new Restaking(restaking.directory(), 1, 1, 1);
        equal(address(another.restakerRewards()), address(0x77), "where there is no share yet");
    }

    function test_noShardThatIsNotThereHasStake() external {
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.ShardUnknown.selector);
        restaking.allocate(0, _token, 1);
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.ShardUnknown.selector);
        restaking.postBond(SHARDS + 1, 1);
    }

    // ---- delegation

    function test_aDelegationCountsAtOnceWhereNothingBinds() external view {
        equal(restaking.sharesOf(_restaker, _operator, _token), 1000, "shares");
        equal(restaking.stakeOf(_operator, 1, _token), 600, "behind the first shard");
        equal(restaking.stakeOf(_operator, 2, _token), 200, "behind the second");
    }

    function test_anOperatorIsRegistered() external {
        vm.prank(_restaker);
        restaking.deposit(_token, 10);
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.OperatorUnknown.selector);
        restaking.delegate(address(0x99), _token, 10);
    }

    function test_aDelegationToABoundOperatorWaits() external {
        shards.setBound(_operator, block.number + 50);
        _delegate(500);
        equal(restaking.sharesOf(_restaker, _operator, _token), 1000, "shares");
        (uint256 amount, uint256 maturesAt) = restaking.pendingOf(_restaker, _operator, _token);
        equal(amount, 500, "waiting");
        equal(maturesAt, block.number + DELAY, "until");
        vm.roll(block.number + DELAY - 1);
        vm.expectPartialRevert(IRestaking.NotMature.selector);
        restaking.mature(_restaker, _operator, _token);
        vm.roll(block.number + 1);
        restaking.mature(_restaker, _operator, _token);
        equal(restaking.sharesOf(_restaker, _operator, _token), 1500, "shares");
        vm.expectPartialRevert(IRestaking.NothingToMature.selector);
        restaking.mature(_restaker, _operator, _token);
    }

    /// What was found stands until its block, though the roster may release the operator before.
    function test_whatBindsIsAskedOnce() external {
        uint256 begun = block.number;
        shards.setBound(_operator, begun + 50);
        _delegate(100);
        shards.setBound(_operator, 0);
        _delegate(200);
        (uint256 amount,) = restaking.pendingOf(_restaker, _operator, _token);
        equal(amount, 300, "both wait");
        vm.roll(begun + 50);
        _delegate(1);
        equal(restaking.sharesOf(_restaker, _operator, _token), 1301, "then all matures");
    }

    function test_nothingMaturesWhileAMissIsPending() external {
        _miss(1, 0, 0, 300);
        _delegate(500);
        equal(restaking.sharesOf(_restaker, _operator, _token), 1000, "shares");
        vm.roll(block.number + 10 * DELAY);
        vm.expectPartialRevert(IRestaking.SlashPending.selector);
        restaking.mature(_restaker, _operator, _token);
    }

    function test_aDelegationAfterTheMissPaysNothingOfIt() external {
        bytes32 id = _miss(1, 0, 0, 300);
        _delegate(500);
        vm.roll(block.number + DELAY);
        restaking.executeSlash(id);
        restaking.mature(_restaker, _operator, _token);
        // 700 units are worth 1,000 shares: 500 units buy as many as keep both whole, to a unit
        atMost(1199, restaking.stakeValueOf(_restaker, _operator, _token), "worth");
    }

    function test_aWaitingDelegationCanBeTakenBack() external {
        bytes32 id = _miss(1, 0, 0, 300);
        _delegate(500);
        vm.prank(_restaker);
        equal(restaking.cancelDelegation(_operator, _token), 500, "amount");
        equal(restaking.freeBalance(_restaker, _token), 500, "free");
        vm.roll(block.number + 10 * DELAY);
        restaking.executeSlash(id);
        vm.expectPartialRevert(IRestaking.NothingToMature.selector);
        restaking.mature(_restaker, _operator, _token);
    }

    function test_aDelegationWaitsForWhatWasEarnedBefore() external {
        vm.mockCall(address(books), abi.encodeWithSelector(IRestakerRewards.isSettled.selector), abi.encode(false));
        _delegate(500);
        equal(restaking.sharesOf(_restaker, _operator, _token), 1000, "shares");
        vm.expectPartialRevert(IRestaking.EpochsUnsettled.selector);
        restaking.mature(_restaker, _operator, _token);
        vm.clearMockedCalls();
        restaking.mature(_restaker, _operator, _token);
        equal(restaking.sharesOf(_restaker, _operator, _token), 1500, "shares");
    }

    // ---- withdrawal

    function test_stakeMovesToAnotherOperatorAfterTheDelay() external {
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.OperatorUnknown.selector);
        restaking.redelegate(_operator, _token, 400, address(0x99));
        vm.prank(_restaker);
        uint256 id = restaking.redelegate(_operator, _token, 400, operators[1]);
        bytes32 slash = _miss(1, 0, 0, 300);
        vm.roll(block.number + DELAY - 1);
        vm.expectPartialRevert(IRestaking.WithdrawalNotReady.selector);
        restaking.completeWithdrawal(id);
        vm.roll(block.number + 1);
        restaking.executeSlash(slash);
        restaking.completeWithdrawal(id);
        equal(restaking.stakeValueOf(_restaker, operators[1], _token), 280, "there, less its part of the slash");
        equal(restaking.freeBalance(_restaker, _token), 0, "free");
    }

    function test_nobodyQueuesMoreSharesThanItHas() external {
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.SharesTooLow.selector);
        restaking.undelegate(_operator, _token, 1001);
    }

    function test_aWithdrawalWaitsItsDelay() external {
        uint256 id = _undelegate(400);
        equal(restaking.stakeOf(_operator, 1, _token), 360, "counted no more");
        vm.roll(block.number + DELAY - 1);
        vm.expectPartialRevert(IRestaking.WithdrawalNotReady.selector);
        restaking.completeWithdrawal(id);
        vm.roll(block.number + 1);
        equal(restaking.completeWithdrawal(id), 400, "amount");
        equal(restaking.freeBalance(_restaker, _token), 400, "free");
        (uint256 assets, uint256 shares, uint256 queued) = restaking.pool(_operator, _token);
        equal(assets, 600, "assets left");
        equal(shares, 600, "shares left");
        equal(queued, 0, "queued");
        vm.expectPartialRevert(IRestaking.WithdrawalAlreadyCompleted.selector);
        restaking.completeWithdrawal(id);
        vm.expectPartialRevert(IRestaking.WithdrawalUnknown.selector);
        restaking.completeWithdrawal(id + 1);
    }

    function test_whatARosterBindsStays() external {
        uint256 id = _undelegate(400);
        shards.setBound(_operator, block.number + 50);
        vm.roll(block.number + DELAY);
        vm.expectPartialRevert(IRestaking.StakeBound.selector);
        restaking.completeWithdrawal(id);
        vm.roll(block.number + 50 - DELAY);
        restaking.completeWithdrawal(id);
    }

    function test_whatAMissIsPendingForStays() external {
        uint256 id = _undelegate(400);
        bytes32 slash = _miss(1, 0, 0, 300);
        vm.roll(block.number + DELAY);
        vm.expectPartialRevert(IRestaking.SlashPending.selector);
        restaking.completeWithdrawal(id);
        restaking.executeSlash(slash);
        equal(restaking.completeWithdrawal(id), 280, "queued shares paid their part");
    }

    function test_severalSlashesFallOnOneWithdrawal() external {
        uint256 id = _undelegate(1000);
        for (uint64 epoch = 1; epoch <= 3; ++epoch) {
            bytes32 slash = _miss(epoch, 0, 0, 100);
            vm.roll(block.number + RESOLUTION);
            restaking.executeSlash(slash);
        }
        vm.roll(block.number + DELAY);
        equal(restaking.completeWithdrawal(id), 700, "amount");
    }

    // ---- allocation

    function test_noMoreIsAllocatedThanThereIs() external {
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.MagnitudeTooLarge.selector);
        restaking.allocate(1, _token, 2e17 + 1);
    }

    function test_anAllocationWaitsWhereThereIsStake() external {
        vm.prank(_operator);
        restaking.allocate(1, _token, 2e17);
        equal(restaking.stakeOf(_operator, 1, _token), 600, "not counted");
        vm.roll(block.number + DELAY - 1);
        vm.expectPartialRevert(IRestaking.AllocationNotReady.selector);
        restaking.completeAllocation(_operator, 1, _token);
        vm.roll(block.number + 1);
        bytes32 slash = _miss(1, 0, 0, 0);
        vm.expectPartialRevert(IRestaking.SlashPending.selector);
        restaking.completeAllocation(_operator, 1, _token);
        vm.roll(block.number + RESOLUTION);
        restaking.executeSlash(slash);
        restaking.completeAllocation(_operator, 1, _token);
        equal(restaking.stakeOf(_operator, 1, _token), 800, "counted");
        vm.expectPartialRevert(IRestaking.AllocationUnknown.selector);
        restaking.completeAllocation(_operator, 1, _token);
    }

    function test_shardsIsToldOfWhateverChangesAStanding() external {
        uint256 told = shards.changes(_operator);
        yes(told > 0, "of what set up");
        vm.prank(_operator);
        restaking.postBond(1, 10);
        equal(shards.changes(_operator), ++told, "bond");
        vm.prank(_operator);
        restaking.queueBondWithdrawal(1, 10);
        equal(shards.changes(_operator), ++told, "queued bond");
        _delegate(10);
        equal(shards.changes(_operator), ++told, "delegation");
        _undelegate(10);
        equal(shards.changes(_operator), ++told, "undelegation");
        vm.prank(_operator);
        restaking.deallocate(1, _token, 1);
        equal(shards.changes(_operator), ++told, "deallocation");
        vm.prank(_operator);
        restaking.allocate(2, _token, 1);
        equal(shards.changes(_operator), told, "an allocation that waits changes nothing");
        vm.roll(block.number + DELAY);
        restaking.completeAllocation(_operator, 2, _token);
        equal(shards.changes(_operator), ++told, "allocation");
    }

    function test_onlyShardsThatAreGetAnything() external {
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.ShardUnknown.selector);
        restaking.allocate(3, _token, 1);
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.ShardUnknown.selector);
        restaking.allocate(0, _token, 1);
    }

    function test_aDeallocationWaitsIsNotCountedAndStaysSlashable() external {
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.MagnitudeTooLarge.selector);
        restaking.deallocate(1, _token, 6e17 + 1);
        vm.prank(_operator);
        equal(restaking.deallocate(1, _token, 3e17), block.number + DELAY, "ready");
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.MagnitudeTooLarge.selector);
        restaking.deallocate(1, _token, 3e17 + 1);
        equal(restaking.stakeOf(_operator, 1, _token), 300, "counted");
        vm.roll(block.number + DELAY - 1);
        vm.expectPartialRevert(IRestaking.WithdrawalNotReady.selector);
        restaking.completeDeallocation(_operator, 1, _token);
        bytes32 slash = _miss(1, 0, 0, 600);
        vm.roll(block.number + 1);
        vm.expectPartialRevert(IRestaking.SlashPending.selector);
        restaking.completeDeallocation(_operator, 1, _token);
        vm.roll(block.number + RESOLUTION);
        restaking.executeSlash(slash);
        equal(restaking.burnable(_token), 600, "all that stood there");
        equal(restaking.stakeOf(_operator, 2, _token), 200, "behind the other");
    }

    function test_aCompletedDeallocationIsThereForOthers() external {
        vm.prank(_operator);
        restaking.deallocate(1, _token, 3e17);
        vm.roll(block.number + DELAY);
        restaking.completeDeallocation(_operator, 1, _token);
        (uint256 allocated, uint256 queued, uint256 total, uint256 whole) = restaking.magnitudes(_operator, 1, _token);
        equal(allocated, 3e17, "allocated");
        equal(queued, 0, "queued");
        equal(total, 5e17, "total");
        equal(whole, 1e18, "whole");
        vm.expectPartialRevert(IRestaking.DeallocationUnknown.selector);
        restaking.completeDeallocation(_operator, 1, _token);
    }

    // ---- bond

    function test_aBondWaitsTooAndIsNotCountedMeanwhile() external {
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.BondTooLow.selector);
        restaking.queueBondWithdrawal(1, 101);
        vm.prank(_operator);
        restaking.queueBondWithdrawal(1, 60);
        equal(restaking.bondOf(_operator, 1), 40, "counted");
        vm.prank(_operator);
        vm.expectPartialRevert(IRestaking.BondTooLow.selector);
        restaking.queueBondWithdrawal(1, 41);
        vm.roll(block.number + DELAY - 1);
        vm.expectPartialRevert(IRestaking.WithdrawalNotReady.selector);
        restaking.completeBondWithdrawal(_operator, 1);
        shards.setBound(_operator, block.number + 10);
        vm.roll(block.number + 1);
        vm.expectPartialRevert(IRestaking.StakeBound.selector);
        restaking.completeBondWithdrawal(_operator, 1);
        vm.roll(block.number + 10);
        restaking.completeBondWithdrawal(_operator, 1);
        equal(restaking.freeBalance(_operator, address(bondToken)), 60, "free");
        (uint256 amount,,) = restaking.bondState(_operator, 1);
        equal(amount, 40, "left");
        vm.expectPartialRevert(IRestaking.BondWithdrawalUnknown.selector);
        restaking.completeBondWithdrawal(_operator, 1);
    }

    // ---- slashes

    function test_onlyTheRostersSlasherSlashes() external {
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.NotSlasher.selector);
        restaking.queueSlash(1, 1, _operator, 1, REPORTER);
        // one in force that the operator accepted, but neither alone
        vm.prank(_operator);
        restaking.acceptSlasher(_restaker);
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.NotSlasher.selector);
        restaking.queueSlash(1, 1, _operator, 1, REPORTER);
        desk.set("audits", people[1]);
        vm.prank(people[1]);
        vm.expectPartialRevert(IRestaking.NotSlasher.selector);
        restaking.queueSlash(1, 1, _operator, 1, REPORTER);
        desk.set("audits", _restaker);
        vm.prank(_restaker);
        restaking.queueSlash(1, 1, _operator, 1, REPORTER);
    }

    function test_anEpochIsSlashedOnce() external {
        bytes32 id = _miss(1, 10, 0, 300);
        vm.prank(AUDITS);
        vm.expectPartialRevert(IRestaking.SlashExists.selector);
        restaking.queueSlash(1, 1, _operator, 1, REPORTER);
        vm.roll(block.number + RESOLUTION - 1);
        vm.expectPartialRevert(IRestaking.SlashNotReady.selector);
        restaking.executeSlash(id);
        vm.roll(block.number + 1);
        restaking.executeSlash(id);
        equal(restaking.burnable(_token), 300, "burned");
        equal(restaking.pendingSlashes(_operator), 0, "pending");
        vm.expectPartialRevert(IRestaking.SlashAlreadyExecuted.selector);
        restaking.executeSlash(id);
        vm.prank(AUDITS);
        vm.expectPartialRevert(IRestaking.SlashExists.selector);
        restaking.queueSlash(1, 1, _operator, 1, REPORTER);
        vm.expectPartialRevert(IRestaking.SlashUnknown.selector);
        restaking.executeSlash(bytes32(uint256(1)));
    }

    function test_theGuardianDelaysOnce() external {
        bytes32 id = _miss(1, 10, 0, 0);
        vm.prank(_restaker);
        vm.expectPartialRevert(IRestaking.NotGuardian.selector);
        restaking.delaySlash(id);
        vm.prank(GUARDIAN_ACCOUNT);
        restaking.delaySlash(id);
        vm.prank(GUARDIAN_ACCOUNT);
        vm.expectPartialRevert(IRestaking.SlashAlreadyDelayed.selector);
        restaking.delaySlash(id);
        vm.roll(block.number + RESOLUTION + GUARDIAN - 1);
        vm.expectPartialRevert(IRestaking.SlashNotReady.selector);
        restaking.executeSlash(id);
        vm.roll(block.number + 1);
        restaking.executeSlash(id);
    }

    function test_halfAtMostGoesToTheReporter() external {
        _slash(1, 51, 40, 0);
        equal(restaking.freeBalance(REPORTER, address(bondToken)), 25, "fee");
        equal(restaking.burnable(address(bondToken)), 26, "burned");
        equal(restaking.bondOf(_operator, 1), 49, "left");
        _slash(2, 49, 3, 0);
        equal(restaking.freeBalance(REPORTER, address(bondToken)), 28, "fee");
    }

    function test_aBondBelowItsLeastOpensThePlace() external {
        _slash(1, 99, 0, 0);
        equal(shards.vacancies(), 0, "at the least");
        _slash(2, 99, 0, 0);
        equal(shards.vacancies(), 1, "below");
        equal(restaking.bondOf(_operator, 1), 0, "left");
    }

    function test_aSlashShortensAQueuedBond() external {
        vm.prank(_operator);
        restaking.queueBondWithdrawal(1, 60);
        _slash(1, 30, 0, 0);
        (uint256 amount, uint256 queued,) = restaking.bondState(_operator, 1);
        equal(amount, 70, "amount");
        equal(queued, 60, "queued is taken last");
        _slash(2, 30, 0, 0);
        (amount, queued,) = restaking.bondState(_operator, 1);
        equal(queued, 40, "queued");
    }

    function test_whatIsBurnedIsGone() external {
        _slash(1, 0, 0, 300);
        equal(restaking.burn(_token), 300, "burned");
        equal(collaterals[0].balanceOf(restaking.BURN_ADDRESS()), 300, "there");
        equal(restaking.recorded(_token), 700, "recorded");
        vm.expectPartialRevert(IRestaking.NothingToBurn.selector);
        restaking.burn(_token);
    }

    function test_aPoolThatIsNextToNothingEndsItsGeneration() external {
        _slash(1, 0, 0, type(uint104).max);
        (uint256 assets, uint256 shares,) = restaking.pool(_operator, _token);
        equal(assets, 400, "what stood behind the shard is gone, not more");
        equal(shares, 1000, "shares");
        vm.prank(_operator);
        restaking.deallocate(2, _token, 1);
        equal(restaking.stakeOf(_operator, 1, _token), 0, "behind the first");
        equal(restaking.stakeOf(_operator, 2, _token), 199, "behind the second");
    }

    function test_whatAnEndedGenerationHoldsBelongsToItsShares() external {
        uint256 stake = 1 << 22;
        vm.prank(operators[1]);
        restaking.allocate(1, _token, 1e18);
        vm.prank(_restaker);
        restaking.depositAndDelegate(operators[1], _token, stake);
        _slashOf(operators[1], 9, 0, 0, stake - 1);
        (uint256 assets, uint256 shares,) = restaking.pool(operators[1], _token);
        equal(assets + shares, 0, "a new generation");
        equal(restaking.stakeValueOf(_restaker, operators[1], _token), 1, "what is left of the old one");
        equal(restaking.stakeOf(operators[1], 1, _token), 0, "behind the shard");
        vm.prank(_restaker);
        restaking.depositAndDelegate(operators[1], _token, 100);
        equal(restaking.freeBalance(_restaker, _token), 1, "paid out");
        equal(restaking.sharesOf(_restaker, operators[1], _token), 100, "at one to one again");
    }

    // ---- rewards

    function test_whatSharesEarnedStaysTheirsWhenTheyLeave() external {
        _pay(_operator, 1, 1000);
        _undelegate(1000);
        equal(books.claimable(_restaker, _operator, _token, address(paymentToken)), 1000, "earned");
    }

    function test_whatIsQueuedEarnsNothing() external {
        address other = people[1];
        vm.prank(other);
        restaking.deposit(_token, 1000);
        vm.prank(other);
        restaking.delegate(_operator, _token, 1000);
        _undelegate(600);
        _pay(_operator, 1, 1400);
        equal(books.claimable(_restaker, _operator, _token, address(paymentToken)), 400, "the rest earns");
        equal(books.claimable(other, _operator, _token, address(paymentToken)), 1000, "pro rata");
    }

    function test_aLateDelegationEarnsNothingOfThePast() external {
        _pay(_operator, 1, 1000);
        address other = people[1];
        vm.prank(other);
        restaking.deposit(_token, 1000);
        vm.prank(other);
        restaking.delegate(_operator, _token, 1000);
        equal(books.claimable(other, _operator, _token, address(paymentToken)), 0, "earned");
        equal(books.claimable(_restaker, _operator, _token, address(paymentToken)), 1000, "earned by the first");
    }

    // ---- within

    function _delegate(uint256 amount) private {
        vm.prank(_restaker);
        restaking.deposit(_token, amount);
        vm.prank(_restaker);
        restaking.delegate(_operator, _token, amount);
    }

    function _undelegate(uint256 shares) private returns (uint256) {
        vm.prank(_restaker);
        return restaking.undelegate(_operator, _token, shares);
    }

    function _miss(uint64 epoch, uint256 bond, uint256 fee, uint256 stake) private returns (bytes32) {
        return _missOf(_operator, epoch, bond, fee, stake);
    }

    function _missOf(address operator, uint64 epoch, uint256 bond, uint256 fee, uint256 stake)
        private
        returns (bytes32)
    {
        uint256[] memory amounts = new uint256[](collaterals.length);
        amounts[0] = stake;
        _setTerms(1, bond, fee, amounts);
        vm.prank(AUDITS);
        return restaking.queueSlash(1, 1, operator, epoch, REPORTER);
    }

    function _slash(uint64 epoch, uint256 bond, uint256 fee, uint256 stake) private {
        _slashOf(_operator, epoch, bond, fee, stake);
    }

    function _slashOf(address operator, uint64 epoch, uint256 bond, uint256 fee, uint256 stake) private {
        bytes32 id = _missOf(operator, epoch, bond, fee, stake);
        vm.roll(block.number + RESOLUTION);
        restaking.executeSlash(id);
    }
}
