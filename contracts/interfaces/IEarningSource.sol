// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Where something may be earned
/// @notice A module that can bring what an account has earned into that account in Payments. `IPayments.claimFrom` asks it to, before it pays out.
///
/// Safety assumption for callers: it only ever credits the account that earned, so that anyone may call it for anyone.
interface IEarningSource {
    /// @notice Books what `account` has earned under `what`, which each source encodes as it says. Reverts where there is nothing.
    function settleFor(address account, bytes calldata what) external;
}
