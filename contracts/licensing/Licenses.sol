// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IERC721Metadata} from "@openzeppelin/contracts/token/ERC721/extensions/IERC721Metadata.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAssets} from "../interfaces/IAssets.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {IEarningSource} from "../interfaces/IEarningSource.sol";
import {IERC5192} from "../interfaces/IERC5192.sol";
import {ILicenses} from "../interfaces/ILicenses.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {Holdings} from "../libraries/Holdings.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {Purposes} from "../libraries/Purposes.sol";
import {Reservations} from "../libraries/Reservations.sol";
import {Streams} from "../libraries/Streams.sol";
import {Terms} from "../libraries/Terms.sol";
import {LicenseQuery, LicenseRecord, OfferTerms, Permit, SignedOffer} from "../types/Types.sol";
import {LicenseChanges} from "./LicenseChanges.sol";
import {LicenseStore} from "./LicenseStore.sol";

/// @title Licenses
/// @notice Who may use which asset for what, until when, and what of the price is earned. Bound for life to one Assets and one
/// Payments: an asset's number means nothing in another Assets, and escrow lies where it was put.
///
/// What ends or prolongs a license is in LicenseChanges, for room.
///
/// Invariants:
/// - I-L1  for each asset and token, the balance of the book bytes32(assetId) in Payments = Σ over licenses of what was paid − refunded, − what was settled
/// - I-L2  for each license, refunded + earned ≤ paid; earned never falls; after end or revocation nothing is earned but
///         what is decided of a breach's frozen money
/// - I-L3  asset, purposes, start, uses, token, price never change, nor does the licensee unless the offer made the license transferable; only a renewal makes
///         it longer; what ends it early refunds what it didn't earn, or leaves that to an arbiter whom its offer named
/// - I-M28 book(asset) = Σ paid − Σ refunded − settled ≥ Σ (paid − earned − refunded) + due
/// - I-M29 Δlate(license, payer) < 0 ⇒ −price and the license goes on, or all of it to the payer
/// - I-M30 earned + refunded ≤ paid; earned(t₁) ≤ earned(t₂) for t₁ ≤ t₂
/// - I-M31 of a breach: claimant's + refunded = frozen
/// - I-L4  isLicensedAt(l, a, p, t) = there is a license of a whose purposes hold p, held by l and in force at t
/// - I-L5  of an offer with n seats at most n licenses are in force; I-V1 of Reservations: an exclusive one is alone
contract Licenses is ILicenses, IEarningSource, IERC5192, LicenseStore, ERC721, EIP712 {
    using SafeCast for uint256;
    using Holdings for Holdings.State;
    using Reservations for Reservations.State;
    using Terms for Terms.State;

    /// Longest license. Keeps every time in range; a longer one is bought again.
    uint256 public constant MAX_DURATION_SECONDS = 100 * 365 days;

    /// In place of an offer's id: cancelled before it was bought.
    uint256 private constant CANCELLED = type(uint256).max;

    bytes32 private constant KEY_REQUEST_TYPEHASH =
        keccak256("KeyRequest(uint256 licenseId,address keyHolder,bytes32 recipientKey,uint256 deadline)");

    bytes32 private constant OFFER_TERMS_TYPEHASH = keccak256(
        "OfferTerms(uint256 assetId,address token,uint256 price,uint32 purposes,uint64 duration,uint32 uses,uint16 earnedAtReleaseBps,bytes32 textHash,uint32 seats,bool exclusive,bool transferable,address arbiter)"
    );
    bytes32 private constant SIGNED_OFFER_TYPEHASH = keccak256(
        "SignedOffer(OfferTerms terms,uint64 handovers,uint256 salt,uint64 validUntil)OfferTerms(uint256 assetId,address token,uint256 price,uint32 purposes,uint64 duration,uint32 uses,uint16 earnedAtReleaseBps,bytes32 textHash,uint32 seats,bool exclusive,bool transferable,address arbiter)"
    );

    LicenseChanges public immutable changes;

    /// @inheritdoc ILicenses
    uint256 public offerCount;
    /// @inheritdoc ILicenses
    uint256 public licenseCount;

    /// By the digest that its owner signs.
    mapping(bytes32 digest => uint256 offerId) private _signedOffers;

    constructor(IDirectory directory, IAssets assets, IPayments payments)
        LicenseStore(directory, assets, payments)
        ERC721("Qanat Licenses", "QLICENSE")
        EIP712("Qanat Licenses", "1")
    {
        changes = new LicenseChanges(directory, assets, payments);
    }

    // ─── Offers ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function publishOffer(OfferTerms calldata terms) external returns (uint256 offerId) {
        (address owner, uint32 handovers) = _tenureOf(terms.assetId);
        if (msg.sender != owner) revert NotAssetOwner(terms.assetId, msg.sender, owner);
        return _publish(terms, handovers, 0);
    }

    /// @inheritdoc ILicenses
    function withdrawOffer(uint256) external {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function cancelSigned(SignedOffer calldata signed) external {
        uint256 assetId = signed.terms.assetId;
        (address owner,) = ASSETS.tenureOf(assetId);
        if (msg.sender != owner) revert NotAssetOwner(assetId, msg.sender, owner);

        bytes32 digest = signedOfferDigest(signed);
        uint256 offerId = _signedOffers[digest];
        if (offerId == CANCELLED) revert OfferIsCancelled(digest);
        if (offerId != 0) return _withdraw(offerId, _offers[offerId].core.flags);

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
        Core memory core = _checkForSale(offerId, termsHash, maxPrice);
        return _sell(offerId, core, 0);
    }

    /// @inheritdoc ILicenses
    function buyWith(uint256 offerId, bytes32 termsHash, uint256 maxPrice, uint256 seat, Permit calldata permit)
        external
        nonReentrant
        returns (uint256 licenseId)
    {
        Core memory core = _checkForSale(offerId, termsHash, maxPrice);
        _usePermit(core, permit);
        return _sell(offerId, core, seat);
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
        (address owner, uint32 handovers) = _tenureOf(terms.assetId);
        if (signed.handovers != handovers) revert HandoversWrong(signed.handovers, handovers);
        bytes32 digest = signedOfferDigest(signed);
        // asked again at every purchase: an owner that is a contract may have changed its mind
        if (!SignatureChecker.isValidSignatureNow(owner, digest, signature)) {
            revert OfferSignatureInvalid(digest, owner);
        }

        uint256 offerId = _signedOffers[digest];
        if (offerId == CANCELLED) revert OfferIsCancelled(digest);
        if (offerId == 0) {
            offerId = _publish(terms, handovers, SIGNED);
            _signedOffers[digest] = offerId;
        }
        Core memory core = _coreOf(offerId);
        if (core.flags & WITHDRAWN != 0) revert OfferIsWithdrawn(offerId);
        _usePermit(core, permit);
        return _sell(offerId, core, seat);
    }

    // ─── Release and earnings ─────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function recordRelease(
        uint256 licenseId,
        address keyHolder,
        bytes32 recipientKey,
        uint256 deadline,
        bytes calldata signature
    ) external nonReentrant {
        LicenseRecord memory record = _license(licenseId);
        if (!_isRunning(record)) revert LicenseNotActive(licenseId);
        if (block.timestamp > deadline) revert RequestExpired(deadline, block.timestamp);
        // a licensee that records for itself gives up the part for the release, which nobody else loses by
        bool forItself = msg.sender == record.licensee && keyHolder == msg.sender;
        if (!forItself) {
            _checkKeyHolder(keyHolder);
            bytes32 digest = keyRequestDigest(licenseId, keyHolder, recipientKey, deadline);
            if (!SignatureChecker.isValidSignatureNow(record.licensee, digest, signature)) {
                revert RequestInvalid(licenseId, record.licensee);
            }
        }
        if (record.releasedAt != 0) return;

        _progress[licenseId].releasedAt = uint40(block.timestamp);
        emit KeyReleased(licenseId, keyHolder, recipientKey);

        uint256 part = _releasePart(record);
        if (part == 0) return;
        (, uint32 era) = _tenureOf(record.assetId);
        _enter(record.assetId, record.token, era);
        PAYMENTS.earnHeld(record.token, _keyOf(record.assetId), era, part);
    }

    /// @inheritdoc ILicenses
    function settle(uint256, address, uint256) external returns (uint256, bool) {
        _delegate();
    }

    /// @inheritdoc IEarningSource
    function settleFor(address, bytes calldata) external {
        _delegate();
    }

    // ─── Renewal and ends ─────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function renew(uint256, bytes32) external {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function reinstate(uint256, address, uint256) external {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function revoke(uint256, bytes32, bytes32) external returns (uint256) {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function revokeForBreach(uint256, bytes32, bytes32) external returns (uint256) {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function dispute(uint256) external {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function decide(uint256, uint256) external {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function conclude(uint256) external {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function refundLost(uint256, bytes32, uint64) external returns (uint256) {
        _delegate();
    }

    /// @inheritdoc ILicenses
    function refundUnreleased(uint256) external returns (uint256) {
        _delegate();
    }

    /// Runs the call as it came in LicenseChanges' code, on this contract's state, and returns what that returns.
    function _delegate() private {
        address code = address(changes);
        assembly ("memory-safe") {
            let memory_ := mload(0x40)
            calldatacopy(memory_, 0, calldatasize())
            let isDone := delegatecall(gas(), code, memory_, calldatasize(), 0, 0)
            returndatacopy(memory_, 0, returndatasize())
            if iszero(isDone) { revert(memory_, returndatasize()) }
            return(memory_, returndatasize())
        }
    }

    // ─── Views ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @inheritdoc ILicenses
    function isLicensed(address licensee, uint256 assetId, uint32 purpose) external view returns (bool) {
        return isLicensedAt(licensee, assetId, purpose, uint64(block.timestamp));
    }

    /// @inheritdoc ILicenses
    function isLicensedAt(address licensee, uint256 assetId, uint32 purpose, uint64 time) public view returns (bool) {
        return _holdings[licensee][assetId].covers(purpose, time);
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
        LicenseRecord memory record = _license(licenseId);
        uint64 stop = record.revokedAt != 0 ? record.revokedAt : record.end;
        return Purposes.covers(record.purposes, purpose) && _lifeOf(licenseId).start <= time && time < stop;
    }

    /// @inheritdoc ILicenses
    function offer(uint256 offerId) external view returns (OfferTerms memory terms, bool withdrawn) {
        Core memory core = _coreOf(offerId);
        (, uint64 handovers) = ASSETS.tenureOf(core.assetId);
        withdrawn = core.flags & WITHDRAWN != 0 || core.handovers != handovers;
        Offer storage published = _offers[offerId];
        terms = OfferTerms({
            assetId: core.assetId,
            token: core.token,
            price: core.price,
            purposes: core.purposes,
            duration: core.duration,
            uses: core.uses,
            earnedAtReleaseBps: core.earnedAtReleaseBps,
            textHash: published.textHash,
            seats: core.seats,
            exclusive: core.flags & EXCLUSIVE != 0,
            transferable: core.flags & TRANSFERABLE != 0,
            arbiter: published.arbiter
        });
    }

    /// @inheritdoc ILicenses
    function freeSeat(uint256 offerId, uint256 first, uint256 count) external view returns (uint256) {
        uint256 seats = _coreOf(offerId).seats;
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
    function license(uint256 licenseId) external view returns (LicenseRecord memory) {
        return _license(licenseId);
    }

    /// @inheritdoc ILicenses
    function earned(uint256 licenseId) external view returns (uint256 amount) {
        LicenseRecord memory record = _license(licenseId);
        Life memory life = _lifeOf(licenseId);
        Contest storage contest = _contests[licenseId];
        if (record.releasedAt != 0) amount = _releasePart(record);
        if (contest.until == 0) amount += contest.amount;

        // of periods before the last two: all
        uint256 before = life.earlier;
        uint256 last = record.end - life.duration;
        if (life.renewals != 0) {
            before += life.renewals - 1;
            amount += _earnedIn(record, last - life.duration, last);
        }
        if (before != 0) amount += before * record.price - _releasePart(record);
        amount += _earnedIn(record, last, record.end);
    }

    /// @inheritdoc ILicenses
    function periodsOf(uint256 licenseId) external view returns (uint64, uint256, uint256) {
        Life memory life = _lifeOf(licenseId);
        return (life.start, uint256(life.renewals) + 1, life.earlier);
    }

    /// @inheritdoc ILicenses
    function takenUntil(uint256 assetId, uint32 purposes) external view returns (uint256, uint256) {
        return _reservations[assetId].takenUntil(purposes);
    }

    /// @inheritdoc ILicenses
    function contestOf(uint256 licenseId) external view returns (uint256 amount, uint64 until, bool disputed) {
        Contest storage contest = _contests[licenseId];
        if (contest.until != 0) return (contest.amount, contest.until, contest.disputed);
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
        return _offers[_sales[licenseId].offerId].core.flags & TRANSFERABLE == 0;
    }

    /// @notice A license's page is its asset's.
    function tokenURI(uint256 licenseId) public view override returns (string memory) {
        return IERC721Metadata(address(ASSETS)).tokenURI(_license(licenseId).assetId);
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
        LicenseRecord memory record = _license(licenseId);
        if (!_isRunning(record)) revert LicenseNotActive(licenseId);
        from = super._update(to, licenseId, auth);
        if (from == to) return from;

        Sale storage sale = _sales[licenseId];
        _holdings[from][record.assetId].termsOf(record.purposes).shorten(sale.term, block.timestamp);
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
        if (terms.price > type(uint96).max) revert TermsInvalid("price", terms.price);
        // a price that no stream takes would only be found at the sale
        Streams.rateOf(terms.price, 0, terms.duration);
        if (terms.token.code.length == 0) revert TermsInvalid("token", uint160(terms.token));
        if (terms.exclusive && !Reservations.isExclusive(terms.purposes)) revert TermsInvalid("exclusive", 1);
    }

    function _publish(OfferTerms calldata terms, uint32 handovers, uint8 flags) private returns (uint256 offerId) {
        _checkTerms(terms);
        if (terms.exclusive) flags |= EXCLUSIVE;
        if (terms.transferable) flags |= TRANSFERABLE;
        offerId = ++offerCount;
        Offer storage published = _offers[offerId];
        published.core = Core({
            token: terms.token,
            assetId: terms.assetId.toUint64(),
            purposes: uint8(terms.purposes),
            price: uint96(terms.price),
            duration: uint32(terms.duration),
            uses: terms.uses,
            earnedAtReleaseBps: terms.earnedAtReleaseBps,
            flags: flags,
            handovers: handovers,
            seats: terms.seats
        });
        published.termsHash = keccak256(abi.encode(terms));
        published.textHash = terms.textHash;
        if (terms.arbiter != address(0)) published.arbiter = terms.arbiter;
        emit OfferPublished(offerId, terms.assetId, terms);
    }

    /// An offer that was published: a signed one is bought with its signature, within its time.
    function _checkForSale(uint256 offerId, bytes32 termsHash, uint256 maxPrice)
        private
        view
        returns (Core memory core)
    {
        core = _checkOffer(offerId, termsHash, maxPrice);
        if (core.flags & SIGNED != 0) revert SignatureNeeded(offerId);
    }

    /// Sells to the caller a license of an offer that was checked.
    function _sell(uint256 offerId, Core memory core, uint256 seat) private returns (uint256 licenseId) {
        licenseId = ++licenseCount;
        uint256 end = block.timestamp + core.duration;
        _takeSeat(offerId, core.seats, seat, licenseId);
        _reservations[core.assetId].reserve(core.purposes, end, core.flags & EXCLUSIVE != 0);
        uint24 term = _beginTerm(msg.sender, core.assetId, core.purposes, end);
        _sales[licenseId] =
            Sale({licensee: msg.sender, offerId: offerId.toUint32(), start: block.timestamp.toUint40(), term: term});
        _increaseBalance(msg.sender, 1);

        emit Transfer(address(0), msg.sender, licenseId);
        if (core.flags & TRANSFERABLE != 0) emit Unlocked(licenseId);
        else emit Locked(licenseId);
        emit LicenseSold(licenseId, offerId, core.assetId, msg.sender, uint64(block.timestamp), uint64(end), core.price);

        _enter(core.assetId, core.token, core.handovers);
        uint256 forRelease = uint256(core.price) * core.earnedAtReleaseBps / BPS;
        PAYMENTS.openStream(
            core.token,
            msg.sender,
            _keyOf(core.assetId),
            core.handovers,
            forRelease,
            core.price - forRelease,
            block.timestamp,
            end
        );
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
        return licenseId != 0 && _isRunning(_license(licenseId));
    }

    /// Anybody may have used it before: what counts is the allowance, which `collect` sees.
    function _usePermit(Core memory core, Permit calldata permit) private {
        if (permit.deadline == 0) return;
        try IERC20Permit(core.token)
            .permit(msg.sender, address(PAYMENTS), core.price, permit.deadline, permit.v, permit.r, permit.s) {}
            catch {}
    }

    /// The caller must be the key holder, or the key that its node answers with.
    function _checkKeyHolder(address keyHolder) private view {
        IOperators operators = IOperators(DIRECTORY.module(ModuleNames.OPERATORS));
        if (!operators.isRegistered(keyHolder)) revert KeyHolderUnknown(keyHolder);
        if (msg.sender != keyHolder && msg.sender != operators.responderOf(keyHolder)) {
            revert NotKeyHolder(keyHolder, msg.sender);
        }
    }

    /// What a period's stream has earned, whole units rounded up: as a stop leaves it.
    function _earnedIn(LicenseRecord memory record, uint256 start, uint256 end) private view returns (uint256) {
        uint256 time = record.revokedAt != 0 && record.revokedAt < block.timestamp ? record.revokedAt : block.timestamp;
        uint256 amount = _streamOf(record, start);
        if (time >= end) return amount;
        if (time < start) return 0;
        (uint256 rate,) = Streams.rateOf(amount, start, end);
        return amount - (((amount << Streams.FRACTION_BITS) - rate * (time - start)) >> Streams.FRACTION_BITS);
    }
}
