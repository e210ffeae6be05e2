// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ListLeaf} from "../types/Types.sol";

/// @title SumTree
/// @notice A Merkle tree whose nodes hold what their leaves sum up to.
///
/// leaf  = keccak(keccak(abi.encode(chain id, contract, list, uint40 index, account, uint128 cumulative))), its sum the cumulative amount
/// node  = keccak(0x01 ‖ left ‖ uint256 left's sum ‖ right ‖ uint256 right's sum), its sum both sums
/// depth = ⌈log2(count)⌉; leaves from count up to 2^depth are 32 zero bytes with the sum zero
///
/// A leaf is hashed twice and a node has 129 bytes in front of its hash, so neither passes for the other; a padding leaf is no leaf's hash. Every path shows all sums
/// on its way, so whatever whoever made the tree wrote elsewhere, **the leaves that can be shown under one root sum up to at most its total**.
library SumTree {
    /// @notice There is no such leaf.
    error LeafIndexInvalid(uint256 index, uint256 count);
    /// @notice A path has the wrong number of hashes or sums.
    error SumPathInvalid(uint256 hashes, uint256 sums, uint256 expected);

    bytes1 private constant NODE_TAG = 0x01;

    /// @notice Levels of the tree over `count` leaves.
    function depthOf(uint256 count) internal pure returns (uint256) {
        return Math.log2(count, Math.Rounding.Ceil);
    }

    /// @notice A leaf's hash in a list of this contract, on this chain.
    function leafOf(uint256 listId, uint256 index, address account, uint256 cumulative)
        internal
        view
        returns (bytes32)
    {
        bytes32 inner = keccak256(abi.encode(block.chainid, address(this), listId, index, account, cumulative));
        return keccak256(abi.encode(inner));
    }

    /// @notice The root and total that a leaf and its path claim, in a tree of `count` leaves. Sums are below 2^128 and a path shorter than 64, so none overflows.
    function rootFrom(uint256 listId, ListLeaf calldata leaf, uint256 count)
        internal
        view
        returns (bytes32 node, uint256 sum)
    {
        if (leaf.index >= count) revert LeafIndexInvalid(leaf.index, count);
        uint256 depth = depthOf(count);
        if (leaf.siblings.length != depth || leaf.sums.length != depth) {
            revert SumPathInvalid(leaf.siblings.length, leaf.sums.length, depth);
        }

        (node, sum) = (leafOf(listId, leaf.index, leaf.account, leaf.cumulative), leaf.cumulative);
        for (uint256 level; level < depth; ++level) {
            (bytes32 sibling, uint256 other) = (leaf.siblings[level], leaf.sums[level]);
            node = (leaf.index >> level) & 1 == 0
                ? keccak256(abi.encodePacked(NODE_TAG, node, sum, sibling, other))
                : keccak256(abi.encodePacked(NODE_TAG, sibling, other, node, sum));
            sum += other;
        }
    }
}
