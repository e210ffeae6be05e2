// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AuditsHandler} from "./AuditsHandler.sol";
import {Test} from "./Test.sol";

/// @title AuditsInvariants
/// @notice I-A1 … I-A5 of Audits, I-O1, I-O3 and I-O4 of Objects, I-W1 and I-W2 of Rewards after every call of random sequences (`make fuzz`).
contract AuditsInvariants is Test {
    AuditsHandler public handler;

    function setUp() external {
        handler = new AuditsHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_audits() external view {
        handler.check();
    }
}
