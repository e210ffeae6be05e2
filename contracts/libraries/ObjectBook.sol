// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {Accumulator} from "./Accumulator.sol";

import {RosterHead, ShardParameters} from "../types/Types.sol";

/// @title ObjectBook
/// @notice What one roster keeps of its objects: how many rows and what fee each of its tickets has per epoch, what each
/// operator did not sign of that, the lists that draws are located in, and what is reserved for objects still uncertified.
///
/// Lists. An object stands in the bucket of its end epoch. The roster's life [activeFrom, end) is cut into at most BUCKETS
/// ranges of `bucketEpochs` epochs; bucket b takes the objects that end in (activeFrom + b·bucketEpochs, activeFrom +
/// (b + 1)·bucketEpochs] and leaves the count at the latter, when all that may be in it have expired. Within a bucket an
/// object's rows are a range of every ticket's part; the sum of rows is a checkpoint keyed by the first epoch in which the
/// object may be drawn, so what an epoch's draw counts is fixed by the state at B_e and never changes later.
/// An extension that stays in its bucket only moves the object's end. One that leaves it lists the object anew, in the bucket of
/// the new end, from the next epoch to be frozen on, and from then on the part it leaves is void: in every epoch exactly one of
/// its entries is live. An object only ever moves to later buckets, so it stands in none twice. What a termination ends early is
/// void where it stands.
///
/// Reservations. An object opened while f is the next epoch to be frozen is certified with first epoch f or f + 1, or not
/// at all. So what can still be certified was opened under f or f − 1, and two sums, which lapse by themselves, are enough;
/// and no object known now begins after f + 1, so rows live in f bound the rows live in every later epoch.
/// With r the rows of a new object: rows(f) + reserved(f) + reserved(f − 1) + r ≤ limit at each opening implies
/// rows(e) ≤ limit for every epoch e, and no object that was paid can be refused for it at certification.
library ObjectBook {
    using Accumulator for Accumulator.State;
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    /// One slot, from the lowest bits up: what of a roster and its shard never changes, copied at the first opening so that nothing later asks for it.
    struct Frame {
        uint48 firstBlock;
        uint32 epochLength;
        uint32 finality;
        // 0: nothing was opened yet
        uint32 bucketEpochs;
        uint32 activeFromEpoch;
        uint32 endEpoch;
        // the roster's T, and the most of one operator
        uint16 tickets;
        uint16 largest;
    }

    /// One slot, from the lowest bits up; read and written as a whole.
    struct Head {
        // the first opening's epoch to be frozen next; `rows` were opened under it, `rowsBefore` under the one before
        uint40 epoch;
        uint56 rows;
        uint56 rowsBefore;
        // bit b: bucket b has objects
        uint8 filled;
        // the latest end of an object, as Shards was told
        uint32 objectsEnd;
        // the shard's maxRowsPerTicket
        uint64 rowsLimit;
    }

    /// The part of a bucket that an object stood in before an extension listed it anew elsewhere. `until`: first epoch in which it is void.
    struct Left {
        uint48 start;
        uint32 until;
    }

    struct State {
        Frame frame;
        Head head;
        // rows and fee of one ticket; its `sum` is the intake fees so far, per ticket, its `rest` what could not be divided of them
        Accumulator.State tally;
        // the part of it, `sum` included, that an operator did not sign
        mapping(address operator => Accumulator.State) excluded;
        // first epoch → rows of each ticket in the bucket, of all objects that may be drawn from then on
        mapping(uint256 bucket => Checkpoints.Trace208) rows;
        mapping(bytes32 objectId => mapping(uint256 bucket => Left)) left;
        // hashes of lists of non-signers, by the number that objects keep of them
        mapping(uint256 number => bytes32 hash) absences;
        // who judges the roster's certificates: the one in force at its first opening
        address certificateVerifier;
        // the shard's prices
        uint256 pricePerByteEpochWad;
        uint256 intakePricePerByteWad;
    }

    /// Bits of `Head.filled`. More buckets would drop expired objects sooner and cost each draw one more read each.
    uint256 internal constant BUCKETS = 8;

    /// @notice Prepares a roster's book at its first opening.
    function start(State storage book, RosterHead memory roster, ShardParameters memory parameters, uint256 firstBlock)
        internal
        returns (Frame memory frame)
    {
        uint256 life = roster.endEpoch - roster.activeFromEpoch;
        frame = Frame({
            firstBlock: firstBlock.toUint48(),
            epochLength: parameters.epochLength,
            finality: parameters.finality,
            bucketEpochs: ((life + BUCKETS - 1) / BUCKETS).toUint32(),
            activeFromEpoch: uint256(roster.activeFromEpoch).toUint32(),
            endEpoch: uint256(roster.endEpoch).toUint32(),
            tickets: roster.tickets,
            largest: roster.largest
        });
        book.frame = frame;
        book.head.rowsLimit = parameters.maxRowsPerTicket;
        book.pricePerByteEpochWad = parameters.pricePerByteEpochWad;
        book.intakePricePerByteWad = parameters.intakePricePerByteWad;
        book.tally.start(firstEpochAfter(frame, block.number) - 1);
    }

    /// @notice `IShards.firstEpochAfter`, from what was copied: the first epoch whose B_e is at or after a block, at least 1.
    function firstEpochAfter(Frame memory frame, uint256 blockNumber) internal pure returns (uint64) {
        uint256 since = blockNumber + frame.finality;
        since = since > frame.firstBlock ? since - frame.firstBlock : 0;
        uint256 epoch = (since + frame.epochLength - 1) / frame.epochLength;
        return uint64(epoch == 0 ? 1 : epoch);
    }

    /// @notice The frame, in one read.
    function frameOf(State storage book) internal view returns (Frame memory frame) {
        uint256 word;
        Frame storage stored = book.frame;
        assembly ("memory-safe") {
            word := sload(stored.slot)
        }
        frame.firstBlock = uint48(word);
        frame.epochLength = uint32(word >> 48);
        frame.finality = uint32(word >> 80);
        frame.bucketEpochs = uint32(word >> 112);
        frame.activeFromEpoch = uint32(word >> 144);
        frame.endEpoch = uint32(word >> 176);
        frame.tickets = uint16(word >> 208);
        frame.largest = uint16(word >> 224);
    }

    /// @notice The head, in one read.
    function headOf(State storage book) internal view returns (Head memory head) {
        uint256 word;
        Head storage stored = book.head;
        assembly ("memory-safe") {
            word := sload(stored.slot)
        }
        head.epoch = uint40(word);
        head.rows = uint56(word >> 40);
        head.rowsBefore = uint56(word >> 96);
        head.filled = uint8(word >> 152);
        head.objectsEnd = uint32(word >> 160);
        head.rowsLimit = uint64(word >> 192);
    }

    /// @notice Writes the head, in one write.
    function setHead(State storage book, Head memory head) internal {
        uint256 word = uint256(head.rowsLimit) << 192 | uint256(head.objectsEnd) << 160 | uint256(head.filled) << 152
            | uint256(head.rowsBefore) << 96 | uint256(head.rows) << 40 | head.epoch;
        Head storage stored = book.head;
        assembly ("memory-safe") {
            sstore(stored.slot, word)
        }
    }

    // ─── Reservations ─────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice Rows of each ticket that objects opened before may still claim when `nextEpoch` is the next to be frozen.
    function reserved(Head memory head, uint64 nextEpoch) internal pure returns (uint256) {
        if (head.epoch == nextEpoch) return uint256(head.rows) + head.rowsBefore;
        return uint256(head.epoch) + 1 == nextEpoch ? head.rows : 0;
    }

    /// @notice Reserves rows for an object opened while `nextEpoch` is the next to be frozen.
    function reserve(Head memory head, uint64 nextEpoch, uint256 rows) internal pure {
        if (head.epoch != nextEpoch) {
            head.rowsBefore = uint256(head.epoch) + 1 == nextEpoch ? head.rows : 0;
            head.rows = 0;
            head.epoch = uint256(nextEpoch).toUint40();
        }
        head.rows = (head.rows + rows).toUint56();
    }

    /// @notice Ends the reservation of an object opened while `openedUnder` was the next to be frozen.
    function release(Head memory head, uint64 openedUnder, uint256 rows) internal pure {
        // No more than was reserved: never negative.
        if (openedUnder == head.epoch) {
            head.rows = (head.rows - rows).toUint56();
        } else if (uint256(openedUnder) + 1 == head.epoch) {
            head.rowsBefore = (head.rowsBefore - rows).toUint56();
        }
    }

    // ─── Who did not sign ─────────────────────────────────────────────────────────────────────────────────────────

    /// @notice The number of a list of non-signers, kept once however many objects it is of: the lower bits of its hash, or the next number that is free.
    /// Whoever makes others' numbers collide brings a certificate for each, and makes them read one more slot.
    function absenceOf(State storage book, bytes32 hash) internal returns (uint24 number) {
        number = uint24(uint256(hash));
        bytes32 found = book.absences[number];
        while (found != hash) {
            if (found == 0) {
                book.absences[number] = hash;
                return number;
            }
            // Behind the last number comes the first.
            unchecked {
                ++number;
            }
            found = book.absences[number];
        }
    }

    // ─── Lists ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// @notice The bucket of objects that end at `endEpoch`, which lies after the roster's first active epoch.
    function bucketOf(Frame memory frame, uint64 endEpoch) internal pure returns (uint256) {
        return (endEpoch - 1 - frame.activeFromEpoch) / frame.bucketEpochs;
    }

    /// @notice Where the rows of an object that is listed next begin in each ticket's part of a bucket.
    function nextStart(State storage book, uint256 bucket) internal view returns (uint256) {
        return book.rows[bucket].latest();
    }

    /// @notice Counts the rows of objects that were listed, from `begin` on, into a bucket for draws from `firstEpoch` on; `head` is the caller's to write.
    function count(State storage book, Head memory head, uint256 bucket, uint64 firstEpoch, uint256 begin, uint256 rows)
        internal
    {
        book.rows[bucket].push(uint256(firstEpoch).toUint48(), (begin + rows).toUint208());
        // BUCKETS bits: bucketOf is below BUCKETS for every end epoch of the roster.
        head.filled |= uint8(1 << bucket);
    }

    /// @notice Lists one object and returns in which bucket, and where its rows begin in each ticket's part of it.
    function list(State storage book, uint64 firstEpoch, uint64 endEpoch, uint256 rowsPerTicket)
        internal
        returns (uint256 bucket, uint256 begin)
    {
        Head memory head = headOf(book);
        bucket = bucketOf(frameOf(book), endEpoch);
        begin = nextStart(book, bucket);
        count(book, head, bucket, firstEpoch, begin, rowsPerTicket);
        setHead(book, head);
    }

    /// @notice Says that an object's part of the bucket of `endEpoch` is void from `untilEpoch` on: it is listed anew in a later one.
    function leave(State storage book, bytes32 objectId, uint64 endEpoch, uint48 begin, uint64 untilEpoch) internal {
        book.left[objectId][bucketOf(frameOf(book), endEpoch)] =
            Left({start: begin, until: uint256(untilEpoch).toUint32()});
    }

    /// @notice Rows of each ticket that stand in each bucket as of an epoch's frozen state; 0 for buckets that left.
    function listedRows(State storage book, uint64 epoch) internal view returns (uint64[] memory rowsPerTicket) {
        rowsPerTicket = new uint64[](BUCKETS);
        Frame memory frame = frameOf(book);
        uint256 filled = book.head.filled;
        uint256 leavesAt = frame.activeFromEpoch;
        for (uint256 bucket; bucket < BUCKETS; ++bucket) {
            leavesAt += frame.bucketEpochs;
            if ((filled >> bucket) & 1 == 0 || epoch >= leavesAt) continue;
            uint256 key = epoch > type(uint48).max ? type(uint48).max : epoch;
            rowsPerTicket[bucket] = uint256(book.rows[bucket].upperLookupRecent(uint48(key))).toUint64();
        }
    }
}
