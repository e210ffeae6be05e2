"""`qanat store`: a file, encrypted, spread over a shard's operators, certified on chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from rich.table import Table

    from qanat.client.stored import Quote

__all__ = ["COMMAND", "stages", "store"]


def store(
    session: Session,
    *,
    file: Path,
    shard: str | None,
    epochs: int,
    out_dir: Path,
    name: str | None,
    tolerate_down: int,
    tolerate_absent: int,
    availability: float | None,
    target: float,
    durability: float,
    profile: str,
    plain: bool,
    max_payment: str | None,
) -> Outcome:
    """Encrypt, plan, encode, open with payment, send slices, gather signatures, certify; leave a recovery file."""
    from qanat.cli.amounts import format_size, parse_amount
    from qanat.cli.keys import own_recovery_key, warn_of_only_key
    from qanat.client.store import store_file
    from qanat.errors import InsufficientFunds, QuorumNotReached

    number = session.chain.deployment.shard(shard)
    token_address = session.views.shard_parameters(number).payment_token
    _, token = session.token(token_address)
    _check_term(session, number, epochs)
    most = None if max_payment is None else parse_amount(max_payment, token.decimals)

    def confirm(quote: Quote) -> bool:
        if most is not None and quote.total > most:
            raise InsufficientFunds(
                f"Storing costs {session.amount(quote.total, quote.token)}, more than --max-payment "
                f"{session.amount(most, quote.token)}.",
                hint="Choose fewer epochs, or allow more.",
                needed=quote.total,
                balance=most,
            )
        session.confirm(
            f"Store {file.name} for {epochs} epochs",
            [
                f"{format_size(quote.size)} become {format_size(quote.stored_bytes)} in shard {number}",
                *quote.explanation,
                f"storage: {session.amount(quote.storage_fee, quote.token)}",
                f"intake: {session.amount(quote.intake_fee, quote.token)}, not returned",
            ],
            transactions=3,
        )
        return True

    recovery_key = None if plain else own_recovery_key(session).public
    try:
        with stages(session) as progress:
            stored = store_file(
                file,
                chain=session.chain,
                sender=session.sender,
                shard=number,
                epochs=epochs,
                out_dir=out_dir,
                name=name,
                tolerate_down=tolerate_down,
                tolerate_absent=tolerate_absent,
                availability=availability,
                target=target,
                durability=durability,
                profile=profile,
                encrypt=not plain,
                recovery_key=recovery_key,
                confirm=confirm,
                progress=progress,
            )
    except QuorumNotReached as error:
        # with the table; "absent" is missing where a term was over before anybody was asked
        return Outcome(error.to_json(), [], _absent(error.data.get("absent", {})), failure=error)
    says = [
        (
            f"Stored {format_size(stored.size)} as object 0x{stored.object_id.hex()}, epochs {stored.first_epoch} to "
            f"{stored.end_epoch - 1}, for {session.amount(stored.payment, stored.token)}; "
            f"{len(stored.signers)} operators signed."
        ),
    ]
    if stored.recovery is not None:
        says.append(f"Keep {stored.recovery}: with it and the account's key the file can always be had back.")
        says.append(f"Next: qanat mint --recovery {stored.recovery}")
        says += warn_of_only_key(session)
    if stored.receipt is not None:
        says.append(f"{stored.receipt} keeps its id: anybody can fetch it by that.")
    return Outcome(stored.to_json(), says, _absent({who: why.to_json() for who, why in stored.absent.items()}))


def _absent(absent: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Return a table of who did not sign, and why; none if all did."""
    rows = [
        (operator, why["kind"], f"{why['slicesTaken']} of {why['slices']}", why["tries"], why["why"])
        for operator, why in sorted(absent.items())
    ]
    return [table("Did not sign", ["operator", "how", "slices taken", "tries", "why"], rows)] if rows else []


def _check_term(session: Session, shard: int, epochs: int) -> None:
    """Refuse a term that the shard's roster does not reach, before hours are spent on encoding."""
    from qanat.errors import BadParameters, NotDeployed

    views = session.views
    roster = views.active_roster(shard)
    if not roster:
        raise NotDeployed(f"Shard {shard} has no active roster yet.", hint="Take one with `qanat roster`.", shard=shard)
    latest = session.chain.latest() + 1
    first = views.first_epoch_after(shard, latest + views.shard_parameters(shard).epoch_length)
    limit = views.roster_head(shard, roster).end_epoch - first
    if epochs > limit:
        raise BadParameters(
            f"Roster {roster} of shard {shard} reaches {max(0, limit)} epochs from now, not {epochs}.",
            hint="Choose a shorter term, or wait for a newer roster (`qanat roster`).",
            epochs=epochs,
            limit=limit,
        )


@contextmanager
def stages(session: Session) -> Iterator[Callable[[str, int, int], None]]:
    """Show one bar for each stage that the client tells of; yields a function that takes (stage, done, of)."""
    console = session.bars
    if console is None:
        yield lambda _stage, _done, _of: None
        return
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=of)
            shown.update(tasks[stage], completed=done, total=of)

        yield update


COMMAND = Command(
    name="store",
    run=store,
    summary="Store a file for a number of epochs: encrypted, spread, certified on chain.",
    details="If it is interrupted, run it again with the same arguments: nothing is paid or encoded twice.",
    example="photos.tar --epochs 12",
    parameters=(
        click.argument("file", type=click.Path(path_type=Path)),
        click.option("--shard", help="Shard, by name or number.  [default: the first]"),
        click.option("--epochs", type=click.IntRange(min=1), required=True, help="For how many epochs."),
        click.option(
            "--out-dir",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path(),
            show_default="here",
            help="Folder for the recovery file.",
        ),
        click.option("--name", help="Name of the recovery file.  [default: the file's]"),
        click.option(
            "--tolerate-down",
            type=click.IntRange(min=0),
            default=2,
            show_default=True,
            help="Operators, any, that may be down without losing the file.",
        ),
        click.option(
            "--tolerate-absent",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Operators, any, that may fail to sign without preventing the certificate.",
        ),
        click.option(
            "--availability",
            type=click.FloatRange(min=0, max=1, min_open=True),
            help="Probability that an operator answers.  [default: of each, what the chain shows of its last epochs]",
        ),
        click.option(
            "--target",
            type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
            default=0.9999,
            show_default=True,
            help="Probability with which the file must be restorable at a moment.",
        ),
        click.option(
            "--durability",
            type=click.FloatRange(min=0),
            default=0.0,
            show_default="as it comes",
            help="Nines a year: with 9 it is lost within a year with a probability of at most 1e-9.",
        ),
        click.option("--wide", "profile", flag_value="wide", default="", help="Profile for the largest networks."),
        click.option(
            "--plain",
            is_flag=True,
            help="Do not encrypt: anybody can read it; a receipt takes the recovery file's place.",
        ),
        click.option("--max-payment", help="Most to pay, in whole payment tokens."),
    ),
)
