// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChangeHandler} from "./ChangeHandler.sol";
import {Test} from "./Test.sol";

/// @title DirectoryInvariants
/// @notice I-D1 … I-D3 of the Directory's opening comment after every call of random sequences (`make fuzz`).
contract DirectoryInvariants is Test {
    ChangeHandler public handler;

    function setUp() external {
        handler = new ChangeHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_directory() external view {
        handler.check();
    }
}
