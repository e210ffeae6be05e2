// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RlpHeader} from "../libraries/RlpHeader.sol";

/// @title RlpHeaderHarness
/// @notice Calls the library from outside, for tests.
contract RlpHeaderHarness {
    function parse(bytes calldata header) external pure returns (uint256 number, uint256 timestamp, bytes32 randao) {
        return RlpHeader.parse(header);
    }
}
