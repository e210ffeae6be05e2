"""Manifests: strict bytes, the Merkle rule, the root; and who holds which rows."""

from __future__ import annotations

import dataclasses
import hashlib
from contextlib import suppress

import pytest
from eth_abi.packed import encode_packed
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.errors import BadParameters, DualCheckFailed, InvalidPoint, MalformedManifest, QanatError
from qanat.kzg import decompress
from qanat.objects import (
    Encoded,
    Manifest,
    SliceTree,
    encode,
    rows_of_operator,
    rows_of_ticket,
    slices_of_operator,
    ticket_of_row,
    verify_path,
)
from qanat.objects.tree import depth_of, leaf_hash, node_hash, root_hash

OBJECT_ID = hashlib.sha256(b"object").digest()


def make_object(size: int = 5000, **overrides: object) -> Encoded:
    """Return a small object of two matrices."""
    data = bytes(i * 31 % 251 for i in range(size))
    return encode(data, **{"k": 2, "n": 5, "width": 64, "header": b"head", **overrides})


ENCODED = make_object()
MANIFEST = ENCODED.manifest


def test_a_manifest_has_the_documented_bytes() -> None:
    """Field by field, as docs/format.md lays them out."""
    data = MANIFEST.to_bytes()
    assert data[:5] == b"QNTM\x01"
    assert [int.from_bytes(data[at : at + 4], "big") for at in (5, 9, 13, 17)] == [64, 2, 5, 2]
    assert int.from_bytes(data[21:29], "big") == 5000
    assert data[29:61] == hashlib.sha256(bytes(i * 31 % 251 for i in range(5000))).digest()
    assert data[61:69] == b"\0\0\0\x04head"
    assert data[69:] == b"".join(MANIFEST.commitments)
    assert len(MANIFEST.commitments) == 10
    assert Manifest.from_bytes(data) == MANIFEST


def test_every_flipped_bit_of_a_manifest_is_caught() -> None:
    """Either the bytes no longer parse, or a point is bad, or the root is another."""
    data = MANIFEST.to_bytes()
    for position in range(len(data)):
        for bit in (0, 7) if position > 80 else range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with suppress(QanatError):
                assert Manifest.from_bytes(bytes(changed)).root != MANIFEST.root


def test_trailing_or_missing_bytes_are_refused() -> None:
    """Any other length raises MalformedManifest."""
    data = MANIFEST.to_bytes()
    for length in [*range(0, len(data), 7), len(data) - 1]:
        with pytest.raises(MalformedManifest):
            Manifest.from_bytes(data[:length])
    for more in (b"\0", bytes(48)):
        with pytest.raises(MalformedManifest):
            Manifest.from_bytes(data + more)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 63},
        {"width": 32},
        {"width": 8192},
        {"width": 128},  # then 5000 bytes need one matrix
        {"k": 0},
        {"k": 6},
        {"n": 17},
        {"n": 1},
        {"matrices": 1},
        {"matrices": 3},
        {"matrices": 0},
        {"size": 1 << 64},
        {"size": -1},
        {"size": 2 * 2 * 64 * 31 + 1},
        {"content_hash": bytes(31)},
        {"header": bytes((1 << 16) + 1)},
        {"commitments": MANIFEST.commitments[:-1]},
        {"commitments": (*MANIFEST.commitments[:-1], b"\xc0")},
    ],
)
def test_parameters_that_contradict_each_other_are_refused(change: dict[str, object]) -> None:
    """Out of range, or not what size and shape give."""
    with pytest.raises(MalformedManifest):
        dataclasses.replace(MANIFEST, **change)


def test_huge_counts_in_the_bytes_are_refused_without_reading_them() -> None:
    """A header length or a number of slices beyond the data ends at once."""
    data = bytearray(MANIFEST.to_bytes())
    for at in (9, 13, 17, 61):
        bad = bytearray(data)
        bad[at : at + 4] = b"\xff\xff\xff\xff"
        with pytest.raises(MalformedManifest):
            Manifest.from_bytes(bytes(bad))


def test_the_root_commits_parameters_as_solidity_packs_them() -> None:
    """abi.encodePacked of the parameters, then 0x02 | tree root | hash."""
    packed = encode_packed(
        ["uint32", "uint32", "uint32", "uint32", "uint64", "bytes32", "bytes32"],
        [64, 2, 5, 2, 5000, MANIFEST.content_hash, keccak(b"head")],
    )
    assert MANIFEST.params_hash == keccak(packed)
    assert MANIFEST.root == keccak(b"\x02" + MANIFEST.tree.root + MANIFEST.params_hash)
    assert dataclasses.replace(MANIFEST, header=b"hear").root != MANIFEST.root


def test_the_tree_is_the_naive_one() -> None:
    """A recursive definition over all 2^depth leaves gives the same root."""
    points = list(MANIFEST.points)

    def naive(start: int, size: int) -> bytes:
        if size == 1:
            if start >= len(points):
                return bytes(32)
            return keccak(b"\x00" + start.to_bytes(8, "big") + points[start])
        return keccak(b"\x01" + naive(start, size // 2) + naive(start + size // 2, size // 2))

    for count in (1, 2, 3, 5, 8, 9, 10):
        points = list(MANIFEST.points)[:count]
        assert SliceTree(points).root == naive(0, 1 << depth_of(count))
    assert points == [decompress(commitment) for commitment in MANIFEST.commitments]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 10])
