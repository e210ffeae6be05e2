"""`qanat mint`: an asset of stored objects, and its data key with a key holder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qanat import strict_json
from qanat.cli.command import DEVELOPMENT_CHAINS, Command
from qanat.cli.session import Outcome, Session

if TYPE_CHECKING:
    from qanat.client.dealing import DealtKey
    from qanat.keys.holders import HolderPlan
    from qanat.keys.recovery import RecoveryFile
    from qanat.licensing.croissant import Description

__all__ = ["COMMAND", "mint"]

#: Instead of an operator's address: the owner alone keeps the key, or drawn holders have shares of it.
SELF, DRAWN = "self", "drawn"


def mint(
    session: Session,
    *,
    recovery: Path | None,
    objects: tuple[str, ...],
    content_hash: str | None,
    metadata: str,
    key_holder: str | None,
    holders: str | None,
    deposit: bool,
    asset: int | None,
    records: tuple[str, ...],
    croissant: Path | None,
    croissant_object: str | None,
    version_of: int | None,
    resend: bool,
    license_: int | None,
) -> Outcome:
    """Mint the asset; with a recovery file, deposit its data key with an operator that releases it to licensees."""
    from qanat.cli.amounts import parse_address
    from qanat.cli.keys import warn_of_only_key
    from qanat.errors import BadParameters
    from qanat.keys.recovery import RecoveryFile

    opened = RecoveryFile.load(recovery) if recovery is not None else None
    drawn = key_holder == DRAWN
    if holders is not None and not drawn:
        raise BadParameters(f"--holders goes with --key-holder {DRAWN}.")
    deposit = deposit and key_holder != SELF
    named = None if key_holder in (None, SELF, DRAWN) else key_holder
    holder = None if named is None else parse_address(named, "operator's address")
    if resend:
        return _resend(session, asset, is_alone=drawn and recovery is None and holders is None)
    if asset is not None:
        source = (opened or license_) if deposit else None
        return _deposit_only(session, asset, source, holder, drawn=drawn, holders=holders)
    ranges = [_range(item) for item in records]
    ids = _objects(session, opened, objects, ranges)
    digest = _digest(session, opened, content_hash, ranges if not ids else [])
    data_key = opened.open(session.signer) if opened is not None and deposit else None
    plan = _plan(session, ids[0], holders) if drawn and data_key is not None else None
    holder = _holder(session, ids[0], holder) if data_key is not None and plan is None else None
    description = None if croissant is None else _description(croissant, digest)
    of_what = ids[0] if ids else ranges[0][0]
    told = _stored_description(session, croissant, croissant_object, of_what)
    described = _metadata(metadata, holder, description, told)

    assets = session.chain.contract("Assets")
    content = (ids, ranges, digest, b"", told or bytes(32), described)
    if version_of is not None:
        call = assets.functions.addVersion(version_of, content)
    elif ranges or told is not None:
        call = assets.functions.mintWith(content)
    else:
        call = assets.functions.mint(ids, digest, described)
    session.sender.estimate(call)
    count = len(ids) + len(ranges)
    what = "Mint an asset" if version_of is None else f"Add a version to asset {version_of}"
    session.confirm(
        f"{what} of {count} object{'s' if count > 1 else ''}",
        [
            f"SHA-256 of its plaintext: {digest.hex()}",
            *([f"described by object 0x{told.hex()}: {description.schema}"] if told and description else []),
            *([f"its data key goes, sealed, to operator {holder}"] if holder else []),
            *([f"its data key is dealt: {plan.explain()}"] if plan else []),
        ],
        transactions=1 if plan is None else 4,
    )
    receipt = session.sender.send(call)
    from qanat.chain.connection import events_in

    if version_of is None:
        number, version = int(events_in(receipt, assets, "AssetMinted")[0]["assetId"]), 1
        says = [f"Asset {number} is minted."]
    else:
        number, version = version_of, int(events_in(receipt, assets, "VersionAdded")[0]["version"])
        says = [f"Asset {number} has version {version}."]
    says += [f"Its description lacks: {item}" for item in (description.warnings if description else ())]
    if holder is not None and data_key is not None:
        _deposit(session, number, data_key, holder, recovery)
        says.append(f"Operator {holder} holds its data key, and releases it to licensees.")
    dealt = None
    if plan is not None and data_key is not None:
        dealt = _deal(session, number, data_key, ids[0], plan, recovery)
        says += _told(session, dealt)
    if opened is not None and not deposit:
        says += warn_of_only_key(session)
    says.append(f"Next: qanat offer --asset {number} --price 25 --purposes train")
    return Outcome(
        {
            "asset": number,
            "version": version,
            "objects": ids,
            "records": [{"object": item, "first": first, "count": size} for item, first, size in ranges],
            "croissant": told,
            "schema": description.schema if description else None,
            "content_hash": digest,
            "metadata": described,
            "key_holder": holder,
            "key": None if dealt is None else _shown(dealt),
            "transaction": bytes(receipt["transactionHash"]),
        },
        says,
    )


def _deposit_only(
    session: Session,
    asset: int,
    source: RecoveryFile | int | None,
    holder: str | None,
    *,
    drawn: bool,
    holders: str | None,
) -> Outcome:
    """Leave the key of an asset with a holder, or deal it: ``source`` is a recovery file, or a license of the asset."""
    from qanat.client.fetch import deposit_key, key_holder_of
    from qanat.errors import BadParameters

    if source is None:
        raise BadParameters("--asset deposits a key: it needs the --recovery file or a --license, and a key holder.")
    objects = session.views.asset_objects(asset)
    if isinstance(source, int):
        object_id, data_key = objects[0], _licensed_key(session, asset, source)
    elif source.object_id in objects:
        object_id, data_key = source.object_id, source.open(session.signer)
    else:
        raise BadParameters(
            f"Asset {asset} does not own the object of this recovery file.",
            hint="`qanat list assets --json` shows which objects each owns.",
            asset=asset,
        )
    if drawn:
        plan = _plan(session, object_id, holders)
        session.confirm(f"Deal a new key of asset {asset}", [plan.explain()], transactions=3)
        dealt = _deal(session, asset, data_key, object_id, plan, None)
        return Outcome({"asset": asset, "key_holder": None, "key": _shown(dealt)}, _told(session, dealt))
    chosen = holder or key_holder_of(asset, chain=session.chain)
    deposit_key(asset, data_key, chain=session.chain, signer=session.signer, key_holder=chosen)
    return Outcome({"asset": asset, "key_holder": chosen}, [f"Operator {chosen} holds the data key of asset {asset}."])


def _licensed_key(session: Session, asset: int, license_id: int) -> bytes:
    """Return the data key from its holders: an asset's new owner has no recovery file that its account opens."""
    from qanat.cli.access import keep_answers
    from qanat.client.fetch import open_asset
    from qanat.client.release import ReleasedKey
    from qanat.errors import BadParameters

    owner = session.views.asset_owner(asset)
    if owner != session.address:  # before the key is asked for: that may be recorded, and paid to the owner
        raise BadParameters(f"Asset {asset} belongs to {owner}; only its owner deals its key.", owner=owner)
    answers: list[ReleasedKey] = []
    data_key = open_asset(asset, license_id, chain=session.chain, signer=session.signer, on_answers=answers.append)
    keep_answers(session, answers, str(session.views.keys().address))
    return data_key


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


