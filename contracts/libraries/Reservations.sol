// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Purposes} from "./Purposes.sol";

/// @title Reservations
/// @notice Which purposes of an asset are sold exclusively, and until when: what keeps an exclusive license from being sold beside any other of the same
/// purpose, in whatever order sales come. Two words for each asset, each with a lane of 48 bits for every purpose: the latest end of a license that holds
/// it, and the latest end of an exclusive one.
///
/// `COMMERCIAL` says how the other purposes may be used, so it has no lane: who trains exclusively is the only one to train, for money or not.
///
/// Invariants:
/// - I-V1  no exclusive license is in force together with another license of the same asset and a common purpose
/// - I-V2  soldUntil ≥ the end of every license that holds the purpose, unless an exclusive one was released
library Reservations {
    /// @notice A purpose is sold until then: to one licensee alone, or, for an exclusive sale, to anyone.
    error PurposeTaken(uint32 purpose, uint256 until);

    struct State {
        uint256 soldUntil;
        uint256 exclusiveUntil;
    }

    uint256 private constant LANES = 5;
    uint256 private constant LANE_BITS = 48;
    uint256 private constant LANE = 2 ** 48 - 1;

    /// @notice Whether there is anything in `purposes` that can be exclusive.
    function isExclusive(uint32 purposes) internal pure returns (bool) {
        return purposes & ~Purposes.COMMERCIAL != 0;
    }

    /// @notice Takes purposes for a license over [now, end), `end` below 2^48.
    function reserve(State storage self, uint32 purposes, uint256 end, bool exclusive) internal {
        uint256 sold = self.soldUntil;
        uint256 reserved = self.exclusiveUntil;
        // an exclusive license is a license too: exclusiveUntil ≤ soldUntil
        uint256 blocking = exclusive ? sold : reserved;
        uint256 soldAfter = sold;
        uint256 reservedAfter = reserved;
        for (uint256 lane; lane < LANES; ++lane) {
            if (purposes >> lane & 1 == 0) continue;
            uint256 shift = lane * LANE_BITS;
            uint256 until = blocking >> shift & LANE;
            if (until > block.timestamp) revert PurposeTaken(uint32(1 << lane), until);
            if (end > (sold >> shift & LANE)) soldAfter = soldAfter & ~(LANE << shift) | end << shift;
            if (exclusive) reservedAfter = reservedAfter & ~(LANE << shift) | end << shift;
        }
        if (soldAfter != sold) self.soldUntil = soldAfter;
        if (reservedAfter != reserved) self.exclusiveUntil = reservedAfter;
    }

    /// @notice Until when any of `purposes` is sold, and until when exclusively: from then on they can be sold exclusively, or at all.
    function takenUntil(State storage self, uint32 purposes) internal view returns (uint256 sold, uint256 reserved) {
        (uint256 soldWord, uint256 reservedWord) = (self.soldUntil, self.exclusiveUntil);
        for (uint256 lane; lane < LANES; ++lane) {
            if (purposes >> lane & 1 == 0) continue;
            uint256 shift = lane * LANE_BITS;
            sold = Math.max(sold, soldWord >> shift & LANE);
            reserved = Math.max(reserved, reservedWord >> shift & LANE);
        }
    }

    /// @notice Prolongs what a license in force took, to `end`, which is later: nothing that clashes with it can have been sold.
    function prolong(State storage self, uint32 purposes, uint256 end, bool exclusive) internal {
        self.soldUntil = _raised(self.soldUntil, purposes, end);
        if (exclusive) self.exclusiveUntil = _raised(self.exclusiveUntil, purposes, end);
    }

    function _raised(uint256 word, uint32 purposes, uint256 end) private pure returns (uint256) {
        for (uint256 lane; lane < LANES; ++lane) {
            uint256 shift = lane * LANE_BITS;
            if (purposes >> lane & 1 != 0 && end > (word >> shift & LANE)) {
                word = word & ~(LANE << shift) | end << shift;
            }
        }
        return word;
    }

    /// @notice Frees what an exclusive license took, which is in force and ends now. Nothing else was sold for its purposes meanwhile, so both words are
    /// its own there.
    function release(State storage self, uint32 purposes) internal {
        uint256 sold = self.soldUntil;
        uint256 reserved = self.exclusiveUntil;
        for (uint256 lane; lane < LANES; ++lane) {
            if (purposes >> lane & 1 == 0) continue;
            uint256 shift = lane * LANE_BITS;
            reserved = reserved & ~(LANE << shift) | block.timestamp << shift;
            sold = sold & ~(LANE << shift) | block.timestamp << shift;
        }
        self.soldUntil = sold;
        self.exclusiveUntil = reserved;
    }
}
