"""`qanat license`: buys a license, gets a refund."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from qanat.chain.views import LicenseRecord, OfferTerms, Views
    from qanat.licensing.losses import Loss

__all__ = ["COMMAND", "license_", "time_of"]

#: What `buyWith` takes for no ERC-2612 permit.
NO_PERMIT = (0, 0, bytes(32), bytes(32))


def license_(
    session: Session,
    *,
    offer: int | None,
    signed: Path | None,
    max_price: str | None,
    seat: int | None,
    refund: int | None,
) -> Outcome:
    """Buy under an offer, published or signed; or take back what is due: for lost data, or a key that never came."""
    from qanat.errors import BadParameters

    if sum(item is not None for item in (offer, signed, refund)) != 1:
        raise BadParameters("Give one of --offer, --signed and --refund.")
    if refund is not None:
        return _refund(session, refund)
    if signed is not None:
        return _buy_signed(session, signed, max_price, seat)
    return _buy_published(session, offer or 0, max_price, seat)


def _buy_published(session: Session, offer: int, max_price: str | None, seat: int | None) -> Outcome:
    from qanat.errors import BadParameters

    views = session.views
    terms, over = views.offer(offer)
    if over:
        raise BadParameters(
            f"Offer {offer} is over: it was withdrawn, or its asset has another owner now.",
            hint="`qanat market` shows what is on sale.",
            offer=offer,
        )
    most = _most(session, terms, max_price, f"Offer {offer}")
    licenses = session.chain.contract("Licenses")
    call = licenses.functions.buy(offer, terms.hash, most)
    if terms.seats or seat:
        call = licenses.functions.buyWith(offer, terms.hash, most, _seat(views, offer, terms, seat), NO_PERMIT)
    return _buy(session, call, terms, f"offer {offer}")


def _buy_signed(session: Session, path: Path, max_price: str | None, seat: int | None) -> Outcome:
    """Buy with a file that the asset's owner signed; the first purchase publishes its offer."""
    from qanat.errors import WrongChain
    from qanat.licensing.signed_offers import SignedOffer

    signed = SignedOffer.load(path)
    chain, licenses, terms = session.chain, session.chain.contract("Licenses"), signed.terms
    if (signed.chain_id, signed.licenses.lower()) != (chain.chain_id, str(licenses.address).lower()):
        raise WrongChain(
            f"{path} is for Licenses {signed.licenses} on chain {signed.chain_id}; this is {licenses.address} on chain "
            f"{chain.chain_id}.",
            hint="Check --network and --rpc.",
            got=chain.chain_id,
            expected=signed.chain_id,
        )
    most = _most(session, terms, max_price, f"The offer in {path}")
    known = int(chain.call(licenses.functions.signedOfferId(signed.as_tuple())))
    if seat is None:
        # nobody has a seat of an offer that nobody bought
        seat = 0 if not terms.seats else _seat(session.views, known, terms, None) if known else 1
    call = licenses.functions.buySigned(signed.as_tuple(), signed.signature, most, seat, NO_PERMIT)
    return _buy(session, call, terms, f"the signed offer in {path}")


def _most(session: Session, terms: OfferTerms, max_price: str | None, what: str) -> int:
    """What may be paid at most, which the price must not pass."""
    from qanat.cli.amounts import parse_amount
    from qanat.errors import BadParameters

    _, token = session.token(terms.token)
    most = terms.price if max_price is None else parse_amount(max_price, token.decimals)
    if terms.price > most:
        raise BadParameters(
            f"{what} costs {session.amount(terms.price, terms.token)}, more than --max-price {max_price}.",
            hint="Raise --max-price, or look for another with `qanat market`.",
            price=terms.price,
        )
    return most


