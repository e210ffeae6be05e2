// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title AnswerDouble
/// @notice Answers every call with the same word: a verifier that accepts everything, or nothing.
contract AnswerDouble {
    uint256 private immutable ANSWER;

    constructor(uint256 answer) {
        ANSWER = answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return abi.encode(ANSWER);
    }
}
