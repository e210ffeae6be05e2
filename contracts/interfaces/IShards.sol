// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CollateralWeight, RosterEntry, RosterHead, ShardParameters} from "../types/Types.sol";

/// @title Shards and their rosters
/// @notice A shard's parameters never change, nor does the Restaking whose delays they were checked against. Operators join with bond and
/// allocated stake; anyone snapshots a roster: the operators, the ranges of the T tickets that each holds, what a miss costs each, the aggregate
/// key. Rosters are immutable, kept in contract code, entries ascending by operator.
///
/// Tickets = ⌊min(weight ÷ ticket price, bond ÷ bond per ticket)⌋, at most a third of the roster's where three operators or more have one
/// (the excess earns nothing); a snapshot that would pass MAX_TICKETS raises both prices by the same factor.
/// A snapshot is allowed when there is no roster yet, or when a seventh of D has passed since the last one and either 5 % of the weight changed
/// or half of D has passed (see docs/decisions). It takes effect at the first block of the next epoch.
interface IShards {
    event ShardCreated(
        uint32 indexed shard, uint256 firstBlock, ShardParameters parameters, CollateralWeight[] collaterals
    );
    event OperatorJoined(uint32 indexed shard, address indexed operator);
    event OperatorLeft(uint32 indexed shard, address indexed operator);
    event RosterTaken(
        uint32 indexed shard,
        uint32 indexed roster,
        uint16 tickets,
        uint16 operators,
        uint64 activeFromEpoch,
        bytes aggregateKey
    );
    event PlaceVacated(uint32 indexed shard, address indexed operator, uint256 blockNumber);

    error CallerNotModule(address caller, bytes32 expected);
    error NotGovernor(address caller);
    error ShardUnknown(uint32 shard);
    error RosterUnknown(uint32 shard, uint32 roster);
    error ParameterOutOfRange(bytes32 name, uint256 value, uint256 limit);
    error CollateralUnknown(address token);
    error CollateralRepeated(address token);
    error WithdrawalDelayTooShort(uint256 delay, uint256 needed);
    error TimelockTooShort(uint256 timelock, uint256 needed);
    error NotRegistered(address operator);
    error AlreadyJoined(uint32 shard, address operator);
    error NotJoined(uint32 shard, address operator);
    error ShardFull(uint32 shard, uint256 limit);
    error TooManyShards(address operator, uint256 limit);
    error StillQualified(uint32 shard, address operator);
    error BondBelowMinimum(uint256 bond, uint256 minimum);
    error StakeBelowTicket(uint256 weight, uint256 ticketPrice);
    error SnapshotTooEarly(uint256 blockNumber, uint256 earliest);
    error WeightUnchanged(uint256 changed, uint256 needed);
    error NoTickets(uint32 shard);
    error OperatorNotInRoster(uint32 shard, uint32 roster, address operator);
    error EntryOutOfRange(uint256 index, uint256 count);

    /// @notice Opens a shard; the others run on. Governor. Checks: withdrawal delay ≥ epoch + sealing limit + window + reporting + resolution +
    /// guardian's delay; timelock > withdrawal delay + epoch (I-D1); sealing limit ≤ 8191; 1 ≤ finality ≤ epoch; sealing limit + window + reporting
    /// ≤ D; 1 to 8 listed collaterals, none twice; at most MAX_OPERATORS operators; a miss takes no more than what makes the ticket.
    function create(ShardParameters calldata parameters, CollateralWeight[] calldata collaterals)
        external
        returns (uint32 shard);
    /// @notice The caller wants to be counted by the next snapshots. Needs registration, the least own bond, weight for one ticket.
    function join(uint32 shard) external;
    /// @notice The caller is not counted by later snapshots. What earlier rosters gave it stays its duty until their last object has expired.
    function leave(uint32 shard) external;
    /// @notice Removes a member that no longer has bond and weight for one ticket, so that it can't keep a place from others. Anyone.
    function drop(uint32 shard, address operator) external;
    /// @notice Takes a new roster of the members that have a ticket. Anyone.
    function snapshot(uint32 shard) external returns (uint32 roster);

    /// @notice Restaking: the operator's bond fell below the least: its places are open from this block on and its duty ends.
    function recordVacancy(uint32 shard, address operator) external;
    /// @notice Objects: an object under the roster lives until `endEpoch`.
    function recordObject(uint32 shard, uint32 roster, uint64 endEpoch) external;

