// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title PackedCounts
/// @notice Numbers below 2³² and marks by index, eight and 256 to a slot, so that all of a shard's members are read in a few slots.
library PackedCounts {
    uint256 internal constant MAX_COUNT = type(uint32).max;
    uint256 private constant PER_SLOT = 8;
    uint256 private constant BITS = 32;

    struct Counts {
        mapping(uint256 slot => uint256) slots;
    }

    struct Marks {
        mapping(uint256 slot => uint256) slots;
    }

    function get(Counts storage self, uint256 index) internal view returns (uint256) {
        return (self.slots[index / PER_SLOT] >> (BITS * (index % PER_SLOT))) & MAX_COUNT;
    }

    /// @notice Sets a number, at most MAX_COUNT.
    function set(Counts storage self, uint256 index, uint256 count) internal {
        uint256 shift = BITS * (index % PER_SLOT);
        uint256 slot = self.slots[index / PER_SLOT];
        self.slots[index / PER_SLOT] = (slot & ~(MAX_COUNT << shift)) | (count << shift);
    }

    /// @notice The first `length` numbers.
    function load(Counts storage self, uint256 length) internal view returns (uint256[] memory counts) {
        counts = new uint256[](length);
        uint256 index = 0;
        while (index < length) {
            uint256 slot = self.slots[index / PER_SLOT];
            uint256 end = index + PER_SLOT < length ? index + PER_SLOT : length;
            unchecked {
                for (; index < end; ++index) {
                    counts[index] = slot & MAX_COUNT;
                    slot >>= BITS;
                }
            }
        }
    }

    /// @notice Marks an index; writes nothing if it is marked.
    function mark(Marks storage self, uint256 index) internal {
        uint256 slot = self.slots[index / 256];
        uint256 bit = 1 << (index % 256);
        if (slot & bit == 0) self.slots[index / 256] = slot | bit;
    }

    /// @notice Marks the first `length` indexes.
    function markAll(Marks storage self, uint256 length) internal {
        for (uint256 first = 0; first < length; first += 256) {
            uint256 n = length - first;
            self.slots[first / 256] = n >= 256 ? type(uint256).max : (1 << n) - 1;
        }
    }

    /// @notice Takes up to `limit` marks away, the lowest first, and returns where they were; looks at the first `length` indexes.
    function take(Marks storage self, uint256 length, uint256 limit) internal returns (uint256[] memory indexes) {
        indexes = new uint256[](limit < length ? limit : length);
        uint256 count = 0;
        for (uint256 first = 0; first < length && count < indexes.length; first += 256) {
            uint256 slot = self.slots[first / 256];
            if (slot == 0) continue;
            while (slot != 0 && count < indexes.length) {
                indexes[count++] = first + _lowest(slot);
                slot &= slot - 1;
            }
            self.slots[first / 256] = slot;
        }
        assembly ("memory-safe") {
            mstore(indexes, count)
        }
    }

    function isMarked(Marks storage self, uint256 index) internal view returns (bool) {
        return (self.slots[index / 256] >> (index % 256)) & 1 != 0;
    }

    /// Number of the lowest bit that is set, by halving.
    function _lowest(uint256 word) private pure returns (uint256 bit) {
        if (word & type(uint128).max == 0) (bit, word) = (128, word >> 128);
        if (word & type(uint64).max == 0) (bit, word) = (bit + 64, word >> 64);
        if (word & type(uint32).max == 0) (bit, word) = (bit + 32, word >> 32);
        if (word & type(uint16).max == 0) (bit, word) = (bit + 16, word >> 16);
        if (word & type(uint8).max == 0) (bit, word) = (bit + 8, word >> 8);
        if (word & 0xf == 0) (bit, word) = (bit + 4, word >> 4);
        if (word & 0x3 == 0) (bit, word) = (bit + 2, word >> 2);
        if (word & 0x1 == 0) ++bit;
    }
}
