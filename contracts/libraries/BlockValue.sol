// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title BlockValue
/// @notice What a randomness module keeps of a block, one word: 216 random bits, then its time in seconds, 40 bits. Never zero, since no header has the time zero but a genesis.
library BlockValue {
    /// @notice A header's time takes more than 40 bits, or is zero.
    error BlockTimeInvalid(uint256 timestamp);

    uint256 private constant TIME_BITS = 40;

    /// @notice The word of a block: the low bits of `random` make room for the time.
    function from(bytes32 random, uint256 timestamp) internal pure returns (bytes32) {
        if (timestamp == 0 || timestamp >> TIME_BITS != 0) revert BlockTimeInvalid(timestamp);
        return bytes32(uint256(random) >> TIME_BITS << TIME_BITS | timestamp);
    }

    /// @notice The time in a word.
    function timeOf(bytes32 value) internal pure returns (uint256) {
        return uint40(uint256(value));
    }
}
