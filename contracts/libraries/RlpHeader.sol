// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RlpHeader
/// @notice Reads what is needed of an execution block's header in RLP. The header is a list of strings; whatever fork
/// adds fields adds them at the end.
///
/// Fields: 0 parent hash, 1 ommers' hash, 2 beneficiary, 3 state root, 4 transactions' root, 5 receipts' root, 6 bloom,
/// 7 difficulty, **8 number**, 9 gas limit, 10 gas used, 11 timestamp, 12 extra data, **13 prevRandao**, 14 nonce, …
library RlpHeader {
    /// @notice The bytes are no canonical RLP of a header; `position` is where they were found not to be.
    error HeaderMalformed(uint256 position);

    uint256 private constant NUMBER_FIELD = 8;
    uint256 private constant RANDAO_FIELD = 13;

    /// Prefixes of RLP: from here on a string of up to 55 bytes, of more bytes, a list of up to 55 bytes, of more bytes.
    uint256 private constant SHORT_STRING = 0x80;
    uint256 private constant LONG_STRING = 0xb8;
    uint256 private constant SHORT_LIST = 0xc0;
    uint256 private constant LONG_LIST = 0xf8;

    /// The longest content whose length stands in the prefix itself.
    uint256 private constant SHORT_LIMIT = 55;

    /// @notice The block's number and its RANDAO mix.
    function parse(bytes calldata header) internal pure returns (uint256 number, bytes32 randao) {
        uint256 cursor = _payloadOf(header);
        uint256 start;
        uint256 length;
        for (uint256 field = 0; field <= RANDAO_FIELD; ++field) {
            (start, length) = _stringAt(header, cursor);
            if (field == NUMBER_FIELD) number = _integerAt(header, start, length);
            cursor = start + length;
        }
        if (length != 32) revert HeaderMalformed(start);
        randao = bytes32(header[start:cursor]);
    }

    /// Where the list's content begins. It must end with the bytes given. No header is shorter than 56 bytes.
    function _payloadOf(bytes calldata header) private pure returns (uint256 start) {
        if (header.length == 0) revert HeaderMalformed(0);
        uint256 prefix = uint8(header[0]);
        if (prefix < LONG_LIST) revert HeaderMalformed(0);

        uint256 length;
        (start, length) = _longLength(header, 0, prefix - (LONG_LIST - 1));
        if (length != header.length - start) revert HeaderMalformed(start);
    }

    /// The content of the string whose prefix stands at `cursor`.
    function _stringAt(bytes calldata header, uint256 cursor) private pure returns (uint256 start, uint256 length) {
        if (cursor >= header.length) revert HeaderMalformed(cursor);
        uint256 prefix = uint8(header[cursor]);

        if (prefix < SHORT_STRING) return (cursor, 1);
        if (prefix >= SHORT_LIST) revert HeaderMalformed(cursor);

        if (prefix < LONG_STRING) {
            (start, length) = (cursor + 1, prefix - SHORT_STRING);
        } else {
            (start, length) = _longLength(header, cursor, prefix - (LONG_STRING - 1));
        }
        if (length > header.length - start) revert HeaderMalformed(cursor);
        // A single byte below 0x80 stands for itself.
        if (length == 1 && prefix < LONG_STRING && uint8(header[start]) < SHORT_STRING) revert HeaderMalformed(cursor);
    }

    /// The length that follows a long prefix in `lengthBytes` bytes: without leading zeros, and none that would be short.
    function _longLength(bytes calldata header, uint256 cursor, uint256 lengthBytes)
        private
        pure
        returns (uint256 start, uint256 length)
    {
        start = cursor + 1 + lengthBytes;
        if (start > header.length) revert HeaderMalformed(cursor);
        if (header[cursor + 1] == 0) revert HeaderMalformed(cursor + 1);

        length = _bigEndian(header, cursor + 1, start);
        if (length <= SHORT_LIMIT) revert HeaderMalformed(cursor);
    }

    /// An integer of at most 8 bytes without leading zeros; zero is the empty string.
    function _integerAt(bytes calldata header, uint256 start, uint256 length) private pure returns (uint256) {
        if (length > 8 || (length != 0 && header[start] == 0)) revert HeaderMalformed(start);
        return _bigEndian(header, start, start + length);
    }

    function _bigEndian(bytes calldata header, uint256 start, uint256 end) private pure returns (uint256 value) {
        for (uint256 i = start; i < end; ++i) {
            value = (value << 8) | uint8(header[i]);
        }
    }
}
