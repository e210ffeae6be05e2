// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEarningSource} from "../interfaces/IEarningSource.sol";
import {IPayments} from "../interfaces/IPayments.sol";

/// @title SourceDouble
/// @notice A source of earnings that moves all of its account zero, in the token that it is told, to whoever earned.
contract SourceDouble is IEarningSource {
    IPayments private immutable PAYMENTS;

    constructor(IPayments payments) {
        PAYMENTS = payments;
    }

    function settleFor(address account, bytes calldata what) external {
        address token = abi.decode(what, (address));
        uint256 amount = PAYMENTS.balanceOf(token, PAYMENTS.moduleAccount(address(this), bytes32(0)));
        PAYMENTS.move(token, bytes32(0), PAYMENTS.personAccount(account), amount);
    }
}