def _plan(session: Session, object_id: bytes, holders: str | None) -> HolderPlan:
    """How many holders are drawn from the object's shard, and how many of them open the key."""
    from qanat.client.dealing import MOST_REDRAWS, willing_entries
    from qanat.errors import BadParameters
    from qanat.keys.holders import LEAST_HOLDERS, evaluate_holders, plan_holders

    views = session.views
    roster, willing = willing_entries(views, views.object(object_id).shard)
    tickets = [entry.tickets for entry in willing]
    if holders is None:
        return plan_holders(tickets, redraws=MOST_REDRAWS, roster_tickets=roster.tickets)
    threshold, _, count = holders.partition("/")
    if not (threshold.isdecimal() and count.isdecimal()):
        raise BadParameters(f"{holders!r} is no choice of holders.", hint="Write it T/M: 4/7.")
    if int(count) < LEAST_HOLDERS and session.chain.chain_id not in DEVELOPMENT_CHAINS:
        raise BadParameters(
            f"{holders} stands on a single honest operator: that is for development chains.",
            hint=f"Have at least {LEAST_HOLDERS} holders, or leave the choice to the planner.",
        )
    return evaluate_holders(tickets, int(threshold), int(count), MOST_REDRAWS, roster.tickets)


def _deal(
    session: Session, asset: int, data_key: bytes, object_id: bytes, plan: HolderPlan, recovery: Path | None
) -> DealtKey:
    from qanat.client.dealing import deal_key
    from qanat.errors import KeyUnavailable

    try:
        return deal_key(
            asset,
            data_key,
            chain=session.chain,
            sender=session.sender,
            signer=session.signer,
            shard=session.views.object(object_id).shard,
            threshold=plan.threshold,
            holders=plan.holders,
            tell=session.note,
        )
    except KeyUnavailable as error:
        again = f"qanat mint --asset {asset} --recovery {recovery or 'FILE'} --key-holder {DRAWN}"
        raise KeyUnavailable(
            f"Asset {asset} is minted, but its key is not dealt: {error.message}",
            hint=f"Try again: {again}",
            asset=asset,
            **{name: value for name, value in error.data.items() if name != "asset"},
        ) from error


