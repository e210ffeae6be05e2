"""`qanat renew`: one more period of a license."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "renew"]


def renew(session: Session, *, number: int) -> Outcome:
    """Pay for one more period of a license, from its end on."""
    from qanat.cli.license import time_of

    views = session.views
    record = views.license(number)
    terms, _ = views.offer(record.offer_id)
    licenses, payments = session.chain.contract("Licenses"), session.chain.contract("Payments")
    call = licenses.functions.renew(number, terms.hash)
    session.check_payable(call, terms.token, terms.price)
    session.confirm(
        f"Renew license {number} of asset {record.asset_id}",
        [
            f"pay {session.amount(terms.price, terms.token)}, earned as time passes",
            f"for {terms.duration / 86_400:g} days more, from {time_of(record.end)} on",
        ],
        transactions=2,
    )
    receipt = session.sender.pay(call, terms.token, payments.address, terms.price)
    end = views.license(number).end
    return Outcome(
        {"license": number, "end": end, "price": terms.price, "transaction": bytes(receipt["transactionHash"])},
        [f"License {number} lasts until {time_of(end)}."],
    )


COMMAND = Command(
    name="renew",
    run=renew,
    summary="Pay for one more period of a license, from its end on.",
    details="While the license is in force and its offer stands; one period ahead at most. Anybody may pay.",
    example="--license 1",
    parameters=(
        click.option("--license", "number", type=click.IntRange(min=1), required=True, help="Number of the license."),
    ),
)
