"""The planner: every plan keeps every bound, is as thrifty as the bounds allow, and says why; else it refuses."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.errors import BadParameters
from qanat.objects import Shape, plan


@settings(max_examples=200, deadline=None)
@given(
    size=st.one_of(st.integers(0, 300_000), st.integers(0, 1 << 40)),
    operators=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    down=st.integers(0, 3),
    availability=st.floats(0.5, 1),
    target=st.sampled_from([0.9, 0.99, 0.9999, 0.999999]),
)
def test_a_plan_keeps_every_bound(
    size: int, operators: list[int], down: int, availability: float, target: float
) -> None:
    """Thresholds, no operator with more than k rows, any two down, the asked probability, and no smaller overhead."""
    tickets = sum(operators)
    try:
        chosen = plan(size, tickets, operators, tolerate_down=down, availability=availability, target=target)
    except BadParameters:
        return
    rows = chosen.n // tickets
    assert chosen.n % tickets == 0
    assert chosen.k + tickets // 3 * rows <= chosen.n
    assert max(operators) * rows <= chosen.k
    assert chosen.n <= 8 * chosen.k
    gone = sum(sorted(operators, reverse=True)[:down])
    assert chosen.k <= (tickets - gone) * rows
    assert restorable(operators, availability, chosen.k, rows) >= target - 1e-9
    assert chosen.probability == pytest.approx(restorable(operators, availability, chosen.k, rows), abs=1e-9)
    assert chosen.count == chosen.matrices(size)
    assert chosen.width == 4096 or (chosen.count == 1 and chosen.width >= 64)
    if chosen.width > 64 and size:
        assert Shape(chosen.width // 2, chosen.k, chosen.n).matrices(size) > 1 or chosen.width == 4096
    larger = chosen.k + rows  # one ticket more would break a bound: no thriftier plan of this kind exists
    assert (
        larger + tickets // 3 * rows > chosen.n
        or larger > (tickets - gone) * rows
        or restorable(operators, availability, larger, rows) < target + 1e-9
    )


def restorable(operators: list[int], availability: float, k: int, rows: int) -> float:
    """Return the probability by listing every set of operators that answers."""
    total = 0.0
    for count in range(len(operators) + 1):
        for up in combinations(range(len(operators)), count):
            if sum(operators[i] for i in up) * rows >= k:
                total += availability**count * (1 - availability) ** (len(operators) - count)
    return total


def test_six_equal_operators_give_four_of_six() -> None:
    """The demo's roster: any two may be down, overhead a little over 1.5, reasons in words."""
    chosen = plan(8 << 20, 6, [1] * 6)
    assert (chosen.width, chosen.k, chosen.n, chosen.count) == (4096, 4, 6, 17)
    assert 1.5 < chosen.overhead < 1.7
    assert chosen.stored_bytes == 6 * 17 * 4096 * 32
    assert chosen.explanation[0].startswith("k=4")
    assert plan(8 << 20, 4, [1] * 4).k == 2


def test_small_objects_get_narrow_slices() -> None:
    """The width shrinks until one matrix is just enough; nothing at all takes the narrowest."""
    assert plan(0, 6, [1] * 6).width == 64
    assert plan(0, 6, [1] * 6).count == 1
    assert plan(4 * 64 * 31, 6, [1] * 6).width == 64
    assert plan(4 * 64 * 31 + 1, 6, [1] * 6).width == 128
    assert plan(4 * 4096 * 31, 6, [1] * 6).width == 4096
    assert plan(4 * 4096 * 31 + 1, 6, [1] * 6).count == 2
    assert plan(0, 6, [1] * 6).overhead == float("inf")


def test_unreliable_operators_cost_overhead() -> None:
    """Lower availability, or a higher target, lowers k; availability counts by operator."""
    reliable = plan(1 << 20, 9, [1] * 9, availability=0.999)
    poor = plan(1 << 20, 9, [1] * 9, availability=0.9)
    assert poor.k < reliable.k
    mixed = plan(1 << 20, 9, [1] * 9, availability=[0.999] * 6 + [0.5] * 3)
    assert poor.k <= mixed.k < reliable.k
    assert plan(1 << 20, 9, [1] * 9, tolerate_down=1, availability=0.99).k == 6
    # one operator with a third of the tickets is lost as a whole, not ticket by ticket
    assert plan(1 << 20, 9, [3, 3, 3], tolerate_down=1, availability=0.99).k == 3


@pytest.mark.parametrize(
    ("tickets", "operators", "options"),
    [
        (0, [], {}),
        (1025, [1] * 1025, {}),
        (6, [1] * 5, {}),
        (6, [6, 0], {}),
        (6, [-1, 7], {}),
        (3, [1, 1, 1], {"tolerate_down": 3}),
        (3, [1, 1, 1], {"tolerate_down": -1}),
        (2, [1, 1], {"tolerate_down": 1, "availability": 0.5, "target": 0.99}),
        (10, [8, 1, 1], {"tolerate_down": 1}),
        (6, [1] * 6, {"availability": 0.0}),
        (6, [1] * 6, {"availability": 1.1}),
        (6, [1] * 6, {"availability": [0.9]}),
        (6, [1] * 6, {"target": 1.0}),
        (6, [1] * 6, {"profile": "narrow"}),
        (6, [3, 1, 1, 1], {"profile": "wide"}),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    tickets: int, operators: list[int], options: dict[str, object]
) -> None:
    """Bad input and impossible rosters raise BadParameters."""
    with pytest.raises(BadParameters) as caught:
        plan(1000, tickets, operators, **options)
    assert len(str(caught.value)) > 20


def test_negative_sizes_and_too_many_slices_are_refused() -> None:
    """Sizes out of range raise BadParameters."""
    with pytest.raises(BadParameters):
        plan(-1, 6, [1] * 6)
    with pytest.raises(BadParameters):
        plan(1 << 64, 6, [1] * 6)


def test_the_wide_profile_is_that_of_the_design() -> None:
    """w=1024, k=1024, n the least multiple of T from 3,072 on; the largest roster works too."""
    chosen = plan(32 << 20, 6, [1] * 6, profile="wide")
    assert (chosen.width, chosen.k, chosen.n, chosen.needed) == (1024, 1024, 3072, 2)
    chosen = plan(32 << 20, 1000, [10] * 100, profile="wide")
    assert (chosen.n, chosen.tickets, chosen.needed) == (4000, 1000, 256)
    assert plan(1 << 30, 1024, [1] * 1024).n == 1024
