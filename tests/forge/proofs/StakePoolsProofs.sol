// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {StakePools} from "../../../contracts/libraries/StakePools.sol";

/// @title StakePoolsProofs
/// @notice What Halmos proves of a pool's arithmetic, for all values of the types (`make halmos`; docs/testing.md). Every pool that can
/// be: assets up to MAX_ASSETS, shares up to PRICE_FLOOR times the assets (a generation ends beyond that), not more assets than shares
/// (`assetsStayWithinShares…` prove that this stays so). A function returns where its premises fail; an assertion that can fail makes the proof fail.
///
/// `control…` must NOT be provable: it shows that the premises leave something to prove.
contract StakePoolsProofs {
    using StakePools for StakePools.Pool;

    uint256 private constant FLOOR_BITS = 20;

    StakePools.Pool private _pool;
    StakePools.Allocation private _allocation;

    /// Shares for a deposit: at most PRICE_FLOOR times it, and all of them fit their type.
    function check_sharesFit(uint104 assets, uint128 shares, uint104 amount) external {
        if (!_begin(assets, shares, amount)) return;

        uint256 added = _pool.toShares(amount);

        assert(added <= uint256(amount) << FLOOR_BITS);
        assert(uint256(shares) + added <= (uint256(assets) + amount) << FLOOR_BITS);
        assert((uint256(type(uint104).max) << FLOOR_BITS) <= type(uint128).max);
    }

    /// Nobody profits from rounding: what a deposit bought is worth at most the deposit.
    function check_depositThenWithdrawGainsNothing(uint104 assets, uint128 shares, uint104 amount) external {
        if (!_begin(assets, shares, amount)) return;

        uint256 added = _pool.add(amount);
        if (added > uint256(amount) << FLOOR_BITS) return; // sharesFit

        assert(_pool.remove(added) <= amount);
    }

    /// The same with a strict bound: most deposits come back whole, so this can't be proven.
    function control_depositThenWithdrawLoses(uint104 assets, uint128 shares, uint104 amount) external {
        if (!_begin(assets, shares, amount)) return;

        uint256 added = _pool.add(amount);
        if (added > uint256(amount) << FLOOR_BITS) return;

        assert(_pool.remove(added) < amount);
    }

    /// Nor at the cost of others: a deposit doesn't lower what anybody's shares are worth.
    function check_depositDilutesNobody(uint104 assets, uint128 shares, uint104 amount, uint128 held) external {
        if (!_begin(assets, shares, amount) || held > shares) return;
        uint256 before = _pool.toAssets(held);

        uint256 added = _pool.add(amount);
        if (added > uint256(amount) << FLOOR_BITS) return; // sharesFit

        assert(_pool.toAssets(held) >= before);
    }

    /// Nor does a withdrawal.
    function check_withdrawalDilutesNobody(uint104 assets, uint128 shares, uint128 removed, uint128 held) external {
        if (!_begin(assets, shares, 0) || uint256(held) + removed > shares) return;
        uint256 before = _pool.toAssets(held);

        _pool.remove(removed);

        assert(_pool.toAssets(held) >= before);
    }

    /// A deposit leaves at most as many assets as shares: so all shares are worth all assets, to the unit.
    function check_assetsStayWithinSharesWhenAdding(uint104 assets, uint128 shares, uint104 amount) external {
        if (!_begin(assets, shares, amount)) return;

        uint256 added = _pool.add(amount);
        if (added > uint256(amount) << FLOOR_BITS) return; // sharesFit

        assert(_pool.assets <= _pool.shares);
        assert(_pool.assets == uint256(assets) + amount);
        assert(_pool.toAssets(_pool.shares) == _pool.assets);
    }

    /// So does a withdrawal.
    function check_assetsStayWithinSharesWhenRemoving(uint104 assets, uint128 shares, uint128 removed) external {
        if (!_begin(assets, shares, 0) || removed > shares) return;

        uint256 taken = _pool.remove(removed);

        assert(_pool.assets <= _pool.shares);
        assert(_pool.assets == assets - taken);
        assert(_pool.toAssets(_pool.shares) == _pool.assets);
    }

    /// A slash of x takes x, or all that stands behind the shard, out of what all shares are worth: to the unit.
    function check_slashTakesExactly(
        uint104 assets,
        uint128 shares,
        uint64 whole,
        uint64 allocated,
        uint64 magnitude,
        uint256 amount
    ) external {
        if (!_begin(assets, shares, 0) || !_allocate(whole, allocated, magnitude, 0)) return;
        uint256 behind = _pool.part(assets, magnitude);

        uint256 taken = _pool.slash(_allocation, amount);

        assert(taken == (amount < behind ? amount : behind));
        assert(_pool.assets == assets - taken);
    }

    /// A slash doesn't lower what stands behind another shard.
    function check_slashSparesOtherShards(
        uint104 assets,
        uint64 whole,
        uint64 allocated,
        uint64 magnitude,
        uint64 other,
        uint256 amount
    ) external {
        if (!_begin(assets, assets, 0) || !_allocate(whole, allocated, magnitude, other)) return;
        uint256 before = _pool.part(assets, other);

        _pool.slash(_allocation, amount);

        assert(_pool.part(_pool.assets, other) >= before);
    }

    /// A slash keeps allocations within what is allocated, and that within the whole.
    function check_slashKeepsMagnitudes(
        uint104 assets,
        uint64 whole,
        uint64 allocated,
        uint64 magnitude,
        uint64 other,
        uint256 amount
    ) external {
        if (!_begin(assets, assets, 0) || !_allocate(whole, allocated, magnitude, other)) return;

        _pool.slash(_allocation, amount);

        assert(_pool.allocated <= _pool.whole);
        assert(uint256(_allocation.magnitude) + other <= _pool.allocated);
        assert(_allocation.queued <= _allocation.magnitude);
    }

    /// Makes a pool, unless there can be none such to which `more` is added.
    function _begin(uint256 assets, uint256 shares, uint256 more) private returns (bool) {
        if (assets + more > type(uint104).max || assets > shares || shares > assets << FLOOR_BITS) return false;
        (_pool.assets, _pool.shares) = (uint104(assets), uint128(shares));
        return true;
    }

    function _allocate(uint64 whole, uint64 allocated, uint64 magnitude, uint64 other) private returns (bool) {
        if (whole > 1e18 || allocated > whole || uint256(magnitude) + other > allocated) return false;
        (_pool.whole, _pool.allocated) = (whole, allocated);
        _allocation.magnitude = magnitude;
        return true;
    }
}
