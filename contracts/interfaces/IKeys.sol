// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ForcedRelease, KeyFault, KeyReceipt, KeyRecord} from "../types/KeyTypes.sol";

/// @title Keys: who holds the shares of an asset's key, and what becomes of holders that do not release it
/// @notice The key of an asset in a key epoch is HKDF([s]R), R = hash to G1 of (chain, this contract, asset, key epoch). A polynomial f of degree below t
/// has f(0) = s; the holder in place i − 1 has sᵢ = f(i). Public are Yᵢ = [sᵢ]G₂ (Y₀ = [s]G₂) and Y′ᵢ = [sᵢ]G₁.
///
/// To a licensee with P = [x]G₁ holder i answers Eᵢ = [sᵢ](R + P), off chain; anyone, this contract too, checks e(Eᵢ, G₂) = e(R + P, Yᵢ). A licensee that isn't
/// answered forces the release here.
///
/// Forms: points raw, 96 bytes of G1 and 192 of G2. Hashes are keccak256 of abi.encode, a tag of `Tags` first:
/// - R: hash_to_G1(keccak(KEY_BASE, chain id, this, asset, epoch)), domain tag `QANAT_KEY_BASE_BLS12381G1_XMD:SHA-256_SSWU_RO_`
/// - holders: keccak(KEY_HOLDERS, address[]); step j of a draw: keccak(KEY_DRAW, chain id, this, asset, epoch, seed, j) mod T is the ticket drawn
/// - dealing, signed by every holder with its roster's BLS key: keccak(KEY_DEALING, chain id, this, asset, epoch, holders, t, root, keccak(published))
/// - possession of P: with b = keccak(KEY_REQUEST, chain id, this, licensee), c = keccak(b ‖ P ‖ [z]G₁ − [c]P), points padded as in EIP-2537
/// - receipt, signed with the roster's BLS key: keccak(KEY_RECEIPT, chain id, this, asset, epoch, place, license, licensee, block, keccak(P), keccak(E))
///
/// Safety assumptions: of the m holders fewer than t are hostile; the holders check, before they sign a dealing, what no chain can check cheaply (points in their
/// subgroups, one polynomial of degree below t, G1 and G2 alike, a dealer that knows s, their own share). Liveness: t of them answer, or lose what a missed ticket
/// costs. Not claimed: that t holders who collude are caught.
interface IKeys {
    event KeyRequested(
        uint256 indexed assetId, uint32 indexed epoch, uint32 shard, uint32 roster, uint256 places, uint256 seedBlock
    );
    /// @notice All holders in the order of their places, after a draw or a redraw.
    event HoldersDrawn(uint256 indexed assetId, uint32 indexed epoch, address[] holders);
    /// @notice `published`: Y₀, Y′₁ … Y′ₘ, the wrapped data key.
    event KeyDealt(uint256 indexed assetId, uint32 indexed epoch, uint256 threshold, bytes32 root, bytes published);
    event ReleaseForced(
        bytes32 indexed id,
        uint256 indexed assetId,
        uint256 indexed licenseId,
        uint32 epoch,
        address licensee,
        bytes point,
        uint256 deadline
    );
    event ReleaseAnswered(bytes32 indexed id, uint256 place, bytes answer);
    event ReleaseSettled(bytes32 indexed id, uint256 paid, uint256 refunded);
    event HolderReported(
        uint256 indexed assetId, uint32 indexed epoch, address indexed operator, KeyFault fault, bytes32 slashId
    );

    error NotAssetOwner(uint256 assetId, address caller, address owner);
    error PlacesOutOfRange(uint256 places, uint256 limit);
    error NoRoster(uint32 shard);
    error KeyUnknown(uint256 assetId, uint32 epoch);
    error AlreadyDrawn(uint256 assetId, uint32 epoch);
    error NotDrawn(uint256 assetId, uint32 epoch);
    /// @notice The seat doesn't have the ticket that the step draws.
    error SeatWrong(uint256 step, uint256 ticket, uint256 seat);
    /// @notice So many places are still empty after the steps given.
    error DrawIncomplete(uint256 missing);
    error RedrawTooEarly(uint256 fromBlock, uint256 blockNumber);
    error TooManyRedraws(uint256 redraws, uint256 limit);
    error NothingToRedraw(uint256 silent);
    error AlreadyDealt(uint256 assetId, uint32 epoch);
    error NotDealt(uint256 assetId, uint32 epoch);
    /// @notice A newer key was dealt.
    error EpochPassed(uint32 epoch, uint32 current);
    /// @notice The roster's term is over: nobody has a duty any more.
    error KeyEnded(uint256 assetId, uint32 epoch);
    /// @notice Another roster is active by now: this one may bind nobody any more.
    error RosterReplaced(uint32 roster, uint32 active);
    error ThresholdInvalid(uint256 threshold, uint256 places);
    error PublishedLengthWrong(uint256 got, uint256 expected);
    /// @notice Y₀ is another key's.
    error SecretUsed(bytes32 secretHash);
    error DealingSignatureInvalid(bytes32 digest);
    error NotLicensee(uint256 licenseId, address caller, address licensee);
    error LicenseNotInForce(uint256 licenseId);
    /// @notice A part of the license's price is earned at the first release, which is not recorded yet (ILicenses.recordRelease).
    error ReleaseNotRecorded(uint256 licenseId);
    error PossessionInvalid(address licensee);
    error AlreadyForced(bytes32 id);
    error ReleaseUnknown(bytes32 id);
    error AnswerTooLate(uint256 deadline, uint256 blockNumber);
    error AlreadyAnswered(bytes32 id, uint256 place);
    error PlaceUnknown(uint256 place, uint256 places);
    error WitnessLengthWrong(uint256 got, uint256 expected);
    /// @notice Another R + P than the request's.
    error BlindedWrong(bytes32 got, bytes32 expected);
    /// @notice Yᵢ is not the one that the root has in this place.
    error CommitmentWrong(uint256 place);
    error AnswerWrong(uint256 place);
    /// @notice Of a receipt: its block is still to come.
    error ReportTooEarly(uint256 deadline, uint256 blockNumber);
    error ReportTooLate(uint256 limit, uint256 blockNumber);
    error AlreadyReported(bytes32 id, uint256 place);
    /// @notice The holder's place in its roster fell vacant before the fault: its duty had ended.
    error PlaceVacant(address operator, uint256 sinceBlock);
    error SettleTooEarly(uint256 deadline, uint256 blockNumber);
    error AlreadySettled(bytes32 id);
    error ReceiptSignatureInvalid(address operator);
    /// @notice The receipt's answer is right.
    error AnswerRight(uint256 place);
    /// @notice The license was in force somewhere in the span.
    error WasLicensed(uint256 licenseId, uint256 from, uint256 until);

