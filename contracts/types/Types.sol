// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// One collateral token that a shard counts as stake, and what one unit of it weighs there.
struct CollateralWeight {
    address token;
    /// Weight of one token unit, 1e18-scaled (1e18: one unit weighs one).
    uint96 weightWad;
}

/// All that a shard fixes. Every period counts blocks. See `docs/contracts/shards.md`.
struct ShardParameters {
    // periods, in blocks
    uint32 epochLength;
    uint32 finality;
    uint32 sealingLimit;
    uint32 window;
    uint32 reporting;
    // longest term D in epochs, counted from the roster's snapshot
    uint32 termEpochs;
    // slices drawn per operator and epoch (q)
    uint16 samples;
    // operators that a roster may hold
    uint16 maxOperators;
    // part of an epoch's unproven fees that goes back to the payer, in basis points; the rest fills the repair fund
    uint16 unprovenToPayerBps;
    // this many executed slashes within jailEpochs epochs jail an operator for as long
    uint16 jailMisses;
    uint32 jailEpochs;
    // live rows that a ticket may hold, over all objects of a roster
    uint64 maxRowsPerTicket;
    address bondToken;
    address paymentToken;
    // weight that makes one ticket
    uint256 ticketPrice;
    // own bond that makes one ticket, and the least own bond
    uint256 bondPerTicket;
    uint256 minBond;
    // what a missed ticket costs: of the own bond (bond token units), of the delegated stake (weight units)
    uint256 bondSlashPerTicket;
    uint256 stakeSlashPerTicket;
    // fixed sum to the reporter of a miss, bond token units, never more than half of what the bond lost
    uint256 reporterFee;
    // prices in payment token units, 1e18-scaled
    uint256 pricePerByteEpochWad;
    uint256 intakePricePerByteWad;
}

/// A roster's head: what `certify`, draws and slashes need beside the operators' entries.
struct RosterHead {
    uint64 snapshotBlock;
    // the epoch from whose first block on objects may be opened under it
    uint64 activeFromEpoch;
    // objects under it end at this epoch at the latest (their last epoch is lastEpoch - 1)
    uint64 endEpoch;
    uint16 tickets;
    // that have tickets
    uint16 operators;
    // empty ones included: entries are numbered from 0 to seats - 1
    uint16 seats;
    // most tickets of one operator
    uint16 largest;
    // the Audits contract in force at the snapshot: the only one that may slash stake bound here (see IRestaking.acceptSlasher)
    address slasher;
}

/// One seat of a roster. Its tickets are firstTicket … firstTicket + tickets - 1; of an empty one, which has none, all is zero but firstTicket.
struct RosterEntry {
    address operator;
    uint16 firstTicket;
    uint16 tickets;
    // keccak256 of the operator's 256-byte EIP-2537 key at the snapshot
    bytes32 keyHash;
}

/// What a certificate asks of a roster about those that did not sign it.
struct RosterAbsence {
    // the 256-byte sum of all keys of the roster
    bytes aggregateKey;
    // of each seat asked about: its 256-byte key (one after the other), operator and tickets; zeros for an empty one
    bytes keys;
    address[] operators;
    uint256[] tickets;
    // of places that fell vacant and are none of these seats
    uint256 vacantElsewhere;
}

/// An operator's place in one of the rosters that are live in an epoch.
struct RosterPlace {
    uint32 roster;
    uint16 seat;
    uint16 firstTicket;
    uint16 tickets;
    // of the whole roster
    uint16 rosterTickets;
    // first block ≥ the snapshot at which the place fell vacant; 0: never
    uint48 vacatedBlock;
    address slasher;
}

/// What a shard knows of an operator now.
struct MemberState {
    bool isMember;
    uint256 seat;
    // before any cap, as last counted; marked: something changed since, the next snapshot counts anew
    uint256 tickets;
    bool marked;
    // executed slashes in the jailEpochs epochs from missEpoch on
    uint256 misses;
    uint256 missEpoch;
    // first epoch in which it can join again
    uint256 jailedUntil;
    // block since which its places are open to others; 0: they aren't
    uint256 openSince;
}

/// What an owner asks for when opening an object.
struct OpenRequest {
    uint32 shard;
    // the roster that the owner planned for; must be the shard's active one
    uint32 roster;
    uint32 width;
    uint32 k;
    uint32 n;
    uint32 matrices;
    uint64 size;
    uint32 epochs;
    bytes32 treeRoot;
    bytes32 contentHash;
    bytes32 headerHash;
    // most that the owner will pay, in payment token units
    uint256 maxPayment;
}

enum ObjectStatus {
    None,
    Open,
    Certified,
    Failed
}

/// An object as the chain knows it.
struct ObjectRecord {
    address owner;
    ObjectStatus status;
    uint32 shard;
    uint32 roster;
    uint32 width;
    uint32 k;
    uint32 n;
    uint32 matrices;
    uint64 size;
    // the term that was opened and signed for
    uint32 epochs;
    // block of `open`; certification must come within one epoch length of it
    uint64 openedBlock;
    // first epoch in which its slices can be drawn and are paid; 0 before certification
    uint64 firstEpoch;
    // first epoch after its last: firstEpoch + epochs, later if it was extended, earlier if terminated; 0 before certification
    uint64 endEpoch;
    bytes32 manifestRoot;
    // keccak256 of the roster indexes of those that have not signed, each as uint16, ascending, packed; keccak256("") if all did
    bytes32 nonSignersHash;
    // the same as it counts in firstEpoch alone: who adopted its rows later counts from firstEpoch + 1 on
    bytes32 firstNonSignersHash;
    // tickets of those that have not signed, and whether the fees of their rows went back (then nobody adopts any more)
    uint32 unsignedTickets;
    bool unsignedReturned;
    bool terminated;
    // fee of one row for one epoch, payment token units
    uint256 rowFee;
    uint256 intakeFee;
}

