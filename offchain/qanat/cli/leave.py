"""`qanat leave`: an operator's way out of a shard."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "leave"]


def leave(session: Session, *, shard: str | None) -> Outcome:
    """Leave a shard: later rosters do not count the operator; allocations and bond are queued for release."""
    from qanat.errors import BadParameters

    chain, views = session.chain, session.views
    number = chain.deployment.shard(shard)
    terms = views.shard_parameters(number)
    me = session.address
    member = me in views.members(number)
    bond = views.bond(me, number)
    parts = {item.token: views.magnitudes(me, number, item.token) for item in views.collaterals(number)}
    removable = {token: part.allocated - part.queued for token, part in parts.items() if part.allocated > part.queued}
    if not member and not bond and not removable:
        raise BadParameters(f"{me} has nothing in shard {number}.", shard=number)
    session.confirm(
        f"Leave shard {number}",
        [
            "later rosters do not count this operator; what earlier ones gave it stays its duty",
            f"queue bond of {session.amount(bond, terms.bond_token)}",
            f"queue allocations of {len(removable)} collaterals",
        ],
        transactions=member + bool(bond) + len(removable),
    )
    restaking = chain.contract("Restaking")
    if member:
        session.sender.send(chain.contract("Members").functions.exit(number))
    for token, magnitude in removable.items():
        session.sender.send(restaking.functions.deallocate(number, token, magnitude))
    if bond:
        session.sender.send(restaking.functions.queueBondWithdrawal(number, bond))
    block = chain.latest()
    delay = views.withdrawal_delay()
    bound = views.bound_until(me, 0, block)
    ready = max(block + delay, bound)
    return Outcome(
        {
            "operator": me,
            "shard": number,
            "left": member,
            "bond_queued": bond,
            "deallocated": removable,
            "ready_block": ready,
        },
        [
            f"Left shard {number}. Bond and allocations can be released from block {ready} on.",
            "Then run: qanat withdraw",
        ],
    )


COMMAND = Command(
    name="leave",
    run=leave,
    summary="Leave a shard as operator, and queue bond and allocations for release.",
    example="--shard main",
    parameters=(click.option("--shard", help="Shard, by name or number.  [default: the first]"),),
)
