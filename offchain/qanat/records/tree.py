"""The Merkle tree over a bundle's records.

leaf = keccak(0x10 ‖ uint64 position ‖ record), node = keccak(0x11 ‖ left ‖ right), 32 zero bytes for the leaves that
are missing to 2^depth, depth = ⌈log2 count⌉. The first byte keeps leaves, nodes and the hashes of the manifest's own
tree (0x00, 0x01, 0x02) apart: no one's bytes can pass for another's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from eth_hash.auto import keccak

from qanat.errors import BadParameters
from qanat.objects.tree import EMPTY_LEAF, depth_of
from qanat.records.hashing import Hashes, hash_each, hash_rows

__all__ = ["RecordTree", "root_from_path"]

_LEAF, _NODE = 0x10, 0x11
_BEFORE = 1 + 8


class RecordTree:
    """All levels of the tree over whole records, in their order."""

    def __init__(self, records: Sequence[bytes]) -> None:
        self.count = len(records)
        self.depth = depth_of(self.count)
        level = _leaves(records)
        self._levels = [level]
        padding = EMPTY_LEAF
        self._padding = [padding]
        for _ in range(self.depth):
            if len(level) % 2:
                level = np.concatenate([level, np.frombuffer(padding, dtype=np.uint8)[None]])
            pairs = np.empty((len(level) // 2, 65), dtype=np.uint8)
            pairs[:, 0] = _NODE
            pairs[:, 1:] = level.reshape(-1, 64)
            level = hash_rows(pairs)
            padding = _node(padding, padding)
            self._levels.append(level)
            self._padding.append(padding)

    @property
    def root(self) -> bytes:
        """The root over the records."""
        return bytes(self._levels[-1][0])

    def path(self, position: int) -> tuple[bytes, ...]:
        """Return the siblings from the leaf up; a position that has no record raises :class:`BadParameters`."""
        if not 0 <= position < self.count:
            raise BadParameters(f"There is no record {position} of {self.count}.", position=position)
        result = []
        for height in range(self.depth):
            level, sibling = self._levels[height], (position >> height) ^ 1
            result.append(level[sibling].tobytes() if sibling < len(level) else self._padding[height])
        return tuple(result)

    def padded_levels(self) -> list[bytes]:
        """Return the levels below the root, the leaves first, each with one hash of padding behind it."""
        below = zip(self._levels[:-1], self._padding, strict=False)
        return [level.tobytes() + padding for level, padding in below]


def root_from_path(count: int, position: int, record: bytes, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a record has at a position of ``count``; None where path and count don't fit."""
    if not 0 <= position < count or len(path) != depth_of(count) or any(len(sibling) != 32 for sibling in path):
        return None
    value = keccak(bytes([_LEAF]) + position.to_bytes(8, "big") + record)
    for height, sibling in enumerate(path):
        value = _node(sibling, value) if position >> height & 1 else _node(value, sibling)
    return value


def _node(left: bytes, right: bytes) -> bytes:
    return keccak(bytes([_NODE]) + left + right)


def _leaves(records: Sequence[bytes]) -> Hashes:
    count = len(records)
    before = (bytes([_LEAF]) + position.to_bytes(8, "big") for position in range(count))
    joined = b"".join(part for pair in zip(before, records, strict=True) for part in pair)
    lengths = np.fromiter(map(len, records), dtype=np.int64, count=count) + _BEFORE
    return hash_each(np.frombuffer(joined, dtype=np.uint8), np.cumsum(lengths) - lengths, lengths)
