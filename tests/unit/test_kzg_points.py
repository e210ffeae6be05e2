"""Many points at once: scalar products in step, transforms over points; arkworks and the group's own code judge."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import pytest

from qanat import kzg
from qanat.coding.dual import dual_check
from qanat.errors import InvalidPoint
from qanat.field import MODULUS, base, emit, root_of_unity
from qanat.kzg import commitment_kernel, folding, ladders, msm, points_in_words
from qanat.kzg.basis import batch_workspace
from qanat.kzg.points import COMPRESSED_IDENTITY, RAW_IDENTITY
from qanat.kzg.reference_points import unchecked_point

GENERATOR = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)
SQUARE = points_in_words.PARAMETER**2


@cache
def some_points(count: int) -> list[Any]:
    """Return arkworks points of nothing in particular, the identity second."""
    group = commitment_kernel()
    draw = random.Random(count)
    made = [group.multiply(group.decompress(GENERATOR), draw.randrange(MODULUS)) for _ in range(count)]
    return [*made[:1], group.identity(), *made[2:]][:count]


def test_the_endomorphism_is_the_multiplication_that_it_stands_for() -> None:
    """(beta*x, y) is -X^2 times (x, y), and r is what makes the halves of a scalar short."""
    group = commitment_kernel()
    raw = group.to_raw(group.decompress(GENERATOR))
    x = int.from_bytes(raw[:48], "big") * points_in_words.BETA % base.MODULUS
    turned = group.multiply(group.decompress(GENERATOR), -SQUARE % MODULUS)
    assert group.to_raw(turned) == x.to_bytes(48, "big") + raw[48:]
    assert MODULUS == SQUARE**2 - SQUARE + 1
    assert (MODULUS - 1) // SQUARE < 1 << 128
    assert SQUARE < 1 << 128


def test_points_are_multiplied_each_by_its_scalar() -> None:
    """Scalars at every border: of digits, of halves, of the field; also of the identity, and more than one batch."""
    group = commitment_kernel()
    draw = random.Random(2)
    edges = [0, 1, 2, 8, 9, 15, 16, 17, 24, MODULUS - 1, MODULUS - 8, SQUARE, SQUARE - 1, SQUARE + 1, 8 * SQUARE]
    edges += [(1 << 128) - 1, 9 * SQUARE + 9, SQUARE * (SQUARE - 1), int("8" * 31, 16), int("9" * 31, 16)]
    scalars = [edge % MODULUS for edge in edges] + [draw.randrange(MODULUS) for _ in range(30)]
    points = some_points(len(scalars) + 1)
    made = points_in_words.multiply(points_in_words.to_words([group.to_raw(point) for point in points[1:]]), scalars)
    expected = [group.to_raw(group.multiply(point, s)) for point, s in zip(points[1:], scalars, strict=True)]
    assert points_in_words.to_raw(made) == expected
    one = points_in_words.to_words([group.to_raw(points[0])])
    many = points_in_words.multiply(one.repeat(msm.BATCH + 2, axis=0), [7] * (msm.BATCH + 1) + [5])
    assert set(points_in_words.to_raw(many[:-1])) == {group.to_raw(group.multiply(points[0], 7))}
    assert points_in_words.to_raw(many[-1:]) == [group.to_raw(group.multiply(points[0], 5))]


def curve_point(x: int) -> bytes:
    """Return a compressed point of the curve, with the first x from this one on that has one."""
    while True:
        y = pow(x**3 + 4, (base.MODULUS + 1) // 4, base.MODULUS)
        if (y * y - x**3 - 4) % base.MODULUS == 0:
            return bytes([(x >> 376) | 0x80]) + x.to_bytes(48, "big")[1:]
        x += 1


@pytest.mark.parametrize("count", [1, 32, 127, 128, 130])
def test_sums_of_multiples_are_those_of_arkworks(count: int) -> None:
    """With every window's size: scalars at borders of digits and windows, the identity, equal and opposite points."""
    group = commitment_kernel()
    draw = random.Random(count)
    edges = [0, 1, 16, 17, 31, 64, 65, 127, MODULUS - 1, MODULUS - 16, MODULUS >> 1, (1 << 254) - 1, 1 << 253]
    scalars = [draw.choice(edges) if draw.random() < 0.5 else draw.randrange(MODULUS) for _ in range(count)]
    points = some_points(count)
    for i in range(3, count, 3):
        points[i] = points[i - 1] if i % 2 else group.negate(points[i - 1])
    raw = [group.to_raw(point) for point in points]
    expected = group.identity()
    for point, scalar in zip(points, scalars, strict=True):
        expected = group.add(expected, group.multiply(point, scalar))
    assert points_in_words.combine(raw, scalars) == group.to_raw(expected)
    assert group.to_raw(group.combine(points, scalars)) == group.to_raw(expected)
    assert points_in_words.combine(raw, [0] * count) == RAW_IDENTITY
    opposite = [group.to_raw(group.negate(point)) for point in points]
    assert points_in_words.combine(raw + opposite, scalars * 2) == RAW_IDENTITY