/// Rows and fees of one ticket in one epoch.
struct Tally {
    uint64 rows;
    uint192 fee;
}

/// An object that a draw named, with its parameters' hash (zero if none of its rows is opened).
struct ObjectWitness {
    bytes32 objectId;
    bytes32 paramsHash;
}

struct Response {
    uint32 shard;
    uint64 epoch;
    address operator;
    uint256 y;
    bytes proof;
    ObjectWitness[] objects;
    // of each object the roster indexes of its non-signers, ascending, two bytes each; empty where all signed or the object has expired, and as a
    // whole if all are
    bytes[] nonSigners;
    // for each position that the draw names, in order: where its object stands above, two bytes each
    bytes reads;
    // of the live ones, in order: raw commitments, 96 bytes each; and Merkle siblings from the leaf's up, each path only as far as it meets
    // that of the row opened before in the same object
    bytes points;
    bytes32[] siblings;
}

enum DutyStatus {
    None,
    Answered,
    Missed
}

/// Records of a bundle (docs/records.md), by their places in it: [first, first + count).
struct RecordRange {
    bytes32 objectId;
    uint32 first;
    uint32 count;
}

/// What a version of an asset consists of, and what describes it.
struct AssetContent {
    // whole objects, and records of bundles
    bytes32[] objectIds;
    RecordRange[] ranges;
    // SHA-256 of the plaintext
    bytes32 contentHash;
    // encryption header; empty: those of the objects' manifests hold
    bytes header;
    // object with schema and provenance, Croissant JSON-LD in plain; zero: none
    bytes32 croissant;
    // URI or JSON of its description
    string metadata;
}

/// Terms of an offer, copied into every license at sale.
struct OfferTerms {
    uint256 assetId;
    // payment token and price in its units
    address token;
    uint256 price;
    // purpose bits: see Purposes
    uint32 purposes;
    // seconds from sale to end
    uint64 duration;
    // number of uses, 0: not counted
    uint32 uses;
    // part of the price that is earned at the first key release, in basis points; the rest is earned linearly over the duration
    uint16 earnedAtReleaseBps;
    // hash of the license text
    bytes32 textHash;
    // licenses of the offer that may be in force at a time, 0: any number
    uint32 seats;
    // no other license of the asset for any of these purposes while one is in force
    bool exclusive;
    // a license may be passed on
    bool transferable;
    // who judges whether a licensee broke the terms; zero: nobody, and the unearned part always goes back
    address arbiter;
}

/// An offer that its owner signed instead of publishing it.
struct SignedOffer {
    OfferTerms terms;
    // the asset's handovers: the signature binds this owner in this tenure only
    uint64 handovers;
    // tells otherwise equal offers apart
    uint256 salt;
    // last second in which it may be bought
    uint64 validUntil;
}

/// An ERC-2612 permit of the buyer for Payments over the price; without a deadline: none.
struct Permit {
    uint256 deadline;
    uint8 v;
    bytes32 r;
    bytes32 s;
}

/// A question to `areLicensed`.
struct LicenseQuery {
    address licensee;
    uint256 assetId;
    uint32 purpose;
    uint64 time;
}

struct LicenseRecord {
    uint256 assetId;
    uint256 offerId;
    address licensee;
    uint32 purposes;
    uint64 start;
    uint64 end;
    // 0: not revoked
    uint64 revokedAt;
    // 0: no key released yet
    uint64 releasedAt;
    uint32 uses;
    uint16 earnedAtReleaseBps;
    address token;
    // of each period
    uint256 price;
    uint256 refunded;
}

/// What a list of claims is opened with.
struct ListTerms {
    address token;
    // who alone proposes roots
    address proposer;
    // may reject a root that is not accepted yet; zero: nobody
    address arbiter;
    // seconds in which a root can be challenged or rejected
    uint40 window;
    // token units that the proposer has at stake
    uint128 bond;
}

/// A root of a list: of the tree, with the sum of its leaves.
struct ListRoot {
    bytes32 node;
    uint128 total;
    uint40 count;
    // first second in which it is accepted; 0: there is none
    uint40 acceptedAt;
}

/// A leaf with its path: hashes and sums of its siblings, from the leaf's up.
struct ListLeaf {
    uint40 index;
    address account;
    uint128 cumulative;
    bytes32[] siblings;
    uint128[] sums;
}

/// A claim under a list's root; an amount of zero: all that is left.
struct ListClaim {
    uint256 listId;
    uint32 round;
    uint128 amount;
    ListLeaf leaf;
}

/// A payer's word: reads from an operator have cost so much in all. r, vs: its EIP-712 signature, as EIP-2098 writes it; who signed is the payer.
struct ReadVoucher {
    uint256 cumulative;
    bytes32 r;
    bytes32 vs;
}
