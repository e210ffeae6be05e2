// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Arrays} from "@openzeppelin/contracts/utils/Arrays.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IShards} from "../interfaces/IShards.sol";
import {IStakeSource} from "../interfaces/IStakeSource.sol";
import {CodeBlob} from "../libraries/CodeBlob.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {RosterBlob} from "../libraries/RosterBlob.sol";
import {ShardRules} from "../libraries/ShardRules.sol";
import {TicketMath} from "../libraries/TicketMath.sol";
import {CollateralWeight, RosterEntry, RosterHead, ShardParameters} from "../types/Types.sol";

/// @title Shards
/// @notice Holds: shards with their parameters and members; rosters, their entries in contract code; places fallen vacant.
///
/// Typical flow: 1 the governor creates a shard; 2 operators join; 3 anyone snapshots a roster, active from the next epoch on; 4 Objects records
/// how long objects under it live; 5 later snapshots follow the weight; 6 once its last object has expired a roster binds nobody.
///
/// Invariants:
/// - I-S1  Σ entries' tickets = head.tickets = T ≤ 1024, and the ranges are consecutive from 0: every ticket has one holder;
/// - I-S2  with three entries or more, none has more than ⌊T/3⌋ tickets;
/// - I-S3  for each entry and collateral: stake slash ≤ stake counted, bond slash ≤ bond counted;
/// - I-S4  snapshots of a shard lie D/7 apart or more, so at most 7 rosters are live in an epoch, and at most 15 bind;
/// - I-S5  stake counted by a roster is bound until no miss under it can be reported: boundUntil never falls below a block in which one can,
///         and never rises without a snapshot;
/// - I-D1  timelock > withdrawal delay + epoch; withdrawal delay ≥ epoch + sealing limit + window + reporting + resolution + guardian's delay.
contract Shards is IShards {
    using Checkpoints for Checkpoints.Trace208;
    using Math for uint256;

    struct Roster {
        uint64 snapshotBlock;
        uint64 activeFromEpoch;
        uint64 endEpoch;
        uint16 tickets;
        uint16 operators;
        address slasher;
        // greatest end epoch of an object certified under it
        uint64 objectsEnd;
        address blob;
    }

    struct Shard {
        uint64 firstBlock;
        uint32 rosterCount;
        address restaking;
        ShardParameters parameters;
        CollateralWeight[] collaterals;
        address[] members;
        mapping(address operator => uint256 indexPlusOne) places;
        mapping(uint32 roster => Roster) rosters;
        // block → block, at which the operator's place fell vacant
        mapping(address operator => Checkpoints.Trace208) vacancies;
        // of any place
        uint64 lastVacancyBlock;
    }

    /// One operator as a snapshot sees it.
    struct Standing {
        uint256 bond;
        uint256 weight;
        uint256 tickets;
        // token units of each collateral
        uint256[] counted;
    }

    struct Draft {
        IStakeSource source;
        address slasher;
        address[] operators;
        Standing[] standings;
        uint256[] tickets;
        uint256 total;
        uint256 holders;
    }

    uint256 public constant MAX_OPERATORS = ShardRules.MAX_OPERATORS;
    uint256 public constant MAX_COLLATERALS = ShardRules.MAX_COLLATERALS;
    uint256 public constant MAX_SHARDS_PER_OPERATOR = 8;
    uint256 public constant MAX_TICKETS = TicketMath.MAX_TICKETS;
    /// Rosters of a term D lie at least D/7 apart.
    uint256 private constant SNAPSHOTS_PER_TERM = 7;
    /// 5 %: one part in twenty.
    uint256 private constant CHANGE_PARTS = 20;
    uint256 private constant WAD = 1e18;
    /// What one collateral can count for: keeps weights (8 collaterals, weights up to 10⁶ each) and slashes below 2¹²⁸.
    uint256 private constant MAX_COUNTED = type(uint104).max;

    IDirectory public immutable directory;

    uint32 public count;
    mapping(uint32 shard => Shard) private _shards;
    mapping(address operator => uint32[] shards) private _shardsOf;

    constructor(IDirectory directory_) {
        directory = directory_;
    }

    // ---- set-up

    function create(ShardParameters calldata parameters, CollateralWeight[] calldata collaterals)
        external
        returns (uint32 shard)
    {
        if (msg.sender != directory.governor()) revert NotGovernor(msg.sender);
        address restaking = directory.module(ModuleNames.RESTAKING);
        ShardRules.check(parameters, collaterals, IRestaking(restaking), directory.timelock());

        shard = ++count;
        Shard storage s = _shards[shard];
        s.firstBlock = uint64(block.number);
        s.restaking = restaking;
        s.parameters = parameters;
        for (uint256 c = 0; c < collaterals.length; ++c) {
            s.collaterals.push(collaterals[c]);
        }
        emit ShardCreated(shard, block.number, parameters, collaterals);
    }

    // ---- members

    function join(uint32 shard) external {
        Shard storage s = _shard(shard);
        if (!IOperators(directory.module(ModuleNames.OPERATORS)).isRegistered(msg.sender)) {
            revert NotRegistered(msg.sender);
        }
        if (s.places[msg.sender] != 0) revert AlreadyJoined(shard, msg.sender);
        if (s.members.length >= s.parameters.maxOperators) revert ShardFull(shard, s.parameters.maxOperators);
        Standing memory standing = _standing(s, shard, msg.sender, _source());
        uint256 leastBond = s.parameters.minBond.max(s.parameters.bondPerTicket);
        if (standing.bond < leastBond) revert BondBelowMinimum(standing.bond, leastBond);
        if (standing.tickets == 0) revert StakeBelowTicket(standing.weight, s.parameters.ticketPrice);
        _noteShard(shard, msg.sender);

        s.members.push(msg.sender);
        s.places[msg.sender] = s.members.length;
        emit OperatorJoined(shard, msg.sender);
    }

    function leave(uint32 shard) external {
        _remove(_shard(shard), shard, msg.sender);
    }

    function drop(uint32 shard, address operator) external {
        Shard storage s = _shard(shard);
        if (_standing(s, shard, operator, _source()).tickets != 0) revert StillQualified(shard, operator);
        _remove(s, shard, operator);
    }

    // ---- rosters

    function snapshot(uint32 shard) external returns (uint32 roster) {
        Shard storage s = _shard(shard);
        bool needsChange = _checkSpacing(s);
        Draft memory draft = _draft(s, shard);
        if (draft.total == 0) revert NoTickets(shard);
        if (needsChange) _checkChanged(s, draft);

        roster = ++s.rosterCount;
        Roster storage r = s.rosters[roster];
        uint64 epoch = _epochAt(s, block.number);
        r.snapshotBlock = uint64(block.number);
        r.activeFromEpoch = epoch + 1;
        r.endEpoch = epoch + s.parameters.termEpochs;
        r.tickets = uint16(draft.total);
        r.operators = uint16(draft.holders);
        r.slasher = draft.slasher;

        bytes memory aggregateKey;
        (r.blob, aggregateKey) = _writeEntries(s, draft);
        emit RosterTaken(shard, roster, r.tickets, r.operators, r.activeFromEpoch, aggregateKey);
    }

    function recordVacancy(uint32 shard, address operator) external {
        Shard storage s = _shard(shard);
        if (msg.sender != s.restaking) revert CallerNotModule(msg.sender, ModuleNames.RESTAKING);

        // one vacancy covers all rosters before it: another says nothing new until there is another roster
        uint256 newest = s.rosters[s.rosterCount].snapshotBlock;
        if (s.vacancies[operator].lowerLookup(uint48(newest)) != 0) return;
        s.vacancies[operator].push(uint48(block.number), uint208(block.number));
        s.lastVacancyBlock = uint64(block.number);
        emit PlaceVacated(shard, operator, block.number);
    }

    function recordObject(uint32 shard, uint32 roster, uint64 endEpoch) external {
        if (msg.sender != directory.module(ModuleNames.OBJECTS)) {
            revert CallerNotModule(msg.sender, ModuleNames.OBJECTS);
        }
        Roster storage r = _roster(_shard(shard), shard, roster);

        if (endEpoch > r.objectsEnd) r.objectsEnd = endEpoch;
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

    function bondTermsOf(uint32 shard) external view returns (address bondToken, uint256 minBond) {
        ShardParameters storage p = _shard(shard).parameters;
        return (p.bondToken, p.minBond);
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

    function isMember(uint32 shard, address operator) external view returns (bool) {
        return _shard(shard).places[operator] != 0;
    }

    function membersOf(uint32 shard) external view returns (address[] memory) {
        return _shard(shard).members;
    }

    function shardsOf(address operator) external view returns (uint32[] memory) {
        return _shardsOf[operator];
    }

    function standingOf(uint32 shard, address operator)
        external
        view
        returns (uint256 bond, uint256 weight, uint256 tickets)
    {
        Standing memory standing = _standing(_shard(shard), shard, operator, _source());
        return (standing.bond, standing.weight, standing.tickets);
    }

    // ---- rosters, read

    function rosterCount(uint32 shard) external view returns (uint32) {
        return _shard(shard).rosterCount;
    }

    function activeRoster(uint32 shard) external view returns (uint32 roster) {
        Shard storage s = _shard(shard);
        uint64 epoch = _epochAt(s, block.number);
        roster = s.rosterCount;
        while (roster != 0 && s.rosters[roster].activeFromEpoch > epoch) --roster;
    }

    function rosterHead(uint32 shard, uint32 roster) external view returns (RosterHead memory) {
        Roster storage r = _roster(_shard(shard), shard, roster);
        return RosterHead(r.snapshotBlock, r.activeFromEpoch, r.endEpoch, r.tickets, r.operators, r.slasher);
    }

    function rosterEntry(uint32 shard, uint32 roster, uint256 index) external view returns (RosterEntry memory) {
        Shard storage s = _shard(shard);
        Roster storage r = _roster(s, shard, roster);
        if (index >= r.operators) revert EntryOutOfRange(index, r.operators);
        return RosterBlob.entryAt(r.blob, s.collaterals.length, index);
    }

    function rosterIndexOf(uint32 shard, uint32 roster, address operator) external view returns (uint256 index) {
        Shard storage s = _shard(shard);
        return _indexOf(s, _roster(s, shard, roster), shard, roster, operator);
    }

    function isInRoster(uint32 shard, uint32 roster, address operator) external view returns (bool) {
        Shard storage s = _shard(shard);
        return _isIn(s, _roster(s, shard, roster), operator);
    }

    function aggregateKeyOf(uint32 shard, uint32 roster) external view returns (bytes memory) {
        return RosterBlob.aggregateKeyOf(_roster(_shard(shard), shard, roster).blob);
    }

    function slashTerms(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (uint256 bondSlash, uint256 reporterFee, address[] memory collaterals, uint256[] memory amounts)
    {
        Shard storage s = _shard(shard);
        Roster storage r = _roster(s, shard, roster);
        uint256 index = _indexOf(s, r, shard, roster, operator);
        uint256 n = s.collaterals.length;

        bondSlash = RosterBlob.entryAt(r.blob, n, index).bondSlash;
        reporterFee = s.parameters.reporterFee;
        // stake counted elsewhere is not Restaking's to take
        amounts =
            RosterBlob.sourceOf(r.blob) == s.restaking ? RosterBlob.stakeSlashesAt(r.blob, n, index) : new uint256[](n);
        collaterals = new address[](n);
        for (uint256 c = 0; c < n; ++c) {
            collaterals[c] = s.collaterals[c].token;
        }
    }

    function rostersLiveIn(uint32 shard, uint64 epoch) external view returns (uint32 first, uint32 last) {
        Shard storage s = _shard(shard);
        // the newest roster active in the epoch, by halving: activeFromEpoch never falls from one to the next
        uint32 high = s.rosterCount;
        while (last < high) {
            uint32 middle = (last + high + 1) / 2;
            if (s.rosters[middle].activeFromEpoch <= epoch) last = middle;
            else high = middle - 1;
        }
        // back to the oldest that has not ended: endEpoch never falls either, and I-S4 bounds the steps
        first = last + 1;
        while (first > 1 && s.rosters[first - 1].endEpoch > epoch) --first;
    }

    function vacatedAt(uint32 shard, uint32 roster, address operator) external view returns (uint256 blockNumber) {
        Shard storage s = _shard(shard);
        return _vacatedAt(s, _roster(s, shard, roster), operator);
    }

    function vacantTicketsOf(uint32 shard, uint32 roster) external view returns (uint256 tickets) {
        Shard storage s = _shard(shard);
        Roster storage r = _roster(s, shard, roster);
        if (s.lastVacancyBlock < r.snapshotBlock) return 0;
        uint256 n = s.collaterals.length;
        for (uint256 i = 0; i < r.operators; ++i) {
            RosterEntry memory entry = RosterBlob.entryAt(r.blob, n, i);
            if (_vacatedAt(s, r, entry.operator) != 0) tickets += entry.tickets;
        }
    }

    function boundUntil(address operator, uint256 sinceBlock, uint256 untilBlock)
        external
        view
        returns (uint256 blockNumber)
    {
        uint32[] storage shards = _shardsOf[operator];
        for (uint256 i = 0; i < shards.length; ++i) {
            blockNumber = blockNumber.max(_boundIn(_shards[shards[i]], operator, sinceBlock, untilBlock));
        }
    }

    function boundIn(uint32 shard, address operator, uint256 sinceBlock, uint256 untilBlock)
        external
        view
        returns (uint256 blockNumber)
    {
        return _boundIn(_shard(shard), operator, sinceBlock, untilBlock);
    }

    // ---- members, within

    function _remove(Shard storage s, uint32 shard, address operator) internal {
        uint256 place = s.places[operator];
        if (place == 0) revert NotJoined(shard, operator);

        address moved = s.members[s.members.length - 1];
        s.members[place - 1] = moved;
        s.places[moved] = place;
        s.members.pop();
        delete s.places[operator];
        emit OperatorLeft(shard, operator);
    }

    /// Adds the shard to those that `boundUntil` looks at; one that the operator left and that binds nothing makes room.
    function _noteShard(uint32 shard, address operator) internal {
        uint32[] storage shards = _shardsOf[operator];
        uint256 room = MAX_SHARDS_PER_OPERATOR;
        for (uint256 i = 0; i < shards.length; ++i) {
            if (shards[i] == shard) return;
        }
        if (shards.length < MAX_SHARDS_PER_OPERATOR) {
            shards.push(shard);
            return;
        }
        for (uint256 i = 0; i < shards.length; ++i) {
            Shard storage other = _shards[shards[i]];
            if (other.places[operator] == 0 && _boundIn(other, operator, 0, block.number) == 0) room = i;
        }
        if (room == MAX_SHARDS_PER_OPERATOR) revert TooManyShards(operator, MAX_SHARDS_PER_OPERATOR);
        shards[room] = shard;
    }

    // ---- snapshots, within

    /// Returns whether the weight must have changed for a snapshot now.
    function _checkSpacing(Shard storage s) internal view returns (bool needsChange) {
        if (s.rosterCount == 0) return false;
        uint256 last = s.rosters[s.rosterCount].snapshotBlock;
        uint256 term = uint256(s.parameters.termEpochs) * s.parameters.epochLength;
        uint256 earliest = last + term.ceilDiv(SNAPSHOTS_PER_TERM);
        if (block.number < earliest) revert SnapshotTooEarly(block.number, earliest);
        return block.number < last + term.ceilDiv(2);
    }

    /// Σ |Δ weight| over old and new operators must be a twentieth of the old weight. A place fallen vacant lost all of its weight,
    /// and what its operator has now is new.
    function _checkChanged(Shard storage s, Draft memory draft) internal view {
        Roster storage r = s.rosters[s.rosterCount];
        uint256 n = s.collaterals.length;
        uint256 held = r.operators;
        uint256 changed;
        uint256 total;
        uint256 i = 0;
        for (uint256 j = 0; j < held; ++j) {
            RosterEntry memory entry = RosterBlob.entryAt(r.blob, n, j);
            total += entry.weight;
            // both lists ascend
            while (i < draft.operators.length && draft.operators[i] < entry.operator) changed += _weightOf(draft, i++);
            uint256 now_ = 0;
            if (i < draft.operators.length && draft.operators[i] == entry.operator) now_ = _weightOf(draft, i++);
            if (_vacatedAt(s, r, entry.operator) != 0) changed += entry.weight + now_;
            else changed += now_ > entry.weight ? now_ - entry.weight : entry.weight - now_;
        }
        while (i < draft.operators.length) changed += _weightOf(draft, i++);

        uint256 needed = total.ceilDiv(CHANGE_PARTS);
        if (changed < needed) revert WeightUnchanged(changed, needed);
    }

    function _weightOf(Draft memory draft, uint256 i) internal pure returns (uint256) {
        return draft.tickets[i] == 0 ? 0 : draft.standings[i].weight;
    }

    function _draft(Shard storage s, uint32 shard) internal view returns (Draft memory draft) {
        draft.source = _source();
        draft.slasher = directory.module(ModuleNames.AUDITS);
        uint256 otherUntil = _otherSlasherUntil(s, draft.slasher);
        draft.operators = Arrays.sort(s.members);
        uint256 n = draft.operators.length;
        draft.standings = new Standing[](n);
        draft.tickets = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            address operator = draft.operators[i];
            draft.standings[i] = _standing(s, shard, operator, draft.source);
            if (otherUntil != 0 && !_mayServe(s, operator, draft.slasher, otherUntil)) continue;
            // a place that fell vacant in this very block would look vacant from the new roster's start
            (bool vacated, uint48 key,) = s.vacancies[operator].latestCheckpoint();
            if (!vacated || key != block.number) draft.tickets[i] = draft.standings[i].tickets;
        }
        draft.total = TicketMath.apportion(draft.tickets);
        for (uint256 i = 0; i < n; ++i) {
            if (draft.tickets[i] != 0) ++draft.holders;
        }
    }

    /// Snapshot block of the newest roster with another slasher under which a miss can still be reported; 0: none.
    function _otherSlasherUntil(Shard storage s, address slasher) internal view returns (uint256) {
        uint256 closing = _closing(s);
        for (uint32 roster = s.rosterCount; roster != 0; --roster) {
            Roster storage r = s.rosters[roster];
            // older ones end no later
            if (_reportableUntil(s, r.endEpoch, closing) < block.number) break;
            if (r.slasher != slasher) return r.snapshotBlock;
        }
        return 0;
    }

    /// A slash takes from all shares alike, also from queued ones that only an older roster still binds: those are not for a newer slasher.
    function _mayServe(Shard storage s, address operator, address slasher, uint256 otherUntil)
        internal
        view
        returns (bool)
    {
        return IRestaking(s.restaking).accepted(operator, slasher) || _boundIn(s, operator, 0, otherUntil) == 0;
    }

    function _standing(Shard storage s, uint32 shard, address operator, IStakeSource source)
        internal
        view
        returns (Standing memory standing)
    {
        ShardParameters storage p = s.parameters;
        uint256 n = s.collaterals.length;
        standing.bond = IRestaking(s.restaking).bondOf(operator, shard);
        standing.counted = new uint256[](n);
        for (uint256 c = 0; c < n; ++c) {
            CollateralWeight storage collateral = s.collaterals[c];
            uint256 amount = source.stakeOf(operator, shard, collateral.token).min(MAX_COUNTED);
            standing.counted[c] = amount;
            standing.weight += amount.mulDiv(collateral.weightWad, WAD);
        }
        if (standing.bond >= p.minBond) {
            standing.tickets = (standing.weight / p.ticketPrice).min(standing.bond / p.bondPerTicket);
        }
    }

    /// Keys, entries and what a miss costs, into contract code.
    function _writeEntries(Shard storage s, Draft memory draft)
        internal
        returns (address blob, bytes memory aggregateKey)
    {
        uint256 bondSlash = s.parameters.bondSlashPerTicket;
        uint256 stakeSlash = s.parameters.stakeSlashPerTicket;
        bytes32[] memory keyHashes;
        (keyHashes, aggregateKey) = _aggregate(draft);
        bytes memory data = RosterBlob.create(address(draft.source), aggregateKey, draft.holders, s.collaterals.length);

        uint256 index;
        uint256 first;
        for (uint256 i = 0; i < draft.operators.length; ++i) {
            uint256 tickets = draft.tickets[i];
            if (tickets == 0) continue;
            Standing memory standing = draft.standings[i];
            RosterEntry memory entry = RosterEntry({
                operator: draft.operators[i],
                firstTicket: uint16(first),
                tickets: uint16(tickets),
                keyHash: keyHashes[index],
                weight: uint128(standing.weight),
                bondSlash: uint128(standing.bond.min(bondSlash * tickets))
            });
            RosterBlob.put(data, index, entry, _stakeSlashes(standing, stakeSlash * tickets));
            first += tickets;
            ++index;
        }
        blob = CodeBlob.write(data);
    }

    /// `weight` units of an operator's counted stake, spread over the collaterals as it was counted, never more than was.
    function _stakeSlashes(Standing memory standing, uint256 weight) internal pure returns (uint256[] memory amounts) {
        amounts = new uint256[](standing.counted.length);
        weight = weight.min(standing.weight);
        for (uint256 c = 0; c < amounts.length; ++c) {
            amounts[c] = standing.counted[c].mulDiv(weight, standing.weight);
        }
    }

    function _aggregate(Draft memory draft)
        internal
        view
        returns (bytes32[] memory keyHashes, bytes memory aggregateKey)
    {
        IOperators operators = IOperators(directory.module(ModuleNames.OPERATORS));
        keyHashes = new bytes32[](draft.holders);
        bytes memory keys = new bytes(draft.holders * RosterBlob.KEY_BYTES);
        uint256 index;
        for (uint256 i = 0; i < draft.operators.length; ++i) {
            if (draft.tickets[i] == 0) continue;
            bytes memory key = operators.keyOf(draft.operators[i]);
            keyHashes[index] = keccak256(key);
            uint256 offset = 32 + RosterBlob.KEY_BYTES * index++;
            assembly ("memory-safe") {
                // KEY_BYTES
                mcopy(add(keys, offset), add(key, 32), 256)
            }
        }
        return (keyHashes, ICertificateVerifier(directory.module(ModuleNames.CERTIFICATE_VERIFIER)).aggregateKeys(keys));
    }

    // ---- rosters, within

    function _boundIn(Shard storage s, address operator, uint256 sinceBlock, uint256 untilBlock)
        internal
        view
        returns (uint256 blockNumber)
    {
        ShardParameters storage p = s.parameters;
        uint256 closing = _closing(s);
        uint64 nextActiveFrom = 0;
        for (uint32 roster = s.rosterCount; roster != 0; --roster) {
            Roster storage r = s.rosters[roster];
            uint64 endEpoch = r.endEpoch;
            // older ones started and end no later
            if (r.snapshotBlock < sinceBlock || _reportableUntil(s, endEpoch, closing) < block.number) break;
            // replaced, and what was opened before can no longer be certified: only the objects that it has
            if (nextActiveFrom != 0 && block.number >= _seedBlockOf(s, nextActiveFrom) + p.epochLength) {
                endEpoch = r.objectsEnd;
            }
            nextActiveFrom = r.activeFromEpoch;
            if (r.snapshotBlock > untilBlock || endEpoch == 0) continue;

            uint256 bound = _reportableUntil(s, endEpoch, closing);
            uint256 vacated = _vacatedAt(s, r, operator);
            // duties were frozen before the vacancy, so their seed blocks lie before vacated + finality
            if (vacated != 0) bound = bound.min(vacated + p.finality - 1 + closing);
            if (bound >= block.number && bound >= blockNumber && _isIn(s, r, operator)) blockNumber = bound + 1;
        }
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
        return s.vacancies[operator].lowerLookup(uint48(r.snapshotBlock));
    }

    function _indexOf(Shard storage s, Roster storage r, uint32 shard, uint32 roster, address operator)
        internal
        view
        returns (uint256 index)
    {
        index = RosterBlob.indexOf(r.blob, s.collaterals.length, r.operators, operator);
        if (index == r.operators) revert OperatorNotInRoster(shard, roster, operator);
    }

    function _isIn(Shard storage s, Roster storage r, address operator) internal view returns (bool) {
        return RosterBlob.indexOf(r.blob, s.collaterals.length, r.operators, operator) != r.operators;
    }

    function _epochAt(Shard storage s, uint256 blockNumber) internal view returns (uint64) {
        return uint64(blockNumber.saturatingSub(s.firstBlock) / s.parameters.epochLength);
    }

    function _seedBlockOf(Shard storage s, uint64 epoch) internal view returns (uint256) {
        return s.firstBlock + uint256(epoch) * s.parameters.epochLength;
    }

    function _source() internal view returns (IStakeSource) {
        return IStakeSource(directory.module(ModuleNames.STAKE_SOURCE));
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
