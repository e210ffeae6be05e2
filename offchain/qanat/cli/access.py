"""`qanat access`: who got at an asset's key, when and from whom; and holders reported for what they did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

if TYPE_CHECKING:
    from qanat.client.release import ReleasedKey
    from qanat.keys.receipts import SignedReceipt

__all__ = ["COMMAND", "access", "keep_answers", "key_end_told"]

#: Blocks from whose times it is reckoned how long others take.
_PACE_BLOCKS = 1_000


def key_end_told(session: Session, asset_id: int, seconds: int | None = None) -> list[str]:
    """Say until when holders must release an asset's key, if it has one; nothing where that is ``seconds`` away."""
    from qanat.client.release import key_end

    chain, end = session.chain, key_end(session.views, asset_id)
    if end is None:
        return []
    latest = chain.latest()
    before = max(0, latest - _PACE_BLOCKS)
    pace = (chain.timestamp(latest) - chain.timestamp(before)) / max(1, latest - before)
    left = max(0, end - latest) * pace
    if seconds is not None and seconds <= left:
        return []
    told = f"its holders must release its key until block {end} only, in about {left / 86_400:.3g} days"
    return [f"{told}: deal it anew before (`qanat mint --asset {asset_id} --key-holder drawn`)"]


def access(
    session: Session,
    *,
    asset: int | None,
    mine: bool,
    receipts: tuple[Path, ...],
    report: bool,
    release: str | None,
) -> Outcome:
    """Show the log; report holders whose receipts prove a fault, or that were silent to a forced release."""
    from qanat.client.access import access_log
    from qanat.errors import BadParameters

    if release is not None and not report:
        raise BadParameters("--release names what to --report.")
    if (report or mine) and not session.has_account:
        raise BadParameters("--report and --mine need an account.", hint="Name one with --keyfile.")
    known = _receipts(session, receipts)
    done = _report(session, known, release) if report else []
    index = session.synced_index()
    wanted = None if asset is None else [asset]
    lines = access_log(index, session.views, known, asset_ids=wanted)
    if mine:
        own = {session.address}
        held = set(index.assets_held(session.address))
        lines = [line for line in lines if line.licensee in own or line.asset in held]
    rows = [
        (line.block, line.kind, line.asset, line.license or "", line.key_epoch or "", line.licensee or "", *_rest(line))
        for line in lines
    ]
    columns = ["block", "what", "asset", "license", "key epoch", "licensee", "holder", "more"]
    says = [item["says"] for item in done] or ([] if rows else ["Nobody got at a key yet, as far as the chain knows."])
    caption = "released: the first of a license; receipt: off chain, as signed by its holder; forced …: on chain"
    shown = [table("Access", columns, rows, right=("block",), caption=caption)] if rows else []
    return Outcome({"access": [line.to_json() for line in lines], "reported": done}, says, shown)


def _rest(line: Any) -> tuple[str, str]:
    return line.holder or "", line.note


# ---- receipts


def keep_answers(session: Session, released: list[ReleasedKey], keys: str) -> None:
    """Keep what holders signed: evidence for the access log, and against them."""
    from qanat.keys.receipts import SignedReceipt, keep_receipts

    contract = bytes.fromhex(keys[2:])
    signed = [
        SignedReceipt(session.chain.chain_id, contract, answer.receipt, answer.signature)
        for key in released
        for answer in key.answers
        if answer.receipt is not None
    ]
    keep_receipts(_own(session), signed)


def _own(session: Session) -> Path:
    from qanat.chain.journal import state_folder

    directory = session.chain.deployment.address("Directory")
    return state_folder() / "receipts" / f"{session.chain.chain_id}-{directory[2:14].lower()}.jsonl"


def _receipts(session: Session, named: tuple[Path, ...]) -> list[SignedReceipt]:
    from qanat.keys.receipts import read_receipts

    own = _own(session)
    paths = [*named, *([own] if own.exists() else [])]
    return list(dict.fromkeys(item for path in paths for item in read_receipts(path)))


# ---- reports


