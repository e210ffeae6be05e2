// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {ObjectBook} from "../libraries/ObjectBook.sol";
import {ObjectRecord, ObjectStatus, OpenRequest, ShardParameters} from "../types/Types.sol";
import {ObjectRules} from "./ObjectRules.sol";
import {ObjectStore} from "./ObjectStore.sol";

/// @title ObjectReads
/// @notice What machines ask of Objects, and contracts seldom. Code that Objects, which has no room for it, runs on its own state: see there for each.
abstract contract ObjectReads is ObjectStore {
    using ObjectBook for ObjectBook.State;

    function quote(OpenRequest calldata request)
        external
        view
        returns (uint256 storageFee, uint256 intakeFee, address token)
    {
        ShardParameters memory parameters = _shards().parametersOf(request.shard);
        uint256 rowFee;
        (rowFee, intakeFee) = rules.fees(request, parameters.pricePerByteEpochWad, parameters.intakePricePerByteWad);
        return (rowFee * request.n * request.matrices * request.epochs, intakeFee, parameters.paymentToken);
    }

    function certificateDigest(bytes32 objectId) external view returns (bytes32) {
        Stored memory object = _load(objectId);
        if (object.status == ObjectStatus.None) revert IObjects.ObjectUnknown(objectId);
        return _digest(objectId, object);
    }

    function certificateListDigest(bytes32[] calldata objectIds) external view returns (bytes32) {
        if (objectIds.length == 0) revert IObjects.CertificateListEmpty();
        bytes32[] memory digests = new bytes32[](objectIds.length);
        Stored storage first = _objects[objectIds[0]];
        for (uint256 i; i < objectIds.length; ++i) {
            Stored memory object = _load(objectIds[i]);
            if (object.status == ObjectStatus.None) revert IObjects.ObjectUnknown(objectIds[i]);
            if (object.shard != first.shard || object.roster != first.roster) {
                revert IObjects.CertificateListMixed(objectIds[i]);
            }
            digests[i] = _digest(objectIds[i], object);
        }
        return _listDigest(first.shard, first.roster, digests);
    }

    function record(bytes32 objectId) external view returns (ObjectRecord memory result) {
        Stored memory object = _load(objectId);
        if (object.status == ObjectStatus.None) return result;
        result.owner = object.owner;
        result.status = object.status;
        result.shard = object.shard;
        result.roster = object.roster;
        result.width = uint32(1) << object.widthLog2;
        result.k = object.k;
        result.n = object.n;
        result.matrices = object.matrices;
        result.size = object.size;
        result.epochs = object.epochs;
        result.openedBlock = object.openedBlock;
        result.firstEpoch = object.firstEpoch;
        result.endEpoch = _endOf(object.firstEpoch, object.term);
        result.manifestRoot = object.manifestRoot;
        // no object ends later than any epoch: as it stands
        result.nonSignersHash = _nonSignersHash(objectId, type(uint64).max);
        result.firstNonSignersHash = _nonSignersHash(objectId, object.firstEpoch);
        result.unsignedTickets = object.unsignedTickets;
        result.unsignedReturned = object.marks & UNSIGNED_RETURNED != 0;
        result.terminated = object.marks & TERMINATED != 0;
        result.rowFee = object.rowFee;
        result.intakeFee = object.intakeFee;
    }

    function certificationDeadlineOf(bytes32 objectId) external view returns (uint256) {
        Stored memory object = _load(objectId);
        return uint256(object.openedBlock) + _books[object.shard][object.roster].frame.epochLength;
    }

    function bucketOf(uint32 shard, uint32 roster, uint64 endEpoch) external view returns (uint256) {
        return ObjectBook.bucketOf(_books[shard][roster].frameOf(), endEpoch);
    }

    function reservedRows(uint32 shard, uint32 roster) external view returns (uint256) {
        uint64 nextEpoch = _shards().firstEpochAfter(shard, block.number);
        return ObjectBook.reserved(_books[shard][roster].headOf(), nextEpoch);
    }
}
