// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOpeningVerifier} from "../interfaces/IOpeningVerifier.sol";
import {Bls12381} from "../libraries/Bls12381.sol";

/// @title KzgOpeningVerifier
/// @notice Folds commitments with one multi-scalar multiplication and checks the fold with Ethereum's own point evaluation.
contract KzgOpeningVerifier is IOpeningVerifier {
    using Bls12381 for Bls12381.G1;

    /// @inheritdoc IOpeningVerifier
    function verifyFold(bytes calldata points, uint256[] calldata weights, uint256 z, uint256 y, bytes calldata proof)
        external
        view
        returns (bool)
    {
        if (weights.length == 0) revert FoldEmpty();
        uint256 expected = weights.length * Bls12381.RAW_G1_BYTES;
        if (points.length != expected) revert PointsLengthInvalid(points.length, expected);
        if (proof.length != Bls12381.COMPRESSED_G1_BYTES) {
            revert ProofLengthInvalid(proof.length, Bls12381.COMPRESSED_G1_BYTES);
        }

        (bool valid, Bls12381.G1 memory fold) = _fold(points, weights);
        if (!valid) return false;

        return Bls12381.verifyOpening(fold.compress(), z, y, proof);
    }

    /// The weighted sum. Where the first weight is 1, its point is added instead of multiplied. An addition refuses what
    /// is off the curve, but not what is outside the subgroup; yet the sum of one point outside and any number inside is
    /// outside, and point evaluation refuses it.
    function _fold(bytes calldata points, uint256[] calldata weights)
        private
        view
        returns (bool valid, Bls12381.G1 memory sum)
    {
        if (weights[0] != 1) return Bls12381.multiplyRaw(points, weights);

        Bls12381.G1 memory rest;
        if (weights.length > 1) {
            (valid, rest) = Bls12381.multiplyRaw(points[Bls12381.RAW_G1_BYTES:], weights[1:]);
            if (!valid) return (false, rest);
        }
        return Bls12381.fromRaw(points[:Bls12381.RAW_G1_BYTES]).add(rest);
    }
}