def _report(session: Session, known: list[SignedReceipt], release: str | None) -> list[dict[str, Any]]:
    from qanat.cli.amounts import parse_bytes32
    from qanat.client.reporting import report_call

    if release is not None:
        return _report_silent(session, parse_bytes32(release, "id of a forced release"))
    done: list[dict[str, Any]] = []
    dealings: dict[Any, Any] = {}
    for item in known:
        call = report_call(session.views, item, dealings)
        if call is not None:
            said = item.receipt
            what = f"the holder in place {said.place} of asset {said.asset_id}, key epoch {said.key_epoch}"
            done.append(_send(session, call, f"Reported {what}, for its receipt of block {said.block_number}"))
    return done or [{"says": "No receipt proves a fault.", "transaction": None, "error": None}]


def _report_silent(session: Session, release: bytes) -> list[dict[str, Any]]:
    """Report who didn't answer, and settle: each call by itself, since one that was made already says nothing."""
    from eth_utils.crypto import keccak

    from qanat.errors import BadParameters

    views = session.views
    forced = views.forced_release(release)
    found = session.synced_index().events("ReleaseForced", contract="Keys")
    said = next((event.arguments for event in found if event.arguments["id"] == "0x" + release.hex()), None)
    if said is None:
        raise BadParameters(
            f"No event tells of forced release 0x{release.hex()}.",
            hint="`qanat access --asset NUMBER` lists an asset's.",
            release=release,
        )
    point_hash = bytes(keccak(hexstr=str(said["point"])))
    names = (int(str(said["assetId"])), int(str(said["epoch"])), int(str(said["licenseId"])), point_hash)
    holders = views.key_holders(names[0], names[1])
    latest = session.chain.latest()
    done_by = forced.answered | forced.reported
    silent = [place for place in range(len(holders)) if not done_by >> place & 1]
    if silent and latest <= forced.deadline:
        raise BadParameters(
            f"Holders may answer until block {forced.deadline}; this is block {latest}.",
            hint="Report afterwards.",
            deadline=forced.deadline,
        )
    functions = views.keys().functions
    done = [
        _send(session, functions.reportSilent(*names, place), f"Reported {holders[place]}, which did not answer")
        for place in silent
        if latest <= forced.report_limit
    ]
    if silent and latest > forced.report_limit:
        late = f"Too late to report who didn't answer: that was possible until block {forced.report_limit}."
        done.append({"says": late, "transaction": None, "error": "ReportTooLate"})
    if not forced.settled:
        done.append(_send(session, functions.settle(*names), "Settled: what was not answered went back"))
    return done


def _send(session: Session, call: Any, what: str) -> dict[str, Any]:
    """Send a call; what the chain has against it is told, and is no reason to leave out the others."""
    from qanat.errors import TransactionReverted

    try:
        session.sender.estimate(call)
        session.confirm(what, ["costs gas only"])
        receipt = session.sender.send(call)
    except TransactionReverted as error:
        return {"says": f"Not so: {error.message}", "transaction": None, "error": error.error_name}
    return {"says": f"{what}.", "transaction": bytes(receipt["transactionHash"]), "error": None}


COMMAND = Command(
    name="access",
    run=access,
    summary="Who got at an asset's key, when and from whom; and report holders that broke the rules.",
    details=(
        "The chain knows first releases, forced ones and their answers, and reports. Releases off chain are known by "
        "their receipts: those that `qanat fetch` kept on this machine, and those of --receipts."
    ),
    example="--asset 1",
    account="maybe",
    parameters=(
        click.option("--asset", type=click.IntRange(min=1), help="Which asset.  [default: all]"),
        click.option("--mine", is_flag=True, help="Of the account's own assets, and by its own licenses, only."),
        click.option(
            "--receipts",
            multiple=True,
            type=click.Path(path_type=Path, dir_okay=False),
            help="File of receipts that somebody gave you; may be repeated.",
        ),
        click.option(
            "--report",
            is_flag=True,
            help="Report holders whose receipts prove a wrong answer or an unlicensed release.",
        ),
        click.option(
            "--release", metavar="ID", help="With --report: holders that didn't answer this forced release; settles it."
        ),
    ),
)
