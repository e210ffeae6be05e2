"""`qanat roster`: a new snapshot of a shard's operators."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

__all__ = ["COMMAND", "roster"]


def roster(session: Session, *, shard: str | None) -> Outcome:
    """Take a snapshot: anyone may, when it is due."""
    from qanat.chain.views import as_json

    chain, views = session.chain, session.views
    number = chain.deployment.shard(shard)
    members = chain.contract("Members")
    session.sender.estimate(members.functions.snapshot(number))
    session.confirm(f"Take a new roster of shard {number}", [])
    receipt = session.sender.send(members.functions.snapshot(number))
    taken = views.roster_count(number)
    found = views.roster(number, taken)
    rows = [
        (entry.operator, entry.tickets, f"{entry.first_ticket}-{entry.first_ticket + entry.tickets - 1}")
        for entry in found.entries
    ]
    return Outcome(
        {
            "shard": number,
            "roster": taken,
            "head": as_json(found.head),
            "entries": [as_json(entry) for entry in found.entries],
            "transaction": bytes(receipt["transactionHash"]),
        },
        [
            (
                f"Roster {taken} of shard {number}: {found.tickets} tickets, {len(found.entries)} operators. "
                f"Objects can be opened under it from epoch {found.head.active_from_epoch} "
                f"(block {views.seed_block(number, found.head.active_from_epoch)}) on."
            )
        ],
        [table("", ["operator", "tickets", "which"], rows, right=["tickets"])],
    )


COMMAND = Command(
    name="roster",
    run=roster,
    summary="Take a new snapshot of a shard's operators. Anyone may, when one is due.",
    example="--shard main",
    parameters=(click.option("--shard", help="Shard, by name or number.  [default: the first]"),),
)
