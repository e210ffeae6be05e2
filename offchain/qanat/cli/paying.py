"""What commands that read have in common: a sum that nodes may be paid for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.session import Session, table

if TYPE_CHECKING:
    from rich.table import Table

    from qanat.client.purse import Payee, Purse

__all__ = ["PAY_OPTIONS", "bill", "open_purse"]

PAY_OPTIONS = (
    click.option(
        "--pay",
        metavar="AMOUNT",
        help="Most that nodes may be paid for reads beyond their free share, in whole tokens, from what the account "
        "put down with `deposit`.  [default: nothing]",
    ),
    click.option("--token", help="Token of --pay: symbol or address."),
    click.option(
        "--max-price-per-mib",
        metavar="AMOUNT",
        help="Most that a node may be paid for a MiB, in whole tokens; one that asks more is not paid.  [default: "
        "twice the lower median of what the object's nodes ask]",
    ),
)


@contextmanager
def open_purse(
    session: Session, pay: str | None, token: str | None, max_price_per_mib: str | None
) -> Iterator[Purse | None]:
    """Yield what may be paid for reads, once the account said yes to it; None where nothing may."""
    from qanat.cli.amounts import parse_amount
    from qanat.client.purse import Purse, ReadBook
    from qanat.errors import BadParameters

    if (pay is None) != (token is None):
        raise BadParameters("--pay says how much, --token of what: give both, or none.")
    if pay is None and max_price_per_mib is not None:
        raise BadParameters("--max-price-per-mib says what --pay may pay: give that, too.")
    if pay is None or token is None:
        yield None
        return
    _, found = session.token(token)
    units = parse_amount(pay, found.decimals)
    if units == 0:
        raise BadParameters("--pay is zero: leave it out to pay nothing.", amount=pay)
    most = None if max_price_per_mib is None else parse_amount(max_price_per_mib, found.decimals)
    if most == 0:
        raise BadParameters("--max-price-per-mib is zero: leave --pay out to pay nothing.", amount=max_price_per_mib)
    signer = session.signer
    each = "twice the median of what the object's nodes ask" if most is None else session.amount(most, found.address)
    session.confirm(
        "Pay nodes for reads beyond their free share",
        [
            f"at most {session.amount(units, found.address)}, by vouchers over deposits for reads",
            f"at most {each} for each MiB",
        ],
        transactions=0,
    )
    purse = Purse(
        session.chain,
        signer,
        found.address,
        units,
        ReadBook.of(session.chain),
        max_price=most,
        tell=_teller(session),
    )
    try:
        yield purse
    finally:
        purse.close()


def bill(session: Session, purse: Purse | None) -> tuple[dict[str, Any], list[str], list[Table]]:
    """Return what was paid: for programs, and for people."""
    if purse is None:
        return {"paid": None}, [], []
    says = []
    if purse.paid:
        says.append(
            f"Paid {session.amount(purse.paid, purse.token)} for reads, of {session.amount(purse.limit, purse.token)} "
            "that were allowed."
        )
    if purse.is_empty:
        says.append("What was allowed did not suffice: the rest came at the nodes' free pace.")
    short = [payee for payee in purse.payees.values() if payee.short]
    if short:
        says.append(_missing(session, purse, short))
    dear = [payee for payee in purse.payees.values() if payee.dear]
    if dear:
        says.append(_too_dear(session, purse, dear))
    rows = [
        (
            payee.operator,
            payee.slices,
            session.amount(payee.paid, purse.token),
            payee.left or _asks(session, purse, payee),
        )
        for payee in purse.payees.values()
        if payee.paid or payee.left or payee.dear
    ]
    columns = ["operator", "slices", "paid", "not paid any more, since it"]
    shown = [table("Paid for reads", columns, rows, right=["slices", "paid"])] if rows else []
    return {"paid": purse.to_json()}, says, shown


def _teller(session: Session) -> Any:
    def tell(payee: Payee) -> None:
        session.note(f"no deposit covers more reads from {payee.operator}: they come at its free pace")

    return tell


def _asks(session: Session, purse: Purse, payee: Payee) -> str:
    return f"asks {session.amount(payee.dear, purse.token)} a MiB" if payee.dear else ""


def _too_dear(session: Session, purse: Purse, dear: list[Payee]) -> str:
    """Who was refused for its price, and what to say to pay it all the same."""
    from qanat.cli.amounts import format_amount

    cap, decimals = purse.cap or 0, session.token(purse.token)[1].decimals
    why = "as --max-price-per-mib says" if purse.max_price is not None else "twice the median of what nodes ask"
    named = ", ".join(f"{payee.operator} {_asks(session, purse, payee)}" for payee in dear)
    least = format_amount(min(payee.dear for payee in dear), decimals)
    return (
        f"Refused for their price, since a MiB is paid with at most {session.amount(cap, purse.token)}, {why}: "
        f"{named}. To pay more: --max-price-per-mib {least}"
    )


def _missing(session: Session, purse: Purse, short: list[Payee]) -> str:
    """What to run where deposits don't cover reads."""
    from qanat.cli.amounts import format_amount

    symbol, token = session.token(purse.token)
    named = " ".join(f"--operator {payee.operator}" for payee in short)
    amount = format_amount(purse.limit, token.decimals)
    return (
        f"Deposits for reads from {len(short)} operators cover no more (or are being withdrawn). To read from them "
        f"beyond their free share: qanat deposit --token {symbol} {named} --amount {amount}"
    )
