// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IKeyProofs: what Keys has to compute on the curve, and of block headers. Holds nothing.
/// @notice Points are raw: 96 bytes of G1, 192 of G2. See IKeys for what is checked, and why.
interface IKeyProofs {
    /// @notice P or R + P is the identity, or P is no point of the subgroup.
    error PointRejected(bytes point);
    /// @notice The header is not the block's, or the chain no longer knows that block's hash.
    error HeaderWrong(uint256 blockNumber);

    /// @notice R + P, R = hash_to_G1(bound). Does not check P's subgroup: `provesPossession` does.
    function blind(bytes32 bound, bytes calldata point) external view returns (bytes memory);
    /// @notice Whether c = keccak(bound ‖ P ‖ [z]G₁ − [c]P): whoever made the proof knows P's logarithm. Reverts for the identity and for what is no point of the
    /// subgroup.
    function provesPossession(bytes32 bound, bytes calldata point, uint256 challenge, uint256 response)
        external
        view
        returns (bool);
    /// @notice Whether e(E, G₂) = e(R + P, Y). The identity, other lengths and points outside of their subgroups are answered with false.
    function isRight(bytes calldata blinded, bytes calldata answer, bytes calldata commitment)
        external
        view
        returns (bool);
    /// @notice A block's time in seconds, by its header.
    function timeOf(bytes calldata header, uint256 blockNumber) external view returns (uint256);
}
