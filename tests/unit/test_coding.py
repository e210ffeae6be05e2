"""The row code: any k of n rows restore a matrix; fast equals reference."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.coding import RowCode, code, locator, points
from qanat.errors import BadParameters, NotEnoughSlices
from qanat.field import MODULUS, root_of_unity

SHAPES = [
    (1, 1),
    (1, 2),
    (1, 8),
    (2, 2),
    (2, 3),
    (3, 3),
    (3, 9),
    (4, 12),
    (5, 6),
    (5, 40),
    (6, 18),
    (7, 13),
    (8, 64),
    (9, 16),
]


def make_matrix(coder: RowCode[Any], width: int, seed: int) -> Any:
    """Return k rows of random elements."""
    draw = random.Random(seed)
    values = [draw.randrange(MODULUS) for _ in range(coder.k * width)]
    return coder.field.from_ints(values, (coder.k, width))


def all_rows(coder: RowCode[Any], data: Any) -> Any:
    """Return data and parity, n rows."""
    return coder.field.stack([data, coder.encode(data)])


@pytest.mark.parametrize("name", ["reference", "fast"])
@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_rows_are_values_of_a_low_degree_polynomial(name: str, k: int, n: int) -> None:
    """Every row is the column's polynomial (degree < K, zero on the virtual rows) at the point the design names."""
    coder = code(k, n, name)
    size = 1 << (k - 1).bit_length()
    domain = 1 << (size + n - k - 1).bit_length()
    data = make_matrix(coder, 1, n)
    rows = coder.field.to_ints(all_rows(coder, data))
    padded = coder.field.stack([data, coder.field.zeros((size - k, 1))])
    coefficients = coder.field.to_ints(coder.field.transform(padded, inverse=True))
    for row in range(n):
        if row < k:
            x = pow(root_of_unity(size), row, MODULUS)
        else:
            j = row - k
            x = (
                pow(root_of_unity(domain), 1 + j // size, MODULUS)
                * pow(root_of_unity(size), j % size, MODULUS)
                % MODULUS
            )
        assert rows[row] == sum(c * pow(x, e, MODULUS) for e, c in enumerate(coefficients)) % MODULUS
        assert points(k, n).values[row] == x


@st.composite
def shapes_and_survivors(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    """Draw (k, n) and k of the n rows in any order."""
    k = draw(st.integers(1, 20))
    n = draw(st.integers(k, 8 * k))
    return k, n, draw(st.permutations(range(n)))[:k]


@settings(max_examples=120, deadline=None)
@given(case=shapes_and_survivors(), width=st.integers(1, 20), seed=st.integers(0, 1 << 32))
def test_any_k_of_n_rows_restore(case: tuple[int, int, list[int]], width: int, seed: int) -> None:
    """Whatever k rows survive, in whatever order, data and every lost row come back."""
    k, n, survivors = case
    coder = code(k, n)
    data = make_matrix(coder, width, seed)
    rows = all_rows(coder, data)
    kept = coder.field.take(rows, survivors)
    assert coder.field.to_bytes(coder.restore(survivors, kept)) == coder.field.to_bytes(data)
    assert coder.field.to_bytes(coder.rebuild(survivors, kept, range(n))) == coder.field.to_bytes(rows)


@pytest.mark.parametrize(("k", "n"), [(16, 48), (33, 70), (64, 512), (100, 300), (256, 768)])
def test_the_transform_path_restores_when_all_data_is_lost(k: int, n: int) -> None:
    """Shapes large enough for the transform decoder, from parity rows alone and from a random mix."""
    coder = code(k, n)
    data = make_matrix(coder, 11, k)
    rows = all_rows(coder, data)
    draw = random.Random(k)
    for survivors in (
        draw.sample(range(k, n), k) if n >= 2 * k else draw.sample(range(n), k),
        draw.sample(range(n), k),
    ):
        kept = coder.field.take(rows, survivors)
        missing = tuple(row for row in range(k) if row not in survivors)
        recovered = coder._recover(tuple(survivors), kept, missing)
        assert coder.field.to_bytes(recovered) == coder.field.to_bytes(coder.field.take(data, missing))
        assert coder.field.to_bytes(coder.restore(survivors, kept)) == coder.field.to_bytes(data)


@settings(max_examples=40, deadline=None)
@given(case=shapes_and_survivors(), seed=st.integers(0, 1 << 32))
def test_fast_equals_reference(case: tuple[int, int, list[int]], seed: int) -> None:
    """Both implementations give the same bytes, encoding and restoring."""
    k, n, survivors = case
    fast, clear = code(k, n), code(k, n, "reference")
    quick, slow = all_rows(fast, make_matrix(fast, 2, seed)), all_rows(clear, make_matrix(clear, 2, seed))
    assert fast.field.to_bytes(quick) == clear.field.to_bytes(slow)
    missing = tuple(row for row in range(k) if row not in survivors)
    if missing:
        recovered = fast._recover(tuple(survivors), fast.field.take(quick, survivors), missing)
        expected = clear.rebuild(survivors, clear.field.take(slow, survivors), missing)
        assert fast.field.to_bytes(recovered) == clear.field.to_bytes(expected)


def test_rows_that_are_not_in_order_in_memory_are_read_right() -> None:
    """A view of a wider array encodes and restores as its copy does."""
    coder = code(16, 48)
    view = make_matrix(coder, 24, 5)[:, ::3]
    rows = coder.field.stack([view.copy(), coder.encode(view)])
    assert coder.field.to_bytes(rows[16:]) == coder.field.to_bytes(coder.encode(view.copy()))
    spaced = coder.field.zeros((48, 16))
    spaced[:, ::2] = rows
    survivors = list(range(32, 48))
    assert coder.field.to_bytes(coder.restore(survivors, spaced[32:, ::2])) == coder.field.to_bytes(view.copy())


def test_one_data_row_is_plain_replication() -> None:
    """With k=1 every row equals the data row."""
    coder = code(1, 8)
    data = make_matrix(coder, 5, 1)
    assert coder.field.to_bytes(all_rows(coder, data)) == coder.field.to_bytes(data) * 8


@pytest.mark.parametrize(("k", "n"), [(0, 1), (2, 1), (1, 9), (4, 33), (-1, 1), (1 << 15, (1 << 16) + 1)])
def test_parameters_out_of_range_are_refused(k: int, n: int) -> None:
    """k < 1, k > n, n > 8k and absurd n raise BadParameters."""
    with pytest.raises(BadParameters):
        code(k, n)


@pytest.mark.parametrize("name", ["reference", "fast"])
def test_wrong_rows_are_refused(name: str) -> None:
    """Too few, repeated or unknown rows raise."""
    coder = code(3, 9, name)
    data = make_matrix(coder, 2, 1)
    with pytest.raises(NotEnoughSlices):
        coder.restore([0, 1], data)
    for bad in ([0, 1, 1], [0, 1, 9], [-1, 0, 1], [0, 1, 2, 3]):
        with pytest.raises(BadParameters):
            coder.restore(bad, data)
    with pytest.raises(BadParameters):
        code("x" and 3, 9, "magic")


@pytest.mark.parametrize("count", [0, 1, 3, 64, 100, 127, 256])
def test_vanishing_polynomials_by_trees_are_those_of_the_definition(count: int) -> None:
    """Any number of roots up to the whole domain, at roots (the derivative) and elsewhere, against direct products."""
    layout = points(64, 256)
    chosen = random.Random(count).sample(range(layout.domain), count)
    wanted = list(range(layout.domain))
    assert (count * len(wanted) > locator.DIRECT) == (count > 10)
    direct = locator.directly([layout.at(e) for e in wanted], [layout.at(e) for e in chosen])
    assert locator.vanishing(layout, chosen, wanted) == direct
    assert locator.vanishing(layout, chosen, wanted[3:5]) == direct[3:5]


def test_products_leave_out_the_point_itself() -> None:
    """The vanishing polynomial's value, or its derivative at a root."""
    assert locator.directly([5, 7], [3, 5, MODULUS - 1]) == [(5 - 3) * (5 + 1), (7 - 3) * (7 - 5) * 8]
