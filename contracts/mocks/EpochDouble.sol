// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRandomness} from "../interfaces/IRandomness.sol";

/// @title EpochDouble
/// @notice Stands in for Shards and Randomness where a test says which epoch it is, and when which one began: one block each.
contract EpochDouble {
    uint64 private _epoch;
    mapping(uint256 epoch => uint256) private _times;

    function setEpoch(uint64 epoch) external {
        _epoch = epoch;
    }

    function reveal(uint64 epoch, uint256 time) external {
        _times[epoch] = time;
    }

    function epochAt(uint32, uint256) external view returns (uint64) {
        return _epoch;
    }

    function seedBlockOf(uint32, uint64 epoch) external pure returns (uint256) {
        return epoch;
    }

    function timeOf(uint256 blockNumber) external view returns (uint256 time) {
        time = _times[blockNumber];
        if (time == 0) revert IRandomness.RandomnessUnknown(blockNumber);
    }
}
