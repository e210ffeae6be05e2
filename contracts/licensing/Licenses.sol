// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IERC721Metadata} from "@openzeppelin/contracts/token/ERC721/extensions/IERC721Metadata.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAssets} from "../interfaces/IAssets.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IERC5192} from "../interfaces/IERC5192.sol";
import {ILicenses} from "../interfaces/ILicenses.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {Purposes} from "../libraries/Purposes.sol";
import {Terms} from "../libraries/Terms.sol";
import {LicenseRecord, OfferTerms} from "../types/Types.sol";

/// @title Licenses
/// @notice Who may use which asset for what, until when, and what of the price is earned. Bound for life to one Assets and one
/// Payments: an asset's number means nothing in another Assets, and escrow lies where it was put.
///
/// Invariants, for each license:
/// - I-L1  Payments.balanceOf(token, moduleAccount(this, id)) = price − paidOn − refunded
/// - I-L2  paidOn ≤ earned ≤ price − refunded; earned never falls; after end or revocation nothing is earned any more
/// - I-L3  asset, licensee, purposes, start, end, uses, token, price never change; the sole way to end it early is `revoke`
/// - I-L4  isLicensedAt(l, a, p, t) = there is a license of l and a whose purposes hold p, in force at t
contract Licenses is ILicenses, IERC5192, ERC721, EIP712, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using Terms for Terms.State;

    /// Terms as published, never changed: a license refers to them.
    struct Offer {
        address token;
        uint64 assetId;
        uint32 purposes;
        // ---
        uint128 price;
        uint64 duration;
        uint32 uses;
        uint16 earnedAtReleaseBps;
        bool withdrawn;
        // ---
        address publisher;
        // the asset's handovers at publication
        uint64 handovers;
        // ---
        bytes32 textHash;
    }

    /// What a sale writes: one slot. 2^32 offers and 2^24 licenses per (licensee, asset, purposes) are beyond what a chain can take
    /// in or a licensee pay; the cast fails beyond.
    struct Sale {
        address licensee;
        uint32 offerId;
        uint40 start;
        // which of the licensee's terms for (asset, purposes) it is
        uint24 term;
    }

    /// What comes later: written when it happens.
    struct Progress {
        uint64 releasedAt;
        uint64 revokedAt;
        // ---
        uint128 paidOn;
        uint128 refunded;
    }

    /// Longest license. Keeps every time in range; a longer one is bought again.
    uint256 public constant MAX_DURATION_SECONDS = 100 * 365 days;

    uint256 private constant BPS = 10_000;

    bytes32 private constant KEY_REQUEST_TYPEHASH =
        keccak256("KeyRequest(uint256 licenseId,address keyHolder,bytes32 recipientKey,uint256 deadline)");

    IDirectory private immutable DIRECTORY;
    IAssets public immutable ASSETS;
    IPayments public immutable PAYMENTS;

    /// @inheritdoc ILicenses
    uint256 public offerCount;
    /// @inheritdoc ILicenses
    uint256 public licenseCount;

    mapping(uint256 offerId => Offer) private _offers;
    mapping(uint256 licenseId => Sale) private _sales;
    mapping(uint256 licenseId => Progress) private _progress;

    /// Bit m: the licensee has bought licenses of the asset with exactly the purposes m.
    mapping(address licensee => mapping(uint256 assetId => uint256 sets)) private _boughtSets;
    mapping(address licensee => mapping(uint256 assetId => mapping(uint256 purposes => Terms.State))) private _terms;

    constructor(IDirectory directory, IAssets assets, IPayments payments)
        ERC721("Qanat Licenses", "QLICENSE")
        EIP712("Qanat Licenses", "1")
    {
        DIRECTORY = directory;
        ASSETS = assets;
        PAYMENTS = payments;
    }

    // ─── Offers ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function publishOffer(OfferTerms calldata terms) external returns (uint256 offerId) {
        (address owner, uint64 handovers) = ASSETS.tenureOf(terms.assetId);
        if (msg.sender != owner) revert NotAssetOwner(terms.assetId, msg.sender, owner);
        _checkTerms(terms);

        offerId = ++offerCount;
        _offers[offerId] = Offer({
            token: terms.token,
            assetId: terms.assetId.toUint64(),
            purposes: terms.purposes,
            price: uint128(terms.price),
            duration: terms.duration,
            uses: terms.uses,
            earnedAtReleaseBps: terms.earnedAtReleaseBps,
            withdrawn: false,
            publisher: owner,
            handovers: handovers,
            textHash: terms.textHash
        });
        emit OfferPublished(offerId, terms.assetId, terms);
    }

    /// @inheritdoc ILicenses
    function withdrawOffer(uint256 offerId) external {
        Offer storage published = _offerOf(offerId);
        if (msg.sender != published.publisher) revert NotOfferPublisher(offerId, msg.sender, published.publisher);
        if (published.withdrawn) revert OfferIsWithdrawn(offerId);

        published.withdrawn = true;
        emit OfferWithdrawn(offerId);
    }

    // ─── Sale ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function buy(uint256 offerId, bytes32 termsHash, uint256 maxPrice)
        external
        nonReentrant
        returns (uint256 licenseId)
    {
        OfferTerms memory terms = _checkOffer(offerId, termsHash, maxPrice);

        licenseId = ++licenseCount;
        uint256 end = block.timestamp + terms.duration;
        _boughtSets[msg.sender][terms.assetId] |= 1 << terms.purposes;
        uint256 term = _terms[msg.sender][terms.assetId][terms.purposes].add(block.timestamp, end);
        _sales[licenseId] = Sale({
            licensee: msg.sender, offerId: offerId.toUint32(), start: block.timestamp.toUint40(), term: term.toUint24()
        });
        _increaseBalance(msg.sender, 1);

        emit Transfer(address(0), msg.sender, licenseId);
        emit Locked(licenseId);
        emit LicenseSold(
            licenseId, offerId, terms.assetId, msg.sender, uint64(block.timestamp), uint64(end), terms.price
        );

        PAYMENTS.collect(terms.token, msg.sender, bytes32(licenseId), terms.price);
    }

    // ─── Release, earnings, ends ──────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function recordRelease(
        uint256 licenseId,
        address keyHolder,
        bytes32 recipientKey,
        uint256 deadline,
        bytes calldata signature
    ) external nonReentrant {
        LicenseRecord memory record = license(licenseId);
        if (!_isRunning(record)) revert LicenseNotActive(licenseId);
        if (block.timestamp > deadline) revert RequestExpired(deadline, block.timestamp);
        _checkKeyHolder(keyHolder);

        bytes32 digest = keyRequestDigest(licenseId, keyHolder, recipientKey, deadline);
        if (!SignatureChecker.isValidSignatureNow(record.licensee, digest, signature)) {
            revert RequestInvalid(licenseId, record.licensee);
        }
        if (record.releasedAt != 0) return;

        _progress[licenseId].releasedAt = uint64(block.timestamp);
        emit KeyReleased(licenseId, keyHolder, recipientKey);
    }

    /// @inheritdoc ILicenses
    function payOn(uint256 licenseId) external nonReentrant returns (uint256 amount) {
        LicenseRecord memory record = license(licenseId);
        amount = _earned(record) - record.paidOn;
        if (amount == 0) revert NothingEarned(licenseId);
        (address owner,) = ASSETS.tenureOf(record.assetId);

        _progress[licenseId].paidOn = uint128(record.paidOn + amount);
        emit EarningsPaidOn(licenseId, owner, amount);

        PAYMENTS.move(record.token, bytes32(licenseId), PAYMENTS.personAccount(owner), amount);
    }

    /// @inheritdoc ILicenses
    function revoke(uint256 licenseId, bytes32 causeHash) external nonReentrant returns (uint256 refund) {
        LicenseRecord memory record = license(licenseId);
        (address owner,) = ASSETS.tenureOf(record.assetId);
        if (msg.sender != owner) revert NotAssetOwner(record.assetId, msg.sender, owner);
        if (record.revokedAt != 0) revert AlreadyRevoked(licenseId);
        if (!_isRunning(record)) revert LicenseNotActive(licenseId);

        refund = record.price - _earned(record);
        _progress[licenseId].revokedAt = uint64(block.timestamp);
        _terms[record.licensee][record.assetId][record.purposes].shorten(_sales[licenseId].term, block.timestamp);
        emit LicenseRevoked(licenseId, causeHash, refund);

        if (refund != 0) _refund(licenseId, record, refund);
    }

    /// @inheritdoc ILicenses
    function refundUnreleased(uint256 licenseId) external nonReentrant returns (uint256 amount) {
        LicenseRecord memory record = license(licenseId);
        bool isDue = block.timestamp >= record.end && record.releasedAt == 0 && record.revokedAt == 0;
        if (isDue && record.refunded == 0) amount = _releasePart(record);
        if (amount == 0) revert NothingToRefund(licenseId);

        emit LicenseRefunded(licenseId, amount);
        _refund(licenseId, record, amount);
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function isLicensed(address licensee, uint256 assetId, uint32 purpose) external view returns (bool) {
        return isLicensedAt(licensee, assetId, purpose, uint64(block.timestamp));
    }

    /// @inheritdoc ILicenses
    /// @dev At most 32 rounds: the sets that hold one given purpose, and of them only those that the licensee bought.
    function isLicensedAt(address licensee, uint256 assetId, uint32 purpose, uint64 time) public view returns (bool) {
        uint256 sets = _boughtSets[licensee][assetId] & Purposes.coveringSets(purpose);
        for (uint256 set; sets != 0; ++set) {
            if (sets & 1 != 0 && _terms[licensee][assetId][set].covers(time)) return true;
            sets >>= 1;
        }
        return false;
    }

    /// @inheritdoc ILicenses
    function isActiveAt(uint256 licenseId, uint32 purpose, uint64 time) external view returns (bool) {
        LicenseRecord memory record = license(licenseId);
        return Purposes.covers(record.purposes, purpose) && record.start <= time && time < _stop(record);
    }

    /// @inheritdoc ILicenses
    function offer(uint256 offerId) external view returns (OfferTerms memory terms, bool withdrawn) {
        Offer storage published = _offerOf(offerId);
        (, uint64 handovers) = ASSETS.tenureOf(published.assetId);
        return (_termsOf(published), published.withdrawn || published.handovers != handovers);
    }

    /// @inheritdoc ILicenses
    function license(uint256 licenseId) public view returns (LicenseRecord memory record) {
        Sale storage sale = _sales[licenseId];
        record.licensee = sale.licensee;
        if (record.licensee == address(0)) revert LicenseUnknown(licenseId);

        Offer storage published = _offers[sale.offerId];
        record.assetId = published.assetId;
        record.purposes = published.purposes;
        record.start = sale.start;
        record.end = sale.start + published.duration;
        record.uses = published.uses;
        record.earnedAtReleaseBps = published.earnedAtReleaseBps;
        record.token = published.token;
        record.price = published.price;

        Progress storage progress = _progress[licenseId];
        record.revokedAt = progress.revokedAt;
        record.releasedAt = progress.releasedAt;
        record.paidOn = progress.paidOn;
        record.refunded = progress.refunded;
    }

    /// @inheritdoc ILicenses
    function earned(uint256 licenseId) external view returns (uint256) {
        return _earned(license(licenseId));
    }

    /// @inheritdoc ILicenses
    function keyRequestDigest(uint256 licenseId, address keyHolder, bytes32 recipientKey, uint256 deadline)
        public
        view
        returns (bytes32)
    {
        return
            _hashTypedDataV4(keccak256(abi.encode(KEY_REQUEST_TYPEHASH, licenseId, keyHolder, recipientKey, deadline)));
    }

    // ─── Token ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc IERC5192
    function locked(uint256 licenseId) public view returns (bool) {
        if (_ownerOf(licenseId) == address(0)) revert LicenseUnknown(licenseId);
        return true;
    }

    /// @notice A license's page is its asset's.
    function tokenURI(uint256 licenseId) public view override returns (string memory) {
        return IERC721Metadata(address(ASSETS)).tokenURI(license(licenseId).assetId);
    }

    /// @inheritdoc ERC721
    function approve(address to, uint256 licenseId) public override {
        if (locked(licenseId)) revert NotTransferable(licenseId);
        super.approve(to, licenseId);
    }

    /// @inheritdoc ERC721
    /// @dev Both kinds of `safeTransferFrom` come here too.
    function transferFrom(address from, address to, uint256 licenseId) public override {
        if (locked(licenseId)) revert NotTransferable(licenseId);
        super.transferFrom(from, to, licenseId);
    }

    /// @inheritdoc ERC721
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == type(IERC5192).interfaceId || super.supportsInterface(interfaceId);
    }

    /// Licensees stand in the sales, so that a sale writes one slot less; `buy` does what minting would, and nothing else here
    /// writes owners: what moves a token is refused above, and nothing burns one.
    function _ownerOf(uint256 licenseId) internal view override returns (address) {
        return _sales[licenseId].licensee;
    }

    // ─── Internal ─────────────────────────────────────────────────────────────────────────────────────────────────

    function _checkTerms(OfferTerms calldata terms) private view {
        if (!Purposes.isValid(terms.purposes)) revert TermsInvalid("purposes", terms.purposes);
        if (terms.duration == 0 || terms.duration > MAX_DURATION_SECONDS) {
            revert TermsInvalid("duration", terms.duration);
        }
        if (terms.earnedAtReleaseBps > BPS) revert TermsInvalid("earnedAtReleaseBps", terms.earnedAtReleaseBps);
        if (terms.price > type(uint128).max) revert TermsInvalid("price", terms.price);
        if (terms.token.code.length == 0) revert TermsInvalid("token", uint160(terms.token));
    }

    function _checkOffer(uint256 offerId, bytes32 termsHash, uint256 maxPrice)
        private
        view
        returns (OfferTerms memory terms)
    {
        Offer storage published = _offerOf(offerId);
        if (published.withdrawn) revert OfferIsWithdrawn(offerId);
        (address owner, uint64 handovers) = ASSETS.tenureOf(published.assetId);
        if (published.handovers != handovers) revert OfferVoid(offerId, published.publisher, owner);

        terms = _termsOf(published);
        bytes32 expected = keccak256(abi.encode(terms));
        if (termsHash != expected) revert TermsChanged(termsHash, expected);
        if (terms.price > maxPrice) revert PriceAboveMaximum(terms.price, maxPrice);
    }

    /// The caller must be the key holder, or the key that its node answers with.
    function _checkKeyHolder(address keyHolder) private view {
        IOperators operators = IOperators(DIRECTORY.module(ModuleNames.OPERATORS));
        if (!operators.isRegistered(keyHolder)) revert KeyHolderUnknown(keyHolder);
        if (msg.sender != keyHolder && msg.sender != operators.responderOf(keyHolder)) {
            revert NotKeyHolder(keyHolder, msg.sender);
        }
    }

    /// Returns an amount of the escrow to the licensee.
    function _refund(uint256 licenseId, LicenseRecord memory record, uint256 amount) private {
        _progress[licenseId].refunded = uint128(record.refunded + amount);
        PAYMENTS.move(record.token, bytes32(licenseId), PAYMENTS.personAccount(record.licensee), amount);
    }

    function _offerOf(uint256 offerId) private view returns (Offer storage published) {
        published = _offers[offerId];
        if (published.publisher == address(0)) revert OfferUnknown(offerId);
    }

    function _termsOf(Offer storage published) private view returns (OfferTerms memory) {
        return OfferTerms({
            assetId: published.assetId,
            token: published.token,
            price: published.price,
            purposes: published.purposes,
            duration: published.duration,
            uses: published.uses,
            earnedAtReleaseBps: published.earnedAtReleaseBps,
            textHash: published.textHash
        });
    }

    /// Sold, not over, not revoked.
    function _isRunning(LicenseRecord memory record) private view returns (bool) {
        return block.timestamp < record.end && record.revokedAt == 0;
    }

    /// When it stopped, or will stop, being in force.
    function _stop(LicenseRecord memory record) private pure returns (uint64) {
        return record.revokedAt != 0 ? record.revokedAt : record.end;
    }

    function _releasePart(LicenseRecord memory record) private pure returns (uint256) {
        return record.price * record.earnedAtReleaseBps / BPS;
    }

    /// (released ? ⌊price·bps⌋ : 0) + ⌊rest · time in force / duration⌋; at the end the rest is earned to the unit.
    function _earned(LicenseRecord memory record) private view returns (uint256 amount) {
        uint256 stop = _stop(record);
        uint256 until = block.timestamp < stop ? block.timestamp : stop;
        uint256 forRelease = _releasePart(record);

        amount = (record.price - forRelease) * (until - record.start) / (record.end - record.start);
        if (record.releasedAt != 0) amount += forRelease;
    }
}
