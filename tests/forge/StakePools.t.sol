// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {StakePools} from "../../contracts/libraries/StakePools.sol";
import {Test} from "./Test.sol";

/// @title StakePoolsTest
/// @notice A pool's arithmetic at random: what Halmos proves of single steps, over whole lives of a pool, with many near-total slashes.
contract StakePoolsTest is Test {
    using StakePools for StakePools.Pool;

    StakePools.Pool private _pool;
    StakePools.Pool private _ended;
    StakePools.Allocation private _one;
    StakePools.Allocation private _other;

    function testFuzz_depositThenWithdrawGainsNothing(uint104 assets, uint128 shares, uint104 amount) external {
        (assets, shares, amount) = _begin(assets, shares, amount);
        equal(_pool.assets, assets, "assets");
        atMost(_pool.remove(_pool.add(amount)), amount, "withdrawn");
    }

    function testFuzz_othersLoseNothing(uint104 assets, uint128 shares, uint104 amount, uint128 held, uint128 removed)
        external
    {
        (assets, shares, amount) = _begin(assets, shares, amount);
        held = uint128(within(held, 0, shares));
        removed = uint128(within(removed, 0, shares - held));
        uint256 before = _pool.toAssets(held);
        _pool.add(amount);
        uint256 between = _pool.toAssets(held);
        atMost(before, between, "worth before a deposit");
        _pool.remove(removed);
        atMost(between, _pool.toAssets(held), "worth before a withdrawal");
    }

    function testFuzz_slash(uint104 assets, uint64[3] memory parts, uint256 amount) external {
        (assets,,) = _begin(assets, assets, 0);
        uint256 total = _allocate(parts);
        uint256 behind = _pool.part(assets, _one.magnitude);
        uint256 behindOther = _pool.part(assets, _other.magnitude);
        amount = amount % 4 == 0 ? amount : within(amount, 0, behind);

        uint256 taken = _pool.slash(_one, amount);

        equal(taken, amount < behind ? amount : behind, "taken");
        equal(_pool.assets, assets - taken, "assets left");
        equal(_pool.toAssets(_pool.shares), _pool.assets, "worth of all shares");
        if (_other.magnitude != 0) {
            atMost(behindOther, _pool.part(_pool.assets, _other.magnitude), "behind the other shard");
        }
        equal(total - _pool.allocated, parts[0] - uint256(_one.magnitude), "magnitude lost");
        atMost(_pool.allocated, _pool.whole, "allocated");
        atMost(_one.queued, _one.magnitude, "queued");
        // what is left behind the slashed shard differs from the exact rest by less than a unit of magnitude stands for
        uint256 unit = _pool.whole == 0 ? 0 : uint256(_pool.assets) / _pool.whole + 1;
        uint256 left = _one.magnitude == 0 ? 0 : _pool.part(_pool.assets, _one.magnitude);
        atMost(left, behind - taken + 1, "left behind");
        atMost(behind - taken, left + unit + 1, "expected behind");
    }

    function testFuzz_aQueuedPartIsSlashedLast(uint104 assets, uint64 magnitude, uint64 queued, uint256 amount)
        external
    {
        (assets,,) = _begin(assets, assets, 0);
        _pool.whole = 1e18;
        _put(_one, within(magnitude, 1, 1e18));
        _one.queued = uint64(within(queued, 0, _one.magnitude));
        uint64 queuedBefore = _one.queued;
        _pool.slash(_one, amount);
        equal(_one.queued, queuedBefore < _one.magnitude ? queuedBefore : _one.magnitude, "queued");
    }

    /// Over a life of deposits, withdrawals and slashes, no type is ever too small and no pool is worth more than it has.
    function testFuzz_life(uint256[40] memory steps) external {
        uint256 units;
        for (uint256 i = 0; i < steps.length; ++i) {
            uint256 step = steps[i] >> 8;
            uint256 kind = steps[i] % 4;
            if (kind < 2) {
                uint256 room = StakePools.MAX_ASSETS - _pool.assets;
                uint256 amount = within(step, 0, kind == 0 && room > 1000 ? 1000 : room);
                uint256 added = _pool.add(amount);
                atMost(added, amount * StakePools.PRICE_FLOOR, "shares for a deposit");
                units += amount;
            } else if (kind == 2) {
                units -= _pool.remove(within(step, 0, _pool.shares));
            } else if (_pool.allocated == 0) {
                _pool.whole = StakePools.WHOLE;
                _put(_one, within(step, 1, StakePools.WHOLE));
            } else {
                units -= _pool.slash(_one, step % 2 == 0 ? _pool.assets : within(step, 0, _pool.assets));
                if (_pool.isSpent()) {
                    units -= _pool.assets;
                    _pool.end(_ended);
                    equal(_ended.assets + uint256(_pool.assets), _ended.assets, "a new generation is empty");
                    equal(_pool.part(1, 0), 0, "of nothing");
                }
            }
            equal(_pool.assets, units, "assets");
            atMost(_pool.assets, _pool.shares, "assets within shares");
            // each with its virtual one: a withdrawal may round the last asset away from shares that were worth less than one
            uint256 most = (uint256(_pool.assets) + 1) * StakePools.PRICE_FLOOR;
            atMost(uint256(_pool.shares) + 1, most, "shares within the floor");
            equal(_pool.toAssets(_pool.shares), _pool.assets, "worth of all shares");
        }
    }

    function test_anEndedGenerationsAllocationStandsForNothing() external {
        _pool.add(1000);
        _pool.whole = StakePools.WHOLE;
        _put(_one, 5e17);
        _pool.queued = 7;
        _pool.end(_ended);
        (uint256 magnitude, uint256 queued) = _pool.current(_one);
        equal(magnitude + queued, 0, "of an ended generation");
        equal(_pool.slash(_one, 10), 0, "slashed");
        equal(_ended.assets, 1000, "assets kept");
        equal(_ended.queued, 7, "queued kept");
        equal(_pool.generation, 1, "generation");
        _pool.whole = StakePools.WHOLE;
        _one.queued = 3;
        _put(_one, 4);
        (magnitude, queued) = _pool.current(_one);
        equal(magnitude, 4, "allocated anew");
        equal(queued, 0, "queued anew");
    }

    function test_anAllocationWaitsWhereThereIsSomebodyToProtect() external {
        _pool.whole = StakePools.WHOLE;
        yes(_pool.reserve(_one, 10), "at once into an empty pool");
        _pool.add(1000);
        yes(!_pool.reserve(_one, 20), "not into another");
        (uint256 magnitude,) = _pool.current(_one);
        equal(magnitude, 10, "behind the shard");
        equal(_pool.waiting(_one), 20, "waiting");
        equal(_pool.allocated, 30, "reserved");
        equal(_pool.slash(_one, 1000), 0, "what waits can't be slashed");
        equal(_pool.allocate(_one), 20, "allocated");
        (magnitude,) = _pool.current(_one);
        equal(magnitude, 30, "behind the shard");
        equal(_pool.waiting(_one), 0, "waiting");
        equal(_pool.allocate(_one), 0, "allocated again");
        _one.queued = 25;
        equal(_pool.release(_one), 25, "released");
        equal(_pool.allocated, 5, "left");
        equal(_pool.release(_one), 0, "released again");
    }

    function test_spentBelowTheFloorOnly() external {
        (_pool.assets, _pool.shares) = (1, uint128(StakePools.PRICE_FLOOR));
        yes(!_pool.isSpent(), "at the floor");
        _pool.shares += 1;
        yes(_pool.isSpent(), "below the floor");
        (_pool.assets, _pool.shares) = (0, 0);
        yes(!_pool.isSpent(), "empty");
    }

    /// Makes a pool of the numbers, brought into the range of what can be.
    function _begin(uint104 assets, uint128 shares, uint104 more) private returns (uint104, uint128, uint104) {
        if (assets % 3 == 0) assets %= 1e6;
        more = uint104(within(more, 0, StakePools.MAX_ASSETS - assets));
        shares = uint128(within(shares, assets, uint256(assets) * StakePools.PRICE_FLOOR));
        (_pool.assets, _pool.shares) = (assets, shares);
        return (assets, shares, more);
    }

    function _allocate(uint64[3] memory parts) private returns (uint256 total) {
        _pool.whole = uint64(within(parts[2], 2, 1e18));
        parts[0] = uint64(within(parts[0], 1, _pool.whole - 1));
        parts[1] = uint64(within(parts[1], 0, _pool.whole - parts[0]));
        _put(_one, parts[0]);
        if (parts[1] != 0) _put(_other, parts[1]);
        total = uint256(parts[0]) + parts[1];
        equal(_pool.allocated, total, "allocated");
        _one.queued = parts[0] / 2;
    }

    /// Magnitude that has waited.
    function _put(StakePools.Allocation storage allocation, uint256 magnitude) private {
        _pool.reserve(allocation, magnitude);
        _pool.allocate(allocation);
    }
}
