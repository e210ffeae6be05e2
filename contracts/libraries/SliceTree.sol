// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title SliceTree
/// @notice The Merkle tree over an object's slice commitments, and the root that stands on chain for its manifest.
///
/// leaf  = keccak(0x00 ‖ uint64 index ‖ x ‖ y)    x, y: the commitment, uncompressed, 48 bytes each
/// node  = keccak(0x01 ‖ left ‖ right)
/// depth = ⌈log2(count)⌉, leaves from count up to 2^depth are 32 zero bytes; the bits of the index, the lowest at the
/// leaves, tell on which side a node stands (1: right).
/// root  = keccak(0x02 ‖ tree root ‖ parameters' hash)
///
/// The first byte keeps leaves, nodes and roots apart. A padding leaf is no leaf's hash, so nothing opens to it.
library SliceTree {
    /// What a manifest's root commits beside its commitments.
    struct Parameters {
        uint32 width;
        uint32 k;
        uint32 n;
        uint32 matrices;
        uint64 size;
        bytes32 contentHash;
        bytes32 headerHash;
    }

    /// @notice There is no such slice.
    error SliceIndexInvalid(uint256 index, uint256 count);

    /// @notice A Merkle path has the wrong number of nodes.
    error PathLengthInvalid(uint256 got, uint256 expected);

    /// @notice A commitment has the wrong number of bytes.
    error CommitmentLengthInvalid(uint256 got, uint256 expected);

    bytes1 private constant LEAF_TAG = 0x00;
    bytes1 private constant ROOT_TAG = 0x02;

    /// Bytes of a commitment, uncompressed.
    uint256 private constant COMMITMENT_BYTES = 96;

    /// @notice Levels of the tree over `count` leaves: ⌈log2(count)⌉, and 0 for none.
    function depthOf(uint256 count) internal pure returns (uint256) {
        return Math.log2(count, Math.Rounding.Ceil);
    }

    /// @notice The leaf of the slice `index`.
    function leafOf(uint64 index, bytes calldata commitment) internal pure returns (bytes32) {
        if (commitment.length != COMMITMENT_BYTES) {
            revert CommitmentLengthInvalid(commitment.length, COMMITMENT_BYTES);
        }
        return keccak256(abi.encodePacked(LEAF_TAG, index, commitment));
    }

    /// @notice The tree's root as a leaf and its path claim it.
    /// @param path The siblings, from the leaf's up.
    function rootFrom(bytes32 leaf, uint256 index, bytes32[] calldata path) internal pure returns (bytes32 root) {
        root = leaf;
        assembly ("memory-safe") {
            // 65 bytes beyond the allocated memory, used and left: tag, left, right.
            let node := mload(0x40)
            mstore8(node, 0x01)
            let left := add(node, 1)
            let sibling := path.offset
            for { let end := add(sibling, mul(path.length, 32)) } lt(sibling, end) { sibling := add(sibling, 32) } {
                // Where the bit is set, the node so far goes to the right.
                let side := mul(and(index, 1), 32)
                mstore(add(left, side), root)
                mstore(add(left, sub(32, side)), calldataload(sibling))
                root := keccak256(node, 65)
                index := shr(1, index)
            }
        }
    }

    /// @notice The path of the leaf shown last in one tree, in memory: the leaf, its index, and 65 bytes for each level, the node's preimage.
    /// Two leaves have the same preimages from the level on at which their indexes differ: the later one shows its siblings below it alone.
    struct Branch {
        bytes32 leaf;
        uint256 index;
        // 0: nothing was shown yet
        uint256 preimages;
    }

    function isEmpty(Branch memory branch) internal pure returns (bool) {
        return branch.preimages == 0;
    }

    /// @notice How many siblings a leaf must show in a tree of `count` leaves: all of its path, or those below where it meets the last one's.
    function levelsTo(Branch memory branch, uint256 index, uint256 count) internal pure returns (uint256) {
        return isEmpty(branch) ? depthOf(count) : Math.log2(index ^ branch.index);
    }

    /// @notice The root that the first leaf of a branch and its whole path claim. The caller compares it.
    function climb(Branch memory branch, bytes32 leaf, uint256 index, bytes32[] calldata siblings)
        internal
        pure
        returns (bytes32 root)
    {
        uint256 preimages;
        uint256 depth = siblings.length;
        assembly ("memory-safe") {
            preimages := mload(0x40)
            // Whole words.
            mstore(0x40, add(preimages, and(add(mul(depth, 65), 63), not(31))))
        }
        branch.preimages = preimages;
        return _climb(branch, leaf, index, siblings);
    }

    /// @notice Whether a further leaf, with as many siblings as `levelsTo` says, meets the path of the one before. The branch then is its path.
    function extend(Branch memory branch, bytes32 leaf, uint256 index, bytes32[] calldata siblings)
        internal
        pure
        returns (bool)
    {
        if (index == branch.index) return leaf == branch.leaf;
        bytes32 node = _climb(branch, leaf, index, siblings);
        uint256 preimages = branch.preimages;
        uint256 level = siblings.length;
        bytes32 known;
        assembly ("memory-safe") {
            known := mload(add(add(preimages, add(mul(level, 65), 1)), mul(and(shr(level, index), 1), 32)))
        }
        return node == known;
    }

    function _climb(Branch memory branch, bytes32 leaf, uint256 index, bytes32[] calldata siblings)
        private
        pure
        returns (bytes32 node)
    {
        (branch.leaf, branch.index) = (leaf, index);
        uint256 preimage = branch.preimages;
        node = leaf;
        assembly ("memory-safe") {
            let sibling := siblings.offset
            for { let end := add(sibling, mul(siblings.length, 32)) } lt(sibling, end) { sibling := add(sibling, 32) } {
                // Where the bit is set, the node so far goes to the right.
                let side := shl(5, and(index, 1))
                mstore8(preimage, 0x01)
                let left := add(preimage, 1)
                mstore(add(left, side), node)
                mstore(add(left, xor(side, 32)), calldataload(sibling))
                node := keccak256(preimage, 65)
                preimage := add(preimage, 65)
                index := shr(1, index)
            }
        }
    }

    /// @notice Tells whether a commitment is that of the slice `index` in a tree of `count` leaves.
    function verify(bytes32 treeRoot, uint256 count, uint256 index, bytes calldata commitment, bytes32[] calldata path)
        internal
        pure
        returns (bool)
    {
        if (index >= count) revert SliceIndexInvalid(index, count);
        uint256 depth = depthOf(count);
        if (path.length != depth) revert PathLengthInvalid(path.length, depth);

        // No tree is larger than 2^64 leaves: n·M is at most 2^32.
        return rootFrom(leafOf(uint64(index), commitment), index, path) == treeRoot;
    }

    /// @notice The hash of an object's parameters.
    function parametersHash(Parameters memory p) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(p.width, p.k, p.n, p.matrices, p.size, p.contentHash, p.headerHash));
    }

    /// @notice The root that stands on chain for a manifest.
    function manifestRoot(bytes32 treeRoot, bytes32 paramsHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(ROOT_TAG, treeRoot, paramsHash));
    }
}
