// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MintableToken} from "./MintableToken.sol";

/// @title FeeToken
/// @notice Keeps a hundredth of every transfer (rounded up): less arrives than was sent.
contract FeeToken is MintableToken {
    address private constant COLLECTOR = address(0xfee);

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, value);

        uint256 fee = (value + 99) / 100;
        super._update(from, COLLECTOR, fee);
        super._update(from, to, value - fee);
    }
}
