"""The planner of t and m: its bounds against counting and against drawing, and what it says of small shards."""

from __future__ import annotations

import random
from itertools import combinations
from math import comb

import pytest

from qanat.errors import BadParameters
from qanat.keys.holders import LEAST_OPERATORS, adversarial_draws, evaluate_holders, plan_holders


@pytest.mark.parametrize(("operators", "draws"), [(6, 3), (9, 5), (30, 10), (60, 12)])
def test_equal_operators_give_the_hypergeometric_tail(operators: int, draws: int) -> None:
    """Counted with binomial coefficients: ⌊n/3⌋ of n are the adversary's."""
    bad = operators // 3
    tails = adversarial_draws([5] * operators, draws)
    for a in range(draws + 1):
        exact = sum(comb(bad, i) * comb(operators - bad, draws - i) for i in range(a, draws + 1)) / comb(
            operators, draws
        )
        assert tails[a] == pytest.approx(exact, rel=1e-9, abs=1e-15)


def exact_tail(tickets: list[int], bad: frozenset[int], draws: int) -> list[float]:
    """Return P(at least a adversarial draws) by following every order of distinct draws."""
    found = [0.0] * (draws + 1)

    def follow(left: frozenset[int], chance: float, a: int, done: int) -> None:
        if done == draws:
            found[a] += chance
            return
        total = sum(tickets[i] for i in left)
        for i in left:
            follow(left - {i}, chance * tickets[i] / total, a + (i in bad), done + 1)

    follow(frozenset(range(len(tickets))), 1.0, 0, 0)
    return [sum(found[a:]) for a in range(draws + 1)]


@pytest.mark.parametrize("tickets", [[1, 1, 1, 2, 3, 4], [4, 4, 4, 1, 1, 1, 1], [3, 3, 3, 3, 3, 3], [1, 2, 3, 3, 3]])
def test_the_bound_holds_for_every_adversary(tickets: list[int]) -> None:
    """Every set of operators with at most a third of the tickets, followed exactly."""
    tails = adversarial_draws(tickets, 4)
    most = sum(tickets) // 3
    for size in range(1, len(tickets)):
        for chosen in combinations(range(len(tickets)), size):
            if sum(tickets[i] for i in chosen) <= most:
                exact = exact_tail(tickets, frozenset(chosen), 4)
                assert all(real <= bound + 1e-12 for real, bound in zip(exact, tails, strict=True))


def test_large_shards_get_fewer_than_all() -> None:
    """A hundred equal operators: the default bound holds, and t - 1 would not give it."""
    plan = plan_holders([10] * 100)
    assert plan.reading <= 1e-6
    assert plan.starving <= 0.5
    assert evaluate_holders([10] * 100, plan.threshold - 1, plan.holders).reading > 1e-6
    assert "1e-06" not in plan.explain()
    assert f"{plan.threshold} of {plan.holders}" in plan.explain()
    assert f"{plan.reading:.2g}" in plan.explain()
    assert f"{plan.starving:.2g}" in plan.explain()


def test_six_equal_operators_are_safe_by_counting() -> None:
    """A third are two operators: three of any five can't all be bad, and three honest ones are always left."""
    plan = plan_holders([4] * 6)
    assert (plan.reading, plan.threshold) == (0.0, 3)


def test_redraws_are_the_adversarys() -> None:
    """Silencing honest holders gives it further draws: the bound counts them."""
    weights = [1] * 40
    assert evaluate_holders(weights, 9, 12, 6).reading > evaluate_holders(weights, 9, 12).reading
    assert plan_holders(weights, redraws=6).reading <= 1e-6


@pytest.mark.parametrize(("honest", "at_least", "is_enough"), [(20, 0.40, False), (40, 1.3e-4, False), (60, 0, True)])
def test_the_adversary_holds_keys_where_others_do_not(honest: int, at_least: float, is_enough: bool) -> None:
    """Of 100 operators 33 are its, and all hold keys; of the others few do. A plan for all of them would be read."""
    blind = plan_holders([1] * 100, redraws=4)
    real = sum(
        comb(33, a) * comb(honest, blind.holders - a) for a in range(blind.threshold, min(33, blind.holders) + 1)
    ) / comb(33 + honest, blind.holders)
    assert real > at_least * 0.9
    willing = [1] * (33 + honest)
    told = evaluate_holders(willing, blind.threshold, blind.holders, 0, 100)
    assert told.reading >= real * (1 - 1e-9)  # for equal operators the bound is exact
    assert told.reading > evaluate_holders(willing, blind.threshold, blind.holders).reading
    if is_enough:
        assert plan_holders(willing, redraws=4, roster_tickets=100).holders > blind.holders
    else:
        with pytest.raises(BadParameters, match="too small"):
            plan_holders(willing, redraws=4, roster_tickets=100)


@pytest.mark.parametrize("tickets", [[], [1], [1] * (LEAST_OPERATORS - 1), [9, 9, 9], [0, 0, 0, 0, 0]])
def test_a_shard_that_is_too_small_is_called_so(tickets: list[int]) -> None:
    """2 of 3 stands on one honest operator."""
    with pytest.raises(BadParameters, match="too small"):
        plan_holders(tickets)


def test_four_operators_are_all_holders() -> None:
    """No plan stands on one honest operator; one of a person's own says where it is above the bound."""
    plan = plan_holders([1] * 4)
    assert (plan.threshold, plan.holders, plan.reading) == (2, 4, 0.0)
    assert "above the bound" not in plan.explain()
    assert "above the bound of 1e-06" in evaluate_holders([1] * 9, 2, 5).explain()


def test_a_shard_of_many_small_ones_beside_giants_may_be_too_small() -> None:
    """Two large honest operators are drawn early; the rest is the adversary's. The best is told."""
    with pytest.raises(BadParameters, match="too small") as found:
        plan_holders([30, 30, *[1] * 30], starving_bound=1e-6)
    assert found.value.data["reading"] is not None


def test_bounds_out_of_range_are_refused() -> None:
    """Of the probability, of t and m, of what can be drawn."""
    for bound in (0.0, 1.0, -1.0):
        with pytest.raises(BadParameters):
            plan_holders([1] * 9, bound=bound)
    for t, m in ((0, 3), (4, 3), (1, 65), (2, 10)):
        with pytest.raises(BadParameters):
            evaluate_holders([1] * 9, t, m)
    with pytest.raises(BadParameters):
        adversarial_draws([1, 1], 3)


def test_drawing_agrees_with_the_tail() -> None:
    """20,000 drawings of 8 from 24 with a third bad, each tail within five standard errors (fails 1 in 10^5)."""
    choose = random.Random(8)
    tails = adversarial_draws([1] * 24, 8)
    counts = [sum(item < 8 for item in choose.sample(range(24), 8)) for _ in range(20_000)]
    for a, tail in enumerate(tails):
        seen = sum(count >= a for count in counts) / len(counts)
        assert abs(seen - tail) <= 5 * (tail * (1 - tail) / len(counts)) ** 0.5 + 1e-4
