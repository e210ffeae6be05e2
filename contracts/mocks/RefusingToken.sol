// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MintableToken} from "./MintableToken.sol";

/// @title RefusingToken
/// @notice Refuses transfers to or from an address, or all of them, in the way it is told to: as tokens with block lists, pauses, or malice do.
contract RefusingToken is MintableToken {
    error Refused(address from, address to);

    enum Manner {
        Reverts,
        ReturnsFalse,
        BurnsGas,
        ReturnsMuch,
        RevertsWithMuch
    }

    mapping(address account => bool) public refused;
    bool public refusesAll;
    Manner public manner;

    function refuse(address account, bool yes) external {
        refused[account] = yes;
    }

    function refuseAll(bool yes) external {
        refusesAll = yes;
    }

    function setManner(Manner manner_) external {
        manner = manner_;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        if (_isRefused(msg.sender, to) && !_refuse(msg.sender, to)) return false;
        return super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        if (_isRefused(from, to) && !_refuse(from, to)) return false;
        return super.transferFrom(from, to, value);
    }

    function _isRefused(address from, address to) private view returns (bool) {
        return refusesAll || refused[from] || refused[to];
    }

    function _refuse(address from, address to) private view returns (bool) {
        Manner how = manner;
        if (how == Manner.ReturnsFalse) return false;
        if (how == Manner.BurnsGas) {
            assembly {
                invalid()
            }
        }
        // A hundred kilobytes, which whoever copies them pays for.
        if (how == Manner.ReturnsMuch) {
            assembly {
                return(0, 100000)
            }
        }
        if (how == Manner.RevertsWithMuch) {
            assembly {
                revert(0, 100000)
            }
        }
        revert Refused(from, to);
    }
}
