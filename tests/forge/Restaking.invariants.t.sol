// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Handler} from "./Handler.sol";
import {Test} from "./Test.sol";

/// @title RestakingInvariants
/// @notice I-R1 … I-R9 of Restaking's opening comment after every call of random sequences (`make fuzz`).
contract RestakingInvariants is Test {
    Handler public handler;

    function setUp() external {
        handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_restaking() external view {
        handler.check();
    }
}
