"""`qanat offer`: license terms for an asset, in public, or signed for whom the owner gives them to."""

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
    spdx: str | None,
    seats: int,
    exclusive: bool,
    transferable: bool,
    arbiter: str | None,
    withdraw: int | None,
    sign: Path | None,
    valid_days: float,
    cancel: Path | None,
) -> Outcome:
    """Publish or sign an offer, or take one back."""
    from qanat.cli.amounts import parse_address
    from qanat.errors import BadParameters

    if sum(item is not None for item in (asset, withdraw, cancel)) != 1:
        raise BadParameters("Give one of --asset with terms, --withdraw OFFER and --cancel FILE.")
    if withdraw is not None:
        return _withdraw(session, withdraw)
    if cancel is not None:
        return _cancel(session, cancel)
    if price is None or asset is None:
        raise BadParameters("An offer needs a --price.")
    shape: dict[str, Any] = {"seats": seats, "exclusive": exclusive, "transferable": transferable}
    if arbiter is not None:
        shape["arbiter"] = parse_address(arbiter, "--arbiter")
    terms = _terms(session, asset, price, token, purposes, days, uses, earned_at_release, _text(text, spdx), shape)
    if sign is not None:
        return _sign(session, terms, sign, valid_days)
    return _publish(session, terms)


def _withdraw(session: Session, number: int) -> Outcome:
    licenses = session.chain.contract("Licenses")
    session.sender.estimate(licenses.functions.withdrawOffer(number))
    session.confirm(f"Withdraw offer {number}", ["licenses sold under it keep their terms"])
    receipt = session.sender.send(licenses.functions.withdrawOffer(number))
    return Outcome(
        {"offer": number, "withdrawn": True, "transaction": bytes(receipt["transactionHash"])},
        [f"Offer {number} is withdrawn."],
    )


def _cancel(session: Session, path: Path) -> Outcome:
    from qanat.licensing.signed_offers import SignedOffer

    offer = SignedOffer.load(path)
    call = session.chain.contract("Licenses").functions.cancelSigned(offer.as_tuple())
    session.sender.estimate(call)
    session.confirm(f"Cancel the signed offer in {path}", ["nobody can buy with it any more; what was sold stays sold"])
    receipt = session.sender.send(call)
    return Outcome(
        {"cancelled": True, "transaction": bytes(receipt["transactionHash"])}, [f"The offer in {path} is cancelled."]
    )


def _text(text: Path | None, spdx: str | None) -> bytes:
    """The hash that names the license text."""
    from qanat.errors import BadParameters, FileUnreadable
    from qanat.licensing.texts import NO_TEXT, hash_of_spdx

    if text is not None and spdx is not None:
        raise BadParameters("--text and --spdx both name the license text: give one.")
    if spdx is not None:
        return hash_of_spdx(spdx)
    try:
        return NO_TEXT if text is None else hashlib.sha256(text.read_bytes()).digest()
    except OSError as error:
        raise FileUnreadable(f"The license text {text} cannot be read: {error.strerror}.", path=str(text)) from error


