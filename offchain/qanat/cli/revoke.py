"""`qanat revoke`: the early end of a license."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "revoke"]


def revoke(session: Session, *, number: int, cause: str, evidence: Path | None, breach: bool) -> Outcome:
    """End a license of one's asset: what it has not earned goes back, or is frozen for the arbiter."""
    from qanat.cli.license import time_of
    from qanat.errors import FileUnreadable

    try:
        evidence_hash = bytes(32) if evidence is None else hashlib.sha256(evidence.read_bytes()).digest()
    except OSError as error:
        message = f"The evidence {evidence} cannot be read: {error.strerror}."
        raise FileUnreadable(message, path=str(evidence)) from error
    licenses = session.chain.contract("Licenses")
    cause_hash = session.chain.web3.keccak(text=cause) if cause else bytes(32)
    end = licenses.functions.revokeForBreach if breach else licenses.functions.revoke
    call = end(number, cause_hash, evidence_hash)
    session.sender.estimate(call)
    goes = "is frozen: the licensee may have the arbiter judge" if breach else "goes back to the licensee"
    session.confirm(f"Revoke license {number}", [f"its unearned part {goes}"])
    receipt = session.sender.send(call)
    from qanat.chain.connection import events_in

    if breach:
        claimed = events_in(receipt, licenses, "BreachClaimed")[0]
        frozen, until = int(claimed["contested"]), int(claimed["until"])
        transaction = bytes(receipt["transactionHash"])
        token = session.views.license(number).token
        return Outcome(
            {"license": number, "revoked": True, "contested": frozen, "until": until, "transaction": transaction},
            [f"License {number} has ended; {session.amount(frozen, token)} are frozen until {time_of(until)}."],
        )

    event = events_in(receipt, licenses, "LicenseRevoked")[0]
    token = session.views.license(number).token
    return Outcome(
        {
            "license": number,
            "revoked": True,
            "refund": int(event["refund"]),
            "transaction": bytes(receipt["transactionHash"]),
        },
        [f"License {number} has ended; {session.amount(int(event['refund']), token)} went back."],
    )


COMMAND = Command(
    name="revoke",
    run=revoke,
    summary="End a license of your asset; what it has not earned goes back to its holder.",
    details=(
        "With --breach, where the offer named an arbiter: the unearned part is frozen. The holder may dispute that "
        "within 14 days (`breach`), and the arbiter then decides; undisputed it is yours."
    ),
    example="--license 1 --cause 'the project was given up'",
    parameters=(
        click.option("--license", "number", type=click.IntRange(min=1), required=True, help="Number of the license."),
        click.option("--cause", default="", help="Why it is revoked; its hash goes on chain."),
        click.option(
            "--evidence",
            type=click.Path(path_type=Path, dir_okay=False),
            help="What the cause rests on; its SHA-256 goes on chain.",
        ),
        click.option("--breach", is_flag=True, help="Its holder broke the terms: freeze the unearned part."),
    ),
)
