"""`qanat offer`: license terms for an asset, in public."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from qanat.chain.views import OfferTerms

__all__ = ["COMMAND", "offer"]

DAY = 86_400


def offer(
    session: Session,
    *,
    asset: int | None,
    price: str | None,
    token: str | None,
    purposes: str,
    days: float,
    uses: int,
    earned_at_release: float | None,
    text: Path | None,
    seats: int,
    exclusive: bool,
    transferable: bool,
    arbiter: str | None,
    withdraw: int | None,
) -> Outcome:
    """Publish an offer, or withdraw one."""
    from qanat.cli.amounts import parse_address
    from qanat.errors import BadParameters

    if (withdraw is None) == (asset is None):
        raise BadParameters("Give either --asset and terms, or --withdraw OFFER.")
    if withdraw is not None:
        return _withdraw(session, withdraw)
    if price is None or asset is None:
        raise BadParameters("An offer needs a --price.")
    shape: dict[str, Any] = {"seats": seats, "exclusive": exclusive, "transferable": transferable}
    if arbiter is not None:
        shape["arbiter"] = parse_address(arbiter, "--arbiter")
    return _publish(session, asset, price, token, purposes, days, uses, earned_at_release, text, shape)


def _withdraw(session: Session, number: int) -> Outcome:
    licenses = session.chain.contract("Licenses")
    session.sender.estimate(licenses.functions.withdrawOffer(number))
    session.confirm(f"Withdraw offer {number}", ["licenses sold under it keep their terms"])
    receipt = session.sender.send(licenses.functions.withdrawOffer(number))
    return Outcome(
        {"offer": number, "withdrawn": True, "transaction": bytes(receipt["transactionHash"])},
        [f"Offer {number} is withdrawn."],
    )


def _publish(
    session: Session,
    asset: int,
    price: str,
    token: str | None,
    purposes: str,
    days: float,
    uses: int,
    earned_at_release: float | None,
    text: Path | None,
    shape: dict[str, Any],
) -> Outcome:
    from qanat.chain.views import OfferTerms, as_json, purpose_bits, purpose_names
    from qanat.cli.amounts import parse_amount
    from qanat.errors import BadParameters, FileUnreadable

    chain = session.chain
    bits = purpose_bits(purposes)
    if token is None:
        found = chain.deployment.tokens_with_role("payment")
        if len(found) != 1:
            raise BadParameters("Name the token in which the price is paid with --token.")
        token = next(iter(found))
    symbol, paid_in = session.token(token)
    owner = session.views.asset_owner(asset)
    if owner != session.address:
        raise BadParameters(
            f"Asset {asset} belongs to {owner}, not to {session.address}.",
            hint=f"`qanat list assets --owner {session.address}` shows yours.",
            asset=asset,
            owner=owner,
        )
    if earned_at_release is None:
        # plaintext can't be taken back: what is trained on it has been used
        earned_at_release = 100.0 if bits & purpose_bits("train,fine-tune") else 0.0
    try:
        text_hash = bytes(32) if text is None else hashlib.sha256(text.read_bytes()).digest()
    except OSError as error:
        raise FileUnreadable(f"The license text {text} cannot be read: {error.strerror}.", path=str(text)) from error
    terms = OfferTerms(
        asset,
        paid_in.address,
        parse_amount(price, paid_in.decimals),
        bits,
        round(days * DAY),
        uses,
        round(earned_at_release * 100),
        text_hash,
        **shape,
    )
    licenses = chain.contract("Licenses")
    session.sender.estimate(licenses.functions.publishOffer(terms.as_tuple()))
    session.confirm(
        f"Offer licenses of asset {asset}",
        [
            f"price {price} {symbol}, for {days:g} days, to {', '.join(purpose_names(bits))}",
            f"{earned_at_release:g} % earned at the first key release, the rest over the term",
            *_shape_lines(terms),
            "whoever buys holds these terms until their end",
        ],
    )
    receipt = session.sender.send(licenses.functions.publishOffer(terms.as_tuple()))
    from qanat.chain.connection import events_in

    number = int(events_in(receipt, licenses, "OfferPublished")[0]["offerId"])
    return Outcome(
        {
            "offer": number,
            "terms": as_json(terms),
            "purposes": purpose_names(bits),
            "terms_hash": terms.hash,
            "transaction": bytes(receipt["transactionHash"]),
        },
        [f"Offer {number} is published.", f"Others buy it with: qanat license --offer {number}"],
    )


def _shape_lines(terms: OfferTerms) -> list[str]:
    lines = []
    if terms.seats:
        lines.append(f"{terms.seats} seats: at most so many of these licenses are in force at a time")
    if terms.exclusive:
        lines.append("exclusive: nobody else gets a license for these purposes while one is in force")
    if terms.transferable:
        lines.append("whoever holds a license may pass it on")
    if int(terms.arbiter, 16):
        lines.append(f"{terms.arbiter} judges whether a licensee broke the terms: then nothing unearned goes back")
    return lines


COMMAND = Command(
    name="offer",
    run=offer,
    summary="Publish license terms for an asset, or withdraw an offer.",
    example="--asset 1 --price 25 --purposes train,evaluate --days 365",
    parameters=(
        click.option("--asset", type=click.IntRange(min=1), help="Number of the asset."),
        click.option("--price", help="Price of a license, in whole tokens."),
        click.option("--token", help="Token of the price: symbol or address.  [default: the network's payment token]"),
        click.option(
            "--purposes",
            default="train",
            show_default=True,
            help="Allowed purposes, by commas: train, fine-tune, evaluate, infer, redistribute, commercial.",
        ),
        click.option(
            "--days", type=click.FloatRange(min=0.0), default=365.0, show_default=True, help="Days from sale to end."
        ),
        click.option(
            "--uses", type=click.IntRange(min=0), default=0, show_default=True, help="Number of uses; 0: not counted."
        ),
        click.option(
            "--earned-at-release",
            type=click.FloatRange(0, 100),
            help=(
                "Percent of the price that is earned at the first key "
                "release.  [default: 100 for train and fine-tune, else 0]"
            ),
        ),
        click.option(
            "--text", type=click.Path(path_type=Path, dir_okay=False), help="License text; its SHA-256 goes on chain."
        ),
        click.option(
            "--seats",
            type=click.IntRange(0, 2**32 - 1),
            default=0,
            show_default=True,
            help="Licenses that may be in force at a time; 0: any number.",
        ),
        click.option("--exclusive", is_flag=True, help="Sell these purposes to one licensee at a time, alone."),
        click.option("--transferable", is_flag=True, help="Let licensees pass their licenses on."),
        click.option(
            "--arbiter",
            metavar="ADDRESS",
            help="Who judges breaches of the terms.  [default: nobody; the unearned part always goes back]",
        ),
        click.option("--withdraw", type=click.IntRange(min=0), metavar="OFFER", help="Withdraw this offer instead."),
    ),
)
