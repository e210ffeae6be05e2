// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DutyStatus, Response} from "../types/Types.sol";

/// @title Audits: seeds, challenges, responses, misses
/// @notice Typical flow per shard and epoch e: 1 nobody announces anything: the seed block is firstBlock + e·epochLength, the population is frozen
/// at B_e; 2 anyone `seal`s the epoch with the randomness of the seed block within the sealing limit, else e is void: no pay, no slash;
/// 3 each operator that holds live rows answers its own draw with one folded opening before the deadline, `window` blocks after sealing;
/// 4 until `reporting` blocks after the deadline anyone reports a miss; Restaking slashes it after the resolution delay.
///
/// Draw: ctx = keccak256(abi.encode(Tags.CHALLENGE, chainid, this, shard, e, seed, operator)). The operator's snapshot is S positions: rosters
/// ascending, in each its tickets ascending, in each ticket the buckets ascending, in each bucket the objects in order of certification, in each
/// object (matrix, row) ascending. q' = min(q, held live signed rows). Position i < q' lies in the stratum [⌊iS/q'⌋, ⌊(i+1)S/q'⌋), at
/// keccak256(abi.encode(ctx, 0, i)) mod its length. A position on an expired or unsigned row is void; each void is replaced, after the q' first ones,
/// by keccak256(abi.encode(ctx, 3, j)) mod S, j = 0, 1, …, uniform over the whole snapshot, until q' are live or 4q' were read.
/// A roster counts if its head's `slasher` is this contract (it was in force at the snapshot) and the operator's place in it was not vacant at B_e.
/// L = keccak256 of the live ones in order, each objectId ‖ uint64 slice ‖ x ‖ y; z = keccak256(abi.encode(ctx, 1, L)) mod r;
/// γ_0 = 1, γ_j = keccak256(abi.encode(ctx, 2, L, j)) mod r; the response opens Σ γ_j p_j at z.
interface IAudits {
    event EpochSealed(
        uint32 indexed shard,
        uint64 indexed epoch,
        bytes32 seed,
        uint256 sealedBlock,
        uint256 deadline,
        address indexed sealer
    );
    /// @param live rows opened, @param read positions read: live and void ones
    event Answered(uint32 indexed shard, uint64 indexed epoch, address indexed operator, uint256 live, uint256 read);
    event MissReported(
        uint32 indexed shard, uint64 indexed epoch, address indexed operator, address reporter, bytes32 slashId
    );

    error EpochInvalid(uint64 epoch);
    error EpochNotStarted(uint64 epoch, uint256 seedBlock, uint256 blockNumber);
    error SealingTooLate(uint64 epoch, uint256 limit, uint256 blockNumber);
    error AlreadySealed(uint32 shard, uint64 epoch);
    error NotSealed(uint32 shard, uint64 epoch);
    error AnswerTooLate(uint256 deadline, uint256 blockNumber);
    error AlreadyAnswered(uint32 shard, uint64 epoch, address operator);
    error NoDuty(uint32 shard, uint64 epoch, address operator);
    /// @notice Too few positions shown (expected: at least so many) or more than were to be read.
    error ReadsCountWrong(uint256 got, uint256 expected);
    error ListingWrong(uint256 read, uint256 position, uint256 start, uint256 end);
    error NonSignersWrong(uint256 read, bytes32 objectId);
    error PathInvalid(uint256 read, bytes32 objectId, uint256 slice);
    /// @notice More or fewer bytes of commitments, or siblings, than the live rows take.
    error WitnessLengthWrong(uint256 got, uint256 expected);
    error OpeningInvalid(uint32 shard, uint64 epoch, address operator);
    error ReportTooEarly(uint256 deadline, uint256 blockNumber);
    error ReportTooLate(uint256 limit, uint256 blockNumber);
    error AlreadyReported(uint32 shard, uint64 epoch, address operator);

    /// @notice Stores the epoch's seed. Anyone; the first one names who is paid for it: Rewards books SEALER_BPS of what the epoch's answers to this
    /// contract earn to `sealer` (the caller or anybody else, such as the operator whose node calls). Zero: nobody, and operators keep that part.
    function seal(uint32 shard, uint64 epoch, bytes calldata randomnessProof, address sealer)
        external
        returns (bytes32 seed);
    /// @notice Answers an operator's draw. Anyone may bring it; it is the operator's own. If no live row was among the positions read, y is 0 and
    /// the proof is empty.
    function respond(Response calldata response) external;
    /// @notice Answers for several operators, or several epochs. What is answered already is passed over, and so is what comes after its deadline,
    /// unless nothing else is answered; whatever else `respond` refuses is refused, and with it all.
    function respondMany(Response[] calldata responses) external;
    /// @notice Reports that an operator with a duty did not answer. Anyone; the first one is the reporter. The slash is the one fixed by that live
    /// roster in which the operator holds live rows and most tickets (the oldest of equals).
    function reportMiss(uint32 shard, uint64 epoch, address operator) external returns (bytes32 slashId);
    /// @notice The same for the operators in the seats of a roster whose bits are set, 256 to a word, the lowest first. Who answered, was reported
    /// (here, or to another roster's Audits), or has no duty is passed over, so it can be sent again. Returns how many were reported.
    function reportMisses(uint32 shard, uint64 epoch, uint32 roster, uint256[] calldata seats)
        external
        returns (uint256 reported);

    /// @notice (seed, block of sealing, last block in which an answer counts); zeros if not sealed.
    function seedOf(uint32 shard, uint64 epoch)
        external
        view
        returns (bytes32 seed, uint256 sealedBlock, uint256 deadline);
    /// @notice Who is paid for having sealed the epoch; zero: not sealed, or nobody.
    function sealerOf(uint32 shard, uint64 epoch) external view returns (address);
    function statusOf(uint32 shard, uint64 epoch, address operator) external view returns (DutyStatus);
    /// @notice (shard, epoch)s for which an operator's answer stood: as many are to be settled (IRewards.settledCount).
    function answeredCount(address operator) external view returns (uint256);
    /// @notice Whether the epoch can no longer be sealed and wasn't.
    function isVoid(uint32 shard, uint64 epoch) external view returns (bool);
    /// @notice Live signed rows that the operator must be able to open in the epoch; 0: no duty.
    function heldRows(uint32 shard, uint64 epoch, address operator) external view returns (uint256);
    /// @notice The draw as data: for each of the q' first positions and then for 3q' replacements (fewer need be read): the position in S.
    function draw(uint32 shard, uint64 epoch, address operator)
        external
        view
        returns (bytes32 context, uint256 snapshotRows, uint256 samples, uint256[] memory positions);
}
