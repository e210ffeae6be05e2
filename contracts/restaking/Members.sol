// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IMembers} from "../interfaces/IMembers.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IShards} from "../interfaces/IShards.sol";
import {IStakeSource} from "../interfaces/IStakeSource.sol";
import {CodeBlob} from "../libraries/CodeBlob.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {PackedCounts} from "../libraries/PackedCounts.sol";
import {RosterBlob} from "../libraries/RosterBlob.sol";
import {TicketMath} from "../libraries/TicketMath.sol";
import {CollateralWeight, MemberState, ShardParameters} from "../types/Types.sol";

/// @title Members
/// @notice Holds: shard → seats, who sits there, the tickets that each was last seen to have, the sum of their keys; who misses, who is jailed.
/// Made by Shards, which keeps the rosters; part of it in all but size.
///
/// Typical flow: 1 operators join and get seats; 2 Restaking and Operators mark members of whom something changed; 3 a snapshot counts the marked
/// ones anew, apportions the tickets and hands the roster to Shards; 4 exit, drop or jail empties a seat.
///
/// Invariants:
/// - I-S2  with three holders or more in a roster, none has more than ⌊T/3⌋ tickets;
/// - I-S3  when a snapshot counts a member, tickets · ticket price ≤ its weight and tickets · bond per ticket ≤ its bond, so what its miss takes
///         (tickets · slash per ticket, of each) is there;
/// - I-S6  an unmarked member's tickets are those that bond and stake make now, as Restaking counts them;
/// - I-S7  a roster's aggregate key is the sum of the keys, as of its snapshot, of exactly those who have tickets in it;
/// - I-S9  a seat has one holder or none, a member one seat.
contract Members is IMembers {
    using Math for uint256;
    using PackedCounts for PackedCounts.Counts;
    using PackedCounts for PackedCounts.Marks;

    /// A shard's parameters that are asked for here, once and for all.
    struct Terms {
        address restaking;
        uint64 firstBlock;
        uint32 epochLength;
        uint128 ticketPrice;
        uint128 bondPerTicket;
        uint128 minBond;
        uint64 term;
        uint16 maxOperators;
        uint16 jailMisses;
        uint32 jailEpochs;
        // blocks after a seed block in which a miss can be reported
        uint64 closing;
    }

    struct Member {
        // its seat plus one; 0: no member
        uint16 place;
        // executed slashes in the jail epochs from missEpoch on
        uint16 misses;
        uint48 missEpoch;
        uint48 jailedUntil;
        // block since which its places are open to others: it exited, was dropped or jailed; 0: they aren't
        uint48 openSince;
    }

    struct Seat {
        address operator;
        // account whose code holds the key that is, or was last, in the sum
        address key;
    }

    struct Shard {
        Terms terms;
        CollateralWeight[] collaterals;
        // the newest roster: number, block, blob
        uint32 roster;
        uint48 rosterBlock;
        address blob;
        uint16 seatCount;
        uint16 memberCount;
        // tickets in the newest roster of those who left since
        uint32 givenUp;
        // block in which a place fell vacant last
        uint48 vacancyBlock;
        // by what the tickets were counted
        address source;
        address slasher;
        // newest roster under another slasher than that one: its block, and the last in which a miss under it can be reported
        uint48 otherSlasherBlock;
        uint48 otherSlasherUntil;
        // account whose code holds the sum of the keys of those that have tickets; zero before anybody has
        address keySum;
        uint16[] emptySeats;
        PackedCounts.Counts tickets;
        PackedCounts.Marks marked;
        mapping(uint256 seat => Seat) seats;
        mapping(address operator => Member) members;
    }

    /// What a refresh changes in the sum of keys.
    struct KeyChange {
        address[] added;
        address[] removed;
        uint256 addedCount;
        uint256 removedCount;
    }

    uint256 public constant MAX_SHARDS_PER_OPERATOR = 8;
    uint256 private constant SHARD_BITS = 32;
    /// Rosters of a term D lie at least D/7 apart.
    uint256 private constant SNAPSHOTS_PER_TERM = 7;
    /// 5 %: one part in twenty.
    uint256 private constant CHANGE_PARTS = 20;
    uint256 private constant WAD = 1e18;
    uint256 private constant KEY_BYTES = 256;
    /// What one collateral can count for: keeps weights (8 collaterals, weights up to 10⁶ each) below 2¹²⁸.
    uint256 private constant MAX_COUNTED = type(uint104).max;

    IDirectory public immutable directory;
    IShards public immutable shards;

    mapping(uint32 shard => Shard) private _shards;
    /// Up to eight numbers of 32 bits in a word, the first lowest: a shard's is never zero.
    mapping(address operator => uint256 shards) private _shardsOf;
    /// The first and how many there are in one slot: most networks have no other.
    address private _firstSlasher;
    uint64 private _slasherCount;
    mapping(uint256 index => address) private _moreSlashers;

    constructor(IDirectory directory_, IShards shards_) {
        directory = directory_;
        shards = shards_;
    }

    function open(uint32 shard, address restaking, ShardParameters calldata p, CollateralWeight[] calldata collaterals)
        external
    {
        if (msg.sender != address(shards)) revert CallerNotModule(msg.sender, ModuleNames.SHARDS);
        Shard storage s = _shards[shard];
        // Shards has bounded what is narrowed here
        s.terms = Terms({
            restaking: restaking,
            firstBlock: uint64(block.number),
            epochLength: p.epochLength,
            ticketPrice: uint128(p.ticketPrice),
            bondPerTicket: uint128(p.bondPerTicket),
            minBond: uint128(p.minBond),
            term: uint64(p.termEpochs) * p.epochLength,
            maxOperators: p.maxOperators,
            jailMisses: p.jailMisses,
            jailEpochs: p.jailEpochs,
            closing: uint64(p.sealingLimit) + p.window + p.reporting
        });
        for (uint256 c = 0; c < collaterals.length; ++c) {
            s.collaterals.push(collaterals[c]);
        }
    }

    // ---- coming and going

    function join(uint32 shard) external {
        Shard storage s = _shard(shard);
        IOperators operators = IOperators(directory.module(ModuleNames.OPERATORS));
        if (!operators.isRegistered(msg.sender)) revert NotRegistered(msg.sender);
        // reverts for a key that isn't published, which no snapshot could count
        operators.keyAccountOf(msg.sender);
        Member storage member = s.members[msg.sender];
        if (member.place != 0) revert AlreadyJoined(shard, msg.sender);
        if (_epoch(s) < member.jailedUntil) revert Jailed(shard, msg.sender, member.jailedUntil);
        if (s.memberCount >= s.terms.maxOperators) revert ShardFull(shard, s.terms.maxOperators);
        _checkStanding(s, shard);
        _noteShard(shard, msg.sender);

        uint256 seat = _takeSeat(s);
        ++s.memberCount;
        member.place = uint16(seat + 1);
        member.openSince = 0;
        s.seats[seat].operator = msg.sender;
        s.marked.mark(seat);
        emit OperatorJoined(shard, msg.sender, seat);

        shards.setSeat(shard, seat, msg.sender, true);
    }

    function exit(uint32 shard) external {
        _remove(_shard(shard), shard, msg.sender);
    }

    function drop(uint32 shard, address operator) external {
        Shard storage s = _shard(shard);
        (,, uint256 tickets) = _standing(s, shard, operator, _source());
        if (tickets != 0) revert StillQualified(shard, operator);
        _remove(s, shard, operator);
    }

    function recordSlash(uint32 shard, address operator, uint64 epoch, uint256 bond) external {
        Shard storage s = _shard(shard);
        if (msg.sender != s.terms.restaking) revert CallerNotModule(msg.sender, ModuleNames.RESTAKING);

        // what stands above says only what kind of fault it was
        epoch = uint40(epoch);
        Member storage member = s.members[operator];
        if (member.place != 0) s.marked.mark(member.place - 1);
        uint256 jailEpochs = s.terms.jailEpochs;
        if (member.misses == 0 || epoch >= member.missEpoch + jailEpochs) {
            (member.misses, member.missEpoch) = (0, uint48(epoch));
        }
        if (++member.misses >= s.terms.jailMisses) {
            (member.misses, member.jailedUntil) = (0, uint48(_epoch(s) + jailEpochs));
            emit OperatorJailed(shard, operator, member.jailedUntil);
            if (member.place != 0) _remove(s, shard, operator);
        }

        if (bond >= s.terms.minBond) return;
        s.vacancyBlock = uint48(block.number);
        shards.vacate(shard, operator);
    }

    function noteChange(address operator) external {
        for (uint256 joined = _shardsOf[operator]; joined != 0; joined >>= SHARD_BITS) {
            Shard storage s = _shards[uint32(joined)];
            uint256 place = s.members[operator].place;
            if (place == 0 || s.marked.isMarked(place - 1)) continue;
            if (msg.sender != s.terms.restaking && msg.sender != directory.module(ModuleNames.OPERATORS)) continue;
            s.marked.mark(place - 1);
        }
    }

    function refresh(uint32 shard, uint256 limit) external returns (uint256 refreshed) {
        Shard storage s = _shard(shard);
        _sync(s);
        return _refresh(s, shard, s.marked.take(s.seatCount, limit));
    }

    function refreshOperators(uint32 shard, address[] calldata operators) external {
        Shard storage s = _shard(shard);
        _sync(s);
        uint256[] memory seats = new uint256[](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            uint256 place = s.members[operators[i]].place;
            if (place == 0) revert NotJoined(shard, operators[i]);
            seats[i] = place - 1;
        }
        _refresh(s, shard, seats);
    }

    // ---- rosters

    function snapshot(uint32 shard) external returns (uint32 roster) {
        Shard storage s = _shard(shard);
        bool needsChange = _checkSpacing(s);
        _sync(s);
        _refresh(s, shard, s.marked.take(s.seatCount, type(uint256).max));
        uint256[] memory tickets = s.tickets.load(s.seatCount);
        RosterBlob.Head memory head = _apportion(s, tickets);
        if (head.tickets == 0) revert NoTickets(shard);
        if (needsChange) _checkChanged(s, shard, tickets);

        address blob = RosterBlob.write(head, tickets);
        roster = shards.addRoster(shard, blob);
        (s.roster, s.rosterBlock, s.blob, s.givenUp) = (roster, uint48(block.number), blob, 0);
    }

    // ---- views

    function standingOf(uint32 shard, address operator)
        external
        view
        returns (uint256 bond, uint256 weight, uint256 tickets)
    {
        return _standing(_shard(shard), shard, operator, _source());
    }

    function isMember(uint32 shard, address operator) external view returns (bool) {
        return _shard(shard).members[operator].place != 0;
    }

    function memberOf(uint32 shard, address operator) external view returns (MemberState memory) {
        Shard storage s = _shard(shard);
        Member storage m = s.members[operator];
        bool seated = m.place != 0;
        uint256 seat = seated ? m.place - 1 : 0;
        return MemberState({
            isMember: seated,
            seat: seat,
            tickets: seated ? s.tickets.get(seat) : 0,
            marked: seated && s.marked.isMarked(seat),
            misses: m.misses,
            missEpoch: m.missEpoch,
            jailedUntil: m.jailedUntil,
            openSince: m.openSince
        });
    }

    function membersOf(uint32 shard) external view returns (address[] memory members) {
        Shard storage s = _shard(shard);
        members = new address[](s.memberCount);
        uint256 found = 0;
        for (uint256 seat = 0; seat < s.seatCount; ++seat) {
            address operator = s.seats[seat].operator;
            if (operator != address(0)) members[found++] = operator;
        }
    }

    function slashers() external view returns (address[] memory found) {
        found = new address[](_slasherCount);
        for (uint256 i = 0; i < found.length; ++i) {
            found[i] = _slasherAt(i);
        }
    }

    function boundUntil(address operator, uint256 sinceBlock, uint256 untilBlock)
        external
        view
        returns (uint256 blockNumber)
    {
        for (uint256 joined = _shardsOf[operator]; joined != 0; joined >>= SHARD_BITS) {
            blockNumber = blockNumber.max(shards.boundIn(uint32(joined), operator, sinceBlock, untilBlock));
        }
    }

    function shardsOf(address operator) external view returns (uint32[] memory found) {
        uint256 joined = _shardsOf[operator];
        found = new uint32[](_countShards(joined));
        for (uint256 i = 0; i < found.length; ++i) {
            found[i] = _shardAt(joined, i);
        }
    }

    // ---- seats, within

    function _takeSeat(Shard storage s) internal returns (uint256 seat) {
        uint256 empty = s.emptySeats.length;
        if (empty == 0) return s.seatCount++;
        seat = s.emptySeats[empty - 1];
        s.emptySeats.pop();
    }

    function _remove(Shard storage s, uint32 shard, address operator) internal {
        Member storage member = s.members[operator];
        if (member.place == 0) revert NotJoined(shard, operator);
        uint16 seat = member.place - 1;
        if (s.roster != 0 && shards.isInRoster(shard, s.roster, operator)) {
            (, uint256 tickets) = RosterBlob.ticketsAt(s.blob, seat);
            s.givenUp += uint32(tickets);
        }

        member.place = 0;
        member.openSince = uint48(block.number);
        --s.memberCount;
        s.emptySeats.push(seat);
        s.seats[seat].operator = address(0);
        s.marked.mark(seat);
        emit OperatorLeft(shard, operator);

        shards.setSeat(shard, seat, operator, false);
    }

    /// Adds the shard to those that `shardsOf` names; one that the operator left and that binds nothing makes room.
    function _noteShard(uint32 shard, address operator) internal {
        uint256 joined = _shardsOf[operator];
        uint256 n = _countShards(joined);
        uint256 room = n;
        for (uint256 i = 0; i < n; ++i) {
            if (_shardAt(joined, i) == shard) return;
        }
        for (uint256 i = 0; n == MAX_SHARDS_PER_OPERATOR && i < n; ++i) {
            bool left = _shards[_shardAt(joined, i)].members[operator].place == 0;
            if (left && shards.boundIn(_shardAt(joined, i), operator, 0, block.number) == 0) room = i;
        }
        if (room == MAX_SHARDS_PER_OPERATOR) revert TooManyShards(operator, MAX_SHARDS_PER_OPERATOR);

        uint256 shift = room * SHARD_BITS;
        _shardsOf[operator] = (joined & ~(uint256(type(uint32).max) << shift)) | (uint256(shard) << shift);
    }

    function _shardAt(uint256 joined, uint256 index) internal pure returns (uint32) {
        return uint32(joined >> (index * SHARD_BITS));
    }

    function _countShards(uint256 joined) internal pure returns (uint256 n) {
        while (_shardAt(joined, n) != 0) ++n;
    }

    // ---- counting, within

    /// A new source or a new slasher changes what everybody counts for.
    function _sync(Shard storage s) internal {
        (address source, address slasher) = (address(_source()), directory.module(ModuleNames.AUDITS));
        if (source == s.source && slasher == s.slasher) return;

        if (slasher != s.slasher && s.roster != 0) {
            // the last epoch under the newest roster begins one before its end
            uint256 lastSeed =
                s.terms.firstBlock + (_epochAt(s, s.rosterBlock) + _termEpochs(s) - 1) * s.terms.epochLength;
            (s.otherSlasherBlock, s.otherSlasherUntil) = (s.rosterBlock, uint48(lastSeed + s.terms.closing));
        }
        (s.source, s.slasher) = (source, slasher);
        s.marked.markAll(s.seatCount);
        _noteSlasher(slasher);
    }

    function _noteSlasher(address slasher) internal {
        uint256 n = _slasherCount;
        for (uint256 i = 0; i < n; ++i) {
            if (_slasherAt(i) == slasher) return;
        }
        if (n == 0) _firstSlasher = slasher;
        else _moreSlashers[n] = slasher;
        _slasherCount = uint64(n + 1);
    }

    function _slasherAt(uint256 index) internal view returns (address) {
        return index == 0 ? _firstSlasher : _moreSlashers[index];
    }

    /// Counts seats anew, and keeps the sum of the keys of those that have tickets.
    function _refresh(Shard storage s, uint32 shard, uint256[] memory seats) internal returns (uint256) {
        uint256 n = seats.length;
        if (n == 0) return 0;
        KeyChange memory change = KeyChange(new address[](n), new address[](n), 0, 0);
        IOperators operators = IOperators(directory.module(ModuleNames.OPERATORS));
        for (uint256 i = 0; i < n; ++i) {
            _refreshSeat(s, shard, seats[i], operators, change);
        }
        if (change.addedCount + change.removedCount != 0) s.keySum = _changeSum(s.keySum, change);
        return n;
    }

    function _refreshSeat(Shard storage s, uint32 shard, uint256 index, IOperators operators, KeyChange memory change)
        internal
    {
        Seat storage seat = s.seats[index];
        address operator = seat.operator;
        uint256 before = s.tickets.get(index);
        uint256 tickets = operator == address(0) ? 0 : _ticketsOf(s, shard, index, operator);
        if (before == 0 && tickets == 0) return;

        if (before != tickets) s.tickets.set(index, tickets);
        address oldKey = seat.key;
        address key = tickets == 0 ? oldKey : operators.keyAccountOf(operator);
        if (before != 0 && (tickets == 0 || key != oldKey)) change.removed[change.removedCount++] = oldKey;
        if (tickets != 0 && (before == 0 || key != oldKey)) change.added[change.addedCount++] = key;
        if (key == oldKey) return;
        seat.key = key;
        shards.setKey(shard, index, key);
    }

    /// Tickets that a member gets before any cap.
    function _ticketsOf(Shard storage s, uint32 shard, uint256 seat, address operator)
        internal
        returns (uint256 tickets)
    {
        if (!_mayServe(s, shard, operator)) return 0;
        // a place that fell vacant in this very block would look vacant from a new roster's start: counted by the next one
        if (s.vacancyBlock == block.number && shards.vacatedAt(shard, s.roster, operator) == block.number) {
            s.marked.mark(seat);
            return 0;
        }
        (,, tickets) = _standing(s, shard, operator, IStakeSource(s.source));
        return tickets.min(PackedCounts.MAX_COUNT);
    }

    /// A slash takes from all shares alike, also from queued ones that only an older roster still binds: those are not for a newer slasher,
    /// unless the operator accepted it.
    function _mayServe(Shard storage s, uint32 shard, address operator) internal view returns (bool) {
        if (s.otherSlasherUntil < block.number) return true;
        if (IRestaking(s.terms.restaking).accepted(operator, s.slasher)) return true;
        return shards.boundIn(shard, operator, 0, s.otherSlasherBlock) == 0;
    }

    function _checkStanding(Shard storage s, uint32 shard) internal view {
        (uint256 bond, uint256 weight, uint256 tickets) = _standing(s, shard, msg.sender, _source());
        uint256 leastBond = Math.max(s.terms.minBond, s.terms.bondPerTicket);
        if (bond < leastBond) revert BondBelowMinimum(bond, leastBond);
        if (tickets == 0) revert StakeBelowTicket(weight, s.terms.ticketPrice);
    }

    function _standing(Shard storage s, uint32 shard, address operator, IStakeSource source)
        internal
        view
        returns (uint256 bond, uint256 weight, uint256 tickets)
    {
        bond = IRestaking(s.terms.restaking).bondOf(operator, shard);
        uint256 n = s.collaterals.length;
        for (uint256 c = 0; c < n; ++c) {
            CollateralWeight storage collateral = s.collaterals[c];
            uint256 value = source.stakeOf(operator, shard, collateral.token).min(MAX_COUNTED);
            weight += value.mulDiv(collateral.weightWad, WAD);
        }
        if (bond >= s.terms.minBond) tickets = (weight / s.terms.ticketPrice).min(bond / s.terms.bondPerTicket);
    }

    /// The sum of keys after a change, in contract code.
    function _changeSum(address sum, KeyChange memory change) internal returns (address) {
        ICertificateVerifier verifier = ICertificateVerifier(directory.module(ModuleNames.CERTIFICATE_VERIFIER));
        bytes memory before = sum == address(0) ? bytes("") : CodeBlob.read(sum, 0, KEY_BYTES);
        bytes memory added = _keys(change.added, change.addedCount);
        return CodeBlob.write(verifier.changeSum(before, added, _keys(change.removed, change.removedCount)));
    }

    function _keys(address[] memory accounts, uint256 n) internal view returns (bytes memory keys) {
        keys = new bytes(n * KEY_BYTES);
        for (uint256 i = 0; i < n; ++i) {
            address account = accounts[i];
            assembly ("memory-safe") {
                // behind the STOP that a blob's code begins with
                extcodecopy(account, add(add(keys, 32), mul(i, KEY_BYTES)), 1, KEY_BYTES)
            }
        }
    }

    // ---- snapshots, within

    /// Returns whether the tickets must have changed for a snapshot now.
    function _checkSpacing(Shard storage s) internal view returns (bool needsChange) {
        if (s.roster == 0) return false;
        uint256 last = s.rosterBlock;
        uint256 term = s.terms.term;
        uint256 earliest = last + term.ceilDiv(SNAPSHOTS_PER_TERM);
        if (block.number < earliest) revert SnapshotTooEarly(block.number, earliest);
        return block.number < last + term.ceilDiv(2);
    }

    /// Makes a roster's tickets, in place, of what everybody could have; the keys of those whom scaling left without any leave the sum.
    function _apportion(Shard storage s, uint256[] memory tickets) internal returns (RosterBlob.Head memory head) {
        (head.slasher, head.source, head.keySum) = (s.slasher, s.source, s.keySum);
        (TicketMath.Shares memory shares, uint256 holders) = TicketMath.apportion(tickets);
        (head.tickets, head.operators, head.largest) = (shares.total, shares.holders, shares.largest);
        if (shares.holders == holders) return head;

        KeyChange memory change = KeyChange(new address[](0), new address[](holders - shares.holders), 0, 0);
        for (uint256 i = 0; change.removedCount < change.removed.length; ++i) {
            if (tickets[i] == 0 && s.tickets.get(i) != 0) change.removed[change.removedCount++] = s.seats[i].key;
        }
        head.keySum = _changeSum(head.keySum, change);
    }

    /// Σ |Δ tickets| over all seats, and again what was given up or fell vacant since, as others may hold the seat or its holder have come back:
    /// together a twentieth of the last roster's tickets.
    function _checkChanged(Shard storage s, uint32 shard, uint256[] memory tickets) internal view {
        uint256[] memory before = RosterBlob.allTickets(s.blob);
        uint256 changed = shards.vacantTicketsOf(shard, s.roster) + s.givenUp;
        uint256 total;
        // seats are never fewer than before
        uint256 n = tickets.length;
        for (uint256 i = 0; i < n; ++i) {
            uint256 old = i < before.length ? before[i] : 0;
            total += old;
            changed += old > tickets[i] ? old - tickets[i] : tickets[i] - old;
        }

        uint256 needed = total.ceilDiv(CHANGE_PARTS);
        if (changed < needed) revert TicketsUnchanged(changed, needed);
    }

    // ---- helpers

    function _epoch(Shard storage s) internal view returns (uint256) {
        return _epochAt(s, block.number);
    }

    function _epochAt(Shard storage s, uint256 blockNumber) internal view returns (uint256) {
        return (blockNumber - s.terms.firstBlock) / s.terms.epochLength;
    }

    function _termEpochs(Shard storage s) internal view returns (uint256) {
        return s.terms.term / s.terms.epochLength;
    }

    function _source() internal view returns (IStakeSource) {
        return IStakeSource(directory.module(ModuleNames.STAKE_SOURCE));
    }

    function _shard(uint32 shard) internal view returns (Shard storage s) {
        s = _shards[shard];
        if (s.terms.firstBlock == 0) revert ShardUnknown(shard);
    }
}
