// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Purposes: what a license allows, one bit each
/// @notice A question may name several bits; only one license that carries them all answers yes. Two that carry one each do not add up:
/// `COMMERCIAL` says how the others may be used, so a license to train for study and one to serve for money are no license to train for money.
library Purposes {
    /// Train a model from the start on the data.
    uint32 internal constant TRAIN = 1 << 0;
    /// Train an existing model further on it.
    uint32 internal constant FINE_TUNE = 1 << 1;
    /// Measure models with it, without training.
    uint32 internal constant EVALUATE = 1 << 2;
    /// Give it to a model as context when it answers.
    uint32 internal constant INFER = 1 << 3;
    /// Hand the data, or a derived dataset, on to others.
    uint32 internal constant REDISTRIBUTE = 1 << 4;
    /// Do the other purposes for money.
    uint32 internal constant COMMERCIAL = 1 << 5;

    /// Number of bits, and all of them.
    uint256 internal constant COUNT = 6;
    uint32 internal constant ALL = uint32(1 << COUNT) - 1;

    /// @notice Whether `purposes` names at least one purpose and no unknown bit.
    function isValid(uint32 purposes) internal pure returns (bool) {
        return purposes != 0 && purposes <= ALL;
    }

    /// @notice Whether a license for `held` allows all of `asked`. Asking for nothing is a mistake, and is answered no.
    function covers(uint32 held, uint32 asked) internal pure returns (bool) {
        return asked != 0 && held & asked == asked;
    }

    /// @notice All sets of purposes that cover `asked`, as a bitmap: bit m stands for the set m. Empty for an invalid `asked`.
    function coveringSets(uint32 asked) internal pure returns (uint256 sets) {
        if (!isValid(asked)) return 0;

        // Bit m of the constant for purpose b is set if m holds b.
        sets = 0xffffffffffffffff;
        if (asked & TRAIN != 0) sets &= 0xaaaaaaaaaaaaaaaa;
        if (asked & FINE_TUNE != 0) sets &= 0xcccccccccccccccc;
        if (asked & EVALUATE != 0) sets &= 0xf0f0f0f0f0f0f0f0;
        if (asked & INFER != 0) sets &= 0xff00ff00ff00ff00;
        if (asked & REDISTRIBUTE != 0) sets &= 0xffff0000ffff0000;
        if (asked & COMMERCIAL != 0) sets &= 0xffffffff00000000;
    }
}