def test_paths_prove_their_leaf_and_no_other(count: int) -> None:
    """Each index verifies with its own point and path; another index, count, point, root or length does not."""
    points = list(MANIFEST.points)[:count]
    tree = SliceTree(points)
    params = bytes(32)
    root = root_hash(tree.root, params)
    for index in range(count):
        path = tree.path(index)
        assert len(path) == depth_of(count)
        assert verify_path(root, params, count, index, points[index], path)
        assert not verify_path(root, params, count, (index + 1) % (count + 1), points[index], path)
        assert not verify_path(root, params, count, -1, points[index], path)
        assert not verify_path(root, params, count, index, bytes([points[index][0] ^ 1]) + points[index][1:], path)
        assert not verify_path(root, params, count, index, points[index][:-1], path)
        assert not verify_path(root, b"\1" + bytes(31), count, index, points[index], path)
        assert not verify_path(root, params, count, index, points[index], [*path, bytes(32)])
        assert not verify_path(root, params, count + (1 << depth_of(count)), index, points[index], path)
    with pytest.raises(BadParameters):
        tree.path(count)
    with pytest.raises(BadParameters):
        SliceTree([])
    with pytest.raises(BadParameters):
        leaf_hash(0, bytes(95))


def test_a_padding_leaf_is_no_slice() -> None:
    """The zero leaf beyond the count can't be proven, whatever its point."""
    tree = SliceTree(list(MANIFEST.points)[:3])
    root = root_hash(tree.root, bytes(32))
    path = [
        leaf_hash(2, MANIFEST.points[2]),
        node_hash(leaf_hash(0, MANIFEST.points[0]), leaf_hash(1, MANIFEST.points[1])),
    ]
    assert not verify_path(root, bytes(32), 3, 3, bytes(96), path)
    assert not verify_path(root, bytes(32), 4, 3, bytes(96), path)


def test_a_check_covers_points_encoding_and_root() -> None:
    """Honest: passes. Another root, a foreign commitment, a point outside the subgroup: refused."""
    MANIFEST.check(MANIFEST.root)
    with pytest.raises(MalformedManifest):
        MANIFEST.check(bytes(32))
    first = MANIFEST.commitments[0]
    for index in range(10):
        changed = list(MANIFEST.commitments)
        changed[index] = MANIFEST.commitments[(index + 1) % 10]
        with pytest.raises(DualCheckFailed):
            dataclasses.replace(MANIFEST, commitments=tuple(changed)).check()
    bad = dataclasses.replace(MANIFEST, commitments=(b"\x80" + bytes(47), *MANIFEST.commitments[1:]))
    with pytest.raises(InvalidPoint):
        bad.check()
    with pytest.raises(InvalidPoint):
        bad.root  # noqa: B018
    assert first == MANIFEST.commitments[0]


# ---- assignment ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    object_id=st.binary(min_size=32, max_size=32),
    operators=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    rows_each=st.integers(1, 4),
    matrices=st.integers(1, 3),
)
def test_every_slice_has_one_operator_and_every_ticket_equally_many_rows(
    object_id: bytes, operators: list[int], rows_each: int, matrices: int
) -> None:
    """The operators' slices partition the object; each ticket holds n/T rows of every matrix."""
    total = sum(operators)
    n = rows_each * total
    seen: list[int] = []
    first = 0
    for tickets in operators:
        slices = slices_of_operator(object_id, total, first, tickets, n, matrices)
        assert slices == sorted(slices)
        assert len(slices) == matrices * tickets * rows_each
        assert {ticket_of_row(object_id, total, index % n) for index in slices} == set(range(first, first + tickets))
        seen += slices
        first += tickets
    assert sorted(seen) == list(range(n * matrices))


def test_rows_follow_the_formula() -> None:
    """Row i belongs to ticket (int(keccak(id)) mod T + i) mod T."""
    offset = int.from_bytes(keccak(OBJECT_ID), "big") % 7
    for row in range(21):
        ticket = (offset + row) % 7
        assert ticket_of_row(OBJECT_ID, 7, row) == ticket
        assert row in rows_of_ticket(OBJECT_ID, 7, 21, ticket)
    assert rows_of_operator(OBJECT_ID, 7, 0, 7, 21) == list(range(21))
    for bad in (
        lambda: rows_of_ticket(OBJECT_ID, 7, 20, 0),
        lambda: rows_of_ticket(OBJECT_ID, 7, 21, 7),
        lambda: rows_of_ticket(b"", 7, 21, 0),
        lambda: rows_of_operator(OBJECT_ID, 7, 6, 2, 21),
        lambda: ticket_of_row(OBJECT_ID, 0, 0),
    ):
        with pytest.raises(BadParameters):
            bad()
