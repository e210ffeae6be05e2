// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Terms
/// @notice Intervals of time [start, end), kept in the order of their starts, of which any end may be brought forward or put off later. Answers
/// whether a time lies in one of them, for every time and exactly, in O(log n) reads; adding and shortening take O(log n) writes.
///
/// Intervals stand two to a word, so that the first two cost one slot, with their count and with 72 bits, the mark, that are the caller's.
/// Above the words lies a tree with four children to a node, each node a word with the latest end below each child. A time t is covered iff, of the intervals that start by t (a prefix: starts
/// never fall), the latest end is after t.
///
/// Invariants:
/// - I-T1  starts never fall along the list
/// - I-T2  each lane of a node is the latest end of all intervals below that child
library Terms {
    /// @notice An interval starts before the last one did.
    error StartFell(uint256 start, uint256 last);

    /// @notice An interval ends before it starts.
    error EndBeforeStart(uint256 start, uint256 end);

    /// @notice There is no such interval.
    error TermUnknown(uint256 index, uint256 count);

    /// @notice An end was to be moved back: it may only come forward.
    error EndRose(uint256 end, uint256 current);

    /// @notice An end was to be brought forward: this way it may only go back.
    error EndFell(uint256 end, uint256 current);

    /// @notice More than MAX_COUNT intervals, or a time beyond MAX_TIME.
    error TermTooLarge(uint256 got, uint256 limit);

    struct State {
        // word 0: intervals 0 and 1, each start ‖ end, the count, the mark
        uint256 head;
        // word i ≥ 1: intervals 2i and 2i + 1
        mapping(uint256 index => uint256) words;
        // four latest ends; node = level ‖ index, level 1 stands on the words
        mapping(uint256 node => uint256) nodes;
    }

    uint256 internal constant MAX_COUNT = 2 ** 24 - 1;
    /// Seconds: 34,000 years.
    uint256 internal constant MAX_TIME = 2 ** 40 - 1;

    uint256 private constant TIME_BITS = 40;
    uint256 private constant TERM_BITS = 80;
    uint256 private constant COUNT_SHIFT = 160;
    uint256 private constant MARK_SHIFT = 184;
    uint256 private constant LANE_BITS = 64;
    uint256 private constant LANE = 2 ** 64 - 1;
    uint256 private constant LEVEL_SHIFT = 64;

    /// @notice Adds an interval, sets the mark, below 2^72, and returns the interval's index.
    function add(State storage self, uint256 start, uint256 end, uint256 marked) internal returns (uint256 index) {
        uint256 head = _marked(self.head, marked);
        index = head >> COUNT_SHIFT & MAX_COUNT;
        if (index == MAX_COUNT) revert TermTooLarge(index, MAX_COUNT);
        if (end > MAX_TIME) revert TermTooLarge(end, MAX_TIME);
        if (end < start) revert EndBeforeStart(start, end);
        if (index != 0) {
            (uint256 last,) = termAt(self, index - 1);
            if (start < last) revert StartFell(start, last);
        }

        uint256 term = start | end << TIME_BITS;
        if (index < 2) {
            self.head = head + (term << index * TERM_BITS) + (1 << COUNT_SHIFT);
        } else {
            self.head = head + (1 << COUNT_SHIFT);
            self.words[index / 2] |= term << (index % 2) * TERM_BITS;
        }
        _raise(self, index, index + 1, end);
    }

    /// @notice Brings an interval's end forward.
    function shorten(State storage self, uint256 index, uint256 end) internal {
        (uint256 start, uint256 current) = termAt(self, index);
        if (end > current) revert EndRose(end, current);
        if (end < start) revert EndBeforeStart(start, end);
        uint256 changed = _setEnd(self, index, end);

        uint256 levels = _levels((count(self) + 1) / 2);
        uint256 position = index / 2;
        uint256 latest = _latestInWord(changed, 2);
        for (uint256 level = 1; level <= levels; ++level) {
            uint256 node = level << LEVEL_SHIFT | position / 4;
            uint256 old = self.nodes[node];
            uint256 lane = (position % 4) * LANE_BITS;
            uint256 word = old & ~(LANE << lane) | latest << lane;
            if (word == old) return;

            self.nodes[node] = word;
            latest = _latestInNode(word, 4);
            position /= 4;
        }
    }

    /// @notice Puts an interval's end off.
    function prolong(State storage self, uint256 index, uint256 end) internal {
        (, uint256 current) = termAt(self, index);
        if (end < current) revert EndFell(end, current);
        if (end > MAX_TIME) revert TermTooLarge(end, MAX_TIME);

        _setEnd(self, index, end);
        _raise(self, index, count(self), end);
    }

    /// @notice Sets the mark, below 2^72.
    function setMark(State storage self, uint256 marked) internal {
        self.head = _marked(self.head, marked);
    }

    /// @notice What the caller keeps here.
    function mark(State storage self) internal view returns (uint256) {
        return self.head >> MARK_SHIFT;
    }

    /// @notice Whether an interval holds `time`.
    function covers(State storage self, uint256 time) internal view returns (bool) {
        uint256 size = count(self);
        uint256 started = _startedBy(self, size, time);
        return started != 0 && _latestOfFirst(self, size, started) > time;
    }

    /// @notice Number of intervals ever added.
    function count(State storage self) internal view returns (uint256) {
        return self.head >> COUNT_SHIFT & MAX_COUNT;
    }

    /// @notice The interval at an index.
    function termAt(State storage self, uint256 index) internal view returns (uint256 start, uint256 end) {
        uint256 size = count(self);
        if (index >= size) revert TermUnknown(index, size);
        uint256 term = _word(self, index / 2) >> (index % 2) * TERM_BITS;
        return (term & MAX_TIME, term >> TIME_BITS & MAX_TIME);
    }

    function _word(State storage self, uint256 position) private view returns (uint256) {
        return position == 0 ? self.head : self.words[position];
    }

    function _marked(uint256 head, uint256 marked) private pure returns (uint256) {
        return head & (1 << MARK_SHIFT) - 1 | marked << MARK_SHIFT;
    }

    /// Sets an interval's end in its word, and returns the word.
    function _setEnd(State storage self, uint256 index, uint256 end) private returns (uint256 word) {
        uint256 shift = (index % 2) * TERM_BITS + TIME_BITS;
        word = _word(self, index / 2) & ~(MAX_TIME << shift) | end << shift;
        if (index < 2) self.head = word;
        else self.words[index / 2] = word;
    }

    /// Makes the nodes above an interval, of `size`, know its later end; a tree that becomes one level higher takes over what it knew.
    function _raise(State storage self, uint256 index, uint256 size, uint256 end) private {
        uint256 position = index / 2;
        uint256 levels = _levels((size + 1) / 2);
        if (levels == 0) return;

        if (index % 2 == 0 && index + 1 == size && _levels(position) < levels) {
            self.nodes[levels << LEVEL_SHIFT] =
                levels == 1 ? _latestInWord(self.head, 2) : _latestInNode(self.nodes[(levels - 1) << LEVEL_SHIFT], 4);
        }
        for (uint256 level = 1; level <= levels; ++level) {
            uint256 node = level << LEVEL_SHIFT | position / 4;
            uint256 word = self.nodes[node];
            uint256 lane = (position % 4) * LANE_BITS;
            if (word >> lane & LANE >= end) return;

            self.nodes[node] = word & ~(LANE << lane) | end << lane;
            position /= 4;
        }
    }

    /// How many intervals start at or before `time`.
    function _startedBy(State storage self, uint256 size, uint256 time) private view returns (uint256) {
        if (size == 0) return 0;
        if (_startOf(self, size - 1) <= time) return size;

        // starts[low - 1] ≤ time < starts[high]
        uint256 low;
        uint256 high = size - 1;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_startOf(self, middle) <= time) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    /// The latest end of the first `size` intervals, of `total`.
    function _latestOfFirst(State storage self, uint256 total, uint256 size) private view returns (uint256 latest) {
        uint256 position = (size - 1) / 2;
        latest = _latestInWord(_word(self, position), size - 2 * position);

        uint256 levels = _levels((total + 1) / 2);
        for (uint256 level = 1; level <= levels; ++level) {
            uint256 other = _latestInNode(self.nodes[level << LEVEL_SHIFT | position / 4], position % 4);
            if (other > latest) latest = other;
            position /= 4;
        }
    }

    function _startOf(State storage self, uint256 index) private view returns (uint256) {
        return _word(self, index / 2) >> (index % 2) * TERM_BITS & MAX_TIME;
    }

    /// The latest end of the first `size` intervals of a word.
    function _latestInWord(uint256 word, uint256 size) private pure returns (uint256 latest) {
        latest = word >> TIME_BITS & MAX_TIME;
        if (size == 1) return latest;
        uint256 second = word >> TERM_BITS + TIME_BITS & MAX_TIME;
        if (second > latest) latest = second;
    }

    /// The latest of the first `size` lanes of a node.
    function _latestInNode(uint256 word, uint256 size) private pure returns (uint256 latest) {
        for (uint256 lane; lane < size; ++lane) {
            uint256 end = word >> lane * LANE_BITS & LANE;
            if (end > latest) latest = end;
        }
    }

    /// Levels of nodes above `size` words: the least L with 4^L ≥ size.
    function _levels(uint256 size) private pure returns (uint256 levels) {
        for (uint256 reach = 1; reach < size; reach *= 4) {
            ++levels;
        }
    }
}
