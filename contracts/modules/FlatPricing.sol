// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IPricing} from "../interfaces/IPricing.sol";

/// @title FlatPricing
/// @notice Fees in proportion to bytes, whatever the shard's load.
contract FlatPricing is IPricing {
    /// What prices are scaled by.
    uint256 private constant SCALE = 1e18;

    /// Bytes of an element.
    uint256 private constant ELEMENT_BYTES = 32;

    /// @inheritdoc IPricing
    function rowFee(uint256 shardPricePerByteEpoch, uint256 width) external pure returns (uint256) {
        return _fee(shardPricePerByteEpoch, ELEMENT_BYTES * width);
    }

    /// @inheritdoc IPricing
    function intakeFee(uint256 shardIntakePricePerByte, uint256 storedBytes) external pure returns (uint256) {
        return _fee(shardIntakePricePerByte, storedBytes);
    }

    function _fee(uint256 pricePerByte, uint256 sizeBytes) private pure returns (uint256) {
        return Math.mulDiv(pricePerByte, sizeBytes, SCALE, Math.Rounding.Ceil);
    }
}
