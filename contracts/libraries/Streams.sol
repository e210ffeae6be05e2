// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Streams
/// @notice Money that is earned linearly, of any number of streams added up: what all streams of a book have earned at a time is one line, whose slope
/// changes at the starts of days (UTC) only. Opening and stopping cost the same for any number of streams and however long nobody settled; settling
/// reads one slot for each day passed, and can stop on the way and go on later.
///
/// Scaled units are 1/2^40 of a unit. A stream of P units over [s, e), d = e − s, that ends on the day beginning at b, has
///   r = ⌊P·2^40 / d⌋ a second, and m = P·2^40 − r·d besides: less than 2^−8 unit, as d < 2^32.
/// - A stop at t leaves ⌊P − r·(t − s) / 2^40⌋ units: P before s, less than a unit from what is unearned in rational numbers.
/// - counted(t) = r·(t − s) before b, r·(b − s) on the day from b on (0 if it starts on that day), P·2^40 when that day is over: m is counted last, so
///   that no number of streams together is ever ahead of what is earned. A stream that
///   is opened before it starts counts its first day, too, when that is over. What settling pays goes by it: whole units of the sum.
///
/// Invariants, for each stream of a book:
/// - I-M10 settled + due = ⌊Σ counted(t) + added⌋
/// - I-M11 balance ≥ held + Σ (P − counted(t)) + due
/// - I-M12 after every end, all settled: balance = held
/// - I-M13 |P·(e − t)/d − unearned| < 1 for a stop at t in [s, e)
/// - I-M14 a stop at t ≥ e: unearned = 0, nothing changes
/// - I-M15 a stop of one stream: Δcounted of the others = 0
/// - I-M16 settle(t₁) and settle(t₂) pay together what settle(t₂) alone pays, t₁ ≤ t₂
/// - I-M17 settledTo before ≤ settledTo ≤ min(until, now)
/// - I-M18 era ≠ the book's ⇒ nothing is opened, stopped, earned; it changes only where settledTo = until
/// - I-ST1 counted never exceeds what is earned and never falls; it ends at P, or at P less what the stop left
/// - I-ST2 the line at t = Σ counted(t) + what was added − what was taken, to the scaled unit, whatever was settled in between
library Streams {
    /// @notice An amount from 2^96 on, 2^79 units a second or more, or a length of no second or of 2^32 and more.
    error StreamTooLarge(uint256 amount, uint256 start, uint256 end);
    /// @notice It would start in the past: what was earned then may be settled already.
    error StreamStartPassed(uint256 start, uint256 time);
    /// @notice All streams of a book together are too much for its slots.
    error BookFull(uint256 value, uint256 limit);

    /// What changes on one day, of all streams together: one slot.
    struct Bucket {
        // what ends less what begins at the day's start, scaled units a second
        int120 slope;
        // counted when the day is over, scaled units
        uint136 tail;
    }

    /// Two slots.
    struct State {
        // units that lie here: held, counted, and to be counted
        uint128 balance;
        // the line at `settledTo` in whole units, rounded down
        int128 line;
        // --- what is above them, scaled
        uint40 fraction;
        uint144 slope;
        uint40 settledTo;
        uint32 era;
    }

    struct Book {
        State state;
        mapping(uint256 day => Bucket) buckets;
    }

    uint256 internal constant DAY = 1 days;
    uint256 internal constant FRACTION_BITS = 40;

    uint256 private constant AMOUNT_LIMIT = 2 ** 96;
    uint256 private constant LENGTH_LIMIT = 2 ** 32;
    /// A stream's slope, and what one day changes of all: 120 bits with a sign in the buckets.
    uint256 private constant SLOPE_LIMIT = 2 ** 119;
    /// All slopes together when a stream is opened. Days of 40 bits of seconds are fewer than 2^24, so what streams that begin later bring is below 2^143
    /// too: whatever was opened, settling finds no slope that 144 bits don't hold.
    uint256 private constant SUM_LIMIT = 2 ** 143;
    uint256 private constant TAIL_LIMIT = 2 ** 136;
    /// Units have a sign in the line.
    uint256 private constant BALANCE_LIMIT = 2 ** 127;

    /// @notice A stream's scaled units a second, rounded down, and what that leaves over.
    function rateOf(uint256 amount, uint256 start, uint256 end) internal pure returns (uint256 rate, uint256 rest) {
        if (amount >= AMOUNT_LIMIT || end <= start || end - start >= LENGTH_LIMIT) {
            revert StreamTooLarge(amount, start, end);
        }
        uint256 length = end - start;
        rate = (amount << FRACTION_BITS) / length;
        if (rate >= SLOPE_LIMIT) revert StreamTooLarge(amount, start, end);
        rest = (amount << FRACTION_BITS) - rate * length;
    }

    /// @notice Adds a stream that starts now or later. Changes `state` in memory, and buckets.
    function open(Book storage self, State memory state, uint256 amount, uint256 start, uint256 end) internal {
        if (start < block.timestamp) revert StreamStartPassed(start, block.timestamp);
        (uint256 rate, uint256 rest) = rateOf(amount, start, end);
        (uint256 first, uint256 last) = (start / DAY, end / DAY);
        if (first == last) {
            _change(self, last, 0, int256(amount << FRACTION_BITS));
            return;
        }

        if (start == block.timestamp) {
            _setSlope(state, int256(rate));
            _addToLine(state, -int256(rate * (start - state.settledTo)));
        } else {
            _change(self, first, 0, int256(rate * ((first + 1) * DAY - start)));
            _change(self, first + 1, -int256(rate), 0);
        }
        _change(self, last, int256(rate), int256(rest + rate * (end - last * DAY)));
    }

    /// @notice Ends a stream that was opened at `opened` now. What it has earned stays in the line, rounded up to whole units; returns the rest.
    function stop(Book storage self, State memory state, uint256 amount, uint256 start, uint256 end, uint256 opened)
        internal
        returns (uint256 unearned)
    {
        if (block.timestamp >= end) return 0;
        (uint256 rate, uint256 rest) = rateOf(amount, start, end);
        uint256 earned = block.timestamp < start ? 0 : rate * (block.timestamp - start);
        unearned = ((amount << FRACTION_BITS) - earned) >> FRACTION_BITS;
        // in place of what the line has of it already, all that is earned
        _addToLine(state, int256((amount - unearned) << FRACTION_BITS));

        (uint256 first, uint256 last) = (start / DAY, end / DAY);
        if (first == last) {
            _change(self, last, 0, -int256(amount << FRACTION_BITS));
            return unearned;
        }

        if (start > opened && state.settledTo < (first + 1) * DAY) {
            _change(self, first, 0, -int256(rate * ((first + 1) * DAY - start)));
            _change(self, first + 1, int256(rate), 0);
        } else if (state.settledTo < last * DAY) {
            _setSlope(state, -int256(rate));
            _addToLine(state, int256(rate) * (int256(start) - int256(uint256(state.settledTo))));
        } else {
            _addToLine(state, -int256(rate * (last * DAY - start)));
        }
        _change(self, last, -int256(rate), -int256(rest + rate * (end - last * DAY)));
    }

    /// @notice Adds to what is counted, in units.
    function add(State memory state, uint256 amount) internal pure {
        if (amount >= BALANCE_LIMIT) revert BookFull(amount, BALANCE_LIMIT);
        _addToLine(state, int256(amount << FRACTION_BITS));
    }

    /// @notice Draws the line up to `until`, and takes all whole units out. Where more than `maxDays` days begin before, it is drawn so far only and nothing is
    /// taken: on the way it lacks what streams that were opened later are in advance of it.
    function settle(Book storage self, State memory state, uint256 until, uint256 maxDays)
        internal
        view
        returns (uint256 amount)
    {
        int256 line = _lineOf(state);
        uint256 time = state.settledTo;
        uint256 slope = state.slope;
        uint256 day = time / DAY;
        Bucket memory bucket = self.buckets[day];
        uint256 steps = until / DAY > day ? until / DAY - day : 0;
        bool arrives = steps <= maxDays;
        for (steps = arrives ? steps : maxDays; steps != 0; --steps) {
            line += int256(slope * ((++day) * DAY - time)) + int256(uint256(bucket.tail));
            time = day * DAY;
            bucket = self.buckets[day];
            slope = uint256(int256(slope) - bucket.slope);
        }
        if (arrives && until > time) {
            line += int256(slope * (until - time));
            time = until;
        }

        if (arrives && line > 0) {
            amount = uint256(line) >> FRACTION_BITS;
            line -= int256(amount << FRACTION_BITS);
        }
        _setLine(state, line);
        state.settledTo = uint40(time);
        state.slope = uint144(slope);
    }

    /// @notice Adds to the units that lie here.
    function credit(State memory state, uint256 amount) internal pure {
        uint256 balance = state.balance + amount;
        if (balance >= BALANCE_LIMIT) revert BookFull(balance, BALANCE_LIMIT);
        state.balance = uint128(balance);
    }

    function _change(Book storage self, uint256 day, int256 slope, int256 tail) private {
        Bucket storage bucket = self.buckets[day];
        (int256 slopeBefore, uint256 tailBefore) = (bucket.slope, bucket.tail);
        slope += slopeBefore;
        tail += int256(tailBefore);
        if (uint256(tail) >= TAIL_LIMIT) revert BookFull(uint256(tail), TAIL_LIMIT);
        if (slope >= int256(SLOPE_LIMIT) || slope < -int256(SLOPE_LIMIT)) revert BookFull(uint256(slope), SLOPE_LIMIT);
        (bucket.slope, bucket.tail) = (int120(slope), uint136(uint256(tail)));
    }

    function _setSlope(State memory state, int256 change) private pure {
        uint256 slope = uint256(int256(uint256(state.slope)) + change);
        if (slope > type(uint144).max || (change > 0 && slope >= SUM_LIMIT)) revert BookFull(slope, SUM_LIMIT);
        state.slope = uint144(slope);
    }

    function _lineOf(State memory state) private pure returns (int256) {
        return int256(state.line) * int256(1 << FRACTION_BITS) + int256(uint256(state.fraction));
    }

    function _addToLine(State memory state, int256 change) private pure {
        _setLine(state, _lineOf(state) + change);
    }

    function _setLine(State memory state, int256 line) private pure {
        int256 whole = line >> FRACTION_BITS;
        if (whole >= int256(BALANCE_LIMIT) || whole < -int256(BALANCE_LIMIT)) {
            revert BookFull(uint256(whole), BALANCE_LIMIT);
        }
        state.line = int128(whole);
        state.fraction = uint40(uint256(line));
    }
}
