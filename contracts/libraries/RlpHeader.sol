// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RlpHeader
/// @notice Reads what is needed of an execution block's header in RLP. The header is a list of strings; whatever fork
/// adds fields adds them at the end.
///
/// Fields: 0 parent hash, 1 ommers' hash, 2 beneficiary, 3 state root, 4 transactions' root, 5 receipts' root, 6 bloom,
/// 7 difficulty, **8 number**, 9 gas limit, 10 gas used, **11 timestamp**, 12 extra data, **13 prevRandao**, 14 nonce, …
library RlpHeader {
    /// @notice The bytes are no canonical RLP of a header; `position` is where they were found not to be.
    error HeaderMalformed(uint256 position);

    uint256 private constant NUMBER_FIELD = 8;
    uint256 private constant TIMESTAMP_FIELD = 11;
    uint256 private constant RANDAO_FIELD = 13;

    /// Prefixes of RLP: from here on a string of up to 55 bytes, of more bytes, a list of up to 55 bytes, of more bytes.
    uint256 private constant SHORT_STRING = 0x80;
    uint256 private constant LONG_STRING = 0xb8;
    uint256 private constant SHORT_LIST = 0xc0;
    uint256 private constant LONG_LIST = 0xf8;

    /// The longest content whose length stands in the prefix itself.
    uint256 private constant SHORT_LIMIT = 55;

    /// @notice The block's number, its time in seconds and its RANDAO mix.
    function parse(bytes calldata header) internal pure returns (uint256 number, uint256 timestamp, bytes32 randao) {
        // All positions and lengths are compared with the header's length before they are added: nothing overflows.
        unchecked {
            uint256 cursor = _payloadOf(header);
            uint256 start;
            uint256 length;
            for (uint256 field = 0; field <= RANDAO_FIELD; ++field) {
                (start, length) = _stringAt(header, cursor);
                if (field == NUMBER_FIELD) number = _integerAt(header, start, length);
                else if (field == TIMESTAMP_FIELD) timestamp = _integerAt(header, start, length);
                cursor = start + length;
            }
            if (length != 32) revert HeaderMalformed(start);
            randao = bytes32(_wordAt(header, start));
        }
    }

    /// Where the list's content begins. It must end with the bytes given. No header is shorter than 56 bytes.
    function _payloadOf(bytes calldata header) private pure returns (uint256 start) {
        if (header.length == 0) revert HeaderMalformed(0);
        uint256 prefix = _byteAt(header, 0);
        if (prefix < LONG_LIST) revert HeaderMalformed(0);

        uint256 length;
        unchecked {
            (start, length) = _longLength(header, 0, prefix - (LONG_LIST - 1));
            if (length != header.length - start) revert HeaderMalformed(start);
        }
    }

    /// The content of the string whose prefix stands at `cursor`.
    function _stringAt(bytes calldata header, uint256 cursor) private pure returns (uint256 start, uint256 length) {
        if (cursor >= header.length) revert HeaderMalformed(cursor);
        uint256 prefix = _byteAt(header, cursor);

        if (prefix < SHORT_STRING) return (cursor, 1);
        if (prefix >= SHORT_LIST) revert HeaderMalformed(cursor);

        unchecked {
            if (prefix < LONG_STRING) {
                (start, length) = (cursor + 1, prefix - SHORT_STRING);
            } else {
                (start, length) = _longLength(header, cursor, prefix - (LONG_STRING - 1));
            }
            if (length > header.length - start) revert HeaderMalformed(cursor);
        }
        // A single byte below 0x80 stands for itself.
        if (length == 1 && prefix < LONG_STRING && _byteAt(header, start) < SHORT_STRING) {
            revert HeaderMalformed(cursor);
        }
    }

    /// The length that follows a long prefix in 1 to 8 bytes: without leading zeros, and none that would be short.
    function _longLength(bytes calldata header, uint256 cursor, uint256 lengthBytes)
        private
        pure
        returns (uint256 start, uint256 length)
    {
        unchecked {
            start = cursor + 1 + lengthBytes;
            if (start > header.length) revert HeaderMalformed(cursor);
            if (_byteAt(header, cursor + 1) == 0) revert HeaderMalformed(cursor + 1);

            length = _wordAt(header, cursor + 1) >> (256 - 8 * lengthBytes);
        }
        if (length <= SHORT_LIMIT) revert HeaderMalformed(cursor);
    }

    /// An integer of at most 8 bytes without leading zeros; zero is the empty string.
    function _integerAt(bytes calldata header, uint256 start, uint256 length) private pure returns (uint256) {
        if (length == 0) return 0;
        if (length > 8 || _byteAt(header, start) == 0) revert HeaderMalformed(start);
        unchecked {
            return _wordAt(header, start) >> (256 - 8 * length);
        }
    }

    /// The byte at a position below the header's length.
    function _byteAt(bytes calldata header, uint256 position) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(0, calldataload(add(header.offset, position)))
        }
    }

    /// The 32 bytes from a position on; those beyond the header's end mean nothing.
    function _wordAt(bytes calldata header, uint256 position) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := calldataload(add(header.offset, position))
        }
    }
}
