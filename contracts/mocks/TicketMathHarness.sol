// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TicketMath} from "../libraries/TicketMath.sol";

/// @title TicketMathHarness
/// @notice Lets tests call TicketMath, and checks what it says of the result.
contract TicketMathHarness {
    function apportion(uint256[] calldata given) external pure returns (uint256 total, uint256[] memory apportioned) {
        uint256[] memory tickets = given;
        (TicketMath.Shares memory shares, uint256 holders) = TicketMath.apportion(tickets);
        (total, apportioned) = (shares.total, tickets);
        for (uint256 i = 0; i < tickets.length; ++i) {
            if (tickets[i] > shares.largest) revert("largest");
            if (tickets[i] != 0) --shares.holders;
            if (given[i] != 0) --holders;
        }
        if (shares.holders != 0 || holders != 0) revert("holders");
    }
}
