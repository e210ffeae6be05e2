// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ObjectRecord, OpenRequest, Tally} from "../types/Types.sol";

/// @title Objects: opened and paid, certified, listed for draws
/// @notice Typical flow: 1 `open` pays the whole term and the intake fee; 2 operators verify, store, sign off chain; 3 anyone brings the
/// aggregate signature to `certify` within one epoch; 4 from `firstEpoch` on the object's rows are drawn and paid for `epochs` epochs.
/// If 3 never comes, `fail` returns all but the intake fee. After 3, until the object's second epoch is frozen, who did not sign may `adopt`
/// its rows; then `returnUnsigned` gives back what was paid for the others. `extend` and `terminate` change the end.
///
/// All changes count from the next epoch whose B_e has not passed: what is asked or owed for epochs already frozen never changes.
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
    /// @param seat the operator's in the object's roster; it counts as a signer from `fromEpoch` on
    event ObjectAdopted(bytes32 indexed objectId, address indexed operator, uint16 seat, uint64 fromEpoch);
    /// @param listedFrom first epoch in which it is drawn from the bucket of its new end; 0: it stays in its bucket
    event ObjectExtended(
        bytes32 indexed objectId, address indexed payer, uint64 endEpoch, uint256 payment, uint64 listedFrom
    );
    /// @notice The object is neither drawn nor paid from `endEpoch` on. When the last epoch before it is closed, operators may delete it.
    event ObjectTerminated(bytes32 indexed objectId, uint64 endEpoch);

    /// @notice Only the module named may ask for this.
    error CallerNotModule(address caller, bytes32 expected);

    error ObjectUnknown(bytes32 objectId);
    error ObjectNotOpen(bytes32 objectId, uint8 status);
    error ObjectNotCertified(bytes32 objectId, uint8 status);
    /// @notice It ends or has ended: its term is over before the next epoch that can still change, or it was terminated.
    error ObjectOver(bytes32 objectId, uint64 endEpoch, uint64 nextEpoch);
    error NotOwner(address caller, address owner);
    error SignerInvalid(address owner);
    error SignatureExpired(uint256 deadline, uint256 time);
    error DirectoryNotSealed();
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
    error SignersVacant(uint256 tickets);
    error QuorumNotReached(uint256 signedTickets, uint256 needed);
    /// @param subject the object, or the digest of the list
    error SignatureInvalid(bytes32 subject);
    error CertificateListEmpty();
    error CertificateListMixed(bytes32 objectId);
    error NonSignersWrong(bytes32 objectId);
    error AdoptionOver(bytes32 objectId, uint64 fromEpoch);
    error AdoptionOpen(bytes32 objectId, uint64 fromEpoch);
    error SeatSigned(bytes32 objectId, uint16 seat);
    error PlaceVacant(uint256 seat);
    error NothingUnsigned(bytes32 objectId);
    error EpochNotFrozen(uint64 epoch, uint64 latest);

    /// @notice Opens an object: the caller becomes its owner and pays rowFee·n·M·epochs + intake fee (approve Payments first).
    /// @return objectId keccak256(abi.encode(Tags.OBJECT_ID, chainid, this, owner, nonceOf(owner) before, manifestRoot)): an id is of one
    /// manifest alone, whatever a machine that comes back from a backup or a chain that comes back from a reorganization remembers.
    function open(OpenRequest calldata request) external returns (bytes32 objectId);
    /// @notice As `open`, for the owner, who pays, and signed this: EIP-712, domain {name "Qanat objects", version "1", chainId, verifyingContract this},
    /// Open(the request's fields in order, uint256 nonce, uint256 deadline), nonce = nonceOf(owner), deadline in seconds. ERC-1271 owners too. Anyone.
    function openFor(OpenRequest calldata request, address owner, uint256 deadline, bytes calldata signature)
        external
        returns (bytes32 objectId);
    /// @notice What `open` would take now.
    function quote(OpenRequest calldata request)
        external
        view
        returns (uint256 storageFee, uint256 intakeFee, address token);
    /// @notice Brings the certificate. Anyone.
    /// @param nonSigners roster indexes of those that did not sign, ascending; their keys are the roster's
    function certify(bytes32 objectId, bytes calldata signature, uint16[] calldata nonSigners) external;
    /// @notice Brings one certificate for objects of one shard and roster with the same non-signers: the signature is over `certificateListDigest`.
    /// Each is certified as by `certify`. Anyone.
    function certifyMany(bytes32[] calldata objectIds, bytes calldata signature, uint16[] calldata nonSigners) external;
    /// @notice An operator that was left out of the certificate takes over its rows: with its own signature over the same digest, until the second
    /// epoch of the object is frozen. It is paid and challenged from the next epoch that is not frozen. Anyone may bring it.
    /// @param seat the operator's in the roster, @param key its 256-byte key there, @param nonSigners the list as it stands
    function adopt(
        bytes32 objectId,
        uint16 seat,
        bytes calldata signature,
        bytes calldata key,
        uint16[] calldata nonSigners
    ) external;
    /// @notice When nobody can adopt any more: returns to the owner the fees of all rows still unsigned. Anyone, once.
    function returnUnsigned(bytes32 objectId) external;
    /// @notice Adds epochs at the object's end, at its own row fee, for the rows that are signed. Anyone pays; what may come back later is the owner's.
    /// Not while somebody may still adopt. Not past the roster's end, nor, once a newer roster is active, past the latest end of its objects.
    function extend(bytes32 objectId, uint32 epochs, uint256 maxPayment, uint16[] calldata nonSigners) external;
    /// @notice Owner: ends the object with the last epoch that is frozen, or with its first one, and returns the fees of all that come after.
    function terminate(bytes32 objectId, uint16[] calldata nonSigners) external;
    /// @notice After the certification deadline: refunds all but the intake fee, which fills the repair fund. Anyone.
    function fail(bytes32 objectId) external;

    /// @notice keccak256(abi.encode(Tags.CERTIFICATE, chainid, this, objectId, shard, roster, manifestRoot, w, k, n, M, epochs)).
    function certificateDigest(bytes32 objectId) external view returns (bytes32);
    /// @notice keccak256(abi.encode(Tags.CERTIFICATE_LIST, chainid, this, shard, roster, keccak256(abi.encodePacked(certificate digests)))).
    function certificateListDigest(bytes32[] calldata objectIds) external view returns (bytes32);
    function record(bytes32 objectId) external view returns (ObjectRecord memory);
    /// @notice Who opened it and paid; zero if nobody did.
    function ownerOf(bytes32 objectId) external view returns (address);
    /// @notice First epoch after its last; 0 if never certified.
    function endEpochOf(bytes32 objectId) external view returns (uint64);
    /// @notice The Shards in whose epochs its objects' terms are counted: since its first object the same for good.
    function shards() external view returns (address);
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
    /// @notice What an operator's answer is drawn from: live rows of one ticket that the operator signed, and `listedRows`.
    function holdings(uint32 shard, uint32 roster, address operator, uint64 epoch)
        external
        view
        returns (uint256 live, uint64[] memory rowsPerTicket);
    /// @notice Of each object its word (see `ObjectWord`), then its root; zeros for one that is unknown.
    function wordsOf(bytes32[] calldata objectIds) external view returns (bytes32[] memory words);
    /// @notice Where an object that an extension listed anew stood in an earlier bucket, and from which epoch on it is void there; zeros: never.
    function leftOf(uint32 shard, uint32 roster, uint256 bucket, bytes32 objectId)
        external
        view
        returns (uint256 start, uint256 until);
    /// @notice Hash of the list of non-signers as it counts in an epoch.
    function nonSignersHashOf(bytes32 objectId, uint64 epoch) external view returns (bytes32);
    /// @notice Bucket of the objects under a roster that end at `endEpoch`.
    function bucketOf(uint32 shard, uint32 roster, uint64 endEpoch) external view returns (uint256);
    /// @notice Rows of each ticket that opened, still certifiable objects hold reserved.
    function reservedRows(uint32 shard, uint32 roster) external view returns (uint256);
    /// @notice Brings the roster's accumulator (operatorOrZero = 0) or what an operator did not sign forward to `epoch`, which must be frozen, at most
    /// `maxSteps` epochs: later reads of those epochs cost one slot. Changes no value. Anyone.
    function roll(uint32 shard, uint32 roster, address operatorOrZero, uint64 epoch, uint256 maxSteps) external;
    /// @notice Cumulative intake fee per ticket of the roster, and the part that the operator did not sign. What a division by the signed tickets
    /// leaves is kept until Rewards takes it.
    function intakePerTicket(uint32 shard, uint32 roster, address operator)
        external
        view
        returns (uint256 all, uint256 excluded);
    /// @notice Rewards alone: takes what divisions of the roster's intake fees by the signed tickets left so far; it fills the repair fund.
    function takeIntakeRest(uint32 shard, uint32 roster) external returns (uint256 amount);
}
