// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRestakerRewards} from "./IRestakerRewards.sol";
import {IShards} from "./IShards.sol";
import {IStakeSource} from "./IStakeSource.sol";

/// @title Stake: deposits, delegation, allocation, own bonds, queued withdrawals, slashing
/// @notice One of the two contracts that hold tokens. A pool is (operator, collateral): shares of `assets`; slashing lowers what a share is worth.
///
/// Safety:
/// - a slash takes what the roster fixed at its snapshot, never more than the operator allocated to that shard, never from deposits that came
///   after the frozen block of the epoch it is for (they wait, unmatured, until earlier epochs can no longer be reported and what was reported
///   is settled);
/// - queued withdrawals stay slashable until they are completed; they complete after `withdrawalDelay` blocks, after every roster that counted
///   them has released the operator (Shards.boundUntil), and with no reported miss of the operator pending;
/// - delegated stake that is slashed is burned, all of it; of the own bond at most half goes to the reporter;
/// - rounding is against the one who acts;
/// - the Shards in force when the first stake is allocated or the first bond posted stays: what its rosters bind, no later module can slash.
/// Liveness: executing slashes, completing withdrawals and maturing deposits is open to anyone.
/// A pool whose shares slashes have made worth next to nothing ends its generation: what is left belongs to the old shares, new deposits begin anew.
/// Trust: collateral and bond tokens are listed by the governor; a listed token that fails blocks only its own pools.
interface IRestaking is IStakeSource {
    event CollateralListed(address indexed token);
    event Deposited(address indexed restaker, address indexed collateral, uint256 amount);
    event Withdrawn(address indexed restaker, address indexed collateral, uint256 amount);
    /// @notice `shares`: those that this and what waited before became at once; none if it waits.
    event Delegated(
        address indexed restaker,
        address indexed operator,
        address indexed collateral,
        uint256 amount,
        uint256 maturesAtBlock,
        uint256 shares
    );
    /// @notice What had waited became shares.
    event Matured(
        address indexed restaker, address indexed operator, address indexed collateral, uint256 amount, uint256 shares
    );
    event DelegationCancelled(
        address indexed restaker, address indexed operator, address indexed collateral, uint256 amount
    );
    event RedelegationQueued(uint256 indexed id, address indexed toOperator);
    event AllocationQueued(
        address indexed operator,
        uint32 indexed shard,
        address indexed collateral,
        uint256 magnitude,
        uint256 readyBlock
    );
    event WithdrawalQueued(
        uint256 indexed id,
        address indexed restaker,
        address indexed operator,
        address collateral,
        uint256 shares,
        uint256 readyBlock
    );
    event WithdrawalCompleted(uint256 indexed id, address indexed restaker, address collateral, uint256 amount);
    event Allocated(address indexed operator, uint32 indexed shard, address indexed collateral, uint256 magnitude);
    event DeallocationQueued(
        address indexed operator,
        uint32 indexed shard,
        address indexed collateral,
        uint256 magnitude,
        uint256 readyBlock
    );
    event Deallocated(address indexed operator, uint32 indexed shard, address indexed collateral, uint256 magnitude);
    event BondPosted(address indexed operator, uint32 indexed shard, uint256 amount);
    event BondWithdrawalQueued(address indexed operator, uint32 indexed shard, uint256 amount, uint256 readyBlock);
    event BondWithdrawn(address indexed operator, uint32 indexed shard, uint256 amount);
    event SlashQueued(
        bytes32 indexed id,
        uint32 indexed shard,
        address indexed operator,
        uint64 epoch,
        uint32 roster,
        address reporter,
        uint256 readyBlock
    );
    event SlashDelayed(bytes32 indexed id, uint256 readyBlock);
    event SlashExecuted(bytes32 indexed id, address indexed operator, uint256 bondTaken, uint256 reporterReward);
    event StakeSlashed(bytes32 indexed id, address indexed operator, address indexed collateral, uint256 amount);
    event SlasherAccepted(address indexed operator, address indexed slasher);
    event Burned(address indexed token, uint256 amount);
    event GenerationEnded(address indexed operator, address indexed collateral, uint256 generation, uint256 assetsLeft);
    event ShardsPinned(address indexed shards);
    event RestakerRewardsPinned(address indexed rewards);

