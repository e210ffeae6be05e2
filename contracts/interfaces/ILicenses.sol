// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LicenseQuery, LicenseRecord, OfferTerms, Permit, SignedOffer} from "../types/Types.sol";

/// @title Offers and licenses
/// @notice A license is an ERC-721 with the terms that its offer had at the sale: an offer's terms never change. It is bound to its licensee (ERC-5192)
/// unless the offer lets it be passed on; then each holder is licensed for the time in which it held it. The price
/// goes to escrow in Payments; only what is earned goes on to the asset's owner: `earnedAtReleaseBps` of it (rounded down) at the first key release,
/// the rest linearly until the end, released or not. Revocation returns the unearned part to that license's holder. If no key was released by the end, the
/// part for the release goes back to the holder.
/// All licenses of an asset in one token are one book of Payments (see IPayments), key bytes32(assetId): whoever owns the asset when something is earned is paid it.
///
/// Typical flow: 1 the asset's owner publishes an offer, or signs one; 2 a licensee buys; 3 it signs a key request; the key holder records the release and
/// only then hands over the key; 4 anyone pays on what is earned; 5 the owner may revoke, or time ends it.
///
/// A license is in force at time t (seconds, as blocks are stamped) iff start ≤ t < end and it was not revoked at or before t. Offers bind only
/// the owner who published or signed them: when the asset changes hands they are void for ever. Licenses bind every later owner.
///
/// Seats: of an offer with n seats, numbered 1 … n, at most n licenses are in force at a time; the buyer names the seat, so that two who want the last one
/// can't both get it, whatever else is sold. Exclusive: while the license is in force there is no other one of the asset, of any offer, with a common purpose
/// (see Reservations). A license that was revoked keeps its purposes sold until its end unless it was exclusive.
///
/// Safety assumption: an offer's token behaves (see IPayments); a buyer that accepts a hostile one risks this license's money only.
interface ILicenses {
    event OfferPublished(uint256 indexed offerId, uint256 indexed assetId, OfferTerms terms);
    event OfferWithdrawn(uint256 indexed offerId);
    /// @notice A signed offer that nobody had bought is cancelled; `digest` as `signedOfferDigest`.
    event SignedOfferCancelled(bytes32 indexed digest, uint256 indexed assetId);
    event LicenseSold(
        uint256 indexed licenseId,
        uint256 indexed offerId,
        uint256 indexed assetId,
        address licensee,
        uint64 start,
        uint64 end,
        uint256 price
    );
    event KeyReleased(uint256 indexed licenseId, address indexed keyHolder, bytes32 recipientKey);
    /// @notice `payer` paid `price` for a further period, which ends at `end`.
    event LicenseRenewed(uint256 indexed licenseId, address indexed payer, uint64 end, uint256 price);
    /// @notice A period was paid for a license that was over: `payer` may take it back from Payments (`takeBack`, key bytes32(licenseId)) until it is reinstated.
    event LicensePaidLate(uint256 indexed licenseId, address indexed payer, uint256 price);
    /// @notice What `payer` paid late counts from now on, until `end`.
    event LicenseReinstated(uint256 indexed licenseId, address indexed payer, uint64 end, uint256 price);
    /// @notice The storage of one of the asset's objects is over: the license ended with it.
    event LicenseLost(uint256 indexed licenseId, bytes32 indexed objectId, uint256 refund);
    /// @notice The owner ended a license because its holder broke the terms. `contested` lies held; the holder may dispute it until `until`.
    event BreachClaimed(
        uint256 indexed licenseId, bytes32 causeHash, bytes32 evidenceHash, uint256 contested, uint256 until
    );
    /// @notice The offer's arbiter has until then.
    event BreachDisputed(uint256 indexed licenseId, uint256 until);
    event BreachConcluded(uint256 indexed licenseId, uint256 refund, uint256 earned);
    /// @notice The owner says why, and what it rests on: hashes of documents.
    event LicenseRevoked(uint256 indexed licenseId, bytes32 causeHash, bytes32 evidenceHash, uint256 refund);
    event LicenseRefunded(uint256 indexed licenseId, uint256 amount);