def _buy(session: Session, call: Any, terms: OfferTerms, what: str) -> Outcome:
    from qanat.chain.views import as_json, purpose_names
    from qanat.licensing.losses import find_losses
    from qanat.licensing.texts import name_of_text

    licenses, payments = session.chain.contract("Licenses"), session.chain.contract("Payments")
    session.check_payable(call, terms.token, terms.price)
    lost = find_losses(session.views, terms.asset_id)
    session.confirm(
        f"Buy a license of asset {terms.asset_id} under {what}",
        [
            f"pay {session.amount(terms.price, terms.token)}, held in escrow and earned as it is used",
            f"for {terms.duration / 86_400:g} days, to {', '.join(purpose_names(terms.purposes))}"
            + (f", {terms.uses} uses" if terms.uses else "")
            + (", nobody else meanwhile" if terms.exclusive else ""),
            f"license text: {name_of_text(terms.text_hash)}",
            *(
                f"object 0x{loss.object_id.hex()} of it is stored no longer, for which nothing comes back"
                for loss in lost
            ),
        ],
        transactions=2,
    )
    receipt = session.sender.pay(call, terms.token, payments.address, terms.price)
    from qanat.chain.connection import events_in

    sold = events_in(receipt, licenses, "LicenseSold")[0]
    number = int(sold["licenseId"])
    record = session.views.license(number)
    return Outcome(
        {
            "license": number,
            "offer": int(sold["offerId"]),
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
    """Of a license that runs: what is unearned, if its asset lost an object. Else what a key would have cost."""
    from qanat.licensing.losses import find_losses

    record = session.views.license(number)
    now = int(str(session.chain.block()["timestamp"]), 16)
    if not record.revoked_at and now < record.end:
        losses = find_losses(session.views, record.asset_id)
        if losses:
            return _refund_lost(session, number, record, losses)
    return _refund_unreleased(session, number)


def _refund_lost(session: Session, number: int, record: LicenseRecord, losses: list[Loss]) -> Outcome:
    from qanat.chain.connection import events_in
    from qanat.chain.randomness import module_in_force, randomness_proof, relays_of
    from qanat.errors import BadParameters
    from qanat.licensing.losses import find_proof

    chain, licenses = session.chain, session.chain.contract("Licenses")
    if record.licensee != session.address:
        raise BadParameters(
            f"Data of license {number} is stored no longer, for which {record.licensee} alone may end it.",
            licensee=record.licensee,
        )
    start = int(chain.call(licenses.functions.periodsOf(number))[0])
    proof = find_proof(session.views, losses, start)
    lost = proof.loss.object_id
    session.confirm(
        f"End license {number}, since object 0x{lost.hex()} of its asset is stored no longer",
        ["take back what it has not earned", "you are not licensed from then on, whoever stores the data"],
        transactions=1 if proof.is_revealed else 2,
    )
    if not proof.is_revealed:
        beacon = chain.contract_at("RandaoBeacon", module_in_force(chain))
        shown = randomness_proof(chain, proof.block, relays_of(chain))
        session.sender.send(beacon.functions.reveal(proof.block, shown))
    receipt = session.sender.send(licenses.functions.refundLost(number, lost, proof.epoch))
    amount = sum(int(item["refund"]) for item in events_in(receipt, licenses, "LicenseLost"))
    return Outcome(
        {
            "license": number,
            "refunded": amount,
            "lost": lost,
            "epoch": proof.epoch,
            "transaction": bytes(receipt["transactionHash"]),
        },
        [f"License {number} has ended; {session.amount(amount, record.token)} went back: `qanat claim` pays it out."],
    )


def _refund_unreleased(session: Session, number: int) -> Outcome:
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
    summary="Buy a license; or get money back for lost data, or for a key that never came.",
    example="--offer 1 --max-price 25",
    parameters=(
        click.option("--offer", type=click.IntRange(min=0), help="Number of the offer to buy under."),
        click.option(
            "--signed",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File of an offer that the asset's owner signed (`offer --sign`), to buy under instead.",
        ),
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
            help="Take back what is due: all that is unearned, if the asset's data is stored no longer, which ends the "
            "license; after its end a release's part, if no key came.",
        ),
    ),
)