def _resend(session: Session, asset: int | None, *, is_alone: bool) -> Outcome:
    from qanat.client.dealing import resend_dealing
    from qanat.errors import BadParameters

    if asset is None or not is_alone:
        raise BadParameters(f"--resend goes with --asset and --key-holder {DRAWN}, and nothing else.")
    epoch, failed = resend_dealing(
        asset, chain=session.chain, sender=session.sender, signer=session.signer, tell=session.note
    )
    holders = session.views.key_holders(asset, epoch)
    says = [f"{len(holders) - len(failed)} of {len(holders)} holders have the dealing of key epoch {epoch}."]
    says += [f"Holder {operator} does not acknowledge: {why}" for operator, why in failed.items()]
    return Outcome({"asset": asset, "key": {"epoch": epoch, "holders": list(holders), "failed": failed}}, says)


def _told(session: Session, dealt: DealtKey) -> list[str]:
    from qanat.cli.access import key_end_told

    count = len(dealt.holders)
    return [
        f"Key epoch {dealt.key_epoch} of asset {dealt.asset_id}: {dealt.threshold} of {count} holders release the key.",
        *(f"Holder {operator} was replaced: {why}" for operator, why in dealt.replaced.items()),
        *key_end_told(session, dealt.asset_id),
    ]


def _shown(dealt: DealtKey) -> dict[str, Any]:
    return {
        "epoch": dealt.key_epoch,
        "threshold": dealt.threshold,
        "holders": list(dealt.holders),
        "replaced": dealt.replaced,
        "transaction": dealt.transaction,
    }


def _range(text: str) -> tuple[bytes, int, int]:
    """Return (object, first, count) of ``0x…:FIRST-LAST``."""
    from qanat.cli.amounts import parse_bytes32
    from qanat.errors import BadParameters

    item, _, places = text.partition(":")
    first, _, last = places.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise BadParameters(f"{text!r} is no range of records.", hint="Write it 0x…:FIRST-LAST.")
    return parse_bytes32(item, "object id"), int(first), int(last) - int(first) + 1


def _description(path: Path, digest: bytes) -> Description:
    """Read and check a description; it must tell of what the asset holds."""
    from qanat.errors import BadParameters
    from qanat.licensing.croissant import read_description

    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadParameters(f"{path} can't be read: {error.strerror}.") from error
    found = read_description(data)
    if found.digests and digest not in found.digests:
        raise BadParameters(
            f"{path} describes other files: none has the SHA-256 0x{digest.hex()}.",
            hint="Write the plaintext's SHA-256 into its FileObject.",
        )
    return found


def _stored_description(session: Session, path: Path | None, named: str | None, object_id: bytes) -> bytes | None:
    """Object that holds the description: the one named, else the file is stored, in plain, for as long as the asset."""
    from qanat.cli.amounts import parse_bytes32
    from qanat.cli.store import store
    from qanat.errors import BadParameters

    if path is None:
        if named is not None:
            raise BadParameters("--croissant-object needs the file, to check it: --croissant FILE.")
        return None
    if named is not None:
        return parse_bytes32(named, "object id")
    views, record = session.views, session.views.object(object_id)
    ahead = session.chain.latest() + 1 + views.shard_parameters(record.shard).epoch_length
    epochs = record.end_epoch - views.first_epoch_after(record.shard, ahead)
    done = store(
        session,
        file=path,
        shard=str(record.shard),
        epochs=max(1, epochs),
        out_dir=path.parent,
        name=None,
        tolerate_down=1,
        tolerate_absent=0,
        availability=None,
        target=0.9999,
        durability=0.0,
        profile="",
        plain=True,
        max_payment=None,
    )
    if done.failure is not None:
        raise done.failure
    return parse_bytes32(str(done.data["objectId"]), "object id")


def _objects(
    session: Session, opened: RecoveryFile | None, named: tuple[str, ...], ranges: list[tuple[bytes, int, int]]
) -> list[bytes]:
    from qanat.chain.views import ObjectStatus
    from qanat.cli.amounts import parse_bytes32
    from qanat.errors import BadParameters

    ids = [parse_bytes32(item, "object id") for item in named]
    if opened is not None and opened.object_id not in ids:
        ids.insert(0, opened.object_id)
    if not ids and not ranges:
        raise BadParameters("Name what the asset consists of: --recovery FILE, --object ID or --records ID:FIRST-LAST.")
    for item in [*ids, *(bundle for bundle, _, _ in ranges)]:
        record = session.views.object(item)
        if record.status == ObjectStatus.NONE:
            raise BadParameters(
                f"There is no object 0x{item.hex()}.",
                hint=f"`qanat list objects --owner {session.address}` shows yours.",
                object=item,
            )
        if record.status != ObjectStatus.CERTIFIED or record.owner != session.address:
            raise BadParameters(
                f"Object 0x{item.hex()} is {record.status.name.lower()} and of {record.owner}; "
                f"{session.address} can mint its own certified objects only.",
                hint=f"`qanat list objects --owner {session.address}` shows them.",
                object=item,
            )
    return ids