    error NotAssetOwner(uint256 assetId, address caller, address owner);
    error OfferUnknown(uint256 offerId);
    error OfferIsWithdrawn(uint256 offerId);
    /// @notice The asset has changed hands since: what a former owner offered binds nobody.
    error OfferVoid(uint256 offerId, address publisher, address owner);
    error NotOfferPublisher(uint256 offerId, address caller, address publisher);
    error TermsInvalid(bytes32 field, uint256 value);
    error PriceAboveMaximum(uint256 price, uint256 maximum);
    error TermsChanged(bytes32 got, bytes32 expected);
    error LicenseUnknown(uint256 licenseId);
    error LicenseNotActive(uint256 licenseId);
    error AlreadyRevoked(uint256 licenseId);
    error LicenseStillRuns(uint256 licenseId, uint64 end);
    error NotTransferable(uint256 licenseId);
    /// @notice Seats are numbered from one; an offer without seats has only seat zero.
    error SeatUnknown(uint256 offerId, uint256 seat, uint256 seats);
    error SeatTaken(uint256 offerId, uint256 seat, uint256 licenseId);
    error OfferExpired(uint64 validUntil, uint256 timestamp);
    /// @notice A signature of another tenure of the asset.
    error HandoversWrong(uint64 got, uint64 expected);
    error OfferSignatureInvalid(bytes32 digest, address owner);
    error OfferIsCancelled(bytes32 digest);
    /// @notice It was signed, not published: `buySigned`.
    error SignatureNeeded(uint256 offerId);
    error RequestInvalid(uint256 licenseId, address signer);
    error RequestExpired(uint256 deadline, uint256 timestamp);
    /// @notice Former owners, or days, are too many for one call: `settle` first.
    error NotSettled(uint256 assetId, address token);
    /// @notice One period ahead is the most.
    error AlreadyRenewed(uint256 licenseId, uint64 end);
    error ObjectNotOfAsset(bytes32 objectId, uint256 assetId);
    error ObjectStillStored(bytes32 objectId, uint64 epoch, uint64 endEpoch);
    /// @notice What shows that a license is older than the loss must not be later than the loss.
    error EpochAfterLoss(bytes32 objectId, uint64 epoch, uint64 endEpoch);
    /// @notice The license began at or after the time of the epoch's seed block: by this epoch it is not older than the loss.
    error LicenseNotOlder(uint256 start, uint64 epoch, uint256 time);
    /// @notice The offer names nobody who could judge.
    error NoArbiter(uint256 licenseId);
    error NotArbiter(uint256 licenseId, address caller, address arbiter);
    error NotLicensee(uint256 licenseId, address caller, address licensee);
    error NoContest(uint256 licenseId);
    error DisputeOver(uint256 licenseId, uint256 until);
    error ContestOpen(uint256 licenseId, uint256 until);
    error NothingToDecide(uint256 licenseId, uint256 until);
    error RefundTooLarge(uint256 licenseId, uint256 refund, uint256 contested);
    error NothingToRefund(uint256 licenseId);
    error KeyHolderUnknown(address keyHolder);
    error NotKeyHolder(address keyHolder, address caller);

    /// @notice Offers licenses of an asset, to anyone, any number, until withdrawn. Asset's owner.
    function publishOffer(OfferTerms calldata terms) external returns (uint256 offerId);
    /// @notice Ends an offer. Its publisher. What was sold stays sold.
    function withdrawOffer(uint256 offerId) external;
    /// @notice Buys a license. `termsHash` = keccak256(abi.encode(terms)) as the buyer read them; `maxPrice` in the offer's token.
    function buy(uint256 offerId, bytes32 termsHash, uint256 maxPrice) external returns (uint256 licenseId);
    /// @notice The same for a seat, and with an ERC-2612 permit that is used if it can be: one that somebody used before is passed over.
    function buyWith(uint256 offerId, bytes32 termsHash, uint256 maxPrice, uint256 seat, Permit calldata permit)
        external
        returns (uint256 licenseId);
    /// @notice Buys a license of an offer that the asset's owner signed (EIP-712, or ERC-1271 for a contract) instead of publishing it. The first purchase
    /// publishes it; all purchases of one signed offer are of one offer, whatever signature they came with.
    function buySigned(
        SignedOffer calldata signed,
        bytes calldata signature,
        uint256 maxPrice,
        uint256 seat,
        Permit calldata permit
    ) external returns (uint256 licenseId);
    /// @notice Asset's owner: a signed offer can't be bought any more.
    function cancelSigned(SignedOffer calldata signed) external;
    /// @notice Records the first key release, with the licensee's EIP-712 signature over
    /// KeyRequest(uint256 licenseId,address keyHolder,bytes32 recipientKey,uint256 deadline) — name "Qanat Licenses", version "1". Later calls change nothing.
    /// Sent by the key holder (a registered operator) or by its responder (Operators.responderOf): a node holds only the responder's key.
    /// Or by the licensee, with itself as `keyHolder` and no signature: where no holder records, it can force the key on chain all the same (IKeys.force).
    function recordRelease(
        uint256 licenseId,
        address keyHolder,
        bytes32 recipientKey,
        uint256 deadline,
        bytes calldata signature
    ) external;
    /// @notice Pays what all licenses of an asset have earned in a token, through Payments' waterfall, to those who owned the asset meanwhile. Anyone. Passes at
    /// most `maxDays` days for each of them: `isDone` says whether there is more to do.
    function settle(uint256 assetId, address token, uint256 maxDays) external returns (uint256 amount, bool isDone);
    /// @notice Pays for one more period, from the license's end on, under the offer that it was sold under, which must still stand; all of the price is earned
    /// linearly. Its holder, or, once a key was released or where nothing is for a release, anyone; at most one period ahead.
    /// After the end (and not after a revocation, nor where no key was released and something was for that) the price goes to escrow: it is the payer's,
    /// to take back from Payments at any time, until the asset's owner reinstates the license.
    function renew(uint256 licenseId, bytes32 termsHash) external;
    /// @notice Asset's owner: a license that is over goes on for a period from now, for what `payer` paid late. `seat`: the one that it had, if its offer has
    /// seats, which nobody has taken since. What it holds exclusively must be free. The gap stays a gap.
    function reinstate(uint256 licenseId, address payer, uint256 seat) external;
    /// @notice Asset's owner: ends a license now and returns its unearned part to its holder. Cause and evidence: hashes of documents, or zero.
    function revoke(uint256 licenseId, bytes32 causeHash, bytes32 evidenceHash) external returns (uint256 refund);
    /// @notice Asset's owner: ends a license whose holder broke the terms, where its offer named an arbiter. The unearned part is frozen: the owner's if the holder
    /// doesn't dispute it in time, else as the arbiter decides, and the holder's if nobody does.
    function revokeForBreach(uint256 licenseId, bytes32 causeHash, bytes32 evidenceHash)
        external
        returns (uint256 contested);
    /// @notice The license's holder: leaves a breach to the arbiter.
    function dispute(uint256 licenseId) external;
    /// @notice The offer's arbiter: what of the frozen money goes back; the rest is earned.
    function decide(uint256 licenseId, uint256 refund) external;
    /// @notice Undisputed in time: the frozen money is earned. Undecided in time: it goes back. Anyone. Before: who claimed the breach gives in, and it goes back.
    /// What is earned is paid to who owned the asset when the breach was claimed.
    function conclude(uint256 licenseId) external;
    /// @notice An object of the asset is stored no longer, and was when the license began: ends it as `revoke` does, if its holder wants that. Its holder.
    /// @param epoch of the object's shard, up to its end epoch, whose seed block somebody revealed in Randomness and was mined after the license began
    function refundLost(uint256 licenseId, bytes32 objectId, uint64 epoch) external returns (uint256 refund);
    /// @notice After the end, without a key release: returns the part for the release to the licensee. Anyone.
    function refundUnreleased(uint256 licenseId) external returns (uint256 amount);

