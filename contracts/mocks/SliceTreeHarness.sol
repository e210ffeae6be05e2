// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SliceTree} from "../libraries/SliceTree.sol";

/// @title SliceTreeHarness
/// @notice Calls each function of the library from outside, for tests.
contract SliceTreeHarness {
    using SliceTree for SliceTree.Branch;

    /// Shows leaves one after the other, each with as many of the siblings as it needs: the root that the first one claims, which of the others hold,
    /// and how many siblings were used.
    function follow(uint256 count, bytes32[] calldata leaves, uint256[] calldata indexes, bytes32[] calldata siblings)
        external
        pure
        returns (bytes32 root, bool[] memory holds, uint256 used)
    {
        SliceTree.Branch memory branch;
        holds = new bool[](leaves.length);
        for (uint256 i; i < leaves.length; ++i) {
            uint256 levels = branch.levelsTo(indexes[i], count);
            bytes32[] calldata part = siblings[used:used + levels];
            used += levels;
            if (branch.isEmpty()) {
                root = branch.climb(leaves[i], indexes[i], part);
                holds[i] = true;
            } else {
                holds[i] = branch.extend(leaves[i], indexes[i], part);
            }
        }
    }

    function depthOf(uint256 count) external pure returns (uint256) {
        return SliceTree.depthOf(count);
    }

    function leafOf(uint64 index, bytes calldata commitment) external pure returns (bytes32) {
        return SliceTree.leafOf(index, commitment);
    }

    function rootFrom(bytes32 leaf, uint256 index, bytes32[] calldata path) external pure returns (bytes32) {
        return SliceTree.rootFrom(leaf, index, path);
    }

    function verify(bytes32 treeRoot, uint256 count, uint256 index, bytes calldata commitment, bytes32[] calldata path)
        external
        pure
        returns (bool)
    {
        return SliceTree.verify(treeRoot, count, index, commitment, path);
    }

    function parametersHash(SliceTree.Parameters calldata parameters) external pure returns (bytes32) {
        return SliceTree.parametersHash(parameters);
    }

    function manifestRoot(bytes32 treeRoot, bytes32 paramsHash) external pure returns (bytes32) {
        return SliceTree.manifestRoot(treeRoot, paramsHash);
    }
}
