// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MintableToken} from "./MintableToken.sol";

/// @title ReenteringToken
/// @notice Makes a call of its owner's choosing, once, in the middle of the next transfer: before or after balances change.
contract ReenteringToken is MintableToken {
    address private _target;
    bytes private _data;
    bool private _beforeBalances;
    bool private _bubbles;

    /// @notice Whether the last callback succeeded, and what it returned.
    bool public lastSuccess;
    bytes public lastReturned;
    uint256 public calls;

    /// @notice Arms the token. `bubbles`: a callback that fails makes the transfer fail.
    function arm(address target, bytes calldata data, bool beforeBalances, bool bubbles) external {
        _target = target;
        _data = data;
        _beforeBalances = beforeBalances;
        _bubbles = bubbles;
    }

    /// @notice Lets the token itself act, as its own callback's caller does (approvals, for instance).
    function act(address target, bytes calldata data) external returns (bytes memory) {
        return _call(target, data, true);
    }

    function _update(address from, address to, uint256 value) internal override {
        bool armed = _target != address(0) && from != address(0);
        if (armed && _beforeBalances) _callBack();
        super._update(from, to, value);
        if (armed && !_beforeBalances) _callBack();
    }

    function _callBack() private {
        address target = _target;
        _target = address(0);
        ++calls;
        lastReturned = _call(target, _data, _bubbles);
    }

    function _call(address target, bytes memory data, bool bubbles) private returns (bytes memory returned) {
        (lastSuccess, returned) = target.call(data);
        if (!lastSuccess && bubbles) {
            assembly ("memory-safe") {
                revert(add(returned, 32), mload(returned))
            }
        }
    }
}
