// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Purposes} from "./Purposes.sol";
import {Terms} from "./Terms.sol";

/// @title Holdings
/// @notice What one licensee has had of one asset: for each set of purposes the terms of its licenses with exactly that set. Most have one set, and one or
/// two licenses of it: they take one slot, the first word of those terms, in whose mark the set and the map of all sets stand.
///
/// The mark, 72 bits: the set that came first, eight bits, above the map, 64 bits, of which bit m says that there are terms of the set m. No set is zero.
library Holdings {
    using Terms for Terms.State;

    struct State {
        Terms.State first;
        mapping(uint256 purposes => Terms.State) others;
    }

    uint256 private constant SETS_BITS = 64;
    uint256 private constant SETS = 2 ** 64 - 1;

    /// @notice Adds a term of a set, a set of purposes that isn't empty, and returns its index among those of the set.
    function add(State storage self, uint256 purposes, uint256 start, uint256 end) internal returns (uint256 index) {
        uint256 mark = self.first.mark();
        uint256 first = mark >> SETS_BITS;
        uint256 known = mark | 1 << purposes;
        if (first == 0) known |= purposes << SETS_BITS;
        if (first == 0 || first == purposes) return self.first.add(start, end, known);

        if (known != mark) self.first.setMark(known);
        return self.others[purposes].add(start, end, 0);
    }

    /// @notice The terms of a set.
    function termsOf(State storage self, uint256 purposes) internal view returns (Terms.State storage) {
        return self.first.mark() >> SETS_BITS == purposes ? self.first : self.others[purposes];
    }

    /// @notice Whether a license of any set that allows all of `purpose` holds `time`.
    /// @dev At most 32 rounds: the sets that hold one given purpose, and of them only those that there are.
    function covers(State storage self, uint32 purpose, uint256 time) internal view returns (bool) {
        uint256 mark = self.first.mark();
        uint256 first = mark >> SETS_BITS;
        uint256 sets = mark & SETS & Purposes.coveringSets(purpose);
        for (uint256 set; sets != 0; ++set) {
            if (sets & 1 != 0 && (set == first ? self.first : self.others[set]).covers(time)) return true;
            sets >>= 1;
        }
        return false;
    }
}
