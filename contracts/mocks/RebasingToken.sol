// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MintableToken} from "./MintableToken.sol";

/// @title RebasingToken
/// @notice Balances change without a transfer: all of them are multiplied by percent/100.
contract RebasingToken is MintableToken {
    uint256 public percent = 100;

    function rebase(uint256 percent_) external {
        percent = percent_;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return super.balanceOf(account) * percent / 100;
    }
}
