// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bls12381} from "./Bls12381.sol";
import {Tags} from "./Tags.sol";

/// @title Draws
/// @notice What an operator is asked in an epoch, as a function of the seed: positions in its snapshot, the point of the
/// opening and the weights of the fold. The formulas stand in IAudits; off chain they are `qanat.chain.draws`.
library Draws {
    /// Third word of a hash, what it is for.
    uint256 private constant STRATUM = 0;
    uint256 private constant POINT = 1;
    uint256 private constant WEIGHT = 2;
    uint256 private constant REPLACEMENT = 3;

    /// Positions that are read at most, as a multiple of the samples asked for.
    uint256 internal constant READS_PER_SAMPLE = 4;

    /// @notice What binds a draw to chain, contract, shard, epoch, seed and operator.
    function contextOf(uint32 shard, uint64 epoch, bytes32 seed, address operator) internal view returns (bytes32) {
        return keccak256(abi.encode(Tags.CHALLENGE, block.chainid, address(this), shard, epoch, seed, operator));
    }

    /// @notice The position of read `index`: the first `samples` lie one in each stratum of the snapshot's `rows`
    /// positions, all later ones anywhere in it.
    function positionOf(bytes32 context, uint256 rows, uint256 samples, uint256 index) internal pure returns (uint256) {
        // A snapshot has fewer than 2^128 rows, and a draw as many of them as samples at least: no stratum is empty.
        unchecked {
            if (index >= samples) return _hash(context, REPLACEMENT, index - samples) % rows;
            uint256 begin = index * rows / samples;
            uint256 end = (index + 1) * rows / samples;
            return begin + _hash(context, STRATUM, index) % (end - begin);
        }
    }

    /// @notice Where the folded polynomial is opened.
    function pointOf(bytes32 context, bytes32 transcript) internal pure returns (uint256) {
        return _hash(context, POINT, uint256(transcript)) % Bls12381.SCALAR_MODULUS;
    }

    /// @notice The weights of `count` commitments. The first is 1.
    function weightsOf(bytes32 context, bytes32 transcript, uint256 count)
        internal
        pure
        returns (uint256[] memory weights)
    {
        weights = new uint256[](count);
        if (count == 0) return weights;
        weights[0] = 1;
        // abi.encode(context, WEIGHT, transcript, j), of which j alone changes.
        bytes memory item = abi.encode(context, WEIGHT, transcript, uint256(0));
        uint256 modulus = Bls12381.SCALAR_MODULUS;
        assembly ("memory-safe") {
            let weight := add(weights, 32)
            for { let j := 1 } lt(j, count) { j := add(j, 1) } {
                mstore(add(item, 128), j)
                weight := add(weight, 32)
                mstore(weight, mod(keccak256(add(item, 32), 128), modulus))
            }
        }
    }

    function _hash(bytes32 context, uint256 purpose, uint256 value) private pure returns (uint256) {
        bytes32 digest;
        assembly ("memory-safe") {
            // keccak256(abi.encode(context, purpose, value)), past the memory that is allocated.
            let item := mload(0x40)
            mstore(item, context)
            mstore(add(item, 32), purpose)
            mstore(add(item, 64), value)
            digest := keccak256(item, 96)
        }
        return uint256(digest);
    }
}
