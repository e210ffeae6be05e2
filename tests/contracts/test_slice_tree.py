"""The Merkle tree over slice commitments against a tree built here from the rule in words."""

import pytest
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.reverts import reverts_with


def commitment_of(index):
    return keccak(index.to_bytes(8, "big")) * 3


def leaf_of(index):
    return keccak(b"\0" + index.to_bytes(8, "big") + commitment_of(index))


def make_tree(count):
    """The levels of the tree over `count` slices, leaves first."""
    depth = max(0, (count - 1).bit_length())
    levels = [[leaf_of(i) for i in range(count)] + [bytes(32)] * (2**depth - count)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([keccak(b"\1" + below[i] + below[i + 1]) for i in range(0, len(below), 2)])
    return levels


def path_of(levels, index):
    return [level[(index >> height) ^ 1] for height, level in enumerate(levels[:-1])]


@pytest.fixture(scope="module")
def tree(project, deployer):
    return deployer.deploy(project.SliceTreeHarness)


class TestDepthOf:
    @pytest.mark.parametrize(
        ("count", "depth"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (4096, 12), (4097, 13), (2**32, 32)]
    )
    def test_least_depth_that_holds_all(self, tree, count, depth):
        assert tree.depthOf(count) == depth


class TestLeafOf:
    @pytest.mark.parametrize("size", [0, 95, 97])
    def test_refuses_a_commitment_of_another_length(self, tree, size):
        with reverts_with(tree.CommitmentLengthInvalid, got=size, expected=96):
            tree.leafOf(0, bytes(size))

    @pytest.mark.parametrize("index", [0, 1, 2**32 - 1, 2**64 - 1])
    def test_hashes_tag_index_and_commitment(self, tree, index):
        assert tree.leafOf(index, commitment_of(index)) == leaf_of(index)


class TestVerify:
    @pytest.mark.parametrize(("count", "index"), [(1, 1), (5, 5), (5, 7), (8, 2**64)])
    def test_refuses_an_index_beyond_the_last_slice(self, tree, count, index):
        levels = make_tree(count)
        with reverts_with(tree.SliceIndexInvalid, index=index, count=count):
            tree.verify(levels[-1][0], count, index, bytes(96), path_of(levels, index % count))

    @pytest.mark.parametrize(("count", "length", "depth"), [(1, 1, 0), (5, 2, 3), (5, 4, 3), (8, 0, 3)])
    def test_refuses_a_path_of_another_length(self, tree, count, length, depth):
        with reverts_with(tree.PathLengthInvalid, got=length, expected=depth):
            tree.verify(bytes(32), count, 0, bytes(96), [bytes(32)] * length)

    @pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
    def test_accepts_every_slice_and_no_other_place(self, tree, count):
        levels = make_tree(count)
        root = levels[-1][0]
        for index in range(count):
            path = path_of(levels, index)
            assert tree.verify(root, count, index, commitment_of(index), path) is True
            other = (index + 1) % count
            if other != index:
                assert tree.verify(root, count, other, commitment_of(index), path) is False
                assert tree.verify(root, count, index, commitment_of(other), path) is False

    @settings(max_examples=20)
    @given(st.integers(0, 12), st.integers(0, 3), st.integers(0, 31))
    def test_refuses_a_path_with_one_byte_changed(self, tree, index, level, byte):
        levels = make_tree(13)
        path = path_of(levels, index)
        changed = bytearray(path[level])
        changed[byte] ^= 1
        path[level] = bytes(changed)
        assert tree.verify(levels[-1][0], 13, index, commitment_of(index), path) is False

    def test_an_inner_node_is_no_leaf(self, tree):
        """The tags of leaves and nodes differ, so a shorter tree with nodes for leaves has another root."""
        levels = make_tree(4)
        left, right = levels[1]
        assert tree.rootFrom(left, 0, [right]) == levels[-1][0]
        assert tree.leafOf(0, commitment_of(0)) != keccak(b"\1" + bytes(8) + commitment_of(0))


def shown(levels, indexes):
    """Return (leaves, siblings) of rows shown one after the other, each path as far as it meets the one before."""
    siblings, before = [], None
    for index in indexes:
        path = path_of(levels, index)
        siblings += path if before is None else path[: max((index ^ before).bit_length() - 1, 0)]
        before = index
    return [levels[0][index] for index in indexes], siblings


INDEXES = st.lists(st.integers(0, 12), min_size=1, max_size=6)


class TestBranch:
    """Rows of one tree shown one after the other."""

    @settings(max_examples=30)
    @given(INDEXES)
    def test_takes_every_row_in_any_order_and_again(self, tree, indexes):
        levels = make_tree(13)
        leaves, siblings = shown(levels, indexes)
        root, holds, used = tree.follow(13, leaves, indexes, siblings)
        assert (root, list(holds), used) == (levels[-1][0], [True] * len(indexes), len(siblings))

    @settings(max_examples=30)
    @given(INDEXES, st.data())
    def test_refuses_another_leaf_or_sibling(self, tree, indexes, data):
        """Wherever one byte is changed, the root is another one or a row does not hold."""
        levels = make_tree(13)
        leaves, siblings = shown(levels, indexes)
        parts = leaves if not siblings or data.draw(st.booleans()) else siblings
        number, byte = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 31))
        parts[number] = parts[number][:byte] + bytes([parts[number][byte] ^ 1]) + parts[number][byte + 1 :]
        root, holds, _ = tree.follow(13, leaves, indexes, siblings)
        assert root != levels[-1][0] or not all(holds)

    @settings(max_examples=30)
    @given(st.permutations(range(8)))
    def test_refuses_rows_in_each_others_places(self, tree, indexes):
        """Permuted slices: each leaf is of the tree, and in its place only where the permutation leaves it."""
        levels = make_tree(8)
        leaves, siblings = shown(levels, range(8))
        permuted = [levels[0][index] for index in indexes]
        root, holds, _ = tree.follow(8, permuted, list(range(8)), siblings)
        assert (root == levels[-1][0] and all(holds)) == (permuted == leaves)

    def test_a_tree_of_one_row(self, tree):
        levels = make_tree(1)
        leaf = levels[0][0]
        assert tree.follow(1, [leaf, leaf], [0, 0], []) == (leaf, [True, True], 0)
        assert list(tree.follow(1, [leaf, bytes(32)], [0, 0], [])[1]) == [True, False]


class TestManifestRoot:
    def test_hashes_parameters_packed(self, tree):
        content, header = keccak(b"content"), keccak(b"header")
        values = (4096, 5, 12, 3, 10**12)
        packed = b"".join(value.to_bytes(size, "big") for value, size in zip(values, (4, 4, 4, 4, 8), strict=True))
        got = tree.parametersHash((*values, content, header))
        assert got == keccak(packed + content + header)
        assert tree.manifestRoot(keccak(b"tree"), got) == keccak(b"\2" + keccak(b"tree") + got)
