"""`qanat stake`: collateral into the restaker's free balance."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "stake"]


def stake(session: Session, *, token: str, amount: str) -> Outcome:
    """Approve and deposit ``amount`` of a collateral token."""
    from qanat.cli.amounts import parse_amount
    from qanat.errors import BadParameters

    symbol, found = session.token(token)
    units = parse_amount(amount, found.decimals)
    if units == 0:
        raise BadParameters("The amount is zero.", amount=amount)
    restaking = session.chain.contract("Restaking")
    if not session.chain.call(restaking.functions.isCollateral(found.address)):
        collateral = ", ".join(session.chain.deployment.tokens_with_role("collateral"))
        raise BadParameters(f"{symbol} is no collateral here.", hint=f"Collateral: {collateral or 'see qanat status'}.")
    call = restaking.functions.deposit(found.address, units)
    session.check_payable(call, found.address, units)
    session.confirm(
        "Deposit collateral",
        [f"{session.amount(units, found.address)} into Restaking {restaking.address}"],
        transactions=2,
    )
    receipt = session.sender.pay(call, found.address, restaking.address, units)
    free = session.views.free_balance(session.address, found.address)
    return Outcome(
        {
            "account": session.address,
            "token": found.address,
            "symbol": symbol,
            "deposited": units,
            "free": free,
            "transaction": bytes(receipt["transactionHash"]),
            "block": receipt["blockNumber"],
        },
        [
            (
                f"Deposited {session.amount(units, found.address)}; free "
                f"to delegate: {session.amount(free, found.address)}."
            ),
            f"Next: qanat delegate --operator ADDRESS --token {symbol} --amount {amount}",
        ],
    )


COMMAND = Command(
    name="stake",
    run=stake,
    summary="Deposit collateral, to be delegated to an operator afterwards.",
    example="--token QALPHA --amount 10",
    parameters=(
        click.option("--token", required=True, help="Collateral token: symbol or address."),
        click.option("--amount", required=True, help="How much, in whole tokens (12 or 12.5)."),
    ),
)
