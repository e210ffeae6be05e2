// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title ERC-4494: permit for ERC-721
/// @notice `permit` approves `spender` for a token with its owner's EIP-712 signature over
/// Permit(address spender,uint256 tokenId,uint256 nonce,uint256 deadline): 65 bytes, 64 (EIP-2098), or what a contract's `isValidSignature` takes (ERC-1271).
interface IERC4494 {
    function permit(address spender, uint256 tokenId, uint256 deadline, bytes calldata signature) external;
    /// @notice Counts up with every transfer of the token and every permit that was used.
    function nonces(uint256 tokenId) external view returns (uint256);
    // solhint-disable-next-line func-name-mixedcase
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}
