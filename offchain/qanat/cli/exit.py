"""`qanat exit`: an operator's way out of a shard."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "leave_shard"]


def leave_shard(session: Session, *, shard: str | None) -> Outcome:
    """Leave a shard: the operator's places are open to others; allocations and bond are queued for release."""
    from qanat.cli.allocation import allocations
    from qanat.errors import BadParameters

    chain, views = session.chain, session.views
    number = chain.deployment.shard(shard)
    terms = views.shard_parameters(number)
    me = session.address
    member = me in views.members(number)
    bond = views.bond(me, number)
    held = allocations(session, me, number)
    removable = {item.token: item.effective for item in held if item.effective}
    waiting = [session.token(item.token)[0] for item in held if item.waiting]
    if not member and not bond and not removable:
        raise BadParameters(
            f"{me} has nothing in shard {number}.",
            hint=f"`qanat status --address {me}` shows where it has.",
            shard=number,
        )
    bound = views.bound_in(number, me, 0, chain.latest())
    session.confirm(
        f"Leave shard {number}",
        [
            "later rosters do not count this operator; its places are open to others",
            (
                "what earlier rosters gave it stays its duty: it answers, and stake and bond can be slashed, until "
                f"block {bound} at the latest"
                if bound
                else "no roster binds it"
            ),
            f"queue bond of {session.amount(bond, terms.bond_token)}",
            f"queue allocations of {len(removable)} collaterals",
        ],
        transactions=member + bool(bond) + len(removable),
    )
    restaking = chain.contract("Restaking").functions
    if member:
        session.sender.send(chain.contract("Members").functions.exit(number))
    for token, magnitude in removable.items():
        session.sender.send(restaking.deallocate(number, token, magnitude))
    if bond:
        session.sender.send(restaking.queueBondWithdrawal(number, bond))
    block = chain.latest()
    bound = views.bound_in(number, me, 0, block)
    ready = max(block + views.withdrawal_delay(), bound)
    live = views.rosters_live_in(number, views.epoch_at(number, block))
    places = [
        {"roster": roster, "tickets": entry.tickets, "ends_at_block": views.seed_block(number, found.head.end_epoch)}
        for roster in range(live.start, views.roster_count(number) + 1)
        if (entry := (found := views.roster(number, roster)).entry_of(me)) is not None
    ]
    says = [f"Left shard {number}."]
    if places:
        tickets = ", ".join(f"{item['tickets']} in roster {item['roster']}" for item in places)
        says.append(
            f"Open to others: {tickets}. Until they are filled, or their last object has ended (block {bound} at the "
            "latest), this operator's node has to go on answering, and stake and bond can be slashed: let it run."
        )
    says.append(f"Bond and allocations can be released from block {ready} on. Then run: qanat withdraw")
    if waiting:
        says.append(f"What was reserved of {', '.join(waiting)} and waits still stands: it counts for no roster.")
    return Outcome(
        {
            "operator": me,
            "shard": number,
            "left": member,
            "bond_queued": bond,
            "deallocated": removable,
            "open_places": places,
            "bound_until_block": bound,
            "ready_block": ready,
        },
        says,
    )


COMMAND = Command(
    name="exit",
    run=leave_shard,
    summary="Leave a shard as operator, and queue bond and allocations for release.",
    details="Its places are open to others; until they are filled or have ended, its node goes on answering.",
    example="--shard main",
    parameters=(click.option("--shard", help="Shard, by name or number.  [default: the first]"),),
)
