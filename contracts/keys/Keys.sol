// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAssets} from "../interfaces/IAssets.sol";
import {ICertificateVerifier} from "../interfaces/ICertificateVerifier.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IKeyProofs} from "../interfaces/IKeyProofs.sol";
import {IKeys} from "../interfaces/IKeys.sol";
import {ILicenses} from "../interfaces/ILicenses.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {IRandomness} from "../interfaces/IRandomness.sol";
import {IRestaking} from "../interfaces/IRestaking.sol";
import {IShards} from "../interfaces/IShards.sol";
import {HolderBlob} from "../libraries/HolderBlob.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {Tags} from "../libraries/Tags.sol";
import {ForcedRelease, KeyFault, KeyReceipt, KeyRecord} from "../types/KeyTypes.sol";
import {LicenseRecord, RosterEntry, RosterHead, ShardParameters} from "../types/Types.sol";

/// @title Keys
/// @notice Holds: asset → key epochs; (asset, key epoch) → holders, threshold, commitments' root; forced releases. Holds no token: Payments does.
///
/// Typical flow: 1 the owner `request`s holders; 2 a later block's value `draw`s them; 3 they sign the dealing, off chain, and the owner `deal`s; 4 licensees ask holders
/// off chain; 5 who isn't answered `force`s; 6 holders `answer`; 7 the silent are reported, the rest is `settle`d.
///
/// Invariants:
/// - I-K1  a key in force has m distinct holders, each of which signed its dealing and can be slashed here until its roster's term is over
/// - I-K2  no two keys have the same Y₀
/// - I-K3  an answer that counts satisfies e(E, G₂) = e(R + P, Y) for the Y of its place
/// - I-K4  the balance of this contract's account in Payments = Σ fee · m over forced releases that are not settled
/// - I-K5  a release is settled once: paid + refunded = fee · m
/// - I-K6  for each shard, epoch of it, operator and kind of fault at most one slash
contract Keys is IKeys {
    using SafeCast for uint256;

    struct Epochs {
        uint32 newest;
        uint32 dealt;
    }

    /// Three slots.
    struct Key {
        // account whose code holds the holders (see HolderBlob); zero before the first draw
        address holders;
        uint32 shard;
        uint32 roster;
        uint8 places;
        uint8 redraws;
        uint16 steps;
        // ---
        uint48 seedBlock;
        uint48 drawnBlock;
        uint48 dealtBlock;
        uint32 endEpoch;
        uint8 threshold;
        uint64 handovers;
        // ---
        bytes32 root;
    }

    /// What a draw works on.
    struct Draft {
        uint256 assetId;
        uint32 epoch;
        bytes32 seed;
        uint256 steps;
        uint256 missing;
        // who has a place now, zero where it is empty; the seats of both; and who had one
        address[] operators;
        uint256[] seats;
        address[] former;
    }

    /// Most places of a key: bits of one word beside a request's periods.
    uint256 public constant MAX_PLACES = 64;
    /// Places that may be redrawn in one key epoch. Each gives who silences holders one draw more: the planner counts them.
    uint256 public constant MAX_REDRAWS = 4;

    uint256 private constant G1_BYTES = 96;
    uint256 private constant G2_BYTES = 192;
    uint256 private constant WRAPPED_BYTES = 48;

    /// Faults of holders lie above an epoch's own bits in what Restaking knows a slash by: no miss of Audits hides one, nor the other way round.
    uint256 private constant FAULT_SHIFT = 40;

    /// The one account here in Payments.
    bytes32 private constant ACCOUNT = "forced releases";

    IDirectory private immutable DIRECTORY;
    IAssets public immutable ASSETS;
    IPayments public immutable PAYMENTS;
    /// Whose licenses releases are for, for good: a later module would not know those that holders saw in force.
    ILicenses public immutable LICENSES;
    IKeyProofs public immutable PROOFS;
    /// @inheritdoc IKeys
    uint96 public immutable answerFee;

    mapping(uint256 assetId => Epochs) private _epochs;
    mapping(uint256 assetId => mapping(uint32 epoch => Key)) private _keys;
    /// keccak of Y₀ → whether a key has it.
    mapping(bytes32 secretHash => bool) private _used;
    mapping(bytes32 id => ForcedRelease) private _releases;

    constructor(
        IDirectory directory,
        IAssets assets,
        IPayments payments,
        ILicenses licenses,
        IKeyProofs proofs,
        uint96 answerFee_
    ) {
        DIRECTORY = directory;
        ASSETS = assets;
        PAYMENTS = payments;
        LICENSES = licenses;
        PROOFS = proofs;
        answerFee = answerFee_;
    }

    // ─── Holders ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IKeys
    function request(uint256 assetId, uint32 shard, uint256 places) external returns (uint32 epoch) {
        _checkOwner(assetId);
        if (places == 0 || places > MAX_PLACES) revert PlacesOutOfRange(places, MAX_PLACES);
        IShards shards = _shards();
        uint32 roster = shards.activeRoster(shard);
        if (roster == 0) revert NoRoster(shard);
        RosterHead memory head = shards.rosterHead(shard, roster);
        if (places > head.operators) revert PlacesOutOfRange(places, head.operators);

        epoch = ++_epochs[assetId].newest;
        uint256 seedBlock = block.number + shards.parametersOf(shard).finality;
        Key storage key = _keys[assetId][epoch];
        (key.shard, key.roster, key.places) = (shard, roster, uint8(places));
        (key.seedBlock, key.endEpoch) = (uint48(seedBlock), uint32(head.endEpoch));
        emit KeyRequested(assetId, epoch, shard, roster, places, seedBlock);
    }

    /// @inheritdoc IKeys
    function draw(uint256 assetId, uint32 epoch, bytes calldata randomnessProof, uint16[] calldata seats) external {
        Key storage key = _key(assetId, epoch);
        if (key.holders != address(0)) revert AlreadyDrawn(assetId, epoch);

        Draft memory draft;
        (draft.assetId, draft.epoch, draft.missing) = (assetId, epoch, key.places);
        draft.seed = _randomness().reveal(key.seedBlock, randomnessProof);
        (draft.operators, draft.seats) = (new address[](key.places), new uint256[](key.places));
        _fill(key, draft, seats);
    }

    /// @inheritdoc IKeys
    function redraw(uint256 assetId, uint32 epoch, uint256 silent, uint16[] calldata seats) external {
        _checkOwner(assetId);
        Key storage key = _drawn(assetId, epoch);
        if (key.dealtBlock != 0) revert AlreadyDealt(assetId, epoch);
        uint256 fromBlock = key.drawnBlock + _shards().parametersOf(key.shard).window + 1;
        if (block.number < fromBlock) revert RedrawTooEarly(fromBlock, block.number);

        Draft memory draft;
        (draft.assetId, draft.epoch, draft.steps) = (assetId, epoch, key.steps);
        draft.seed = _randomness().valueOf(key.seedBlock);
        (draft.operators, draft.seats) = HolderBlob.all(key.holders);
        (draft.former,) = HolderBlob.all(key.holders);
        for (uint256 place; place < draft.operators.length; ++place) {
            if (silent & (1 << place) == 0) continue;
            draft.operators[place] = address(0);
            ++draft.missing;
        }
        if (draft.missing == 0) revert NothingToRedraw(silent);
        uint256 redraws = key.redraws + draft.missing;
        if (redraws > MAX_REDRAWS) revert TooManyRedraws(redraws, MAX_REDRAWS);

        key.redraws = uint8(redraws);
        _fill(key, draft, seats);
    }

    /// Follows the draw until no place is empty, and writes the holders down.
    function _fill(Key storage key, Draft memory draft, uint16[] calldata seats) private {
        IShards shards = _shards();
        (uint32 shard, uint32 roster) = (key.shard, key.roster);
        IRestaking restaking = IRestaking(shards.restakingOf(shard));
        uint256 tickets = shards.rosterHead(shard, roster).tickets;
        for (uint256 i; i < seats.length && draft.missing != 0; ++i) {
            RosterEntry memory entry = shards.rosterEntry(shard, roster, seats[i]);
            uint256 ticket = uint256(_stepHash(draft)) % tickets;
            if (ticket < entry.firstTicket || ticket >= uint256(entry.firstTicket) + entry.tickets) {
                revert SeatWrong(draft.steps, ticket, seats[i]);
            }
            ++draft.steps;
            address operator = entry.operator;
            if (_isAmong(draft.operators, operator) || _isAmong(draft.former, operator)) continue;
            if (!restaking.accepted(operator, address(this))) continue;
            if (shards.vacatedAt(shard, roster, operator) != 0) continue;
            _place(draft, operator, seats[i]);
        }
        if (draft.missing != 0) revert DrawIncomplete(draft.missing);

        bytes memory sum = _verifier().aggregateKeys(shards.rosterKeys(shard, roster, draft.seats));
        bytes32 holdersHash = keccak256(abi.encode(Tags.KEY_HOLDERS, draft.operators));
        key.holders = HolderBlob.write(sum, holdersHash, draft.operators, draft.seats);
        key.steps = draft.steps.toUint16();
        key.drawnBlock = uint48(block.number);
        emit HoldersDrawn(draft.assetId, draft.epoch, draft.operators);
    }

    function _stepHash(Draft memory draft) private view returns (bytes32) {
        return keccak256(
            abi.encode(Tags.KEY_DRAW, block.chainid, address(this), draft.assetId, draft.epoch, draft.seed, draft.steps)
        );
    }

    /// Gives an operator the first place that is empty.
    function _place(Draft memory draft, address operator, uint256 seat) private pure {
        for (uint256 place; place < draft.operators.length; ++place) {
            if (draft.operators[place] != address(0)) continue;
            (draft.operators[place], draft.seats[place]) = (operator, seat);
            --draft.missing;
            return;
        }
    }

    function _isAmong(address[] memory list, address account) private pure returns (bool) {
        for (uint256 i; i < list.length; ++i) {
            if (list[i] == account) return true;
        }
        return false;
    }

    // ─── Dealing ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IKeys
    function deal(
        uint256 assetId,
        uint32 epoch,
        uint256 threshold,
        bytes32 root,
        bytes calldata published,
        bytes calldata signature
    ) external {
        Key storage key = _drawn(assetId, epoch);
        key.handovers = _checkOwner(assetId);
        bytes32 secretHash = _checkDealing(key, assetId, epoch, threshold, published);
        _checkSignatures(key, _digest(key, assetId, epoch, threshold, root, published), signature);

        _used[secretHash] = true;
        _epochs[assetId].dealt = epoch;
        (key.dealtBlock, key.threshold, key.root) = (uint48(block.number), uint8(threshold), root);
        emit KeyDealt(assetId, epoch, threshold, root, published);

        _bind(key, assetId, epoch);
    }

    /// What can be seen of a dealing without its signatures. Returns the hash of Y₀.
    function _checkDealing(Key storage key, uint256 assetId, uint32 epoch, uint256 threshold, bytes calldata published)
        private
        view
        returns (bytes32 secretHash)
    {
        if (key.dealtBlock != 0) revert AlreadyDealt(assetId, epoch);
        uint32 current = _epochs[assetId].dealt;
        if (epoch < current) revert EpochPassed(epoch, current);
        uint256 places = key.places;
        if (threshold == 0 || threshold > places) revert ThresholdInvalid(threshold, places);
        uint256 expected = G2_BYTES + places * G1_BYTES + WRAPPED_BYTES;
        if (published.length != expected) revert PublishedLengthWrong(published.length, expected);
        secretHash = keccak256(published[:G2_BYTES]);
        if (_used[secretHash]) revert SecretUsed(secretHash);
    }

    /// The holders' stake stays bound as that of a roster with objects until its term is over. Refuses a roster whose term is.
    function _bind(Key storage key, uint256 assetId, uint32 epoch) private {
        IShards shards = _shards();
        _checkTerm(shards, key, assetId, epoch);
        // one that was replaced may have let its operators go
        uint32 active = shards.activeRoster(key.shard);
        if (active != key.roster) revert RosterReplaced(key.roster, active);
        shards.recordObject(key.shard, key.roster, key.endEpoch);
    }

    function _checkSignatures(Key storage key, bytes32 digest, bytes calldata signature) private view {
        if (!_verifier().verifyCertificate(digest, HolderBlob.keySum(key.holders), "", signature)) {
            revert DealingSignatureInvalid(digest);
        }
    }

    function _digest(
        Key storage key,
        uint256 assetId,
        uint32 epoch,
        uint256 threshold,
        bytes32 root,
        bytes calldata published
    ) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                Tags.KEY_DEALING,
                block.chainid,
                address(this),
                assetId,
                epoch,
                HolderBlob.holdersHash(key.holders),
                threshold,
                root,
                keccak256(published)
            )
        );
    }

    // ─── Forced releases ──────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IKeys
    function force(
        uint256 assetId,
        uint32 epoch,
        uint256 licenseId,
        bytes calldata point,
        uint256 challenge,
        uint256 response
    ) external returns (bytes32 id) {
        Key storage key = _dealt(assetId, epoch);
        _checkLicense(assetId, licenseId);
        _checkTerm(_shards(), key, assetId, epoch);
        id = releaseId(assetId, epoch, licenseId, keccak256(point));
        ForcedRelease storage release = _releases[id];
        if (release.licensee != address(0)) revert AlreadyForced(id);
        bytes32 bound = keccak256(abi.encode(Tags.KEY_REQUEST, block.chainid, address(this), msg.sender));
        if (!PROOFS.provesPossession(bound, point, challenge, response)) revert PossessionInvalid(msg.sender);

        release.blindedHash = keccak256(PROOFS.blind(_baseDigest(assetId, epoch), point));
        address token = _begin(release, key.shard);
        emit ReleaseForced(id, assetId, licenseId, epoch, msg.sender, point, release.deadline);

        PAYMENTS.collect(token, msg.sender, ACCOUNT, uint256(answerFee) * key.places);
    }

    /// Sets a release's periods, which are those of the shard's challenges, and its price. Returns the token it is paid in.
    function _begin(ForcedRelease storage release, uint32 shard) private returns (address token) {
        ShardParameters memory parameters = _shards().parametersOf(shard);
        uint256 deadline = block.number + parameters.window;
        (release.licensee, release.fee) = (msg.sender, answerFee);
        release.deadline = deadline.toUint48();
        release.reportLimit = (deadline + parameters.reporting).toUint48();
        return parameters.paymentToken;
    }

    /// @inheritdoc IKeys
    function answer(
        uint256 assetId,
        uint32 epoch,
        uint256 licenseId,
        bytes32 pointHash,
        uint256 place,
        bytes calldata witness
    ) external {
        bytes32 id = releaseId(assetId, epoch, licenseId, pointHash);
        ForcedRelease storage release = _forced(id);
        if (block.number > release.deadline) revert AnswerTooLate(release.deadline, block.number);
        Key storage key = _keys[assetId][epoch];
        _checkPlace(key, place);
        if (release.answered & (1 << place) != 0) revert AlreadyAnswered(id, place);
        _checkLength(witness, 2 * G1_BYTES + G2_BYTES, key.places);
        bytes32 blindedHash = keccak256(witness[:G1_BYTES]);
        if (blindedHash != release.blindedHash) revert BlindedWrong(blindedHash, release.blindedHash);
        _checkCommitment(key, place, witness[2 * G1_BYTES:]);
        if (!_isRight(witness)) revert AnswerWrong(place);

        release.answered |= uint64(1 << place);
        emit ReleaseAnswered(id, place, witness[G1_BYTES:2 * G1_BYTES]);
    }

    /// @inheritdoc IKeys
    function reportSilent(uint256 assetId, uint32 epoch, uint256 licenseId, bytes32 pointHash, uint256 place)
        external
        returns (bytes32 slashId)
    {
        bytes32 id = releaseId(assetId, epoch, licenseId, pointHash);
        ForcedRelease storage release = _forced(id);
        (uint256 deadline, uint256 limit) = (release.deadline, release.reportLimit);
        if (block.number <= deadline) revert ReportTooEarly(deadline, block.number);
        if (block.number > limit) revert ReportTooLate(limit, block.number);
        Key storage key = _keys[assetId][epoch];
        _checkPlace(key, place);
        uint64 bit = uint64(1 << place);
        if (release.answered & bit != 0) revert AlreadyAnswered(id, place);
        if (release.reported & bit != 0) revert AlreadyReported(id, place);

        release.reported |= bit;
        return _slash(key, assetId, epoch, place, KeyFault.Silent, deadline);
    }

    /// @inheritdoc IKeys
    function settle(uint256 assetId, uint32 epoch, uint256 licenseId, bytes32 pointHash) external {
        bytes32 id = releaseId(assetId, epoch, licenseId, pointHash);
        ForcedRelease memory release = _forced(id);
        if (release.settled) revert AlreadySettled(id);
        Key storage key = _keys[assetId][epoch];
        uint256 places = key.places;
        if (block.number <= release.deadline && release.answered != (1 << places) - 1) {
            revert SettleTooEarly(release.deadline, block.number);
        }

        _releases[id].settled = true;
        (address[] memory operators,) = HolderBlob.all(key.holders);
        address token = _shards().parametersOf(key.shard).paymentToken;
        uint256 paid;
        for (uint256 place; place < places; ++place) {
            if (release.answered & (1 << place) == 0) continue;
            paid += release.fee;
            PAYMENTS.move(token, ACCOUNT, PAYMENTS.personAccount(operators[place]), release.fee);
        }
        uint256 refunded = release.fee * places - paid;
        emit ReleaseSettled(id, paid, refunded);
        if (refunded != 0) PAYMENTS.move(token, ACCOUNT, PAYMENTS.personAccount(release.licensee), refunded);
    }

    // ─── Receipts ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IKeys
    function reportWrong(KeyReceipt calldata receipt, bytes calldata signature, bytes calldata witness)
        external
        returns (bytes32 slashId)
    {
        Key storage key = _checkReceipt(receipt, signature);
        _checkLength(witness, G2_BYTES, key.places);
        _checkCommitment(key, receipt.place, witness);
        bytes memory blinded = PROOFS.blind(_baseDigest(receipt.assetId, receipt.epoch), receipt.point);
        if (PROOFS.isRight(blinded, receipt.answer, witness[:G2_BYTES])) revert AnswerRight(receipt.place);

        return _slashFor(key, receipt, KeyFault.Wrong);
    }

    /// @inheritdoc IKeys
    function reportUnlicensed(
        KeyReceipt calldata receipt,
        bytes calldata signature,
        bytes calldata firstHeader,
        bytes calldata lastHeader
    ) external returns (bytes32 slashId) {
        Key storage key = _checkReceipt(receipt, signature);
        uint256 last = receipt.blockNumber;
        uint256 first = last - Math.min(last, _shards().parametersOf(key.shard).finality);
        _checkUnlicensed(receipt, PROOFS.timeOf(firstHeader, first), PROOFS.timeOf(lastHeader, last));

        return _slashFor(key, receipt, KeyFault.Unlicensed);
    }

    function _checkReceipt(KeyReceipt calldata receipt, bytes calldata signature)
        private
        view
        returns (Key storage key)
    {
        key = _dealt(receipt.assetId, receipt.epoch);
        _checkPlace(key, receipt.place);
        _checkInTime(key, receipt.blockNumber);
        (address operator, uint256 seat) = HolderBlob.at(key.holders, receipt.place);
        uint256[] memory seats = new uint256[](1);
        seats[0] = seat;
        // The key that the roster counts: whoever holds a share can't replace it.
        bytes memory blsKey = _shards().rosterKeys(key.shard, key.roster, seats);
        if (!_verifier().verifyCertificate(receiptDigest(receipt), blsKey, "", signature)) {
            revert ReceiptSignatureInvalid(operator);
        }
    }

    /// A license that was never sold, or is another asset's, is none. One that is somebody else's now may have been the licensee's then: no proof.
    function _checkUnlicensed(KeyReceipt calldata receipt, uint256 from, uint256 until) private view {
        uint256 licenseId = receipt.licenseId;
        try LICENSES.license(licenseId) returns (LicenseRecord memory record) {
            if (record.assetId != receipt.assetId) return;
            uint256 stop = record.revokedAt != 0 && record.revokedAt < record.end ? record.revokedAt : record.end;
            // Blocks may share a second: in the one in which it ended, the license may still have been seen in force.
            bool wasInForce = record.start <= until && from <= stop;
            if (wasInForce || record.licensee != receipt.licensee) revert WasLicensed(licenseId, from, until);
        } catch (bytes memory reason) {
            if (bytes4(reason) != ILicenses.LicenseUnknown.selector) revert WasLicensed(licenseId, from, until);
        }
    }

    // ─── Slashes ──────────────────────────────────────────────────────────────────────────────────────────────────

    function _slashFor(Key storage key, KeyReceipt calldata receipt, KeyFault fault) private returns (bytes32) {
        return _slash(key, receipt.assetId, receipt.epoch, receipt.place, fault, receipt.blockNumber);
    }

    /// As long as the silence to a release forced in that block: who delegates later pays for no fault of before.
    function _checkInTime(Key storage key, uint256 blockNumber) private view {
        if (blockNumber > block.number) revert ReportTooEarly(blockNumber, block.number);
        ShardParameters memory parameters = _shards().parametersOf(key.shard);
        uint256 limit = blockNumber + parameters.window + parameters.reporting;
        if (block.number > limit) revert ReportTooLate(limit, block.number);
    }

    /// What a missed ticket costs, for each of the operator's tickets in the key's roster. `since`: the block of the fault. It names the slash, so that nothing
    /// is slashed again in a later epoch; a place that fell vacant after it answers for it still.
    function _slash(Key storage key, uint256 assetId, uint32 epoch, uint256 place, KeyFault fault, uint256 since)
        private
        returns (bytes32 slashId)
    {
        (address operator,) = HolderBlob.at(key.holders, place);
        IShards shards = _shards();
        (uint32 shard, uint32 roster) = (key.shard, key.roster);
        uint256 vacated = shards.vacatedAt(shard, roster, operator);
        if (vacated != 0 && vacated <= since) revert PlaceVacant(operator, vacated);

        uint256 kind = uint256(fault) + 1;
        uint64 numbered = uint64(kind << FAULT_SHIFT) | shards.epochAt(shard, since);
        slashId = IRestaking(shards.restakingOf(shard)).queueSlash(shard, roster, operator, numbered, msg.sender);
        emit HolderReported(assetId, epoch, operator, fault, slashId);
    }

    // ─── Checks ───────────────────────────────────────────────────────────────────────────────────────────────────

    function _checkOwner(uint256 assetId) private view returns (uint64 handovers) {
        address owner;
        (owner, handovers) = ASSETS.tenureOf(assetId);
        if (msg.sender != owner) revert NotAssetOwner(assetId, msg.sender, owner);
    }

    /// The caller's, of this asset, in force; and what is earned at the first release must have been.
    function _checkLicense(uint256 assetId, uint256 licenseId) private view {
        LicenseRecord memory record = LICENSES.license(licenseId);
        if (msg.sender != record.licensee) revert NotLicensee(licenseId, msg.sender, record.licensee);
        bool isInForce = record.assetId == assetId && record.revokedAt == 0 && record.start <= block.timestamp
            && block.timestamp < record.end;
        if (!isInForce) revert LicenseNotInForce(licenseId);
        if (record.releasedAt == 0 && record.earnedAtReleaseBps != 0) revert ReleaseNotRecorded(licenseId);
    }

    /// Whether the answer of a witness (R + P ‖ E ‖ Y ‖ …) is right.
    function _isRight(bytes calldata witness) private view returns (bool) {
        return PROOFS.isRight(
            witness[:G1_BYTES], witness[G1_BYTES:2 * G1_BYTES], witness[2 * G1_BYTES:2 * G1_BYTES + G2_BYTES]
        );
    }

    /// What R is the hash of.
    function _baseDigest(uint256 assetId, uint32 epoch) private view returns (bytes32) {
        return keccak256(abi.encode(Tags.KEY_BASE, block.chainid, address(this), assetId, epoch));
    }

    /// `witness` = Y ‖ siblings of its leaf, of the right length.
    function _checkCommitment(Key storage key, uint256 place, bytes calldata witness) private view {
        bytes32 node = keccak256(abi.encodePacked(uint8(0), uint64(place), witness[:G2_BYTES]));
        uint256 index = place;
        for (uint256 at = G2_BYTES; at < witness.length; at += 32) {
            bytes32 sibling = bytes32(witness[at:at + 32]);
            node = index & 1 == 0
                ? keccak256(abi.encodePacked(uint8(1), node, sibling))
                : keccak256(abi.encodePacked(uint8(1), sibling, node));
            index >>= 1;
        }
        if (node != key.root) revert CommitmentWrong(place);
    }

    function _checkLength(bytes calldata witness, uint256 points, uint256 places) private pure {
        uint256 depth = places == 1 ? 0 : Math.log2(places - 1) + 1;
        if (witness.length != points + 32 * depth) revert WitnessLengthWrong(witness.length, points + 32 * depth);
    }

    /// An epoch before the roster's last one ends: what is forced until then can be reported while the holders' stake is bound.
    function _checkTerm(IShards shards, Key storage key, uint256 assetId, uint32 epoch) private view {
        if (shards.epochAt(key.shard, block.number) + 1 >= key.endEpoch) revert KeyEnded(assetId, epoch);
    }

    function _checkPlace(Key storage key, uint256 place) private view {
        if (place >= key.places) revert PlaceUnknown(place, key.places);
    }

    function _key(uint256 assetId, uint32 epoch) private view returns (Key storage key) {
        key = _keys[assetId][epoch];
        if (key.seedBlock == 0) revert KeyUnknown(assetId, epoch);
    }

    function _drawn(uint256 assetId, uint32 epoch) private view returns (Key storage key) {
        key = _key(assetId, epoch);
        if (key.holders == address(0)) revert NotDrawn(assetId, epoch);
    }

    function _dealt(uint256 assetId, uint32 epoch) private view returns (Key storage key) {
        key = _key(assetId, epoch);
        if (key.dealtBlock == 0) revert NotDealt(assetId, epoch);
    }

    function _forced(bytes32 id) private view returns (ForcedRelease storage release) {
        release = _releases[id];
        if (release.licensee == address(0)) revert ReleaseUnknown(id);
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IKeys
    function keyOf(uint256 assetId, uint32 epoch) external view returns (KeyRecord memory) {
        Key storage key = _key(assetId, epoch);
        return KeyRecord({
            shard: key.shard,
            roster: key.roster,
            places: key.places,
            threshold: key.threshold,
            redraws: key.redraws,
            steps: key.steps,
            seedBlock: key.seedBlock,
            drawnBlock: key.drawnBlock,
            dealtBlock: key.dealtBlock,
            endEpoch: key.endEpoch,
            handovers: key.handovers,
            root: key.root
        });
    }

    /// @inheritdoc IKeys
    function holdersOf(uint256 assetId, uint32 epoch) external view returns (address[] memory operators) {
        Key storage key = _key(assetId, epoch);
        if (key.holders != address(0)) (operators,) = HolderBlob.all(key.holders);
    }

    /// @inheritdoc IKeys
    function epochsOf(uint256 assetId) external view returns (uint32 newest, uint32 dealt, bool isStale) {
        (newest, dealt) = (_epochs[assetId].newest, _epochs[assetId].dealt);
        if (dealt == 0) return (newest, dealt, false);
        (, uint64 handovers) = ASSETS.tenureOf(assetId);
        isStale = handovers != _keys[assetId][dealt].handovers;
    }

    /// @inheritdoc IKeys
    function releaseOf(bytes32 id) external view returns (ForcedRelease memory) {
        return _forced(id);
    }

    /// @inheritdoc IKeys
    function releaseId(uint256 assetId, uint32 epoch, uint256 licenseId, bytes32 pointHash)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(assetId, epoch, licenseId, pointHash));
    }

    /// @inheritdoc IKeys
    function dealingDigest(uint256 assetId, uint32 epoch, uint256 threshold, bytes32 root, bytes calldata published)
        external
        view
        returns (bytes32)
    {
        return _digest(_drawn(assetId, epoch), assetId, epoch, threshold, root, published);
    }

    /// @inheritdoc IKeys
    function receiptDigest(KeyReceipt calldata receipt) public view returns (bytes32) {
        return keccak256(
            abi.encode(
                Tags.KEY_RECEIPT,
                block.chainid,
                address(this),
                receipt.assetId,
                receipt.epoch,
                receipt.place,
                receipt.licenseId,
                receipt.licensee,
                receipt.blockNumber,
                keccak256(receipt.point),
                keccak256(receipt.answer)
            )
        );
    }

    function _shards() private view returns (IShards) {
        return IShards(DIRECTORY.module(ModuleNames.SHARDS));
    }

    function _verifier() private view returns (ICertificateVerifier) {
        return ICertificateVerifier(DIRECTORY.module(ModuleNames.CERTIFICATE_VERIFIER));
    }

    function _randomness() private view returns (IRandomness) {
        return IRandomness(DIRECTORY.module(ModuleNames.RANDOMNESS));
    }
}
