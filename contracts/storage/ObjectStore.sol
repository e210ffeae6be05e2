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

    /// Four slots, each from the lowest bits up. A draw reads the first and the third; certification reads all but the second and writes the
    /// first, and the second if somebody did not sign. What a draw reads of the first is decoded by `ObjectWord`: its order is fixed.
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
        // if somebody did not sign: how many tickets, and the number of the list, as it stands, and as it counts in the first epoch if somebody adopted
        // its rows after that was frozen
        uint16 unsignedTickets;
        uint24 absence;
        uint24 firstAbsence;
        // ── slot 2
        bytes32 manifestRoot;
        // ── slot 3; ObjectRules bounds size and fees by these widths
        uint48 size;
        uint80 rowFee;
        uint80 intakeFee;
        uint40 openedBlock;
        uint8 widthLog2;
    }

    /// Somebody did not sign: there is a list.
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
    mapping(address owner => uint256) internal _nonces;
    mapping(uint32 shard => mapping(uint32 roster => ObjectBook.State)) internal _books;

    constructor(IDirectory directory, ObjectRules rules_) {
        (DIRECTORY, rules) = (directory, rules_);
    }

    /// Returns the book's head, as it is.
    function _checkRoom(ObjectBook.State storage book, uint64 nextEpoch, uint256 rows)
        internal
        view
        returns (ObjectBook.Head memory head)
    {
        (uint256 live,) = book.tally.valueAt(nextEpoch);
        head = book.headOf();
        uint256 total = live + ObjectBook.reserved(head, nextEpoch) + rows;
        uint256 limit = head.rowsLimit;
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

    // ─── Slots: the compiler would read and write one for each member ─────────────────────────────────────────────

    /// An object, in four reads.
    function _load(bytes32 objectId) internal view returns (Stored memory object) {
        object = _loadSigned(objectId);
        Stored storage stored = _objects[objectId];
        uint256 word;
        assembly ("memory-safe") {
            word := sload(add(stored.slot, 1))
        }
        object.owner = address(uint160(word));
        object.epochs = uint32(word >> 160);
        object.unsignedTickets = uint16(word >> 192);
        object.absence = uint24(word >> 208);
        object.firstAbsence = uint24(word >> 232);
    }

    /// What a certificate asks of an object that is open, in three reads: all but its owner. Its term is still the one signed for.
    function _loadSigned(bytes32 objectId) internal view returns (Stored memory object) {
        Stored storage stored = _objects[objectId];
        uint256 word;
        uint256 money;
        bytes32 root;
        assembly ("memory-safe") {
            word := sload(stored.slot)
            root := sload(add(stored.slot, 2))
            money := sload(add(stored.slot, 3))
        }
        object.n = uint16(word);
        object.k = uint16(word >> 16);
        object.matrices = uint32(word >> 32);
        object.term = object.epochs = uint32(word >> 64);
        object.firstEpoch = uint32(word >> 96);
        object.status = ObjectStatus(uint8(word >> 128));
        object.marks = uint8(word >> 136);
        object.roster = uint32(word >> 144);
        object.shard = uint32(word >> 176);
        object.listStart = uint48(word >> 208);
        object.manifestRoot = root;
        object.size = uint48(money);
        object.rowFee = uint80(money >> 48);
        object.intakeFee = uint80(money >> 128);
        object.openedBlock = uint40(money >> 208);
        object.widthLog2 = uint8(money >> 248);
    }

    /// Writes the first slot.
    function _saveFirst(bytes32 objectId, Stored memory object) internal {
        uint256 word = uint256(object.listStart) << 208 | uint256(object.shard) << 176 | uint256(object.roster) << 144
            | uint256(object.marks) << 136 | uint256(object.status) << 128 | uint256(object.firstEpoch) << 96
            | uint256(object.term) << 64;
        word |= uint256(object.matrices) << 32 | uint256(object.k) << 16 | object.n;
        Stored storage stored = _objects[objectId];
        assembly ("memory-safe") {
            sstore(stored.slot, word)
        }
    }

    /// Writes an object that nobody signed yet.
    function _saveNew(bytes32 objectId, Stored memory object) internal {
        _saveFirst(objectId, object);
        Stored storage stored = _objects[objectId];
        uint256 owned = uint256(object.epochs) << 160 | uint160(object.owner);
        uint256 money = uint256(object.widthLog2) << 248 | uint256(object.openedBlock) << 208
            | uint256(object.intakeFee) << 128 | uint256(object.rowFee) << 48 | object.size;
        bytes32 root = object.manifestRoot;
        assembly ("memory-safe") {
            sstore(add(stored.slot, 1), owned)
            sstore(add(stored.slot, 2), root)
            sstore(add(stored.slot, 3), money)
        }
    }

    function _signers(uint32 shard, uint32 roster, uint256 tickets)
        internal
        view
        returns (ObjectRules.Signers memory signers)
    {
        signers.shards = _shards();
        signers.verifier = ICertificateVerifier(_books[shard][roster].certificateVerifier);
        (signers.shard, signers.roster) = (shard, roster);
        signers.tickets = tickets;
    }

    function _listDigest(uint32 shard, uint32 roster, bytes32[] memory digests) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                Tags.CERTIFICATE_LIST, block.chainid, address(this), shard, roster, keccak256(abi.encodePacked(digests))
            )
        );
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

    function _nonSignersHash(bytes32 objectId, uint64 epoch) internal view returns (bytes32) {
        Stored storage object = _objects[objectId];
        uint8 marks = object.marks;
        if (marks & INCOMPLETE == 0) return EMPTY_HASH;
        bool isFirst = marks & ADOPTED_LATER != 0 && epoch == object.firstEpoch;
        return _books[object.shard][object.roster].absences[isFirst ? object.firstAbsence : object.absence];
    }

    function _endOf(uint64 firstEpoch, uint64 term) internal pure returns (uint64) {
        return firstEpoch == 0 ? 0 : firstEpoch + term;
    }

    function _shards() internal view returns (IShards) {
        IShards pinned = _pinnedShards;
        return address(pinned) != address(0) ? pinned : IShards(DIRECTORY.module(ModuleNames.SHARDS));
    }

    function _rewards() internal view returns (IRewards) {
        return IRewards(DIRECTORY.module(ModuleNames.REWARDS));
    }

    /// One that waits for its certificate; without its owner.
    function _openObject(bytes32 objectId) internal view returns (Stored memory object) {
        object = _loadSigned(objectId);
        if (object.status == ObjectStatus.None) revert IObjects.ObjectUnknown(objectId);
        if (object.status != ObjectStatus.Open) revert IObjects.ObjectNotOpen(objectId, uint8(object.status));
    }
}
