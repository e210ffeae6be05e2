// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAssets} from "../interfaces/IAssets.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {ILicenses} from "../interfaces/ILicenses.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {IShards} from "../interfaces/IShards.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {Reservations} from "../libraries/Reservations.sol";
import {Terms} from "../libraries/Terms.sol";
import {LicenseRecord, OfferTerms, Renewal} from "../types/Types.sol";
import {LicenseStore} from "./LicenseStore.sol";

/// @title LicenseChanges
/// @notice What ends a license, or makes it longer: renewal, revocation, breach, refunds. Code that Licenses made and runs on its own state; called
/// directly it knows no license.
contract LicenseChanges is LicenseStore {
    using Reservations for Reservations.State;
    using SafeCast for uint256;
    using Terms for Terms.State;

    /// So long can the holder of a license dispute that it broke its terms.
    uint256 public constant DISPUTE_SECONDS = 14 days;
    /// So long can the arbiter decide; then the money goes back.
    uint256 public constant DECISION_SECONDS = 60 days;

    constructor(IDirectory directory, IAssets assets, IPayments payments) LicenseStore(directory, assets, payments) {}

    // ─── Renewal ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `ILicenses.renew`.
    function renew(uint256 licenseId, bytes32 termsHash) external nonReentrant {
        LicenseRecord memory record = _license(licenseId);
        if (!_isRunning(record)) revert ILicenses.LicenseNotActive(licenseId);
        // else whoever owns the asset puts the day off on which the part for a key that never came falls due
        if (record.releasedAt == 0 && msg.sender != record.licensee && _releasePart(record) != 0) {
            revert ILicenses.NotLicensee(licenseId, msg.sender, record.licensee);
        }
        OfferTerms memory terms = _checkOffer(record.offerId, termsHash, record.price);
        Renewal memory renewal = _renewals[licenseId];
        if (renewal.end == 0) {
            (renewal.start, renewal.opened) = (uint40(record.start), uint40(record.start));
        } else if (block.timestamp < renewal.nextStart) {
            revert ILicenses.AlreadyRenewed(licenseId, record.end);
        } else {
            (renewal.start, renewal.opened) = (renewal.nextStart, renewal.nextOpened);
        }
        (renewal.nextStart, renewal.nextOpened) = (uint40(record.end), uint40(block.timestamp));
        uint256 end = record.end + terms.duration;
        renewal.end = end.toUint40();

        _renewals[licenseId] = renewal;
        _terms[record.licensee][record.assetId][record.purposes].prolong(_sales[licenseId].term, end);
        _reservations[record.assetId].prolong(record.purposes, end, terms.exclusive);
        emit ILicenses.LicenseRenewed(licenseId, msg.sender, uint64(end), record.price);

        uint32 era = _eraOf(record.assetId, record.token);
        PAYMENTS.openStream(record.token, msg.sender, _keyOf(record.assetId), era, 0, record.price, record.end, end);
    }

    // ─── Ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `ILicenses.revoke`.
    function revoke(uint256 licenseId, bytes32 causeHash, bytes32 evidenceHash)
        external
        nonReentrant
        returns (uint256 refund)
    {
        LicenseRecord memory record = _license(licenseId);
        _checkOwner(record.assetId);
        refund = _end(licenseId, record, true);
        emit ILicenses.LicenseRevoked(licenseId, causeHash, evidenceHash, refund);
    }

    /// @notice See `ILicenses.refundLost`.
    function refundLost(uint256 licenseId, bytes32 objectId) external nonReentrant returns (uint256 refund) {
        LicenseRecord memory record = _license(licenseId);
        if (msg.sender != record.licensee) revert ILicenses.NotLicensee(licenseId, msg.sender, record.licensee);
        uint256 assetId = ASSETS.assetOf(objectId);
        if (assetId != record.assetId) revert ILicenses.ObjectNotOfAsset(objectId, record.assetId);
        IObjects objects = IObjects(DIRECTORY.module(ModuleNames.OBJECTS));
        uint64 endEpoch = objects.endEpochOf(objectId);
        uint64 epoch =
            IShards(DIRECTORY.module(ModuleNames.SHARDS)).epochAt(objects.record(objectId).shard, block.number);
        if (epoch < endEpoch) revert ILicenses.ObjectStillStored(objectId, epoch, endEpoch);

        refund = _end(licenseId, record, true);
        emit ILicenses.LicenseLost(licenseId, objectId, refund);
    }

    /// @notice See `ILicenses.revokeForBreach`.
    function revokeForBreach(uint256 licenseId, bytes32 causeHash, bytes32 evidenceHash)
        external
        nonReentrant
        returns (uint256 contested)
    {
        LicenseRecord memory record = _license(licenseId);
        _checkOwner(record.assetId);
        if (_offers[record.offerId].arbiter == address(0)) revert ILicenses.NoArbiter(licenseId);

        contested = _end(licenseId, record, false);
        uint256 until = block.timestamp + DISPUTE_SECONDS;
        _contests[licenseId] = Contest(uint128(contested), uint40(until), false);
        emit ILicenses.BreachClaimed(licenseId, causeHash, evidenceHash, contested, until);
    }

    /// @notice See `ILicenses.dispute`.
    function dispute(uint256 licenseId) external {
        LicenseRecord memory record = _license(licenseId);
        if (msg.sender != record.licensee) revert ILicenses.NotLicensee(licenseId, msg.sender, record.licensee);
        Contest memory contest = _contestOf(licenseId);
        if (contest.disputed || block.timestamp > contest.until) {
            revert ILicenses.DisputeOver(licenseId, contest.until);
        }

        uint256 until = block.timestamp + DECISION_SECONDS;
        _contests[licenseId].disputed = true;
        _contests[licenseId].until = uint40(until);
        emit ILicenses.BreachDisputed(licenseId, until);
    }

    /// @notice See `ILicenses.decide`.
    function decide(uint256 licenseId, uint256 refund) external nonReentrant {
        LicenseRecord memory record = _license(licenseId);
        Contest memory contest = _contestOf(licenseId);
        address arbiter = _offers[record.offerId].arbiter;
        if (msg.sender != arbiter) revert ILicenses.NotArbiter(licenseId, msg.sender, arbiter);
        if (!contest.disputed || block.timestamp > contest.until) {
            revert ILicenses.NothingToDecide(licenseId, contest.until);
        }
        if (refund > contest.amount) revert ILicenses.RefundTooLarge(licenseId, refund, contest.amount);
        _conclude(licenseId, record, contest.amount, refund);
    }

    /// @notice See `ILicenses.conclude`.
    function conclude(uint256 licenseId) external nonReentrant {
        LicenseRecord memory record = _license(licenseId);
        Contest memory contest = _contestOf(licenseId);
        (address owner,) = ASSETS.tenureOf(record.assetId);
        bool isOver = block.timestamp > contest.until;
        if (!isOver && msg.sender != owner) revert ILicenses.ContestOpen(licenseId, contest.until);

        // The owner gives in; or nobody decided. Undisputed to the end, it is the owner's.
        bool goesBack = !isOver || contest.disputed;
        _conclude(licenseId, record, contest.amount, goesBack ? contest.amount : 0);
    }

    /// @notice See `ILicenses.refundUnreleased`.
    function refundUnreleased(uint256 licenseId) external nonReentrant returns (uint256 amount) {
        LicenseRecord memory record = _license(licenseId);
        bool isDue = block.timestamp >= record.end && record.releasedAt == 0 && record.revokedAt == 0;
        if (isDue && record.refunded == 0) amount = _releasePart(record);
        if (amount == 0) revert ILicenses.NothingToRefund(licenseId);

        emit ILicenses.LicenseRefunded(licenseId, amount);
        _refund(licenseId, record, amount);
    }

    // ─── Internal ─────────────────────────────────────────────────────────────────────────────────────────────────

    function _checkOwner(uint256 assetId) private view {
        (address owner,) = ASSETS.tenureOf(assetId);
        if (msg.sender != owner) revert ILicenses.NotAssetOwner(assetId, msg.sender, owner);
    }

    function _contestOf(uint256 licenseId) private view returns (Contest memory contest) {
        contest = _contests[licenseId];
        if (contest.until == 0) revert ILicenses.NoContest(licenseId);
    }

    /// Ends a license now. What it has not earned goes to its holder, or lies held in the book.
    function _end(uint256 licenseId, LicenseRecord memory record, bool goesBack) private returns (uint256 unearned) {
        if (record.revokedAt != 0) revert ILicenses.AlreadyRevoked(licenseId);
        if (!_isRunning(record)) revert ILicenses.LicenseNotActive(licenseId);
        _progress[licenseId].revokedAt = uint40(block.timestamp);
        _terms[record.licensee][record.assetId][record.purposes].shorten(_sales[licenseId].term, block.timestamp);
        if (_offers[record.offerId].flags & EXCLUSIVE != 0) _reservations[record.assetId].release(record.purposes);

        unearned = _stop(licenseId, record);
        if (record.releasedAt == 0) unearned += _releasePart(record);
        if (goesBack) _refund(licenseId, record, unearned);
    }

    /// Stops what the license streams; what that leaves is held in the book.
    function _stop(uint256 licenseId, LicenseRecord memory record) private returns (uint256 unearned) {
        uint32 era = _eraOf(record.assetId, record.token);
        Renewal memory renewal = _renewals[licenseId];
        if (renewal.end == 0) return _stopPeriod(record, era, record.start, record.end, record.start);

        unearned = _stopPeriod(record, era, renewal.start, renewal.nextStart, renewal.opened);
        unearned += _stopPeriod(record, era, renewal.nextStart, renewal.end, renewal.nextOpened);
    }

    function _stopPeriod(LicenseRecord memory record, uint32 era, uint256 start, uint256 end, uint256 opened)
        private
        returns (uint256)
    {
        uint256 amount = _streamOf(record, start);
        if (amount == 0) return 0;
        return PAYMENTS.stopStream(record.token, _keyOf(record.assetId), era, amount, start, end, opened, bytes32(0));
    }

    function _conclude(uint256 licenseId, LicenseRecord memory record, uint256 amount, uint256 refund) private {
        delete _contests[licenseId];
        emit ILicenses.BreachConcluded(licenseId, refund, amount - refund);
        if (amount != refund) {
            uint32 era = _eraOf(record.assetId, record.token);
            PAYMENTS.earnHeld(record.token, _keyOf(record.assetId), era, amount - refund);
        }
        _refund(licenseId, record, refund);
    }

    /// Returns an amount that is held to the license's holder.
    function _refund(uint256 licenseId, LicenseRecord memory record, uint256 amount) private {
        if (amount == 0) return;
        _progress[licenseId].refunded = (record.refunded + amount).toUint128();
        PAYMENTS.moveHeld(record.token, _keyOf(record.assetId), PAYMENTS.personAccount(record.licensee), amount);
    }
}
