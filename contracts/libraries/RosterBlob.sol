// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RosterEntry} from "../types/Types.sol";
import {CodeBlob} from "./CodeBlob.sol";

/// @title RosterBlob
/// @notice A roster's bytes as kept in contract code:
///
///   20  stake source that counted the stake
///  256  aggregate key
///  then for each operator, ascending by address, 88 + 16·collaterals bytes:
///       20 operator | 2 first ticket | 2 tickets | 32 key hash | 16 weight | 16 bond slash | 16 stake slash of each collateral
library RosterBlob {
    uint256 internal constant KEY_BYTES = 256;
    uint256 private constant HEAD_BYTES = 20 + KEY_BYTES;
    uint256 private constant ENTRY_BYTES = 88;
    uint256 private constant AMOUNT_BYTES = 16;

    /// @notice Bytes of one entry.
    function entryBytes(uint256 collaterals) internal pure returns (uint256) {
        return ENTRY_BYTES + AMOUNT_BYTES * collaterals;
    }

    /// @notice Room for a roster of `count` operators, with its head written.
    function create(address source, bytes memory aggregateKey, uint256 count, uint256 collaterals)
        internal
        pure
        returns (bytes memory data)
    {
        uint256 length = HEAD_BYTES + count * entryBytes(collaterals);
        // entries are written in whole words, each overwriting what the one before it wrote too much; the last needs room
        data = new bytes(length + 32);
        assembly ("memory-safe") {
            mstore(data, length)
            mstore(add(data, 32), shl(96, source))
            mcopy(add(data, 52), add(aggregateKey, 32), KEY_BYTES)
        }
    }

    /// @notice Writes an entry; those before it are written already, those after it are not.
    function put(bytes memory data, uint256 index, RosterEntry memory entry, uint256[] memory stakeSlashes)
        internal
        pure
    {
        uint256 at_ = HEAD_BYTES + index * entryBytes(stakeSlashes.length);
        bytes32 places = bytes32(
            (uint256(uint160(entry.operator)) << 96) | (uint256(entry.firstTicket) << 80)
                | (uint256(entry.tickets) << 64)
        );
        _write(data, at_, places);
        _write(data, at_ + 24, entry.keyHash);
        _write(data, at_ + 56, bytes32((uint256(entry.weight) << 128) | entry.bondSlash));
        for (uint256 c = 0; c < stakeSlashes.length; ++c) {
            // fits: never above what was counted, which Shards keeps below 128 bits
            _write(data, at_ + ENTRY_BYTES + AMOUNT_BYTES * c, bytes32(stakeSlashes[c] << 128));
        }
    }

    function sourceOf(address blob) internal view returns (address) {
        return address(bytes20(CodeBlob.read(blob, 0, 20)));
    }

    function aggregateKeyOf(address blob) internal view returns (bytes memory) {
        return CodeBlob.read(blob, 20, KEY_BYTES);
    }

    function entryAt(address blob, uint256 collaterals, uint256 index)
        internal
        view
        returns (RosterEntry memory entry)
    {
        bytes memory data = CodeBlob.read(blob, HEAD_BYTES + index * entryBytes(collaterals), ENTRY_BYTES);
        entry.operator = address(bytes20(_word(data, 0)));
        entry.firstTicket = uint16(bytes2(_word(data, 20)));
        entry.tickets = uint16(bytes2(_word(data, 22)));
        entry.keyHash = _word(data, 24);
        entry.weight = uint128(bytes16(_word(data, 56)));
        entry.bondSlash = uint128(bytes16(_word(data, 72)));
    }

    function stakeSlashesAt(address blob, uint256 collaterals, uint256 index)
        internal
        view
        returns (uint256[] memory amounts)
    {
        uint256 start = HEAD_BYTES + index * entryBytes(collaterals) + ENTRY_BYTES;
        bytes memory data = CodeBlob.read(blob, start, AMOUNT_BYTES * collaterals);
        amounts = new uint256[](collaterals);
        for (uint256 c = 0; c < collaterals; ++c) {
            amounts[c] = uint128(bytes16(_word(data, AMOUNT_BYTES * c)));
        }
    }

    /// @notice Index of an operator's entry, found by halving; `count` if it has none.
    function indexOf(address blob, uint256 collaterals, uint256 count, address operator)
        internal
        view
        returns (uint256)
    {
        uint256 low = 0;
        uint256 high = count;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            address at_ = address(bytes20(CodeBlob.read(blob, HEAD_BYTES + middle * entryBytes(collaterals), 20)));
            if (at_ == operator) return middle;
            if (at_ < operator) low = middle + 1;
            else high = middle;
        }
        return count;
    }

    function _write(bytes memory data, uint256 offset, bytes32 word) private pure {
        assembly ("memory-safe") {
            mstore(add(add(data, 32), offset), word)
        }
    }

    /// @notice The 32 bytes from `offset` on; past the end of `data` they are whatever memory holds, so callers cut off what isn't theirs.
    function _word(bytes memory data, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }
}
