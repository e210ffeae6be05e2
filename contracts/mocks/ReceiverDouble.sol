// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Caller} from "./Caller.sol";

/// @title ReceiverDouble
/// @notice A contract that answers a received token, or a question whether it signed, as it is told: with the right word, a wrong one, one with dirt behind it, two bytes
/// of it, or a revert. What it was told of a token stands in `seen`.
contract ReceiverDouble is Caller {
    enum Mood {
        Right,
        Wrong,
        Dirty,
        Short,
        Revert
    }

    Mood public mood;
    bytes public seen;

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function onERC721Received(address, address, uint256, bytes calldata) external returns (bytes4) {
        seen = msg.data;
        _answer();
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        _answer();
    }

    /// Both standards' word is the selector of the question.
    function _answer() private view {
        Mood now_ = mood;
        if (now_ == Mood.Revert) revert("no");
        bytes32 word = now_ == Mood.Wrong ? bytes32(bytes4(0xffffffff)) : bytes32(msg.sig);
        if (now_ == Mood.Dirty) word |= bytes32(uint256(1));
        uint256 length = now_ == Mood.Short ? 2 : 32;
        assembly ("memory-safe") {
            mstore(0, word)
            return(0, length)
        }
    }
}
