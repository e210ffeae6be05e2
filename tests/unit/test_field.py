"""The field kernels: one conformance test for every implementation, and fast against reference."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.errors import BadParameters, FormatError, NonCanonicalElement
from qanat.field import MODULUS, FieldKernel, batch_inverse, inverse, kernel, root_of_unity

EDGES = [
    0,
    1,
    2,
    MODULUS - 1,
    MODULUS - 2,
    (1 << 64) - 1,
    1 << 64,
    (1 << 128) - 1,
    (1 << 192),
    (1 << 248) - 1,
    MODULUS >> 1,
]

elements = st.one_of(st.sampled_from(EDGES), st.integers(0, MODULUS - 1))


@pytest.fixture(params=["reference", "fast"])
def field(request: pytest.FixtureRequest) -> FieldKernel[Any]:
    """Return each implementation in turn."""
    return kernel(request.param)


def column(field: FieldKernel[Any], values: Sequence[int]) -> Any:
    """Return the values as one column."""
    return field.from_ints(list(values), (len(values), 1))


@settings(max_examples=150, deadline=None)
@given(pairs=st.lists(st.tuples(elements, elements), min_size=1, max_size=9))
@pytest.mark.parametrize("name", ["reference", "fast"])
def test_arithmetic_is_that_of_integers_mod_r(name: str, pairs: list[tuple[int, int]]) -> None:
    """Sum, difference and product equal Python's."""
    field = kernel(name)
    left, right = column(field, [a for a, _ in pairs]), column(field, [b for _, b in pairs])
    assert field.to_ints(field.add(left, right)) == [(a + b) % MODULUS for a, b in pairs]
    assert field.to_ints(field.subtract(left, right)) == [(a - b) % MODULUS for a, b in pairs]
    assert field.to_ints(field.multiply(left, right)) == [a * b % MODULUS for a, b in pairs]
    assert field.to_ints(field.scale_rows(left, [b for _, b in pairs])) == [a * b % MODULUS for a, b in pairs]


def test_arithmetic_on_all_pairs_of_edges(field: FieldKernel[Any]) -> None:
    """Carries and borrows at limb borders are right."""
    pairs = [(a, b) for a in EDGES for b in EDGES]
    left, right = column(field, [a for a, _ in pairs]), column(field, [b for _, b in pairs])
    assert field.to_ints(field.add(left, right)) == [(a + b) % MODULUS for a, b in pairs]
    assert field.to_ints(field.subtract(left, right)) == [(a - b) % MODULUS for a, b in pairs]
    assert field.to_ints(field.multiply(left, right)) == [a * b % MODULUS for a, b in pairs]


def test_bytes_are_big_endian_and_canonical(field: FieldKernel[Any]) -> None:
    """32 bytes per element, most significant first; the modulus itself is refused, with its position."""
    data = b"".join(value.to_bytes(32, "big") for value in EDGES)
    assert field.to_ints(field.from_bytes(data, (len(EDGES),))) == EDGES
    assert field.to_bytes(field.from_bytes(data, (len(EDGES), 1))) == data
    for bad in (MODULUS, MODULUS + 1, (1 << 256) - 1, MODULUS + (1 << 64)):
        with pytest.raises(NonCanonicalElement) as caught:
            field.from_bytes(data + bad.to_bytes(32, "big"), (len(EDGES) + 1,))
        assert caught.value.data["position"] == len(EDGES)
    with pytest.raises(NonCanonicalElement):
        field.from_ints([MODULUS], (1,))
    with pytest.raises(NonCanonicalElement):
        field.from_ints([-1], (1,))
    for wrong in (b"", data[:-1], data + b"\0"):
        with pytest.raises(FormatError):
            field.from_bytes(wrong, (len(EDGES),))


@pytest.mark.parametrize("size", [1, 2, 4, 8, 32])
def test_transform_evaluates_at_the_powers_of_the_root(field: FieldKernel[Any], size: int) -> None:
    """Row i of the transform is the polynomial's value at root^i, and the inverse goes back."""
    draw = random.Random(size)
    width = 3
    values = [draw.randrange(MODULUS) for _ in range(size * width)]
    before = field.from_ints(values, (size, width))
    after = field.transform(before)
    root = root_of_unity(size)
    for row in range(size):
        for c in range(width):
            expected = sum(values[j * width + c] * pow(root, row * j, MODULUS) for j in range(size)) % MODULUS
            assert field.to_ints(after)[row * width + c] == expected
    assert field.to_ints(field.transform(after, inverse=True)) == values


def test_combine_is_the_matrix_product(field: FieldKernel[Any]) -> None:
    """Each output row is the weighted sum of the rows; wrong counts are refused."""
    draw = random.Random(3)
    rows, width = 5, 4
    values = [draw.choice(EDGES) for _ in range(rows * width)]
    weights = [[draw.choice(EDGES) for _ in range(rows)] for _ in range(3)]
    got = field.to_ints(field.combine(weights, field.from_ints(values, (rows, width))))
    assert got == [
        sum(line[row] * values[row * width + c] for row in range(rows)) % MODULUS
        for line in weights
        for c in range(width)
    ]
    with pytest.raises(BadParameters):
        field.combine([[1]], field.from_ints(values, (rows, width)))