def test_windows_of_large_sums_agree_with_those_of_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum does not depend on how many bits a window has."""
    group = commitment_kernel()
    raw = [group.to_raw(point) for point in some_points(40)]
    scalars = [random.Random(i).randrange(MODULUS) for i in range(40)]
    found = set()
    for bits in {bits for bits, _ in points_in_words.WINDOW_BITS}:
        monkeypatch.setattr(points_in_words, "WINDOW_BITS", ((bits, 0),))
        found.add(points_in_words.combine(raw, scalars))
    assert len(found) == 1


def test_many_points_are_read_as_one_by_one() -> None:
    """Both signs of y, the identity, more than a batch; the bad one is named wherever it stands."""
    group = commitment_kernel()
    points = [*some_points(40), *(group.negate(point) for point in some_points(40))] * 14
    data = [group.compress(point) for point in points]
    assert len(data) > msm.BATCH
    assert points_in_words.decompress(data) == [group.to_raw(point) for point in points]
    assert [group.compress(point) for point in group.decompress_all(data)] == data
    assert points_in_words.decompress([]) == []
    assert points_in_words.decompress([COMPRESSED_IDENTITY] * 2) == [RAW_IDENTITY] * 2
    off_the_curve = b"\x80" + bytes(46) + b"\x01"
    for bad in (curve_point(7), curve_point(1 << 370), off_the_curve, b"\x80" + bytes(47), GENERATOR[:-1]):
        with pytest.raises(InvalidPoint):
            group.decompress(bad)
        for position in (0, 2, len(data) - 1):
            with pytest.raises(InvalidPoint) as caught:
                group.decompress_all([*data[:position], bad, *data[position + 1 :]])
            assert len(bad) < 48 or caught.value.data["point"] == bad


def test_an_x_without_a_point_is_seen_before_any_other_check() -> None:
    """x^3 + 4 is a square for x = 0 and 4, none for 1: the subgroup check, which would refuse it too, isn't asked."""
    points, good = np.empty((3, 12), dtype=np.uint64), np.empty(3, dtype=np.uint8)
    abscissas = np.array([emit.words_of(x, 6) for x in (0, 1, 4)], dtype=np.uint64)
    square = np.array(emit.words_of(base.SQUARE, 6), dtype=np.uint64)
    four = np.array(emit.words_of(4 * base.MONTGOMERY % base.MODULUS, 6), dtype=np.uint64)
    _, work, kept = batch_workspace()
    larger = np.array([1, 0, 0], dtype=np.uint8)
    ladders.find_points(abscissas, larger, square.ctypes.data, four.ctypes.data, points, good, work)
    assert kept
    squares = [pow(x**3 + 4, (base.MODULUS - 1) // 2, base.MODULUS) == 1 for x in (0, 1, 4)]
    assert good.tolist() == squares == [1, 0, 1]
    assert points_in_words.to_raw(points)[0] == bytes(48) + (base.MODULUS - 2).to_bytes(48, "big")


@pytest.mark.parametrize("order", [3, 11, 10177, 859267, 52437899])
def test_points_of_small_order_are_outside_the_subgroup(order: int) -> None:
    """Every prime of the cofactor: alone, and added to a point of the subgroup."""
    from py_ecc.optimized_bls12_381 import add, is_inf, multiply

    reference: Any = commitment_kernel("reference")
    exponent = (
        3 * 11 * 10177 * 859267 * 52437899 * MODULUS
    )  # of the curve's group: each but 3 and r divides its order twice
    x = 5
    for _ in range(8):  # a random point lacks the part of this order with probability below 1/3
        data = curve_point(x)
        x = int.from_bytes(data, "big") & ((1 << 381) - 1)
        y = pow(x**3 + 4, (base.MODULUS + 1) // 4, base.MODULUS)
        raw = x.to_bytes(48, "big") + y.to_bytes(48, "big")
        small = multiply(unchecked_point(raw), exponent // order)
        if not is_inf(small):
            break
        x += 1
    assert not is_inf(small)
    assert is_inf(multiply(small, order))
    mixed = add(small, reference.decompress(GENERATOR))
    for point in (small, mixed):
        with pytest.raises(InvalidPoint):
            points_in_words.decompress([GENERATOR, reference.compress(point)])


def test_a_transform_of_points_is_that_of_their_logarithms() -> None:
    """Known multiples of the generator, equal and opposite ones too, against the transform of the numbers."""
    group = commitment_kernel()
    generator = group.decompress(GENERATOR)
    numbers = [3, 3, MODULUS - 3, 0, 5, 1, 1, 1]
    root = root_of_unity(8)
    raw = [group.to_raw(group.multiply(generator, value)) for value in numbers]
    out = points_in_words.transform(points_in_words.to_words(raw).reshape(8, 1, 12), root)
    expected = [sum(value * pow(root, i * j, MODULUS) for j, value in enumerate(numbers)) % MODULUS for i in range(8)]
    assert points_in_words.to_raw(out.reshape(8, 12)) == [
        group.to_raw(group.multiply(generator, value)) for value in expected
    ]


@pytest.mark.parametrize(("k", "n"), [(1, 3), (2, 3), (3, 9), (5, 11), (7, 9), (16, 48)])
def test_both_ways_to_parity_commitments_agree(monkeypatch: pytest.MonkeyPatch, k: int, n: int) -> None:
    """Compiled loops and the group's own additions give the same bytes, the identity among the data."""
    group = commitment_kernel()
    data = [group.compress(point) for point in some_points(k)]
    one_by_one = kzg.parity_commitments(data, k, n)
    monkeypatch.setattr(folding, "COMPILED_FROM", 1)
    assert kzg.parity_commitments(data, k, n) == one_by_one
    with pytest.raises(InvalidPoint):
        kzg.parity_commitments([*data[:-1], b"\x80" + bytes(47)], k, n)


def test_parity_commitments_of_a_large_matrix_are_an_encoding() -> None:
    """As many rows as take the compiled way by themselves, few of them not zero."""
    data = [COMPRESSED_IDENTITY] * 70
    data[3], data[69] = GENERATOR, GENERATOR
    assert kzg.commitment_kernel().to_raw(kzg.commitment_kernel().identity()) == RAW_IDENTITY
    dual_check(data + kzg.parity_commitments(data, 70, 150), 70, 150)
