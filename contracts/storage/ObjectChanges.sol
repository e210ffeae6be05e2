// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {Accumulator} from "../libraries/Accumulator.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {NonSigners} from "../libraries/NonSigners.sol";
import {ObjectBook} from "../libraries/ObjectBook.sol";
import {ObjectStatus} from "../types/Types.sol";
import {ObjectRules} from "./ObjectRules.sol";
import {ObjectReads} from "./ObjectReads.sol";
import {ObjectStore} from "./ObjectStore.sol";

/// @title ObjectChanges
/// @notice What ends or changes an object: failure, adoption, extension, termination. Code that Objects, which has no room for it, made and runs on its own
/// state; called directly it knows no object.
contract ObjectChanges is ObjectReads {
    using Accumulator for Accumulator.State;
    using ObjectBook for ObjectBook.State;
    using SafeCast for uint256;

    /// What is about to be changed of a certified object.
    struct Change {
        bytes32 objectId;
        Stored object;
        // first epoch that is not frozen
        uint64 nextEpoch;
        // first epoch after its last
        uint64 end;
        uint256 signedTickets;
        // of one ticket, in one epoch
        uint256 rows;
        uint256 fee;
    }

    constructor(IDirectory directory) ObjectStore(directory, new ObjectRules(directory)) {}

    /// @notice See `IObjects.fail`.
    function fail(bytes32 objectId) external {
        Stored memory object = _openObject(objectId);
        ObjectBook.State storage book = _books[object.shard][object.roster];
        ObjectBook.Frame memory frame = book.frameOf();
        uint256 deadline = uint256(object.openedBlock) + frame.epochLength;
        if (block.number <= deadline) revert IObjects.CertificationStillPossible(block.number, deadline);

        _objects[objectId].status = ObjectStatus.Failed;
        (uint256 rows,) = _ofTicket(object, frame.tickets);
        ObjectBook.Head memory head = book.headOf();
        ObjectBook.release(head, ObjectBook.firstEpochAfter(frame, object.openedBlock), rows);
        book.setHead(head);
        emit IObjects.ObjectFailed(objectId);

        uint256 storageFee = uint256(object.rowFee) * object.n * object.matrices * object.epochs;
        address owner = _objects[objectId].owner;
        _rewards().bookFailed(objectId, object.shard, owner, storageFee, object.intakeFee);
    }

    // ─── Adoption ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `IObjects.adopt`.
    function adopt(
        bytes32 objectId,
        uint16 seat,
        bytes calldata signature,
        bytes calldata key,
        uint16[] calldata nonSigners
    ) external {
        Change memory change = _change(objectId);
        if (!_isAdoptable(change)) revert IObjects.AdoptionOver(objectId, change.nextEpoch);
        _checkAbsence(change, nonSigners);
        if (!NonSigners.contains(nonSigners, seat)) revert IObjects.SeatSigned(objectId, seat);
        (address operator, uint256 tickets) = rules.checkAdoption(_signersOf(change), signature, seat, key);

        _recordAdopted(change, nonSigners, operator, seat, tickets);
        emit IObjects.ObjectAdopted(objectId, operator, seat, change.nextEpoch);

        // What it did not hold in the first epoch is nobody's any more.
        uint256 missed = change.nextEpoch - change.object.firstEpoch;
        _return(change, tickets * change.fee * missed, 0);
    }

    function _recordAdopted(
        Change memory change,
        uint16[] calldata nonSigners,
        address operator,
        uint256 seat,
        uint256 tickets
    ) private {
        Stored memory object = change.object;
        Stored storage stored = _objects[change.objectId];
        ObjectBook.State storage book = _books[object.shard][object.roster];
        if (change.nextEpoch != object.firstEpoch && object.marks & ADOPTED_LATER == 0) {
            stored.marks = object.marks | ADOPTED_LATER;
            stored.firstAbsence = object.absence;
        }
        stored.absence = book.absenceOf(NonSigners.hashWithout(nonSigners, seat));
        stored.unsignedTickets = uint16(object.unsignedTickets - tickets);
        Accumulator.State storage excluded = book.excluded[operator];
        excluded.remove(change.nextEpoch, change.end, change.rows, change.fee);
    }

    function _signersOf(Change memory change) private view returns (ObjectRules.Signers memory signers) {
        Stored memory object = change.object;
        uint256 tickets = _books[object.shard][object.roster].frame.tickets;
        signers = _signers(object.shard, object.roster, tickets);
        signers.digest = _digest(change.objectId, object);
        signers.subject = change.objectId;
    }

    /// @notice See `IObjects.returnUnsigned`.
    function returnUnsigned(bytes32 objectId) external {
        Change memory change = _change(objectId);
        if (_isAdoptable(change)) revert IObjects.AdoptionOpen(objectId, change.nextEpoch);
        uint256 amount = _endAdoption(change);
        if (amount == 0) revert IObjects.NothingUnsigned(objectId);
        _return(change, amount, 0);
    }

    /// The epoch from which on an adoption counts must be the first or the second one of the object, and one of its term.
    function _isAdoptable(Change memory change) private pure returns (bool) {
        Stored memory object = change.object;
        if (object.marks & UNSIGNED_RETURNED != 0 || object.unsignedTickets == 0) return false;
        return change.nextEpoch <= uint256(object.firstEpoch) + 1 && change.nextEpoch < change.end;
    }

    /// Settles for good who did not sign, unless it is settled. Returns what goes back for it.
    function _endAdoption(Change memory change) private returns (uint256) {
        Stored memory object = change.object;
        if (object.marks & UNSIGNED_RETURNED != 0 || object.unsignedTickets == 0) return 0;
        object.marks |= UNSIGNED_RETURNED;
        _objects[change.objectId].marks = object.marks;
        return object.unsignedTickets * change.fee * object.term;
    }

    // ─── Longer and shorter ───────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `IObjects.extend`.
    function extend(bytes32 objectId, uint32 epochs, uint256 maxPayment, uint16[] calldata nonSigners) external {
        Change memory change = _change(objectId);
        Stored memory object = change.object;
        _checkAbsence(change, nonSigners);
        if (object.marks & TERMINATED != 0 || change.nextEpoch > change.end) {
            revert IObjects.ObjectOver(objectId, change.end, change.nextEpoch);
        }
        if (_isAdoptable(change)) revert IObjects.AdoptionOpen(objectId, change.nextEpoch);
        _checkLonger(change, epochs);
        uint256 payment = change.signedTickets * change.fee * epochs;
        if (payment > maxPayment) revert IObjects.PaymentAboveMaximum(payment, maxPayment);

        uint256 unsignedFee = _endAdoption(change);
        uint64 newEnd = change.end + epochs;
        _objects[objectId].term = object.term + epochs;
        _books[object.shard][object.roster].tally.add(change.end, newEnd, change.rows, change.fee);
        _exclude(change, nonSigners, change.end, newEnd, true);
        emit IObjects.ObjectExtended(objectId, msg.sender, newEnd, payment, _relist(change, newEnd));

        _tellEnd(_books[object.shard][object.roster], object.shard, object.roster, newEnd);
        _return(change, unsignedFee, 0);
        _rewards().collectExtension(objectId, object.shard, msg.sender, payment);
    }

    /// Not past the roster's end; and once a newer roster took its place, not past what binds its operators already.
    function _checkLonger(Change memory change, uint256 epochs) private view {
        (uint32 shard, uint32 roster) = (change.object.shard, change.object.roster);
        ObjectBook.State storage book = _books[shard][roster];
        bool active = _shards().activeRoster(shard) == roster;
        uint256 limit = (active ? book.frame.endEpoch : book.head.objectsEnd) - change.end;
        if (epochs == 0 || epochs > limit) revert IObjects.TermInvalid(epochs, limit);
        // One that lives in the next epoch stands in its count already, and of none later than that do more live.
        if (change.nextEpoch == change.end) _checkRoom(book, change.nextEpoch, change.rows);
    }

    /// Lists the object anew if its new end lies in another bucket. Returns the epoch from which on that counts, or 0.
    function _relist(Change memory change, uint64 newEnd) private returns (uint64) {
        Stored memory object = change.object;
        ObjectBook.State storage book = _books[object.shard][object.roster];
        ObjectBook.Frame memory frame = book.frameOf();
        if (ObjectBook.bucketOf(frame, change.end) == ObjectBook.bucketOf(frame, newEnd)) return 0;

        book.leave(change.objectId, change.end, object.listStart, change.nextEpoch);
        Stored storage stored = _objects[change.objectId];
        (uint256 bucket, uint256 listStart) = book.list(change.nextEpoch, newEnd, change.rows);
        // As they stand: the end of adoption, just before, may have set one.
        uint8 marks = _marksOf(bucket, stored.marks | MOVED);
        (stored.listStart, stored.marks) = (listStart.toUint48(), marks);
        return change.nextEpoch;
    }

    /// @notice See `IObjects.terminate`.
    function terminate(bytes32 objectId, uint16[] calldata nonSigners) external {
        Change memory change = _change(objectId);
        Stored memory object = change.object;
        if (msg.sender != object.owner) revert IObjects.NotOwner(msg.sender, object.owner);
        _checkAbsence(change, nonSigners);
        // One epoch is owed: else whoever pays the intake alone would fill the lists with void rows.
        uint64 least = uint64(object.firstEpoch) + 1;
        uint64 newEnd = change.nextEpoch > least ? change.nextEpoch : least;
        if (newEnd >= change.end) revert IObjects.ObjectOver(objectId, change.end, change.nextEpoch);

        uint256 unsignedFee = _endAdoption(change);
        Stored storage stored = _objects[objectId];
        (stored.term, stored.marks) = (uint32(newEnd - object.firstEpoch), object.marks | TERMINATED);
        _books[object.shard][object.roster].tally.remove(newEnd, change.end, change.rows, change.fee);
        _exclude(change, nonSigners, newEnd, change.end, false);
        emit IObjects.ObjectTerminated(objectId, newEnd);

        _return(change, unsignedFee, change.signedTickets * change.fee * (change.end - newEnd));
    }

    /// Adds to what each non-signer is left out of, or takes from it.
    function _exclude(
        Change memory change,
        uint16[] calldata nonSigners,
        uint64 fromEpoch,
        uint64 untilEpoch,
        bool added
    ) private {
        if (nonSigners.length == 0) return;
        (uint32 shard, uint32 roster) = (change.object.shard, change.object.roster);
        address[] memory absent = rules.operatorsAt(_shards(), shard, roster, nonSigners);
        for (uint256 i; i < absent.length; ++i) {
            Accumulator.State storage excluded = _books[shard][roster].excluded[absent[i]];
            if (added) excluded.add(fromEpoch, untilEpoch, change.rows, change.fee);
            else excluded.remove(fromEpoch, untilEpoch, change.rows, change.fee);
        }
    }

    function _return(Change memory change, uint256 unsignedFee, uint256 unearnedFee) private {
        if (unsignedFee == 0 && unearnedFee == 0) return;
        Stored memory object = change.object;
        _rewards().bookReturn(change.objectId, object.shard, object.owner, unsignedFee, unearnedFee);
    }

    /// A certified object as it stands, and the first epoch that what happens now counts from.
    function _change(bytes32 objectId) private view returns (Change memory change) {
        Stored memory object = _load(objectId);
        if (object.status == ObjectStatus.None) revert IObjects.ObjectUnknown(objectId);
        if (object.status != ObjectStatus.Certified) {
            revert IObjects.ObjectNotCertified(objectId, uint8(object.status));
        }
        ObjectBook.Frame memory frame = _books[object.shard][object.roster].frameOf();
        (change.objectId, change.object) = (objectId, object);
        change.nextEpoch = ObjectBook.firstEpochAfter(frame, block.number);
        change.end = uint64(object.firstEpoch) + object.term;
        change.signedTickets = frame.tickets - object.unsignedTickets;
        (change.rows, change.fee) = _ofTicket(object, frame.tickets);
    }

    function _checkAbsence(Change memory change, uint16[] calldata nonSigners) private view {
        Stored memory object = change.object;
        mapping(uint256 number => bytes32) storage absences = _books[object.shard][object.roster].absences;
        bytes32 expected = object.marks & INCOMPLETE == 0 ? EMPTY_HASH : absences[object.absence];
        if (NonSigners.hashOf(nonSigners) != expected) revert IObjects.NonSignersWrong(change.objectId);
    }

    // ─── Intake fees ──────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `IObjects.takeIntakeRest`. A Rewards that was replaced goes on paying intake fees: it is given no rest, and isn't refused.
    function takeIntakeRest(uint32 shard, uint32 roster) external returns (uint256 amount) {
        if (msg.sender != address(_rewards())) return 0;
        Accumulator.State storage tally = _books[shard][roster].tally;
        amount = tally.rest;
        if (amount != 0) tally.rest = 0;
    }

    // ─── Accumulators ─────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `IObjects.roll`.
    function roll(uint32 shard, uint32 roster, address operatorOrZero, uint64 epoch, uint256 maxSteps) external {
        uint64 latest = _shards().firstEpochAfter(shard, block.number) - 1;
        if (epoch > latest) revert IObjects.EpochNotFrozen(epoch, latest);
        ObjectBook.State storage book = _books[shard][roster];
        Accumulator.State storage accumulator =
            operatorOrZero == address(0) ? book.tally : book.excluded[operatorOrZero];
        if (accumulator.started) accumulator.roll(epoch, maxSteps);
    }
}