@pytest.mark.parametrize("limit", [1 << 128, MODULUS])
def test_a_fold_is_the_weighted_sum_of_bytes_at_its_worst(limit: int) -> None:
    """Rows whose every bit is set under the greatest weights, rows at odd addresses; bad rows are named."""
    from qanat.field.fast import fold

    draw = random.Random(limit)
    width, count = 130, 40
    rows = [
        [draw.choice([(1 << 256) - 1, MODULUS - 1, draw.randrange(MODULUS)]) for _ in range(width)] for _ in range(3)
    ]
    rows += [[MODULUS - 1] * width] * 2 + [[(1 << 256) - 1] * width] * (count - 5)
    rows[3] = [0] * (width - 1) + [MODULUS]
    weights = [limit - 1] * (count - 1) + [0]
    data = [b"".join(value.to_bytes(32, "big") for value in row) for row in rows]
    unaligned = memoryview(b"\0" + data[4])[1:]
    got, malformed = fold([*data[:4], unaligned, *data[5:]], weights)
    assert malformed == [i for i, row in enumerate(rows) if max(row) >= MODULUS]
    assert 3 in malformed
    assert 4 not in malformed
    expected = [sum(w * row[c] for w, row in zip(weights, rows, strict=True)) % MODULUS for c in range(width)]
    assert kernel("fast").to_ints(got) == expected


def test_fast_equals_reference_on_wide_arrays() -> None:
    """Enough columns for several threads and a ragged last block give the same as the clear code."""
    fast, clear = kernel("fast"), kernel("reference")
    draw = random.Random(9)
    shape = (16, 101)
    values = [draw.randrange(MODULUS) for _ in range(shape[0] * shape[1])]
    quick, slow = fast.from_ints(values, shape), clear.from_ints(values, shape)
    assert fast.to_bytes(fast.transform(quick)) == clear.to_bytes(clear.transform(slow))
    weights = [[draw.randrange(MODULUS) for _ in range(16)] for _ in range(12)]
    assert fast.to_bytes(fast.combine(weights, quick)) == clear.to_bytes(clear.combine(weights, slow))


def test_arrays_that_are_not_in_order_give_the_same() -> None:
    """Every other column of a wider array, whose elements do not lie one after the other."""
    fast = kernel("fast")
    draw = random.Random(10)
    wide: Any = fast.from_ints([draw.randrange(MODULUS) for _ in range(8 * 40)], (8, 40))
    view = wide[:, ::2]
    copied = view.copy()
    assert not view.flags.c_contiguous
    weights = [draw.randrange(MODULUS) for _ in range(8)]
    for call in (
        fast.transform,
        lambda elements: fast.combine([weights], elements),
        lambda elements: fast.scale_rows(elements, weights),
        lambda elements: fast.multiply(elements, elements),
    ):
        assert fast.to_bytes(call(view)) == fast.to_bytes(call(copied))


def test_single_values() -> None:
    """Inverses invert, zero has none, roots of unity have exactly their order."""
    assert inverse(7) * 7 % MODULUS == 1
    assert batch_inverse([3, 9]) == [inverse(3), inverse(9)]
    for zero in (0, MODULUS):
        with pytest.raises(BadParameters):
            inverse(zero)
    with pytest.raises(BadParameters):
        batch_inverse([1, 0])
    for order in (1, 2, 4096):
        root = root_of_unity(order)
        assert pow(root, order, MODULUS) == 1
        assert order == 1 or pow(root, order // 2, MODULUS) == MODULUS - 1
    for order in (0, 3, -4, 1 << 33):
        with pytest.raises(BadParameters):
            root_of_unity(order)
    with pytest.raises(BadParameters):
        kernel("magic")


def test_the_arithmetic_limit_counts_what_the_loops_do() -> None:
    """Products of a transform, of parity and of a commitment, counted one by one; and products take some time."""
    from qanat.field import timing

    for size in (1, 2, 8, 64):
        halves = [1 << layer for layer in range(size.bit_length() - 1)]
        counted = sum(size // (2 * half) * len(range(1, half)) for half in halves)
        assert timing.transform_products(size) == counted
    assert timing.parity_products(4, 12) == (3 * timing.transform_products(4) + 2 * 4) / (31 * 4)
    assert timing.decode_products(4, 12, 2) == (timing.transform_products(16) + timing.transform_products(4) + 22) / 124
    entries, buckets, side = 64 * 52 * 31 / 32, 16, 4
    assert timing.commitment_products(64, 5, 52) == 6 * (entries - buckets + 2 * (buckets - side))
    times = timing.product_ns(200)
    assert 0.1 < times.scalar < times.base * 2
