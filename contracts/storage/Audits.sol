// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAudits} from "../interfaces/IAudits.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {IOpeningVerifier} from "../interfaces/IOpeningVerifier.sol";
import {IRandomness} from "../interfaces/IRandomness.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IShards} from "../interfaces/IShards.sol";
import {Draws} from "../libraries/Draws.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {NonSigners} from "../libraries/NonSigners.sol";
import {ObjectWord} from "../libraries/ObjectWord.sol";
import {SliceTree} from "../libraries/SliceTree.sol";
import {DutyStatus, ObjectWitness, Response, RosterPlace, ShardParameters} from "../types/Types.sol";

/// @title Audits
/// @notice Holds the seed of each sealed epoch and whether each operator answered or missed. Holds no token.
///
/// Typical flow: 1 `seal`; 2 `respond` before the deadline; 3 `reportMiss` of those that did not, within the reporting period.
///
/// Invariants, for a shard, an epoch e ≥ 1 and an operator:
/// - I-A1  sealed(e) ⇒ seedBlock(e) < sealedBlock(e) ≤ seedBlock(e) + sealingLimit, deadline(e) = sealedBlock(e) + window
/// - I-A2  status: None → Answered (block ≤ deadline) or None → Missed (deadline < block ≤ deadline + reporting); no other change
/// - I-A3  what an answer must open is a function of (chain id, this contract, shard, e, seed, operator) and the state at B_e alone
/// - I-A4  Answered ⇒ every live row among the first reads of the draw, min(q, held) of them unless 4·min(q, held) reads held
///         fewer, was opened with its own weight at a point that depends on all of them
/// - I-A5  Missed ⇒ held(e) > 0 and a slash is queued, under a roster whose slasher is this contract
/// - I-A6  sealer(e) = whom the one sealing of e named; 0 before, and of a void epoch for good
contract Audits is IAudits {
    using ObjectWord for uint256;
    using SafeCast for uint256;
    using SliceTree for SliceTree.Branch;

    /// Two slots. Who sealed lies apart, since no answer asks for it.
    struct Sealing {
        bytes32 seed;
        uint48 sealedBlock;
        uint48 deadline;
        uint48 reportLimit;
        uint48 frozenBlock;
        uint16 samples;
        // those live in the epoch: known for good when its seed block has passed
        uint32 firstRoster;
        uint16 rosters;
    }

    /// An operator's place in one roster, as of B_e.
    struct Place {
        uint32 roster;
        uint256 rosterTickets;
        uint256 index;
        uint256 firstTicket;
        uint256 tickets;
        // positions in each ticket's part, by bucket and in all; and of all tickets
        uint64[] buckets;
        uint256 rowsPerTicket;
        uint256 rows;
        // live signed rows, all tickets
        uint256 held;
    }

    /// All of an operator's places in an epoch.
    struct Duty {
        Place[] places;
        // S
        uint256 rows;
        uint256 held;
    }

    /// Where a drawn position lies.
    struct Spot {
        Place place;
        uint256 ticket;
        uint256 bucket;
        // position in the ticket's part of the bucket, and in the object's part of that
        uint256 offset;
        uint256 local;
        // rows of a matrix that a ticket holds
        uint256 rowsEach;
    }

    /// What `respond` gathers while it reads.
    struct Reading {
        bytes32 context;
        uint256 samples;
        uint256 read;
        uint256 live;
        // where in the call's data the response's parts begin, and how many siblings were used
        uint256 objectsAt;
        uint256 readsAt;
        uint256 pointsAt;
        uint256 siblings;
        // of the live rows: objectId ‖ uint64 slice ‖ commitment each
        bytes transcript;
        // of each object shown: word and root, and the path shown last
        bytes32[] words;
        SliceTree.Branch[] branches;
        // where the position lies that is read now
        Spot spot;
    }

    /// Bytes of a commitment, and of its entry in the transcript.
    uint256 private constant POINT_BYTES = 96;
    uint256 private constant ENTRY_BYTES = 32 + 8 + POINT_BYTES;
    uint256 private constant PROOF_BYTES = 48;
    /// Bytes of a read: the number of its object among those shown.
    uint256 private constant READ_BYTES = 2;

    /// Statuses take two bits: 128 epochs of an operator share a slot, so that most answers write to one that is not empty.
    uint256 private constant STATUS_BITS = 2;
    uint256 private constant STATUSES_PER_WORD = 128;

    /// Epochs by which sealing brings each live roster's accumulator forward; `Objects.roll` does what is left.
    uint256 private constant ROLL_STEPS = 8;

    IDirectory private immutable DIRECTORY;

    /// The modules that decide what a miss is, from the first sealing on for good: stake bound by a roster that names this contract as
    /// slasher must not be slashed through what came into force later. Zero before.
    IShards private _pinnedShards;
    IObjects private _pinnedObjects;
    IOpeningVerifier private _pinnedVerifier;

    mapping(uint32 shard => mapping(uint64 epoch => Sealing)) private _sealings;
    mapping(uint32 shard => mapping(uint64 epoch => address)) public sealerOf;
    mapping(uint32 shard => mapping(address operator => mapping(uint256 word => uint256))) private _statuses;
    mapping(address operator => uint256) public answeredCount;

    constructor(IDirectory directory) {
        DIRECTORY = directory;
    }

    // ─── Sealing ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAudits
    function seal(uint32 shard, uint64 epoch, bytes calldata randomnessProof, address sealer)
        external
        returns (bytes32 seed)
    {
        if (epoch == 0) revert EpochInvalid(epoch);
        if (_sealings[shard][epoch].sealedBlock != 0) revert AlreadySealed(shard, epoch);
        _pin();
        IShards shards = _shards();
        ShardParameters memory parameters = shards.parametersOf(shard);
        uint256 seedBlock = shards.seedBlockOf(shard, epoch);
        if (block.number <= seedBlock) revert EpochNotStarted(epoch, seedBlock, block.number);
        uint256 limit = seedBlock + parameters.sealingLimit;
        if (block.number > limit) revert SealingTooLate(epoch, limit, block.number);

        seed = IRandomness(DIRECTORY.module(ModuleNames.RANDOMNESS)).reveal(seedBlock, randomnessProof);
        uint256 deadline = block.number + parameters.window;
        Sealing memory sealing = _populationOf(shard, epoch);
        sealing.seed = seed;
        sealing.sealedBlock = block.number.toUint48();
        sealing.deadline = deadline.toUint48();
        sealing.reportLimit = (deadline + parameters.reporting).toUint48();
        sealing.samples = parameters.samples;
        _sealings[shard][epoch] = sealing;
        if (sealer != address(0)) sealerOf[shard][epoch] = sealer;
        emit EpochSealed(shard, epoch, seed, block.number, deadline, sealer);

        _rollForward(shard, epoch, sealing.firstRoster, sealing.rosters);
    }

    /// Not before it is itself in force under a sealed directory: else anyone could tie it to what is about to be replaced.
    function _pin() private {
        if (address(_pinnedShards) != address(0)) return;
        if (DIRECTORY.sealedBlock() == 0 || DIRECTORY.module(ModuleNames.AUDITS) != address(this)) return;

        (_pinnedShards, _pinnedObjects, _pinnedVerifier) = (_shards(), _objects(), _verifierInForce());
    }

    /// Spares every answer and settlement the epochs in between.
    function _rollForward(uint32 shard, uint64 epoch, uint32 firstRoster, uint256 rosters) private {
        IObjects objects = _objects();
        for (uint256 i; i < rosters; ++i) {
            objects.roll(shard, uint32(firstRoster + i), address(0), epoch, ROLL_STEPS);
        }
    }

    // ─── Answering ────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAudits
    function respond(Response calldata response) external {
        if (!_respond(response)) revert AlreadyAnswered(response.shard, response.epoch, response.operator);
    }

    /// @inheritdoc IAudits
    function respondMany(Response[] calldata responses) external {
        bool answered;
        uint256 missedDeadline;
        for (uint256 i; i < responses.length; ++i) {
            // A block too late for one of them spoils nothing for the others,
            uint256 deadline = _sealings[responses[i].shard][responses[i].epoch].deadline;
            if (deadline != 0 && block.number > deadline) missedDeadline = deadline;
            // nor does who copied one and was faster.
            else if (_respond(responses[i])) answered = true;
        }
        // Its sender is told, before it pays for a transaction that does nothing.
        if (!answered && missedDeadline != 0) revert AnswerTooLate(missedDeadline, block.number);
    }

    /// Returns false if there is an answer already.
    function _respond(Response calldata response) private returns (bool) {
        Sealing memory sealing = _sealed(response.shard, response.epoch);
        if (block.number > sealing.deadline) revert AnswerTooLate(sealing.deadline, block.number);
        if (statusOf(response.shard, response.epoch, response.operator) != DutyStatus.None) return false;
        IObjects objects = _objects();
        Duty memory duty = _duty(objects, response.shard, response.epoch, sealing, response.operator, true);
        if (duty.held == 0) revert NoDuty(response.shard, response.epoch, response.operator);

        Reading memory reading;
        reading.context = Draws.contextOf(response.shard, response.epoch, sealing.seed, response.operator);
        reading.samples = _samples(sealing.samples, duty.held);
        _read(objects, response, duty, reading);
        if (!_opens(response, reading)) {
            revert OpeningInvalid(response.shard, response.epoch, response.operator);
        }

        _setStatus(response.shard, response.epoch, response.operator, DutyStatus.Answered);
        ++answeredCount[response.operator];
        emit Answered(response.shard, response.epoch, response.operator, reading.live, reading.read);
        return true;
    }

    /// Follows the draw until enough live rows are shown or the reads are used up.
    function _read(IObjects objects, Response calldata response, Duty memory duty, Reading memory reading)
        private
        view
    {
        uint256 samples = reading.samples;
        uint256 most = Draws.READS_PER_SAMPLE * samples;
        uint256 shown = response.reads.length / READ_BYTES;
        _prepare(objects, response, reading);
        uint256 read;
        // Counts of reads are below 2^9.
        unchecked {
            while (reading.live < samples && read < most) {
                if (read >= shown) revert ReadsCountWrong(shown, read + 1);
                reading.read = read;
                _locate(duty, Draws.positionOf(reading.context, duty.rows, samples, read), reading.spot);
                _readOne(objects, response, reading);
                ++read;
            }
        }
        reading.read = read;
        if (READ_BYTES * read != response.reads.length) revert ReadsCountWrong(shown, read);
        _requireLength(response.points.length, POINT_BYTES * reading.live);
        _requireLength(response.siblings.length, reading.siblings);
    }

    function _prepare(IObjects objects, Response calldata response, Reading memory reading) private view {
        ObjectWitness[] calldata witnesses = response.objects;
        bytes calldata reads = response.reads;
        bytes calldata points = response.points;
        bytes32[] memory objectIds = new bytes32[](witnesses.length);
        assembly ("memory-safe") {
            let to := add(objectIds, 32)
            let from := witnesses.offset
            for { let end := add(from, mul(witnesses.length, 64)) } lt(from, end) { from := add(from, 64) } {
                mstore(to, calldataload(from))
                to := add(to, 32)
            }
            // Four fields before it.
            mstore(add(reading, 128), witnesses.offset)
            mstore(add(reading, 160), reads.offset)
            mstore(add(reading, 192), points.offset)
        }
        reading.transcript = new bytes(ENTRY_BYTES * reading.samples);
        reading.words = objects.wordsOf(objectIds);
        reading.branches = new SliceTree.Branch[](witnesses.length);
    }

    /// Resolves a position of the snapshot to roster, ticket and bucket.
    function _locate(Duty memory duty, uint256 position, Spot memory spot) private pure {
        // The position is below the sum of all that is subtracted here: loops end inside their arrays, and nothing overflows.
        unchecked {
            Place[] memory places = duty.places;
            uint256 number;
            Place memory place = places[0];
            while (position >= place.rows) {
                position -= place.rows;
                place = places[++number];
            }
            spot.place = place;
            uint256 each = place.rowsPerTicket;
            spot.ticket = place.firstTicket + position / each;
            position %= each;
            uint64[] memory buckets = place.buckets;
            uint256 bucket;
            assembly ("memory-safe") {
                let at := add(buckets, 32)
                for { let rows := mload(at) } iszero(lt(position, rows)) { rows := mload(at) } {
                    position := sub(position, rows)
                    at := add(at, 32)
                }
                bucket := shr(5, sub(at, add(buckets, 32)))
            }
            (spot.bucket, spot.offset) = (bucket, position);
        }
    }

    function _readOne(IObjects objects, Response calldata response, Reading memory reading) private view {
        Spot memory spot = reading.spot;
        uint256 shown;
        bytes32 objectId;
        {
            uint256 at = reading.readsAt + READ_BYTES * reading.read;
            uint256 objectsAt = reading.objectsAt;
            assembly ("memory-safe") {
                // `_read` has checked that the read is there, and the next line that the object is.
                shown := shr(240, calldataload(at))
                objectId := calldataload(add(objectsAt, mul(shown, 64)))
            }
        }
        bytes32[] memory words = reading.words;
        if (2 * shown >= words.length) revert ListingWrong(reading.read, spot.offset, 0, 0);
        uint256 word = uint256(words[2 * shown]);
        uint256 until = _checkListing(objects, response.shard, reading.read, spot, objectId, word);
        if (response.epoch >= until) return;
        if (word.has(ObjectWord.INCOMPLETE) || response.nonSigners.length != 0) {
            bool incomplete = _isIncomplete(objects, response, reading.read, shown, word);
            if (incomplete && NonSigners.packedContains(response.nonSigners[shown], spot.place.index)) return;
        }
        _open(response, reading, shown, word, _sliceOf(objectId, word, spot));
    }

    /// Checks that the object stands at a position of its bucket. Returns the first epoch in which it is void there.
    function _checkListing(
        IObjects objects,
        uint256 shard,
        uint256 read,
        Spot memory spot,
        bytes32 objectId,
        uint256 word
    ) private view returns (uint256 until) {
        uint256 offset = spot.offset;
        Place memory place = spot.place;
        uint256 start;
        if (word.isListed(shard, place.roster, spot.bucket)) {
            (start, until) = (word.start(), word.end());
        } else if (word.isListed(shard, place.roster, word.bucket()) && word.has(ObjectWord.MOVED)) {
            (start, until) = objects.leftOf(uint32(shard), place.roster, spot.bucket, objectId);
        }
        if (until == 0) revert ListingWrong(read, offset, 0, 0);
        // What is multiplied and added is below 2^48 each; T is not zero.
        unchecked {
            uint256 each = word.rows() / place.rosterTickets;
            uint256 end = start + each * word.matrices();
            if (offset < start || offset >= end) revert ListingWrong(read, offset, start, end);
            (spot.rowsEach, spot.local) = (each, offset - start);
        }
    }

    /// Whether somebody did not sign the object, as that counts in the epoch; the list shown must be the one that does. Nobody's, since all that was missing was
    /// adopted, may be left out: who answers needn't know that anything ever was.
    function _isIncomplete(IObjects objects, Response calldata response, uint256 read, uint256 shown, uint256 word)
        private
        view
        returns (bool listed)
    {
        listed = shown < response.nonSigners.length && response.nonSigners[shown].length != 0;
        bool complete = !word.has(ObjectWord.INCOMPLETE);
        if (complete && !listed) return false;
        bytes32 objectId = response.objects[shown].objectId;
        if (complete) revert NonSignersWrong(read, objectId);
        bytes32 hash = listed ? keccak256(response.nonSigners[shown]) : keccak256("");
        if (hash != objects.nonSignersHashOf(objectId, response.epoch)) revert NonSignersWrong(read, objectId);
    }

    /// The slice at a position in an object's part of a ticket: matrix first, then row (docs/protocol.md).
    function _sliceOf(bytes32 objectId, uint256 word, Spot memory spot) private pure returns (uint256) {
        uint256 tickets = spot.place.rosterTickets;
        uint256 turn;
        assembly ("memory-safe") {
            mstore(0, objectId)
            turn := mod(keccak256(0, 32), tickets)
        }
        // All are below 2^48; a ticket is below T.
        unchecked {
            uint256 rowsEach = spot.rowsEach;
            uint256 row = (spot.ticket + tickets - turn) % tickets + (spot.local % rowsEach) * tickets;
            return (spot.local / rowsEach) * word.rows() + row;
        }
    }

    /// Takes a live row's commitment from the witness, checks it against the object's root, and adds it to what is hashed and folded.
    function _open(Response calldata response, Reading memory reading, uint256 shown, uint256 word, uint256 slice)
        private
        pure
    {
        uint256 order = reading.live;
        // At most 64 live rows.
        unchecked {
            uint256 needed = POINT_BYTES * (order + 1);
            if (response.points.length < needed) revert WitnessLengthWrong(response.points.length, needed);
            reading.live = order + 1;
        }
        bytes32 leaf = _append(reading, order, shown, slice);
        if (!_isUnderRoot(response, reading, shown, word, slice, leaf)) {
            revert PathInvalid(reading.read, response.objects[shown].objectId, slice);
        }
    }

    /// Whether the next siblings lead from a leaf to the object's root, or to the path of the one before.
    function _isUnderRoot(
        Response calldata response,
        Reading memory reading,
        uint256 shown,
        uint256 word,
        uint256 slice,
        bytes32 leaf
    ) private pure returns (bool) {
        SliceTree.Branch memory branch = reading.branches[shown];
        bytes32[] calldata siblings = response.siblings;
        // n·M is below 2^48, the call's data far below 2^64 bytes.
        unchecked {
            uint256 levels = branch.levelsTo(slice, word.rows() * word.matrices());
            uint256 used = reading.siblings;
            reading.siblings = used + levels;
            if (siblings.length < used + levels) return false;
            assembly ("memory-safe") {
                siblings.offset := add(siblings.offset, shl(5, used))
                siblings.length := levels
            }
        }
        if (!branch.isEmpty()) return branch.extend(leaf, slice, siblings);
        bytes32 treeRoot = branch.climb(leaf, slice, siblings);
        return SliceTree.manifestRoot(treeRoot, response.objects[shown].paramsHash) == reading.words[2 * shown + 1];
    }

    /// Adds a live row to what is hashed; returns its leaf.
    function _append(Reading memory reading, uint256 order, uint256 shown, uint256 slice)
        private
        pure
        returns (bytes32 leaf)
    {
        bytes memory transcript = reading.transcript;
        (uint256 objectsAt, uint256 pointsAt) = (reading.objectsAt, reading.pointsAt);
        assembly ("memory-safe") {
            // It was allocated for as many rows as are ever live: entries start at multiples of 136, points at multiples of 96.
            let entry := add(add(transcript, 32), mul(order, 136))
            mstore(add(entry, 32), shl(192, slice))
            calldatacopy(add(entry, 40), add(pointsAt, mul(order, 96)), 96)
            // The leaf is made of a zero byte and what follows the id.
            mstore8(add(entry, 31), 0)
            leaf := keccak256(add(entry, 31), 105)
            mstore(entry, calldataload(add(objectsAt, mul(shown, 64))))
        }
    }

    function _requireLength(uint256 got, uint256 expected) private pure {
        if (got != expected) revert WitnessLengthWrong(got, expected);
    }

    /// Checks the one opening of the weighted sum of all live rows. Nothing live: nothing to open.
    function _opens(Response calldata response, Reading memory reading) private view returns (bool) {
        if (reading.live == 0) return response.y == 0 && response.proof.length == 0;
        if (response.proof.length != PROOF_BYTES) return false;

        bytes memory transcript = reading.transcript;
        uint256 live = reading.live;
        assembly ("memory-safe") {
            // Cuts off what was allocated for rows that turned out void.
            mstore(transcript, mul(live, 136))
        }
        bytes32 bound = keccak256(transcript);
        // The one pinned decides, so that no later one can refuse what is true; a later one may accept what it can't.
        IOpeningVerifier pinned = _pinnedVerifier;
        if (address(pinned) != address(0) && _folds(pinned, response, reading, bound)) return true;
        IOpeningVerifier current = _verifierInForce();
        return current != pinned && _folds(current, response, reading, bound);
    }

    function _folds(IOpeningVerifier verifier, Response calldata response, Reading memory reading, bytes32 bound)
        private
        view
        returns (bool)
    {
        return verifier.verifyFold(
            response.points,
            Draws.weightsOf(reading.context, bound, reading.live),
            Draws.pointOf(reading.context, bound),
            response.y,
            response.proof
        );
    }

    // ─── Misses ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAudits
    function reportMiss(uint32 shard, uint64 epoch, address operator) external returns (bytes32 slashId) {
        Sealing memory sealing = _reportable(shard, epoch);
        DutyStatus status = statusOf(shard, epoch, operator);
        if (status == DutyStatus.Answered) revert AlreadyAnswered(shard, epoch, operator);
        if (status == DutyStatus.Missed) revert AlreadyReported(shard, epoch, operator);
        slashId = _report(shard, epoch, sealing, operator);
        if (slashId == 0) revert NoDuty(shard, epoch, operator);
    }

    /// @inheritdoc IAudits
    function reportMisses(uint32 shard, uint64 epoch, uint32 roster, uint256[] calldata seats)
        external
        returns (uint256 reported)
    {
        Sealing memory sealing = _reportable(shard, epoch);
        IShards shards = _shards();
        IRestaking restaking = IRestaking(shards.restakingOf(shard));
        // Each step is a bit that the caller set.
        for (uint256 i; i < seats.length; ++i) {
            for (uint256 left = seats[i]; left != 0; left &= left - 1) {
                uint256 seat = 256 * i + Math.log2(left & (~left + 1));
                address operator = shards.rosterEntry(shard, roster, seat).operator;
                if (operator == address(0) || statusOf(shard, epoch, operator) != DutyStatus.None) continue;
                // Missed at the Audits of another roster too: an epoch is slashed once, and that spoils nothing for the others.
                if (_isSlashed(restaking, shard, epoch, operator)) continue;
                if (_report(shard, epoch, sealing, operator) != 0) ++reported;
            }
        }
    }

    function _isSlashed(IRestaking restaking, uint32 shard, uint64 epoch, address operator)
        private
        view
        returns (bool)
    {
        // It refuses ids that it does not know.
        try restaking.slashOf(restaking.slashId(shard, epoch, operator)) {
            return true;
        } catch {
            return false;
        }
    }

    function _reportable(uint32 shard, uint64 epoch) private view returns (Sealing memory sealing) {
        sealing = _sealed(shard, epoch);
        if (block.number <= sealing.deadline) revert ReportTooEarly(sealing.deadline, block.number);
        if (block.number > sealing.reportLimit) revert ReportTooLate(sealing.reportLimit, block.number);
    }

    /// Queues the slash of an operator that did not answer; zero if it had no duty.
    function _report(uint32 shard, uint64 epoch, Sealing memory sealing, address operator)
        private
        returns (bytes32 slashId)
    {
        Duty memory duty = _duty(_objects(), shard, epoch, sealing, operator, false);
        if (duty.held == 0) return 0;

        _setStatus(shard, epoch, operator, DutyStatus.Missed);
        // The Restaking that holds the shard's bonds, whatever newer one stands in the directory.
        IRestaking restaking = IRestaking(_shards().restakingOf(shard));
        slashId = restaking.queueSlash(shard, _slashRoster(duty), operator, epoch, msg.sender);
        emit MissReported(shard, epoch, operator, msg.sender, slashId);
    }

    function _slashRoster(Duty memory duty) private pure returns (uint32 roster) {
        uint256 most;
        for (uint256 i; i < duty.places.length; ++i) {
            Place memory place = duty.places[i];
            if (place.held != 0 && place.tickets > most) (most, roster) = (place.tickets, place.roster);
        }
    }

    // ─── Duty ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// An operator's places in the rosters live in an epoch, as of its frozen block. At most 9. Positions are counted for a draw alone: what is
    /// held says whether there is a duty.
    function _duty(IObjects objects, uint32 shard, uint64 epoch, Sealing memory sealing, address operator, bool isDrawn)
        private
        view
        returns (Duty memory duty)
    {
        if (sealing.rosters == 0) return duty;
        uint32 last = sealing.firstRoster + sealing.rosters - 1;
        RosterPlace[] memory rosterPlaces = _shards().placesFrom(shard, sealing.firstRoster, last, operator);
        uint256 count;
        duty.places = new Place[](rosterPlaces.length);
        for (uint256 i; i < rosterPlaces.length; ++i) {
            RosterPlace memory from = rosterPlaces[i];
            if (from.slasher != address(this)) continue;
            if (from.vacatedBlock != 0 && from.vacatedBlock <= sealing.frozenBlock) continue;

            Place memory place = duty.places[count++];
            place.roster = from.roster;
            place.rosterTickets = from.rosterTickets;
            (place.index, place.firstTicket, place.tickets) = (from.seat, from.firstTicket, from.tickets);
            if (isDrawn) _fillRows(objects, shard, epoch, operator, place);
            else place.held = place.tickets * _liveRows(objects, shard, epoch, operator, place.roster);
            duty.rows += place.rows;
            duty.held += place.held;
        }
        Place[] memory places = duty.places;
        assembly ("memory-safe") {
            mstore(places, count)
        }
    }

    function _fillRows(IObjects objects, uint32 shard, uint64 epoch, address operator, Place memory place)
        private
        view
    {
        uint256 live;
        (live, place.buckets) = objects.holdings(shard, place.roster, operator, epoch);
        place.held = place.tickets * live;
        for (uint256 i; i < place.buckets.length; ++i) {
            place.rowsPerTicket += place.buckets[i];
        }
        place.rows = place.tickets * place.rowsPerTicket;
    }

    /// Live rows of a ticket that the operator signed: what `holdings` says of them.
    function _liveRows(IObjects objects, uint32 shard, uint64 epoch, address operator, uint32 roster)
        private
        view
        returns (uint256 live)
    {
        live = objects.tally(shard, roster, epoch).rows;
        if (live != 0) live -= objects.excludedTally(shard, roster, operator, epoch).rows;
    }

    /// What of a sealing a duty depends on, of an epoch that may not be sealed yet.
    function _populationOf(uint32 shard, uint64 epoch) private view returns (Sealing memory sealing) {
        IShards shards = _shards();
        sealing.frozenBlock = shards.frozenBlockOf(shard, epoch).toUint48();
        (uint32 first, uint32 last) = shards.rostersLiveIn(shard, epoch);
        if (first <= last) (sealing.firstRoster, sealing.rosters) = (first, uint256(last - first + 1).toUint16());
    }

    function _samples(uint256 samples, uint256 held) private pure returns (uint256) {
        return samples < held ? samples : held;
    }

    // ─── Statuses ─────────────────────────────────────────────────────────────────────────────────────────────────

    function _setStatus(uint32 shard, uint64 epoch, address operator, DutyStatus status) private {
        // Only ever from None, whose bits are zero.
        _statuses[shard][operator][epoch / STATUSES_PER_WORD] |= uint256(status)
        << (STATUS_BITS * (epoch % STATUSES_PER_WORD));
    }

    function _sealed(uint32 shard, uint64 epoch) private view returns (Sealing memory sealing) {
        sealing = _sealings[shard][epoch];
        if (sealing.sealedBlock == 0) revert NotSealed(shard, epoch);
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAudits
    function seedOf(uint32 shard, uint64 epoch)
        external
        view
        returns (bytes32 seed, uint256 sealedBlock, uint256 deadline)
    {
        Sealing memory sealing = _sealings[shard][epoch];
        return (sealing.seed, sealing.sealedBlock, sealing.deadline);
    }

    /// @inheritdoc IAudits
    function statusOf(uint32 shard, uint64 epoch, address operator) public view returns (DutyStatus) {
        uint256 word = _statuses[shard][operator][epoch / STATUSES_PER_WORD];
        uint256 mask = (1 << STATUS_BITS) - 1;
        return DutyStatus((word >> (STATUS_BITS * (epoch % STATUSES_PER_WORD))) & mask);
    }

    /// @inheritdoc IAudits
    function isVoid(uint32 shard, uint64 epoch) external view returns (bool) {
        if (_sealings[shard][epoch].sealedBlock != 0) return false;
        IShards shards = _shards();
        return block.number > shards.seedBlockOf(shard, epoch) + shards.parametersOf(shard).sealingLimit;
    }

    /// @inheritdoc IAudits
    function heldRows(uint32 shard, uint64 epoch, address operator) external view returns (uint256) {
        return _duty(_objects(), shard, epoch, _populationOf(shard, epoch), operator, false).held;
    }

    /// @inheritdoc IAudits
    function draw(uint32 shard, uint64 epoch, address operator)
        external
        view
        returns (bytes32 context, uint256 snapshotRows, uint256 samples, uint256[] memory positions)
    {
        Sealing memory sealing = _sealed(shard, epoch);
        Duty memory duty = _duty(_objects(), shard, epoch, sealing, operator, true);
        context = Draws.contextOf(shard, epoch, sealing.seed, operator);
        snapshotRows = duty.rows;
        samples = _samples(sealing.samples, duty.held);
        positions = new uint256[](Draws.READS_PER_SAMPLE * samples);
        for (uint256 i; i < positions.length; ++i) {
            positions[i] = Draws.positionOf(context, snapshotRows, samples, i);
        }
    }

    function _shards() private view returns (IShards) {
        IShards pinned = _pinnedShards;
        return address(pinned) != address(0) ? pinned : IShards(DIRECTORY.module(ModuleNames.SHARDS));
    }

    function _objects() private view returns (IObjects) {
        IObjects pinned = _pinnedObjects;
        return address(pinned) != address(0) ? pinned : IObjects(DIRECTORY.module(ModuleNames.OBJECTS));
    }

    function _verifierInForce() private view returns (IOpeningVerifier) {
        return IOpeningVerifier(DIRECTORY.module(ModuleNames.OPENING_VERIFIER));
    }
}
