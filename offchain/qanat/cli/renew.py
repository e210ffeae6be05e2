"""`qanat renew`: one more period of a license, in time or late."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "renew"]


def renew(session: Session, *, number: int, reinstate: str | None, seat: int, take_back: bool) -> Outcome:
    """Pay for one more period of a license, from its end on; for one that is over, into escrow."""
    from qanat.cli.license import time_of
    from qanat.errors import BadParameters

    if reinstate is not None and take_back:
        raise BadParameters("Give one of --reinstate and --take-back.")
    if reinstate is not None:
        return _reinstate(session, number, reinstate, seat)
    if take_back:
        return _take_back(session, number)
    views = session.views
    record = views.license(number)
    terms, _ = views.offer(record.offer_id)
    licenses, payments = session.chain.contract("Licenses"), session.chain.contract("Payments")
    call = licenses.functions.renew(number, terms.hash)
    session.check_payable(call, terms.token, terms.price)
    is_late = session.chain.timestamp() >= record.end
    says = (
        ["it is over: this stays yours, in escrow, until the asset's owner reinstates it", "take it back any time"]
        if is_late
        else [f"for {terms.duration / 86_400:g} days more, from {time_of(record.end)} on"]
    )
    session.confirm(
        f"Renew license {number} of asset {record.asset_id}",
        [f"pay {session.amount(terms.price, terms.token)}, earned as time passes", *says],
        transactions=2,
    )
    receipt = session.sender.pay(call, terms.token, payments.address, terms.price)
    end = views.license(number).end
    data = {"license": number, "end": end, "price": terms.price, "transaction": bytes(receipt["transactionHash"])}
    if end == record.end:
        said = f"License {number} is over since {time_of(end)}: what you paid waits for the asset's owner."
        return Outcome({**data, "late": True}, [said, f"To have it back: qanat renew --license {number} --take-back"])
    return Outcome({**data, "late": False}, [f"License {number} lasts until {time_of(end)}."])


def _reinstate(session: Session, number: int, payer: str, seat: int) -> Outcome:
    from qanat.cli.amounts import parse_address
    from qanat.cli.license import time_of

    who, record = parse_address(payer, "--reinstate"), session.views.license(number)
    call = session.chain.contract("Licenses").functions.reinstate(number, who, seat)
    session.sender.estimate(call)
    session.confirm(
        f"Reinstate license {number} of asset {record.asset_id} for {record.licensee}",
        [f"for {session.amount(record.price, record.token)} that {who} paid late, earned from now on as time passes"],
    )
    receipt = session.sender.send(call)
    end = session.views.license(number).end
    return Outcome(
        {"license": number, "end": end, "payer": who, "transaction": bytes(receipt["transactionHash"])},
        [f"License {number} lasts until {time_of(end)}."],
    )


def _take_back(session: Session, number: int) -> Outcome:
    from qanat.errors import BadParameters

    record = session.views.license(number)
    licenses, payments = session.chain.contract("Licenses"), session.chain.contract("Payments")
    key = number.to_bytes(32, "big")
    amount = int(session.chain.call(payments.functions.lateOf(record.token, licenses.address, session.address, key)))
    if not amount:
        raise BadParameters(f"{session.address} paid nothing late for license {number}.", license=number)
    call = payments.functions.takeBack(record.token, licenses.address, key)
    session.sender.estimate(call)
    session.confirm(f"Take back {session.amount(amount, record.token)} paid late for license {number}", [])
    receipt = session.sender.send(call)
    return Outcome(
        {"license": number, "amount": amount, "transaction": bytes(receipt["transactionHash"])},
        [f"{session.amount(amount, record.token)} are yours: qanat claim"],
    )


COMMAND = Command(
    name="renew",
    run=renew,
    summary="Pay for one more period of a license, from its end on.",
    details=(
        "While the license is in force and its offer stands; one period ahead at most. Anybody may pay. For one that "
        "is over the money waits in escrow, its payer's to take back, until the asset's owner reinstates it."
    ),
    example="--license 1",
    parameters=(
        click.option("--license", "number", type=click.IntRange(min=1), required=True, help="Number of the license."),
        click.option(
            "--reinstate",
            metavar="PAYER",
            help="As the asset's owner: it goes on from now, for what this account paid late.",
        ),
        click.option(
            "--seat", type=click.IntRange(min=0), default=0, help="With --reinstate: the seat that it had, if any."
        ),
        click.option("--take-back", is_flag=True, help="As who paid late: have the money back."),
    ),
)
