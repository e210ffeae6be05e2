// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {IPricing} from "../interfaces/IPricing.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {IShards} from "../interfaces/IShards.sol";
import {Accumulator} from "../libraries/Accumulator.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {NonSigners} from "../libraries/NonSigners.sol";
import {ObjectBook} from "../libraries/ObjectBook.sol";
import {SliceTree} from "../libraries/SliceTree.sol";
import {Tags} from "../libraries/Tags.sol";
import {
    ListedObject,
    Listing,
    ObjectRecord,
    ObjectStatus,
    OpenRequest,
    RosterEntry,
    RosterHead,
    ShardParameters,
    Tally
} from "../types/Types.sol";

/// @title Objects
/// @notice Holds every object's record and, per roster, the book of what its tickets hold and earn. Holds no token.
///
/// Typical flow: 1 `open` (paid through Rewards); 2 operators sign off chain; 3 `certify`, or `fail` after the deadline.
///
/// Invariants, for a roster of T tickets, an epoch e, and L(e) = its certified objects with firstEpoch ≤ e < firstEpoch + epochs:
/// - I-O1  tally(e) = Σ over L(e) of ((n/T)·M rows, (n/T)·M·rowFee); excludedTally(e) of an operator = the same over those in
///         L(e) that it did not sign
/// - I-O2  tally(e).rows ≤ the shard's maxRowsPerTicket
/// - I-O3  what listedRows, tally and listing say of e does not change after block B_e
/// - I-O4  listings of a bucket are disjoint, without gaps, in order of certification: start of each = end of the one before
/// - I-O5  certified ⇒ signed tickets ≥ ⌈2T/3⌉ and signed·n/T ≥ k + ⌊T/3⌋·n/T and no operator holds more than k rows of a matrix
/// - I-O6  Open → Certified or Failed, once, at or before its deadline, or after it; no other change
contract Objects is IObjects {
    using Accumulator for Accumulator.State;
    using ObjectBook for ObjectBook.State;
    using SafeCast for uint256;

    /// Five slots, of which a draw reads three and certification writes two (one more if somebody did not sign).
    struct Stored {
        uint16 n;
        uint16 k;
        uint32 matrices;
        uint32 epochs;
        uint40 firstEpoch;
        uint8 widthLog2;
        ObjectStatus status;
        uint40 openedBlock;
        // blocks after openedBlock within which it may be certified: the shard's epoch
        uint32 certificationBlocks;
        uint32 roster;
        // ── slot 1
        address owner;
        uint32 shard;
        // where its rows begin in each ticket's part of its bucket
        uint56 listStart;
        // whether somebody did not sign
        bool incomplete;
        // ── slots 2, 3, 4
        bytes32 manifestRoot;
        uint64 size;
        uint96 rowFee;
        uint96 intakeFee;
        bytes32 nonSignersHash;
    }

    /// What `open` carries from its checks to its effects.
    struct Opening {
        RosterHead head;
        uint32 epochLength;
        uint256 rowsLimit;
        uint256 rowsPerTicket;
        // the next epoch to be frozen: the first in which the object may be drawn if it is certified at once
        uint64 nextEpoch;
        uint256 rowFee;
        uint256 intakeFee;
        uint256 storageFee;
        bytes32 manifestRoot;
    }

    /// What `certify` carries from its checks to its effects.
    struct Certificate {
        uint256 signedTickets;
        uint256 unsignedTickets;
        uint64 firstEpoch;
        uint64 endEpoch;
        address[] absent;
    }

    /// Widths whose commitments stay cheap per byte (DESIGN: powers of two from 64 to the blob's 4096).
    uint256 private constant MIN_WIDTH_LOG2 = 6;
    uint256 private constant MAX_WIDTH_LOG2 = 12;

    /// n ≤ 8k: more parity than that is replication under another name.
    uint256 private constant MAX_EXPANSION = 8;

    /// Rows of a matrix, as `Stored.n` holds them.
    uint256 private constant MAX_ROWS_PER_MATRIX = type(uint16).max;

    /// Payload of an element and bytes of it.
    uint256 private constant PAYLOAD_BYTES = 31;
    uint256 private constant ELEMENT_BYTES = 32;

    uint256 private constant KEY_BYTES = 256;

    /// keccak256(""): the hash of no non-signers.
    bytes32 private constant EMPTY_HASH = 0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470;

    IDirectory private immutable DIRECTORY;

    /// Whose rosters the books here are of, from the first opening on for good: no later module may give them duties. Zero before.
    IShards private _pinnedShards;

    mapping(bytes32 objectId => Stored) private _objects;
    mapping(address owner => uint256) private _nonces;
    mapping(uint32 shard => mapping(uint32 roster => ObjectBook.State)) private _books;

    constructor(IDirectory directory) {
        DIRECTORY = directory;
    }

    // ─── Opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IObjects
    function open(OpenRequest calldata request) external returns (bytes32 objectId) {
        if (address(_pinnedShards) == address(0) && DIRECTORY.sealedBlock() != 0) _pinnedShards = _shards();
        Opening memory opening = _checkOpening(request);

        objectId = keccak256(
            abi.encode(
                Tags.OBJECT_ID, block.chainid, address(this), msg.sender, _nonces[msg.sender]++, opening.manifestRoot
            )
        );
        _reserve(request, opening);
        _store(_objects[objectId], request, opening);
        emit ObjectOpened(
            objectId,
            msg.sender,
            request.shard,
            request.roster,
            request,
            opening.manifestRoot,
            opening.storageFee + opening.intakeFee
        );

        _rewards().collectOpening(objectId, request.shard, msg.sender, opening.storageFee, opening.intakeFee);
    }

    function _checkOpening(OpenRequest calldata request) private view returns (Opening memory opening) {
        IShards shards = _shards();
        uint32 active = shards.activeRoster(request.shard);
        if (active == 0 || request.roster != active) revert RosterNotActive(request.roster, active);
        RosterHead memory head = shards.rosterHead(request.shard, active);
        ShardParameters memory parameters = shards.parametersOf(request.shard);

        opening.head = head;
        opening.epochLength = parameters.epochLength;
        opening.rowsLimit = parameters.maxRowsPerTicket;
        opening.rowsPerTicket = _checkShape(request, head);
        _checkLargestHolder(request, head);
        opening.nextEpoch = _checkTerm(shards, request, head, parameters.epochLength);

        (opening.rowFee, opening.intakeFee) = _fees(request, parameters);
        opening.storageFee = _storageFee(request, opening.rowFee);
        uint256 payment = opening.storageFee + opening.intakeFee;
        if (payment > request.maxPayment) revert PaymentAboveMaximum(payment, request.maxPayment);
        opening.manifestRoot = _manifestRoot(request);
    }

    function _store(Stored storage object, OpenRequest calldata request, Opening memory opening) private {
        // `_checkOpening` has bounded what is narrowed here.
        object.n = uint16(request.n);
        object.k = uint16(request.k);
        object.matrices = request.matrices;
        object.epochs = request.epochs;
        object.widthLog2 = uint8(_log2(request.width));
        object.status = ObjectStatus.Open;
        object.openedBlock = block.number.toUint40();
        object.certificationBlocks = opening.epochLength;
        object.roster = request.roster;
        object.owner = msg.sender;
        object.shard = request.shard;
        object.manifestRoot = opening.manifestRoot;
        object.size = request.size;
        object.rowFee = uint96(opening.rowFee);
        object.intakeFee = uint96(opening.intakeFee);
    }

    /// Keeps room for the object until it is certified or can no longer be.
    function _reserve(OpenRequest calldata request, Opening memory opening) private {
        ObjectBook.State storage book = _books[request.shard][request.roster];
        if (book.head.bucketEpochs == 0) {
            book.start(opening.head, opening.nextEpoch);
            book.certificateVerifier = DIRECTORY.module(ModuleNames.CERTIFICATE_VERIFIER);
        }
        (uint256 live,) = book.tally.valueAt(opening.nextEpoch);
        uint256 total = live + book.reserved(opening.nextEpoch) + opening.rowsPerTicket;
        if (total > opening.rowsLimit) revert RowsPerTicketExceeded(total, opening.rowsLimit);
        // The accumulator takes no more in one contribution; refused now, not when the object is paid and signed.
        if (opening.rowsPerTicket > Accumulator.MAX_ROWS) {
            revert RowsPerTicketExceeded(opening.rowsPerTicket, Accumulator.MAX_ROWS);
        }
        book.reserve(opening.nextEpoch, opening.rowsPerTicket);
    }

    /// Refuses what can't be encoded, assigned or certified. Returns the object's rows per ticket.
    function _checkShape(OpenRequest calldata request, RosterHead memory head) private pure returns (uint256) {
        uint256 widthLog2 = _log2(request.width);
        if (widthLog2 < MIN_WIDTH_LOG2 || widthLog2 > MAX_WIDTH_LOG2 || uint256(1) << widthLog2 != request.width) {
            revert WidthInvalid(request.width);
        }

        (uint256 k, uint256 n) = (request.k, request.n);
        if (k == 0 || n < k || n > MAX_EXPANSION * k || n > MAX_ROWS_PER_MATRIX) revert RowsInvalid(k, n);

        uint256 tickets = head.tickets;
        if (n % tickets != 0) revert TicketsDoNotDivideRows(tickets, n);
        uint256 rowsEach = n / tickets;
        if (k + (tickets / 3) * rowsEach > n) revert ThresholdUnreachable(k, n, tickets);

        uint256 capacity = k * request.width * request.matrices * PAYLOAD_BYTES;
        if (capacity == 0 || request.size > capacity) revert SizeInvalid(request.size, capacity);
        return rowsEach * request.matrices;
    }

    /// No operator may hold more than k rows of a matrix.
    function _checkLargestHolder(OpenRequest calldata request, RosterHead memory head) private pure {
        uint256 rows = head.largest * (request.n / head.tickets);
        if (rows > request.k) revert OperatorHoldsTooManyRows(rows, request.k);
    }

    /// The term must fit under the roster even if certification comes in the last possible block.
    function _checkTerm(IShards shards, OpenRequest calldata request, RosterHead memory head, uint256 epochLength)
        private
        view
        returns (uint64 nextEpoch)
    {
        nextEpoch = shards.firstEpochAfter(request.shard, block.number);
        uint256 latestFirst = shards.firstEpochAfter(request.shard, block.number + epochLength);
        uint256 limit = head.endEpoch > latestFirst ? head.endEpoch - latestFirst : 0;
        if (request.epochs == 0 || request.epochs > limit) revert TermInvalid(request.epochs, limit);
    }

    function _fees(OpenRequest calldata request, ShardParameters memory parameters)
        private
        view
        returns (uint256 rowFee, uint256 intakeFee)
    {
        IPricing pricing = IPricing(DIRECTORY.module(ModuleNames.PRICING));
        rowFee = pricing.rowFee(parameters.pricePerByteEpochWad, request.width);
        if (rowFee > type(uint96).max) revert FeeTooLarge(rowFee, type(uint96).max);
        uint256 storedBytes = ELEMENT_BYTES * request.width * request.n * request.matrices;
        intakeFee = pricing.intakeFee(parameters.intakePricePerByteWad, storedBytes);
        if (intakeFee > type(uint96).max) revert FeeTooLarge(intakeFee, type(uint96).max);
    }

    function _storageFee(OpenRequest calldata request, uint256 rowFee) private pure returns (uint256) {
        return rowFee * request.n * request.matrices * request.epochs;
    }

    function _manifestRoot(OpenRequest calldata request) private pure returns (bytes32) {
        bytes32 paramsHash = SliceTree.parametersHash(
            SliceTree.Parameters({
                width: request.width,
                k: request.k,
                n: request.n,
                matrices: request.matrices,
                size: request.size,
                contentHash: request.contentHash,
                headerHash: request.headerHash
            })
        );
        return SliceTree.manifestRoot(request.treeRoot, paramsHash);
    }

    // ─── Certification ────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IObjects
    function certify(
        bytes32 objectId,
        bytes calldata signature,
        uint16[] calldata nonSigners,
        bytes calldata excludedKeys
    ) external {
        Stored memory object = _openObject(objectId);
        uint256 deadline = uint256(object.openedBlock) + object.certificationBlocks;
        if (block.number > deadline) revert CertificationTooLate(block.number, deadline);
        IShards shards = _shards();
        Certificate memory certificate = _checkSigners(shards, object, nonSigners, excludedKeys);
        _checkSignature(shards, objectId, object, excludedKeys, signature);
        certificate.firstEpoch = shards.firstEpochAfter(object.shard, block.number);
        certificate.endEpoch = certificate.firstEpoch + object.epochs;

        _recordCertified(objectId, certificate, nonSigners);
        uint256 intakeRemainder = _book(objectId, object, shards, certificate);
        emit ObjectCertified(objectId, certificate.firstEpoch, certificate.endEpoch, nonSigners);

        shards.recordObject(object.shard, object.roster, certificate.endEpoch);
        uint256 unsignedFee = _rowsPerTicket(object) * object.rowFee * object.epochs * certificate.unsignedTickets;
        _rewards().bookCertified(objectId, object.shard, object.owner, unsignedFee, intakeRemainder);
    }

    /// The non-signers are the roster's, in order, with their own keys, and few enough. All vacant places are among them: who left has no
    /// duty and nothing to lose.
    function _checkSigners(
        IShards shards,
        Stored memory object,
        uint16[] calldata nonSigners,
        bytes calldata excludedKeys
    ) private view returns (Certificate memory certificate) {
        if (excludedKeys.length != nonSigners.length * KEY_BYTES) {
            revert ExcludedKeysLengthWrong(excludedKeys.length, nonSigners.length * KEY_BYTES);
        }
        certificate.absent = new address[](nonSigners.length);
        uint256 vacant = shards.vacantTicketsOf(object.shard, object.roster);
        for (uint256 i; i < nonSigners.length; ++i) {
            if (i != 0 && nonSigners[i] <= nonSigners[i - 1]) revert NonSignersUnordered(i);
            RosterEntry memory entry = shards.rosterEntry(object.shard, object.roster, nonSigners[i]);
            bytes32 keyHash = keccak256(excludedKeys[i * KEY_BYTES:(i + 1) * KEY_BYTES]);
            if (entry.tickets == 0) revert NonSignerUnknown(nonSigners[i]);
            if (keyHash != entry.keyHash) revert NonSignerKeyWrong(nonSigners[i], keyHash, entry.keyHash);
            certificate.unsignedTickets += entry.tickets;
            certificate.absent[i] = entry.operator;
            if (vacant != 0 && shards.vacatedAt(object.shard, object.roster, entry.operator) != 0) {
                vacant -= entry.tickets;
            }
        }
        if (vacant != 0) revert SignersVacant(vacant);

        uint256 tickets = shards.rosterHead(object.shard, object.roster).tickets;
        certificate.signedTickets = tickets - certificate.unsignedTickets;
        uint256 needed = _quorum(object.k, object.n, tickets);
        if (certificate.signedTickets < needed) revert QuorumNotReached(certificate.signedTickets, needed);
    }

    function _checkSignature(
        IShards shards,
        bytes32 objectId,
        Stored memory object,
        bytes calldata excludedKeys,
        bytes calldata signature
    ) private view {
        bytes memory aggregateKey = shards.aggregateKeyOf(object.shard, object.roster);
        ICertificateVerifier verifier = ICertificateVerifier(_books[object.shard][object.roster].certificateVerifier);
        bytes32 digest = _digest(objectId, object);
        if (!verifier.verifyCertificate(digest, aggregateKey, excludedKeys, signature)) {
            revert SignatureInvalid(objectId);
        }
    }

    function _recordCertified(bytes32 objectId, Certificate memory certificate, uint16[] calldata nonSigners) private {
        Stored storage stored = _objects[objectId];
        stored.status = ObjectStatus.Certified;
        stored.firstEpoch = uint256(certificate.firstEpoch).toUint40();
        if (nonSigners.length != 0) {
            stored.incomplete = true;
            stored.nonSignersHash = NonSigners.hashOf(nonSigners);
        }
    }

    /// Lists the object and adds what it holds and earns to the roster's book. Returns what is left of the intake fee.
    function _book(bytes32 objectId, Stored memory object, IShards shards, Certificate memory certificate)
        private
        returns (uint256 intakeRemainder)
    {
        ObjectBook.State storage book = _books[object.shard][object.roster];
        (uint64 firstEpoch, uint64 endEpoch) = (certificate.firstEpoch, certificate.endEpoch);
        uint256 rows = _rowsPerTicket(object);
        uint256 fee = rows * object.rowFee;

        book.release(shards.firstEpochAfter(object.shard, object.openedBlock), rows);
        _objects[objectId].listStart = book.list(objectId, firstEpoch, endEpoch, rows).toUint56();
        book.tally.add(firstEpoch, endEpoch, rows, fee);

        uint256 intakeEach = object.intakeFee / certificate.signedTickets;
        book.intake += intakeEach;
        for (uint256 i; i < certificate.absent.length; ++i) {
            address operator = certificate.absent[i];
            Accumulator.State storage excluded = book.excluded[operator];
            if (!excluded.started) excluded.start(firstEpoch - 1);
            excluded.add(firstEpoch, endEpoch, rows, fee);
            book.intakeExcluded[operator] += intakeEach;
        }
        return object.intakeFee - intakeEach * certificate.signedTickets;
    }

    /// @inheritdoc IObjects
    function fail(bytes32 objectId) external {
        Stored memory object = _openObject(objectId);
        uint256 deadline = uint256(object.openedBlock) + object.certificationBlocks;
        if (block.number <= deadline) revert CertificationStillPossible(block.number, deadline);

        _objects[objectId].status = ObjectStatus.Failed;
        uint64 openedUnder = _shards().firstEpochAfter(object.shard, object.openedBlock);
        _books[object.shard][object.roster].release(openedUnder, _rowsPerTicket(object));
        emit ObjectFailed(objectId);

        uint256 storageFee = uint256(object.rowFee) * object.n * object.matrices * object.epochs;
        _rewards().bookFailed(objectId, object.shard, object.owner, storageFee, object.intakeFee);
    }

    function _rowsPerTicket(Stored memory object) private view returns (uint256) {
        return uint256(object.n) / _books[object.shard][object.roster].head.tickets * object.matrices;
    }

    function _openObject(bytes32 objectId) private view returns (Stored memory object) {
        object = _objects[objectId];
        if (object.status == ObjectStatus.None) revert ObjectUnknown(objectId);
        if (object.status != ObjectStatus.Open) revert ObjectNotOpen(objectId, uint8(object.status));
    }

    /// The least signed tickets: ⌈2T/3⌉ and, in rows of a matrix, k beside a third of the tickets.
    function _quorum(uint256 k, uint256 n, uint256 tickets) private pure returns (uint256) {
        uint256 rowsEach = n / tickets;
        uint256 twoThirds = (2 * tickets + 2) / 3;
        uint256 recoverable = tickets / 3 + (k + rowsEach - 1) / rowsEach;
        return twoThirds > recoverable ? twoThirds : recoverable;
    }

    function _digest(bytes32 objectId, Stored memory object) private view returns (bytes32) {
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

    // ─── Accumulators ─────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IObjects
    function roll(uint32 shard, uint32 roster, address operatorOrZero, uint64 epoch, uint256 maxSteps) external {
        uint64 latest = _shards().firstEpochAfter(shard, block.number) - 1;
        if (epoch > latest) revert EpochNotFrozen(epoch, latest);
        ObjectBook.State storage book = _books[shard][roster];
        Accumulator.State storage accumulator =
            operatorOrZero == address(0) ? book.tally : book.excluded[operatorOrZero];
        if (accumulator.started) accumulator.roll(epoch, maxSteps);
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
        (rowFee, intakeFee) = _fees(request, parameters);
        return (_storageFee(request, rowFee), intakeFee, parameters.paymentToken);
    }

    /// @inheritdoc IObjects
    function certificateDigest(bytes32 objectId) external view returns (bytes32) {
        Stored memory object = _objects[objectId];
        if (object.status == ObjectStatus.None) revert ObjectUnknown(objectId);
        return _digest(objectId, object);
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
        result.manifestRoot = object.manifestRoot;
        result.nonSignersHash = object.incomplete ? object.nonSignersHash : EMPTY_HASH;
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
        return object.firstEpoch == 0 ? 0 : uint64(object.firstEpoch) + object.epochs;
    }

    /// @inheritdoc IObjects
    function certificationDeadlineOf(bytes32 objectId) external view returns (uint256) {
        Stored storage object = _objects[objectId];
        return uint256(object.openedBlock) + object.certificationBlocks;
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
    function listedRows(uint32 shard, uint32 roster, uint64 epoch) external view returns (uint64[] memory) {
        return _books[shard][roster].listedRows(epoch);
    }

    /// @inheritdoc IObjects
    function listing(uint32 shard, uint32 roster, uint256 bucket, uint256 index)
        external
        view
        returns (Listing memory)
    {
        ListedObject memory object = listed(shard, roster, bucket, index);
        return Listing({objectId: object.objectId, start: object.start, end: object.end});
    }

    /// @inheritdoc IObjects
    function listed(uint32 shard, uint32 roster, uint256 bucket, uint256 index)
        public
        view
        returns (ListedObject memory result)
    {
        ObjectBook.State storage book = _books[shard][roster];
        bytes32[] storage list = book.lists[bucket];
        if (index >= list.length) revert ListingOutOfRange(index, list.length);
        result.objectId = list[index];
        Stored storage object = _objects[result.objectId];
        result.n = object.n;
        result.matrices = object.matrices;
        result.endEpoch = uint64(object.firstEpoch) + object.epochs;
        result.start = object.listStart;
        result.end = result.start + uint64(object.n / book.head.tickets) * object.matrices;
        result.manifestRoot = object.manifestRoot;
        result.nonSignersHash = object.incomplete ? object.nonSignersHash : EMPTY_HASH;
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

    function _log2(uint256 value) private pure returns (uint256 result) {
        while (value > 1) {
            value >>= 1;
            ++result;
        }
    }

    function _shards() private view returns (IShards) {
        IShards pinned = _pinnedShards;
        return address(pinned) != address(0) ? pinned : IShards(DIRECTORY.module(ModuleNames.SHARDS));
    }

    function _rewards() private view returns (IRewards) {
        return IRewards(DIRECTORY.module(ModuleNames.REWARDS));
    }
}
