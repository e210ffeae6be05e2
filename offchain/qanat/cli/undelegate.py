"""`qanat undelegate`: stake on its way back."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "undelegate"]


def undelegate(
    session: Session, *, operator: str, token: str, amount: str | None, everything: bool, to: str | None
) -> Outcome:
    """Queue shares of an operator's pool for withdrawal, or for delegation to another operator."""
    from qanat.cli.amounts import parse_address, parse_amount
    from qanat.errors import BadParameters, InsufficientStake

    operator = parse_address(operator, "operator's address")
    symbol, found = session.token(token)
    if (amount is None) == (not everything):
        raise BadParameters("Give either --amount or --all.")
    heir = None if to is None else parse_address(to, "address of the operator to go to")
    if heir is not None and (heir == operator or not session.views.is_registered(heir)):
        raise BadParameters(f"{heir} is no other registered operator.", hint="`qanat status` lists them.", to=heir)
    shares = session.views.shares(session.address, operator, found.address)
    pool = session.views.pool(operator, found.address)
    worth = pool.worth(shares)
    if everything:
        chosen = shares
    else:
        units = parse_amount(amount or "0", found.decimals)
        if units > worth:
            raise InsufficientStake(
                f"Your stake behind {operator} is {session.amount(worth, found.address)}.",
                hint="Or say --all.",
                stake=worth,
            )
        # rounded up, so that what comes back is not less than what was asked for
        chosen = min(shares, -(-units * pool.shares // pool.assets)) if pool.assets else 0
    if chosen == 0:
        raise BadParameters(
            f"You have no {symbol} behind {operator}.",
            hint=f"`qanat status --address {session.address}` shows where your stake is.",
            operator=operator,
        )
    session.confirm(
        "Queue a withdrawal" if heir is None else f"Queue a change to operator {heir}",
        [
            (
                f"{session.amount(pool.worth(chosen), found.address)} from "
                f"operator {operator}; it can be slashed until it is completed"
            )
        ],
    )
    restaking = session.chain.contract("Restaking")
    function = (
        restaking.functions.undelegate(operator, found.address, chosen)
        if heir is None
        else restaking.functions.redelegate(operator, found.address, chosen, heir)
    )
    receipt = session.sender.send(function)
    from qanat.chain.connection import events_in

    event = events_in(receipt, restaking, "WithdrawalQueued")[0]
    queued = session.views.withdrawal(int(event["id"]))
    return Outcome(
        {
            "withdrawal": int(event["id"]),
            "operator": operator,
            "to_operator": heir,
            "token": found.address,
            "shares": chosen,
            "worth": pool.worth(chosen),
            "free_from_block": queued.free_from_block,
            "transaction": bytes(receipt["transactionHash"]),
        },
        [
            (
                f"Withdrawal {event['id']} can be completed from block "
                f"{queued.free_from_block} on (now: {session.chain.latest()})."
            ),
            "Then run: qanat withdraw"
            + ("" if heir is None else f", which delegates it to {heir}; there it waits as any delegation"),
        ],
    )


COMMAND = Command(
    name="undelegate",
    run=undelegate,
    summary="Take stake back from an operator, or to another one; it is free by a date that is shown.",
    example="--operator 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --token QALPHA --all",
    parameters=(
        click.option("--operator", required=True, help="The operator's address."),
        click.option("--token", required=True, help="Collateral token: symbol or address."),
        click.option("--amount", help="How much, in whole tokens."),
        click.option("--all", "everything", is_flag=True, help="All of it."),
        click.option("--to", help="Another operator to which it is delegated when it is free; with the same delay."),
    ),
)
