// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetContent, RecordRange} from "../types/Types.sol";
import {CodeBlob} from "./CodeBlob.sol";

/// @title AssetBlob: a version of an asset as bytes
/// @notice content hash 32 ‖ number of objects 1 ‖ number of ranges, and EXTENDED 1 ‖ objects 32 each ‖ ranges (object 32 ‖ first 4 ‖ count 4) each
/// ‖ where EXTENDED is set: croissant 32 ‖ length of the header 2 ‖ header ‖ metadata, the rest. An ordinary asset pays for no byte that it doesn't use.
library AssetBlob {
    /// In the number of ranges: description or header follow.
    uint256 private constant EXTENDED = 0x80;
    uint256 private constant COUNTS = 34;
    uint256 private constant RANGE_BYTES = 40;

    /// @notice Writes a version, of at most 127 objects and ranges. The caller has bounded the lengths.
    function write(AssetContent memory content) internal returns (address pointer) {
        bool extended = content.croissant != bytes32(0) || content.header.length != 0;
        uint256 marks = content.ranges.length | (extended ? EXTENDED : 0);
        bytes memory data =
            abi.encodePacked(content.contentHash, uint8(content.objectIds.length), uint8(marks), content.objectIds);
        for (uint256 i; i < content.ranges.length; ++i) {
            RecordRange memory range = content.ranges[i];
            data = abi.encodePacked(data, range.objectId, range.first, range.count);
        }
        if (extended) {
            data = abi.encodePacked(data, content.croissant, uint16(content.header.length), content.header);
        }
        return CodeBlob.write(abi.encodePacked(data, content.metadata));
    }

    function read(address pointer) internal view returns (AssetContent memory content) {
        uint256 size = CodeBlob.sizeOf(pointer);
        bytes memory data = CodeBlob.read(pointer, 0, size);
        content.contentHash = _wordAt(data, 0);
        content.objectIds = new bytes32[](uint8(data[32]));
        uint256 marks = uint8(data[33]);
        content.ranges = new RecordRange[](marks & ~EXTENDED);

        uint256 at = COUNTS;
        for (uint256 i; i < content.objectIds.length; ++i) {
            content.objectIds[i] = _wordAt(data, at);
            at += 32;
        }
        for (uint256 i; i < content.ranges.length; ++i) {
            uint256 places = uint256(_wordAt(data, at + 8)) & type(uint64).max;
            content.ranges[i] = RecordRange(_wordAt(data, at), uint32(places >> 32), uint32(places));
            at += RANGE_BYTES;
        }
        if (marks & EXTENDED != 0) {
            content.croissant = _wordAt(data, at);
            uint256 headerBytes = uint256(_wordAt(data, at + 2)) & type(uint16).max;
            content.header = CodeBlob.read(pointer, at + 34, headerBytes);
            at += 34 + headerBytes;
        }
        content.metadata = string(CodeBlob.read(pointer, at, size - at));
    }

    /// The word that begins at a place: the caller knows that the bytes are there.
    function _wordAt(bytes memory data, uint256 at) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), at))
        }
    }
}
