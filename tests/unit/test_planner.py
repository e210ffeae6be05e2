"""The planner: every plan keeps every bound, is as thrifty as the bounds allow, and says why; else it refuses."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.errors import BadParameters
from qanat.objects import Failures, Shape, annual_loss, needed_tickets, nines, plan
from qanat.objects.durability import fewer_than, replicas_loss, ticket_distribution


@settings(max_examples=200, deadline=None)
@given(
    size=st.one_of(st.integers(0, 300_000), st.integers(0, 1 << 40)),
    operators=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    down=st.integers(0, 3),
    absent=st.integers(0, 2),
    availability=st.floats(0.5, 1),
    target=st.sampled_from([0.9, 0.99, 0.9999, 0.999999]),
    durability=st.sampled_from([0.0, 3.0, 6.0, 9.0]),
)
def test_a_plan_keeps_every_bound(
    size: int, operators: list[int], down: int, absent: int, availability: float, target: float, durability: float
) -> None:
    """Thresholds, no operator with more than k rows, any two down, what was asked for, and no smaller overhead."""
    tickets = sum(operators)
    options = {"tolerate_down": down, "tolerate_absent": absent, "target": target, "durability": durability}
    try:
        chosen = plan(size, tickets, operators, availability=availability, **options)
    except BadParameters:
        return
    away = sum(sorted(operators, reverse=True)[:absent])
    assert chosen.signatures == needed_tickets(tickets, chosen.k, chosen.n) <= tickets - away
    assert chosen.loss_per_year <= 10**-durability
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
        or needed_tickets(tickets, larger, chosen.n) > tickets - away
        or float(annual_loss(operators, Failures())[chosen.needed + 1]) > 10**-durability
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
        (3, [1, 1, 1], {"tolerate_absent": 3}),
        (3, [1, 1, 1], {"tolerate_absent": -1}),
        (4, [1, 1, 1, 1], {"tolerate_absent": 3}),
        (6, [1] * 6, {"durability": 30}),
        (6, [1] * 6, {"profile": "wide", "durability": 30}),
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


@pytest.mark.parametrize("tickets", [3, 4, 5, 6, 7, 30, 300, 768, 1000, 1024])
def test_the_wide_profile_is_that_of_the_design(tickets: int) -> None:
    """w=1024, k=1024, n the least multiple of T from 3,072 on: 32 MB are one matrix, with 0G's largest blob."""
    chosen = plan(32_000_000, tickets, [1] * tickets, profile="wide", tolerate_down=min(2, tickets - 1))
    assert (chosen.width, chosen.k, chosen.count) == (1024, 1024, 1)
    assert chosen.n == min(n for n in range(3072, 3072 + tickets) if n % tickets == 0)
    assert plan(1024 * 1024 * 31, tickets, [1] * tickets, profile="wide", tolerate_down=0).count == 1
    rows = chosen.n // tickets
    assert chosen.needed == -(-1024 // rows)
    assert chosen.signatures * rows >= 1024 + tickets // 3 * rows
    assert chosen.signatures <= tickets


def test_the_wide_profile_makes_3072_slices() -> None:
    """Where T divides it; the largest roster works, and one row more than k with an operator does not."""
    assert plan(32_000_000, 6, [1] * 6, profile="wide").n == 3072
    assert plan(32_000_000, 1024, [256] * 4, profile="wide", tolerate_down=1).n == 3072
    with pytest.raises(BadParameters, match="at most 341 tickets"):
        plan(32_000_000, 1024, [342, 341, 341], profile="wide", tolerate_down=1)
    with pytest.raises(BadParameters):  # two of three must sign, and one of three restores
        plan(32_000_000, 2, [1, 1], profile="wide", tolerate_down=0)


# ---- probabilities ---------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(operators=st.lists(st.tuples(st.integers(1, 9), st.floats(0.01, 1)), min_size=1, max_size=8))
def test_the_distribution_is_that_of_all_sets_of_operators(operators: list[tuple[int, float]]) -> None:
    """Unequal tickets, unequal chances: as listing every set that may answer."""
    expected = np.zeros(sum(held for held, _ in operators) + 1)
    for answers in product([False, True], repeat=len(operators)):
        probability = 1.0
        for (_, chance), there in zip(operators, answers, strict=True):
            probability *= chance if there else 1 - chance
        expected[sum(held for (held, _), there in zip(operators, answers, strict=True) if there)] += probability
    found = ticket_distribution([held for held, _ in operators], [chance for _, chance in operators])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(fewer_than(found)[1:], np.cumsum(expected), rtol=1e-9)


def test_one_operator_s_tickets_are_lost_together() -> None:
    """Six tickets of two operators fail like two things, not like six."""
    together, apart = annual_loss([3, 3], Failures()), annual_loss([1] * 6, Failures())
    assert together[1] > 1e3 * apart[1]
    assert together[4] == pytest.approx(1 - (1 - 0.05) ** 2, rel=1e-2)
    assert list(together[1:4]) == [together[1]] * 3


@settings(max_examples=20, deadline=None)
@given(operators=st.lists(st.integers(1, 5), min_size=1, max_size=7), loss=st.floats(0.001, 0.4), days=st.floats(1, 60))
def test_the_frequency_of_loss_is_that_of_all_states(operators: list[int], loss: float, days: float) -> None:
    """Counted over every state of every operator: how often one failure takes the count below q."""
    failures = Failures(loss, days)
    there = 1 - failures.unrepaired
    expected = np.zeros(sum(operators) + 1)
    for state in product([False, True], repeat=len(operators)):
        probability = float(np.prod([there if up else 1 - there for up in state]))
        count = sum(held for held, up in zip(operators, state, strict=True) if up)
        for held, up in zip(operators, state, strict=True):
            if up:
                expected[count - held + 1 : count + 1] += probability * failures.rate
    found = annual_loss(operators, failures)
    np.testing.assert_allclose(found, np.maximum.accumulate(-np.expm1(-expected)), rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize(("count", "needed"), [(3, 1), (3, 2), (6, 4), (6, 3), (9, 6)])
def test_a_year_s_loss_is_that_of_the_markov_chain(count: int, needed: int) -> None:
    """Against the transient solution: all there at first, absorbed at the first moment with too few left."""
    failures = Failures(0.1, 10)
    repair = 365.25 / 10
    gone = count - needed + 1  # the absorbing state
    rates = np.zeros((gone + 1, gone + 1))
    for lost in range(gone):
        rates[lost, lost + 1] = (count - lost) * failures.rate
        if lost:
            rates[lost, lost - 1] = lost * repair
        rates[lost, lost] = -rates[lost].sum()
    steps = 1 << 16
    one_step = np.linalg.matrix_power(np.eye(gone + 1) + rates / steps, steps)
    truth = one_step[0, gone]
    found = annual_loss([1] * count, failures)[needed]
    assert truth < found < 1.25 * truth


def test_three_copies_are_one_needed_of_three() -> None:
    """Replication is the code with k = 1."""
    failures = Failures(0.03, 5)
    for copies in (1, 2, 3, 5):
        assert replicas_loss(copies, failures) == pytest.approx(annual_loss([1] * copies, failures)[1], rel=1e-9)
    assert nines(replicas_loss(3, Failures())) > 6


def test_large_rosters_lose_no_precision() -> None:
    """More nines than a float has digits below one; the most nines are never fewer with more losses allowed."""
    lost = annual_loss([1] * 1000, Failures())
    assert nines(float(lost[667])) > 100
    assert np.all(np.diff(lost) >= 0)


@pytest.mark.parametrize("values", [(-0.1, 7.0), (1.0, 7.0), (0.1, 0.0), (0.1, 366.0)])
def test_impossible_failures_are_refused(values: tuple[float, float]) -> None:
    """A probability and a time within the year."""
    with pytest.raises(BadParameters):
        Failures(*values)


def test_absent_signers_cost_overhead() -> None:
    """Six operators: four of six needs every signature, three of six lets one be absent, two of six two."""
    found = [plan(8 << 20, 6, [1] * 6, tolerate_absent=absent) for absent in (0, 1, 2)]
    assert [(chosen.k, chosen.signatures) for chosen in found] == [(4, 6), (3, 5), (2, 4)]
    assert "needs the signatures of 6 of 6" in " ".join(found[0].explanation)


def test_nines_asked_for_cost_overhead() -> None:
    """The durability asked for bounds k, and the explanation says so."""
    easy = plan(8 << 20, 9, [1] * 9, durability=6)
    hard = plan(8 << 20, 9, [1] * 9, durability=12)
    assert easy.k > hard.k
    assert nines(hard.loss_per_year) >= 12
    assert "12 nines a year" in hard.explanation[0]
