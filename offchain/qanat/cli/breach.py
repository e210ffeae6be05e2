"""`qanat breach`: what becomes of the money of a license that was revoked for a breach of its terms."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "breach"]


def breach(session: Session, *, number: int, dispute: bool, refund: str | None, conclude: bool) -> Outcome:
    """Dispute a breach as the license's holder, decide it as the arbiter, or conclude it."""
    from qanat.cli.amounts import parse_amount
    from qanat.cli.license import time_of
    from qanat.errors import BadParameters

    if sum((dispute, refund is not None, conclude)) != 1:
        raise BadParameters("Give one of --dispute, --refund and --conclude.")
    licenses, record = session.chain.contract("Licenses"), session.views.license(number)
    _, token = session.token(record.token)
    frozen, until, _ = session.chain.call(licenses.functions.contestOf(number))
    if not until:
        raise BadParameters(
            f"Nothing of license {number} is frozen.",
            hint="Its asset's owner freezes money with `qanat revoke --breach`.",
            license=number,
        )
    units = 0 if refund is None else parse_amount(refund, token.decimals)
    if dispute:
        call, what = licenses.functions.dispute(number), "leave it to the arbiter"
    elif refund is not None:
        call, what = licenses.functions.decide(number, units), f"{session.amount(units, record.token)} go back"
    else:
        call, what = licenses.functions.conclude(number), "as time, or the asset's owner, decided"
    session.sender.estimate(call)
    session.confirm(f"{session.amount(int(frozen), record.token)} of license {number} are frozen", [what])
    receipt = session.sender.send(call)
    transaction = bytes(receipt["transactionHash"])
    left, until, _ = session.chain.call(licenses.functions.contestOf(number))
    after = session.views.license(number)
    data = {"license": number, "frozen": int(left), "refunded": after.refunded, "transaction": transaction}
    if until:
        return Outcome({**data, "until": int(until)}, [f"The arbiter may decide until {time_of(int(until))}."])
    went = after.refunded - record.refunded
    rest = int(frozen) - went
    return Outcome(
        data,
        [f"{session.amount(went, record.token)} went back.", f"{session.amount(rest, record.token)} are earned."],
    )


COMMAND = Command(
    name="breach",
    run=breach,
    summary="Dispute, decide or conclude what becomes of the frozen money of a revoked license.",
    details=(
        "The holder disputes within 14 days; the arbiter whom the offer named decides within 60 days of that; after "
        "either anybody concludes: undisputed it is the owner's, undecided it goes back. Before, the owner may give in."
    ),
    example="--license 1 --dispute",
    parameters=(
        click.option("--license", "number", type=click.IntRange(min=1), required=True, help="Number of the license."),
        click.option("--dispute", is_flag=True, help="As its holder: have the arbiter judge."),
        click.option("--refund", metavar="AMOUNT", help="As the arbiter: so much goes back, in whole tokens."),
        click.option("--conclude", is_flag=True, help="Time decided; or, as the asset's owner, give in."),
    ),
)
