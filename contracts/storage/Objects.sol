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
import {ObjectRecord, ObjectStatus, OpenRequest, ShardParameters, Tally} from "../types/Types.sol";
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
        // of each, in order
        Stored[] objects;
        uint256 unsignedTickets;
        address[] absent;
        // the number of their list
        uint24 absence;
        uint64 firstEpoch;
        uint64 latestEnd;
        uint256 intakeRest;
    }

    /// Objects of a list that follow each other and end together: booked as one.
    struct Run {
        uint64 endEpoch;
        uint256 bucket;
        // where their rows begin in each ticket's part of the bucket
        uint256 begin;
        // of each ticket
        uint256 rows;
        uint256 fee;
        uint256 intake;
    }

    ObjectChanges public immutable changes;

    /// @param changes_ made for the same Directory. Not made here: what creates a contract may have 49,152 bytes (EIP-3860), and all of this has more.
    constructor(IDirectory directory, ObjectChanges changes_) ObjectStore(directory, new ObjectRules(directory)) {
        changes = changes_;
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
        ObjectBook.Frame memory frame = book.frameOf();
        if (frame.bucketEpochs == 0) frame = _start(shards, book, request.shard, active);
        ObjectRules.Opening memory opening =
            rules.checkOpening(request, frame, book.pricePerByteEpochWad, book.intakePricePerByteWad);

        objectId = keccak256(
            abi.encode(Tags.OBJECT_ID, block.chainid, address(this), owner, _nonces[owner]++, opening.manifestRoot)
        );
        _reserve(book, opening);
        _store(objectId, owner, request, opening);
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

    function _store(bytes32 objectId, address owner, OpenRequest calldata request, ObjectRules.Opening memory opening)
        private
    {
        // ObjectRules has bounded what is narrowed here.
        Stored memory object;
        object.n = uint16(request.n);
        object.k = uint16(request.k);
        object.matrices = request.matrices;
        object.epochs = object.term = request.epochs;
        object.widthLog2 = _log2(request.width);
        object.status = ObjectStatus.Open;
        object.openedBlock = block.number.toUint40();
        object.roster = request.roster;
        object.owner = owner;
        object.shard = request.shard;
        object.manifestRoot = opening.manifestRoot;
        object.size = uint48(request.size);
        object.rowFee = uint80(opening.rowFee);
        object.intakeFee = uint80(opening.intakeFee);
        _saveNew(objectId, object);
    }

    /// Keeps room for the object until it is certified or can no longer be.
    function _reserve(ObjectBook.State storage book, ObjectRules.Opening memory opening) private {
        ObjectBook.Head memory head = _checkRoom(book, opening.nextEpoch, opening.rowsPerTicket);
        // The accumulator takes no more in one contribution; refused now, not when the object is paid and signed.
        if (opening.rowsPerTicket > Accumulator.MAX_ROWS) {
            revert RowsPerTicketExceeded(opening.rowsPerTicket, Accumulator.MAX_ROWS);
        }
        ObjectBook.reserve(head, opening.nextEpoch, opening.rowsPerTicket);
        book.setHead(head);
    }

    // ─── Certification ────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IObjects
    function certify(bytes32 objectId, bytes calldata signature, uint16[] calldata nonSigners) external {
        bytes32[] memory objectIds = new bytes32[](1);
        objectIds[0] = objectId;
        _certify(objectIds, true, signature, nonSigners);
    }

    /// @inheritdoc IObjects
    function certifyMany(bytes32[] calldata objectIds, bytes calldata signature, uint16[] calldata nonSigners)
        external
    {
        if (objectIds.length == 0) revert CertificateListEmpty();
        _certify(objectIds, false, signature, nonSigners);
    }

    function _certify(bytes32[] memory objectIds, bool alone, bytes calldata signature, uint16[] calldata nonSigners)
        private
    {
        Batch memory batch = _batch(objectIds, alone);
        (batch.unsignedTickets, batch.absent) = rules.checkCertificate(batch.signers, signature, nonSigners);

        (uint32 shard, uint32 roster) = (batch.signers.shard, batch.signers.roster);
        ObjectBook.State storage book = _books[shard][roster];
        if (nonSigners.length != 0) batch.absence = book.absenceOf(NonSigners.hashOf(nonSigners));
        _bookAll(batch, objectIds, nonSigners);
        _tellEnd(book, shard, roster, batch.latestEnd);
    }

    /// Checks all that the signers have no part in, and says what they must have signed.
    function _batch(bytes32[] memory objectIds, bool alone) private view returns (Batch memory batch) {
        bytes32[] memory digests = new bytes32[](objectIds.length);
        batch.objects = new Stored[](objectIds.length);
        ObjectRules.Signers memory signers;
        for (uint256 i; i < objectIds.length; ++i) {
            bytes32 objectId = objectIds[i];
            Stored memory object = _openObject(objectId);
            batch.objects[i] = object;
            if (i == 0) {
                batch.frame = _books[object.shard][object.roster].frameOf();
                signers = _signers(object.shard, object.roster, batch.frame.tickets);
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

    /// Certifies and lists the objects, and adds what they hold and earn to the roster's book: once for all that end together.
    function _bookAll(Batch memory batch, bytes32[] memory objectIds, uint16[] calldata nonSigners) private {
        ObjectBook.State storage book = _books[batch.signers.shard][batch.signers.roster];
        ObjectBook.Head memory head = book.headOf();
        Run memory run;
        for (uint256 i; i < objectIds.length; ++i) {
            run = _bookOne(book, batch, head, run, objectIds[i], batch.objects[i]);
            emit ObjectCertified(objectIds[i], batch.firstEpoch, run.endEpoch, nonSigners);
        }
        _bookRun(book, batch, head, run);
        if (batch.intakeRest != 0) book.tally.rest += batch.intakeRest.toUint48();
        book.setHead(head);
    }

    /// Adds an object to the run, or books that and begins another one. Returns the run that the object is in.
    function _bookOne(
        ObjectBook.State storage book,
        Batch memory batch,
        ObjectBook.Head memory head,
        Run memory run,
        bytes32 objectId,
        Stored memory object
    ) private returns (Run memory) {
        // Again: a list may name an object twice.
        ObjectStatus status = _objects[objectId].status;
        if (status != ObjectStatus.Open) revert ObjectNotOpen(objectId, uint8(status));
        (uint256 rows, uint256 fee) = _ofTicket(object, batch.frame.tickets);
        ObjectBook.release(head, ObjectBook.firstEpochAfter(batch.frame, object.openedBlock), rows);

        uint64 endEpoch = batch.firstEpoch + object.term;
        // The accumulator takes no more in one contribution: where it takes the rows it takes their fee.
        if (endEpoch != run.endEpoch || run.rows + rows > Accumulator.MAX_ROWS) {
            _bookRun(book, batch, head, run);
            run = _newRun(book, batch, endEpoch);
        }
        _recordCertified(batch, objectId, object, run);
        run.rows += rows;
        run.fee += fee;
        _addIntake(batch, run, object.intakeFee);
        return run;
    }

    /// An object's intake fee, in equal parts to the tickets that signed; what that leaves is kept.
    function _addIntake(Batch memory batch, Run memory run, uint256 intakeFee) private pure {
        uint256 signedTickets = batch.frame.tickets - batch.unsignedTickets;
        uint256 each = intakeFee / signedTickets;
        run.intake += each;
        batch.intakeRest += intakeFee - each * signedTickets;
    }

    function _newRun(ObjectBook.State storage book, Batch memory batch, uint64 endEpoch)
        private
        view
        returns (Run memory run)
    {
        if (endEpoch > batch.latestEnd) batch.latestEnd = endEpoch;
        run.endEpoch = endEpoch;
        run.bucket = ObjectBook.bucketOf(batch.frame, endEpoch);
        run.begin = book.nextStart(run.bucket);
    }

    function _bookRun(ObjectBook.State storage book, Batch memory batch, ObjectBook.Head memory head, Run memory run)
        private
    {
        if (run.endEpoch == 0) return;
        uint64 firstEpoch = batch.firstEpoch;
        book.count(head, run.bucket, firstEpoch, run.begin, run.rows);
        _addRun(book.tally, firstEpoch, run);
        for (uint256 i; i < batch.absent.length; ++i) {
            Accumulator.State storage excluded = book.excluded[batch.absent[i]];
            if (!excluded.started) excluded.start(firstEpoch - 1);
            _addRun(excluded, firstEpoch, run);
        }
    }

    function _addRun(Accumulator.State storage accumulator, uint64 firstEpoch, Run memory run) private {
        accumulator.add(firstEpoch, run.endEpoch, run.rows, run.fee);
        if (run.intake != 0) accumulator.sum += run.intake.toUint128();
    }

    function _recordCertified(Batch memory batch, bytes32 objectId, Stored memory object, Run memory run) private {
        object.status = ObjectStatus.Certified;
        object.firstEpoch = uint256(batch.firstEpoch).toUint32();
        object.marks = _marksOf(run.bucket, batch.unsignedTickets == 0 ? 0 : INCOMPLETE);
        object.listStart = (run.begin + run.rows).toUint48();
        _saveFirst(objectId, object);
        if (batch.unsignedTickets != 0) {
            Stored storage stored = _objects[objectId];
            stored.unsignedTickets = uint16(batch.unsignedTickets);
            stored.absence = batch.absence;
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
    function takeIntakeRest(uint32, uint32) external returns (uint256 amount) {
        _delegate();
    }

    /// @inheritdoc IObjects
    function roll(uint32, uint32, address, uint64, uint256) external {
        _delegate();
    }

    /// Runs the call as it came in ObjectChanges' code, on this contract's state, and answers what that answers.
    function _delegate() private {
        address code = address(changes);
        assembly ("memory-safe") {
            let memory_ := mload(0x40)
            calldatacopy(memory_, 0, calldatasize())
            let done := delegatecall(gas(), code, memory_, calldatasize(), 0, 0)
            returndatacopy(memory_, 0, returndatasize())
            if iszero(done) { revert(memory_, returndatasize()) }
            return(memory_, returndatasize())
        }
    }

    /// The same for what only reads: a caller that means it so makes a static call, and the compiler has seen that ObjectReads' views write nothing.
    function _read() private view {
        function() delegating = _delegate;
        function() view reading;
        assembly ("memory-safe") {
            reading := delegating
        }
        reading();
    }

    // ─── Helpers ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// The least signed tickets: ⌈2T/3⌉ and, in rows of a matrix, k beside a third of the tickets.
    function _quorum(uint256 k, uint256 n, uint256 tickets) private pure returns (uint256) {
        uint256 rowsEach = n / tickets;
        uint256 twoThirds = (2 * tickets + 2) / 3;
        uint256 recoverable = tickets / 3 + (k + rowsEach - 1) / rowsEach;
        return twoThirds > recoverable ? twoThirds : recoverable;
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    // Those that no contract asks at every certificate, answer or payment are in ObjectReads.

    /// @inheritdoc IObjects
    function quote(OpenRequest calldata) external view returns (uint256 storageFee, uint256 intakeFee, address token) {
        _read();
    }

    /// @inheritdoc IObjects
    function certificateDigest(bytes32) external view returns (bytes32 digest) {
        _read();
    }

    /// @inheritdoc IObjects
    function certificateListDigest(bytes32[] calldata) external view returns (bytes32 digest) {
        _read();
    }

    /// @inheritdoc IObjects
    function record(bytes32) external view returns (ObjectRecord memory result) {
        _read();
    }

    /// @inheritdoc IObjects
    function certificationDeadlineOf(bytes32) external view returns (uint256 blockNumber) {
        _read();
    }

    /// @inheritdoc IObjects
    function bucketOf(uint32, uint32, uint64) external view returns (uint256 bucket) {
        _read();
    }

    /// @inheritdoc IObjects
    function reservedRows(uint32, uint32) external view returns (uint256 rows) {
        _read();
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
    function shards() external view returns (address) {
        return address(_shards());
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
    function nonSignersHashOf(bytes32 objectId, uint64 epoch) external view returns (bytes32) {
        return _nonSignersHash(objectId, epoch);
    }

    /// @inheritdoc IObjects
    function listedRows(uint32 shard, uint32 roster, uint64 epoch) external view returns (uint64[] memory) {
        return _books[shard][roster].listedRows(epoch);
    }

    /// @inheritdoc IObjects
    function intakePerTicket(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (uint256 all, uint256 excluded)
    {
        ObjectBook.State storage book = _books[shard][roster];
        return (book.tally.sum, book.excluded[operator].sum);
    }

    function _tally(Accumulator.State storage accumulator, uint64 epoch) private view returns (Tally memory) {
        (uint256 rows, uint256 fee) = accumulator.valueAt(epoch);
        return Tally(rows.toUint64(), uint192(fee));
    }

    function _log2(uint256 width) private pure returns (uint8 result) {
        while (width > 1) {
            width >>= 1;
            ++result;
        }
    }
}
