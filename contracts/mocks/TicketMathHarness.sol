// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TicketMath} from "../libraries/TicketMath.sol";

/// @title TicketMathHarness
/// @notice Lets tests call TicketMath.
contract TicketMathHarness {
    function apportion(uint256[] memory tickets) external pure returns (uint256 total, uint256[] memory apportioned) {
        total = TicketMath.apportion(tickets);
        apportioned = tickets;
    }
}
