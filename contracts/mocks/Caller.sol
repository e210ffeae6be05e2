// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Caller
/// @notice Calls whatever it is told to: a module, a contract wallet or an attacker, as the test needs.
contract Caller {
    /// @notice Calls and hands on what comes back, an error too.
    function run(address target, bytes calldata data) external returns (bytes memory returned) {
        bool success;
        (success, returned) = target.call(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(returned, 32), mload(returned))
            }
        }
    }

    /// @notice Calls several, one after the other, in one transaction.
    function runMany(address[] calldata targets, bytes[] calldata data) external {
        for (uint256 i; i < targets.length; ++i) {
            (bool success, bytes memory returned) = targets[i].call(data[i]);
            if (!success) {
                assembly ("memory-safe") {
                    revert(add(returned, 32), mload(returned))
                }
            }
        }
    }
}
