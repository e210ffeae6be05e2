"""Choosing (w, k, n, M) for an object and a roster, at the least overhead, and saying why.

Every ticket holds r = n/T rows of every matrix, so all bounds on k are multiples of r, and r = 1 wastes least padding.
What remains is how many tickets are needed: as many as possible, since overhead is about T/needed, within four bounds:

- a third of the tickets in lying hands leaves k rows: needed <= T - floor(T/3);
- ``tolerate_down`` operators may be down, whichever: needed <= T - their tickets;
- the object must be restorable with the probability asked for, when every operator answers with its own availability
  *and takes all its rows with it*: needed <= the largest q with P(tickets that answer >= q) >= target;
- no operator alone holds more than k rows, and n <= 8k: needed >= the largest operator's tickets, needed >= T/8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qanat.coding.points import MAX_ROWS, MAX_STRETCH
from qanat.errors import BadParameters
from qanat.field import ELEMENT_BYTES, PAYLOAD_BYTES
from qanat.objects.shape import MAX_WIDTH, MIN_WIDTH, Shape

MAX_TICKETS = 1024
WIDE_WIDTH = 1024
WIDE_DATA_ROWS = 1024
WIDE_ROWS = 3072


@dataclass(frozen=True)
class Plan(Shape):
    """A chosen shape and the reasons for it.

    :param size: bytes planned for; :param count: M, its matrices.
    :param tickets: T; :param needed: tickets whose rows suffice to restore.
    :param probability: that the object can be restored when each operator answers with its availability.
    :param explanation: one sentence per decision.
    """

    size: int = 0
    count: int = 1
    tickets: int = 1
    needed: int = 1
    probability: float = 1.0
    explanation: tuple[str, ...] = field(default=(), compare=False)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all slices."""
        return self.n * self.count * self.slice_bytes

    @property
    def overhead(self) -> float:
        """Stored slice bytes per byte of the object; infinite for an empty one."""
        return self.stored_bytes / self.size if self.size else float("inf")


