// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title NonSigners
/// @notice The list of those who did not sign an object: roster indexes, ascending. The chain keeps its hash alone.
library NonSigners {
    /// @notice keccak256 of the indexes, each as uint16 (two bytes, big-endian), packed. keccak256("") for none.
    function hashOf(uint16[] calldata indexes) internal pure returns (bytes32) {
        // No index stands there: they are below 2^16.
        return hashWithout(indexes, type(uint256).max);
    }

    /// @notice The hash of the list without one index.
    function hashWithout(uint16[] calldata indexes, uint256 left) internal pure returns (bytes32) {
        uint256 count = indexes.length;
        bytes memory packed = new bytes(2 * count);
        uint256 size;
        for (uint256 i; i < count; ++i) {
            uint256 index = indexes[i];
            if (index == left) continue;
            packed[size] = bytes1(uint8(index >> 8));
            packed[size + 1] = bytes1(uint8(index));
            size += 2;
        }
        assembly ("memory-safe") {
            mstore(packed, size)
        }
        return keccak256(packed);
    }

    /// @notice Whether `index` is in a list that is packed as it is hashed. The caller has checked its hash, and so that it is whole.
    function packedContains(bytes calldata indexes, uint256 index) internal pure returns (bool found) {
        assembly ("memory-safe") {
            let at := indexes.offset
            for { let end := add(at, indexes.length) } lt(at, end) { at := add(at, 2) } {
                if eq(shr(240, calldataload(at)), index) {
                    found := 1
                    break
                }
            }
        }
    }

    /// @notice Whether `index` is in the list. The caller has checked the list's hash.
    function contains(uint16[] calldata indexes, uint256 index) internal pure returns (bool) {
        for (uint256 i; i < indexes.length; ++i) {
            if (indexes[i] == index) return true;
        }
        return false;
    }
}
