"""`qanat mint`: an asset of stored objects, and its data key with a key holder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat import strict_json
from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from qanat.keys.recovery import RecoveryFile

__all__ = ["COMMAND", "mint"]


def mint(
    session: Session,
    *,
    recovery: Path | None,
    objects: tuple[str, ...],
    content_hash: str | None,
    metadata: str,
    key_holder: str | None,
    deposit: bool,
    asset: int | None,
) -> Outcome:
    """Mint the asset; with a recovery file, deposit its data key with an operator that releases it to licensees."""
    from qanat.cli.amounts import parse_address
    from qanat.errors import BadParameters
    from qanat.keys.recovery import RecoveryFile

    opened = RecoveryFile.load(recovery) if recovery is not None else None
    holder = None if key_holder is None else parse_address(key_holder, "operator's address")
    if asset is not None:
        if opened is None:
            raise BadParameters("--asset deposits a key: it needs the --recovery file.")
        return _deposit_only(session, asset, opened, holder)
    ids = _objects(session, opened, objects)
    digest = _digest(opened, content_hash)
    data_key = opened.open(session.signer) if opened is not None and deposit else None
    holder = _holder(session, ids[0], holder) if data_key is not None else None
    described = _metadata(metadata, holder)

    assets = session.chain.contract("Assets")
    call = assets.functions.mint(ids, digest, described)
    session.sender.estimate(call)
    session.confirm(
        f"Mint an asset of {len(ids)} object{'s' if len(ids) > 1 else ''}",
        [
            f"SHA-256 of its plaintext: {digest.hex()}",
            *([f"its data key goes, sealed, to operator {holder}"] if holder else []),
        ],
    )
    receipt = session.sender.send(call)
    from qanat.chain.connection import events_in

    number = int(events_in(receipt, assets, "AssetMinted")[0]["assetId"])
    says = [f"Asset {number} is minted."]
    if holder is not None and data_key is not None:
        _deposit(session, number, data_key, holder, recovery)
        says.append(f"Operator {holder} holds its data key, and releases it to licensees.")
    says.append(f"Next: qanat offer --asset {number} --price 25 --purposes train")
    return Outcome(
        {
            "asset": number,
            "objects": ids,
            "content_hash": digest,
            "metadata": described,
            "key_holder": holder,
            "transaction": bytes(receipt["transactionHash"]),
        },
        says,
    )


def _deposit_only(session: Session, asset: int, opened: RecoveryFile, holder: str | None) -> Outcome:
    from qanat.client.fetch import deposit_key, key_holder_of
    from qanat.errors import BadParameters

    if opened.object_id not in session.views.asset_objects(asset):
        raise BadParameters(f"Asset {asset} does not own the object of this recovery file.", asset=asset)
    chosen = holder or key_holder_of(asset, chain=session.chain)
    deposit_key(asset, opened.open(session.signer), chain=session.chain, signer=session.signer, key_holder=chosen)
    return Outcome({"asset": asset, "key_holder": chosen}, [f"Operator {chosen} holds the data key of asset {asset}."])


def _deposit(session: Session, asset: int, data_key: bytes, holder: str, recovery: Path | None) -> None:
    from qanat.client.fetch import deposit_key
    from qanat.errors import KeyUnavailable, NodeError

    try:
        deposit_key(asset, data_key, chain=session.chain, signer=session.signer, key_holder=holder)
    except NodeError as error:
        raise KeyUnavailable(
            f"Asset {asset} is minted, but {holder} did not take its data key: {error.message}",
            hint=f"When its node is up: qanat mint --asset {asset} --recovery {recovery}",
            asset=asset,
            operator=holder,
        ) from error


def _objects(session: Session, opened: RecoveryFile | None, named: tuple[str, ...]) -> list[bytes]:
    from qanat.chain.views import ObjectStatus
    from qanat.cli.amounts import parse_bytes32
    from qanat.errors import BadParameters

    ids = [parse_bytes32(item, "object id") for item in named]
    if opened is not None and opened.object_id not in ids:
        ids.insert(0, opened.object_id)
    if not ids:
        raise BadParameters("Name what the asset consists of: --recovery FILE or --object ID.")
    for item in ids:
        record = session.views.object(item)
        if record.status == ObjectStatus.NONE:
            raise BadParameters(f"There is no object 0x{item.hex()}.", object=item)
        if record.status != ObjectStatus.CERTIFIED or record.owner != session.address:
            raise BadParameters(
                f"Object 0x{item.hex()} is {record.status.name.lower()} and of {record.owner}; "
                f"{session.address} can mint its own certified objects only.",
                object=item,
            )
    return ids


def _digest(opened: RecoveryFile | None, content_hash: str | None) -> bytes:
    from qanat.cli.amounts import parse_bytes32
    from qanat.errors import BadParameters

    if content_hash is not None:
        return parse_bytes32(content_hash, "SHA-256")
    if opened is None or "sha256" not in opened.extra:
        raise BadParameters("Give the SHA-256 of the plaintext with --content-hash.")
    return parse_bytes32(opened.extra["sha256"], "SHA-256")


def _holder(session: Session, object_id: bytes, wanted: str | None) -> str:
    """Operator that is to hold the key: the one named, else the one with most tickets of the object's roster."""
    from qanat.errors import BadParameters

    views = session.views
    if wanted is not None:
        if not views.is_registered(wanted):
            raise BadParameters(f"{wanted} is no registered operator.", operator=wanted)
        return wanted
    record = views.object(object_id)
    roster = views.roster(record.shard, record.roster)
    return max(roster.entries, key=lambda entry: (entry.tickets, entry.operator)).operator


def _metadata(text: str, holder: str | None) -> str:
    """Name the key holder in the asset's description: licensees look there."""
    if holder is None:
        return text
    try:
        content: Any = strict_json.parse(text)
    except ValueError:
        content = None
    described = content if isinstance(content, dict) else {"description": text} if text else {}
    return json.dumps({**described, "keyHolder": holder}, separators=(",", ":"), ensure_ascii=False)


COMMAND = Command(
    name="mint",
    run=mint,
    summary="Mint an asset of objects that you stored, and leave its data key with a key holder.",
    details="The key holder is an operator: it releases the key, sealed, to whom the chain says is licensed.",
    example="--recovery photos.tar.recovery.json --metadata 'Holiday photos, 2024'",
    parameters=(
        click.option(
            "--recovery",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Recovery file that `qanat store` wrote.",
        ),
        click.option("--object", "objects", multiple=True, metavar="ID", help="Object; may be repeated."),
        click.option("--content-hash", help="SHA-256 of the plaintext.  [default: the recovery file's]"),
        click.option("--metadata", default="", help="A description, in JSON or plain words."),
        click.option("--key-holder", help="Operator that holds the data key.  [default: the one with most tickets]"),
        click.option(
            "--deposit-key/--no-deposit-key",
            "deposit",
            default=True,
            show_default=True,
            help="Leave the data key with the key holder.",
        ),
        click.option(
            "--asset", type=click.IntRange(min=1), help="Mint nothing: deposit the key of this asset (again)."
        ),
    ),
)
