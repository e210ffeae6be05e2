// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ObjectRecord} from "../types/Types.sol";

/// @title ObjectsDouble
/// @notice Stands in for Objects where a test is about assets: anyone says who owns what, and whether it was certified.
contract ObjectsDouble {
    mapping(bytes32 objectId => address) public ownerOf;
    mapping(bytes32 objectId => uint64) public endEpochOf;
    address public shards;

    function setShards(address shards_) external {
        shards = shards_;
    }

    function put(bytes32 objectId, address owner, uint64 endEpoch) external {
        ownerOf[objectId] = owner;
        endEpochOf[objectId] = endEpoch;
    }

    function record(bytes32 objectId) external view returns (ObjectRecord memory found) {
        (found.owner, found.shard, found.endEpoch) = (ownerOf[objectId], 1, endEpochOf[objectId]);
    }
}
