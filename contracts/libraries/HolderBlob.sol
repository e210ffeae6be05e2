// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CodeBlob} from "./CodeBlob.sol";

/// @title HolderBlob
/// @notice A key's holders as kept in contract code, 288 + 22·m bytes:
///
///   256  sum of their BLS keys
///   32  their hash (see IKeys)
///  then for each place 20 bytes: operator, 2 bytes: its seat in the roster
library HolderBlob {
    uint256 private constant KEY_BYTES = 256;
    uint256 private constant HEAD_BYTES = KEY_BYTES + 32;
    uint256 private constant PLACE_BYTES = 22;

    function write(bytes memory sum, bytes32 hash, address[] memory operators, uint256[] memory seats)
        internal
        returns (address blob)
    {
        bytes memory places;
        for (uint256 i; i < operators.length; ++i) {
            places = abi.encodePacked(places, operators[i], uint16(seats[i]));
        }
        return CodeBlob.write(abi.encodePacked(sum, hash, places));
    }

    function keySum(address blob) internal view returns (bytes memory) {
        return CodeBlob.read(blob, 0, KEY_BYTES);
    }

    function holdersHash(address blob) internal view returns (bytes32) {
        return bytes32(CodeBlob.read(blob, KEY_BYTES, 32));
    }

    /// @notice Who has a place; the caller has checked that there is one.
    function at(address blob, uint256 place) internal view returns (address operator, uint256 seat) {
        return _split(bytes32(CodeBlob.read(blob, HEAD_BYTES + place * PLACE_BYTES, PLACE_BYTES)));
    }

    function all(address blob) internal view returns (address[] memory operators, uint256[] memory seats) {
        uint256 count = (CodeBlob.sizeOf(blob) - HEAD_BYTES) / PLACE_BYTES;
        (operators, seats) = (new address[](count), new uint256[](count));
        for (uint256 i; i < count; ++i) {
            (operators[i], seats[i]) = at(blob, i);
        }
    }

    function _split(bytes32 word) private pure returns (address operator, uint256 seat) {
        return (address(bytes20(word)), uint16(bytes2(word << 160)));
    }
}
