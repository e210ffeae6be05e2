// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Accumulator} from "../libraries/Accumulator.sol";

/// @title AccumulatorHarness
/// @notice Calls each function of the library from outside, for tests.
contract AccumulatorHarness {
    using Accumulator for Accumulator.State;

    Accumulator.State private _state;

    function start(uint64 initial) external {
        _state.start(initial);
    }

    function add(uint256 fromEpoch, uint256 untilEpoch, uint256 rows, uint256 fee) external {
        _state.add(fromEpoch, untilEpoch, rows, fee);
    }

    function remove(uint256 fromEpoch, uint256 untilEpoch, uint256 rows, uint256 fee) external {
        _state.remove(fromEpoch, untilEpoch, rows, fee);
    }

    function roll(uint256 toEpoch, uint256 maxSteps) external returns (uint256) {
        return _state.roll(toEpoch, maxSteps);
    }

    function valueAt(uint256 epoch) external view returns (uint256 rows, uint256 fee) {
        return _state.valueAt(epoch);
    }

    /// @notice The amounts of `count` epochs from `first` on.
    function valuesFrom(uint256 first, uint256 count)
        external
        view
        returns (uint256[] memory rows, uint256[] memory fees)
    {
        rows = new uint256[](count);
        fees = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            (rows[i], fees[i]) = _state.valueAt(first + i);
        }
    }

    function cursor() external view returns (uint256) {
        return _state.cursor;
    }
}
