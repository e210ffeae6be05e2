"""How many holders a key needs: (t, m) for a bound against an adversary with a third of the stake.

Holders are drawn by tickets, distinct operators, from those of a roster that hold keys, by a later seed. The adversary
may be any set of operators with at most a third A of the *roster's* tickets: the planner has not seen who, and all of
its operators may hold keys where few others do. T are the tickets of those that hold keys. After a adversarial and h
honest draws, it has at most A - (the a smallest operators) tickets left, and the honest at least T - A - (the h
largest), so the next draw is its with probability at most

    p(a, h) = max(0, A - small(a)) / (max(0, A - small(a)) + max(0, T - A - large(h)))

and never after as many draws as it can have operators. For operators with a ticket each this is the hypergeometric
distribution; otherwise an upper bound, by a coupling (docs/decisions/0065).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qanat.errors import BadParameters
from qanat.keys.context import MAX_HOLDERS

DEFAULT_BOUND = 1e-6
LEAST_OPERATORS = LEAST_HOLDERS = 4
"""With three, 2 of 3 stands on a single honest operator: good for a demonstration."""


@dataclass(frozen=True)
class HolderPlan:
    """A choice of t and m, and what it means.

    :param reading: upper bound of the probability that the adversary gets t holders, and can read.
    :param starving: that it gets m-t+1, and can withhold: licensees then need a forced release, and it is slashed.
    :param redraws: silent places that may be redrawn; both bounds count them as further draws of the adversary's.
    """

    threshold: int
    holders: int
    redraws: int
    reading: float
    starving: float
    operators: int
    tickets: int

    def explain(self) -> str:
        """Say it in two sentences."""
        return (
            f"{self.threshold} of {self.holders} holders from the {self.operators} operators that hold keys. An "
            f"adversary with a third of the stake can read with probability at most {self.reading:.2g}, and withhold "
            f"(at the price of slashes) with at most {self.starving:.2g}, {self.redraws} redraws counted."
            + (f" That is above the bound of {DEFAULT_BOUND:g}." if self.reading > DEFAULT_BOUND else "")
        )


def adversarial_draws(tickets: Sequence[int], draws: int, roster_tickets: int | None = None) -> list[float]:
    """Return, for a = 0..draws, an upper bound of P(at least a of the draws are the adversary's).

    :param tickets: of each operator that can be drawn. The bound is on tails, by stochastic order, not single counts.
    :param roster_tickets: of all operators of the roster, which the adversary may have a third of: all of its operators
        may be among those that can be drawn, however few of the others are. By default everybody can be drawn.
    """
    held = sorted(count for count in tickets if count > 0)
    if draws > len(held):
        raise BadParameters(f"{draws} distinct holders can't be drawn from {len(held)} operators.")
    total = sum(held)
    most = (total if roster_tickets is None else roster_tickets) // 3
    small, large = [0], [0]
    for least, greatest in zip(held, reversed(held), strict=True):
        small.append(small[-1] + least)
        large.append(large[-1] + greatest)
    # as many operators as fit into a third, smallest first
    capacity = max(count for count, used in enumerate(small) if used <= most)

    chances = [1.0]  # chances[a]: so many of the draws so far
    for done in range(draws):
        following = [0.0] * (done + 2)
        for a, chance in enumerate(chances):
            h = done - a
            left = max(0, most - small[a]) if a < capacity else 0
            honest = max(0, total - most - large[h])
            mine = left / (left + honest) if left else 0.0
            following[a + 1] += chance * mine
            following[a] += chance * (1 - mine)
        chances = following
    tails = [0.0] * (draws + 1)
    tail = 0.0
    for a in range(draws, -1, -1):
        tail += chances[a]
        tails[a] = min(1.0, tail)
    return tails


def evaluate_holders(
    tickets: Sequence[int], threshold: int, holders: int, redraws: int = 0, roster_tickets: int | None = None
) -> HolderPlan:
    """Return what a given choice means; one that can't be drawn raises ``BadParameters``.

    Tickets as for :func:`adversarial_draws`.
    """
    operators = sum(count > 0 for count in tickets)
    if not 1 <= threshold <= holders <= MAX_HOLDERS:
        raise BadParameters(f"{threshold} of {holders} is no choice: 1 <= t <= m <= {MAX_HOLDERS}.")
    draws = min(operators, holders + redraws)
    tails = adversarial_draws(tickets, draws, roster_tickets) if holders <= operators else []
    if not tails:
        raise BadParameters(f"{holders} distinct holders can't be drawn from {operators} operators.")

    def at_least(count: int) -> float:
        return tails[count] if count < len(tails) else 0.0

    return HolderPlan(
        threshold,
        holders,
        redraws,
        at_least(threshold),
        at_least(holders - threshold + 1),
        operators,
        sum(tickets),
    )


def plan_holders(
    tickets: Sequence[int],
    *,
    bound: float = DEFAULT_BOUND,
    starving_bound: float | None = None,
    most: int = MAX_HOLDERS,
    redraws: int = 0,
    roster_tickets: int | None = None,
) -> HolderPlan:
    """Choose (t, m): the fewest holders whose reading bound is at most ``bound``, and t the least that gives it.

    :param tickets: of each operator that can be drawn; ``roster_tickets``: of all, as for :func:`adversarial_draws`.
    :param starving_bound: at most so likely may the adversary be able to withhold; by default half of the time, since
        withholding is slashed and reading is not.
    :param most: holders at most; gas and calls grow with them.

    A shard that is too small for the bounds raises ``BadParameters``, whose ``data`` has the best that it could do.
    """
    if not 0 < bound < 1:
        raise BadParameters(f"A bound lies between 0 and 1, not at {bound}.")
    operators = sum(count > 0 for count in tickets)
    allowed = 0.5 if starving_bound is None else starving_bound
    best: HolderPlan | None = None
    if operators >= LEAST_OPERATORS:
        for holders in range(LEAST_HOLDERS, min(operators, most) + 1):
            tails = adversarial_draws(tickets, min(operators, holders + redraws), roster_tickets)
            threshold = next((t for t in range(2, holders + 1) if t >= len(tails) or tails[t] <= bound), holders)
            plan = evaluate_holders(tickets, threshold, holders, redraws, roster_tickets)
            if plan.reading <= bound and plan.starving <= allowed:
                return plan
            if best is None or (plan.reading, plan.starving) < (best.reading, best.starving):
                best = plan
    found = "none can be trusted" if best is None else f"{best.threshold} of {best.holders} comes nearest"
    raise BadParameters(
        f"This shard is too small: {operators} operators hold keys, and no t of m holders keeps an adversary with a "
        f"third of the stake from reading with probability above {bound:g}, and from withholding above {allowed:g}; "
        f"{found}.",
        hint="Use a larger shard, or hold the key yourself (--keyholder self).",
        operators=operators,
        reading=None if best is None else best.reading,
        starving=None if best is None else best.starving,
    )