def _digest(
    session: Session,
    opened: RecoveryFile | None,
    content_hash: str | None,
    ranges: list[tuple[bytes, int, int]],
) -> bytes:
    from qanat.cli.amounts import parse_bytes32
    from qanat.client.ranges import Range, digest_of, is_encrypted, records_in
    from qanat.errors import BadParameters

    if content_hash is not None:
        return parse_bytes32(content_hash, "SHA-256")
    if ranges:
        of_what = [Range(*item) for item in ranges]
        if is_encrypted(of_what, chain=session.chain):
            raise BadParameters("These bundles are encrypted: give the SHA-256 of the records with --content-hash.")
        # as a licensee will: what isn't there, or not signed, is found before it is sold
        return digest_of(records_in(of_what, chain=session.chain, signer=session.signer))
    if opened is None or "sha256" not in opened.extra:
        raise BadParameters("Give the SHA-256 of the plaintext with --content-hash.")
    return parse_bytes32(opened.extra["sha256"], "SHA-256")


def _holder(session: Session, object_id: bytes, wanted: str | None) -> str:
    """Operator that is to hold the key: the one named, else the one with most tickets of the object's roster."""
    from qanat.errors import BadParameters

    views = session.views
    if wanted is not None:
        if not views.is_registered(wanted):
            raise BadParameters(
                f"{wanted} is no registered operator.", hint="`qanat list operators` shows them.", operator=wanted
            )
        return wanted
    record = views.object(object_id)
    roster = views.roster(record.shard, record.roster)
    return max(roster.entries, key=lambda entry: (entry.tickets, entry.operator)).operator


def _metadata(text: str, holder: str | None, description: Description | None, stored: bytes | None) -> str:
    """Name the key holder in the asset's description, where licensees look, and tell what Croissant says."""
    if holder is None and description is None:
        return text
    try:
        content: Any = strict_json.parse(text)
    except ValueError:
        content = None
    described = content if isinstance(content, dict) else {"description": text} if text else {}
    if description is not None and stored is not None:
        described = {**description.to_metadata(), "croissant": "0x" + stored.hex(), **described}
    if holder is not None:
        described = {**described, "keyHolder": holder}
    return json.dumps(described, separators=(",", ":"), ensure_ascii=False)


COMMAND = Command(
    name="mint",
    run=mint,
    summary="Mint an asset of objects that you stored, and leave its data key with a key holder.",
    details=(
        "The key holder is an operator: it releases the key, sealed, to whom the chain says is licensed. With "
        "--key-holder drawn no operator knows the key: any T of M holders that the chain draws release it together."
    ),
    example="--recovery photos.tar.recovery.json --metadata 'Holiday photos, 2024'",
    parameters=(
        click.option(
            "--recovery",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Recovery file that `qanat store` wrote.",
        ),
        click.option("--object", "objects", multiple=True, metavar="ID", help="Object; may be repeated."),
        click.option(
            "--records", multiple=True, metavar="ID:FIRST-LAST", help="Records of a bundle, by place; may be repeated."
        ),
        click.option(
            "--croissant",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Schema and provenance in Croissant JSON-LD: checked, stored in plain, and told on chain.",
        ),
        click.option("--croissant-object", metavar="ID", help="Where the --croissant file is stored already."),
        click.option(
            "--version-of", type=click.IntRange(min=1), help="Mint nothing: add a version to this asset of yours."
        ),
        click.option(
            "--content-hash",
            help="SHA-256 of the plaintext.  [default: the recovery file's; of --records alone: their bytes', read]",
        ),
        click.option("--metadata", default="", help="A description, in JSON or plain words."),
        click.option(
            "--key-holder",
            "--keyholder",
            "key_holder",
            metavar="ADDRESS|self|drawn",
            help=(
                "Operator that holds the data key; `self`: nobody but the owner; `drawn`: holders that the chain draws "
                "have shares of it.  [default: the operator with most tickets]"
            ),
        ),
        click.option(
            "--holders", metavar="T/M", help="With `drawn`: T of M holders open the key.  [default: as planned]"
        ),
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
        click.option(
            "--license",
            "license_",
            type=click.IntRange(min=1),
            help="With --asset: take the key from its holders by this license of yours, where the asset was another's.",
        ),
        click.option(
            "--resend",
            is_flag=True,
            help="With --asset and `drawn`: send the dealing in force, kept here, again to holders that lost it.",
        ),
    ),
)
