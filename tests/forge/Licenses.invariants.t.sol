// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LicensesHandler} from "./LicensesHandler.sol";
import {Test} from "./Test.sol";

/// @title LicensesMoneyInvariants
/// @notice Payments with Licenses and Assets attached: I-M1 … I-M3, I-M6, I-M23, I-M28 … I-M32, I-L2, I-L5, I-V1 of docs/invariants.md after every call of random sequences
/// (`make fuzz`).
contract LicensesMoneyInvariants is Test {
    LicensesHandler public handler;

    function setUp() external {
        handler = new LicensesHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_licenses() external {
        handler.check();
    }
}
