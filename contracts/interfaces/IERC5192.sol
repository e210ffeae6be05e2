// SPDX-License-Identifier: CC0-1.0
pragma solidity 0.8.37;

/// @title Minimal soulbound tokens (ERC-5192)
/// @notice Says of an ERC-721 token that it can't be transferred. Interface id 0xb45a3c0e.
interface IERC5192 {
    /// @notice The token can't be transferred from now on.
    event Locked(uint256 tokenId);

    /// @notice The token can be transferred from now on.
    event Unlocked(uint256 tokenId);

    /// @notice Whether a token can't be transferred.
    function locked(uint256 tokenId) external view returns (bool);
}