    error NotGovernor(address caller);
    error NotGuardian(address caller);
    error CollateralUnknown(address token);
    error CollateralAlreadyListed(address token);
    error TooManyCollaterals(uint256 limit);
    error OperatorUnknown(address operator);
    error ShardUnknown(uint32 shard);
    error ZeroAmount();
    error AmountTooLarge(uint256 amount, uint256 limit);
    /// @notice Less of a token is here than is owed: its balances shrink by themselves.
    error BalanceShort(address token, uint256 held, uint256 owed);
    error FreeBalanceTooLow(address collateral, uint256 balance, uint256 asked);
    error SharesTooLow(uint256 shares, uint256 asked);
    error NothingToMature(address restaker, address operator, address collateral);
    error NotMature(uint256 maturesAtBlock, uint256 blockNumber);
    /// @notice The operator answered in epochs that are not settled: settle them first (Rewards.settle), anyone may.
    error EpochsUnsettled(address operator);
    error WithdrawalUnknown(uint256 id);
    error WithdrawalNotReady(uint256 readyBlock, uint256 blockNumber);
    error StakeBound(address operator, uint256 untilBlock);
    error SlashPending(address operator, uint256 pending);
    error MagnitudeTooLarge(uint256 magnitude, uint256 available);
    error AllocationUnknown(address operator, uint32 shard, address collateral);
    error AllocationNotReady(uint256 readyBlock, uint256 blockNumber);
    error DeallocationUnknown(address operator, uint32 shard, address collateral);
    error BondTooLow(uint256 bond, uint256 asked);
    error BondWithdrawalUnknown(address operator, uint32 shard);
    error NotSlasher(address caller, address slasher);
    error SlashExists(bytes32 id);
    error SlashUnknown(bytes32 id);
    error SlashNotReady(bytes32 id, uint256 readyBlock, uint256 blockNumber);
    error SlashAlreadyDelayed(bytes32 id);
    error SlashAlreadyExecuted(bytes32 id);
    error NothingToBurn(address token);
    error WithdrawalAlreadyCompleted(uint256 id);

    // ---- set-up

    /// @notice Allows `token` as collateral. Governor. At most MAX_COLLATERALS in all.
    function listCollateral(address token) external;
    function isCollateral(address token) external view returns (bool);
    /// @notice Blocks between queueing and completing, for undelegation, deallocation and bonds.
    function withdrawalDelay() external view returns (uint256);
    /// @notice Blocks between a reported miss and its slash.
    function resolutionDelay() external view returns (uint256);
    /// @notice Blocks that the guardian may add once.
    function guardianDelay() external view returns (uint256);

    // ---- restakers

    /// @notice Takes `amount` of a listed collateral into the caller's free balance (what arrived is what counts). All of a token that this contract
    /// holds stays below 2^104 units.
    function deposit(address collateral, uint256 amount) external returns (uint256 received);
    /// @notice Pays out free balance to the caller: of a collateral, or of the token of a bond or a reporter's fee.
    function withdraw(address collateral, uint256 amount) external;
    /// @notice Moves free balance into an operator's pool. It matures (counts, earns, can be slashed) at once if no roster that counts the
    /// operator is live, no miss of it is pending and all that it earned is settled; otherwise it waits for that, in the first two cases
    /// `withdrawalDelay` blocks at least. Topping up what has not matured starts its wait anew.
    function delegate(address operator, address collateral, uint256 amount) external;
    /// @notice `deposit` and `delegate` in one.
    function depositAndDelegate(address operator, address collateral, uint256 amount)
        external
        returns (uint256 received);
    /// @notice Takes all that has not matured back into the caller's free balance. At any time.
    function cancelDelegation(address operator, address collateral) external returns (uint256 amount);
    /// @notice Turns a delegation whose wait is over into shares, once no reported miss of the operator is pending and all that it earned is
    /// settled. Anyone. Shares of an ended generation that the restaker still has are paid out to its free balance.
    function mature(address restaker, address operator, address collateral) external;
    /// @notice Queues shares for withdrawal; they earn nothing more and stay slashable until completed.
    function undelegate(address operator, address collateral, uint256 shares) external returns (uint256 id);
    /// @notice As `undelegate`, but what the shares are worth when completed is delegated to another operator, and matures there as any delegation.
    function redelegate(address operator, address collateral, uint256 shares, address toOperator)
        external
        returns (uint256 id);
    /// @notice Credits a queued withdrawal to its restaker's free balance, or delegates it again. Anyone.
    function completeWithdrawal(uint256 id) external returns (uint256 amount);
    function freeBalance(address restaker, address collateral) external view returns (uint256);
    /// @notice Shares of a restaker that are not queued, and whose generation they are.
    function positionOf(address restaker, address operator, address collateral)
        external
        view
        returns (uint256 shares, uint256 generation, uint256 sinceBlock);
    /// @notice Units that the restaker's unqueued shares are worth now.
    function stakeValueOf(address restaker, address operator, address collateral) external view returns (uint256);
    function sharesOf(address restaker, address operator, address collateral) external view returns (uint256);
    function pendingOf(address restaker, address operator, address collateral)
        external
        view
        returns (uint256 amount, uint256 maturesAtBlock);
    /// @notice Pool totals: assets (queued ones included), shares (queued ones included), queued shares.
    function pool(address operator, address collateral)
        external
        view
        returns (uint256 assets, uint256 shares, uint256 queuedShares);
    /// @notice A queued withdrawal: `freeFromBlock` is the date known beforehand at which it can be completed unless a miss is pending;
    /// `toOperator` whom it goes to then, zero: to the free balance.
    function withdrawal(uint256 id)
        external
        view
        returns (
            address restaker,
            address operator,
            address collateral,
            uint256 shares,
            uint256 queuedBlock,
            uint256 freeFromBlock,
            bool completed,
            address toOperator
        );

