// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title CodeBlob
/// @notice Immutable bytes kept as the code of an account: 200 gas a byte once, and cheap to read in any part.
/// The code begins with STOP, so that a call to it does nothing.
library CodeBlob {
    /// @notice More bytes than an account's code may hold.
    error BlobTooLarge(uint256 got, uint256 limit);

    /// @notice The account could not be created: too little gas.
    error BlobNotWritten(uint256 size);

    /// @notice There is no blob at this address.
    error BlobMissing(address pointer);

    /// @notice A read goes past the blob's end.
    error BlobOutOfBounds(uint256 start, uint256 length, uint256 size);

    /// The longest blob: 24,576 bytes of code (EIP-170) less the STOP.
    uint256 internal constant MAX_BYTES = 24_575;

    /// @notice Writes `data`, which may be empty, and returns the account that holds it.
    function write(bytes memory data) internal returns (address pointer) {
        uint256 size = data.length;
        if (size > MAX_BYTES) revert BlobTooLarge(size, MAX_BYTES);

        // Init code that returns what follows it, 11 bytes:
        //   61 LLLL  PUSH2 size + 1    80  DUP1    60 0a  PUSH1 10    5f  PUSH0    39  CODECOPY    5f  PUSH0    f3  RETURN
        // (CODECOPY eats one copy of the length, RETURN the other), of which the STOP, 00, is the code's first byte.
        bytes memory init = abi.encodePacked(hex"61", uint16(size + 1), hex"80600a5f395ff300", data);
        assembly ("memory-safe") {
            pointer := create(0, add(init, 32), mload(init))
        }
        if (pointer == address(0)) revert BlobNotWritten(size);
    }

    /// @notice The account that a contract created as its `number`-th, from 1 on: keccak256(rlp([creator, number])), since a contract's nonce begins at 1
    /// (EIP-161) and counts what it creates. A contract that creates nothing but blobs finds each by its number, and needs no slot for its address.
    function createdBy(address creator, uint256 number) internal pure returns (address) {
        bytes memory encoded;
        if (number < 0x80) encoded = abi.encodePacked(hex"d694", creator, uint8(number));
        else if (number <= type(uint8).max) encoded = abi.encodePacked(hex"d794", creator, hex"81", uint8(number));
        else if (number <= type(uint16).max) encoded = abi.encodePacked(hex"d894", creator, hex"82", uint16(number));
        else if (number <= type(uint24).max) encoded = abi.encodePacked(hex"d994", creator, hex"83", uint24(number));
        else encoded = abi.encodePacked(hex"da94", creator, hex"84", uint32(number));
        return address(uint160(uint256(keccak256(encoded))));
    }

    /// @notice The number of bytes in a blob.
    function sizeOf(address pointer) internal view returns (uint256) {
        uint256 codeBytes = pointer.code.length;
        if (codeBytes == 0) revert BlobMissing(pointer);
        return codeBytes - 1;
    }

    /// @notice Reads `length` bytes from `start` on.
    function read(address pointer, uint256 start, uint256 length) internal view returns (bytes memory data) {
        _checkBounds(pointer, start, length);
        data = new bytes(length);
        _copy(pointer, start, length, data, 0);
    }

    /// @notice Reads `length` bytes from `start` on into `data`, which has room for them from `at` on: the caller has seen to that.
    function readInto(address pointer, uint256 start, uint256 length, bytes memory data, uint256 at) internal view {
        _checkBounds(pointer, start, length);
        _copy(pointer, start, length, data, at);
    }

    function _checkBounds(address pointer, uint256 start, uint256 length) private view {
        uint256 size = sizeOf(pointer);
        if (start > size || length > size - start) revert BlobOutOfBounds(start, length, size);
    }

    function _copy(address pointer, uint256 start, uint256 length, bytes memory data, uint256 at) private view {
        assembly ("memory-safe") {
            extcodecopy(pointer, add(add(data, 32), at), add(start, 1), length)
        }
    }
}
