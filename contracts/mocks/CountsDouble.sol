// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title CountsDouble
/// @notice Says how many epochs were answered, as Audits does, and settled, as Rewards does. Accounts that stand where those would are delegated
/// to it (EIP-7702), so that they still send transactions.
contract CountsDouble {
    mapping(address operator => uint256) public answeredCount;
    mapping(address audits => mapping(address operator => uint256)) public settledCount;

    function setAnswered(address operator, uint256 count) external {
        answeredCount[operator] = count;
    }

    function setSettled(address audits, address operator, uint256 count) external {
        settledCount[audits][operator] = count;
    }
}
