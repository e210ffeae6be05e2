// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who earned which storage fee
/// @notice Holds no token: the fees lie in Payments under this contract's accounts, one for each shard. An operator earns for an epoch only if
/// its response stood. Fees of an epoch that an operator did not prove go, object by object, to payer and repair fund; of a void epoch, to the payer.
/// Of what an operator earned, SEALER_BPS go to whoever sealed the epoch.
/// Invariant I-W1: the shard's account = fees booked − settled − refunded, to the unit.
interface IRewards {
    event FeesBooked(bytes32 indexed objectId, uint32 indexed shard, uint256 storageFee, uint256 intakeFee);
    event UnsignedReturned(bytes32 indexed objectId, address indexed payer, uint256 amount);
    event UnearnedReturned(bytes32 indexed objectId, address indexed payer, uint256 amount);
    event OpeningReturned(bytes32 indexed objectId, address indexed payer, uint256 amount, uint256 toRepairFund);
    event EpochSettled(
        uint32 indexed shard,
        uint64 indexed epoch,
        address indexed operator,
        uint256 amount,
        uint256 toOperator,
        uint256 toSealers
    );
    event IntakeClaimed(uint32 indexed shard, uint32 indexed roster, address indexed operator, uint256 amount);
    event UnprovenReturned(
        bytes32 indexed objectId, uint64 indexed epoch, address indexed operator, uint256 toPayer, uint256 toRepairFund
    );
    event VoidReturned(bytes32 indexed objectId, uint64 indexed epoch, uint256 amount);

    error CallerNotModule(address caller, bytes32 expected);
    error NotAnswered(uint32 shard, uint64 epoch, address operator);
    error AlreadySettled(uint32 shard, uint64 epoch, address operator);
    error NotUnproven(uint32 shard, uint64 epoch, address operator);
    error NotVoid(uint32 shard, uint64 epoch);
    error ObjectNotLive(bytes32 objectId, uint64 epoch);
    error OperatorDidNotSign(bytes32 objectId, address operator);
    error NonSignersWrong(bytes32 objectId);
    error AlreadyReturned(bytes32 objectId, uint64 epoch, address operator);
    error NothingToClaim(address operator);

    /// @notice Objects, at opening: takes the payment from the payer into the shard's account.
    function collectOpening(bytes32 objectId, uint32 shard, address payer, uint256 storageFee, uint256 intakeFee)
        external;
    /// @notice Objects, when an object is extended: takes the payment from the payer into the shard's account.
    function collectExtension(bytes32 objectId, uint32 shard, address payer, uint256 storageFee) external;
    /// @notice Objects: returns to the owner what was paid for rows that nobody signed, and for epochs after an early end.
    function bookReturn(bytes32 objectId, uint32 shard, address payer, uint256 unsignedFee, uint256 unearnedFee)
        external;
    /// @notice Objects, when certification failed: storage fee back to the payer, intake fee to the repair fund.
    function bookFailed(bytes32 objectId, uint32 shard, address payer, uint256 storageFee, uint256 intakeFee) external;

    /// @notice Pays an operator (and its restakers) for an epoch whose response stood: Σ over live rosters of its tickets × (fee − unsigned fee).
    /// Of what it earned under the rosters of one Audits, SEALER_BPS, rounded down, go to the account in Payments of who sealed the epoch there (nothing,
    /// if that is nobody). Of the rest the operator's commission is rounded down; what is left goes to its restakers, and what can't be shared among
    /// them to the operator. Anyone, once per roster (rosters of different Audits contracts may be settled one after the other). Returns all four.
    function settle(uint32 shard, uint64 epoch, address operator) external returns (uint256 amount);
    /// @notice Pays the operator its intake fees under a roster, and the repair fund what their divisions left so far. Anyone.
    function claimIntake(uint32 shard, uint32 roster, address operator) external returns (uint256 amount);
    /// @notice Returns an object's fees for an epoch that one of its signers did not prove (deadline over, no answer, or no duty because its place
    /// is vacant). Anyone, once.
    /// The payer gets unprovenToPayerBps of it, rounded down, the repair fund the rest.
    function returnUnproven(bytes32 objectId, uint64 epoch, address operator, uint16[] calldata nonSigners) external;
    /// @notice Returns an object's fees for a void epoch. Anyone, once.
    function returnVoid(bytes32 objectId, uint64 epoch, uint16[] calldata nonSigners) external;

    /// @notice What `settle` would pay now, and how much of it to sealers.
    function earnedIn(uint32 shard, uint64 epoch, address operator)
        external
        view
        returns (uint256 amount, uint256 toSealers);
    function isSettled(uint32 shard, uint64 epoch, address operator) external view returns (bool);
    /// @notice Answered (shard, epoch)s of an operator under an Audits that are settled: as many as `IAudits.answeredCount` when all are.
    function settledCount(address audits, address operator) external view returns (uint256);
    /// @notice Parts in 10,000 of what an operator earned in an epoch that are whoever sealed it there's.
    function SEALER_BPS() external view returns (uint256);
    /// @notice Account in Payments that holds a shard's fees, and the one of its repair fund.
    function feeAccount(uint32 shard) external view returns (bytes32);
    function repairAccount(uint32 shard) external view returns (bytes32);
}
