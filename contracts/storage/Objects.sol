// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {IShards} from "../interfaces/IShards.sol";
import {Accumulator} from "../libraries/Accumulator.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {NonSigners} from "../libraries/NonSigners.sol";
import {ObjectBook} from "../libraries/ObjectBook.sol";
import {Tags} from "../libraries/Tags.sol";
import {
    ListedObject,
    Listing,
    ObjectRecord,
    ObjectStatus,
    OpenRequest,
    ShardParameters,
    Tally
} from "../types/Types.sol";
import {ObjectChanges} from "./ObjectChanges.sol";
import {ObjectRules} from "./ObjectRules.sol";
import {ObjectStore} from "./ObjectStore.sol";

/// @title Objects
/// @notice Holds every object's record and, per roster, the book of what its tickets hold and earn. Holds no token. What must be true of an
/// opening and a certificate is checked by ObjectRules; what ends or changes an object is in ObjectChanges.
///
/// Typical flow: 1 `open` (paid through Rewards); 2 operators sign off chain; 3 `certify` or `certifyMany`, or `fail` after the deadline;
/// 4 who was late may `adopt` its rows; then `returnUnsigned` gives back the rest; 5 `extend` or `terminate`.
///
/// Invariants, for a roster of T tickets, an epoch e, and L(e) = its certified objects with firstEpoch ≤ e < end:
/// - I-O1  tally(e) = Σ over L(e) of ((n/T)·M rows, (n/T)·M·rowFee); excludedTally(e) of an operator = the same over those in
///         L(e) whose list of non-signers as it counts in e holds it
/// - I-O2  tally(e).rows ≤ the shard's maxRowsPerTicket
/// - I-O3  what listedRows, tally, listing and listed say of e does not change after block B_e
/// - I-O4  listings of a bucket are disjoint, without gaps, in order of listing: start of each = end of the one before; of an object's
///         listings in all buckets exactly one is live in each of its epochs, none in others
/// - I-O5  certified ⇒ signed tickets ≥ ⌈2T/3⌉ and signed·n/T ≥ k + ⌊T/3⌋·n/T and no operator holds more than k rows of a matrix
/// - I-O6  Open → Certified or Failed, once, at or before its deadline, or after it; no other change
/// - I-O7  paid for an object = Σ over its epochs e of (tickets whose operators signed as of e)·(n/T)·M·rowFee + what was returned, as soon
///         as the unsigned was returned
contract Objects is ObjectStore, IObjects {
    using Accumulator for Accumulator.State;
    using ObjectBook for ObjectBook.State;
    using SafeCast for uint256;

    /// What certificates of one list have in common.
    struct Batch {
        ObjectRules.Signers signers;
        ObjectBook.Frame frame;
        uint256 unsignedTickets;
        address[] absent;
        uint64 firstEpoch;
        uint64 latestEnd;
        uint256 intakeRemainder;
    }

    ObjectChanges public immutable changes;

    constructor(IDirectory directory) ObjectStore(directory, new ObjectRules(directory)) {
        changes = new ObjectChanges(directory, rules);
    }

    // ─── Opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IObjects
    function open(OpenRequest calldata request) external returns (bytes32 objectId) {
        return _open(request, msg.sender);
    }

    /// @inheritdoc IObjects
    function openFor(OpenRequest calldata request, address owner, uint256 deadline, bytes calldata signature)
        external
        returns (bytes32 objectId)
    {
        rules.checkOwner(request, owner, _nonces[owner], deadline, signature);
        return _open(request, owner);
    }

    function _open(OpenRequest calldata request, address owner) private returns (bytes32 objectId) {
        if (address(_pinnedShards) == address(0)) {
            if (DIRECTORY.sealedBlock() == 0) revert DirectoryNotSealed();
            _pinnedShards = _shards();
        }
        IShards shards = _pinnedShards;
        uint32 active = shards.activeRoster(request.shard);
        if (active == 0 || request.roster != active) revert RosterNotActive(request.roster, active);

        ObjectBook.State storage book = _books[request.shard][active];
        ObjectBook.Frame memory frame = book.frame;
        if (frame.bucketEpochs == 0) frame = _start(shards, book, request.shard, active);
        ObjectRules.Opening memory opening =
            rules.checkOpening(request, frame, book.pricePerByteEpochWad, book.intakePricePerByteWad);

        objectId = keccak256(
            abi.encode(Tags.OBJECT_ID, block.chainid, address(this), owner, _nonces[owner]++, opening.manifestRoot)
        );
        _reserve(book, opening);
        _store(_objects[objectId], owner, request, opening);
        emit ObjectOpened(
            objectId,
            owner,
            request.shard,
            request.roster,
            request,
            opening.manifestRoot,
            opening.storageFee + opening.intakeFee
        );

        _rewards().collectOpening(objectId, request.shard, owner, opening.storageFee, opening.intakeFee);
    }

    function _start(IShards shards, ObjectBook.State storage book, uint32 shard, uint32 roster)
        private
        returns (ObjectBook.Frame memory)
    {
        book.certificateVerifier = DIRECTORY.module(ModuleNames.CERTIFICATE_VERIFIER);
        return book.start(shards.rosterHead(shard, roster), shards.parametersOf(shard), shards.firstBlockOf(shard));
    }

    function _store(
        Stored storage object,
        address owner,
        OpenRequest calldata request,
        ObjectRules.Opening memory opening
    ) private {
        // ObjectRules has bounded what is narrowed here.
        object.n = uint16(request.n);
        object.k = uint16(request.k);
        object.matrices = request.matrices;
        object.epochs = request.epochs;
        object.term = request.epochs;
        object.widthLog2 = _log2(request.width);
        object.status = ObjectStatus.Open;
        object.openedBlock = block.number.toUint40();
        object.roster = request.roster;
        object.owner = owner;
        object.shard = request.shard;
        object.manifestRoot = opening.manifestRoot;
        object.size = request.size;
        object.rowFee = uint96(opening.rowFee);
        object.intakeFee = uint96(opening.intakeFee);
    }

    /// Keeps room for the object until it is certified or can no longer be.
    function _reserve(ObjectBook.State storage book, ObjectRules.Opening memory opening) private {
        _checkRoom(book, opening.nextEpoch, opening.rowsPerTicket);
        // The accumulator takes no more in one contribution; refused now, not when the object is paid and signed.
        if (opening.rowsPerTicket > Accumulator.MAX_ROWS) {
            revert RowsPerTicketExceeded(opening.rowsPerTicket, Accumulator.MAX_ROWS);
        }
        book.reserve(opening.nextEpoch, opening.rowsPerTicket);
    }

    // ─── Certification ────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IObjects
    function certify(
        bytes32 objectId,
        bytes calldata signature,
        uint16[] calldata nonSigners,
        bytes calldata excludedKeys
    ) external {
        bytes32[] memory objectIds = new bytes32[](1);
        objectIds[0] = objectId;
        _certify(objectIds, true, signature, nonSigners, excludedKeys);
    }

    /// @inheritdoc IObjects
    function certifyMany(
        bytes32[] calldata objectIds,
        bytes calldata signature,
        uint16[] calldata nonSigners,
        bytes calldata excludedKeys
    ) external {
        if (objectIds.length == 0) revert CertificateListEmpty();
        _certify(objectIds, false, signature, nonSigners, excludedKeys);
    }

    function _certify(
        bytes32[] memory objectIds,
        bool alone,
        bytes calldata signature,
        uint16[] calldata nonSigners,
        bytes calldata excludedKeys
    ) private {
        Batch memory batch = _batch(objectIds, alone);
        (batch.unsignedTickets, batch.absent) =
            rules.checkCertificate(batch.signers, signature, nonSigners, excludedKeys);

        bytes32 nonSignersHash = NonSigners.hashOf(nonSigners);
        for (uint256 i; i < objectIds.length; ++i) {
            bytes32 objectId = objectIds[i];
            // Again: a list may name an object twice.
            uint64 endEpoch = _book(batch, objectId, _openObject(objectId), nonSignersHash);
            emit ObjectCertified(objectId, batch.firstEpoch, endEpoch, nonSigners);
        }

        (uint32 shard, uint32 roster) = (batch.signers.shard, batch.signers.roster);
        _tellEnd(_books[shard][roster], shard, roster, batch.latestEnd);
        if (batch.intakeRemainder != 0) _rewards().bookIntakeRemainder(shard, batch.intakeRemainder);
    }

    /// Checks all that the signers have no part in, and says what they must have signed.
    function _batch(bytes32[] memory objectIds, bool alone) private view returns (Batch memory batch) {
        bytes32[] memory digests = new bytes32[](objectIds.length);
        ObjectRules.Signers memory signers;
        for (uint256 i; i < objectIds.length; ++i) {
            bytes32 objectId = objectIds[i];
            Stored memory object = _openObject(objectId);
            if (i == 0) {
                signers = _signers(object.shard, object.roster);
                batch.frame = _books[object.shard][object.roster].frame;
            } else if (object.shard != signers.shard || object.roster != signers.roster) {
                revert CertificateListMixed(objectId);
            }
            uint256 deadline = uint256(object.openedBlock) + batch.frame.epochLength;
            if (block.number > deadline) revert CertificationTooLate(block.number, deadline);
            uint256 needed = _quorum(object.k, object.n, signers.tickets);
            if (needed > signers.needed) signers.needed = needed;
            digests[i] = _digest(objectId, object);
        }
        signers.digest = alone ? digests[0] : _listDigest(signers.shard, signers.roster, digests);
        signers.subject = alone ? objectIds[0] : signers.digest;
        batch.signers = signers;
        batch.firstEpoch = ObjectBook.firstEpochAfter(batch.frame, block.number);
    }

    /// Certifies and lists the object, and adds what it holds and earns to the roster's book. Returns its end.
    function _book(Batch memory batch, bytes32 objectId, Stored memory object, bytes32 nonSignersHash)
        private
        returns (uint64 endEpoch)
    {
        ObjectBook.State storage book = _books[object.shard][object.roster];
        uint64 firstEpoch = batch.firstEpoch;
        endEpoch = firstEpoch + object.term;
        if (endEpoch > batch.latestEnd) batch.latestEnd = endEpoch;
        (uint256 rows, uint256 fee) = _ofTicket(object, batch.frame.tickets);
        book.release(ObjectBook.firstEpochAfter(batch.frame, object.openedBlock), rows);
        (uint256 bucket, uint256 listStart) = book.list(objectId, firstEpoch, endEpoch, rows);
        book.tally.add(firstEpoch, endEpoch, rows, fee);

        _recordCertified(batch, objectId, bucket, listStart, nonSignersHash);
        uint256 signedTickets = batch.frame.tickets - batch.unsignedTickets;
        uint256 intakeEach = object.intakeFee / signedTickets;
        batch.intakeRemainder += object.intakeFee - intakeEach * signedTickets;
        book.intake += intakeEach;
        for (uint256 i; i < batch.absent.length; ++i) {
            address operator = batch.absent[i];
            Accumulator.State storage excluded = book.excluded[operator];
            if (!excluded.started) excluded.start(firstEpoch - 1);
            excluded.add(firstEpoch, endEpoch, rows, fee);
            book.intakeExcluded[operator] += intakeEach;
        }
    }

    function _recordCertified(
        Batch memory batch,
        bytes32 objectId,
        uint256 bucket,
        uint256 listStart,
        bytes32 nonSignersHash
    ) private {
        Stored storage stored = _objects[objectId];
        stored.status = ObjectStatus.Certified;
        stored.firstEpoch = uint256(batch.firstEpoch).toUint32();
        stored.marks = _marksOf(bucket, batch.unsignedTickets == 0 ? 0 : INCOMPLETE);
        stored.listStart = listStart.toUint48();
        if (batch.unsignedTickets != 0) {
            stored.unsignedTickets = uint16(batch.unsignedTickets);
            _absences[objectId].hash = nonSignersHash;
        }
    }

    // ─── Ends and changes ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IObjects
    function fail(bytes32) external {
        _delegate();
    }

    /// @inheritdoc IObjects
    function adopt(bytes32, uint16, bytes calldata, bytes calldata, uint16[] calldata) external {
        _delegate();
    }

    /// @inheritdoc IObjects
    function returnUnsigned(bytes32) external {
        _delegate();
    }

    /// @inheritdoc IObjects
    function extend(bytes32, uint32, uint256, uint16[] calldata) external {
        _delegate();
    }

    /// @inheritdoc IObjects
    function terminate(bytes32, uint16[] calldata) external {
        _delegate();
    }

    /// @inheritdoc IObjects
    function roll(uint32, uint32, address, uint64, uint256) external {
        _delegate();
    }

    /// Runs the call as it came in ObjectChanges' code, on this contract's state.
    function _delegate() private {
        address code = address(changes);
        assembly ("memory-safe") {
            let memory_ := mload(0x40)
            calldatacopy(memory_, 0, calldatasize())
            if iszero(delegatecall(gas(), code, memory_, calldatasize(), 0, 0)) {
                returndatacopy(memory_, 0, returndatasize())
                revert(memory_, returndatasize())
            }
        }
    }

    // ─── Helpers ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// The least signed tickets: ⌈2T/3⌉ and, in rows of a matrix, k beside a third of the tickets.
    function _quorum(uint256 k, uint256 n, uint256 tickets) private pure returns (uint256) {
        uint256 rowsEach = n / tickets;
        uint256 twoThirds = (2 * tickets + 2) / 3;
        uint256 recoverable = tickets / 3 + (k + rowsEach - 1) / rowsEach;
        return twoThirds > recoverable ? twoThirds : recoverable;
    }

    function _listDigest(uint32 shard, uint32 roster, bytes32[] memory digests) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                Tags.CERTIFICATE_LIST, block.chainid, address(this), shard, roster, keccak256(abi.encodePacked(digests))
            )
        );
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IObjects
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

    /// @inheritdoc IObjects
    function certificateDigest(bytes32 objectId) external view returns (bytes32) {
        Stored memory object = _objects[objectId];
        if (object.status == ObjectStatus.None) revert ObjectUnknown(objectId);
        return _digest(objectId, object);
    }

    /// @inheritdoc IObjects
    function certificateListDigest(bytes32[] calldata objectIds) external view returns (bytes32) {
        if (objectIds.length == 0) revert CertificateListEmpty();
        bytes32[] memory digests = new bytes32[](objectIds.length);
        Stored storage first = _objects[objectIds[0]];
        for (uint256 i; i < objectIds.length; ++i) {
            Stored memory object = _objects[objectIds[i]];
            if (object.status == ObjectStatus.None) revert ObjectUnknown(objectIds[i]);
            if (object.shard != first.shard || object.roster != first.roster) {
                revert CertificateListMixed(objectIds[i]);
            }
            digests[i] = _digest(objectIds[i], object);
        }
        return _listDigest(first.shard, first.roster, digests);
    }

    /// @inheritdoc IObjects
    function record(bytes32 objectId) external view returns (ObjectRecord memory result) {
        Stored memory object = _objects[objectId];
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
        result.nonSignersHash = nonSignersHashOf(objectId, type(uint64).max);
        result.firstNonSignersHash = nonSignersHashOf(objectId, object.firstEpoch);
        result.unsignedTickets = object.unsignedTickets;
        result.unsignedReturned = object.marks & UNSIGNED_RETURNED != 0;
        result.terminated = object.marks & TERMINATED != 0;
        result.rowFee = object.rowFee;
        result.intakeFee = object.intakeFee;
    }

    /// @inheritdoc IObjects
    function ownerOf(bytes32 objectId) external view returns (address) {
        return _objects[objectId].owner;
    }

    /// @inheritdoc IObjects
    function endEpochOf(bytes32 objectId) external view returns (uint64) {
        Stored storage object = _objects[objectId];
        return _endOf(object.firstEpoch, object.term);
    }

    /// @inheritdoc IObjects
    function certificationDeadlineOf(bytes32 objectId) external view returns (uint256) {
        Stored storage object = _objects[objectId];
        return uint256(object.openedBlock) + _books[object.shard][object.roster].frame.epochLength;
    }

    /// @inheritdoc IObjects
    function nonceOf(address owner) external view returns (uint256) {
        return _nonces[owner];
    }

    /// @inheritdoc IObjects
    function tally(uint32 shard, uint32 roster, uint64 epoch) external view returns (Tally memory) {
        return _tally(_books[shard][roster].tally, epoch);
    }

    /// @inheritdoc IObjects
    function excludedTally(uint32 shard, uint32 roster, address operator, uint64 epoch)
        external
        view
        returns (Tally memory)
    {
        return _tally(_books[shard][roster].excluded[operator], epoch);
    }

    /// @inheritdoc IObjects
    function holdings(uint32 shard, uint32 roster, address operator, uint64 epoch)
        external
        view
        returns (uint256 live, uint64[] memory rowsPerTicket)
    {
        ObjectBook.State storage book = _books[shard][roster];
        (live,) = book.tally.valueAt(epoch);
        if (live != 0) {
            (uint256 excluded,) = book.excluded[operator].valueAt(epoch);
            live -= excluded;
        }
        rowsPerTicket = book.listedRows(epoch);
    }

    /// @inheritdoc IObjects
    function wordsOf(bytes32[] calldata objectIds) external view returns (bytes32[] memory words) {
        words = new bytes32[](2 * objectIds.length);
        for (uint256 i; i < objectIds.length; ++i) {
            Stored storage object = _objects[objectIds[i]];
            bytes32 root = object.manifestRoot;
            assembly ("memory-safe") {
                let pair := add(add(words, 32), mul(i, 64))
                mstore(pair, sload(object.slot))
                mstore(add(pair, 32), root)
            }
        }
    }

    /// @inheritdoc IObjects
    function leftOf(uint32 shard, uint32 roster, uint256 bucket, bytes32 objectId)
        external
        view
        returns (uint256 start, uint256 until)
    {
        ObjectBook.Left storage left = _books[shard][roster].left[objectId][bucket];
        return (left.start, left.until);
    }

    /// @inheritdoc IObjects
    function nonSignersHashOf(bytes32 objectId, uint64 epoch) public view returns (bytes32) {
        Stored storage object = _objects[objectId];
        uint8 marks = object.marks;
        if (marks & INCOMPLETE == 0) return EMPTY_HASH;
        Absence storage absence = _absences[objectId];
        return marks & ADOPTED_LATER != 0 && epoch == object.firstEpoch ? absence.firstHash : absence.hash;
    }

    /// @inheritdoc IObjects
    function listedRows(uint32 shard, uint32 roster, uint64 epoch) external view returns (uint64[] memory) {
        return _books[shard][roster].listedRows(epoch);
    }

    /// @inheritdoc IObjects
    function listing(uint32 shard, uint32 roster, uint256 bucket, uint256 index)
        external
        view
        returns (Listing memory)
    {
        ListedObject memory object = listed(shard, roster, bucket, index, 0);
        return Listing({objectId: object.objectId, start: object.start, end: object.end});
    }

    /// @inheritdoc IObjects
    function listed(uint32 shard, uint32 roster, uint256 bucket, uint256 index, uint64 epoch)
        public
        view
        returns (ListedObject memory result)
    {
        ObjectBook.State storage book = _books[shard][roster];
        bytes32[] storage list = book.lists[bucket];
        if (index >= list.length) revert ListingOutOfRange(index, list.length);
        bytes32 objectId = list[index];
        Stored storage object = _objects[objectId];
        result.objectId = objectId;
        result.n = object.n;
        result.matrices = object.matrices;
        uint64 firstEpoch = object.firstEpoch;
        result.endEpoch = firstEpoch + object.term;
        result.start = object.listStart;
        uint8 marks = object.marks;
        if (marks & MOVED != 0) {
            ObjectBook.Left memory left = book.left[objectId][bucket];
            if (left.until != 0) (result.start, result.endEpoch) = (left.start, left.until);
        }
        result.end = result.start + uint64(object.n / book.frame.tickets) * object.matrices;
        result.manifestRoot = object.manifestRoot;
        result.nonSignersHash = nonSignersHashOf(objectId, epoch);
    }

    /// @inheritdoc IObjects
    function listingCount(uint32 shard, uint32 roster, uint256 bucket) external view returns (uint256) {
        return _books[shard][roster].lists[bucket].length;
    }

    /// @inheritdoc IObjects
    function bucketOf(uint32 shard, uint32 roster, uint64 endEpoch) external view returns (uint256) {
        return _books[shard][roster].bucketOf(endEpoch);
    }

    /// @inheritdoc IObjects
    function reservedRows(uint32 shard, uint32 roster) external view returns (uint256) {
        return _books[shard][roster].reserved(_shards().firstEpochAfter(shard, block.number));
    }

    /// @inheritdoc IObjects
    function intakePerTicket(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (uint256 all, uint256 excluded)
    {
        ObjectBook.State storage book = _books[shard][roster];
        return (book.intake, book.intakeExcluded[operator]);
    }

    function _tally(Accumulator.State storage accumulator, uint64 epoch) private view returns (Tally memory) {
        (uint256 rows, uint256 fee) = accumulator.valueAt(epoch);
        return Tally(rows.toUint64(), uint192(fee));
    }

    function _endOf(uint64 firstEpoch, uint64 term) private pure returns (uint64) {
        return firstEpoch == 0 ? 0 : firstEpoch + term;
    }

    function _log2(uint256 width) private pure returns (uint8 result) {
        while (width > 1) {
            width >>= 1;
            ++result;
        }
    }
}
