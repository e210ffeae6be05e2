// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    CollateralWeight,
    RosterAbsence,
    RosterEntry,
    RosterHead,
    RosterPlace,
    ShardParameters
} from "../types/Types.sol";
import {IMembers} from "./IMembers.sol";

/// @title Shards and their rosters
/// @notice A shard's parameters never change, nor does the Restaking whose delays they were checked against. A roster says how many of its T tickets
/// each numbered seat holds; it is immutable and kept in contract code. A seat that is left goes to whoever joins next; who held it under an older
/// roster, with which key, stays known. Who gets how many tickets: see IMembers.
interface IShards {
    event ShardCreated(
        uint32 indexed shard, uint256 firstBlock, ShardParameters parameters, CollateralWeight[] collaterals
    );
    event RosterTaken(
        uint32 indexed shard,
        uint32 indexed roster,
        uint16 tickets,
        uint16 operators,
        uint64 activeFromEpoch,
        address keySum,
        address slasher
    );
    event PlaceVacated(uint32 indexed shard, address indexed operator, uint256 blockNumber);

    error CallerNotModule(address caller, bytes32 expected);
    error NotGovernor(address caller);
    error NotMembers(address caller);
    error ShardUnknown(uint32 shard);
    error RosterUnknown(uint32 shard, uint32 roster);
    error ParameterOutOfRange(bytes32 name, uint256 value, uint256 limit);
    error CollateralUnknown(address token);
    error CollateralRepeated(address token);
    error WithdrawalDelayTooShort(uint256 delay, uint256 needed);
    error TimelockTooShort(uint256 timelock, uint256 needed);
    error OperatorNotInRoster(uint32 shard, uint32 roster, address operator);
    error SeatOutOfRange(uint256 seat, uint256 seats);
    error SeatEmpty(uint256 seat);

    /// @notice Opens a shard; the others run on. Governor. Checks: withdrawal delay ≥ epoch + sealing limit + window + reporting + resolution +
    /// guardian's delay; timelock > withdrawal delay + epoch (I-D1); sealing limit ≤ 8191; 1 ≤ finality ≤ epoch; sealing limit + window + reporting
    /// ≤ D; 1 to 8 listed collaterals, none twice; at most MAX_OPERATORS operators; the longest answer to a draw takes at most 124 KiB of calldata;
    /// a miss takes no more than what makes the ticket.
    function create(ShardParameters calldata parameters, CollateralWeight[] calldata collaterals)
        external
        returns (uint32 shard);
    /// @notice Members: a snapshot's roster, in the code of `blob` (see RosterBlob).
    function addRoster(uint32 shard, address blob) external returns (uint32 roster);
    /// @notice Members: who sits in a seat from the next roster on, or no longer does.
    function setSeat(uint32 shard, uint256 seat, address operator, bool taken) external;
    /// @notice Members: the account whose code holds the key that a seat counts with, from the next roster on.
    function setKey(uint32 shard, uint256 seat, address account) external;
    /// @notice Members: the operator's places in all rosters so far are vacant from this block on, and its duty ends.
    function vacate(uint32 shard, address operator) external;
    /// @notice Objects, Keys: an object under the roster lives, or a key has holders of it, until `endEpoch`.
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
    function rosterEntry(uint32 shard, uint32 roster, uint256 seat) external view returns (RosterEntry memory);
    /// @notice Seats from `from` to `to`, or to the roster's last one; `to` itself not included.
    function rosterEntries(uint32 shard, uint32 roster, uint256 from, uint256 to)
        external
        view
        returns (RosterEntry[] memory);
    /// @notice The 256-byte keys that the roster counts for some seats, one after the other; reverts for an empty seat.
    function rosterKeys(uint32 shard, uint32 roster, uint256[] calldata seats) external view returns (bytes memory);
    /// @notice Seat of an operator that has tickets; reverts if it has none.
    function rosterIndexOf(uint32 shard, uint32 roster, address operator) external view returns (uint256 seat);
    function isInRoster(uint32 shard, uint32 roster, address operator) external view returns (bool);
    /// @notice The operator's places in the rosters live in `epoch`, vacant ones too.
    function placesIn(uint32 shard, uint64 epoch, address operator) external view returns (RosterPlace[] memory);
    /// @notice The same for the rosters from `first` to `last`, which the caller knows to be live.
    function placesFrom(uint32 shard, uint32 first, uint32 last, address operator)
        external
        view
        returns (RosterPlace[] memory);
    /// @notice 256-byte EIP-2537 G2 sum of the roster's keys.
    function aggregateKeyOf(uint32 shard, uint32 roster) external view returns (bytes memory);
    /// @notice What a certificate asks, in one call. `seats`: of those that did not sign, each once.
    function absenceIn(uint32 shard, uint32 roster, uint16[] calldata seats)
        external
        view
        returns (RosterAbsence memory);
    /// @notice What one miss of the operator takes: of its bond, the slash per ticket for each of the roster's tickets; of its stake the same in
    /// weight, spread over what Restaking has behind the shard now as the roster's source values it (amounts rounded down, in the order of
    /// collateralsOf; zeros where the source counted stake that is not Restaking's).
    function slashTerms(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (uint256 bondSlash, uint256 reporterFee, address[] memory collaterals, uint256[] memory amounts);
    /// @notice The account whose code holds what a miss takes in the shard (see MissTerms); always the same.
    function missTermsOf(uint32 shard) external view returns (address);
    /// @notice What queueing a slash asks of a roster, in one call: who may, by what source the stake was counted, the operator's tickets. Reverts if
    /// it has none.
    function slashPlaceOf(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (address slasher, address source, uint256 tickets);
    /// @notice By what source the roster's stake was counted.
    function sourceOf(uint32 shard, uint32 roster) external view returns (address);
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
    /// @notice The Restaking that the shard was created with: bonds, delays, slashes.
    function restakingOf(uint32 shard) external view returns (address);
    /// @notice Who belongs to the shards, made by this contract.
    function members() external view returns (IMembers);
}
