// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {IShards} from "../interfaces/IShards.sol";
import {Accumulator} from "../libraries/Accumulator.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {ObjectBook} from "../libraries/ObjectBook.sol";
import {ObjectWord} from "../libraries/ObjectWord.sol";
import {Tags} from "../libraries/Tags.sol";
import {ObjectStatus} from "../types/Types.sol";
import {ObjectRules} from "./ObjectRules.sol";

/// @title ObjectStore
/// @notice The state of Objects, and what both parts of its code do with it: Objects itself, and ObjectChanges, which it calls by delegation.
abstract contract ObjectStore {
    using Accumulator for Accumulator.State;
    using ObjectBook for ObjectBook.State;
    using SafeCast for uint256;

    /// Four slots, of which a draw reads the first and the third, and certification writes the first, and the second if somebody did not sign.
    /// What a draw reads of the first is decoded by `ObjectWord`: its order is fixed.
    struct Stored {
        uint16 n;
        uint16 k;
        uint32 matrices;
        // the term as it stands: the one signed for, longer if extended, shorter if terminated
        uint32 term;
        uint32 firstEpoch;
        ObjectStatus status;
        // of the marks below; in the upper three bits the bucket in which it is listed
        uint8 marks;
        uint32 roster;
        uint32 shard;
        // where its rows begin in each ticket's part of its bucket
        uint48 listStart;
        // ── slot 1
        address owner;
        // the term signed for
        uint32 epochs;
        uint40 openedBlock;
        uint8 widthLog2;
        uint16 unsignedTickets;
        // ── slots 2, 3
        bytes32 manifestRoot;
        uint64 size;
        uint96 rowFee;
        uint96 intakeFee;
    }

    /// Who has not signed: as it stands, and as it counts in the first epoch, if somebody adopted its rows after that was frozen.
    struct Absence {
        bytes32 hash;
        bytes32 firstHash;
    }

    /// Somebody did not sign: there is an `Absence`.
    uint8 internal constant INCOMPLETE = ObjectWord.INCOMPLETE;
    /// The first epoch has a list of non-signers of its own.
    uint8 internal constant ADOPTED_LATER = 2;
    /// An extension listed it anew in a later bucket.
    uint8 internal constant MOVED = ObjectWord.MOVED;
    /// The fees of unsigned rows went back.
    uint8 internal constant UNSIGNED_RETURNED = 8;
    uint8 internal constant TERMINATED = 16;

    /// keccak256(""): the hash of no non-signers.
    bytes32 internal constant EMPTY_HASH = 0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470;

    IDirectory internal immutable DIRECTORY;
    ObjectRules public immutable rules;

    /// Whose rosters the books here are of, from the first opening on for good: no later module may give them duties. Zero before.
    IShards internal _pinnedShards;

    mapping(bytes32 objectId => Stored) internal _objects;
    mapping(bytes32 objectId => Absence) internal _absences;
    mapping(address owner => uint256) internal _nonces;
    mapping(uint32 shard => mapping(uint32 roster => ObjectBook.State)) internal _books;

    constructor(IDirectory directory, ObjectRules rules_) {
        (DIRECTORY, rules) = (directory, rules_);
    }

    function _checkRoom(ObjectBook.State storage book, uint64 nextEpoch, uint256 rows) internal view {
        (uint256 live,) = book.tally.valueAt(nextEpoch);
        uint256 total = live + book.reserved(nextEpoch) + rows;
        uint256 limit = book.head.rowsLimit;
        if (total > limit) revert IObjects.RowsPerTicketExceeded(total, limit);
    }

    /// Shards binds stake for as long as a roster has objects: it is told when that becomes longer.
    function _tellEnd(ObjectBook.State storage book, uint32 shard, uint32 roster, uint64 endEpoch) internal {
        if (endEpoch <= book.head.objectsEnd) return;
        book.head.objectsEnd = uint256(endEpoch).toUint32();
        _shards().recordObject(shard, roster, endEpoch);
    }

    /// Marks of an object that is listed in a bucket.
    function _marksOf(uint256 bucket, uint8 marks) internal pure returns (uint8) {
        // Eight buckets: three bits.
        return uint8(bucket << ObjectWord.MARK_BITS) | (marks & uint8((1 << ObjectWord.MARK_BITS) - 1));
    }

    /// Rows of the object that each ticket holds, and their fee for an epoch.
    function _ofTicket(Stored memory object, uint256 tickets) internal pure returns (uint256 rows, uint256 fee) {
        rows = uint256(object.n) / tickets * object.matrices;
        fee = rows * object.rowFee;
    }

    function _signers(uint32 shard, uint32 roster) internal view returns (ObjectRules.Signers memory signers) {
        ObjectBook.State storage book = _books[shard][roster];
        signers.shards = _shards();
        signers.verifier = ICertificateVerifier(book.certificateVerifier);
        (signers.shard, signers.roster) = (shard, roster);
        signers.tickets = book.frame.tickets;
    }

    function _digest(bytes32 objectId, Stored memory object) internal view returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(
                    Tags.CERTIFICATE,
                    block.chainid,
                    address(this),
                    objectId,
                    object.shard,
                    object.roster,
                    object.manifestRoot
                ),
                abi.encode(uint256(1) << object.widthLog2, object.k, object.n, object.matrices, object.epochs)
            )
        );
    }

    function _shards() internal view returns (IShards) {
        IShards pinned = _pinnedShards;
        return address(pinned) != address(0) ? pinned : IShards(DIRECTORY.module(ModuleNames.SHARDS));
    }

    function _rewards() internal view returns (IRewards) {
        return IRewards(DIRECTORY.module(ModuleNames.REWARDS));
    }

    function _openObject(bytes32 objectId) internal view returns (Stored memory object) {
        object = _objects[objectId];
        if (object.status == ObjectStatus.None) revert IObjects.ObjectUnknown(objectId);
        if (object.status != ObjectStatus.Open) revert IObjects.ObjectNotOpen(objectId, uint8(object.status));
    }
}
