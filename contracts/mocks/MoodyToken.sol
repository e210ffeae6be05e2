// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MintableToken} from "./MintableToken.sol";

/// @title MoodyToken
/// @notice Behaves in its next transfers as it is told to.
contract MoodyToken is MintableToken {
    enum Mood {
        Honest,
        // says that it moved, and did not
        Silent,
        ReturnsFalse,
        Reverts,
        // a hundredth, rounded up, goes nowhere
        KeepsFee,
        // calls somebody before it moves, whatever comes of it
        CallsBack
    }

    Mood public mood;
    address private _target;
    bytes private _data;
    bool public lastSuccess;

    error InBadMood();

    function setMood(Mood mood_, address target, bytes calldata data) external {
        (mood, _target, _data) = (mood_, target, data);
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return _begin() && (mood == Mood.Silent || super.transfer(to, value));
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return _begin() && (mood == Mood.Silent || super.transferFrom(from, to, value));
    }

    function _begin() private returns (bool) {
        if (mood == Mood.Reverts) revert InBadMood();
        if (mood == Mood.CallsBack) (lastSuccess,) = _target.call(_data);
        return mood != Mood.ReturnsFalse;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (mood == Mood.KeepsFee && from != address(0) && to != address(0)) _burn(to, (value + 99) / 100);
    }
}