    /// @notice Whether the licensee now holds one license of the asset that allows all of `purpose` (see Purposes). No purpose, or an unknown
    /// one: no. Costs the same however many licenses were sold; with the licensee's own it grows as their logarithm.
    function isLicensed(address licensee, uint256 assetId, uint32 purpose) external view returns (bool);
    /// @notice The same for any time: exact for the past, as things stand for the future.
    function isLicensedAt(address licensee, uint256 assetId, uint32 purpose, uint64 time) external view returns (bool);
    /// @notice `isLicensedAt` of each, in order.
    function areLicensed(LicenseQuery[] calldata queries) external view returns (bool[] memory);
    /// @notice Whether this license itself is in force for all bits of `purpose` at `time`; of one that was reinstated only since then.
    function isActiveAt(uint256 licenseId, uint32 purpose, uint64 time) external view returns (bool);
    /// @notice An offer's terms, and whether it can no longer be bought: withdrawn, or void because the asset changed hands.
    function offer(uint256 offerId) external view returns (OfferTerms memory terms, bool withdrawn);
    /// @notice The first seat among `count` from `first` on whose license is not in force; 0: none of them.
    function freeSeat(uint256 offerId, uint256 first, uint256 count) external view returns (uint256 seat);
    /// @notice What an asset's owner signs: SignedOffer(OfferTerms terms,uint64 handovers,uint256 salt,uint64 validUntil) in this contract's domain.
    function signedOfferDigest(SignedOffer calldata signed) external view returns (bytes32);
    /// @notice The offer that a signed one became at its first purchase; 0 before.
    function signedOfferId(SignedOffer calldata signed) external view returns (uint256);
    function license(uint256 licenseId) external view returns (LicenseRecord memory);
    /// @notice From when on a license runs without a gap (its sale, or its reinstatement), how many periods of equal length since, and how many before.
    function periodsOf(uint256 licenseId) external view returns (uint64 start, uint256 periods, uint256 earlier);
    /// @notice Until when any of `purposes` of an asset is sold, so that it can't be sold exclusively, and until when exclusively, so that it can't be sold at
    /// all; times that are over, or 0: it can. A plain license that was revoked still counts (see Reservations).
    function takenUntil(uint256 assetId, uint32 purposes) external view returns (uint256 sold, uint256 exclusively);
    /// @notice Money of a claimed breach; `until` 0: there is none.
    function contestOf(uint256 licenseId) external view returns (uint256 amount, uint64 until, bool disputed);
    /// @notice What the license has earned by now, settled or not; whole units, rounded up. What a breach froze counts once it is concluded.
    function earned(uint256 licenseId) external view returns (uint256);
    function offerCount() external view returns (uint256);
    function licenseCount() external view returns (uint256);
    function keyRequestDigest(uint256 licenseId, address keyHolder, bytes32 recipientKey, uint256 deadline)
        external
        view
        returns (bytes32);
}
