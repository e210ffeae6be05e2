"""Choosing (w, k, n, M) for an object and a roster, at the least overhead, and saying why.

Every ticket holds r = n/T rows of every matrix, so all bounds on k are multiples of r, and r = 1 wastes least padding.
What remains is how many tickets are needed: as many as possible, since overhead is about T/needed, within these bounds:

- a third of the tickets in lying hands leaves k rows, and a certificate can be had while ``tolerate_absent``
  operators, whichever, don't sign: needed <= T - floor(T/3) - their tickets;
- ``tolerate_down`` operators may be down, whichever: needed <= T - their tickets;
- the object must be restorable at a moment with the probability asked for, when every operator answers with its own
  availability *and takes all its rows with it*: needed <= the largest q with P(tickets that answer >= q) >= target;
- it must outlive a year with the number of nines asked for, when operators are lost for good and repaired
  (:mod:`qanat.objects.durability`);
- no operator alone holds more than k rows, and n <= 8k: needed >= the largest operator's tickets, needed >= T/8.

docs/planner.md tells what that costs for 3 to 3,000 operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qanat.coding.points import MAX_ROWS, MAX_STRETCH
from qanat.errors import BadParameters
from qanat.field import PAYLOAD_BYTES
from qanat.objects.durability import Failures, annual_loss, fewer_than, nines, ticket_distribution
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
    :param signatures: tickets that must sign before the chain takes a certificate.
    :param probability: that the object can be restored when each operator answers with its availability.
    :param loss_per_year: probability that it is lost within a year, were all tickets signed for.
    :param explanation: one sentence per decision.
    """

    size: int = 0
    count: int = 1
    tickets: int = 1
    needed: int = 1
    signatures: int = 1
    probability: float = 1.0
    loss_per_year: float = 0.0
    explanation: tuple[str, ...] = field(default=(), compare=False)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all slices."""
        return self.n * self.count * self.slice_bytes

    @property
    def overhead(self) -> float:
        """Stored slice bytes per byte of the object; infinite for an empty one."""
        return self.stored_bytes / self.size if self.size else float("inf")


def needed_tickets(tickets: int, k: int, n: int) -> int:
    """Return how many signed tickets a certificate needs: ⌈2T/3⌉, and k + ⌊T/3⌋·n/T rows' worth (DESIGN §5.2)."""
    per_ticket = n // tickets
    rows = k + tickets // 3 * per_ticket
    return max(-(-2 * tickets // 3), -(-rows // per_ticket))


def plan(
    size: int,
    tickets: int,
    tickets_per_operator: Sequence[int],
    *,
    tolerate_down: int = 2,
    tolerate_absent: int = 0,
    availability: float | Sequence[float] = 0.99,
    target: float = 0.9999,
    durability: float = 0.0,
    failures: Failures | None = None,
    profile: str = "",
) -> Plan:
    """Choose the shape for an object of ``size`` bytes on a roster.

    :param tickets: T, at most 1,024; equals the sum of ``tickets_per_operator``.
    :param tolerate_down: how many operators may be down, whichever they are, without loss.
    :param tolerate_absent: how many operators, whichever, may fail to sign while a certificate can still be had.
    :param availability: probability that an operator answers, one for all or one each.
    :param target: probability with which the object must be restorable at a moment.
    :param durability: nines a year asked for: 9 means lost with a probability of at most 1e-9 within a year.
    :param failures: how operators are lost for good; :class:`Failures` as it stands by default.
    :param profile: empty, or ``"wide"``: w=1024, k=1024, n the least multiple of T >= 3,072.

    Raises ``BadParameters``, naming the bounds that exclude each other, when nothing fits.
    """
    chances = _checked(size, tickets, tickets_per_operator, tolerate_down, tolerate_absent, availability, target)
    model = _Model(tickets_per_operator, chances, failures or Failures())
    bounds = _bounds(tickets, tickets_per_operator, tolerate_down, tolerate_absent, target, durability, model)
    largest = max(tickets_per_operator)
    floor = max(1, largest, -(-tickets // MAX_STRETCH))
    limit = min(bounds.values())
    reason = next(text for text, value in bounds.items() if value == limit)
    if profile == "wide":
        return _wide(size, tickets, floor, limit, reason, model)
    if profile:
        raise BadParameters(f"There is no profile {profile!r}.", hint='Use "wide" or none.')
    if limit < floor:
        raise BadParameters(
            f"No k fits: {reason}; but an operator holds {largest} of {tickets} tickets and n may be at most "
            f"{MAX_STRETCH}k, so at least {floor} tickets must be needed.",
            hint="Use a roster with more operators or evener tickets, tolerate fewer operators down or absent, or ask "
            "for less: a lower target or durability.",
            at_most=limit,
            at_least=floor,
        )
    width = MAX_WIDTH
    while width > MIN_WIDTH and limit * (width // 2) * PAYLOAD_BYTES >= size:
        width //= 2
    shape = Shape(width, limit, tickets)
    reasons = (
        f"k={limit}: the rows of {limit} of {tickets} tickets restore the object; the tightest bound is: {reason}.",
        f"n={tickets}: one row of every matrix per ticket; more would only add padding.",
        f"w={width}: "
        + (
            "the widest slice, cheapest to commit and prove per byte."
            if width == MAX_WIDTH
            else "the object is smaller than one matrix of wider slices."
        ),
    )
    return _finished(shape, size, tickets, limit, reasons, model)


class _Model:
    """What becomes of the tickets: at a moment, and in a year."""

    def __init__(self, tickets_per_operator: Sequence[int], chances: Sequence[float], failures: Failures) -> None:
        self.failures = failures
        self.down: NDArray[np.float64] = fewer_than(ticket_distribution(tickets_per_operator, chances))
        """P(fewer than q tickets answer)."""
        self.lost: NDArray[np.float64] = annual_loss(tickets_per_operator, failures)
        """P(fewer than q tickets are left at some moment of a year)."""

    def most_answering(self, target: float) -> int:
        """Return the largest q with P(at least q tickets answer) >= target."""
        # a part in 1e12 more, so that rounding in 1 - target doesn't refuse what is exactly as asked
        return self._most(self.down[: len(self.lost)], (1 - target) * (1 + 1e-12))

    def most_lasting(self, durability: float) -> int:
        """Return the largest q with at least that many nines a year."""
        return self._most(self.lost, 10.0**-durability)

    @staticmethod
    def _most(increasing: NDArray[np.float64], limit: float) -> int:
        return int(np.searchsorted(increasing, limit, side="right")) - 1


def _bounds(
    tickets: int,
    tickets_per_operator: Sequence[int],
    tolerate_down: int,
    tolerate_absent: int,
    target: float,
    durability: float,
    model: _Model,
) -> dict[str, int]:
    """Return {reason: most tickets that may be needed}."""
    largest_first = sorted(tickets_per_operator, reverse=True)
    down, absent = sum(largest_first[:tolerate_down]), sum(largest_first[:tolerate_absent])
    lying = tickets // 3
    honest = tickets - lying - absent
    if tickets - absent < tickets - lying:  # the ⌈2T/3⌉ of a certificate, whatever is needed
        raise BadParameters(
            f"{tolerate_absent} operators may hold {absent} of {tickets} tickets: without them there is no "
            f"certificate, which takes {tickets - lying}.",
            hint="Tolerate fewer operators absent.",
        )
    text = f"a third of {tickets} tickets may lie"
    if tolerate_absent:
        text += f" and any {tolerate_absent} operators ({absent} tickets) may not sign"
    bounds = {
        f"{text}: at most {honest}": honest,
        f"any {tolerate_down} operators ({down} tickets) may be down: at most {tickets - down}": tickets - down,
    }
    moment = model.most_answering(target)
    bounds[f"restorable with probability {target}: at most {moment}"] = moment
    if durability > 0:
        year = model.most_lasting(durability)
        bounds[f"{durability:g} nines a year: at most {year}"] = year
    return bounds


def _finished(shape: Shape, size: int, tickets: int, needed: int, reasons: tuple[str, ...], model: _Model) -> Plan:
    count = shape.matrices(size)
    signatures = needed_tickets(tickets, shape.k, shape.n)
    probability = 1 - float(model.down[needed])
    lost = float(model.lost[needed])
    failures = model.failures
    lasting = (
        f"{nines(lost):.1f} nines a year, operators lost one by one: {failures.loss_per_year:.0%} a year, repaired in "
        f"{failures.repair_days:g} days."
    )
    texts = (
        *reasons,
        f"M={count}: {size} bytes in matrices of {shape.matrix_payload}.",
        f"A certificate needs the signatures of {signatures} of {tickets} tickets: if a third lies, {needed} are left.",
        f"Restorable with probability {probability:.9f} at a moment, each operator out of reach with all its rows.",
        lasting,
    )
    return Plan(
        shape.width, shape.k, shape.n, size, count, tickets, needed, signatures, probability, lost, explanation=texts
    )


def _wide(size: int, tickets: int, floor: int, limit: int, reason: str, model: _Model) -> Plan:
    n = -(-WIDE_ROWS // tickets) * tickets
    rows = n // tickets
    needed = -(-WIDE_DATA_ROWS // rows)
    if needed > limit or rows * floor > WIDE_DATA_ROWS or n > MAX_STRETCH * WIDE_DATA_ROWS or n > MAX_ROWS:
        raise BadParameters(
            f"Profile wide (k={WIDE_DATA_ROWS}, n={n}) does not fit this roster: it needs {needed} tickets ({reason}), "
            f"and an operator may hold at most {WIDE_DATA_ROWS // rows} tickets, {floor} are held.",
            hint="Plan without a profile.",
        )
    text = f"Profile wide: w={WIDE_WIDTH}, k={WIDE_DATA_ROWS}, n={n}: least multiple of {tickets} from {WIDE_ROWS} on."
    return _finished(Shape(WIDE_WIDTH, WIDE_DATA_ROWS, n), size, tickets, needed, (text,), model)


def _checked(
    size: int,
    tickets: int,
    tickets_per_operator: Sequence[int],
    tolerate_down: int,
    tolerate_absent: int,
    availability: float | Sequence[float],
    target: float,
) -> list[float]:
    if size < 0:
        raise BadParameters(f"An object can't have {size} bytes.")
    if not 1 <= tickets <= MAX_TICKETS:
        raise BadParameters(f"T={tickets} tickets: a roster has 1 to {MAX_TICKETS}.", tickets=tickets)
    if not tickets_per_operator or min(tickets_per_operator) < 1 or sum(tickets_per_operator) != tickets:
        raise BadParameters(f"The operators' tickets must be positive and add up to T={tickets}.")
    for gone, word in ((tolerate_down, "be down"), (tolerate_absent, "be absent")):
        if not 0 <= gone < len(tickets_per_operator):
            raise BadParameters(f"{gone} of {len(tickets_per_operator)} operators can't all {word}.")
    count = len(tickets_per_operator)
    chances = (
        [float(availability)] * count if isinstance(availability, (int, float)) else [float(a) for a in availability]
    )
    if len(chances) != count or not all(0 < chance <= 1 for chance in chances):
        raise BadParameters("Availability is one probability in (0, 1] for all operators, or one for each.")
    if not 0 < target < 1:
        raise BadParameters(f"target={target}: a probability below 1 is needed.")
    return chances
