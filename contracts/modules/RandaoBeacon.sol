// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRandomness} from "../interfaces/IRandomness.sol";
import {BlockHashes} from "../libraries/BlockHashes.sol";
import {BlockValue} from "../libraries/BlockValue.sol";
import {RlpHeader} from "../libraries/RlpHeader.sol";

/// @title RandaoBeacon
/// @notice The RANDAO mix of a block and its time, proven by the block's header against its hash, and stored once, by anyone: a block's value is
/// the mix, its lowest 40 bits replaced by the time.
///
/// What nobody revealed while the block's hash can be reached stays unknown for ever.
contract RandaoBeacon is IRandomness {
    /// @inheritdoc IRandomness
    bytes32 public constant scheme = "randao";

    mapping(uint256 blockNumber => bytes32 value) private _values;

    /// @inheritdoc IRandomness
    function reveal(uint256 blockNumber, bytes calldata proof) external returns (bytes32 value) {
        value = _values[blockNumber];
        if (value != 0) return value;

        bytes32 expected = BlockHashes.hashOf(blockNumber);
        if (expected == 0) revert BlockUnreachable(blockNumber, block.number);
        bytes32 got = keccak256(proof);
        if (got != expected) revert HeaderMismatch(got, expected);

        (uint256 number, uint256 timestamp, bytes32 mix) = RlpHeader.parse(proof);
        if (number != blockNumber) revert HeaderNumberMismatch(number, blockNumber);
        if (mix == 0) revert RandomnessAbsent(blockNumber);

        value = BlockValue.from(mix, timestamp);
        _values[blockNumber] = value;
        emit RandomnessRevealed(blockNumber, value);
    }

    /// @inheritdoc IRandomness
    function timeOf(uint256 blockNumber) external view returns (uint256) {
        return BlockValue.timeOf(valueOf(blockNumber));
    }

    /// @inheritdoc IRandomness
    function valueOf(uint256 blockNumber) public view returns (bytes32 value) {
        value = _values[blockNumber];
        if (value == 0) revert RandomnessUnknown(blockNumber);
    }

    /// @inheritdoc IRandomness
    function isRevealed(uint256 blockNumber) external view returns (bool) {
        return _values[blockNumber] != 0;
    }
}
