"""`qanat undelegate`: stake on its way back."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "undelegate"]


def undelegate(session: Session, *, operator: str, token: str, amount: str | None, everything: bool) -> Outcome:
    """Queue shares of an operator's pool for withdrawal."""
    from qanat.cli.amounts import parse_address, parse_amount
    from qanat.errors import BadParameters, InsufficientStake

    operator = parse_address(operator, "operator's address")
    symbol, found = session.token(token)
    if (amount is None) == (not everything):
        raise BadParameters("Give either --amount or --all.")
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
        raise BadParameters(f"You have no {symbol} behind {operator}.", operator=operator)
    session.confirm(
        "Queue a withdrawal",
        [
            (
                f"{session.amount(pool.worth(chosen), found.address)} from "
                f"operator {operator}; it can be slashed until it is completed"
            )
        ],
    )
    restaking = session.chain.contract("Restaking")
    receipt = session.sender.send(restaking.functions.undelegate(operator, found.address, chosen))
    from qanat.chain.connection import events_in

    event = events_in(receipt, restaking, "WithdrawalQueued")[0]
    queued = session.views.withdrawal(int(event["id"]))
    return Outcome(
        {
            "withdrawal": int(event["id"]),
            "operator": operator,
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
            "Then run: qanat withdraw",
        ],
    )


COMMAND = Command(
    name="undelegate",
    run=undelegate,
    summary="Take stake back from an operator; it is free by a date that is shown.",
    example="--operator 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --token QALPHA --all",
    parameters=(
        click.option("--operator", required=True, help="The operator's address."),
        click.option("--token", required=True, help="Collateral token: symbol or address."),
        click.option("--amount", help="How much, in whole tokens."),
        click.option("--all", "everything", is_flag=True, help="All of it."),
    ),
)
