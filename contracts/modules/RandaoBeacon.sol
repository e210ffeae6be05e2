// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRandomness} from "../interfaces/IRandomness.sol";
import {RlpHeader} from "../libraries/RlpHeader.sol";

/// @title RandaoBeacon
/// @notice The RANDAO mix of a block, proven by the block's header against its hash, and stored once, by anyone.
///
/// The chain knows the hashes of the last 256 blocks itself, and those of the last 8,191 through the history contract of
/// EIP-2935. What nobody revealed until then stays unknown for ever.
contract RandaoBeacon is IRandomness {
    /// How far back BLOCKHASH reaches.
    uint256 private constant BLOCKHASH_WINDOW_BLOCKS = 256;

    /// How far back EIP-2935 reaches.
    uint256 private constant HISTORY_WINDOW_BLOCKS = 8191;

    /// The history contract of EIP-2935: takes a number of 32 bytes, returns a hash of 32 bytes.
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    mapping(uint256 blockNumber => bytes32 value) private _values;

    /// @inheritdoc IRandomness
    function reveal(uint256 blockNumber, bytes calldata proof) external returns (bytes32 value) {
        value = _values[blockNumber];
        if (value != 0) return value;

        bytes32 expected = _hashOf(blockNumber);
        if (expected == 0) revert BlockUnreachable(blockNumber, block.number);
        bytes32 got = keccak256(proof);
        if (got != expected) revert HeaderMismatch(got, expected);

        uint256 number;
        (number, value) = RlpHeader.parse(proof);
        if (number != blockNumber) revert HeaderNumberMismatch(number, blockNumber);
        if (value == 0) revert RandomnessAbsent(blockNumber);

        _values[blockNumber] = value;
        emit RandomnessRevealed(blockNumber, value);
    }

    /// @inheritdoc IRandomness
    function valueOf(uint256 blockNumber) external view returns (bytes32 value) {
        value = _values[blockNumber];
        if (value == 0) revert RandomnessUnknown(blockNumber);
    }

    /// @inheritdoc IRandomness
    function isRevealed(uint256 blockNumber) external view returns (bool) {
        return _values[blockNumber] != 0;
    }

    /// A block's hash, or zero where it can't be reached.
    function _hashOf(uint256 blockNumber) private view returns (bytes32) {
        if (blockNumber >= block.number) return 0;

        uint256 age = block.number - blockNumber;
        if (age <= BLOCKHASH_WINDOW_BLOCKS) return blockhash(blockNumber);
        if (age > HISTORY_WINDOW_BLOCKS) return 0;

        (bool success, bytes memory answer) = HISTORY.staticcall(abi.encode(blockNumber));
        return success && answer.length == 32 ? bytes32(answer) : bytes32(0);
    }
}