def _terms(
    session: Session,
    asset: int,
    price: str,
    token: str | None,
    purposes: str,
    days: float,
    uses: int,
    earned_at_release: float | None,
    text_hash: bytes,
    shape: dict[str, Any],
) -> OfferTerms:
    """What the options say, of an asset that is the account's."""
    from qanat.chain.views import OfferTerms, purpose_bits
    from qanat.cli.amounts import parse_amount
    from qanat.errors import BadParameters

    bits = purpose_bits(purposes)
    if token is None:
        found = session.chain.deployment.tokens_with_role("payment")
        if len(found) != 1:
            raise BadParameters("Name the token in which the price is paid with --token.")
        token = next(iter(found))
    _, paid_in = session.token(token)
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
    return OfferTerms(
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


def _sign(session: Session, terms: OfferTerms, path: Path, valid_days: float) -> Outcome:
    """Write a signed offer; nothing is sent."""
    import secrets

    from qanat.chain.views import as_json, purpose_names
    from qanat.client.job import write_durably
    from qanat.errors import FileUnreadable
    from qanat.licensing.signed_offers import SignedOffer

    if path.exists():
        raise FileUnreadable(f"{path} exists.", hint="Choose another name.", path=str(path))
    chain = session.chain
    licenses = str(chain.contract("Licenses").address)
    _, handovers = chain.call(chain.contract("Assets").functions.tenureOf(terms.asset_id))
    until = chain.timestamp() + round(valid_days * DAY)
    unsigned = SignedOffer(chain.chain_id, licenses, terms, int(handovers), secrets.randbits(256), until)
    session.confirm(
        f"Sign an offer of licenses of asset {terms.asset_id}",
        [
            *_lines(session, terms),
            f"anybody who has the file may buy for {valid_days:g} days, as long as the asset is yours",
        ],
        transactions=0,
    )
    signed = unsigned.sign(session.signer)
    write_durably(path, signed.to_bytes(), mode=0o644)
    return Outcome(
        {
            "signed": str(path),
            "terms": as_json(terms),
            "purposes": purpose_names(terms.purposes),
            "terms_hash": terms.hash,
            "valid_until": until,
        },
        [f"Wrote {path}: nothing is published.", f"Who has it buys with: qanat license --signed {path}"],
    )


def _publish(session: Session, terms: OfferTerms) -> Outcome:
    from qanat.chain.views import as_json, purpose_names

    licenses = session.chain.contract("Licenses")
    session.sender.estimate(licenses.functions.publishOffer(terms.as_tuple()))
    session.confirm(
        f"Offer licenses of asset {terms.asset_id}",
        [*_lines(session, terms), "whoever buys holds these terms until their end"],
    )
    receipt = session.sender.send(licenses.functions.publishOffer(terms.as_tuple()))
    from qanat.chain.connection import events_in

    number = int(events_in(receipt, licenses, "OfferPublished")[0]["offerId"])
    return Outcome(
        {
            "offer": number,
            "terms": as_json(terms),
            "purposes": purpose_names(terms.purposes),
            "terms_hash": terms.hash,
            "transaction": bytes(receipt["transactionHash"]),
        },
        [f"Offer {number} is published.", f"Others buy it with: qanat license --offer {number}"],
    )


def _lines(session: Session, terms: OfferTerms) -> list[str]:
    """What the terms say, for who is to agree to them."""
    from qanat.chain.views import purpose_names
    from qanat.cli.access import key_end_told
    from qanat.licensing.texts import name_of_text

    price, purposes = session.amount(terms.price, terms.token), ", ".join(purpose_names(terms.purposes))
    lines = [
        f"price {price}, for {terms.duration / DAY:g} days, to {purposes}",
        f"{terms.earned_at_release_bps / 100:g} % earned at the first key release, the rest over the term",
        f"license text: {name_of_text(terms.text_hash)}",
    ]
    if terms.seats:
        lines.append(f"{terms.seats} seats: at most so many of these licenses are in force at a time")
    if terms.exclusive:
        lines.append("exclusive: nobody else gets a license for these purposes while one is in force")
    if terms.transferable:
        lines.append("whoever holds a license may pass it on")
    lines += key_end_told(session, terms.asset_id, terms.duration)
    if int(terms.arbiter, 16):
        lines.append(f"{terms.arbiter} judges whether a licensee broke the terms: then nothing unearned goes back")
    return lines


COMMAND = Command(
    name="offer",
    run=offer,
    summary="Publish license terms for an asset, or sign them for whom you give them to; or take an offer back.",
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
        click.option("--spdx", metavar="NAME", help="License text by its short name on the SPDX list: CC-BY-4.0."),
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
        click.option(
            "--sign",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Publish nothing: sign the offer into this file, with which others buy.",
        ),
        click.option(
            "--valid-days",
            type=click.FloatRange(min=0.0, max=36_500.0),
            default=30.0,
            show_default=True,
            help="With --sign: how long it may be bought.",
        ),
        click.option(
            "--cancel",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Cancel the signed offer in this file instead.",
        ),
    ),
)