    /// @notice Asks for holders of a new key of the asset, in its next key epoch. Asset's owner.
    /// They are drawn from the shard's active roster by the value of a block `finality` blocks later.
    function request(uint256 assetId, uint32 shard, uint256 places) external returns (uint32 epoch);
    /// @notice Draws the holders. Anyone. `seats`: for each step of the draw, the seat that has the ticket drawn; operators that have a place already, that did not
    /// accept this contract as slasher (IRestaking.acceptSlasher), or whose place is vacant, are passed over.
    function draw(uint256 assetId, uint32 epoch, bytes calldata randomnessProof, uint16[] calldata seats) external;
    /// @notice Replaces the holders in places whose bits are set in `silent`, by the next of the same draw, when a window has passed since the last draw and the key is not
    /// dealt. At most MAX_REDRAWS places in all. Asset's owner.
    function redraw(uint256 assetId, uint32 epoch, uint256 silent, uint16[] calldata seats) external;
    /// @notice Puts a key into force, with all its holders' signatures in one. Asset's owner. The roster must be the active one still.
    /// @param root of the Merkle tree over Y₁ … Yₘ: leaf keccak(0x00 ‖ uint64 place ‖ Y), node keccak(0x01 ‖ left ‖ right), zero leaves up to a power of two
    /// @param published Y₀ ‖ Y′₁ ‖ … ‖ Y′ₘ ‖ 48 bytes of wrapped data key
    function deal(
        uint256 assetId,
        uint32 epoch,
        uint256 threshold,
        bytes32 root,
        bytes calldata published,
        bytes calldata signature
    ) external;

    /// @notice Demands answers to P from all holders of a key, and prepays them. One for each license, key epoch and P. The license's holder, while it is in force.
    /// @param point P @param challenge, response c and z of the proof of possession
    function force(
        uint256 assetId,
        uint32 epoch,
        uint256 licenseId,
        bytes calldata point,
        uint256 challenge,
        uint256 response
    ) external returns (bytes32 id);
    /// @notice Answers for a holder. Anyone may bring it: it is checked. `witness`: R + P ‖ E ‖ Y ‖ siblings of Y's leaf.
    function answer(
        uint256 assetId,
        uint32 epoch,
        uint256 licenseId,
        bytes32 pointHash,
        uint256 place,
        bytes calldata witness
    ) external;
    /// @notice Reports a holder that did not answer in time. Anyone; the first one is the reporter. One slash for each operator and epoch of the shard.
    function reportSilent(uint256 assetId, uint32 epoch, uint256 licenseId, bytes32 pointHash, uint256 place)
        external
        returns (bytes32 slashId);
    /// @notice After the deadline, or when all have answered: pays those who answered, and the licensee back the rest. Anyone.
    function settle(uint256 assetId, uint32 epoch, uint256 licenseId, bytes32 pointHash) external;
    /// @notice Reports a holder that signed a wrong E. `witness`: Y ‖ siblings. Receipts prove faults of their block: one slash for each operator, epoch of that block and
    /// kind, until a window and the reporting period after it. Whoever takes a receipt looks that its block is new.
    function reportWrong(KeyReceipt calldata receipt, bytes calldata signature, bytes calldata witness)
        external
        returns (bytes32 slashId);
    /// @notice Reports a holder that signed a release to somebody whose license was not in force anywhere in [block − finality, block]. The two headers prove when
    /// these blocks were.
    function reportUnlicensed(
        KeyReceipt calldata receipt,
        bytes calldata signature,
        bytes calldata firstHeader,
        bytes calldata lastHeader
    ) external returns (bytes32 slashId);

    function keyOf(uint256 assetId, uint32 epoch) external view returns (KeyRecord memory);
    /// @notice In the order of their places; none before a draw.
    function holdersOf(uint256 assetId, uint32 epoch) external view returns (address[] memory);
    /// @notice The asset's newest key epoch asked for, and the newest dealt; 0: none. `isStale`: the asset changed hands since that was dealt.
    function epochsOf(uint256 assetId) external view returns (uint32 newest, uint32 dealt, bool isStale);
    function releaseOf(bytes32 id) external view returns (ForcedRelease memory);
    function releaseId(uint256 assetId, uint32 epoch, uint256 licenseId, bytes32 pointHash)
        external
        view
        returns (bytes32);
    /// @notice What every holder signs of a dealing.
    function dealingDigest(uint256 assetId, uint32 epoch, uint256 threshold, bytes32 root, bytes calldata published)
        external
        view
        returns (bytes32);
    /// @notice What a holder signs of a release.
    function receiptDigest(KeyReceipt calldata receipt) external view returns (bytes32);
    /// @notice For an answer, in units of the payment token of the key's shard.
    function answerFee() external view returns (uint96);
}
