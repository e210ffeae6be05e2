// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAssets} from "../interfaces/IAssets.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {ILicenses} from "../interfaces/ILicenses.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {Holdings} from "../libraries/Holdings.sol";
import {Reservations} from "../libraries/Reservations.sol";
import {LicenseRecord, OfferTerms} from "../types/Types.sol";

/// @title LicenseStore
/// @notice The state of Licenses, and what both parts of its code do with it: Licenses itself, and LicenseChanges, which it calls by delegation.
abstract contract LicenseStore is ReentrancyGuardTransient {
    using Holdings for Holdings.State;
    using SafeCast for uint256;

    /// What sales, renewals and ends go by: two slots.
    struct Core {
        address token;
        uint64 assetId;
        uint8 purposes;
        // ---
        uint96 price;
        uint32 duration;
        uint32 uses;
        uint16 earnedAtReleaseBps;
        uint8 flags;
        // the asset's handovers at publication: who owned it in that tenure published the offer
        uint32 handovers;
        uint32 seats;
    }

    /// Terms as published, never changed: a license refers to them. Four slots, and a fifth if there is an arbiter.
    struct Offer {
        Core core;
        // of all terms: a sale compares one slot instead of reading what it doesn't need
        bytes32 termsHash;
        bytes32 textHash;
        address arbiter;
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

    /// What comes later: one slot, written when it happens. A price is below 2^96, and at most two periods and what is for a release ever go back.
    struct Progress {
        uint40 releasedAt;
        uint40 revokedAt;
        uint104 refunded;
        // periods that renewals added, since its sale or since it was reinstated
        uint16 renewals;
        // when it was reinstated last; 0: never
        uint40 reinstatedAt;
        // periods before that
        uint16 earlier;
    }

    /// A license since its sale or since it was reinstated: periods of equal length without a gap.
    struct Life {
        uint64 start;
        uint64 duration;
        uint16 renewals;
        uint16 earlier;
    }

    /// Money of a license that its owner ended for a breach: whose it is, isn't decided.
    struct Contest {
        // frozen; once it is concluded: what of it was earned
        uint128 amount;
        // last second for the licensee to dispute it, then for the arbiter to decide; 0: concluded, or there was none
        uint40 until;
        bool disputed;
        // the tenure whose owner ended the license: what is earned is that owner's
        uint32 era;
    }

    uint256 internal constant BPS = 10_000;

    uint8 internal constant WITHDRAWN = 1;
    uint8 internal constant EXCLUSIVE = 2;
    uint8 internal constant TRANSFERABLE = 4;
    uint8 internal constant SIGNED = 8;

    /// Former owners that one call settles: more are settled with `settle`.
    uint256 private constant MAX_TENURES = 16;
    /// Days that are passed on the way by a call that has something else to do.
    uint256 internal constant MAX_DAYS = 400;

    IDirectory internal immutable DIRECTORY;
    IAssets public immutable ASSETS;
    IPayments public immutable PAYMENTS;

    mapping(uint256 offerId => Offer) internal _offers;
    mapping(uint256 licenseId => Sale) internal _sales;
    mapping(uint256 licenseId => Progress) internal _progress;
    mapping(uint256 licenseId => Contest) internal _contests;

    /// License that has a seat, or had it last.
    mapping(uint256 offerId => mapping(uint256 seat => uint256 licenseId)) internal _seats;
    mapping(uint256 assetId => Reservations.State) internal _reservations;

    mapping(address licensee => mapping(uint256 assetId => Holdings.State)) internal _holdings;

    constructor(IDirectory directory, IAssets assets, IPayments payments) {
        DIRECTORY = directory;
        ASSETS = assets;
        PAYMENTS = payments;
    }

    // ─── Offers and licenses ──────────────────────────────────────────────────────────────────────────────────────

    /// An offer that can be bought under: by its terms as the buyer read them, in the tenure of now.
    function _checkOffer(uint256 offerId, bytes32 termsHash, uint256 maxPrice)
        internal
        view
        returns (Core memory core)
    {
        Offer storage published = _offers[offerId];
        core = _coreIn(published, offerId);
        if (core.flags & WITHDRAWN != 0) revert ILicenses.OfferIsWithdrawn(offerId);
        (address owner, uint64 handovers) = ASSETS.tenureOf(core.assetId);
        if (core.handovers != handovers) {
            revert ILicenses.OfferVoid(offerId, _ownerIn(core.assetId, core.handovers), owner);
        }

        bytes32 expected = published.termsHash;
        if (termsHash != expected) revert ILicenses.TermsChanged(termsHash, expected);
        if (core.price > maxPrice) revert ILicenses.PriceAboveMaximum(core.price, maxPrice);
    }

    function _withdraw(uint256 offerId, uint8 flags) internal {
        if (flags & WITHDRAWN != 0) revert ILicenses.OfferIsWithdrawn(offerId);

        _offers[offerId].core.flags = flags | WITHDRAWN;
        emit ILicenses.OfferWithdrawn(offerId);
    }

    function _coreOf(uint256 offerId) internal view returns (Core memory core) {
        return _coreIn(_offers[offerId], offerId);
    }

    function _coreIn(Offer storage published, uint256 offerId) private view returns (Core memory core) {
        core = published.core;
        if (core.token == address(0)) revert ILicenses.OfferUnknown(offerId);
    }

    /// Who owned an asset in a tenure, this one or one that is over.
    function _ownerIn(uint256 assetId, uint32 era) internal view returns (address owner) {
        uint64 handovers;
        (owner, handovers) = ASSETS.tenureOf(assetId);
        if (era != handovers) (owner,) = ASSETS.tenureAt(assetId, era);
    }

    function _license(uint256 licenseId) internal view returns (LicenseRecord memory record) {
        Sale storage sale = _sales[licenseId];
        record.licensee = sale.licensee;
        if (record.licensee == address(0)) revert ILicenses.LicenseUnknown(licenseId);

        record.offerId = sale.offerId;
        Core storage core = _offers[sale.offerId].core;
        record.assetId = core.assetId;
        record.purposes = core.purposes;
        record.start = sale.start;
        record.end = _endOf(_lifeOf(licenseId));
        record.uses = core.uses;
        record.earnedAtReleaseBps = core.earnedAtReleaseBps;
        record.token = core.token;
        record.price = core.price;

        Progress storage progress = _progress[licenseId];
        record.revokedAt = progress.revokedAt;
        record.releasedAt = progress.releasedAt;
        record.refunded = progress.refunded;
    }

    function _lifeOf(uint256 licenseId) internal view returns (Life memory) {
        Sale storage sale = _sales[licenseId];
        Progress storage progress = _progress[licenseId];
        uint64 reinstatedAt = progress.reinstatedAt;
        uint64 start = reinstatedAt == 0 ? sale.start : reinstatedAt;
        return Life(start, _offers[sale.offerId].core.duration, progress.renewals, progress.earlier);
    }

    function _endOf(Life memory life) internal pure returns (uint64) {
        return life.start + (uint64(life.renewals) + 1) * life.duration;
    }

    /// Sold, not over, not revoked.
    function _isRunning(LicenseRecord memory record) internal view returns (bool) {
        return block.timestamp < record.end && record.revokedAt == 0;
    }

    /// From now on `holder` is licensed, until `end`.
    function _beginTerm(address holder, uint256 assetId, uint256 purposes, uint256 end) internal returns (uint24) {
        return _holdings[holder][assetId].add(purposes, block.timestamp, end).toUint24();
    }

    /// Of a price, what is earned at the first release, rounded down.
    function _releasePart(LicenseRecord memory record) internal pure returns (uint256) {
        return record.price * record.earnedAtReleaseBps / BPS;
    }

    /// What a period's stream has: all of the price but, of the first one, the part for the release.
    /// (Nothing is reinstated in the second of its sale, since it was over before.)
    function _streamOf(LicenseRecord memory record, uint256 start) internal pure returns (uint256) {
        return start == record.start ? record.price - _releasePart(record) : record.price;
    }

    // ─── Money ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// All licenses of an asset in one token are one book of Payments.
    function _keyOf(uint256 assetId) internal pure returns (bytes32) {
        return bytes32(assetId);
    }

    /// Pays former owners what was earned in their tenures, oldest first, as far as one call goes. True: the book is that of the tenure of now, `era`, or
    /// has nothing.
    function _handOver(uint256 assetId, address token, uint32 era, uint256 maxDays) internal returns (bool) {
        if (era == 0) return true;

        (uint32 stands, bool isEmpty) = PAYMENTS.eraOf(token, address(this), _keyOf(assetId));
        if (isEmpty) return true;
        for (uint256 step; stands < era && step < MAX_TENURES; ++step) {
            if (!_payFormer(assetId, token, stands, maxDays)) return false;
            ++stands;
        }
        return stands == era;
    }

    /// An asset's owner of now, and the era in which its books must stand.
    function _tenureOf(uint256 assetId) internal view returns (address owner, uint32 era) {
        uint64 handovers;
        (owner, handovers) = ASSETS.tenureOf(assetId);
        era = uint256(handovers).toUint32();
    }

    /// Pays the owner of a tenure that is over what was earned in it. False if there are too many days for one call.
    function _payFormer(uint256 assetId, address token, uint32 era, uint256 maxDays) private returns (bool) {
        (address former, uint64 until) = ASSETS.tenureAt(assetId, era);
        (, uint256 settledTo) = _payTo(former, assetId, token, until, era + 1, maxDays);
        return settledTo >= until;
    }

    /// Has the asset's book settled to one of its owners.
    function _payTo(address owner, uint256 assetId, address token, uint256 until, uint32 nextEra, uint256 maxDays)
        internal
        returns (uint256 amount, uint256 settledTo)
    {
        bytes32 to = PAYMENTS.personAccount(owner);
        return PAYMENTS.settleStreams(token, _keyOf(assetId), until, nextEra, to, bytes32(0), 0, maxDays);
    }

    /// The asset's book comes into the era of now; what was earned before is paid to whom it belongs.
    function _enter(uint256 assetId, address token, uint32 era) internal {
        if (!_handOver(assetId, token, era, MAX_DAYS)) revert ILicenses.NotSettled(assetId, token);
    }
}
