// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ObjectStatus} from "../types/Types.sol";

/// @title ObjectWord
/// @notice The first slot of an object as Objects keeps it, all that a draw asks of one beside its root: one word instead of a record, so that an
/// answer over many objects is one call. From the lowest bits up:
///
///  16 n | 16 k | 32 matrices | 32 term | 32 first epoch | 8 status | 5 marks | 3 bucket | 32 roster | 32 shard | 48 where its rows begin in the bucket
library ObjectWord {
    /// Somebody did not sign.
    uint8 internal constant INCOMPLETE = 1;
    /// An extension listed it anew in a later bucket.
    uint8 internal constant MOVED = 4;
    /// Marks take so many bits; the bucket stands above them.
    uint8 internal constant MARK_BITS = 5;

    function rows(uint256 word) internal pure returns (uint256) {
        return word & type(uint16).max;
    }

    function matrices(uint256 word) internal pure returns (uint256) {
        return (word >> 32) & type(uint32).max;
    }

    /// @notice First epoch after its last.
    function end(uint256 word) internal pure returns (uint256) {
        unchecked {
            return ((word >> 96) & type(uint32).max) + ((word >> 64) & type(uint32).max);
        }
    }

    function has(uint256 word, uint256 mark) internal pure returns (bool) {
        return (word >> 136) & mark != 0;
    }

    function bucket(uint256 word) internal pure returns (uint256) {
        return (word >> (136 + MARK_BITS)) & 7;
    }

    /// @notice Whether it is certified, of that roster of that shard, and listed in that bucket.
    function isListed(uint256 word, uint256 shard, uint256 roster, uint256 bucket_) internal pure returns (bool) {
        // All from the status on but where the rows begin, without the marks.
        uint256 mask = type(uint80).max ^ (((1 << MARK_BITS) - 1) << 8);
        uint256 wanted = uint256(ObjectStatus.Certified) | bucket_ << (8 + MARK_BITS) | roster << 16 | shard << 48;
        return (word >> 128) & mask == wanted;
    }

    function start(uint256 word) internal pure returns (uint256) {
        return word >> 208;
    }
}
