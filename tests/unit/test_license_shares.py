"""What each sale brought of what a book paid: to the unit in all, less than a unit from the fraction for each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qanat.licensing.shares import Sale, divide, parts_of
from qanat.licensing.streams import DAY_S, FRACTION_BITS, Book, Stream

TIMES = st.integers(0, 6 * DAY_S)


@st.composite
def books(draw):
    """Draw sales with periods that run on, are stopped or renewed, and times of settlements."""
    sales = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        sale, start = Sale(number), draw(TIMES)
        opened = start
        for _ in range(draw(st.integers(1, 2))):
            end = start + draw(st.integers(1, 3 * DAY_S))
            stream = Stream(draw(st.integers(0, 10**12)), start, end, opened)
            if draw(st.booleans()):
                stream = stream.stop(draw(st.integers(start, end + 5)))
            sale.streams.append(stream)
            start = end
        if draw(st.booleans()):
            sale.at_once.append((draw(st.integers(opened, start)), draw(st.integers(0, 10**9))))
        sales.append(sale)
    return sales, sorted(draw(st.lists(TIMES.map(lambda time: 2 * time), min_size=1, max_size=6)))


@given(books())
def test_parts_are_what_was_paid_and_what_each_sale_counted(made):
    """Against the exact model of a book, settled at those times."""
    sales, times = made
    settlements, book = [], Book(streams=[stream for sale in sales for stream in sale.streams])
    for time in times:
        book.added = sum(units for sale in sales for when, units in sale.at_once if when <= time)
        settlements.append((time, book.settle(time, 10**6)))
    found = parts_of(sales, settlements)
    assert [sum(parts.values()) for parts in found] == [units for _, units in settlements]
    assert all(None not in parts for parts in found)
    for sale in sales:
        paid = 0
        for parts, (time, _) in zip(found, settlements, strict=True):
            paid += parts.get(sale.license_id, 0)
            assert abs((paid << FRACTION_BITS) - sale.counted(time)) < 1 << FRACTION_BITS


def test_what_no_sale_explains_is_nobodys():
    """An index that lacks a sale says so."""
    sale = Sale(7, [Stream(100, 0, 10, 0)])
    assert parts_of([sale], [(DAY_S, 130)]) == [{7: 100, None: 30}]


@given(st.dictionaries(st.integers(1, 9), st.integers(1, 10**9), min_size=1), st.integers(0, 10**9))
def test_what_is_taken_off_is_taken_from_each_in_proportion(parts, taken):
    """To the unit in all; less than one from the fraction for each."""
    whole = sum(parts.values())
    taken %= whole + 1
    left = divide(parts, taken)
    assert sum(left.values()) == whole - taken
    for license_id, part in parts.items():
        assert abs((part - left[license_id]) * whole - part * taken) < whole


def test_nothing_is_divided_into_nothing():
    assert divide({}, 0) == {}
