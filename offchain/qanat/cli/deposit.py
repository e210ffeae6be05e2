"""`qanat deposit`: what a reader puts down for reads, and takes back."""

from __future__ import annotations

import datetime as dt

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

__all__ = ["COMMAND", "deposit"]


def deposit(session: Session, *, token: str, operators: tuple[str, ...], amount: str | None, withdraw: bool) -> Outcome:
    """Deposit ``amount`` for reads from each operator; or take back what is left, a week after saying so."""
    from qanat.cli.amounts import parse_address, parse_amount
    from qanat.errors import BadParameters

    if (amount is None) is not withdraw:
        raise BadParameters("Say how much with --amount, or --withdraw.")
    _, found = session.token(token)
    chosen = [parse_address(operator) for operator in operators]
    if len(set(chosen)) != len(chosen):
        raise BadParameters("An operator is named twice.")
    payments, me, now = session.chain.contract("Payments"), session.address, session.chain.timestamp()
    says = []
    if amount is not None:
        units = parse_amount(amount, found.decimals)
        if units == 0:
            raise BadParameters("The amount is zero.", amount=amount)
        call = payments.functions.depositForReads(found.address, me, chosen, [units] * len(chosen))
        session.check_payable(call, found.address, units * len(chosen))
        session.confirm(
            "Deposit for reads",
            [f"{session.amount(units, found.address)} for each of {len(chosen)} operators, into {payments.address}"],
            transactions=2,
        )
        session.sender.pay(call, found.address, payments.address, units * len(chosen))
    else:
        calls = []
        for operator in chosen:
            deposited, redeemed, ready = session.chain.call(payments.functions.depositOf(found.address, operator, me))
            if deposited == redeemed or now < ready:
                continue  # nothing is left, or the notice runs
            act = payments.functions.withdrawDeposit if ready else payments.functions.announceWithdrawal
            calls.append(act(found.address, operator))
            says.append(f"{'Withdrawn from' if ready else 'Announced to'} {operator}.")
        if calls:
            session.confirm("Withdraw deposits for reads", says, transactions=len(calls))
        for call in calls:
            session.sender.send(call)
        says.append("What was withdrawn is paid out by `claim`. Run this again a week after the notice.")
    shown = []
    for operator in chosen:
        deposited, redeemed, ready = session.chain.call(payments.functions.depositOf(found.address, operator, me))
        left = int(deposited) - int(redeemed)
        shown.append({"operator": operator, "left": left, "redeemed": int(redeemed), "withdrawableAt": int(ready)})
    rows = [
        (
            item["operator"],
            session.amount(int(str(item["left"])), found.address),
            _time(int(str(item["withdrawableAt"]))),
        )
        for item in shown
    ]
    return Outcome(
        {"payer": me, "token": found.address, "deposits": shown},
        says,
        [table("", ["operator", "left", "may leave (UTC)"], rows, right=["left"])],
    )


def _time(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc).strftime("%Y-%m-%d %H:%M") if seconds else ""


COMMAND = Command(
    name="deposit",
    run=deposit,
    summary="Deposit for reads that nodes are paid for, or take back what is left.",
    details="Each deposit is one operator's. --withdraw announces it, and a week later, run again, takes it back.",
    example="--token QUSD --operator 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --amount 5",
    parameters=(
        click.option("--token", required=True, help="Token that the nodes take: symbol or address."),
        click.option(
            "--operator", "operators", required=True, multiple=True, help="Whose; may be given several times."
        ),
        click.option("--amount", help="How much for each, in whole tokens (12 or 12.5)."),
        click.option("--withdraw", is_flag=True, help="Take back what is left."),
    ),
)
