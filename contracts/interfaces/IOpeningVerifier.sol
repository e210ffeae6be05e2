// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IOpeningVerifier
/// @notice Judges openings of folded polynomial commitments: the check under every audit response.
///
/// Openings are linear, so one evaluation and one proof answer for any number of slices: if Cⱼ commits to pⱼ, then
/// Σ γⱼ·Cⱼ commits to Σ γⱼ·pⱼ. **The identity is a valid commitment, fold and proof**: slices of zeros have it.
///
/// Safety assumption, which the caller must provide: the point z and the weights γ are drawn after the commitments and
/// the polynomials are fixed (from a seed and a hash of the commitments), else a fold proves nothing of its parts.
interface IOpeningVerifier {
    /// @notice There is nothing to fold: a response over no slices is not a response.
    error FoldEmpty();

    /// @notice The points are not 96 bytes for each weight.
    error PointsLengthInvalid(uint256 got, uint256 expected);

    /// @notice The proof has the wrong number of bytes.
    error ProofLengthInvalid(uint256 got, uint256 expected);

    /// @notice Tells whether the polynomial committed by Σ weights[j]·pointⱼ takes the value `y` at `z`.
    /// Points that are off the curve or outside the subgroup, values that are no field elements, and malformed proofs
    /// are answered with false.
    /// @param points The commitments, uncompressed, 96 bytes each (x ‖ y, 48 bytes each; the identity is 96 zero bytes).
    /// @param weights The weight of each commitment. A first weight of 1 is cheaper.
    /// @param z Where the polynomial is evaluated, below the field's modulus.
    /// @param y The value claimed, below the field's modulus.
    /// @param proof The KZG proof, 48 bytes, compressed.
    function verifyFold(bytes calldata points, uint256[] calldata weights, uint256 z, uint256 y, bytes calldata proof)
        external
        view
        returns (bool);
}
