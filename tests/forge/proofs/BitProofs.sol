// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Accumulator} from "../../../contracts/libraries/Accumulator.sol";
import {PackedCounts} from "../../../contracts/libraries/PackedCounts.sol";

/// @title BitProofs
/// @notice What Halmos proves bit by bit, with its own solver, of numbers that share a slot: counts of PackedCounts, and an accumulator's rows and
/// fees, for all amounts that it takes (`make halmos`; docs/testing.md).
contract BitProofs {
    using Accumulator for Accumulator.State;
    using PackedCounts for PackedCounts.Counts;

    uint256 private constant EPOCHS = 6;

    PackedCounts.Counts private _counts;
    Accumulator.State private _sums;

    /// A count that is set is that one, and none of its slot's others changes.
    function check_settingACountLeavesTheOthers(uint256 slot, uint32 count) external {
        for (uint256 index = 0; index < 8; ++index) {
            _counts.slots[0] = slot;
            _counts.set(index, count);

            assert(_counts.get(index) == count);
            for (uint256 other = 0; other < 8; ++other) {
                if (other != index) assert(_counts.get(other) == uint32(slot >> (32 * other)));
            }
        }
    }

    /// All read at once are what each is, also where the last slot isn't full.
    function check_loadingCountsIsGettingEach(uint256 first, uint256 second) external {
        (_counts.slots[0], _counts.slots[1]) = (first, second);

        uint256[] memory all = _counts.load(11);

        assert(all.length == 11);
        for (uint256 index = 0; index < 11; ++index) {
            assert(all[index] == _counts.get(index));
        }
    }

    /// Three contributions that overlap, one cut short: each epoch has the sum of those that hold it, before the cursor is rolled and after.
    function check_everyEpochIsTheSumOfWhatHoldsIt(
        uint32 rowsA,
        uint128 feeA,
        uint32 rowsB,
        uint128 feeB,
        uint32 rowsC,
        uint128 feeC
    ) external {
        _sums.start(0);
        _sums.add(1, 4, rowsA, feeA);
        _sums.add(2, 6, rowsB, feeB);
        _sums.add(3, 6, rowsC, feeC);
        _sums.remove(5, 6, rowsB, feeB);

        for (uint256 rolled = 0; rolled <= EPOCHS; rolled += 3) {
            _sums.roll(rolled, 3);
            for (uint256 epoch = 0; epoch <= EPOCHS; ++epoch) {
                (uint256 rows, uint256 fee) = _sums.valueAt(epoch);
                uint256 wanted = (epoch >= 1 && epoch < 4 ? uint256(rowsA) : 0)
                    + (epoch >= 2 && epoch < 5 ? uint256(rowsB) : 0) + (epoch >= 3 && epoch < 6 ? uint256(rowsC) : 0);
                assert(rows == wanted);
                wanted = (epoch >= 1 && epoch < 4 ? uint256(feeA) : 0) + (epoch >= 2 && epoch < 5 ? uint256(feeB) : 0)
                    + (epoch >= 3 && epoch < 6 ? uint256(feeC) : 0);
                assert(fee == wanted);
            }
        }
    }

    /// Its last epoch belongs to a contribution: this can't be proven.
    function control_anEndIsHeld(uint32 rows, uint128 fee) external {
        _sums.start(0);
        _sums.add(1, 3, rows, fee);

        (uint256 got,) = _sums.valueAt(3);
        assert(got == rows);
    }
}
