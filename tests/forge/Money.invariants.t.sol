// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MoneyHandler} from "./MoneyHandler.sol";
import {Test} from "./Test.sol";

/// @title MoneyInvariants
/// @notice I-M1 … I-M23 of docs/invariants.md after every call of random sequences (`make fuzz`).
contract MoneyInvariants is Test {
    MoneyHandler public handler;

    function setUp() external {
        handler = new MoneyHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_money() external view {
        handler.check();
    }
}
