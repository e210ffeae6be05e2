"""`qanat license`: buys a license, gets a refund."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from qanat.chain.views import OfferTerms, Views

__all__ = ["COMMAND", "license_", "time_of"]

#: What `buyWith` takes for no ERC-2612 permit.
NO_PERMIT = (0, 0, bytes(32), bytes(32))


def license_(
    session: Session,
    *,
    offer: int | None,
    max_price: str | None,
    seat: int | None,
    refund: int | None,
) -> Outcome:
    """Buy under an offer; or take back the part for a release that never came."""
    from qanat.errors import BadParameters

    if (offer is None) == (refund is None):
        raise BadParameters("Give either --offer or --refund.")
    if refund is not None:
        return _refund(session, refund)
    return _buy(session, offer or 0, max_price, seat)


def _buy(session: Session, offer: int, max_price: str | None, seat: int | None) -> Outcome:
    from qanat.chain.views import as_json, purpose_names
    from qanat.cli.amounts import parse_amount
    from qanat.errors import BadParameters

    chain, views = session.chain, session.views
    terms, over = views.offer(offer)
    if over:
        raise BadParameters(
            f"Offer {offer} is over: it was withdrawn, or its asset has another owner now.",
            hint="`qanat market` shows what is on sale.",
            offer=offer,
        )
    _, token = session.token(terms.token)
    most = terms.price if max_price is None else parse_amount(max_price, token.decimals)
    if terms.price > most:
        raise BadParameters(
            f"Offer {offer} costs {session.amount(terms.price, terms.token)}, more than --max-price {max_price}.",
            hint="Raise --max-price, or look for another with `qanat market`.",
            price=terms.price,
        )
    licenses, payments = chain.contract("Licenses"), chain.contract("Payments")
    call = licenses.functions.buy(offer, terms.hash, most)
    if terms.seats or seat:
        call = licenses.functions.buyWith(offer, terms.hash, most, _seat(views, offer, terms, seat), NO_PERMIT)
    session.check_payable(call, terms.token, terms.price)
    session.confirm(
        f"Buy a license of asset {terms.asset_id} under offer {offer}",
        [
            f"pay {session.amount(terms.price, terms.token)}, held in escrow and earned as it is used",
            f"for {terms.duration / 86_400:g} days, to {', '.join(purpose_names(terms.purposes))}"
            + (f", {terms.uses} uses" if terms.uses else "")
            + (", nobody else meanwhile" if terms.exclusive else ""),
            f"hash of the license text: 0x{terms.text_hash.hex()}",
        ],
        transactions=2,
    )
    receipt = session.sender.pay(call, terms.token, payments.address, terms.price)
    from qanat.chain.connection import events_in

    number = int(events_in(receipt, licenses, "LicenseSold")[0]["licenseId"])
    record = views.license(number)
    return Outcome(
        {
            "license": number,
            "offer": offer,
            "asset": terms.asset_id,
            "record": as_json(record),
            "purposes": purpose_names(record.purposes),
            "transaction": bytes(receipt["transactionHash"]),
        },
        [
            f"License {number} of asset {terms.asset_id} is yours until {time_of(record.end)}.",
            f"Next: qanat fetch --asset {terms.asset_id} --out FILE",
        ],
    )


def _seat(views: Views, offer: int, terms: OfferTerms, wanted: int | None) -> int:
    """The wanted seat, or the first free one."""
    from qanat.errors import BadParameters

    if wanted is not None:
        return wanted
    found = views.free_seat(offer, 1, terms.seats)
    if found == 0:
        raise BadParameters(
            f"All {terms.seats} seats of offer {offer} are taken now: one is free again when a license ends.",
            hint="Try again then, or look for another with `qanat market`.",
            offer=offer,
        )
    return found


def _refund(session: Session, number: int) -> Outcome:
    licenses = session.chain.contract("Licenses")
    call = licenses.functions.refundUnreleased(number)
    session.sender.estimate(call)
    session.confirm(f"Take back what license {number} would have paid at a key release that never came", [])
    receipt = session.sender.send(call)
    from qanat.chain.connection import events_in

    amount = sum(int(item["amount"]) for item in events_in(receipt, licenses, "LicenseRefunded"))
    token = session.views.license(number).token
    return Outcome(
        {"license": number, "refunded": amount, "transaction": bytes(receipt["transactionHash"])},
        [f"{session.amount(amount, token)} went back to the licensee; `qanat claim` pays it out."],
    )


def time_of(seconds: int) -> str:
    """Seconds since 1970 as people read them."""
    return dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


COMMAND = Command(
    name="license",
    run=license_,
    summary="Buy a license; or get back what a key that never came would have cost.",
    example="--offer 1 --max-price 25",
    parameters=(
        click.option("--offer", type=click.IntRange(min=0), help="Number of the offer to buy under."),
        click.option(
            "--seat",
            type=click.IntRange(min=1),
            help="Seat to take, of an offer with seats.  [default: the first free]",
        ),
        click.option("--max-price", help="Most to pay, in whole tokens.  [default: what the offer says]"),
        click.option(
            "--refund",
            type=click.IntRange(min=0),
            metavar="LICENSE",
            help="Take back a release's part after the end, if no key came.",
        ),
    ),
)
