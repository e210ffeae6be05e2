// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IPricing
/// @notice Turns a shard's prices into fees, in the smallest units of the payment token, rounded up.
///
/// Prices are scaled by 1e18: a price of 1e18 is one unit for each byte. Fees never fall when a price or a size grows.
interface IPricing {
    /// @notice The fee of one slice for one epoch.
    /// @param shardPricePerByteEpoch Units × 1e18 for each stored byte and epoch.
    /// @param width Elements of 32 bytes in a slice.
    function rowFee(uint256 shardPricePerByteEpoch, uint256 width) external view returns (uint256);

    /// @notice The fee of taking in a whole object, paid once and not returned.
    /// @param shardIntakePricePerByte Units × 1e18 for each stored byte.
    /// @param storedBytes The bytes of all slices of the object.
    function intakeFee(uint256 shardIntakePricePerByte, uint256 storedBytes) external view returns (uint256);
}
