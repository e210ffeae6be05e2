// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title BlockHashes
/// @notice Hashes of earlier blocks: the last 256 from the chain itself, the last 8,191 from the history contract of EIP-2935.
library BlockHashes {
    /// How far back BLOCKHASH reaches.
    uint256 private constant BLOCKHASH_WINDOW_BLOCKS = 256;

    /// How far back EIP-2935 reaches.
    uint256 private constant HISTORY_WINDOW_BLOCKS = 8191;

    /// The history contract of EIP-2935: takes a number of 32 bytes, returns a hash of 32 bytes.
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// @notice A block's hash, or zero where it can't be reached.
    function hashOf(uint256 blockNumber) internal view returns (bytes32) {
        if (blockNumber >= block.number) return 0;

        uint256 age = block.number - blockNumber;
        if (age <= BLOCKHASH_WINDOW_BLOCKS) return blockhash(blockNumber);
        if (age > HISTORY_WINDOW_BLOCKS) return 0;

        (bool success, bytes memory answer) = HISTORY.staticcall(abi.encode(blockNumber));
        return success && answer.length == 32 ? bytes32(answer) : bytes32(0);
    }
}
