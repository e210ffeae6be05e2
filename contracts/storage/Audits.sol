// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

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
import {SliceTree} from "../libraries/SliceTree.sol";
import {DutyStatus, ListedObject, ReadWitness, Response, RosterPlace, ShardParameters} from "../types/Types.sol";

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
contract Audits is IAudits {
    using SafeCast for uint256;

    /// Two slots.
    struct Sealing {
        bytes32 seed;
        uint48 sealedBlock;
        uint48 deadline;
        uint48 reportLimit;
        uint48 frozenBlock;
        uint16 samples;
    }

    /// An operator's place in one roster, as of B_e.
    struct Place {
        uint32 roster;
        uint256 rosterTickets;
        uint256 index;
        uint256 firstTicket;
        uint256 tickets;
        // positions in each ticket's part, by bucket and in all
        uint64[] buckets;
        uint256 rowsPerTicket;
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
        uint256 place;
        uint256 ticket;
        uint256 bucket;
        // position in the ticket's part of the bucket
        uint256 offset;
    }

    /// What `respond` gathers while it reads.
    struct Reading {
        bytes32 context;
        uint256 samples;
        uint256 read;
        uint256 live;
        // of the live rows: objectId ‖ uint64 slice ‖ commitment each; and the commitments alone
        bytes transcript;
        bytes points;
    }

    /// Bytes of a commitment, and of its entry in the transcript.
    uint256 private constant POINT_BYTES = 96;
    uint256 private constant ENTRY_BYTES = 32 + 8 + POINT_BYTES;
    uint256 private constant PROOF_BYTES = 48;

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
    mapping(uint32 shard => mapping(address operator => mapping(uint256 word => uint256))) private _statuses;
    mapping(address operator => uint256) public answeredCount;

    constructor(IDirectory directory) {
        DIRECTORY = directory;
    }

    // ─── Sealing ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAudits
    function seal(uint32 shard, uint64 epoch, bytes calldata randomnessProof) external returns (bytes32 seed) {
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
        _sealings[shard][epoch] = Sealing({
            seed: seed,
            sealedBlock: block.number.toUint48(),
            deadline: deadline.toUint48(),
            reportLimit: (deadline + parameters.reporting).toUint48(),
            frozenBlock: shards.frozenBlockOf(shard, epoch).toUint48(),
            samples: parameters.samples
        });
        emit EpochSealed(shard, epoch, seed, block.number, deadline);

        _rollForward(shards, shard, epoch);
    }

    /// Not before it is itself in force under a sealed directory: else anyone could tie it to what is about to be replaced.
    function _pin() private {
        if (address(_pinnedShards) != address(0)) return;
        if (DIRECTORY.sealedBlock() == 0 || DIRECTORY.module(ModuleNames.AUDITS) != address(this)) return;

        (_pinnedShards, _pinnedObjects, _pinnedVerifier) = (_shards(), _objects(), _verifierInForce());
    }

    /// Spares every answer and settlement the epochs in between.
    function _rollForward(IShards shards, uint32 shard, uint64 epoch) private {
        IObjects objects = _objects();
        (uint32 first, uint32 last) = shards.rostersLiveIn(shard, epoch);
        for (uint32 roster = first; roster <= last; ++roster) {
            objects.roll(shard, roster, address(0), epoch, ROLL_STEPS);
        }
    }

    // ─── Answering ────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAudits
    function respond(Response calldata response) external {
        Sealing memory sealing = _sealed(response.shard, response.epoch);
        if (block.number > sealing.deadline) revert AnswerTooLate(sealing.deadline, block.number);
        if (statusOf(response.shard, response.epoch, response.operator) != DutyStatus.None) {
            revert AlreadyAnswered(response.shard, response.epoch, response.operator);
        }
        Duty memory duty = _duty(response.shard, response.epoch, sealing.frozenBlock, response.operator);
        if (duty.held == 0) revert NoDuty(response.shard, response.epoch, response.operator);

        Reading memory reading;
        reading.context = Draws.contextOf(response.shard, response.epoch, sealing.seed, response.operator);
        reading.samples = _samples(sealing.samples, duty.held);
        _read(response, duty, reading);
        if (!_opens(response, reading)) {
            revert OpeningInvalid(response.shard, response.epoch, response.operator);
        }

        _setStatus(response.shard, response.epoch, response.operator, DutyStatus.Answered);
        ++answeredCount[response.operator];
        emit Answered(response.shard, response.epoch, response.operator, reading.live, reading.read);
    }

    /// Follows the draw until enough live rows are shown or the reads are used up.
    function _read(Response calldata response, Duty memory duty, Reading memory reading) private view {
        uint256 samples = reading.samples;
        uint256 most = Draws.READS_PER_SAMPLE * samples;
        reading.transcript = new bytes(ENTRY_BYTES * samples);
        reading.points = new bytes(POINT_BYTES * samples);
        IObjects objects = _objects();

        while (reading.live < samples && reading.read < most) {
            if (reading.read >= response.reads.length) {
                revert ReadsCountWrong(response.reads.length, reading.read + 1);
            }
            uint256 position = Draws.positionOf(reading.context, duty.rows, samples, reading.read);
            _readOne(objects, response, duty, reading, position);
            ++reading.read;
        }
        if (reading.read != response.reads.length) revert ReadsCountWrong(response.reads.length, reading.read);
    }

    function _readOne(
        IObjects objects,
        Response calldata response,
        Duty memory duty,
        Reading memory reading,
        uint256 position
    ) private view {
        ReadWitness calldata witness = response.reads[reading.read];
        Spot memory spot = _locate(duty, position);
        Place memory place = duty.places[spot.place];
        ListedObject memory object =
            objects.listed(response.shard, place.roster, spot.bucket, witness.index, response.epoch);
        if (spot.offset < object.start || spot.offset >= object.end) {
            revert ListingWrong(reading.read, spot.offset, object.start, object.end);
        }

        if (response.epoch >= object.endEpoch) {
            _requireEmpty(witness, reading.read);
            if (witness.nonSigners.length != 0) revert WitnessNotEmpty(reading.read);
            return;
        }
        if (NonSigners.hashOf(witness.nonSigners) != object.nonSignersHash) {
            revert NonSignersWrong(reading.read, object.objectId);
        }
        if (NonSigners.contains(witness.nonSigners, place.index)) {
            _requireEmpty(witness, reading.read);
            return;
        }

        uint256 slice = _sliceOf(object, place.rosterTickets, spot);
        if (!_isCommitted(object, slice, witness)) revert PathInvalid(reading.read, object.objectId, slice);
        _append(reading, object.objectId, slice, witness.point);
    }

    /// A void position opens nothing.
    function _requireEmpty(ReadWitness calldata witness, uint256 read) private pure {
        if (witness.point.length != 0 || witness.path.length != 0 || witness.paramsHash != bytes32(0)) {
            revert WitnessNotEmpty(read);
        }
    }

    /// Resolves a position of the snapshot to roster, ticket and bucket.
    function _locate(Duty memory duty, uint256 position) private pure returns (Spot memory spot) {
        // The position is below the sum of all that is subtracted here: both loops end inside their arrays.
        while (true) {
            Place memory candidate = duty.places[spot.place];
            uint256 rows = candidate.tickets * candidate.rowsPerTicket;
            if (position < rows) break;
            position -= rows;
            ++spot.place;
        }
        Place memory place = duty.places[spot.place];
        spot.ticket = place.firstTicket + position / place.rowsPerTicket;
        position %= place.rowsPerTicket;
        while (position >= place.buckets[spot.bucket]) {
            position -= place.buckets[spot.bucket];
            ++spot.bucket;
        }
        spot.offset = position;
    }

    /// The slice at a position in an object's part of a ticket: matrix first, then row (docs/protocol.md).
    function _sliceOf(ListedObject memory object, uint256 tickets, Spot memory spot) private pure returns (uint256) {
        uint256 rowsEach = object.n / tickets;
        uint256 local = spot.offset - object.start;
        uint256 turn = uint256(keccak256(abi.encode(object.objectId))) % tickets;
        uint256 row = (spot.ticket + tickets - turn) % tickets + (local % rowsEach) * tickets;
        return (local / rowsEach) * object.n + row;
    }

    /// Whether the witness shows the slice's commitment under the object's root.
    function _isCommitted(ListedObject memory object, uint256 slice, ReadWitness calldata witness)
        private
        pure
        returns (bool)
    {
        if (witness.point.length != POINT_BYTES) return false;
        if (witness.path.length != SliceTree.depthOf(uint256(object.n) * object.matrices)) return false;
        // n·M is below 2^48.
        bytes32 leaf = SliceTree.leafOf(uint64(slice), witness.point);
        bytes32 treeRoot = SliceTree.rootFrom(leaf, slice, witness.path);
        return SliceTree.manifestRoot(treeRoot, witness.paramsHash) == object.manifestRoot;
    }

    /// Adds a live row to what is hashed and folded.
    function _append(Reading memory reading, bytes32 objectId, uint256 slice, bytes calldata point) private pure {
        bytes memory transcript = reading.transcript;
        bytes memory points = reading.points;
        uint256 order = reading.live++;
        assembly ("memory-safe") {
            // Both arrays were allocated for as many rows as are ever live: their entries start at multiples of 136 and 96.
            let entry := add(add(transcript, 32), mul(order, 136))
            mstore(entry, objectId)
            mstore(add(entry, 32), shl(192, slice))
            calldatacopy(add(entry, 40), point.offset, 96)
            calldatacopy(add(add(points, 32), mul(order, 96)), point.offset, 96)
        }
    }

    /// Checks the one opening of the weighted sum of all live rows. Nothing live: nothing to open.
    function _opens(Response calldata response, Reading memory reading) private view returns (bool) {
        if (reading.live == 0) return response.y == 0 && response.proof.length == 0;
        if (response.proof.length != PROOF_BYTES) return false;

        (bytes memory transcript, bytes memory points) = (reading.transcript, reading.points);
        uint256 live = reading.live;
        assembly ("memory-safe") {
            // Cuts off what was allocated for rows that turned out void.
            mstore(transcript, mul(live, 136))
            mstore(points, mul(live, 96))
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
            reading.points,
            Draws.weightsOf(reading.context, bound, reading.live),
            Draws.pointOf(reading.context, bound),
            response.y,
            response.proof
        );
    }

    // ─── Misses ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IAudits
    function reportMiss(uint32 shard, uint64 epoch, address operator) external returns (bytes32 slashId) {
        Sealing memory sealing = _sealed(shard, epoch);
        if (block.number <= sealing.deadline) revert ReportTooEarly(sealing.deadline, block.number);
        if (block.number > sealing.reportLimit) revert ReportTooLate(sealing.reportLimit, block.number);
        DutyStatus status = statusOf(shard, epoch, operator);
        if (status == DutyStatus.Answered) revert AlreadyAnswered(shard, epoch, operator);
        if (status == DutyStatus.Missed) revert AlreadyReported(shard, epoch, operator);
        Duty memory duty = _duty(shard, epoch, sealing.frozenBlock, operator);
        if (duty.held == 0) revert NoDuty(shard, epoch, operator);

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

    /// An operator's places in the rosters live in an epoch, as of its frozen block. At most 9.
    function _duty(uint32 shard, uint64 epoch, uint256 frozenBlock, address operator)
        private
        view
        returns (Duty memory duty)
    {
        IObjects objects = _objects();
        RosterPlace[] memory rosterPlaces = _shards().placesIn(shard, epoch, operator);
        uint256 count;
        duty.places = new Place[](rosterPlaces.length);
        for (uint256 i; i < rosterPlaces.length; ++i) {
            RosterPlace memory from = rosterPlaces[i];
            if (from.slasher != address(this)) continue;
            if (from.vacatedBlock != 0 && from.vacatedBlock <= frozenBlock) continue;

            Place memory place = duty.places[count++];
            place.roster = from.roster;
            place.rosterTickets = from.rosterTickets;
            (place.index, place.firstTicket, place.tickets) = (from.seat, from.firstTicket, from.tickets);
            _fillRows(objects, shard, epoch, operator, place);
            duty.rows += place.tickets * place.rowsPerTicket;
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
        uint256 live = objects.tally(shard, place.roster, epoch).rows;
        if (live != 0) live -= objects.excludedTally(shard, place.roster, operator, epoch).rows;
        place.held = place.tickets * live;
        place.buckets = objects.listedRows(shard, place.roster, epoch);
        for (uint256 i; i < place.buckets.length; ++i) {
            place.rowsPerTicket += place.buckets[i];
        }
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
        return _duty(shard, epoch, _shards().frozenBlockOf(shard, epoch), operator).held;
    }

    /// @inheritdoc IAudits
    function draw(uint32 shard, uint64 epoch, address operator)
        external
        view
        returns (bytes32 context, uint256 snapshotRows, uint256 samples, uint256[] memory positions)
    {
        Sealing memory sealing = _sealed(shard, epoch);
        Duty memory duty = _duty(shard, epoch, sealing.frozenBlock, operator);
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
