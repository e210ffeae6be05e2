"""`qanat delegate`: free collateral behind an operator."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "delegate"]


def delegate(session: Session, *, operator: str, token: str, amount: str | None, everything: bool) -> Outcome:
    """Delegate free balance to an operator, and mature what waited long enough.

    Without an amount nothing is delegated: only a delegation that waits is matured.
    """
    from qanat.cli.amounts import parse_address, parse_amount
    from qanat.errors import BadParameters, InsufficientFunds

    operator = parse_address(operator, "operator's address")
    symbol, found = session.token(token)
    if amount is not None and everything:
        raise BadParameters("--amount and --all exclude each other.")
    if not session.views.is_registered(operator):
        raise BadParameters(
            f"{operator} is no registered operator.", hint="`qanat status` lists them.", operator=operator
        )
    restaking = session.chain.contract("Restaking")
    free = session.views.free_balance(session.address, found.address)
    units = free if everything else 0 if amount is None else parse_amount(amount, found.decimals)
    if units > free:
        raise InsufficientFunds(
            f"{session.address} has {session.amount(free, found.address)} free; "
            f"{session.amount(units, found.address)} are to be delegated.",
            hint="Deposit more with `qanat stake`.",
            balance=free,
            needed=units,
        )
    waiting, _ = session.views.pending(session.address, operator, found.address)
    if units == 0 and waiting == 0:
        raise BadParameters("There is nothing to delegate and nothing that waits.", hint="Give --amount or --all.")
    transaction = None
    if units:
        session.confirm(
            "Delegate stake", [f"{session.amount(units, found.address)} to operator {operator}"], transactions=2
        )
        receipt = session.sender.send(restaking.functions.delegate(operator, found.address, units))
        transaction = bytes(receipt["transactionHash"])
    else:
        session.confirm("Mature a delegation", [f"{session.amount(waiting, found.address)} with operator {operator}"])
    waiting, matures = session.views.pending(session.address, operator, found.address)
    if waiting and session.chain.latest() + 1 >= matures and not session.views.pending_slashes(operator):
        session.sender.send(restaking.functions.mature(session.address, operator, found.address))
        waiting, matures = session.views.pending(session.address, operator, found.address)
    shares = session.views.shares(session.address, operator, found.address)
    worth = session.views.pool(operator, found.address).worth(shares)
    says = [f"Behind {operator}: {session.amount(worth, found.address)} of yours."]
    if waiting:
        says.append(
            f"{session.amount(waiting, found.address)} more wait: they "
            f"count, earn and can be slashed from block {matures} on. "
            f"Then run: qanat delegate --operator {operator} --token {symbol}"
        )
    return Outcome(
        {
            "account": session.address,
            "operator": operator,
            "token": found.address,
            "symbol": symbol,
            "delegated": units,
            "shares": shares,
            "worth": worth,
            "waiting": waiting,
            "matures_at_block": matures if waiting else None,
            "transaction": transaction,
        },
        says,
    )


COMMAND = Command(
    name="delegate",
    run=delegate,
    summary="Put deposited collateral behind an operator.",
    details=(
        "Stake behind an operator that a roster counts begins to count "
        "only after the withdrawal delay, so that no deposit answers for "
        "epochs before it; run the command again without --amount when it has passed."
    ),
    example="--operator 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --token QALPHA --amount 10",
    parameters=(
        click.option("--operator", required=True, help="The operator's address."),
        click.option("--token", required=True, help="Collateral token: symbol or address."),
        click.option("--amount", help="How much, in whole tokens."),
        click.option("--all", "everything", is_flag=True, help="All of the free balance."),
    ),
)
