// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
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
import {Reservations} from "../libraries/Reservations.sol";
import {Terms} from "../libraries/Terms.sol";
import {LicenseQuery, LicenseRecord, OfferTerms, Permit, SignedOffer} from "../types/Types.sol";

/// @title Licenses
/// @notice Who may use which asset for what, until when, and what of the price is earned. Bound for life to one Assets and one
/// Payments: an asset's number means nothing in another Assets, and escrow lies where it was put.
///
/// Invariants, for each license:
/// - I-L1  Payments.balanceOf(token, moduleAccount(this, id)) = price − paidOn − refunded
/// - I-L2  paidOn ≤ earned ≤ price − refunded; earned never falls; after end or revocation nothing is earned any more
/// - I-L3  asset, purposes, start, end, uses, token, price never change, nor does the licensee unless the offer made the license transferable; the sole way
///         to end it early is `revoke`
/// - I-L4  isLicensedAt(l, a, p, t) = there is a license of a whose purposes hold p, held by l and in force at t
/// - I-L5  of an offer with n seats at most n licenses are in force; I-V1 of Reservations: an exclusive one is alone
contract Licenses is ILicenses, IERC5192, ERC721, EIP712, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using Reservations for Reservations.State;
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
        uint8 flags;
        // ---
        address publisher;
        // the asset's handovers at publication
        uint64 handovers;
        uint32 seats;
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

    uint8 private constant WITHDRAWN = 1;
    uint8 private constant EXCLUSIVE = 2;
    uint8 private constant TRANSFERABLE = 4;

    /// In place of an offer's id: cancelled before it was bought.
    uint256 private constant CANCELLED = type(uint256).max;

    bytes32 private constant KEY_REQUEST_TYPEHASH =
        keccak256("KeyRequest(uint256 licenseId,address keyHolder,bytes32 recipientKey,uint256 deadline)");

    bytes32 private constant OFFER_TERMS_TYPEHASH = keccak256(
        "OfferTerms(uint256 assetId,address token,uint256 price,uint32 purposes,uint64 duration,uint32 uses,uint16 earnedAtReleaseBps,bytes32 textHash,uint32 seats,bool exclusive,bool transferable)"
    );
    bytes32 private constant SIGNED_OFFER_TYPEHASH = keccak256(
        "SignedOffer(OfferTerms terms,uint64 handovers,uint256 salt,uint64 validUntil)OfferTerms(uint256 assetId,address token,uint256 price,uint32 purposes,uint64 duration,uint32 uses,uint16 earnedAtReleaseBps,bytes32 textHash,uint32 seats,bool exclusive,bool transferable)"
    );

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

    /// License that has a seat, or had it last.
    mapping(uint256 offerId => mapping(uint256 seat => uint256 licenseId)) private _seats;
    /// By the digest that its owner signs.
    mapping(bytes32 digest => uint256 offerId) private _signedOffers;
    mapping(uint256 assetId => Reservations.State) private _reservations;

    /// Bit m: the licensee has had licenses of the asset with exactly the purposes m.
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
        return _publish(terms, owner, handovers);
    }

    /// @inheritdoc ILicenses
    function withdrawOffer(uint256 offerId) external {
        Offer storage published = _offerOf(offerId);
        if (msg.sender != published.publisher) revert NotOfferPublisher(offerId, msg.sender, published.publisher);
        _withdraw(offerId, published);
    }

    /// @inheritdoc ILicenses
    function cancelSigned(SignedOffer calldata signed) external {
        uint256 assetId = signed.terms.assetId;
        (address owner,) = ASSETS.tenureOf(assetId);
        if (msg.sender != owner) revert NotAssetOwner(assetId, msg.sender, owner);

        bytes32 digest = signedOfferDigest(signed);
        uint256 offerId = _signedOffers[digest];
        if (offerId == CANCELLED) revert OfferIsCancelled(digest);
        if (offerId != 0) return _withdraw(offerId, _offers[offerId]);

        _signedOffers[digest] = CANCELLED;
        emit SignedOfferCancelled(digest, assetId);
    }

    // ─── Sale ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function buy(uint256 offerId, bytes32 termsHash, uint256 maxPrice)
        external
        nonReentrant
        returns (uint256 licenseId)
    {
        return _sell(offerId, _checkOffer(offerId, termsHash, maxPrice), 0);
    }

    /// @inheritdoc ILicenses
    function buyWith(uint256 offerId, bytes32 termsHash, uint256 maxPrice, uint256 seat, Permit calldata permit)
        external
        nonReentrant
        returns (uint256 licenseId)
    {
        OfferTerms memory terms = _checkOffer(offerId, termsHash, maxPrice);
        _usePermit(terms, permit);
        return _sell(offerId, terms, seat);
    }

    /// @inheritdoc ILicenses
    function buySigned(
        SignedOffer calldata signed,
        bytes calldata signature,
        uint256 maxPrice,
        uint256 seat,
        Permit calldata permit
    ) external nonReentrant returns (uint256 licenseId) {
        OfferTerms calldata terms = signed.terms;
        if (block.timestamp > signed.validUntil) revert OfferExpired(signed.validUntil, block.timestamp);
        if (terms.price > maxPrice) revert PriceAboveMaximum(terms.price, maxPrice);
        (address owner, uint64 handovers) = ASSETS.tenureOf(terms.assetId);
        if (signed.handovers != handovers) revert HandoversWrong(signed.handovers, handovers);
        bytes32 digest = signedOfferDigest(signed);
        // asked again at every purchase: an owner that is a contract may have changed its mind
        if (!SignatureChecker.isValidSignatureNow(owner, digest, signature)) {
            revert OfferSignatureInvalid(digest, owner);
        }

        uint256 offerId = _signedOffers[digest];
        if (offerId == CANCELLED) revert OfferIsCancelled(digest);
        if (offerId == 0) {
            offerId = _publish(terms, owner, handovers);
            _signedOffers[digest] = offerId;
        } else if (_offers[offerId].flags & WITHDRAWN != 0) {
            revert OfferIsWithdrawn(offerId);
        }
        _usePermit(terms, permit);
        return _sell(offerId, terms, seat);
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
    function revoke(uint256 licenseId, bytes32 causeHash, bytes32 evidenceHash)
        external
        nonReentrant
        returns (uint256 refund)
    {
        LicenseRecord memory record = license(licenseId);
        (address owner,) = ASSETS.tenureOf(record.assetId);
        if (msg.sender != owner) revert NotAssetOwner(record.assetId, msg.sender, owner);
        if (record.revokedAt != 0) revert AlreadyRevoked(licenseId);
        if (!_isRunning(record)) revert LicenseNotActive(licenseId);

        refund = record.price - _earned(record);
        _progress[licenseId].revokedAt = uint64(block.timestamp);
        _terms[record.licensee][record.assetId][record.purposes].shorten(_sales[licenseId].term, block.timestamp);
        if (_offers[_sales[licenseId].offerId].flags & EXCLUSIVE != 0) {
            _reservations[record.assetId].release(record.purposes);
        }
        emit LicenseRevoked(licenseId, causeHash, evidenceHash, refund);

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
    function areLicensed(LicenseQuery[] calldata queries) external view returns (bool[] memory answers) {
        answers = new bool[](queries.length);
        for (uint256 i; i < queries.length; ++i) {
            LicenseQuery calldata query = queries[i];
            answers[i] = isLicensedAt(query.licensee, query.assetId, query.purpose, query.time);
        }
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
        return (_termsOf(published), published.flags & WITHDRAWN != 0 || published.handovers != handovers);
    }

    /// @inheritdoc ILicenses
    function freeSeat(uint256 offerId, uint256 first, uint256 count) external view returns (uint256) {
        uint256 seats = _offerOf(offerId).seats;
        for (uint256 seat = first; seat - first < count && seat <= seats; ++seat) {
            if (seat != 0 && !_isOccupied(_seats[offerId][seat])) return seat;
        }
        return 0;
    }

    /// @inheritdoc ILicenses
    function signedOfferDigest(SignedOffer calldata signed) public view returns (bytes32) {
        bytes32 terms = keccak256(abi.encode(OFFER_TERMS_TYPEHASH, signed.terms));
        return _hashTypedDataV4(
            keccak256(abi.encode(SIGNED_OFFER_TYPEHASH, terms, signed.handovers, signed.salt, signed.validUntil))
        );
    }

    /// @inheritdoc ILicenses
    function signedOfferId(SignedOffer calldata signed) external view returns (uint256 offerId) {
        offerId = _signedOffers[signedOfferDigest(signed)];
        if (offerId == CANCELLED) return 0;
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
        return _offers[_sales[licenseId].offerId].flags & TRANSFERABLE == 0;
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

    /// Licensees stand in the sales, so that a sale writes one slot less; `buy` does what minting would, and nothing burns one.
    function _ownerOf(uint256 licenseId) internal view override returns (address) {
        return _sales[licenseId].licensee;
    }

    /// A license passes from one holder to another, as `transferFrom` allows: the old one's time ends, the new one's begins. What is over stays with whom
    /// it was with.
    function _update(address to, uint256 licenseId, address auth) internal override returns (address from) {
        LicenseRecord memory record = license(licenseId);
        if (!_isRunning(record)) revert LicenseNotActive(licenseId);
        from = super._update(to, licenseId, auth);
        if (from == to) return from;

        Sale storage sale = _sales[licenseId];
        _terms[from][record.assetId][record.purposes].shorten(sale.term, block.timestamp);
        sale.licensee = to;
        sale.term = _beginTerm(to, record.assetId, record.purposes, record.end);
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
        if (terms.exclusive && !Reservations.isExclusive(terms.purposes)) revert TermsInvalid("exclusive", 1);
    }

    function _publish(OfferTerms calldata terms, address owner, uint64 handovers) private returns (uint256 offerId) {
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
            flags: (terms.exclusive ? EXCLUSIVE : 0) | (terms.transferable ? TRANSFERABLE : 0),
            publisher: owner,
            handovers: handovers,
            seats: terms.seats,
            textHash: terms.textHash
        });
        emit OfferPublished(offerId, terms.assetId, terms);
    }

    function _withdraw(uint256 offerId, Offer storage published) private {
        if (published.flags & WITHDRAWN != 0) revert OfferIsWithdrawn(offerId);

        published.flags |= WITHDRAWN;
        emit OfferWithdrawn(offerId);
    }

    /// Sells to the caller an offer's license. The terms are the offer's, checked.
    function _sell(uint256 offerId, OfferTerms memory terms, uint256 seat) private returns (uint256 licenseId) {
        licenseId = ++licenseCount;
        uint256 end = block.timestamp + terms.duration;
        _takeSeat(offerId, terms.seats, seat, licenseId);
        _reservations[terms.assetId].reserve(terms.purposes, end, terms.exclusive);
        uint24 term = _beginTerm(msg.sender, terms.assetId, terms.purposes, end);
        _sales[licenseId] =
            Sale({licensee: msg.sender, offerId: offerId.toUint32(), start: block.timestamp.toUint40(), term: term});
        _increaseBalance(msg.sender, 1);

        emit Transfer(address(0), msg.sender, licenseId);
        if (terms.transferable) emit Unlocked(licenseId);
        else emit Locked(licenseId);
        emit LicenseSold(
            licenseId, offerId, terms.assetId, msg.sender, uint64(block.timestamp), uint64(end), terms.price
        );

        PAYMENTS.collect(terms.token, msg.sender, bytes32(licenseId), terms.price);
    }

    function _takeSeat(uint256 offerId, uint256 seats, uint256 seat, uint256 licenseId) private {
        if (seat > seats || (seat == 0 && seats != 0)) revert SeatUnknown(offerId, seat, seats);
        if (seat == 0) return;
        uint256 holder = _seats[offerId][seat];
        if (_isOccupied(holder)) revert SeatTaken(offerId, seat, holder);
        _seats[offerId][seat] = licenseId;
    }

    /// Whether a seat's last license is in force.
    function _isOccupied(uint256 licenseId) private view returns (bool) {
        return licenseId != 0 && _isRunning(license(licenseId));
    }

    /// From now on `holder` is licensed, until `end`.
    function _beginTerm(address holder, uint256 assetId, uint256 purposes, uint256 end) private returns (uint24) {
        _boughtSets[holder][assetId] |= 1 << purposes;
        return _terms[holder][assetId][purposes].add(block.timestamp, end).toUint24();
    }

    /// Anybody may have used it before: what counts is the allowance, which `collect` sees.
    function _usePermit(OfferTerms memory terms, Permit calldata permit) private {
        if (permit.deadline == 0) return;
        try IERC20Permit(terms.token)
            .permit(msg.sender, address(PAYMENTS), terms.price, permit.deadline, permit.v, permit.r, permit.s) {}
            catch {}
    }

    function _checkOffer(uint256 offerId, bytes32 termsHash, uint256 maxPrice)
        private
        view
        returns (OfferTerms memory terms)
    {
        Offer storage published = _offerOf(offerId);
        if (published.flags & WITHDRAWN != 0) revert OfferIsWithdrawn(offerId);
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
            textHash: published.textHash,
            seats: published.seats,
            exclusive: published.flags & EXCLUSIVE != 0,
            transferable: published.flags & TRANSFERABLE != 0
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
