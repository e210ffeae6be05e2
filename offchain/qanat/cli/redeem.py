"""`qanat redeem`: what readers owe a node's operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qanat.cli.command import Command
from qanat.cli.node import CONFIG_OPTION
from qanat.cli.session import Outcome, Session, table

__all__ = ["COMMAND", "redeem"]

#: Vouchers of one transaction: some 14,000 gas each.
BATCH = 32


def redeem(session: Session, *, config: Path, least: int) -> Outcome:
    """Redeem the newest voucher of each reader, many in a transaction; the operator then claims."""
    from qanat.errors import BadParameters
    from qanat.node.config import load_config
    from qanat.node.paid import FILE, VoucherBook, load_price

    settings = load_config(config)
    price = load_price(settings.paid_reads)
    if price is None:
        raise BadParameters(f"{config} takes no vouchers.", hint='See "Paid reads" in docs/node.md.', field="paidReads")
    book = VoucherBook(settings.data / FILE, read_only=True)
    try:
        accounts = book.accounts(price.token)
    finally:
        book.close()
    payments, operator = session.chain.contract("Payments").functions, settings.operator
    due: list[tuple[int, Any]] = []
    for account in accounts:
        held = session.chain.call(payments.depositOf(price.token, operator, account.payer))
        units = min(account.voucher.cumulative, int(held[0])) - int(held[1])
        if units > 0 and units >= least:
            due.append((units, account))
    due.sort(key=lambda item: -item[0])
    if not due:
        return Outcome({"operator": operator, "redeemed": 0, "vouchers": []}, ["There is nothing to redeem."])
    batches = [due[place : place + BATCH] for place in range(0, len(due), BATCH)]
    total = sum(units for units, _ in due)
    session.confirm(
        "Redeem vouchers",
        [f"{len(due)} of readers, over {session.amount(total, price.token)}, to {operator}"],
        transactions=len(batches),
    )
    for batch in batches:
        vouchers = [account.voucher.as_tuple() for _, account in batch]
        session.sender.send(payments.redeem(price.token, operator, vouchers))
    rows = [(account.payer, session.amount(units, price.token)) for units, account in due]
    return Outcome(
        {
            "operator": operator,
            "token": price.token,
            "redeemed": total,
            "vouchers": [{"payer": account.payer, "amount": units} for units, account in due],
        },
        [f"Redeemed {session.amount(total, price.token)}: `claim` pays it out."],
        [table("", ["reader", "amount"], rows, right=["amount"])],
    )


COMMAND = Command(
    name="redeem",
    run=redeem,
    summary="Redeem the vouchers that a node's readers paid with.",
    details="Anyone may: the money goes to the node's operator. A deposit can leave seven days after its notice.",
    example="--config node1/node.json",
    parameters=(
        CONFIG_OPTION,
        click.option(
            "--least",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Leave out vouchers that pay less, in the token's smallest units: they cost gas.",
        ),
    ),
)
