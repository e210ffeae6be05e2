"""`qanat extend` and what it shares with `qanat terminate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from qanat.chain.views import ObjectRecord

__all__ = ["COMMAND", "certified_object", "extend", "whole_fee"]


def certified_object(session: Session, text: str) -> tuple[bytes, ObjectRecord]:
    """Return id and record of a certified object. Raises :class:`BadParameters` for anything else."""
    from qanat.chain.views import ObjectStatus
    from qanat.cli.amounts import parse_bytes32
    from qanat.errors import BadParameters

    object_id = parse_bytes32(text, "object id")
    record = session.views.object(object_id)
    if record.status is ObjectStatus.NONE:
        raise BadParameters(
            f"The chain knows no object 0x{object_id.hex()}.",
            hint=f"`qanat list objects --owner {session.address}` shows yours.",
            object_id=object_id,
        )
    if record.status is not ObjectStatus.CERTIFIED:
        raise BadParameters(
            f"Object 0x{object_id.hex()} is {record.status.name.lower()}, not certified.",
            hint="Only certified objects are extended or terminated.",
            object_id=object_id,
        )
    return object_id, record


def whole_fee(session: Session, record: ObjectRecord, epochs: int) -> int:
    """Return the fee of an object's signed rows for so many epochs, payment token units."""
    tickets = session.views.roster_head(record.shard, record.roster).tickets
    rows = record.slices // tickets * (tickets - record.unsigned_tickets)
    return rows * record.row_fee * epochs


def extend(session: Session, *, object_id: str, epochs: int) -> Outcome:
    """Add epochs at an object's end, without sending its data again."""
    from qanat.errors import BadParameters
    from qanat.node.duty import non_signers_of

    name, record = certified_object(session, object_id)
    if epochs < 1:
        raise BadParameters(f"{epochs} epochs are none.", hint="Give --epochs 1 or more.", epochs=epochs)
    chain, views = session.chain, session.views
    token = views.shard_parameters(record.shard).payment_token
    fee = whole_fee(session, record, epochs)
    absent = list(non_signers_of(views, name, record.end_epoch))
    function = chain.contract("Objects").functions.extend(name, epochs, fee, absent)
    # an object that is over, or past what its roster allows, is told before there is a price to agree to
    session.check_payable(function, token, fee)
    given = "" if record.owner == session.address else f"; what may come back later is {record.owner}'s, its owner's"
    session.confirm(
        f"Extend object 0x{name.hex()}",
        [
            f"its last epoch will be {record.end_epoch + epochs - 1} instead of {record.end_epoch - 1}",
            f"pay {session.amount(fee, token)}{given}",
        ],
        transactions=2,
    )
    receipt = session.sender.pay(function, token, chain.contract("Payments").address, fee)
    after = views.object(name)
    return Outcome(
        {
            "object": name,
            "epochs": epochs,
            "end_epoch": after.end_epoch,
            "paid": fee,
            "token": token,
            "transaction": bytes(receipt["transactionHash"]),
        },
        [
            f"Extended object 0x{name.hex()}: its last epoch is {after.end_epoch - 1}.",
            f"Paid {session.amount(fee, token)}.",
        ],
    )


COMMAND = Command(
    name="extend",
    run=extend,
    summary="Add epochs at the end of a stored object, without sending it again.",
    details=(
        "Anyone may pay. Not while an operator that was late may still adopt its rows, nor past what its roster "
        "allows: then store it anew."
    ),
    example="--object 0x5f… --epochs 30",
    parameters=(
        click.option("--object", "object_id", required=True, metavar="ID", help="The object."),
        click.option("--epochs", type=int, required=True, help="Epochs to add."),
    ),
)
