"""`qanat terminate`: the early end of an object."""

from __future__ import annotations

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "terminate"]


def terminate(session: Session, *, object_id: str) -> Outcome:
    """End an object early: what was paid for later epochs comes back, and operators may delete it."""
    from qanat.cli.extend import certified_object, whole_fee
    from qanat.errors import BadParameters
    from qanat.node.duty import non_signers_of

    name, record = certified_object(session, object_id)
    chain, views, me = session.chain, session.views, session.address
    if record.owner != me:
        raise BadParameters(f"Object 0x{name.hex()} belongs to {record.owner}, not to {me}.", owner=record.owner)
    end = max(views.first_epoch_after(record.shard, chain.latest() + 1), record.first_epoch + 1)
    if end >= record.end_epoch:
        raise BadParameters(
            f"Object 0x{name.hex()} ends with epoch {record.end_epoch - 1} anyway: nothing would come back.",
            end_epoch=record.end_epoch,
        )
    token = views.shard_parameters(record.shard).payment_token
    asset = views.asset_of(name)
    session.confirm(
        f"Terminate object 0x{name.hex()}",
        [
            f"its last epoch will be about {end - 1} instead of {record.end_epoch - 1}; then operators may delete it",
            f"about {session.amount(whole_fee(session, record, record.end_epoch - end), token)} come back",
            *([f"asset {asset} owns it: licensees lose it too"] if asset else []),
            "this can't be undone",
        ],
        transactions=1,
    )
    absent = list(non_signers_of(views, name, record.end_epoch))
    receipt = session.sender.send(chain.contract("Objects").functions.terminate(name, absent))
    after = views.object(name)
    returned = whole_fee(session, record, record.end_epoch - after.end_epoch)
    return Outcome(
        {
            "object": name,
            "end_epoch": after.end_epoch,
            "returned": returned,
            "token": token,
            "transaction": bytes(receipt["transactionHash"]),
        },
        [
            f"Terminated object 0x{name.hex()}: its last epoch is {after.end_epoch - 1}.",
            f"{session.amount(returned, token)} came back. Then run: qanat claim",
        ],
    )


COMMAND = Command(
    name="terminate",
    run=terminate,
    summary="End a stored object early; what was paid for later epochs comes back.",
    details="The owner only. One epoch is owed at least. When its last epoch is closed, operators may delete it.",
    example="--object 0x5f…",
    parameters=(click.option("--object", "object_id", required=True, metavar="ID", help="The object."),),
)
