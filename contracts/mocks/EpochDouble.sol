// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title EpochDouble
/// @notice Stands in for Shards where a test says which epoch it is.
contract EpochDouble {
    uint64 private _epoch;

    function setEpoch(uint64 epoch) external {
        _epoch = epoch;
    }

    function epochAt(uint32, uint256) external view returns (uint64) {
        return _epoch;
    }
}
