// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {CollateralWeight, ShardParameters} from "../types/Types.sol";
import {CodeBlob} from "./CodeBlob.sol";

/// @title MissTerms
/// @notice What a miss takes in a shard, which never changes, as kept in contract code: one account instead of up to 13 slots.
///
///   20  bond token
///   16  slash of the bond for each ticket | 16 of the stake, in weight | 16 the reporter's fee
///  then for each collateral: 20 token | 12 weight of a unit, WAD
library MissTerms {
    using Math for uint256;

    uint256 private constant BOND_SLASH_AT = 20;
    uint256 private constant STAKE_SLASH_AT = 36;
    uint256 private constant FEE_AT = 52;
    uint256 private constant HEAD_BYTES = 68;
    uint256 private constant WORD_BYTES = 32;
    uint256 private constant WAD = 1e18;
    /// What one collateral can count for: keeps weights (8 collaterals, weights up to 10⁶ each) below 2¹²⁸.
    uint256 internal constant MAX_COUNTED = type(uint104).max;

    /// @notice Writes a shard's; ShardRules has bounded what is narrowed here, but for the fee, of which more than half a slash is never paid.
    function write(ShardParameters calldata p, CollateralWeight[] calldata collaterals)
        internal
        returns (address blob)
    {
        bytes memory data = abi.encodePacked(
            p.bondToken,
            uint128(p.bondSlashPerTicket),
            uint128(p.stakeSlashPerTicket),
            uint128(p.reporterFee.min(type(uint128).max))
        );
        for (uint256 c = 0; c < collaterals.length; ++c) {
            data = bytes.concat(data, abi.encodePacked(collaterals[c].token, collaterals[c].weightWad));
        }
        return CodeBlob.write(data);
    }

    function load(address blob) internal view returns (bytes memory terms) {
        return CodeBlob.read(blob, 0, CodeBlob.sizeOf(blob));
    }

    function bondToken(bytes memory terms) internal pure returns (address) {
        return _address(terms, 0);
    }

    function bondSlash(bytes memory terms, uint256 tickets) internal pure returns (uint256) {
        return _half(terms, BOND_SLASH_AT) * tickets;
    }

    function reporterFee(bytes memory terms) internal pure returns (uint256) {
        return _half(terms, FEE_AT);
    }

    function collateralCount(bytes memory terms) internal pure returns (uint256) {
        return (terms.length - HEAD_BYTES) / WORD_BYTES;
    }

    function collateral(bytes memory terms, uint256 c) internal pure returns (address) {
        return _address(terms, HEAD_BYTES + c * WORD_BYTES);
    }

    /// @notice Turns the units of each collateral that a slash could take, in place, into those that the miss of so many tickets takes: its weight, or
    /// all if there is less, is spread over them by their values. Rounded down.
    function spread(bytes memory terms, uint256 tickets, uint256[] memory units, uint256[] memory values)
        internal
        pure
    {
        uint256 n = units.length;
        uint256 total = 0;
        // a roster has few collaterals and tickets: products stay below 2¹⁰⁴ · 2⁹⁶ and 2¹²⁸ · 2¹⁶
        unchecked {
            for (uint256 c = 0; c < n; ++c) {
                total += values[c].min(MAX_COUNTED) * uint96(_word(terms, HEAD_BYTES + c * WORD_BYTES)) / WAD;
            }
            uint256 weight = total.min(_half(terms, STAKE_SLASH_AT) * tickets);
            for (uint256 c = 0; c < n; ++c) {
                units[c] = total == 0 ? 0 : units[c].mulDiv(weight, total);
            }
        }
    }

    function _address(bytes memory data, uint256 offset) private pure returns (address) {
        return address(uint160(_word(data, offset) >> 96));
    }

    /// @notice 16 bytes.
    function _half(bytes memory data, uint256 offset) private pure returns (uint256) {
        return _word(data, offset) >> 128;
    }

    /// @notice The 32 bytes from `offset` on; past the end of `data` they are whatever memory holds, so callers cut off what isn't theirs.
    function _word(bytes memory data, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }
}
