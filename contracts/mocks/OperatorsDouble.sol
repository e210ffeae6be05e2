// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title OperatorsDouble
/// @notice Stands in for Operators where a test is about key holders: anyone registers anyone.
contract OperatorsDouble {
    mapping(address operator => bool) public isRegistered;
    mapping(address operator => address) public responderOf;

    function put(address operator, address responder) external {
        isRegistered[operator] = true;
        responderOf[operator] = responder;
    }
}
