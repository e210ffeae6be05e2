"""`qanat transfer`: an asset, or a license that may be passed on, goes to somebody else."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "transfer"]


def transfer(session: Session, *, asset: int | None, license_: int | None, to: str) -> Outcome:
    """Hand an asset over, with its future revenue, or a license, with the rest of its term."""
    from qanat.cli.amounts import parse_address
    from qanat.errors import BadParameters

    if (asset is None) == (license_ is None):
        raise BadParameters("Give either --asset or --license.")
    chain, views, me, taker = session.chain, session.views, session.address, parse_address(to, "--to")
    if asset is not None:
        owner, number, contract = views.asset_owner(asset), asset, chain.contract("Assets")
        says = [
            "its offers end, published and signed ones; its licenses go on",
            "what they earn from now on is the new owner's; what they have earned stays yours (`qanat claim`)",
            "its key serves licensees until the new owner has dealt its own (`qanat mint --asset N --license L`)",
            "whoever has read its data, you too, goes on knowing it",
        ]
    else:
        number, contract = license_ or 0, chain.contract("Licenses")
        owner = views.license(number).licensee
        if chain.call(contract.functions.locked(number)):
            raise BadParameters(f"License {number} is bound to its licensee: its offer doesn't let it be passed on.")
        says = ["it is the new holder's from now on, with what may come back of its price"]
    kind = "asset" if asset is not None else "license"
    if owner != me:
        raise BadParameters(
            f"{kind.capitalize()} {number} belongs to {owner}, not to {me}.",
            hint=f"`qanat list {kind}s --owner {me}` shows yours.",
            owner=owner,
        )
    call = contract.get_function_by_signature("safeTransferFrom(address,address,uint256)")(me, taker, number)
    session.sender.estimate(call)
    session.confirm(f"Transfer {kind} {number} to {taker}", says)
    receipt = session.sender.send(call)
    return Outcome(
        {kind: number, "from": me, "to": taker, "transaction": bytes(receipt["transactionHash"])},
        [f"{kind.capitalize()} {number} is {taker}'s."],
    )


COMMAND = Command(
    name="transfer",
    run=transfer,
    summary="Hand over an asset with its future revenue, or a license that may be passed on.",
    example="--asset 1 --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    parameters=(
        click.option("--asset", type=click.IntRange(min=1), help="Number of the asset."),
        click.option("--license", "license_", type=click.IntRange(min=1), help="Number of the license."),
        click.option("--to", required=True, metavar="ADDRESS", help="Who gets it."),
    ),
)
