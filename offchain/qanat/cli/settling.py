"""What an operator earned and nobody has settled yet: later stake must not share in it, so it is settled first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qanat.cli.session import Session

if TYPE_CHECKING:
    from qanat.index import Index

__all__ = ["is_settled", "passing", "settle", "settle_calls", "unsettled"]


def is_settled(session: Session, operator: str) -> bool:
    """Whether every epoch that an operator answered has been settled: asked of the chain, without its events."""
    views = session.views
    return all(
        views.settled_count(operator, audits) >= views.answered_count(operator, audits=audits)
        for audits in views.all_audits()
    )


def unsettled(index: Index, operator: str) -> list[tuple[int, int]]:
    """(Shard, epoch) of each answer of an operator that has not been settled, oldest first."""
    settled = {(item.shard, item.epoch) for item in index.settlements(operator=operator)}
    answered = {(item.shard, item.epoch) for item in index.answers(operator=operator)}
    return sorted(answered - settled, key=lambda item: (item[1], item[0]))


def settle_calls(session: Session, index: Index, operator: str) -> list[tuple[str, Any]]:
    """What settles them, with what each is: anyone may send it, and the money goes where it is due."""
    rewards = session.chain.contract("Rewards").functions
    return [
        (f"storage fees of epoch {epoch}", rewards.settle(shard, epoch, operator))
        for shard, epoch in unsettled(index, operator)
    ]


def settle(session: Session, calls: list[tuple[str, Any]]) -> int:
    """Send what settles an operator's epochs; returns how many it was.

    What somebody else settled meanwhile is passed over.
    """
    from qanat.errors import TransactionReverted

    sent = 0
    for _, call in calls:
        try:
            session.sender.send(call)
        except TransactionReverted as error:
            if error.error_name != "AlreadySettled":
                raise
        else:
            sent += 1
    return sent


def passing(session: Session, calls: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Leave out what would be refused now: nothing to be had there, or not yet."""
    from qanat.errors import TransactionReverted

    found = []
    for what, call in calls:
        try:
            session.sender.estimate(call)
        except TransactionReverted:
            continue
        found.append((what, call))
    return found
