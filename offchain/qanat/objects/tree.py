"""The Merkle rule of manifests (docs/design, section 4.5), as ``SliceTree.sol`` checks it.

leaf = keccak(0x00 || uint64 index || x48 || y48), node = keccak(0x01 || left || right), bytes32(0) as padding leaves
up to 2^depth, depth = ceil(log2(count)); a path goes from leaf to root, bit 0 of the index is the direction at the
leaf.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_hash.auto import keccak

from qanat.errors import BadParameters

EMPTY_LEAF = bytes(32)


def depth_of(count: int) -> int:
    """Return ceil(log2(count)); no leaves raise ``BadParameters``."""
    if count < 1:
        raise BadParameters("A tree has at least one leaf.")
    return (count - 1).bit_length()


def leaf_hash(index: int, raw_point: bytes) -> bytes:
    """Return the leaf of a raw point of 96 bytes."""
    if len(raw_point) != 96:
        raise BadParameters(f"A leaf's point has 96 bytes, not {len(raw_point)}.")
    return keccak(b"\x00" + index.to_bytes(8, "big") + raw_point)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two children."""
    return keccak(b"\x01" + left + right)


def root_hash(tree_root: bytes, params_hash: bytes) -> bytes:
    """Return the manifest's root, which commits the parameters too."""
    return keccak(b"\x02" + tree_root + params_hash)


class SliceTree:
    """All levels of the tree over raw points, the leaves first."""

    def __init__(self, raw_points: Sequence[bytes]) -> None:
        self.count = len(raw_points)
        self.depth = depth_of(self.count)
        level = [leaf_hash(index, point) for index, point in enumerate(raw_points)]
        self._levels = [level]
        padding = EMPTY_LEAF
        self._padding = [padding]
        for _ in range(self.depth):
            if len(level) % 2:
                level = [*level, padding]
            level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
            padding = node_hash(padding, padding)
            self._levels.append(level)
            self._padding.append(padding)

    @property
    def root(self) -> bytes:
        """The root over the leaves, without the parameters."""
        return self._levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        """Return the siblings from the leaf up; an index that is no leaf raises ``BadParameters``."""
        if not 0 <= index < self.count:
            raise BadParameters(f"There is no slice {index} of {self.count}.", index=index)
        result = []
        for height in range(self.depth):
            level, sibling = self._levels[height], (index >> height) ^ 1
            result.append(level[sibling] if sibling < len(level) else self._padding[height])
        return result


def verify_path(
    root: bytes, params_hash: bytes, count: int, index: int, raw_point: bytes, path: Sequence[bytes]
) -> bool:
    """Say whether a raw point is leaf ``index`` of ``count`` under a manifest's root."""
    if count < 1 or not 0 <= index < count or len(path) != depth_of(count) or len(raw_point) != 96:
        return False
    value = leaf_hash(index, raw_point)
    for height, sibling in enumerate(path):
        value = node_hash(sibling, value) if index >> height & 1 else node_hash(value, sibling)
    return root_hash(value, params_hash) == root
