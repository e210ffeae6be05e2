// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAssets} from "../interfaces/IAssets.sol";
import {IDirectory} from "../interfaces/IDirectory.sol";
import {ILicenses} from "../interfaces/ILicenses.sol";
import {IObjects} from "../interfaces/IObjects.sol";
import {IPayments} from "../interfaces/IPayments.sol";
import {IRandomness} from "../interfaces/IRandomness.sol";
import {IShards} from "../interfaces/IShards.sol";
import {ModuleNames} from "../libraries/ModuleNames.sol";
import {Holdings} from "../libraries/Holdings.sol";
import {Reservations} from "../libraries/Reservations.sol";
import {Terms} from "../libraries/Terms.sol";
import {LicenseRecord} from "../types/Types.sol";
import {LicenseStore} from "./LicenseStore.sol";

/// @title LicenseChanges
/// @notice What ends a license, or makes it longer: renewal, revocation, breach, refunds; withdrawal of offers and settlement. Code that Licenses made and runs on its own state; called
/// directly it knows no license.
contract LicenseChanges is LicenseStore {
    using Holdings for Holdings.State;
    using Reservations for Reservations.State;
    using SafeCast for uint256;
    using Terms for Terms.State;

    /// So long can the holder of a license dispute that it broke its terms.
    uint256 public constant DISPUTE_SECONDS = 14 days;
    /// So long can the arbiter decide; then the money goes back.
    uint256 public constant DECISION_SECONDS = 60 days;

    constructor(IDirectory directory, IAssets assets, IPayments payments) LicenseStore(directory, assets, payments) {}

    // ─── Offers, earnings ─────────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `ILicenses.withdrawOffer`.
    function withdrawOffer(uint256 offerId) external {
        Core memory core = _coreOf(offerId);
        address publisher = _ownerIn(core.assetId, core.handovers);
        if (msg.sender != publisher) revert ILicenses.NotOfferPublisher(offerId, msg.sender, publisher);
        _withdraw(offerId, core.flags);
    }

    /// @notice See `ILicenses.settle`.
    function settle(uint256 assetId, address token, uint256 maxDays)
        external
        nonReentrant
        returns (uint256 amount, bool isDone)
    {
        return _settle(assetId, token, maxDays);
    }

    /// @notice See `IEarningSource.settleFor`.
    /// @dev `what` = abi.encode(assetId, token). Whoever is due gets it, whoever `account` is.
    function settleFor(address, bytes calldata what) external nonReentrant {
        (uint256 assetId, address token) = abi.decode(what, (uint256, address));
        _settle(assetId, token, MAX_DAYS);
    }

    // ─── Renewal ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `ILicenses.renew`.
    function renew(uint256 licenseId, bytes32 termsHash) external nonReentrant {
        LicenseRecord memory record = _license(licenseId);
        if (!_isRunning(record)) return _payLate(licenseId, record, termsHash);
        // else whoever owns the asset puts the day off on which the part for a key that never came falls due
        if (record.releasedAt == 0 && msg.sender != record.licensee && _releasePart(record) != 0) {
            revert ILicenses.NotLicensee(licenseId, msg.sender, record.licensee);
        }
        Core memory core = _checkOffer(record.offerId, termsHash, record.price);
        Life memory life = _lifeOf(licenseId);
        if (life.renewals != 0 && block.timestamp < record.end - life.duration) {
            revert ILicenses.AlreadyRenewed(licenseId, record.end);
        }
        _progress[licenseId].renewals = (uint256(life.renewals) + 1).toUint16();

        uint256 end = record.end + core.duration;
        _termsOf(record).prolong(_sales[licenseId].term, end);
        _reservations[record.assetId].prolong(record.purposes, end, core.flags & EXCLUSIVE != 0);
        emit ILicenses.LicenseRenewed(licenseId, msg.sender, uint64(end), record.price);

        _enter(record.assetId, record.token, core.handovers);
        PAYMENTS.openStream(
            record.token, msg.sender, _keyOf(record.assetId), core.handovers, 0, record.price, record.end, end
        );
    }

    /// @notice See `ILicenses.reinstate`.
    function reinstate(uint256 licenseId, address payer, uint256 seat) external nonReentrant {
        LicenseRecord memory record = _license(licenseId);
        uint32 era = _checkOwner(record.assetId);
        if (_isRunning(record)) revert ILicenses.LicenseStillRuns(licenseId, record.end);
        _checkReinstatable(licenseId, record);
        _checkSeatKept(licenseId, record.offerId, seat);
        Life memory life = _lifeOf(licenseId);

        uint256 end = block.timestamp + life.duration;
        Progress storage progress = _progress[licenseId];
        progress.earlier = (uint256(life.earlier) + life.renewals + 1).toUint16();
        progress.renewals = 0;
        progress.reinstatedAt = uint40(block.timestamp);
        bool exclusive = _offers[record.offerId].core.flags & EXCLUSIVE != 0;
        _reservations[record.assetId].reserve(record.purposes, end, exclusive);
        _sales[licenseId].term = _beginTerm(record.licensee, record.assetId, record.purposes, end);
        emit ILicenses.LicenseReinstated(licenseId, payer, uint64(end), record.price);

        if (record.price == 0) return;
        bytes32 key = _keyOf(record.assetId);
        _enter(record.assetId, record.token, era);
        PAYMENTS.acceptLate(record.token, payer, bytes32(licenseId), key, era, record.price);
        PAYMENTS.startStream(record.token, key, era, record.price, block.timestamp, end);
    }

    /// A period is paid for a license that is over: the money is its payer's until the asset's owner reinstates the license.
    function _payLate(uint256 licenseId, LicenseRecord memory record, bytes32 termsHash) private {
        _checkReinstatable(licenseId, record);
        _checkOffer(record.offerId, termsHash, record.price);
        bytes32 key = bytes32(licenseId);
        if (PAYMENTS.lateOf(record.token, address(this), msg.sender, key) != 0) {
            revert ILicenses.AlreadyRenewed(licenseId, record.end);
        }
        emit ILicenses.LicensePaidLate(licenseId, msg.sender, record.price);
        PAYMENTS.payLate(record.token, msg.sender, key, record.price);
    }

    /// What is for a release that never came went back, or will: there is nothing to go on with, and a purchase is the way.
    function _checkReinstatable(uint256 licenseId, LicenseRecord memory record) private pure {
        bool isUnused = record.releasedAt == 0 && _releasePart(record) != 0;
        if (record.revokedAt != 0 || isUnused) revert ILicenses.LicenseNotActive(licenseId);
    }

    /// Its own seat, which nobody has taken since.
    function _checkSeatKept(uint256 licenseId, uint256 offerId, uint256 seat) private view {
        uint256 seats = _offers[offerId].core.seats;
        if (seat > seats || (seat == 0 && seats != 0)) revert ILicenses.SeatUnknown(offerId, seat, seats);
        if (seat == 0) return;
        uint256 holder = _seats[offerId][seat];
        if (holder != licenseId) revert ILicenses.SeatTaken(offerId, seat, holder);
    }

    // ─── Ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice See `ILicenses.revoke`.
    function revoke(uint256 licenseId, bytes32 causeHash, bytes32 evidenceHash)
        external
        nonReentrant
        returns (uint256 refund)
    {
        LicenseRecord memory record = _license(licenseId);
        refund = _end(licenseId, record, _checkOwner(record.assetId), true);
        emit ILicenses.LicenseRevoked(licenseId, causeHash, evidenceHash, refund);
    }

    /// @notice See `ILicenses.refundLost`.
    function refundLost(uint256 licenseId, bytes32 objectId, uint64 epoch)
        external
        nonReentrant
        returns (uint256 refund)
    {
        LicenseRecord memory record = _license(licenseId);
        if (msg.sender != record.licensee) revert ILicenses.NotLicensee(licenseId, msg.sender, record.licensee);
        if (!ASSETS.holds(record.assetId, objectId)) revert ILicenses.ObjectNotOfAsset(objectId, record.assetId);
        _checkLostSince(_lifeOf(licenseId).start, objectId, epoch);

        (, uint32 era) = _tenureOf(record.assetId);
        refund = _end(licenseId, record, era, true);
        emit ILicenses.LicenseLost(licenseId, objectId, refund);
    }

    /// @notice See `ILicenses.revokeForBreach`.
    function revokeForBreach(uint256 licenseId, bytes32 causeHash, bytes32 evidenceHash)
        external
        nonReentrant
        returns (uint256 contested)
    {
        LicenseRecord memory record = _license(licenseId);
        uint32 era = _checkOwner(record.assetId);
        if (_offers[record.offerId].arbiter == address(0)) revert ILicenses.NoArbiter(licenseId);

        contested = _end(licenseId, record, era, false);
        uint256 until = block.timestamp + DISPUTE_SECONDS;
        _contests[licenseId] = Contest(uint128(contested), uint40(until), false, era);
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
        _conclude(licenseId, record, contest, refund);
    }

    /// @notice See `ILicenses.conclude`.
    function conclude(uint256 licenseId) external nonReentrant {
        LicenseRecord memory record = _license(licenseId);
        Contest memory contest = _contestOf(licenseId);
        bool isOver = block.timestamp > contest.until;
        if (!isOver && msg.sender != _ownerIn(record.assetId, contest.era)) {
            revert ILicenses.ContestOpen(licenseId, contest.until);
        }

        // Who claimed the breach gives in; or nobody decided. Undisputed to the end, it is the claimant's.
        bool goesBack = !isOver || contest.disputed;
        _conclude(licenseId, record, contest, goesBack ? contest.amount : 0);
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

    function _settle(uint256 assetId, address token, uint256 maxDays) private returns (uint256 amount, bool isDone) {
        (address owner, uint32 era) = _tenureOf(assetId);
        if (!_handOver(assetId, token, era, maxDays)) return (0, false);

        uint256 settledTo;
        (amount, settledTo) = _payTo(owner, assetId, token, 0, era, maxDays);
        isDone = settledTo == block.timestamp;
    }

    /// An object is over, and was not yet at `start`. When a block was mined is known of seed blocks alone, and of those that somebody revealed: any one
    /// up to the first block without the object shows that what began before it is older than the loss.
    function _checkLostSince(uint256 start, bytes32 objectId, uint64 epoch) private view {
        IObjects objects = IObjects(DIRECTORY.module(ModuleNames.OBJECTS));
        // those of its terms: another Shards counts other epochs
        IShards shards = IShards(objects.shards());
        uint64 endEpoch = objects.endEpochOf(objectId);
        uint32 shard = objects.record(objectId).shard;
        uint64 current = shards.epochAt(shard, block.number);
        if (current < endEpoch) revert ILicenses.ObjectStillStored(objectId, current, endEpoch);
        if (epoch > endEpoch) revert ILicenses.EpochAfterLoss(objectId, epoch, endEpoch);

        uint256 seedBlock = shards.seedBlockOf(shard, epoch);
        uint256 time = IRandomness(DIRECTORY.module(ModuleNames.RANDOMNESS)).timeOf(seedBlock);
        if (start >= time) revert ILicenses.LicenseNotOlder(start, epoch, time);
    }

    function _checkOwner(uint256 assetId) private view returns (uint32 era) {
        address owner;
        (owner, era) = _tenureOf(assetId);
        if (msg.sender != owner) revert ILicenses.NotAssetOwner(assetId, msg.sender, owner);
    }

    /// Where the license's own term is.
    function _termsOf(LicenseRecord memory record) private view returns (Terms.State storage) {
        return _holdings[record.licensee][record.assetId].termsOf(record.purposes);
    }

    function _contestOf(uint256 licenseId) private view returns (Contest memory contest) {
        contest = _contests[licenseId];
        if (contest.until == 0) revert ILicenses.NoContest(licenseId);
    }

    /// Ends a license now. What it has not earned goes to its holder, or lies held in the book.
    function _end(uint256 licenseId, LicenseRecord memory record, uint32 era, bool goesBack)
        private
        returns (uint256 unearned)
    {
        if (record.revokedAt != 0) revert ILicenses.AlreadyRevoked(licenseId);
        if (!_isRunning(record)) revert ILicenses.LicenseNotActive(licenseId);
        _progress[licenseId].revokedAt = uint40(block.timestamp);
        _termsOf(record).shorten(_sales[licenseId].term, block.timestamp);
        if (_offers[record.offerId].core.flags & EXCLUSIVE != 0) {
            _reservations[record.assetId].release(record.purposes);
        }

        _enter(record.assetId, record.token, era);
        unearned = _stop(licenseId, record, era);
        if (record.releasedAt == 0) unearned += _releasePart(record);
        if (goesBack) _refund(licenseId, record, unearned);
    }

    /// Stops what the license streams, which are its last two periods at most; what that leaves is held in the book. A period that a renewal added was
    /// opened before it began; when exactly makes no difference.
    function _stop(uint256 licenseId, LicenseRecord memory record, uint32 era) private returns (uint256 unearned) {
        Life memory life = _lifeOf(licenseId);
        uint256 last = record.end - life.duration;
        unearned = _stopPeriod(record, era, last, record.end, life.renewals == 0 ? last : last - 1);
        if (life.renewals == 0) return unearned;

        uint256 previous = last - life.duration;
        unearned += _stopPeriod(record, era, previous, last, life.renewals == 1 ? previous : previous - 1);
    }

    function _stopPeriod(LicenseRecord memory record, uint32 era, uint256 start, uint256 end, uint256 opened)
        private
        returns (uint256)
    {
        uint256 amount = _streamOf(record, start);
        if (amount == 0) return 0;
        return PAYMENTS.stopStream(record.token, _keyOf(record.assetId), era, amount, start, end, opened, bytes32(0));
    }

    function _conclude(uint256 licenseId, LicenseRecord memory record, Contest memory contest, uint256 refund) private {
        uint256 earned = contest.amount - refund;
        _contests[licenseId] = Contest(uint128(earned), 0, false, 0);
        emit ILicenses.BreachConcluded(licenseId, refund, earned);
        if (earned != 0) {
            bytes32 to = PAYMENTS.personAccount(_ownerIn(record.assetId, contest.era));
            PAYMENTS.pourHeld(record.token, _keyOf(record.assetId), to, bytes32(0), 0, earned);
        }
        _refund(licenseId, record, refund);
    }

    /// Returns an amount that is held to the license's holder.
    function _refund(uint256 licenseId, LicenseRecord memory record, uint256 amount) private {
        if (amount == 0) return;
        _progress[licenseId].refunded = (record.refunded + amount).toUint104();
        PAYMENTS.moveHeld(record.token, _keyOf(record.assetId), PAYMENTS.personAccount(record.licensee), amount);
    }
}
