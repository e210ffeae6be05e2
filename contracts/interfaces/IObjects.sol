// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ListedObject, Listing, ObjectRecord, OpenRequest, Tally} from "../types/Types.sol";

/// @title Objects: opened and paid, certified, listed for draws
/// @notice Typical flow: 1 `open` pays the whole term and the intake fee; 2 operators verify, store, sign off chain; 3 anyone brings the
/// aggregate signature to `certify` within one epoch; 4 from `firstEpoch` on the object's rows are drawn and paid for `epochs` epochs.
/// If 3 never comes, `fail` returns all but the intake fee.
///
/// Certified needs signed tickets ≥ ⌈2T/3⌉ and signed·n/T ≥ k + ⌊T/3⌋·n/T. `open` refuses what can't be certified: T ∤ n,
/// k + ⌊T/3⌋·n/T > n, an operator with more than k rows of a matrix, parameters out of range.
/// Row i of every matrix belongs to ticket (offset + i) mod T, offset = uint256(keccak256(objectId)) mod T.
///
/// Safety: who brings the certificate chooses whose signatures it holds; one that is left out is neither paid nor challenged for the object.
/// What a draw of epoch e can name is fixed by firstEpoch ≤ e, hence by the state at B_e.
/// Liveness: an object that was paid is never refused at certification for a shard's limits (they are reserved at opening).
interface IObjects {
    event ObjectOpened(
        bytes32 indexed objectId,
        address indexed owner,
        uint32 indexed shard,
        uint32 roster,
        OpenRequest request,
        bytes32 manifestRoot,
        uint256 payment
    );
    event ObjectCertified(bytes32 indexed objectId, uint64 firstEpoch, uint64 endEpoch, uint16[] nonSigners);
    event ObjectFailed(bytes32 indexed objectId);

    error ObjectUnknown(bytes32 objectId);
    error ObjectNotOpen(bytes32 objectId, uint8 status);
    error RosterNotActive(uint32 roster, uint32 active);
    error WidthInvalid(uint256 width);
    error RowsInvalid(uint256 k, uint256 n);
    error TicketsDoNotDivideRows(uint256 tickets, uint256 n);
    error ThresholdUnreachable(uint256 k, uint256 n, uint256 tickets);
    error OperatorHoldsTooManyRows(uint256 rows, uint256 k);
    /// @notice More bytes than k·w·M elements of 31 bytes hold, or no matrix at all (capacity 0).
    error SizeInvalid(uint256 size, uint256 capacity);
    /// @notice No epoch, or more than remain under the roster from the latest possible first epoch on.
    error TermInvalid(uint256 epochs, uint256 limit);
    error FeeTooLarge(uint256 fee, uint256 limit);
    error PaymentAboveMaximum(uint256 payment, uint256 maximum);
    error RowsPerTicketExceeded(uint256 rows, uint256 limit);
    error CertificationTooLate(uint256 blockNumber, uint256 deadline);
    error CertificationStillPossible(uint256 blockNumber, uint256 deadline);
    error NonSignersUnordered(uint256 position);
    error NonSignerUnknown(uint256 seat);
    error NonSignerKeyWrong(uint256 index, bytes32 got, bytes32 expected);
    error ExcludedKeysLengthWrong(uint256 length, uint256 expected);
    error SignersVacant(uint256 tickets);
    error QuorumNotReached(uint256 signedTickets, uint256 needed);
    error SignatureInvalid(bytes32 objectId);
    error ListingOutOfRange(uint256 index, uint256 count);
    error EpochNotFrozen(uint64 epoch, uint64 latest);

    /// @notice Opens an object: the caller becomes its owner and pays rowFee·n·M·epochs + intake fee (approve Payments first).
    /// @return objectId keccak256(abi.encode(Tags.OBJECT_ID, chainid, this, owner, nonceOf(owner) before, manifestRoot)): an id is of one
    /// manifest alone, whatever a machine that comes back from a backup or a chain that comes back from a reorganization remembers.
    function open(OpenRequest calldata request) external returns (bytes32 objectId);
    /// @notice What `open` would take now.
    function quote(OpenRequest calldata request)
        external
        view
        returns (uint256 storageFee, uint256 intakeFee, address token);
    /// @notice Brings the certificate. Anyone.
    /// @param nonSigners roster indexes of those that did not sign, ascending
    /// @param excludedKeys their 256-byte keys in the same order
    function certify(
        bytes32 objectId,
        bytes calldata signature,
        uint16[] calldata nonSigners,
        bytes calldata excludedKeys
    ) external;
    /// @notice After the certification deadline: refunds all but the intake fee, which fills the repair fund. Anyone.
    function fail(bytes32 objectId) external;

    /// @notice keccak256(abi.encode(Tags.CERTIFICATE, chainid, this, objectId, shard, roster, manifestRoot, w, k, n, M, epochs)).
    function certificateDigest(bytes32 objectId) external view returns (bytes32);
    function record(bytes32 objectId) external view returns (ObjectRecord memory);
    /// @notice Who opened it and paid; zero if nobody did.
    function ownerOf(bytes32 objectId) external view returns (address);
    /// @notice First epoch after its last; 0 if never certified.
    function endEpochOf(bytes32 objectId) external view returns (uint64);
    function certificationDeadlineOf(bytes32 objectId) external view returns (uint256);
    function nonceOf(address owner) external view returns (uint256);

    // ---- what draws and pay are computed from

    /// @notice Live rows and fee of one ticket of the roster in an epoch, unsigned ones included.
    function tally(uint32 shard, uint32 roster, uint64 epoch) external view returns (Tally memory);
    /// @notice The part of `tally` that the operator did not sign, per ticket.
    function excludedTally(uint32 shard, uint32 roster, address operator, uint64 epoch)
        external
        view
        returns (Tally memory);
    /// @notice Lists are kept per roster in BUCKETS buckets by end epoch; a bucket leaves the count when all in it have expired.
    /// Returns per bucket the rows per ticket listed as of B_epoch, 0 for those that left. BUCKETS = 8.
    function listedRows(uint32 shard, uint32 roster, uint64 epoch) external view returns (uint64[] memory rowsPerTicket);
    function listing(uint32 shard, uint32 roster, uint256 bucket, uint256 index) external view returns (Listing memory);
    /// @notice `listing` with what a check of a drawn position needs besides.
    function listed(uint32 shard, uint32 roster, uint256 bucket, uint256 index)
        external
        view
        returns (ListedObject memory);
    /// @notice Bucket of the objects under a roster that end at `endEpoch`.
    function bucketOf(uint32 shard, uint32 roster, uint64 endEpoch) external view returns (uint256);
    /// @notice Rows of each ticket that opened, still certifiable objects hold reserved.
    function reservedRows(uint32 shard, uint32 roster) external view returns (uint256);
    function listingCount(uint32 shard, uint32 roster, uint256 bucket) external view returns (uint256);
    /// @notice Brings the roster's accumulator (operatorOrZero = 0) or what an operator did not sign forward to `epoch`, which must be frozen, at most
    /// `maxSteps` epochs: later reads of those epochs cost one slot. Changes no value. Anyone.
    function roll(uint32 shard, uint32 roster, address operatorOrZero, uint64 epoch, uint256 maxSteps) external;
    /// @notice Cumulative intake fee per ticket of the roster, and the part that the operator did not sign. What a division by the signed tickets
    /// leaves fills the repair fund.
    function intakePerTicket(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (uint256 all, uint256 excluded);
}
