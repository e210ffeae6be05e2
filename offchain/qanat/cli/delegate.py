"""`qanat delegate`: free collateral behind an operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session
from qanat.cli.settling import is_settled, passing, settle, settle_calls

__all__ = ["COMMAND", "delegate"]


@dataclass(frozen=True)
class _Choice:
    """What is delegated: token units, 0 to mature only what waits."""

    operator: str
    token: str
    symbol: str
    units: int


def delegate(
    session: Session, *, operator: str, token: str, amount: str | None, everything: bool, cancel: bool
) -> Outcome:
    """Delegate free balance to an operator, and mature what waited long enough; or take back what waits.

    Without an amount nothing is delegated: only a delegation that waits is matured.
    """
    from qanat.cli.amounts import parse_address, parse_amount
    from qanat.errors import BadParameters, InsufficientFunds

    operator = parse_address(operator, "operator's address")
    symbol, found = session.token(token)
    if (amount is not None) + everything + cancel > 1:
        raise BadParameters("--amount, --all and --cancel exclude each other.")
    if not session.views.is_registered(operator):
        raise BadParameters(
            f"{operator} is no registered operator.", hint="`qanat status` lists them.", operator=operator
        )
    if cancel:
        return _cancel(session, operator, found.address)
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
    waiting, matures = session.views.pending(session.address, operator, found.address)
    if units == 0 and waiting == 0:
        raise BadParameters("There is nothing to delegate and nothing that waits.", hint="Give --amount or --all.")
    choice = _Choice(operator, found.address, symbol, units)
    if units == 0 and session.chain.latest() + 1 < matures:
        return _outcome(session, choice, settled=0, transaction=None)
    return _put_behind(session, choice, waiting)


def _put_behind(session: Session, choice: _Choice, waiting: int) -> Outcome:
    restaking = session.chain.contract("Restaking").functions
    # stake counts from when all that was earned before it is settled: it has no part in that
    earned = (
        []
        if is_settled(session, choice.operator)
        else passing(session, settle_calls(session, session.synced_index(), choice.operator))
    )
    lines = [f"settle {len(earned)} epochs for which the operator is owed fees"] if earned else []
    title, amount = ("Delegate stake", choice.units) if choice.units else ("Mature a delegation", waiting)
    lines += [f"{session.amount(amount, choice.token)} to operator {choice.operator}"]
    session.confirm(title, lines, transactions=2 + len(earned))
    settled = settle(session, earned)
    transaction = None
    if choice.units:
        receipt = session.sender.send(restaking.delegate(choice.operator, choice.token, choice.units))
        transaction = bytes(receipt["transactionHash"])
    waiting, matures = session.views.pending(session.address, choice.operator, choice.token)
    pending = session.views.pending_slashes(choice.operator)
    if waiting and session.chain.latest() + 1 >= matures and not pending:
        session.sender.send(restaking.mature(session.address, choice.operator, choice.token))
    return _outcome(session, choice, settled=settled, transaction=transaction)


def _outcome(session: Session, choice: _Choice, *, settled: int, transaction: bytes | None) -> Outcome:
    me, operator, token = session.address, choice.operator, choice.token
    waiting, matures = session.views.pending(me, operator, token)
    shares = session.views.shares(me, operator, token)
    worth = session.views.pool(operator, token).worth(shares)
    says = [f"Behind {operator}: {session.amount(worth, token)} of yours."]
    if waiting:
        says.append(
            f"{session.amount(waiting, token)} more wait: they count, earn and can be slashed from block {matures} on. "
            f"Then run: qanat delegate --operator {operator} --token {choice.symbol}"
        )
        says.append(
            f"Until then they can be taken back: qanat delegate --operator {operator} --token {choice.symbol} --cancel"
        )
    return Outcome(
        {
            "account": me,
            "operator": operator,
            "token": token,
            "symbol": choice.symbol,
            "delegated": choice.units,
            "shares": shares,
            "worth": worth,
            "waiting": waiting,
            "matures_at_block": matures if waiting else None,
            "settled_epochs": settled,
            "transaction": transaction,
        },
        says,
    )


def _cancel(session: Session, operator: str, token: str) -> Outcome:
    """Take back a delegation that has not matured."""
    from qanat.errors import BadParameters

    waiting, _ = session.views.pending(session.address, operator, token)
    if not waiting:
        raise BadParameters(
            f"No delegation to {operator} waits.", hint="Stake that counts is taken back by `qanat undelegate`."
        )
    session.confirm("Take back a delegation that waits", [f"{session.amount(waiting, token)} from {operator}"])
    restaking: Any = session.chain.contract("Restaking").functions
    receipt = session.sender.send(restaking.cancelDelegation(operator, token))
    free = session.views.free_balance(session.address, token)
    return Outcome(
        {
            "account": session.address,
            "operator": operator,
            "token": token,
            "cancelled": waiting,
            "free": free,
            "transaction": bytes(receipt["transactionHash"]),
        },
        [f"{session.amount(waiting, token)} are free again, {session.amount(free, token)} in all."],
    )


COMMAND = Command(
    name="delegate",
    run=delegate,
    summary="Put deposited collateral behind an operator.",
    details=(
        "Stake behind an operator that a roster counts begins to count "
        "only after the withdrawal delay, so that no deposit answers for "
        "epochs before it; run the command again without --amount when it has passed, or with --cancel before. "
        "What the operator earned until then is settled first: later stake has no part in it."
    ),
    example="--operator 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --token QALPHA --amount 10",
    parameters=(
        click.option("--operator", required=True, help="The operator's address."),
        click.option("--token", required=True, help="Collateral token: symbol or address."),
        click.option("--amount", help="How much, in whole tokens."),
        click.option("--all", "everything", is_flag=True, help="All of the free balance."),
        click.option("--cancel", is_flag=True, help="Take back what waits, and delegate nothing."),
    ),
)