    // ---- operators

    /// @notice Reserves `magnitude` more (of 1e18 in all, per collateral) of the pool for `shard`. It stands behind the shard at once if the pool
    /// is empty; otherwise it waits `withdrawalDelay` blocks, so that whoever doesn't want to stand behind that shard can see it and leave. Reserving more
    /// starts the wait anew.
    function allocate(uint32 shard, address collateral, uint256 magnitude) external;
    /// @notice Puts what was reserved behind the shard, when its wait is over and no miss of the operator is pending. Anyone.
    function completeAllocation(address operator, uint32 shard, address collateral) external;
    /// @notice What is reserved for the shard and waits, and the block from which on it can be completed.
    function waitingAllocation(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 magnitude, uint256 readyBlock);
    /// @notice Queues the removal of magnitude; snapshots stop counting it at once. Queueing more starts the wait anew.
    function deallocate(uint32 shard, address collateral, uint256 magnitude) external returns (uint256 readyBlock);
    /// @notice Frees queued magnitude for other shards, when the delay is over and no roster of this shard with a snapshot up to the queueing binds
    /// it. Anyone.
    function completeDeallocation(address operator, uint32 shard, address collateral) external;
    /// @notice (allocated to the shard, of it queued for removal, allocated or reserved to all shards, all there is). The whole starts at 1e18 and shrinks with slashes.
    function magnitudes(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 allocated, uint256 queued, uint256 total, uint256 whole);
    /// @notice Takes own bond for a shard, in the shard's bond token, from the caller.
    function postBond(uint32 shard, uint256 amount) external;
    function queueBondWithdrawal(uint32 shard, uint256 amount) external returns (uint256 readyBlock);
    function completeBondWithdrawal(address operator, uint32 shard) external;
    /// @notice (all there is behind the shard, of it queued for withdrawal, block of the last queueing).
    function bondState(address operator, uint32 shard)
        external
        view
        returns (uint256 amount, uint256 queued, uint256 queuedBlock);
    /// @notice Own bond behind `shard`, what is queued for withdrawal not counted.
    function bondOf(address operator, uint32 shard) external view returns (uint256);
    /// @notice Accepts a slasher newer than the one in force at the snapshot of rosters that bind the caller's stake.
    /// Without it the operator gets no tickets under such a slasher while an older roster binds it: a newer roster's slashes would reach that stake.
    function acceptSlasher(address slasher) external;
    /// @notice Whether `operator` accepted `slasher`.
    function accepted(address operator, address slasher) external view returns (bool);

    // ---- slashing

    /// @notice Books a miss. Only the roster's slasher (or a module in force, under whatever name, that the operator accepted). One per (shard, epoch, operator).
    /// The amounts are the roster's.
    function queueSlash(uint32 shard, uint32 roster, address operator, uint64 epoch, address reporter)
        external
        returns (bytes32 id);
    /// @notice Guardian: adds `guardianDelay` once.
    function delaySlash(bytes32 id) external;
    /// @notice Carries out a slash whose resolution delay is over. Anyone. Sends no token: the reporter's fee goes to its free balance, all else
    /// becomes burnable. If the bond that is left, queued part included, is below the shard's least, the operator's places fall vacant.
    function executeSlash(bytes32 id) external;
    function slashId(uint32 shard, uint64 epoch, address operator) external view returns (bytes32);
    function slashOf(bytes32 id)
        external
        view
        returns (
            address operator,
            uint32 shard,
            uint32 roster,
            uint64 epoch,
            address reporter,
            uint256 readyBlock,
            bool delayed,
            bool executed
        );
    function pendingSlashes(address operator) external view returns (uint256);
    /// @notice Sends what slashes burned to the address nobody can spend from. Anyone.
    function burn(address token) external returns (uint256 amount);
    function burnable(address token) external view returns (uint256);

    // ---- what the books of restakers' rewards ask

    /// @notice What of a pool earns for a shard: units behind it (unqueued shares, allocated magnitude queued for removal included: it still can
    /// be slashed), the pool's unqueued shares, and their generation.
    function earningOf(address operator, uint32 shard, address collateral)
        external
        view
        returns (uint256 units, uint256 shares, uint256 generation);
    /// @notice Who keeps the books of what shares earn: once there is a share, the same for ever.
    function restakerRewards() external view returns (IRestakerRewards);
    /// @notice The Shards whose rosters bind the stake here: once there is something to bind, the same for ever.
    function bindingShards() external view returns (IShards);
    /// @notice All that this contract owes in `token`: free balances, pools, pending delegations, bonds, burnable.
    function recorded(address token) external view returns (uint256);
}
