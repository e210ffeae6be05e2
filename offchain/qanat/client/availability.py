"""How often operators answered: what the chain shows of the last epochs."""

from __future__ import annotations

from qanat.chain.views import DutyStatus, Roster, Views

__all__ = ["measured_availability"]

PRIOR = 0.99
"""What is believed of an operator that was never asked."""

PRIOR_WEIGHT = 10
"""As many answers does that belief weigh."""

EPOCHS = 20
CALLS = 400
"""Most questions that are put to the chain, about; a large roster is judged by fewer epochs."""


def measured_availability(views: Views, roster: Roster, *, epochs: int = EPOCHS) -> list[float]:
    """Return, for each operator of a roster, the probability with which it is believed to answer.

    Of the shard's last epochs that are over, those are counted in which the operator held rows: (99 % of ten answers
    + its answers) / (10 + such epochs). An answer in time counts; whether anybody reported a miss does not matter.
    Asked is the Audits that the roster answers to.
    """
    latest, audits = views.chain.latest(), roster.head.slasher
    epochs = max(1, min(epochs, CALLS // (2 * len(roster.entries))))
    current = views.epoch_at(roster.shard, latest) if latest >= views.first_block(roster.shard) else 0
    asked = [0] * len(roster.entries)
    answered = [0] * len(roster.entries)
    for epoch in range(max(0, current - epochs), current):
        seed = views.seed(roster.shard, epoch, audits=audits)
        if not seed.is_sealed or seed.deadline >= latest:
            continue
        for number, entry in enumerate(roster.entries):
            if views.duty(roster.shard, epoch, entry.operator, audits=audits) is DutyStatus.ANSWERED:
                asked[number] += 1
                answered[number] += 1
            elif views.held_rows(roster.shard, epoch, entry.operator, audits=audits) > 0:
                asked[number] += 1
    return [(PRIOR * PRIOR_WEIGHT + good) / (PRIOR_WEIGHT + due) for good, due in zip(answered, asked, strict=True)]
