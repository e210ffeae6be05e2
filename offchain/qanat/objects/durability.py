"""How likely it is that too few tickets are left: exactly, for operators of unequal weight.

An operator's tickets are lost, or out of reach, together. So what is counted is operators' failures, each of which
takes all tickets of one operator: the distribution of the tickets left is made operator by operator (a two-term
product for each), never as if tickets, or slices, failed one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, log1p, log10

import numpy as np
from numpy.typing import NDArray

from qanat.errors import BadParameters

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Failures:
    """How operators are lost, each by itself, and how long a lost one's rows are missing.

    :param loss_per_year: probability that an operator loses, within a year, all that it holds (disk, keys, or will).
    :param repair_days: from then until another has rebuilt and proven its rows; the mean suffices (see
        :func:`annual_loss`).

    Values out of range raise ``BadParameters``.
    """

    loss_per_year: float = 0.05
    repair_days: float = 7.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss_per_year < 1 or not 0 < self.repair_days < DAYS_PER_YEAR:
            raise BadParameters(
                f"An operator lost with probability {self.loss_per_year} a year and repaired in {self.repair_days} "
                f"days: a probability below 1 and less than a year are needed."
            )

    @property
    def rate(self) -> float:
        """Losses per year of an operator that is there: constant hazard."""
        return -log1p(-self.loss_per_year)

    @property
    def unrepaired(self) -> float:
        """The part of the time in which an operator's rows are missing."""
        load = self.rate * self.repair_days / DAYS_PER_YEAR
        return load / (1 + load)


def ticket_distribution(tickets_per_operator: Sequence[int], chances: Sequence[float]) -> NDArray[np.float64]:
    """Return P(exactly q tickets are there) for q = 0..T, each operator there with its own chance."""
    spread = np.zeros(sum(tickets_per_operator) + 1)
    spread[0] = 1.0
    top = 0
    for held, chance in zip(tickets_per_operator, chances, strict=True):
        present = spread[: top + 1] * chance
        spread[: top + 1] *= 1 - chance
        spread[held : held + top + 1] += present
        top += held
    return spread


def fewer_than(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(fewer than q tickets are there) for q = 0..T+1, summed from the small end, where the precision is."""
    return np.concatenate([[0.0], np.cumsum(spread)])


def annual_loss(tickets_per_operator: Sequence[int], failures: Failures) -> NDArray[np.float64]:
    """Return, for q = 0..T, the probability that within a year fewer than q tickets are left at some moment.

    In the steady state of independent operators that are lost and repaired, an operator's loss takes the count from at
    least q to below it with a frequency of rate * P(it is there) * P(the others have q - t .. q - 1 tickets); that
    holds exactly for any distribution of repair times with this mean (Barlow and Proschan, Statistical Theory of
    Reliability, 1975, chapter 7: mean up and down times of a coherent system). The first such moment is a loss for
    good, so 1 - exp(-frequency) a year is at least the truth, by a factor close to 1 where losses are rare.
    """
    total = sum(tickets_per_operator)
    there = 1 - failures.unrepaired
    frequency = np.zeros(total + 1)
    for held, count in Counter(tickets_per_operator).items():
        others = list(tickets_per_operator)
        others.remove(held)
        below = fewer_than(ticket_distribution(others, [there] * len(others)))
        below = np.concatenate([below, np.full(total + 1 - len(below), below[-1])])
        shifted = np.concatenate([np.zeros(held), below])[: total + 1]
        frequency += count * failures.rate * there * (below[: total + 1] - shifted)
    loss: NDArray[np.float64] = np.maximum.accumulate(-np.expm1(-np.maximum(frequency, 0.0)))
    return loss


def replicas_loss(copies: int, failures: Failures) -> float:
    """Return the probability that within a year all copies are gone at some moment, each on an operator of its own."""
    there = 1 - failures.unrepaired
    return -expm1(-copies * failures.rate * there * failures.unrepaired ** (copies - 1))


def nines(probability: float) -> float:
    """Return -log10: 0.001 is three nines; infinite for zero."""
    return -log10(probability) if probability > 0 else float("inf")
