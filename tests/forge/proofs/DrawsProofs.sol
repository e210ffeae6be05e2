// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Draws} from "../../../contracts/libraries/Draws.sol";

/// @title DrawsProofs
/// @notice What Halmos proves of where a draw's positions lie, for every context, every snapshot below 2^128 rows and every number of samples that a
/// shard may ask for (`make halmos`; docs/testing.md). The hash may be anything: nothing here depends on which.
contract DrawsProofs {
    uint256 private constant MAX_SAMPLES = 64;

    /// The first reads lie each in its own stratum, and no stratum is empty, so that the remainder is of a number above zero.
    function check_positionsLieInTheirStratum(bytes32 context, uint128 rows, uint8 samples, uint8 index) external pure {
        if (samples == 0 || samples > MAX_SAMPLES || samples > rows || index >= samples) return;

        uint256 position = Draws.positionOf(context, rows, samples, index);

        assert(position >= uint256(index) * rows / samples);
        assert(position < (uint256(index) + 1) * rows / samples);
    }

    /// So they lie in the snapshot.
    function check_positionsLieInTheSnapshot(bytes32 context, uint128 rows, uint8 samples, uint8 index) external pure {
        if (samples == 0 || samples > MAX_SAMPLES || samples > rows || index >= samples) return;

        assert(Draws.positionOf(context, rows, samples, index) < rows);
    }

    /// And so do all that replace a void one.
    function check_replacementsLieInTheSnapshot(bytes32 context, uint128 rows, uint8 samples, uint16 index)
        external
        pure
    {
        if (rows == 0 || index < samples) return;

        assert(Draws.positionOf(context, rows, samples, index) < rows);
    }

    /// Strata leave nothing over: the last one ends where the snapshot does.
    function check_strataEndWithTheSnapshot(uint128 rows, uint8 samples) external pure {
        if (samples == 0) return;

        assert(uint256(samples) * rows / samples == rows);
    }

    /// A stratum less: positions may lie beyond it, so this can't be proven.
    function control_positionsLieInTheStratumBefore(bytes32 context, uint128 rows, uint8 samples, uint8 index)
        external
        pure
    {
        if (samples == 0 || samples > MAX_SAMPLES || samples > rows || index >= samples) return;

        assert(Draws.positionOf(context, rows, samples, index) < uint256(index) * rows / samples);
    }
}
