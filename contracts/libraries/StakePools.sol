// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title StakePools
/// @notice The arithmetic of one pool, (operator, collateral): shares of assets, and the parts of it that stand behind shards.
///
/// Shares: one virtual share owns one virtual unit, so a pool never divides by zero and nobody can make a share dear by leaving dust.
/// Magnitudes: `whole` stands for all assets, an allocation for its part of it. A slash of x out of a shard takes x from the assets and
/// the same part from `whole` (rounded down) and from the shard's allocation (the same number): the amounts behind other shards do not fall.
library StakePools {
    using Math for uint256;

    /// Most units that pools may hold, over all: 2·10¹³ tokens of 18 decimals. With PRICE_FLOOR shares stay below 2¹²⁴.
    uint256 internal constant MAX_ASSETS = type(uint104).max;
    /// All of a pool's magnitude.
    uint64 internal constant WHOLE = 1e18;
    /// A share that a slash leaves worth less than 1/PRICE_FLOOR of a unit ends its pool's generation: what is left goes to the old shares, out
    /// of reach of slashes; new deposits begin at one to one, and the operator allocates anew. Over any number of near-total slashes shares stay below
    /// 2¹²⁴, and `whole` above 10¹², so that a unit of magnitude remains a small part.
    uint256 internal constant PRICE_FLOOR = 1 << 20;

    struct Pool {
        uint104 assets;
        // magnitude that stands for all assets; 0 as long as nothing was ever allocated
        uint64 whole;
        // sum of the shards' allocations, ≤ whole
        uint64 allocated;
        uint24 generation;
        uint128 shares;
        // of `shares`, queued for withdrawal: slashable, not counted, not earning
        uint128 queued;
    }

    struct Allocation {
        uint64 magnitude;
        // of `magnitude`, queued for removal: slashable, not counted
        uint64 queued;
        // beside `magnitude`, reserved for the shard: neither counted nor slashable yet
        uint64 waiting;
        // of the pool; what was allocated of an ended one stands for nothing
        uint24 generation;
        // blocks of the last queueing for removal, and of the last reservation
        uint40 queuedBlock;
        uint40 waitingBlock;
    }

    function toShares(Pool storage pool, uint256 amount) internal view returns (uint256) {
        return amount.mulDiv(uint256(pool.shares) + 1, uint256(pool.assets) + 1);
    }

    /// @notice What `shares` are worth, rounded down. Never more than the pool's assets for all of its shares.
    function toAssets(Pool storage pool, uint256 shares) internal view returns (uint256) {
        return shares.mulDiv(uint256(pool.assets) + 1, uint256(pool.shares) + 1);
    }

    /// @notice The part of `amount` that `magnitude` stands for, rounded down.
    function part(Pool storage pool, uint256 amount, uint256 magnitude) internal view returns (uint256) {
        return magnitude == 0 ? 0 : amount.mulDiv(magnitude, pool.whole);
    }

    function add(Pool storage pool, uint256 amount) internal returns (uint256 shares) {
        shares = toShares(pool, amount);
        pool.assets += uint104(amount);
        pool.shares += uint128(shares);
    }

    function remove(Pool storage pool, uint256 shares) internal returns (uint256 amount) {
        amount = toAssets(pool, shares);
        pool.assets -= uint104(amount);
        pool.shares -= uint128(shares);
    }

    /// @notice An allocation's magnitude and the part of it that is queued for removal.
    function current(Pool storage pool, Allocation storage allocation)
        internal
        view
        returns (uint256 magnitude, uint256 queued)
    {
        magnitude = allocation.magnitude;
        if (magnitude == 0 || allocation.generation != pool.generation) return (0, 0);
        queued = allocation.queued;
    }

    /// @notice Magnitude that is reserved for the shard and does not stand behind it yet.
    function waiting(Pool storage pool, Allocation storage allocation) internal view returns (uint256) {
        return allocation.generation == pool.generation ? allocation.waiting : 0;
    }

    /// @notice Reserves more of the pool for a shard. The caller checks that it is there. Stands behind it at once if there is nobody whose stake
    /// that puts at risk; returns whether it does.
    function reserve(Pool storage pool, Allocation storage allocation, uint256 magnitude) internal returns (bool) {
        if (allocation.generation != pool.generation) {
            (allocation.magnitude, allocation.queued, allocation.waiting) = (0, 0, 0);
            allocation.generation = pool.generation;
        }
        pool.allocated += uint64(magnitude);
        if (pool.assets == 0) {
            allocation.magnitude += uint64(magnitude);
            return true;
        }
        allocation.waiting += uint64(magnitude);
        allocation.waitingBlock = uint40(block.number);
        return false;
    }

    /// @notice Puts what is reserved for a shard behind it; returns how much that was.
    function allocate(Pool storage pool, Allocation storage allocation) internal returns (uint256 magnitude) {
        magnitude = waiting(pool, allocation);
        allocation.magnitude += uint64(magnitude);
        allocation.waiting = 0;
    }

    /// @notice Gives back what was queued for removal; returns how much that was.
    function release(Pool storage pool, Allocation storage allocation) internal returns (uint256 magnitude) {
        (, magnitude) = current(pool, allocation);
        allocation.queued = 0;
        allocation.magnitude -= uint64(magnitude);
        pool.allocated -= uint64(magnitude);
    }

    /// @notice Ends the current generation, which `ended` keeps.
    function end(Pool storage pool, Pool storage ended) internal {
        (ended.assets, ended.shares, ended.queued) = (pool.assets, pool.shares, pool.queued);
        ++pool.generation;
        (pool.assets, pool.whole, pool.allocated, pool.shares, pool.queued) = (0, 0, 0, 0, 0);
    }

    /// @notice Takes up to `amount` of what stands behind one shard; returns what was taken.
    function slash(Pool storage pool, Allocation storage allocation, uint256 amount) internal returns (uint256 taken) {
        if (amount == 0 || allocation.generation != pool.generation) return 0;
        uint256 assets = pool.assets;
        taken = Math.min(amount, part(pool, assets, allocation.magnitude));
        if (taken == 0) return 0;

        uint64 whole = pool.whole;
        // rounded down: (assets - taken) / left ≥ assets / whole, so no other shard's part falls; and whole - left, being
        // ⌈whole·taken / assets⌉, is at most the allocation, an integer that is at least whole·taken / assets
        uint64 left = uint64(uint256(whole).mulDiv(assets - taken, assets));
        uint64 lost = whole - left;

        pool.assets = uint104(assets - taken);
        pool.whole = left;
        pool.allocated -= lost;
        allocation.magnitude -= lost;
        if (allocation.queued > allocation.magnitude) allocation.queued = allocation.magnitude;
    }

    /// @notice Whether the pool's shares are worth too little to go on.
    function isSpent(Pool storage pool) internal view returns (bool) {
        return pool.shares != 0 && uint256(pool.assets) * PRICE_FLOOR < pool.shares;
    }
}
