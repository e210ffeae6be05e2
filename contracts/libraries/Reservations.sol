// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Purposes} from "./Purposes.sol";

/// @title Reservations
/// @notice Which purposes of an asset are sold exclusively, and until when: what keeps an exclusive license from being sold beside any other of the same
/// purpose, in whatever order sales come. One word for each asset, with a lane of 41 bits for every purpose: the latest end of a license that holds it, and whether
/// the license that it is the end of is exclusive. One bit is enough: while an exclusive license is in force nothing else is sold for its purposes, so the
/// latest end is its own; and once it is over the next one that is sold ends later.
///
/// `COMMERCIAL` says how the other purposes may be used, so it has no lane: who trains exclusively is the only one to train, for money or not.
///
/// Invariants:
/// - I-V1  no exclusive license is in force together with another license of the same asset and a common purpose
/// - I-V2  a lane's end ≥ the end of every license that holds the purpose, unless an exclusive one was released
library Reservations {
    /// @notice A purpose is sold until then: to one licensee alone, or, for an exclusive sale, to anyone.
    error PurposeTaken(uint32 purpose, uint256 until);

    struct State {
        // lane: end ‖ 1 if it is of an exclusive license
        uint256 lanes;
    }

    uint256 private constant LANES = 5;
    uint256 private constant LANE_BITS = 41;
    uint256 private constant LANE = 2 ** 41 - 1;

    /// @notice Whether there is anything in `purposes` that can be exclusive.
    function isExclusive(uint32 purposes) internal pure returns (bool) {
        return purposes & ~Purposes.COMMERCIAL != 0;
    }

    /// @notice Takes purposes for a license over [now, end), `end` below 2^40.
    function reserve(State storage self, uint32 purposes, uint256 end, bool exclusive) internal {
        uint256 lanes = self.lanes;
        uint256 taken = lanes;
        // up to the highest purpose
        for (uint256 lane; lane < LANES && purposes >> lane != 0; ++lane) {
            if (purposes >> lane & 1 == 0) continue;
            uint256 value = lanes >> lane * LANE_BITS & LANE;
            uint256 until = value >> 1;
            bool blocks = exclusive || value & 1 != 0;
            if (blocks && until > block.timestamp) revert PurposeTaken(uint32(1 << lane), until);
            if (end > until) taken = _with(taken, lane, end, exclusive);
        }
        if (taken != lanes) self.lanes = taken;
    }

    /// @notice Until when any of `purposes` is sold, and until when exclusively: from then on they can be sold exclusively, or at all.
    function takenUntil(State storage self, uint32 purposes) internal view returns (uint256 sold, uint256 reserved) {
        uint256 lanes = self.lanes;
        for (uint256 lane; lane < LANES; ++lane) {
            if (purposes >> lane & 1 == 0) continue;
            uint256 value = lanes >> lane * LANE_BITS & LANE;
            sold = Math.max(sold, value >> 1);
            if (value & 1 != 0) reserved = Math.max(reserved, value >> 1);
        }
    }

    /// @notice Prolongs what a license in force took, to `end`, which is later: nothing that clashes with it can have been sold.
    function prolong(State storage self, uint32 purposes, uint256 end, bool exclusive) internal {
        uint256 lanes = self.lanes;
        uint256 taken = lanes;
        for (uint256 lane; lane < LANES && purposes >> lane != 0; ++lane) {
            if (purposes >> lane & 1 == 0) continue;
            if (end > (lanes >> lane * LANE_BITS & LANE) >> 1) taken = _with(taken, lane, end, exclusive);
        }
        if (taken != lanes) self.lanes = taken;
    }

    /// @notice Frees what an exclusive license took, which is in force and ends now. Nothing else was sold for its purposes meanwhile, so the lanes are
    /// its own there.
    function release(State storage self, uint32 purposes) internal {
        uint256 lanes = self.lanes;
        for (uint256 lane; lane < LANES; ++lane) {
            if (purposes >> lane & 1 != 0) lanes = _with(lanes, lane, block.timestamp, true);
        }
        self.lanes = lanes;
    }

    function _with(uint256 lanes, uint256 lane, uint256 end, bool exclusive) private pure returns (uint256) {
        uint256 shift = lane * LANE_BITS;
        return lanes & ~(LANE << shift) | (end << 1 | (exclusive ? 1 : 0)) << shift;
    }
}
