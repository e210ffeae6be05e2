// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IDirectory} from "../interfaces/IDirectory.sol";
import {IMembers} from "../interfaces/IMembers.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IShards} from "../interfaces/IShards.sol";
import {IStakeSource} from "../interfaces/IStakeSource.sol";
import {CodeBlob} from "../libraries/CodeBlob.sol";
import {MissTerms} from "../libraries/MissTerms.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {RosterBlob} from "../libraries/RosterBlob.sol";
import {
    CollateralWeight,
    RosterAbsence,
    RosterEntry,
    RosterHead,
    RosterPlace,
    ShardParameters
} from "../types/Types.sol";
import {Members} from "./Members.sol";
import {ShardRules} from "./ShardRules.sol";

/// @title Shards
/// @notice Holds: shards with their parameters; rosters, in contract code; who sat in which seat, under which key, from which roster on; places
/// fallen vacant. Who may sit there and how much each counts for is the business of Members, which this contract makes and alone listens to.
///
/// Typical flow: 1 the governor creates a shard; 2 operators join it and somebody snapshots a roster (Members), active from the next epoch on;
/// 3 Objects records how long objects under it live; 4 once its last object has expired it binds nobody.
///
/// Invariants:
/// - I-S1  Σ seats' tickets = head.tickets = T ≤ 1024, and the ranges are consecutive from 0: every ticket has one holder;
/// - I-S4  snapshots of a shard lie D/7 apart or more, so at most 7 rosters are live in an epoch, and at most 15 bind;
/// - I-S5  stake counted by a roster is bound until no miss under it can be reported: boundUntil never falls below a block in which one can,
///         and never rises without a snapshot;
/// - I-S8  nothing that a roster says changes after its snapshot;
/// - I-D1  timelock > withdrawal delay + epoch; withdrawal delay ≥ epoch + sealing limit + window + reporting + resolution + guardian's delay.
contract Shards is IShards {
    using Checkpoints for Checkpoints.Trace160;
    using Checkpoints for Checkpoints.Trace208;
    using Math for uint256;

    /// One slot: what else there is to say of a roster stands in its blob, or follows from the snapshot's block.
    struct Roster {
        address blob;
        uint40 snapshotBlock;
        // greatest end epoch of an object certified under it
        uint32 objectsEnd;
        // of places that fell vacant; a roster has at most 1,024
        uint16 vacantTickets;
    }

    struct Seat {
        // roster → operator, from that roster on; zero: empty
        Checkpoints.Trace160 operators;
        // roster → account whose code holds the key counted from that roster on
        Checkpoints.Trace160 keys;
    }

    struct Shard {
        uint64 firstBlock;
        uint32 rosterCount;
        address restaking;
        // account whose code holds what a miss takes
        address missTerms;
        ShardParameters parameters;
        CollateralWeight[] collaterals;
        mapping(uint256 seat => Seat) seats;
        // roster → seat plus one, from that roster on
        mapping(address operator => Checkpoints.Trace208) seatsOf;
        mapping(uint32 roster => Roster) rosters;
        // block → block, at which the operator's place fell vacant
        mapping(address operator => Checkpoints.Trace208) vacancies;
    }

    uint256 private constant KEY_BYTES = 256;

    IDirectory public immutable directory;
    IMembers public immutable members;
    ShardRules public immutable rules;

    uint32 public count;
    mapping(uint32 shard => Shard) private _shards;

    constructor(IDirectory directory_) {
        directory = directory_;
        members = new Members(directory_, this);
        rules = new ShardRules();
    }

    modifier onlyMembers() {
        if (msg.sender != address(members)) revert NotMembers(msg.sender);
        _;
    }

    // ---- set-up

    function create(ShardParameters calldata parameters, CollateralWeight[] calldata collaterals)
        external
        returns (uint32 shard)
    {
        if (msg.sender != directory.governor()) revert NotGovernor(msg.sender);
        address restaking = directory.module(ModuleNames.RESTAKING);
        rules.check(parameters, collaterals, IRestaking(restaking), directory.timelock());

        shard = ++count;
        Shard storage s = _shards[shard];
        s.firstBlock = uint64(block.number);
        s.restaking = restaking;
        s.missTerms = MissTerms.write(parameters, collaterals);
        s.parameters = parameters;
        for (uint256 c = 0; c < collaterals.length; ++c) {
            s.collaterals.push(collaterals[c]);
        }
        emit ShardCreated(shard, block.number, parameters, collaterals);
        members.open(shard, restaking, parameters, collaterals);
    }

    // ---- rosters, written by Members

    function addRoster(uint32 shard, address blob) external onlyMembers returns (uint32 roster) {
        Shard storage s = _shard(shard);
        roster = ++s.rosterCount;
        Roster storage r = s.rosters[roster];
        (r.blob, r.snapshotBlock) = (blob, uint40(block.number));
        RosterBlob.Head memory head = RosterBlob.head(blob);
        emit RosterTaken(
            shard, roster, uint16(head.tickets), uint16(head.operators), _activeFrom(s, r), head.keySum, head.slasher
        );
    }

    function setSeat(uint32 shard, uint256 seat, address operator, bool taken) external onlyMembers {
        Shard storage s = _shard(shard);
        uint32 next = s.rosterCount + 1;
        s.seats[seat].operators.push(next, taken ? uint160(operator) : 0);
        s.seatsOf[operator].push(next, taken ? uint208(seat + 1) : 0);
    }

    function setKey(uint32 shard, uint256 seat, address account) external onlyMembers {
        Shard storage s = _shard(shard);
        s.seats[seat].keys.push(s.rosterCount + 1, uint160(account));
    }

    function vacate(uint32 shard, address operator) external onlyMembers {
        Shard storage s = _shard(shard);
        // one vacancy covers all rosters before it: another says nothing new until there is another roster
        Checkpoints.Trace208 storage vacancies = s.vacancies[operator];
        uint256 before = vacancies.latest();
        if (s.rosterCount != 0 && before >= s.rosters[s.rosterCount].snapshotBlock) return;
        vacancies.push(uint48(block.number), uint208(block.number));
        emit PlaceVacated(shard, operator, block.number);

        uint64 epoch = _epochAt(s, block.number);
        for (uint32 roster = s.rosterCount; roster != 0; --roster) {
            Roster storage r = s.rosters[roster];
            // a roster that has ended certifies nothing more, an older one was covered before
            if (_endOf(s, r) < epoch || r.snapshotBlock <= before) break;
            (,, uint256 tickets) = _seatIn(s, r, roster, operator);
            if (tickets != 0) r.vacantTickets += uint16(tickets);
        }
    }

    // ---- objects

    function recordObject(uint32 shard, uint32 roster, uint64 endEpoch) external {
        if (msg.sender != directory.module(ModuleNames.OBJECTS) && msg.sender != directory.module(ModuleNames.KEYS)) {
            revert CallerNotModule(msg.sender, ModuleNames.OBJECTS);
        }
        Roster storage r = _roster(_shard(shard), shard, roster);

        // Objects keeps its epochs in as many bits.
        if (endEpoch > r.objectsEnd) r.objectsEnd = uint32(endEpoch);
    }

    // ---- shards

    function firstBlockOf(uint32 shard) external view returns (uint256) {
        return _shard(shard).firstBlock;
    }

    function parametersOf(uint32 shard) external view returns (ShardParameters memory) {
        return _shard(shard).parameters;
    }

    function collateralsOf(uint32 shard) external view returns (CollateralWeight[] memory) {
        return _shard(shard).collaterals;
    }

    function missTermsOf(uint32 shard) external view returns (address) {
        return _shard(shard).missTerms;
    }

    function restakingOf(uint32 shard) external view returns (address) {
        return _shard(shard).restaking;
    }

    function epochAt(uint32 shard, uint256 blockNumber) external view returns (uint64) {
        return _epochAt(_shard(shard), blockNumber);
    }

    function seedBlockOf(uint32 shard, uint64 epoch) external view returns (uint256) {
        return _seedBlockOf(_shard(shard), epoch);
    }

    function frozenBlockOf(uint32 shard, uint64 epoch) external view returns (uint256) {
        Shard storage s = _shard(shard);
        return _seedBlockOf(s, epoch).saturatingSub(s.parameters.finality);
    }

    function firstEpochAfter(uint32 shard, uint256 blockNumber) external view returns (uint64) {
        Shard storage s = _shard(shard);
        uint256 since = (blockNumber + s.parameters.finality).saturatingSub(s.firstBlock);
        return uint64(since.ceilDiv(s.parameters.epochLength).max(1));
    }

    // ---- rosters, read

    function rosterCount(uint32 shard) external view returns (uint32) {
        return _shard(shard).rosterCount;
    }

    function activeRoster(uint32 shard) external view returns (uint32 roster) {
        Shard storage s = _shard(shard);
        uint64 epoch = _epochAt(s, block.number);
        roster = s.rosterCount;
        while (roster != 0 && _activeFrom(s, s.rosters[roster]) > epoch) --roster;
    }

    function rosterHead(uint32 shard, uint32 roster) external view returns (RosterHead memory) {
        Shard storage s = _shard(shard);
        Roster storage r = _roster(s, shard, roster);
        RosterBlob.Head memory head = RosterBlob.head(r.blob);
        return RosterHead({
            snapshotBlock: r.snapshotBlock,
            activeFromEpoch: _activeFrom(s, r),
            endEpoch: _endOf(s, r),
            tickets: uint16(head.tickets),
            operators: uint16(head.operators),
            seats: uint16(RosterBlob.seats(r.blob)),
            largest: uint16(head.largest),
            slasher: head.slasher
        });
    }

    function rosterEntry(uint32 shard, uint32 roster, uint256 seat) external view returns (RosterEntry memory) {
        Shard storage s = _shard(shard);
        Roster storage r = _roster(s, shard, roster);
        uint256 seats = RosterBlob.seats(r.blob);
        if (seat >= seats) revert SeatOutOfRange(seat, seats);
        return _entry(s, r, roster, seat);
    }

    function rosterEntries(uint32 shard, uint32 roster, uint256 from, uint256 to)
        external
        view
        returns (RosterEntry[] memory entries)
    {
        Shard storage s = _shard(shard);
        Roster storage r = _roster(s, shard, roster);
        to = to.min(RosterBlob.seats(r.blob));
        entries = new RosterEntry[](to.saturatingSub(from));
        for (uint256 i = 0; i < entries.length; ++i) {
            entries[i] = _entry(s, r, roster, from + i);
        }
    }

    function rosterKeys(uint32 shard, uint32 roster, uint256[] calldata seats)
        external
        view
        returns (bytes memory keys)
    {
        Shard storage s = _shard(shard);
        Roster storage r = _roster(s, shard, roster);
        for (uint256 i = 0; i < seats.length; ++i) {
            (, uint256 tickets) = RosterBlob.ticketsAt(r.blob, seats[i]);
            if (tickets == 0) revert SeatEmpty(seats[i]);
            keys = bytes.concat(keys, _keyIn(s, roster, seats[i]));
        }
    }

    function rosterIndexOf(uint32 shard, uint32 roster, address operator) external view returns (uint256 seat) {
        Shard storage s = _shard(shard);
        (seat,,) = _placeIn(s, _roster(s, shard, roster), shard, roster, operator);
    }

    function isInRoster(uint32 shard, uint32 roster, address operator) external view returns (bool) {
        Shard storage s = _shard(shard);
        return _isIn(s, _roster(s, shard, roster), roster, operator);
    }

    function placesIn(uint32 shard, uint64 epoch, address operator)
        external
        view
        returns (RosterPlace[] memory places)
    {
        (uint32 first, uint32 last) = _liveIn(_shard(shard), epoch);
        return placesFrom(shard, first, last, operator);
    }

    function placesFrom(uint32 shard, uint32 first, uint32 last, address operator)
        public
        view
        returns (RosterPlace[] memory places)
    {
        Shard storage s = _shards[shard];
        places = new RosterPlace[](first > last ? 0 : last - first + 1);
        uint256 found = 0;
        for (uint32 roster = first; roster <= last; ++roster) {
            RosterPlace memory place = _rosterPlace(s, roster, operator);
            if (place.tickets != 0) places[found++] = place;
        }
        assembly ("memory-safe") {
            mstore(places, found)
        }
    }

    function aggregateKeyOf(uint32 shard, uint32 roster) external view returns (bytes memory) {
        return CodeBlob.read(RosterBlob.head(_roster(_shard(shard), shard, roster).blob).keySum, 0, KEY_BYTES);
    }

    function absenceIn(uint32 shard, uint32 roster, uint16[] calldata seats)
        external
        view
        returns (RosterAbsence memory absence)
    {
        Shard storage s = _shards[shard];
        Roster storage r = s.rosters[roster];
        address blob = r.blob;
        // Who asks about a roster that there is reads no other slot for it; otherwise this says what is unknown.
        if (blob == address(0)) blob = _roster(_shard(shard), shard, roster).blob;
        absence.aggregateKey = CodeBlob.read(RosterBlob.head(blob).keySum, 0, KEY_BYTES);
        uint256 vacant = r.vacantTickets;
        uint256 n = seats.length;
        if (n != 0) {
            absence.keys = new bytes(KEY_BYTES * n);
            absence.operators = new address[](n);
            absence.tickets = new uint256[](n);
        }
        uint256 seatCount = n == 0 ? 0 : RosterBlob.seats(blob);
        for (uint256 i = 0; i < n; ++i) {
            uint256 seat = seats[i];
            if (seat >= seatCount) revert SeatOutOfRange(seat, seatCount);
            (, uint256 tickets) = RosterBlob.ticketsAt(blob, seat);
            if (tickets == 0) continue;
            address operator = address(s.seats[seat].operators.upperLookup(roster));
            (absence.tickets[i], absence.operators[i]) = (tickets, operator);
            address key = address(s.seats[seat].keys.upperLookup(roster));
            CodeBlob.readInto(key, 0, KEY_BYTES, absence.keys, KEY_BYTES * i);
            if (vacant != 0 && _vacatedAt(s, r, operator) != 0) vacant -= tickets;
        }
        absence.vacantElsewhere = vacant;
    }

    function slashTerms(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (uint256 bondSlash, uint256 reporterFee, address[] memory collaterals, uint256[] memory amounts)
    {
        (, address source, uint256 tickets) = slashPlaceOf(shard, roster, operator);
        bytes memory terms = MissTerms.load(_shards[shard].missTerms);
        bondSlash = MissTerms.bondSlash(terms, tickets);
        reporterFee = MissTerms.reporterFee(terms);
        uint256 n = MissTerms.collateralCount(terms);
        (collaterals, amounts) = (new address[](n), new uint256[](n));
        uint256[] memory values = new uint256[](n);
        for (uint256 c = 0; c < n; ++c) {
            collaterals[c] = MissTerms.collateral(terms, c);
            (amounts[c], values[c]) = IStakeSource(source).slashableOf(operator, shard, collaterals[c]);
        }
        MissTerms.spread(terms, tickets, amounts, values);
    }

    function slashPlaceOf(uint32 shard, uint32 roster, address operator)
        public
        view
        returns (address slasher, address source, uint256 tickets)
    {
        Shard storage s = _shard(shard);
        Roster storage r = _roster(s, shard, roster);
        (,, tickets) = _placeIn(s, r, shard, roster, operator);
        RosterBlob.Head memory head = RosterBlob.head(r.blob);
        return (head.slasher, head.source, tickets);
    }

    function sourceOf(uint32 shard, uint32 roster) external view returns (address) {
        return RosterBlob.head(_roster(_shard(shard), shard, roster).blob).source;
    }

    function rostersLiveIn(uint32 shard, uint64 epoch) external view returns (uint32 first, uint32 last) {
        return _liveIn(_shard(shard), epoch);
    }

    function vacatedAt(uint32 shard, uint32 roster, address operator) external view returns (uint256 blockNumber) {
        Shard storage s = _shard(shard);
        return _vacatedAt(s, _roster(s, shard, roster), operator);
    }

    function vacantTicketsOf(uint32 shard, uint32 roster) external view returns (uint256 tickets) {
        return _roster(_shard(shard), shard, roster).vacantTickets;
    }

    function boundUntil(address operator, uint256 sinceBlock, uint256 untilBlock)
        external
        view
        returns (uint256 blockNumber)
    {
        return members.boundUntil(operator, sinceBlock, untilBlock);
    }

    function boundIn(uint32 shard, address operator, uint256 sinceBlock, uint256 untilBlock)
        external
        view
        returns (uint256 blockNumber)
    {
        return _boundIn(_shard(shard), operator, sinceBlock, untilBlock);
    }

    // ---- rosters, within

    function _boundIn(Shard storage s, address operator, uint256 sinceBlock, uint256 untilBlock)
        internal
        view
        returns (uint256 blockNumber)
    {
        if (s.rosterCount == 0) return 0;
        uint256 closing = _closing(s);
        uint64 nextActiveFrom = 0;
        for (uint32 roster = s.rosterCount; roster != 0; --roster) {
            Roster storage r = s.rosters[roster];
            uint64 endEpoch = _endOf(s, r);
            // older ones started and end no later
            if (r.snapshotBlock < sinceBlock || _reportableUntil(s, endEpoch, closing) < block.number) break;
            // replaced, and what was opened before can no longer be certified: only the objects that it has
            bool replaced =
                nextActiveFrom != 0 && block.number >= _seedBlockOf(s, nextActiveFrom) + s.parameters.epochLength;
            if (replaced) endEpoch = r.objectsEnd;
            nextActiveFrom = _activeFrom(s, r);
            if (r.snapshotBlock > untilBlock || endEpoch == 0) continue;

            blockNumber = blockNumber.max(_boundBy(s, roster, operator, endEpoch));
            // none before it binds longer than one under which objects can still be opened or certified
            if (blockNumber != 0 && !replaced) break;
        }
    }

    /// First block at which one roster, whose last epoch is the one before `endEpoch`, no longer binds the operator; 0 if it doesn't now.
    function _boundBy(Shard storage s, uint32 roster, address operator, uint64 endEpoch)
        internal
        view
        returns (uint256)
    {
        uint256 closing = _closing(s);
        uint256 bound = _reportableUntil(s, endEpoch, closing);
        uint256 vacated = _vacatedAt(s, s.rosters[roster], operator);
        // duties were frozen before the vacancy, so their seed blocks lie before vacated + finality
        if (vacated != 0) bound = bound.min(vacated + s.parameters.finality - 1 + closing);
        if (bound < block.number) return 0;
        return _isIn(s, s.rosters[roster], roster, operator) ? bound + 1 : 0;
    }

    /// A miss of epoch e can be reported up to and including its seed block + this.
    function _closing(Shard storage s) internal view returns (uint256) {
        return uint256(s.parameters.sealingLimit) + s.parameters.window + s.parameters.reporting;
    }

    /// Last block in which a miss of the epoch before `endEpoch` can be reported.
    function _reportableUntil(Shard storage s, uint64 endEpoch, uint256 closing) internal view returns (uint256) {
        return _seedBlockOf(s, endEpoch - 1) + closing;
    }

    function _vacatedAt(Shard storage s, Roster storage r, address operator) internal view returns (uint256) {
        return s.vacancies[operator].lowerLookup(r.snapshotBlock);
    }

    function _entry(Shard storage s, Roster storage r, uint32 roster, uint256 seat)
        internal
        view
        returns (RosterEntry memory entry)
    {
        (uint256 first, uint256 tickets) = RosterBlob.ticketsAt(r.blob, seat);
        entry.firstTicket = uint16(first);
        entry.tickets = uint16(tickets);
        if (tickets == 0) return entry;
        entry.operator = address(s.seats[seat].operators.upperLookup(roster));
        entry.keyHash = keccak256(_keyIn(s, roster, seat));
    }

    function _keyIn(Shard storage s, uint32 roster, uint256 seat) internal view returns (bytes memory) {
        return CodeBlob.read(address(s.seats[seat].keys.upperLookup(roster)), 0, KEY_BYTES);
    }

    /// An operator's seat and tickets; no tickets if it has no place.
    function _seatIn(Shard storage s, Roster storage r, uint32 roster, address operator)
        internal
        view
        returns (uint256 seat, uint256 first, uint256 tickets)
    {
        uint256 place = s.seatsOf[operator].upperLookupRecent(roster);
        if (place == 0) return (0, 0, 0);
        seat = place - 1;
        (first, tickets) = RosterBlob.ticketsAt(r.blob, seat);
    }

    function _rosterPlace(Shard storage s, uint32 roster, address operator)
        internal
        view
        returns (RosterPlace memory place)
    {
        Roster storage r = s.rosters[roster];
        (uint256 seat, uint256 first, uint256 tickets) = _seatIn(s, r, roster, operator);
        if (tickets == 0) return place;
        (place.seat, place.firstTicket, place.tickets) = (uint16(seat), uint16(first), uint16(tickets));
        RosterBlob.Head memory head = RosterBlob.head(r.blob);
        place.roster = roster;
        place.rosterTickets = uint16(head.tickets);
        place.slasher = head.slasher;
        place.vacatedBlock = uint48(_vacatedAt(s, r, operator));
    }

    function _placeIn(Shard storage s, Roster storage r, uint32 shard, uint32 roster, address operator)
        internal
        view
        returns (uint256 seat, uint256 first, uint256 tickets)
    {
        (seat, first, tickets) = _seatIn(s, r, roster, operator);
        if (tickets == 0) revert OperatorNotInRoster(shard, roster, operator);
    }

    function _isIn(Shard storage s, Roster storage r, uint32 roster, address operator) internal view returns (bool) {
        (,, uint256 tickets) = _seatIn(s, r, roster, operator);
        return tickets != 0;
    }

    function _liveIn(Shard storage s, uint64 epoch) internal view returns (uint32 first, uint32 last) {
        // the newest roster active in the epoch, by halving: activeFromEpoch never falls from one to the next
        uint32 high = s.rosterCount;
        while (last < high) {
            uint32 middle = (last + high + 1) / 2;
            if (_activeFrom(s, s.rosters[middle]) <= epoch) last = middle;
            else high = middle - 1;
        }
        // back to the oldest that has not ended: endEpoch never falls either, and I-S4 bounds the steps
        first = last + 1;
        while (first > 1 && _endOf(s, s.rosters[first - 1]) > epoch) --first;
    }

    function _activeFrom(Shard storage s, Roster storage r) internal view returns (uint64) {
        return _epochAt(s, r.snapshotBlock) + 1;
    }

    function _endOf(Shard storage s, Roster storage r) internal view returns (uint64) {
        return _epochAt(s, r.snapshotBlock) + s.parameters.termEpochs;
    }

    function _epochAt(Shard storage s, uint256 blockNumber) internal view returns (uint64) {
        return uint64(blockNumber.saturatingSub(s.firstBlock) / s.parameters.epochLength);
    }

    function _seedBlockOf(Shard storage s, uint64 epoch) internal view returns (uint256) {
        return s.firstBlock + uint256(epoch) * s.parameters.epochLength;
    }

    function _shard(uint32 shard) internal view returns (Shard storage s) {
        s = _shards[shard];
        if (s.firstBlock == 0) revert ShardUnknown(shard);
    }

    function _roster(Shard storage s, uint32 shard, uint32 roster) internal view returns (Roster storage r) {
        if (roster == 0 || roster > s.rosterCount) revert RosterUnknown(shard, roster);
        r = s.rosters[roster];
    }
}
