// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CollateralWeight, MemberState, ShardParameters} from "../types/Types.sol";

/// @title Who belongs to a shard, and how many tickets each has
/// @notice Operators join with bond and allocated stake and get a numbered seat; a seat that is left goes to whoever joins next. Anyone snapshots
/// a roster of those who have a ticket.
///
/// Tickets = ⌊min(weight ÷ ticket price, bond ÷ bond per ticket)⌋, none below the least bond, at most a third of the roster's where three operators
/// or more have one (the excess earns nothing); a snapshot that would pass 1,024 tickets raises both prices by the same factor, but takes the last
/// ticket of nobody as long as there is one left over (see TicketMath).
/// A snapshot is allowed when there is no roster yet, or when a seventh of D has passed since the last one and either 5 % of the tickets changed
/// or half of D has passed (see docs/decisions). It takes effect at the first block of the next epoch.
///
/// So that a snapshot costs little for each operator, a member's tickets are kept, and counted anew only if it was marked: by Restaking, when
/// bond or stake changed, by Operators, when its key did, or because stake source or Audits were replaced. A source whose count changes by itself
/// (an exchange rate) marks nobody: then `refreshOperators` is for anyone to call.
interface IMembers {
    event OperatorJoined(uint32 indexed shard, address indexed operator, uint256 seat);
    event OperatorLeft(uint32 indexed shard, address indexed operator);
    event OperatorJailed(uint32 indexed shard, address indexed operator, uint256 untilEpoch);

    error CallerNotModule(address caller, bytes32 expected);
    error NotRegistered(address operator);
    error AlreadyJoined(uint32 shard, address operator);
    error NotJoined(uint32 shard, address operator);
    error Jailed(uint32 shard, address operator, uint256 untilEpoch);
    error ShardFull(uint32 shard, uint256 limit);
    error ShardUnknown(uint32 shard);
    error TooManyShards(address operator, uint256 limit);
    error StillQualified(uint32 shard, address operator);
    error BondBelowMinimum(uint256 bond, uint256 minimum);
    error StakeBelowTicket(uint256 weight, uint256 ticketPrice);
    error SnapshotTooEarly(uint256 blockNumber, uint256 earliest);
    error TicketsUnchanged(uint256 changed, uint256 needed);
    error NoTickets(uint32 shard);

    /// @notice Shards: a shard was created.
    function open(
        uint32 shard,
        address restaking,
        ShardParameters calldata parameters,
        CollateralWeight[] calldata collaterals
    ) external;

    /// @notice The caller wants to be counted by the next snapshots. Needs registration, the least own bond, weight for one ticket, and no jail.
    function join(uint32 shard) external;
    /// @notice The caller leaves: its places are open to others, and later snapshots don't count it. What earlier rosters gave it stays its duty
    /// until their last object has expired.
    function exit(uint32 shard) external;
    /// @notice Removes a member that no longer has bond and weight for one ticket, so that it can't keep a seat from others. Anyone.
    function drop(uint32 shard, address operator) external;
    /// @notice Takes a new roster of the members that have a ticket. Anyone.
    function snapshot(uint32 shard) external returns (uint32 roster);
    /// @notice Counts up to `limit` marked members anew; a snapshot does so for all that are left. Anyone, where they are many.
    function refresh(uint32 shard, uint256 limit) external returns (uint256 refreshed);
    /// @notice Counts members anew, marked or not. Anyone.
    function refreshOperators(uint32 shard, address[] calldata operators) external;

    /// @notice Marks a member in those of its shards whose Restaking the caller is, in all if the caller is Operators, to be counted anew.
    /// Nothing happens in others: a Restaking doesn't know where else its operators are.
    function noteChange(address operator) external;
    /// @notice The shard's Restaking: a slash for a miss in `epoch` was executed and left `bond`. If that is less than the least, the operator's places
    /// are vacant from this block on and its duty ends. The jailMisses-th miss within jailEpochs epochs removes the operator for as many.
    function recordSlash(uint32 shard, address operator, uint64 epoch, uint256 bond) external;

    /// @notice What a snapshot would see now: own bond, weight, and the tickets that they make before any cap.
    function standingOf(uint32 shard, address operator)
        external
        view
        returns (uint256 bond, uint256 weight, uint256 tickets);
    function isMember(uint32 shard, address operator) external view returns (bool);
    function memberOf(uint32 shard, address operator) external view returns (MemberState memory);
    /// @notice Members in the order of their seats.
    function membersOf(uint32 shard) external view returns (address[] memory);
    /// @notice Shards in which the operator is, or was and may still be bound. At most 8.
    function shardsOf(address operator) external view returns (uint32[] memory);
    /// @notice Every Audits that a roster names as slasher, in the order in which they came.
    function slashers() external view returns (address[] memory);
    /// @notice The latest of what IShards.boundIn says of the shards in which the operator is or was.
    function boundUntil(address operator, uint256 sinceBlock, uint256 untilBlock)
        external
        view
        returns (uint256 blockNumber);
}