def plan(
    size: int,
    tickets: int,
    tickets_per_operator: Sequence[int],
    *,
    tolerate_down: int = 2,
    availability: float | Sequence[float] = 0.99,
    target: float = 0.9999,
    profile: str = "",
) -> Plan:
    """Choose the shape for an object of ``size`` bytes on a roster.

    :param tickets: T, at most 1,024; equals the sum of ``tickets_per_operator``.
    :param tolerate_down: how many operators may be down, whichever they are, without loss.
    :param availability: probability that an operator answers, one for all or one each.
    :param target: probability with which the object must be restorable.
    :param profile: empty, or ``"wide"``: w=1024, k=1024, n the least multiple of T >= 3,072.

    Raises ``BadParameters``, naming the bounds that exclude each other, when nothing fits.
    """
    chances = _checked(size, tickets, tickets_per_operator, tolerate_down, availability, target)
    spread = _distribution(tickets_per_operator, chances)
    down = sum(sorted(tickets_per_operator, reverse=True)[:tolerate_down])
    largest = max(tickets_per_operator)
    bounds = {
        f"a third of {tickets} tickets may lie: at most {tickets - tickets // 3}": tickets - tickets // 3,
        f"any {tolerate_down} operators ({down} tickets) may be down: at most {tickets - down}": tickets - down,
        f"restorable with probability {target}: at most {_quantile(spread, target)}": _quantile(spread, target),
    }
    floor = max(1, largest, -(-tickets // MAX_STRETCH))
    limit = min(bounds.values())
    reason = next(text for text, value in bounds.items() if value == limit)
    if profile == "wide":
        return _wide(size, tickets, floor, limit, reason, spread)
    if profile:
        raise BadParameters(f"There is no profile {profile!r}.", hint='Use "wide" or none.')
    if limit < floor:
        raise BadParameters(
            f"No k fits: {reason}; but an operator holds {largest} of {tickets} tickets and n may be at most "
            f"{MAX_STRETCH}k, so at least {floor} tickets must be needed.",
            hint="Use a roster with more operators or evener tickets, or tolerate fewer operators down.",
            at_most=limit,
            at_least=floor,
        )
    width = MAX_WIDTH
    while width > MIN_WIDTH and limit * (width // 2) * PAYLOAD_BYTES >= size:
        width //= 2
    shape = Shape(width, limit, tickets)
    count = shape.matrices(size)
    probability = _at_least(spread, limit)
    texts = (
        f"k={limit}: the rows of {limit} of {tickets} tickets restore the object; the tightest bound is: {reason}.",
        f"n={tickets}: one row of every matrix per ticket; more would only add padding.",
        f"w={width}: "
        + (
            "the widest slice, cheapest to commit and prove per byte."
            if width == MAX_WIDTH
            else "the object is smaller than one matrix of wider slices."
        ),
        f"M={count}: {size} bytes in matrices of {shape.matrix_payload}.",
        f"Restorable with probability {probability:.9f} if operators fail independently, each with all its rows.",
    )
    return Plan(width, limit, tickets, size, count, tickets, limit, probability, texts)


def _wide(size: int, tickets: int, floor: int, limit: int, reason: str, spread: list[float]) -> Plan:
    n = -(-WIDE_ROWS // tickets) * tickets
    rows = n // tickets
    needed = -(-WIDE_DATA_ROWS // rows)
    if needed > limit or rows * floor > WIDE_DATA_ROWS or n > MAX_STRETCH * WIDE_DATA_ROWS or n > MAX_ROWS:
        raise BadParameters(
            f"Profile wide (k={WIDE_DATA_ROWS}, n={n}) does not fit this roster: it needs {needed} tickets ({reason}), "
            f"and an operator may hold at most {WIDE_DATA_ROWS // rows} tickets, {floor} are held.",
            hint="Plan without a profile.",
        )
    shape = Shape(WIDE_WIDTH, WIDE_DATA_ROWS, n)
    count = shape.matrices(size)
    probability = _at_least(spread, needed)
    texts = (
        f"Profile wide: w={WIDE_WIDTH}, k={WIDE_DATA_ROWS}, n={n}: least multiple of {tickets} from {WIDE_ROWS} on.",
        f"M={count}: {size} bytes in matrices of {shape.matrix_payload}.",
        f"Restorable with probability {probability:.9f} if operators fail independently, each with all its rows.",
    )
    return Plan(WIDE_WIDTH, WIDE_DATA_ROWS, n, size, count, tickets, needed, probability, texts)


def _checked(
    size: int,
    tickets: int,
    tickets_per_operator: Sequence[int],
    tolerate_down: int,
    availability: float | Sequence[float],
    target: float,
) -> list[float]:
    if size < 0:
        raise BadParameters(f"An object can't have {size} bytes.")
    if not 1 <= tickets <= MAX_TICKETS:
        raise BadParameters(f"T={tickets} tickets: a roster has 1 to {MAX_TICKETS}.", tickets=tickets)
    if not tickets_per_operator or min(tickets_per_operator) < 1 or sum(tickets_per_operator) != tickets:
        raise BadParameters(f"The operators' tickets must be positive and add up to T={tickets}.")
    if not 0 <= tolerate_down < len(tickets_per_operator):
        raise BadParameters(f"{tolerate_down} of {len(tickets_per_operator)} operators can't all be down.")
    count = len(tickets_per_operator)
    chances = (
        [float(availability)] * count if isinstance(availability, (int, float)) else [float(a) for a in availability]
    )
    if len(chances) != count or not all(0 < chance <= 1 for chance in chances):
        raise BadParameters("Availability is one probability in (0, 1] for all operators, or one for each.")
    if not 0 < target < 1:
        raise BadParameters(f"target={target}: a probability below 1 is needed.")
    return chances


def _distribution(tickets_per_operator: Sequence[int], chances: Sequence[float]) -> list[float]:
    """Return P(exactly q tickets answer) for q = 0..T: operators fail independently, each with all its tickets."""
    spread = [1.0]
    for held, chance in zip(tickets_per_operator, chances, strict=True):
        longer = [0.0] * (len(spread) + held)
        for q, probability in enumerate(spread):
            longer[q] += probability * (1 - chance)
            longer[q + held] += probability * chance
        spread = longer
    return spread


def _at_least(spread: Sequence[float], needed: int) -> float:
    """Return P(at least ``needed`` tickets answer), from the small side, where the precision is."""
    return max(0.0, 1.0 - sum(spread[:needed]))


def _quantile(spread: Sequence[float], target: float) -> int:
    """Return the largest q with P(at least q tickets answer) >= target."""
    lost = 0.0
    for q, probability in enumerate(spread):
        lost += probability
        if lost > 1 - target:
            return q
    return len(spread) - 1


def stored_bytes(shape: Shape, size: int) -> int:
    """Return the bytes of all slices of an object of this size."""
    return shape.n * shape.matrices(size) * shape.width * ELEMENT_BYTES