    function count() external view returns (uint32);
    /// @notice Block of epoch 0's start. Epoch e starts, and has its seed block, at firstBlock + e·epochLength; e ≥ 1 are audited.
    function firstBlockOf(uint32 shard) external view returns (uint256);
    function parametersOf(uint32 shard) external view returns (ShardParameters memory);
    function collateralsOf(uint32 shard) external view returns (CollateralWeight[] memory);
    function epochAt(uint32 shard, uint256 blockNumber) external view returns (uint64);
    function seedBlockOf(uint32 shard, uint64 epoch) external view returns (uint256);
    /// @notice B_e = seed block − finality: the state at this block is what can be asked in epoch e.
    function frozenBlockOf(uint32 shard, uint64 epoch) external view returns (uint256);
    /// @notice First epoch whose B_e is at or after `blockNumber`.
    function firstEpochAfter(uint32 shard, uint256 blockNumber) external view returns (uint64);

    function rosterCount(uint32 shard) external view returns (uint32);
    /// @notice The roster under which objects can be opened now; ids start at 1, 0: none active yet.
    function activeRoster(uint32 shard) external view returns (uint32);
    function rosterHead(uint32 shard, uint32 roster) external view returns (RosterHead memory);
    function rosterEntry(uint32 shard, uint32 roster, uint256 index) external view returns (RosterEntry memory);
    /// @notice Index of an operator's entry; reverts if it has none.
    function rosterIndexOf(uint32 shard, uint32 roster, address operator) external view returns (uint256 index);
    function isInRoster(uint32 shard, uint32 roster, address operator) external view returns (bool);
    /// @notice 256-byte EIP-2537 G2 sum of the roster's keys.
    function aggregateKeyOf(uint32 shard, uint32 roster) external view returns (bytes memory);
    /// @notice What one miss of the operator takes: of its bond, and of each collateral (same order as collateralsOf; zeros where the snapshot
    /// counted stake that is not Restaking's).
    function slashTerms(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (uint256 bondSlash, uint256 reporterFee, address[] memory collaterals, uint256[] memory amounts);
    /// @notice Rosters that may have live objects in `epoch`: ids from `first` to `last`, both included; first > last: none. At most 9.
    function rostersLiveIn(uint32 shard, uint64 epoch) external view returns (uint32 first, uint32 last);
    /// @notice Tickets of the roster's places that fell vacant since its snapshot.
    function vacantTicketsOf(uint32 shard, uint32 roster) external view returns (uint256 tickets);
    /// @notice First block ≥ the roster's snapshot at which the operator's place fell vacant; 0: never.
    function vacatedAt(uint32 shard, uint32 roster, address operator) external view returns (uint256 blockNumber);
    /// @notice First block at which no roster with a snapshot in [sinceBlock, untilBlock] binds the operator's stake and bond any more, unless
    /// a miss is pending; 0: nothing binds them now. A roster binds until misses of the last epoch that it can have can't be reported any more: as long as objects
    /// can be opened or certified under it, its last one; afterwards the last one of its objects; after a vacancy, the last one frozen before it.
    /// It never moves to a later block without a newer snapshot. Bounded: at most MAX_SHARDS_PER_OPERATOR shards with at most 15 rosters each.
    function boundUntil(address operator, uint256 sinceBlock, uint256 untilBlock)
        external
        view
        returns (uint256 blockNumber);
    /// @notice `boundUntil` of one shard: what binds the stake allocated to it and the bond behind it.
    function boundIn(uint32 shard, address operator, uint256 sinceBlock, uint256 untilBlock)
        external
        view
        returns (uint256 blockNumber);
    /// @notice What a snapshot would see now: own bond, weight, and the tickets that they make before any cap.
    function standingOf(uint32 shard, address operator)
        external
        view
        returns (uint256 bond, uint256 weight, uint256 tickets);
    /// @notice Token and least amount of own bonds.
    function bondTermsOf(uint32 shard) external view returns (address bondToken, uint256 minBond);
    /// @notice The Restaking that the shard was created with: bonds, delays, slashes.
    function restakingOf(uint32 shard) external view returns (address);
    /// @notice Shards in which the operator is, or was and may still be bound.
    function shardsOf(address operator) external view returns (uint32[] memory);
    function isMember(uint32 shard, address operator) external view returns (bool);
    function membersOf(uint32 shard) external view returns (address[] memory);
}
